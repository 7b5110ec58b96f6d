//! Where weights come from. Today: mapped files and bytes inside the network's file, read once while it is built.
//! Streams and packed caches will sit beside this behind the same question: the bytes of a tensor.

mod mapped;
mod pack;
mod source;
mod stream;

pub(crate) use mapped::MappedFile;
pub(crate) use pack::{Block, Pack, PackError, PackWriter, PackedPart, PackedWeight};
pub(crate) use source::{TensorBytes, TensorSource, halves_to_f32, to_f32};
pub(crate) use stream::{CHUNK, Stream};
