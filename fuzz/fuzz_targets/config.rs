//! A board's configuration: any text is a configuration or a one-line error.
#![no_main]

use easel_firmware::board::Config;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &str| {
    if let Err(error) = Config::check_text(Path::new("board.toml"), text) {
        assert!(!error.to_string().is_empty());
    }
});
