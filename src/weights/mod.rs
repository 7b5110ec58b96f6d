//! Where weights come from: the files of a model, once, while a network is built for the first time; after that a packed
//! cache, from which they are loaded or stream by.

mod blocked;
mod calls;
mod census;
mod inline;
mod pack;
mod source;
mod stream;
mod wire;

pub(crate) use blocked::Blocked;
pub(crate) use inline::read_network;
pub(crate) use pack::{Block, Pack, PackError, PackWriter, PackedPart, PackedWeight, with_index};
pub(crate) use source::{
    BLOCKED, TensorBytes, TensorSource, bfloats_to_f32, halves_to_f32, to_f32, unreadable,
};
pub(crate) use stream::{CHUNK, Storage, Stream};
