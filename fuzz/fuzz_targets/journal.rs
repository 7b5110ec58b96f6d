//! A journal of the queue: what a card gives back after a bad night.
//!
//! The input is read as a journal, and its lines as the records of one whose lengths and checksums are right.
#![no_main]

use easel_firmware::jobs::read_journal;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut whole = b"easel journal 1\n".to_vec();
    for record in bytes.split(|&byte| byte == b'\n') {
        let head = format!("{:08x} {:08x} ", record.len(), crc32fast::hash(record));
        whole.extend_from_slice(head.as_bytes());
        whole.extend_from_slice(record);
        whole.push(b'\n');
    }
    for bytes in [bytes, &whole] {
        let reading = read_journal(bytes);
        // Reading is a function: the same bytes are the same jobs.
        assert_eq!(format!("{reading:?}"), format!("{:?}", read_journal(bytes)));
    }
});
