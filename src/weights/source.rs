//! The bytes of a network's tensors, wherever they are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};
use tract_onnx::pb::{TensorProto, tensor_proto::DataLocation, tensor_proto::DataType};

use super::blocked::Blocked;

/// Finds the bytes of tensors: in the network's file, or in the files beside it that external tensors name.
pub(crate) struct TensorSource {
    folder: PathBuf,
    files: HashMap<String, Arc<File>>,
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
                let mut bytes = vec![0; self.len()];
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
        }
    }

    /// The tensor's raw bytes, as far as it has some: empty for the rare form of a list of numbers.
    pub(crate) fn bytes(&mut self, tensor: &TensorProto) -> Result<TensorBytes, String> {
        if tensor.data_location == Some(DataLocation::External as i32) {
            let bytes = self.external(tensor)?;
            let blocked = tensor
                .external_data
                .iter()
                .find(|entry| entry.key == BLOCKED);
            let Some(blocked) = blocked else {
                return Ok(bytes);
            };
            let block = blocked.value.parse().unwrap_or(0);
            let layout = Blocked::new(block, &tensor.dims);
            let layout = layout.filter(|layout| layout.stored() == bytes.len());
            let stored = Box::new(bytes);
            return match layout {
                Some(layout) => Ok(TensorBytes::Blocked { stored, layout }),
                None => Err(format!(
                    "{} bytes are no blocks of {:?}: export the model again",
                    stored.len(),
                    tensor.dims
                )),
            };
        }
        Ok(TensorBytes::Owned(tensor.raw_data.clone()))
    }

    /// The values of a small fp32, fp16 or bfloat16 tensor; `None` for other types.
    pub(crate) fn floats(&mut self, tensor: &TensorProto) -> Result<Option<Vec<f32>>, String> {
        if !tensor.float_data.is_empty() {
            return Ok(Some(tensor.float_data.clone()));
        }
        let bytes = self.bytes(tensor)?;
        Ok(match DataType::try_from(tensor.data_type) {
            Ok(DataType::Float) => Some(to_f32(&bytes.read()?)),
            Ok(DataType::Float16) if !tensor.int32_data.is_empty() => {
                // ONNX keeps the bits of a half in the low 16 bits of an int32.
                let bits = tensor.int32_data.iter();
                Some(bits.map(|b| f16::from_bits(*b as u16).to_f32()).collect())
            }
            Ok(DataType::Float16) => Some(halves_to_f32(&bytes.read()?)),
            Ok(DataType::Bfloat16) if !tensor.int32_data.is_empty() => {
                let bits = tensor.int32_data.iter();
                Some(bits.map(|b| bf16::from_bits(*b as u16).to_f32()).collect())
            }
            Ok(DataType::Bfloat16) => Some(bfloats_to_f32(&bytes.read()?)),
            _ => None,
        })
    }

    fn external(&mut self, tensor: &TensorProto) -> Result<TensorBytes, String> {
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
            let file = File::open(&path).map_err(unreadable)?;
            self.files.insert(location.to_owned(), Arc::new(file));
        }
        let file = self.files[location].clone();
        let available = file.metadata().map_err(unreadable)?.len();
        let end = length.map_or(Some(available), |length| offset.checked_add(length));
        match end {
            Some(end) if offset <= end && usize::try_from(end - offset).is_err() => Err(format!(
                "its {} bytes are more than a process of {} bits can have: run it on a 64-bit system",
                end - offset,
                usize::BITS
            )),
            Some(end) if offset <= end && end <= available => Ok(TensorBytes::File {
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
