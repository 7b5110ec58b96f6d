//! The bytes of a network's tensors, wherever they are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::blocked::Blocked;
use crate::files::open_file;
use crate::text::excerpt;
use half::{bf16, f16};
use tract_onnx::pb::{TensorProto, tensor_proto::DataLocation, tensor_proto::DataType};

/// Bytes of a tensor. Tables of the largest text encoders have a fourth of it.
const LARGEST_TENSOR: u64 = 2 << 30;
/// Bytes of all that is brought into memory as it is in the file. The most known is 150 MB.
const LARGEST_SUM: u64 = 512 << 20;

/// Finds the bytes of tensors: in the network's file, or in the files beside it that external tensors name.
pub(crate) struct TensorSource {
    folder: PathBuf,
    files: HashMap<String, Arc<File>>,
    /// Bytes that may yet be brought into memory.
    room: u64,
}

/// A tensor's bytes, little-endian, not yet read if they are in a file.
#[derive(Debug)]
pub(crate) enum TensorBytes {
    /// A part of a file.
    File {
        file: Arc<File>,
        path: PathBuf,
        range: Range<u64>,
    },
    /// They were inside the network's file.
    Owned(Vec<u8>),
    /// In another order than the standard's.
    Blocked { stored: Box<Self>, layout: Blocked },
}

/// The key under which an external tensor says that it is [`Blocked`], and in blocks of how many channels.
pub(crate) const BLOCKED: &str = "easel.blocked";

impl TensorBytes {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::File { range, .. } => (range.end - range.start) as usize,
            Self::Owned(bytes) => bytes.len(),
            Self::Blocked { layout, .. } => layout.bytes(),
        }
    }

    /// Reads them. A file that was cut short or cannot be read is an error, not the end of the process, as it would be if it
    /// were mapped; and what was read is no one's memory any more when it is dropped.
    pub(crate) fn read(&self) -> Result<Cow<'_, [u8]>, String> {
        match self {
            Self::Owned(bytes) => Ok(bytes.into()),
            Self::Blocked { stored, layout } => Ok(layout.unblocked(&stored.read()?).into()),
            Self::File { file, path, range } => {
                let mut bytes = Vec::new();
                bytes.try_reserve_exact(self.len()).map_err(|_| {
                    let mib = self.len() >> 20;
                    format!("{mib} MiB of memory for it are not there: free some")
                })?;
                bytes.resize(self.len(), 0);
                let read = file.read_exact_at(&mut bytes, range.start);
                read.map_err(|error| unreadable(path, &error))?;
                Ok(bytes.into())
            }
        }
    }
}

/// What to say of a file of weights that cannot be read.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => format!(
            "{} has become shorter: copy the model again",
            path.display()
        ),
        _ => format!(
            "{} cannot be read ({error}): is the card still in?",
            path.display()
        ),
    }
}

