//! NumPy's array format, versions 1 to 3, as far as latents need it (NEP 1).

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::Latents;
use crate::files::open_file;
use crate::weights::to_f32;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Bytes of data: latents of the largest picture with 32 channels, eight pixels each.
const LARGEST: u64 = 1 << 27;
/// Bytes before the data; a header of four numbers has 128.
const LONGEST_START: usize = 1 << 16;

/// A latents file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct NpyError {
    path: PathBuf,
    problem: String,
}

impl NpyError {
    pub(super) fn new(path: &Path, problem: String) -> Self {
        Self {
            path: path.to_owned(),
            problem,
        }
    }
}

pub(super) fn read(path: &Path) -> Result<Latents, String> {
    let unreadable = |error| format!("cannot be read: {error}");
    let mut file = open_file(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let mut start = Vec::new();
    (&mut file)
        .take(LONGEST_START as u64)
        .read_to_end(&mut start)
        .map_err(unreadable)?;
    let head = Head::parse(&start)?;
    // What the header says is compared with what there is before room is made for it.
    let bytes = head.check(length - (head.length as u64).min(length))?;
    let mut data = start.split_off(head.length);
    data.reserve_exact(bytes.saturating_sub(data.len()));
    // It may grow while it is read.
    file.take(bytes.saturating_sub(data.len()) as u64)
        .read_to_end(&mut data)
        .map_err(unreadable)?;
    head.with(&data)
}

/// As [`read`], of a file's bytes.
pub(crate) fn decode(bytes: &[u8]) -> Result<Latents, String> {
    let head = Head::parse(&bytes[..bytes.len().min(LONGEST_START)])?;
    let data = bytes.get(head.length..).unwrap_or_default();
    head.check(data.len() as u64)?;
    head.with(data)
}

/// What a file says of its data.
struct Head {
    /// Bytes before the data.
    length: usize,
    shape: [usize; 4],
}

impl Head {
    /// Of a file that starts so.
    fn parse(start: &[u8]) -> Result<Self, String> {
        let foreign = || "not a NumPy file: save it with numpy.save".to_owned();
        let rest = start.strip_prefix(MAGIC).ok_or_else(foreign)?;
        let (&version, rest) = rest.split_first().ok_or_else(foreign)?;
        let rest = rest.get(1..).ok_or_else(foreign)?;
        let (length, rest) = match version {
            1 => {
                let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(foreign)?;
                (usize::from(u16::from_le_bytes(*length)), rest)
            }
            2 | 3 => {
                let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(foreign)?;
                let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| foreign())?;
                (length, rest)
            }
            _ => return Err(format!("NumPy format version {version} is not known")),
        };
        let header = rest
            .get(..length)
            .ok_or("header cut short, or longer than that of an array of numbers")?;
        let header = std::str::from_utf8(header).map_err(|_| foreign())?;
        if value(header, "descr") != Some("'<f4'") {
            return Err("values must be little-endian float32 ('<f4')".into());
        }
        if value(header, "fortran_order") != Some("False") {
            return Err("must be in C order, not Fortran order".into());
        }
        let shape = shape(header).ok_or("header without a shape")?;
        let &[1, channels, height, width] = &shape[..] else {
            return Err(format!("shape is {shape:?}, latents are [1, c, h/f, w/f]"));
        };
        Ok(Self {
            length: start.len() - rest.len() + length,
            shape: [1, channels, height, width],
        })
    }

    /// Bytes of data, which are all that there are, and no more than latents have.
    fn check(&self, available: u64) -> Result<usize, String> {
        let shape = self.shape;
        let values = shape.iter().try_fold(1_usize, |all, n| all.checked_mul(*n));
        let bytes = values.and_then(|values| values.checked_mul(size_of::<f32>()));
        match bytes.filter(|bytes| *bytes > 0 && *bytes as u64 == available) {
            None => Err(format!(
                "shape {shape:?} does not fit {available} bytes of data"
            )),
            Some(bytes) if bytes as u64 > LARGEST => {
                Err(format!("over {} MiB: not latents", LARGEST >> 20))
            }
            Some(bytes) => Ok(bytes),
        }
    }

    fn with(self, data: &[u8]) -> Result<Latents, String> {
        self.check(data.len() as u64)?;
        let [_, channels, height, width] = self.shape;
        Ok(Latents {
            channels,
            height,
            width,
            data: to_f32(data),
        })
    }
}

