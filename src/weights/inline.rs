//! Reads a network's file without the weights in it.
//!
//! Exporters keep weights in files of their own only when they must, from 2 GB on. Here those inside the network's file are passed over
//! as it is read: what comes out says of each where it is, as if it were in a file beside it that happens to be the same.
//! Of the [fields](super::wire) with a length only three matter on the way to the weights, the others are copied.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use super::wire::{
    FIXED_32, FIXED_64, LENGTH, VARINT, invalid, number_and_kind, varint, write_bytes, write_number,
};
use super::{calls, census};
use crate::files::open_file;
use prost::Message as _;
use prost::encoding::encode_varint;
use tract_onnx::pb::{ModelProto, StringStringEntryProto, tensor_proto::DataLocation};

/// `ModelProto.graph`, `GraphProto.initializer`, `TensorProto.raw_data`, `.external_data`, `.data_location` (onnx.proto).
const GRAPH: u64 = 7;
const INITIALIZER: u64 = 5;
const RAW_DATA: u64 = 9;
const EXTERNAL_DATA: u64 = 13;
const DATA_LOCATION: u64 = 14;

/// Data of fewer bytes stays where it is.
const LARGE: u64 = 1 << 10;
/// Bytes that a network may have besides.
const LARGEST_REST: u64 = 256 << 20;

/// Reads the network at `path`. Large initializers refer to their place in the file.
///
/// # Errors
/// What the file system says, and `InvalidData` for what is no network.
pub(crate) fn read_network(path: &Path) -> io::Result<ModelProto> {
    let file = open_file(path)?;
    let end = file.metadata()?.len();
    let name = path.file_name().unwrap_or_default();
    let mut reader = Reader {
        file: BufReader::with_capacity(64 << 10, file),
        at: 0,
        room: LARGEST_REST,
        name: name.to_string_lossy().into_owned(),
    };
    let bytes = reader.message(end, Level::Model)?;
    census::check(&bytes)?;
    let decoded = ModelProto::decode(&bytes[..]).and_then(|mut model| {
        calls::complete(&mut model, &bytes)?;
        Ok(model)
    });
    decoded.map_err(|error| invalid(&error.to_string()))
}

/// Which message is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Model,
    Graph,
    Initializer,
}

struct Reader {
    file: BufReader<File>,
    at: u64,
    /// Bytes that may yet be copied.
    room: u64,
    /// The file's, as tensors name it.
    name: String,
}

