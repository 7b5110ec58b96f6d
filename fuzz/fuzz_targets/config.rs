//! A board's configuration: any text is a configuration or a one-line error.
#![no_main]

use easel_firmware::board::Config;
use easel_firmware::mqtt::Host;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &str| {
    if let Err(error) = Config::check_text(Path::new("board.toml"), text) {
        assert!(!error.to_string().is_empty());
    }
    // What is printed of a broker's URL is read as the same, without its password.
    if let Ok(host) = text.parse::<Host>() {
        let printed = host.to_string();
        let again: Host = printed.parse().expect("it was printed");
        assert_eq!((again.name(), again.to_string()), (host.name(), printed));
    }
});
