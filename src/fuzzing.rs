//! Readers of what comes from outside, as functions of bytes: for the fuzzers.

use std::fs::File;
use std::io::Write as _;

use crate::runtime::look_into;
use crate::weights::with_index;

/// Reads a packed cache: a file of these bytes, and one whose index they are.
pub fn pack(bytes: &[u8]) {
    for content in [bytes, &with_index(bytes)] {
        let file = rustix::fs::memfd_create("pack", rustix::fs::MemfdFlags::CLOEXEC);
        let mut file = File::from(file.expect("memory for a file"));
        file.write_all(content).expect("memory for a file");
        look_into(file, content.len() as u64);
    }
}

/// Reads a `tokenizer.json`, and encodes with it.
pub fn tokenizer(bytes: &[u8]) {
    if let Ok(tokenizer) = crate::tokenizer::parse(bytes) {
        let _ = tokenizer.encode_fast("a (red) cät \u{1f431}'s <|endoftext|> 12", false);
    }
}

/// Reads latents from a NumPy file's bytes.
pub fn npy(bytes: &[u8]) {
    let _ = crate::latents::npy::decode(bytes);
}
