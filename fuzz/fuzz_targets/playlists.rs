//! What a board's owner writes: playlists, times and days.
#![no_main]

use easel_firmware::kiosk::{At, Days, TimeOfDay, parse_playlists};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = parse_playlists(text);
    let _ = (
        text.parse::<At>(),
        Days::parse(text),
        text.parse::<TimeOfDay>(),
    );
});
