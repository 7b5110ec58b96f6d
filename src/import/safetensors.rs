//! Weights in `.safetensors` files: a table of names in JSON, then the numbers.
//!
//! The format: <https://huggingface.co/docs/safetensors>. Nothing that the table says is believed before it was checked against
//! the file: sizes, places, and that no two tensors share bytes. The file is not mapped, so that its pages are nobody's memory.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::error::{ImportError, quoted, shown};
pub(crate) use super::tensor::Tensor;
use super::tensor::{Kind, Opened};
use crate::files::open_file;

/// Bytes of a table. The largest known is a fiftieth of it.
const LARGEST_TABLE: u64 = 16 << 20;
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

struct Entry {
    kind: Kind,
    shape: Vec<usize>,
    /// Of its first byte in the file.
    offset: u64,
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
        let file = Arc::new(Opened {
            file: Arc::new(file),
            path,
        });
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
        Some(Tensor::new(
            Arc::clone(&self.file),
            entry.kind,
            entry.shape.clone(),
            entry.offset,
        ))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a file with this table and so many bytes behind it.
    fn problem(table: &str, data: usize) -> Option<String> {
        let mut bytes = (table.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(table.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        said_of(&bytes)
    }

    fn said_of(bytes: &[u8]) -> Option<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.safetensors");
        std::fs::write(&path, bytes).expect("room");
        let error = SafeTensors::open(&path).err()?.to_string();
        assert!(error.len() < 1000 && !error.contains('\n'), "{error}");
        Some(error)
    }

    #[test]
    fn tables_that_lie_are_refused() {
        let entry = |shape: &str, start: u64, end: u64| {
            format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{end}]}}"#)
        };
        let one = |shape: &str, start, end| format!(r#"{{"a":{}}}"#, entry(shape, start, end));
        let two = |name: &str, start, end| {
            format!(
                r#"{{"a":{},"{name}":{}}}"#,
                entry("[2]", 0, 8),
                entry("[2]", start, end)
            )
        };
        let full = (1_u64 << 62).to_string();
        for (table, wanted) in [
            (one("[2]", 0, 12), "`a` ends 4 bytes behind its end"),
            (
                one("[3]", 0, 8),
                "`a` is said to be 3, which its place does not hold",
            ),
            (one("[2]", 8, 0), "which its place does not hold"),
            (
                one(&format!("[{full},{full},2]"), 0, 8),
                "which its place does not hold",
            ),
            (
                one(&format!("[{full},4]"), 0, 0),
                "which its place does not hold",
            ),
            (one("[-2]", 0, 8), "its table is not what it should be"),
            (one("[2.5]", 0, 8), "its table is not what it should be"),
            (one("[2]", 0, u64::MAX), "bytes behind its end"),
            (two("b", 4, 12), "lie upon each other"),
            (two("b", 0, 8), "lie upon each other"),
            (two("a", 8, 16), "`a` is there twice"),
            (
                r#"{"a":{"dtype":"F31","shape":[],"data_offsets":[0,4]}}"#.into(),
                "`a` has numbers of an unknown kind",
            ),
            (
                r#"{"a":{"shape":[],"data_offsets":[0,4]}}"#.into(),
                "its table is not what it should be",
            ),
            ("[]".into(), "its table is not what it should be"),
            (String::new(), "its table is not what it should be"),
            ("[".repeat(100_000), "its table is not what it should be"),
            (
                format!(r#"{{"a":{}}}"#, "[".repeat(100_000)),
                "its table is not what it should be",
            ),
            (
                format!(r#"{{"__metadata__":{}"#, r#"{"a":"#.repeat(100_000)),
                "its table is not what it should be",
            ),
        ] {
            let said = problem(
                &table,
                if wanted.contains("bytes behind") {
                    8
                } else {
                    16
                },
            );
            assert!(
                said.as_ref().is_some_and(|said| said.contains(wanted)),
                "{wanted}: {said:?}"
            );
        }
    }

    #[test]
    fn tables_longer_than_the_file_are_not_read() {
        for length in [1 << 60, u64::MAX, 9, 17 << 20] {
            let mut bytes = length.to_le_bytes().to_vec();
            bytes.extend_from_slice(b"{}");
            let said = said_of(&bytes).expect("an error");
            assert!(
                said.contains("is not in the safetensors format, or cut short"),
                "{said}"
            );
        }
        let said = said_of(b"{}").expect("an error");
        assert!(said.contains("is cut short"), "{said}");
    }

    #[test]
    fn odd_shapes_are_read() {
        let table = r#"{"__metadata__":{"format":"pt"},
            "many":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]},
            "none":{"dtype":"F16","shape":[0,3],"data_offsets":[8,8]},
            "one":{"dtype":"BF16","shape":[],"data_offsets":[8,10]}}"#;
        assert_eq!(problem(table, 10), None);
        let odd = r#"{"__metadata__":{"format":["pt"],"n":1}}"#;
        assert_eq!(problem(odd, 0), None);
    }
}
