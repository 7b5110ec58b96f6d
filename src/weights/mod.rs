//! Where weights come from. Today: mapped files and bytes inside the network's file, read once while it is built.
//! Streams and packed caches will sit beside this behind the same question: the bytes of a tensor.

mod mapped;
mod source;

pub(crate) use mapped::MappedFile;
pub(crate) use source::{TensorBytes, TensorSource, halves_to_f32, to_f32};
