//! Readers of what comes from outside, as functions of bytes: for the fuzzers.

/// Reads latents from a NumPy file's bytes.
pub fn npy(bytes: &[u8]) {
    let _ = crate::latents::npy::decode(bytes);
}
