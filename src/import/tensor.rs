//! Numbers in a file, whatever format it is of.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};

use super::error::ImportError;

/// Numbers that are read at once.
const CHUNK: usize = 1 << 16;

/// An open file and what it is called.
pub(super) struct Opened {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
}

/// A tensor in a file. Its numbers are read when they are asked for.
#[derive(Clone)]
pub(crate) struct Tensor {
    file: Arc<Opened>,
    kind: Kind,
    shape: Vec<usize>,
    offset: u64,
}

/// How a number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    F64,
    F32,
    F16,
    Bf16,
    /// None that weights of a network are in; a step counter, say.
    Other {
        bytes: usize,
    },
}

impl Kind {
    /// By its name in safetensors files.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "F64" => Self::F64,
            "F32" => Self::F32,
            "F16" => Self::F16,
            "BF16" => Self::Bf16,
            "I64" | "U64" => Self::Other { bytes: 8 },
            "I32" | "U32" => Self::Other { bytes: 4 },
            "I16" | "U16" => Self::Other { bytes: 2 },
            "I8" | "U8" | "BOOL" | "F8_E4M3" | "F8_E5M2" => Self::Other { bytes: 1 },
            _ => return None,
        })
    }

    /// Bytes of a number.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Other { bytes } => bytes,
        }
    }
}

impl Tensor {
    /// The numbers from a byte of a file on.
    pub(super) fn new(file: Arc<Opened>, kind: Kind, shape: Vec<usize>, offset: u64) -> Self {
        Self {
            file,
            kind,
            shape,
            offset,
        }
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The file that it is in.
    pub(crate) fn path(&self) -> &Path {
        &self.file.path
    }

    /// Puts `count` numbers from the `first` one on behind those in `out`, as f32.
    pub(crate) fn read(
        &self,
        first: usize,
        count: usize,
        out: &mut Vec<f32>,
    ) -> Result<(), ImportError> {
        let size = self.kind.bytes();
        let mut bytes = vec![0; CHUNK.min(count) * size];
        let mut done = 0;
        while done < count {
            let now = CHUNK.min(count - done);
            let bytes = &mut bytes[..now * size];
            let offset = self.offset + ((first + done) * size) as u64;
            let read = self.file.file.read_exact_at(bytes, offset);
            read.map_err(|error| ImportError::unreadable(self.path(), &error))?;
            match self.kind {
                Kind::F64 => out.extend(each(bytes, |b| f64::from_le_bytes(b) as f32)),
                Kind::F32 => out.extend(each(bytes, f32::from_le_bytes)),
                Kind::F16 => out.extend(each(bytes, |b| f16::from_le_bytes(b).to_f32())),
                Kind::Bf16 => out.extend(each(bytes, |b| bf16::from_le_bytes(b).to_f32())),
                Kind::Other { .. } => {
                    let problem = "has weights that are no floating-point numbers of 16 bits or more: \
                                   take the checkpoint that they were made of";
                    return Err(ImportError::bad(self.path(), problem));
                }
            }
            done += now;
        }
        Ok(())
    }
}

fn each<const N: usize>(bytes: &[u8], of: impl Fn([u8; N]) -> f32) -> impl Iterator<Item = f32> {
    let (numbers, _) = bytes.as_chunks::<N>();
    numbers.iter().map(move |bytes| of(*bytes))
}
