//! A packed cache: any bytes are one that can be read within its bounds, or none.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| easel::fuzzing::pack(bytes));
