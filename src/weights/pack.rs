//! The packed cache: what easel made of a network, in one file.
//!
//! ```text
//! "EASELPAK", offset, length and checksum of the index     64 bytes
//! the network after the passes, as ONNX
//! the panels of weights, in the order of a pass            as the kernels read them, in parts of a few columns each
//! scales, sums and biases of their columns
//! the index, JSON                                          where all that is, with a checksum of each piece
//! ```
//!
//! Pieces begin on 64 bytes, so that what is read in one go can be used where it lies. The file is written under another name
//! and renamed when it is whole; the index comes last and names what the file was made from (its key).

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{Readers, Unfinished, make_private_folder, only_ours, open_file};

const MAGIC: &[u8; 8] = b"EASELPAK";
/// Pieces begin on multiples of this.
const ALIGNMENT: u64 = 64;
/// An index of more bytes is none of ours.
const LARGEST_INDEX: u64 = 64 << 20;

/// A piece of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Block {
    offset: u64,
    length: u64,
    crc32: u32,
}

impl Block {
    pub(crate) fn bytes(&self) -> usize {
        self.length as usize
    }

    /// Whether it is a piece of a file of this length.
    fn is_within(&self, file: u64) -> bool {
        let end = self.offset.checked_add(self.length);
        self.offset >= ALIGNMENT && end.is_some_and(|end| end <= file)
    }

    /// Whether the other is the next piece.
    pub(super) fn is_followed_by(&self, other: &Self) -> bool {
        (self.offset + self.length).next_multiple_of(ALIGNMENT) == other.offset
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether these are the bytes that were written.
    pub(super) fn is(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.bytes() && crc32fast::hash(bytes) == self.crc32
    }
}

/// Some columns of a weight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackedPart {
    /// In packed order.
    pub(crate) columns: Range<usize>,
    /// Their panels.
    pub(crate) panels: Block,
}

/// A weight as the index has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackedWeight {
    /// The initializer's name, for errors.
    pub(crate) name: String,
    /// int8, or else f32.
    pub(crate) int8: bool,
    /// Whether the second half of the columns is packed as gates of the first.
    pub(crate) gated: bool,
    /// Columns, and steps of k by axis.
    pub(crate) shape: (usize, [usize; 3]),
    /// All columns, in order.
    pub(crate) parts: Vec<PackedPart>,
    /// Little-endian f32 or i32, one a column, in packed order: scales and sums for int8, and the bias where there is one.
    pub(crate) scales: Option<Block>,
    pub(crate) sums: Option<Block>,
    pub(crate) bias: Option<Block>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    key: String,
    graph: Option<Block>,
    weights: Vec<Option<PackedWeight>>,
}

impl Index {
    /// Whether all pieces are in a file of this length, and those of each weight have the sizes and the order that its columns
    /// need.
    fn is_within(&self, file: u64) -> bool {
        let weights = self.weights.iter().flatten();
        let graph = self.graph.as_ref();
        graph.is_none_or(|graph| graph.is_within(file)) && { weights }
            .all(|weight| weight.is_within(file))
    }
}

impl PackedWeight {
    fn is_within(&self, file: u64) -> bool {
        let columns = self.shape.0;
        let mut sizes = self.shape.1.iter();
        let size = sizes.try_fold(columns, |all, axis| all.checked_mul(*axis));
        let each = |block: &Block| {
            let bytes = columns.checked_mul(size_of::<f32>());
            block.is_within(file) && bytes.is_some_and(|bytes| bytes as u64 == block.length)
        };
        let both = self.scales.is_some() && self.sums.is_some();
        let neither = self.scales.is_none() && self.sums.is_none();
        let mut kept = [&self.scales, &self.sums, &self.bias].into_iter().flatten();
        let mut next = 0;
        let mut panels = 0_u64;
        let parts = self.parts.iter().all(|part| {
            let follows = part.columns.start == next && part.columns.end > next;
            next = part.columns.end;
            panels = panels.saturating_add(part.panels.length);
            follows && part.panels.is_within(file)
        });
        parts
            // No number of a weight takes less than a byte: what is within the file can be counted.
            && size.is_some_and(|size| (1..=panels).contains(&(size as u64)))
            && next == columns
            && kept.all(each)
            && if self.int8 { both } else { neither }
    }
}

/// A cache on its way to the disk.
#[derive(Debug)]
pub(crate) struct PackWriter {
    out: BufWriter<File>,
    unfinished: Unfinished,
    at: u64,
    index: Index,
}

impl PackWriter {
    /// Begins the file for a network of so many weights, making its folder if need be.
    pub(crate) fn create(path: &Path, key: &str, weights: usize) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            make_private_folder(folder)?;
        }
        let unfinished = Unfinished::create(path, Readers::Owner)?;
        let mut out = BufWriter::new(unfinished.file.try_clone()?);
        out.write_all(&[0; ALIGNMENT as usize])?;
        Ok(Self {
            out,
            unfinished,
            at: ALIGNMENT,
            index: Index {
                key: key.to_owned(),
                graph: None,
                weights: vec![None; weights],
            },
        })
    }

    /// Adds a piece.
    pub(crate) fn block(&mut self, bytes: &[u8]) -> io::Result<Block> {
        let block = Block {
            offset: self.at,
            length: bytes.len() as u64,
            crc32: crc32fast::hash(bytes),
        };
        self.out.write_all(bytes)?;
        let end = self.at + block.length;
        self.at = end.next_multiple_of(ALIGNMENT);
        self.out
            .write_all(&[0; ALIGNMENT as usize][..(self.at - end) as usize])?;
        Ok(block)
    }

    pub(crate) fn set_graph(&mut self, graph: Block) {
        self.index.graph = Some(graph);
    }

    /// Describes the weight with this number.
    pub(crate) fn set_weight(&mut self, number: usize, weight: PackedWeight) {
        self.index.weights[number] = Some(weight);
    }

    /// Writes the index and gives the file its name.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let index = serde_json::to_vec(&self.index)?;
        let block = self.block(&index)?;
        let mut head = MAGIC.to_vec();
        head.extend(block.offset.to_le_bytes());
        head.extend(block.length.to_le_bytes());
        head.extend(block.crc32.to_le_bytes());
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&head)?;
        self.out.flush()?;
        self.unfinished.finish()
    }
}