/// The text of one value of the header's Python dictionary, for values without commas.
fn value<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let at = header.find(&format!("'{key}':"))? + key.len() + 3;
    header[at..].split([',', '}']).next().map(str::trim)
}

fn shape(header: &str) -> Option<Vec<usize>> {
    let at = header.find("'shape':")?;
    let list = header[at..].split_once('(')?.1.split_once(')')?.0;
    list.split(',')
        .map(str::trim)
        .filter(|n| !n.is_empty())
        .map(|n| n.parse().ok())
        .collect()
}

pub(super) fn encode(latents: &Latents) -> Vec<u8> {
    let [n, c, h, w] = latents.shape();
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({n}, {c}, {h}, {w}), }}");
    // The data starts at a multiple of 64 bytes: magic 6, version 2, length 2, header, newline.
    let padding = (64 - (header.len() + 11) % 64) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let mut bytes = Vec::with_capacity(10 + header.len() + latents.data.len() * 4);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[1, 0]);
    let length = u16::try_from(header.len()).expect("four numbers make a short header");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend(latents.data.iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_file_comes_back_as_it_was_and_its_data_is_aligned() {
        let latents = Latents {
            channels: 4,
            height: 3,
            width: 2,
            data: (0..24_u8).map(f32::from).collect(),
        };
        let bytes = encode(&latents);
        assert_eq!((bytes.len() - 24 * 4) % 64, 0);
        assert_eq!(decode(&bytes), Ok(latents));
    }

    #[test]
    fn a_wrong_shape_or_type_is_named() {
        let bytes = encode(&Latents::zeros(1, 1, 1));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let doubles = text.replace("<f4", "<f8").into_bytes();
        // Lossy text spoils the magic's first byte; put it back.
        let doubles = [
            MAGIC.as_slice(),
            &doubles[doubles.len() - bytes.len() + 6..],
        ]
        .concat();
        assert!(decode(&doubles).is_err_and(|e| e.contains("float32")));
        assert!(decode(&bytes[..bytes.len() - 1]).is_err_and(|e| e.contains("does not fit")));
        let flat = text.replace("(1, 1, 1, 1)", "(1, 1)      ").into_bytes();
        let flat = [MAGIC.as_slice(), &flat[flat.len() - bytes.len() + 6..]].concat();
        assert!(decode(&flat).is_err_and(|e| e.contains("[1, c, h/f, w/f]")));
    }

    #[test]
    fn files_are_read_within_bounds() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("latents.npy");
        let latents = Latents {
            channels: 2,
            height: 200,
            width: 100,
            data: (0..40_000_u16).map(f32::from).collect(),
        };
        std::fs::write(&path, encode(&latents)).expect("a file");
        assert_eq!(read(&path).expect("it is right"), latents);
        // A sparse file that its header does not fit, and one that it does.
        let file = std::fs::File::options().write(true).open(&path);
        let file = file.expect("it is there");
        file.set_len(1 << 40).expect("a sparse file");
        assert!(read(&path).is_err_and(|said| said.contains("does not fit")));
        let mut start = encode(&Latents::zeros(1, 1, 1));
        let text = b"(1, 32768, 4096, 2048)";
        let at = start.windows(12).position(|part| part == b"(1, 1, 1, 1)");
        let at = at.expect("it has a shape");
        start.splice(at..at + 12, text.iter().copied());
        // What the shape has more, the padding has less.
        let end = start
            .iter()
            .rposition(|byte| *byte == b'\n')
            .expect("a line");
        start.drain(end - 10..end);
        let whole = start.len() as u64 - 4 + (1 << 40);
        std::fs::write(&path, &start).expect("a file");
        let file = std::fs::File::options().write(true).open(&path);
        file.expect("it is there")
            .set_len(whole)
            .expect("a sparse file");
        let said = read(&path).expect_err("it is too much");
        assert!(said.contains("not latents"), "{said}");
        assert!(read(Path::new("/dev/zero")).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(tail in prop::collection::vec(any::<u8>(), 0..200), keep in 0..90_usize) {
            let mut bytes = encode(&Latents::zeros(1, 1, 2));
            bytes.truncate(keep);
            bytes.extend(tail);
            let _ = decode(&bytes);
        }
    }
}
