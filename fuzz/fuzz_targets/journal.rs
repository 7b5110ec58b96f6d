//! A journal of the queue: what a card gives back after a bad night.
#![no_main]

use easel_firmware::jobs::read_journal;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let reading = read_journal(bytes);
    // Reading is a function: the same bytes are the same jobs.
    assert_eq!(format!("{reading:?}"), format!("{:?}", read_journal(bytes)));
});