/// A file with this index, and little else, for fuzzers: damage alone would not come past the checksum.
pub(crate) fn with_index(index: &[u8]) -> Vec<u8> {
    const CONTENT: usize = 4 << 10;
    let mut file = MAGIC.to_vec();
    file.extend((CONTENT as u64).to_le_bytes());
    file.extend((index.len() as u64).to_le_bytes());
    file.extend(crc32fast::hash(index).to_le_bytes());
    file.resize(CONTENT, 0);
    file.extend_from_slice(index);
    file
}

/// Why a cache, or a piece of it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    #[error("{}: cannot be read ({source}): is the card still in?", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the thread that reads weights has ended")]
    Ended,
    #[error("{}: damaged: it will be made again at the next start", path.display())]
    Damaged { path: PathBuf },
}

/// A cache that is open: whatever becomes of its name, its bytes stay.
#[derive(Debug)]
pub(crate) struct Pack {
    path: PathBuf,
    file: File,
    index: Index,
}

impl Pack {
    /// Opens the cache at `path`. `None` if there is none, or one of another key, or not a whole one.
    ///
    /// # Errors
    /// Another user could have written it: why.
    pub(crate) fn open(path: &Path, key: &str) -> Result<Option<Self>, String> {
        let Ok(file) = open_file(path) else {
            return Ok(None);
        };
        let Ok(known) = file.metadata() else {
            return Ok(None);
        };
        only_ours(path, &known)?;
        Ok(Self::of(path, file, known.len(), key))
    }

    /// Whatever is in the file: what comes back lies within it.
    pub(crate) fn of(path: &Path, file: File, length: u64, key: &str) -> Option<Self> {
        let mut head = [0; 28];
        file.read_exact_at(&mut head, 0).ok()?;
        let number = |at: usize| {
            let bytes = head[at..at + 8].try_into().map(u64::from_le_bytes);
            bytes.unwrap_or_default()
        };
        let block = Block {
            offset: number(8),
            length: number(16),
            crc32: u32::from_le_bytes(head[24..].try_into().ok()?),
        };
        if &head[..8] != MAGIC || block.length > LARGEST_INDEX || !block.is_within(length) {
            return None;
        }
        let mut bytes = vec![0; block.bytes()];
        file.read_exact_at(&mut bytes, block.offset).ok()?;
        let index: Index = block
            .is(&bytes)
            .then(|| serde_json::from_slice(&bytes).ok())??;
        (index.key == key && index.is_within(length)).then(|| Self {
            path: path.to_owned(),
            file,
            index,
        })
    }

    /// The network after the passes.
    pub(crate) fn graph(&self) -> Result<Vec<u8>, PackError> {
        let Some(graph) = &self.index.graph else {
            return Err(self.damaged());
        };
        let mut bytes = vec![0; graph.bytes()];
        self.read(graph, &mut bytes)?;
        Ok(bytes)
    }

    /// How many weights there may be.
    pub(crate) fn count(&self) -> usize {
        self.index.weights.len()
    }

    /// The weight with this number.
    pub(crate) fn weight(&self, number: usize) -> Result<&PackedWeight, PackError> {
        let weight = self.index.weights.get(number).and_then(Option::as_ref);
        weight.ok_or_else(|| self.damaged())
    }

    /// Reads a piece and checks it.
    pub(crate) fn read(&self, block: &Block, bytes: &mut [u8]) -> Result<(), PackError> {
        self.read_at(bytes, block.offset)?;
        if block.is(bytes) {
            Ok(())
        } else {
            Err(self.damaged())
        }
    }

    /// Reads bytes, whatever they are.
    pub(super) fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<(), PackError> {
        let read = self.file.read_exact_at(bytes, offset);
        read.map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged(), // cut short
            _ => PackError::Read {
                path: self.path.clone(),
                source,
            },
        })
    }

    /// Says that the file is not as it was written, and sees to it that it is not used again.
    pub(super) fn damaged(&self) -> PackError {
        // Without it the next start makes it again; if it cannot be removed, the checksums will find it out again.
        let _ = fs::remove_file(&self.path);
        PackError::Damaged {
            path: self.path.clone(),
        }
    }

    /// Advises the system not to keep these bytes in memory.
    pub(super) fn forget(&self, offset: u64, length: usize) {
        use rustix::fs::{Advice, fadvise};
        // Advice that is not taken costs time, not correctness.
        let _ = fadvise(
            &self.file,
            offset,
            std::num::NonZeroU64::new(length as u64),
            Advice::DontNeed,
        );
    }
}

#[cfg(test)]
mod tests;
