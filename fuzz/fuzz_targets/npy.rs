//! Latents: any bytes are a NumPy file of latents, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| easel::fuzzing::npy(bytes));
