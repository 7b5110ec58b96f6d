//! A `tokenizer.json`: any bytes are a tokenizer that encodes, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| easel::fuzzing::tokenizer(bytes));