impl TensorSource {
    /// For a network in this folder, which its external tensors may not leave.
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            files: HashMap::new(),
            room: LARGEST_SUM,
        }
    }

    /// The tensor's raw bytes, as many as its shape needs, as far as it has some: empty for the rare form of a list of numbers.
    /// Nothing is read or made room for before that is sure.
    pub(crate) fn bytes(&mut self, tensor: &TensorProto) -> Result<TensorBytes, String> {
        if tensor.data_location == Some(DataLocation::External as i32) {
            let mut entries = tensor.external_data.iter();
            let Some(blocked) = entries.find(|entry| entry.key == BLOCKED) else {
                let needs = needs(tensor)?.ok_or("its elements are of no fixed size")?;
                return self.external(tensor, needs);
            };
            let block = blocked.value.parse().unwrap_or(0);
            let layout = Blocked::new(block, &tensor.dims)
                .filter(|_| tensor.data_type == DataType::Float as i32);
            let layout = layout.ok_or_else(|| {
                format!(
                    "{:?} do not come in blocks: export the model again",
                    tensor.dims
                )
            })?;
            let stored = Box::new(self.external(tensor, layout.stored() as u64)?);
            return Ok(TensorBytes::Blocked { stored, layout });
        }
        let found = tensor.raw_data.len() as u64;
        match needs(tensor)? {
            Some(needs) if found > 0 && found != needs => Err(misfit(tensor, needs, found)),
            _ => Ok(TensorBytes::Owned(tensor.raw_data.clone())),
        }
    }

    /// As [`bytes`](Self::bytes), read. All that is read so has a bound.
    pub(crate) fn bring(&mut self, tensor: &TensorProto) -> Result<Vec<u8>, String> {
        let bytes = self.bytes(tensor)?;
        self.room = self.room.checked_sub(bytes.len() as u64).ok_or_else(|| {
            let most = LARGEST_SUM >> 20;
            format!("with it, tensors that are no weights of products have more than {most} MiB")
        })?;
        Ok(bytes.read()?.into_owned())
    }

    /// The values of a small fp32, fp16 or bfloat16 tensor; `None` for other types.
    pub(crate) fn floats(&mut self, tensor: &TensorProto) -> Result<Option<Vec<f32>>, String> {
        if !tensor.float_data.is_empty() {
            return Ok(Some(tensor.float_data.clone()));
        }
        Ok(match DataType::try_from(tensor.data_type) {
            Ok(DataType::Float) => Some(to_f32(&self.bring(tensor)?)),
            Ok(DataType::Float16) if !tensor.int32_data.is_empty() => {
                // ONNX keeps the bits of a half in the low 16 bits of an int32.
                let bits = tensor.int32_data.iter();
                Some(bits.map(|b| f16::from_bits(*b as u16).to_f32()).collect())
            }
            Ok(DataType::Float16) => Some(halves_to_f32(&self.bring(tensor)?)),
            Ok(DataType::Bfloat16) if !tensor.int32_data.is_empty() => {
                let bits = tensor.int32_data.iter();
                Some(bits.map(|b| bf16::from_bits(*b as u16).to_f32()).collect())
            }
            Ok(DataType::Bfloat16) => Some(bfloats_to_f32(&self.bring(tensor)?)),
            _ => None,
        })
    }

    fn external(&mut self, tensor: &TensorProto, needs: u64) -> Result<TensorBytes, String> {
        let entry = |key: &str| {
            let found = tensor.external_data.iter().find(|entry| entry.key == key);
            found.map(|entry| entry.value.as_str())
        };
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => text
                .parse::<u64>()
                .map(Some)
                .map_err(|_| format!("{key} `{text}` is not a number")),
        };
        let location = entry("location").ok_or("external, but without a file name")?;
        // A model is somebody's download: it may name files of its own folder and no others.
        let inside = Path::new(location)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside {
            return Err(format!("its file `{location}` is outside the model"));
        }
        let offset = number("offset")?.unwrap_or(0);
        let length = number("length")?;
        let path = self.folder.join(location);
        let unreadable = |error| format!("its file `{location}` cannot be read: {error}");
        if !self.files.contains_key(location) {
            // Stores of models link files to where they keep them, never folders: one that is a link leads anywhere.
            let folder = |path: &Path| path.parent().map(Path::canonicalize).and_then(Result::ok);
            let lies_in = folder(&path).zip(self.folder.canonicalize().ok());
            if lies_in.is_some_and(|(lies, model)| !lies.starts_with(model)) {
                return Err(format!(
                    "its file `{}` is outside the model",
                    excerpt(location)
                ));
            }
            let file = open_file(&path).map_err(unreadable)?;
            self.files.insert(location.to_owned(), Arc::new(file));
        }
        let file = self.files[location].clone();
        let available = file.metadata().map_err(unreadable)?.len();
        // Without a length it is all that is left of the file, of which the tensor is the beginning.
        let length = length.unwrap_or(needs);
        if length != needs {
            return Err(misfit(tensor, needs, length));
        }
        match offset.checked_add(length) {
            Some(end) if end <= available && usize::try_from(length).is_err() => Err(format!(
                "its {length} bytes are more than a process of {} bits can have: run it on a 64-bit system",
                usize::BITS
            )),
            Some(end) if end <= available => Ok(TensorBytes::File {
                file,
                path,
                range: offset..end,
            }),
            _ => Err(format!(
                "its bytes end beyond `{location}`, which has {available}: the file is cut short, copy it again"
            )),
        }
    }
}

/// Bytes that a tensor of this shape has; `None` where its elements have no fixed size.
fn needs(tensor: &TensorProto) -> Result<Option<u64>, String> {
    // onnx.proto, `TensorProto.DataType`; those of four bits lie two in a byte.
    let bits: u64 = match tensor.data_type {
        2 | 3 | 9 | 17..=20 => 8,
        4 | 5 | 10 | 16 => 16,
        1 | 6 | 12 => 32,
        7 | 11 | 13 | 14 => 64,
        15 => 128,
        21..=23 => 4,
        _ => return Ok(None),
    };
    let mut dims = tensor.dims.iter();
    let bits = dims.try_fold(bits, |all, dim| all.checked_mul(u64::try_from(*dim).ok()?));
    let bytes = bits.map(|bits| bits.div_ceil(8));
    bytes
        .filter(|bytes| *bytes <= LARGEST_TENSOR)
        .map(Some)
        .ok_or_else(|| {
            let most = LARGEST_TENSOR >> 20;
            format!(
                "shape {:?} is none, or of more than {most} MiB: export the model again",
                tensor.dims
            )
        })
}

