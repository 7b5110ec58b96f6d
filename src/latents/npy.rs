//! NumPy's array format, versions 1 to 3, as far as latents need it (NEP 1).

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::Latents;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Bytes: latents of a 16384×16384 picture with 16 channels would be more, and is not a latent anybody means.
const LARGEST: u64 = 1 << 28;

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
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(unreadable)?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("over {} MiB: not latents", LARGEST >> 20));
    }
    decode(&bytes)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Latents, String> {
    let foreign = || "not a NumPy file: save it with numpy.save".to_owned();
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(foreign)?;
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
    let header = rest.get(..length).ok_or("header cut short")?;
    let header = std::str::from_utf8(header).map_err(|_| foreign())?;
    let data = &rest[length..];
    if value(header, "descr") != Some("'<f4'") {
        return Err("values must be little-endian float32 ('<f4')".into());
    }
    if value(header, "fortran_order") != Some("False") {
        return Err("must be in C order, not Fortran order".into());
    }
    let shape = shape(header).ok_or("header without a shape")?;
    let [1, channels, height, width] = shape[..] else {
        return Err(format!("shape is {shape:?}, latents are [1, c, h/f, w/f]"));
    };
    let count = channels
        .checked_mul(height)
        .and_then(|n| n.checked_mul(width))
        .filter(|n| n.checked_mul(4) == Some(data.len()) && *n > 0)
        .ok_or_else(|| format!("shape {shape:?} does not fit {} bytes of data", data.len()))?;
    let mut values = Vec::with_capacity(count);
    values.extend(
        data.as_chunks::<4>()
            .0
            .iter()
            .map(|v| f32::from_le_bytes(*v)),
    );
    Ok(Latents {
        channels,
        height,
        width,
        data: values,
    })
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
