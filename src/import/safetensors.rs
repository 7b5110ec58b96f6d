//! Weights in `.safetensors` files: a table of names in JSON, then the numbers.
//!
//! The format: <https://huggingface.co/docs/safetensors>. Nothing that the table says is believed before it was checked against
//! the file: sizes, places, and that no two tensors share bytes. The file is not mapped, so that its pages are nobody's memory.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::error::{ImportError, quoted, shown};
use crate::files::open_file;

/// Bytes of a table. The largest known is a fiftieth of it.
const LARGEST_TABLE: u64 = 16 << 20;
/// Numbers that are read at once.
const CHUNK: usize = 1 << 16;

/// Where tensors are, by their names.
type Entries = BTreeMap<String, Entry>;
/// What a file's makers noted.
type Notes = BTreeMap<String, String>;

/// A file of weights.
pub(crate) struct SafeTensors {
    file: Arc<Opened>,
    table: Entries,
    metadata: Notes,
}

struct Opened {
    file: File,
    path: PathBuf,
}

struct Entry {
    kind: Kind,
    shape: Vec<usize>,
    /// Of its first byte in the file.
    offset: u64,
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
enum Kind {
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
    fn of(name: &str) -> Option<Self> {
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

    fn bytes(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Other { bytes } => bytes,
        }
    }
}

impl SafeTensors {
    /// Opens a file and reads its table.
    pub(crate) fn open(path: &Path) -> Result<Self, ImportError> {
        let unreadable = |error| ImportError::unreadable(path, &error);
        let file = open_file(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let mut first = [0; 8];
        if length < 8 {
            return Err(ImportError::bad(
                path,
                "is cut short: copy or download it again",
            ));
        }
        file.read_exact_at(&mut first, 0).map_err(unreadable)?;
        let table = u64::from_le_bytes(first);
        if table > LARGEST_TABLE || table > length - 8 {
            return Err(ImportError::bad(
                path,
                "is not in the safetensors format, or cut short: copy or download it again",
            ));
        }
        let mut text = vec![0; table as usize];
        file.read_exact_at(&mut text, 8).map_err(unreadable)?;
        let table = read_table(&text, 8 + table, length);
        let (table, metadata) = table.map_err(|problem| ImportError::bad(path, problem))?;
        let path = path.to_owned();
        let file = Arc::new(Opened { file, path });
        Ok(Self {
            file,
            table,
            metadata,
        })
    }

    /// The names of all tensors, in their alphabet's order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.table.keys().map(String::as_str)
    }

    /// What the file's makers noted.
    pub(crate) fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The tensor of a name.
    pub(crate) fn get(&self, name: &str) -> Option<Tensor> {
        let entry = self.table.get(name)?;
        Some(Tensor {
            file: Arc::clone(&self.file),
            kind: entry.kind,
            shape: entry.shape.clone(),
            offset: entry.offset,
        })
    }
}

impl Tensor {
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

/// What the table of a file of `length` bytes says, whose numbers begin at `data`.
fn read_table(text: &[u8], data: u64, length: u64) -> Result<(Entries, Notes), String> {
    let table: Table = serde_json::from_slice(text)
        .map_err(|error| format!("its table is not what it should be ({error})"))?;
    let room = length - data;
    let mut places = Vec::with_capacity(table.tensors.len());
    let mut entries = BTreeMap::new();
    for (name, raw) in table.tensors {
        let quoted = quoted(&name);
        let kind = Kind::of(&raw.dtype)
            .ok_or_else(|| format!("{quoted} has numbers of an unknown kind"))?;
        let [start, end] = raw.data_offsets;
        if end > room {
            return Err(format!(
                "is cut short: {quoted} ends {} bytes behind its end: copy or download it again",
                end - room
            ));
        }
        let mut sides = raw.shape.iter();
        let bytes = sides.try_fold(kind.bytes() as u64, |bytes, side| bytes.checked_mul(*side));
        let shape: Vec<usize> = raw.shape.iter().map(|side| *side as usize).collect();
        if start > end || bytes != Some(end - start) {
            let shape = shown(&shape);
            return Err(format!(
                "{quoted} is said to be {shape}, which its place does not hold"
            ));
        }
        places.push((start, end, quoted));
        let offset = data + start;
        entries.insert(
            name,
            Entry {
                kind,
                shape,
                offset,
            },
        );
    }
    places.sort_unstable();
    if let Some(pair) = places.windows(2).find(|pair| pair[0].1 > pair[1].0) {
        let (one, other) = (&pair[0].2, &pair[1].2);
        return Err(format!("{one} and {other} lie upon each other"));
    }
    Ok((entries, table.metadata))
}

struct Table {
    tensors: BTreeMap<String, Raw>,
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Raw {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Table;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Table, A::Error> {
                let mut table = Table {
                    tensors: BTreeMap::new(),
                    metadata: BTreeMap::new(),
                };
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        match map.next_value::<Metadata>()? {
                            Metadata::Texts(texts) => table.metadata = texts,
                            Metadata::Other(_) => {}
                        }
                        continue;
                    }
                    let raw = map.next_value()?;
                    // Of two, nobody knows which is meant.
                    if table.tensors.insert(name.clone(), raw).is_some() {
                        return Err(A::Error::custom(format_args!(
                            "{} is there twice",
                            quoted(&name)
                        )));
                    }
                }
                Ok(table)
            }
        }

        deserializer.deserialize_map(Names)
    }
}

/// Texts by their names; whatever else is there is of no use here.
#[derive(Deserialize)]
#[serde(untagged)]
enum Metadata {
    Texts(BTreeMap<String, String>),
    Other(IgnoredAny),
}