fn misfit(tensor: &TensorProto, needs: u64, found: u64) -> String {
    format!(
        "shape {:?} needs {needs} bytes, there are {found}: export the model again",
        tensor.dims
    )
}

/// Little-endian f32; bytes that are not a whole number are left out.
pub(crate) fn to_f32(bytes: &[u8]) -> Vec<f32> {
    let values = bytes.as_chunks::<4>().0.iter();
    values.map(|b| f32::from_le_bytes(*b)).collect()
}

/// Little-endian fp16 as f32; bytes that are not a whole number are left out.
pub(crate) fn halves_to_f32(bytes: &[u8]) -> Vec<f32> {
    let values = bytes.as_chunks::<2>().0.iter();
    values.map(|b| f16::from_le_bytes(*b).to_f32()).collect()
}

/// Little-endian bfloat16 as f32; bytes that are not a whole number are left out.
pub(crate) fn bfloats_to_f32(bytes: &[u8]) -> Vec<f32> {
    let values = bytes.as_chunks::<2>().0.iter();
    values.map(|b| bf16::from_le_bytes(*b).to_f32()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::pb::StringStringEntryProto;

    fn external(dims: &[i64], data_type: i32, length: Option<u64>) -> TensorProto {
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: key.into(),
            value,
        };
        let mut external_data = vec![entry("location", "data".into())];
        external_data.extend(length.map(|length| entry("length", length.to_string())));
        TensorProto {
            dims: dims.to_vec(),
            data_type,
            data_location: Some(DataLocation::External as i32),
            external_data,
            ..TensorProto::default()
        }
    }

    #[test]
    fn a_tensor_has_the_bytes_that_its_shape_needs() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("data"), [1; 24]).expect("a file");
        let mut source = TensorSource::new(folder.path());
        for (dims, data_type, length, bytes) in [
            (&[2, 3][..], 1, Some(24), Ok(24)),
            (&[2, 3], 1, None, Ok(24)),
            (&[5], 10, None, Ok(10)),
            (&[5], 22, None, Ok(3)),
            (&[], 1, Some(4), Ok(4)),
            (&[2, 3], 1, Some(20), Err("needs 24 bytes, there are 20")),
            (&[7], 1, None, Err("cut short")),
            (&[-1], 1, None, Err("[-1]")),
            (&[1 << 40, 1 << 40], 1, None, Err("more than 2048 MiB")),
            (&[1 << 30], 1, Some(4 << 30), Err("more than 2048 MiB")),
            (&[1], 8, None, Err("no fixed size")),
        ] {
            let found = source.bytes(&external(dims, data_type, length));
            match (found, bytes) {
                (Ok(found), Ok(bytes)) => assert_eq!(found.len(), bytes),
                (Err(said), Err(says)) => assert!(said.contains(says), "{said}"),
                (found, _) => panic!("{dims:?} {data_type}: {found:?}"),
            }
        }
        let inside = TensorProto {
            dims: vec![3],
            data_type: 1,
            raw_data: vec![0; 8],
            ..TensorProto::default()
        };
        assert!(
            source
                .bytes(&inside)
                .is_err_and(|said| said.contains("needs 12 bytes"))
        );
    }

    #[test]
    fn many_tensors_of_one_sparse_file_are_refused_before_they_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = File::create(folder.path().join("data")).expect("a file");
        file.set_len(4 << 30).expect("a sparse file");
        let mut source = TensorSource::new(folder.path());
        let tensor = external(&[1 << 30], 3, None);
        let bytes = source.bytes(&tensor).expect("it has what it says");
        assert_eq!(bytes.len(), 1 << 30);
        let said = source.bring(&tensor).expect_err("it is too much");
        assert!(said.contains("more than 512 MiB"), "{said}");
        source.room = 100;
        let tensor = external(&[60], 3, None);
        assert_eq!(source.bring(&tensor), Ok(vec![0; 60]));
        assert!(source.bring(&tensor).is_err());
    }
}