impl Reader {
    /// The message that ends at `end`, as it is to be decoded.
    fn message(&mut self, end: u64, level: Level) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut data = None;
        while self.at < end {
            let tag = self.varint()?;
            let (field, kind) = number_and_kind(tag);
            if field == 0 {
                return Err(invalid("a field without a number"));
            }
            self.use_room(2)?;
            if kind != LENGTH {
                encode_varint(tag, &mut out);
                match kind {
                    VARINT => encode_varint(self.varint()?, &mut out),
                    FIXED_64 => self.copy(8, end, &mut out)?,
                    FIXED_32 => self.copy(4, end, &mut out)?,
                    _ => return Err(invalid("a field of an unknown kind")),
                }
                continue;
            }
            let length = self.varint()?;
            if length > end.saturating_sub(self.at) {
                return Err(invalid("cut short"));
            }
            let inner = match (level, field) {
                (Level::Model, GRAPH) => Some(Level::Graph),
                (Level::Graph, INITIALIZER) => Some(Level::Initializer),
                _ => None,
            };
            if let Some(inner) = inner {
                let message = self.message(self.at + length, inner)?;
                write_bytes(field, &message, &mut out);
            } else if (level, field) == (Level::Initializer, RAW_DATA) && length >= LARGE {
                data = Some((self.at, length));
                self.skip(length)?;
            } else {
                if (level, field) == (Level::Initializer, RAW_DATA) {
                    data = None; // the last value of a field counts
                }
                encode_varint(tag, &mut out);
                encode_varint(length, &mut out);
                self.copy(length, end, &mut out)?;
            }
        }
        if self.at > end {
            return Err(invalid("a message that ends within a field"));
        }
        if let Some((offset, length)) = data {
            // At the end, behind what some writers say: that the data is inside.
            self.refer(offset, length, &mut out);
        }
        Ok(out)
    }

    /// Says where a tensor's bytes are.
    fn refer(&self, offset: u64, length: u64, out: &mut Vec<u8>) {
        let entries = [
            ("location", self.name.clone()),
            ("offset", offset.to_string()),
            ("length", length.to_string()),
        ];
        for (key, value) in entries {
            let entry = StringStringEntryProto {
                key: key.to_owned(),
                value,
            };
            write_bytes(EXTERNAL_DATA, &entry.encode_to_vec(), out);
        }
        write_number(DATA_LOCATION, DataLocation::External as u64, out);
    }

    fn varint(&mut self) -> io::Result<u64> {
        varint(|| {
            let mut byte = [0];
            self.file.read_exact(&mut byte)?;
            self.at += 1;
            Ok(byte[0])
        })
    }

    /// Copies so many bytes, of a message that ends at `end`.
    fn copy(&mut self, length: u64, end: u64, out: &mut Vec<u8>) -> io::Result<()> {
        if length > end.saturating_sub(self.at) {
            return Err(invalid("cut short"));
        }
        self.use_room(length)?;
        let copied = (&mut self.file).take(length).read_to_end(out)?;
        self.at += length;
        if copied as u64 == length {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    fn use_room(&mut self, bytes: u64) -> io::Result<()> {
        self.room = self.room.checked_sub(bytes).ok_or_else(|| {
            let most = LARGEST_REST >> 20;
            invalid(&format!("more than {most} MiB of it are no weights"))
        })?;
        Ok(())
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        let distance = i64::try_from(length).map_err(|_| invalid("too long"))?;
        self.file.seek_relative(distance)?;
        self.at += length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

    use super::super::TensorSource;
    use super::*;

    fn network(sizes: &[usize]) -> ModelProto {
        let tensor = |(number, size): (usize, &usize)| TensorProto {
            name: format!("w{number}"),
            dims: vec![*size as i64],
            data_type: 3,
            // Some writers say so.
            data_location: (number % 2 == 1).then_some(DataLocation::Default as i32),
            raw_data: (0..*size).map(|at| (at * 7 + number) as u8).collect(),
            ..TensorProto::default()
        };
        let node = NodeProto {
            op_type: "Identity".into(),
            name: "n".repeat(2000),
            ..NodeProto::default()
        };
        ModelProto {
            ir_version: 8,
            graph: Some(GraphProto {
                node: vec![node],
                initializer: sizes.iter().enumerate().map(tensor).collect(),
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    /// What is read, with the weights brought in.
    fn whole(path: &Path) -> io::Result<ModelProto> {
        let mut model = read_network(path)?;
        let mut source = TensorSource::new(path.parent().expect("a folder"));
        for tensor in model
            .graph
            .iter_mut()
            .flat_map(|graph| &mut graph.initializer)
        {
            if tensor.data_location == Some(DataLocation::External as i32) {
                let bytes = source.bytes(tensor).map_err(|problem| invalid(&problem))?;
                assert!(bytes.len() as u64 >= LARGE);
                tensor.raw_data = bytes
                    .read()
                    .map_err(|problem| invalid(&problem))?
                    .into_owned();
                tensor.data_location = None;
                tensor.external_data.clear();
            }
        }
        Ok(model)
    }

    #[test]
    fn large_weights_stay_in_the_file_and_nothing_else_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.onnx");
        let model = network(&[0, 1, 1023, 1024, 100_000]);
        fs::write(&path, model.encode_to_vec()).expect("written");
        let read = read_network(&path).expect("a network");
        let tensors = &read.graph.as_ref().expect("a graph").initializer;
        let kept: Vec<usize> = tensors.iter().map(|tensor| tensor.raw_data.len()).collect();
        assert_eq!(kept, [0, 1, 1023, 0, 0]);
        assert!(read.encoded_len() < 5000);
        let mut model = model;
        for tensor in model
            .graph
            .iter_mut()
            .flat_map(|graph| &mut graph.initializer)
        {
            if tensor.raw_data.len() as u64 >= LARGE {
                tensor.data_location = None;
            }
        }
        assert_eq!(whole(&path).expect("a network"), model);
    }

    /// None of these is read to its end.
    #[test]
    fn what_is_no_network_is_refused_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.onnx");
        let refused = || read_network(&path).expect_err("it is none").to_string();
        let file = File::create(&path).expect("a file");
        file.set_len(20 << 30).expect("a sparse file");
        assert_eq!(refused(), "a field without a number");
        // One field of 20 GiB: `producer_name`.
        let mut head = vec![2 << 3 | LENGTH as u8];
        encode_varint((20 << 30) - 100, &mut head);
        fs::write(&path, head).expect("it can be written");
        let file = File::options().write(true).open(&path).expect("a file");
        file.set_len(20 << 30).expect("a sparse file");
        assert_eq!(refused(), "more than 256 MiB of it are no weights");
        fs::remove_file(&path).expect("it is there");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo(1)");
        assert_eq!(refused(), "is a pipe, not a file");
    }

    proptest! {
        /// Cut short or changed anywhere: an error or another network, never a panic; and what is read is what the decoder by
        /// itself would make of it.
        #[test]
        fn damage_is_no_worse_than_for_the_decoder(
            sizes in proptest::collection::vec(0_usize..3000, 0..5),
            cut in 0.0..1.2_f64,
            changes in proptest::collection::vec((0.0..1.0_f64, any::<u8>()), 0..4),
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("model.onnx");
            let mut bytes = network(&sizes).encode_to_vec();
            bytes.truncate((bytes.len() as f64 * cut) as usize);
            for (place, byte) in changes {
                if let Some(at) = bytes.get_mut((place * 5000.0) as usize) {
                    *at = byte;
                }
            }
            fs::write(&path, &bytes).expect("written");
            let _ = crate::fuzzing::onnx(&path);
        }
    }
}
