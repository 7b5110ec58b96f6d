//! What comes from the broker: any topic and any payload is a command or is refused.
//!
//! The first line of the input is the topic, the rest the payload.
#![no_main]

use easel_firmware::mqtt::payload::{parse_cancel, parse_paint, parse_set, parse_show};
use easel_firmware::mqtt::topics;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(0);
    let (topic, payload) = bytes.split_at(end);
    let topic = String::from_utf8_lossy(topic);
    let is_command = topics::parse("easel/frame", &topic).is_some();
    assert!(!(is_command && topics::is_said("easel/frame", &topic)));
    let _ = (parse_cancel(payload), parse_show(payload));
    let _ = parse_set(&topic, payload);
    if let Ok(command) = parse_paint(payload) {
        assert!(!command.order.prompt.trim().is_empty());
        assert!(command.order.prompt.len() <= easel::LONGEST_PROMPT);
        // What came along is what the order names, and is kept under its own hash.
        for picture in &command.pictures {
            assert!(picture.name.is_of(&picture.bytes));
            assert!(command.order.pictures.files().any(|name| *name == picture.name));
        }
        let (left, warnings) = easel::prompt::leave_out(&command.order.prompt);
        assert!(left == command.order.prompt || !warnings.is_empty());
    }
});
