//! Pictures from outside: any bytes are one within bounds, or an error; at another size it is whole, too.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| easel::fuzzing::picture(bytes));
