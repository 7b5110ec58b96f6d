//! What may be a password is never shown, wherever it was written: errors name the key.

use crate::support::{Workplace, stderr, stdout};

const HEAD: &str = "[board]\nname = 'Frame'\n[panel]\nkind = 'png'\nwidth = 64\nheight = 48\n";

/// What each command says of a board whose `[broker]` is this, on both streams, and its exit code.
fn said(broker: &str) -> Vec<(String, Option<i32>)> {
    let text = format!("{HEAD}[broker]\n{broker}\n");
    let place = Workplace::new().with("frame.toml", text);
    let commands: [&[&str]; 3] = [
        &["serve", "--state", "state"],
        &["doctor", "--state", "state"],
        &["doctor", "--print-config"],
    ];
    let run = |command: &&[&str]| {
        let arguments = [*command, &["--board", "frame.toml"]].concat();
        let output = place.run(&arguments);
        (stdout(&output) + &stderr(&output), output.status.code())
    };
    commands.iter().map(run).collect()
}

#[test]
fn a_setting_that_is_wrong_is_named_and_not_shown() {
    let mut wrong = Vec::new();
    for (broker, names) in [
        ("host = 'http://frame:hunter2@b'", "broker.host"),
        ("host = 'frame:hunter2@b'", "broker.host"),
        ("host = 'mqtt://frame:hunter2@b:0'", "broker.host"),
        ("host = 'mqtt://frame:hunter2@b:port'", "broker.host"),
        ("host = 'mqtt://frame:hunter2/x@b'", "broker.host"),
        ("host = 'mqtt://frame:hunter2%@b'", "broker.host"),
        ("host = 'hunter2 b'", "broker.host"),
        ("host = 'mqtt://frame:hunter2@b:1'\nport = 2", "broker.port"),
        (
            "host = 'mqtt://frame:hunter2@b'\nusername = 'you'",
            "broker.username",
        ),
        (
            "host = 'mqtt://frame:hunter2@b'\npassword_file = 'hunter2'",
            "broker.password_file",
        ),
        ("host = 'mqtt://frame:hunter2@b'\ntls = true", "broker.tls"),
        (
            "host = 'mqtts://frame:hunter2@b'\ntls = false",
            "broker.tls",
        ),
        (
            "host = 'mqtt://frame:hunter2@b'\nca_file = 'x'",
            "broker.ca_file",
        ),
        ("host = ['hunter2']", "line 8"),
        ("host = { password = 'hunter2' }", "line 8"),
        ("port = 'hunter2'", "line 8"),
        ("port = \"hunter2`, expected u16\"", "line 8"),
        ("tls = 'hunter2'", "line 8"),
        ("username = 2017", "line 8"),
        ("device = 'hunter2!'", "broker.device"),
        ("fleet = 'hunter2!'", "broker.fleet"),
        ("discovery_prefix = 'hunter2 #'", "broker.discovery_prefix"),
        ("password = 'hunter2'", "line 8"),
        // The parser itself stumbles.
        ("password = \"hunter2", "line 8"),
        ("password = 'hunter2", "line 8"),
        ("password = hunter2", "line 8"),
        ("password = \"\"\"hunter2", "line 9"),
        ("host = \"mqtt://frame:hunter2\\q@b\"", "line 8"),
        ("host = mqtt://frame:hunter2@b", "line 8"),
        ("host = 'b' hunter2", "line 8"),
        ("hunter2", "line 8"),
        ("username hunter2 = 'a'", "line 8"),
        ("[hunter2", "line 8"),
        ("host = 'b'\nhost = 'hunter2'", "line 9"),
        ("port = 0xhunter2", "line 8"),
    ] {
        for (text, code) in said(broker) {
            let is_right = code == Some(2)
                && !text.contains("hunter2")
                && !text.contains("2017")
                && text.lines().count() == 1
                && text.contains("frame.toml: ")
                && text.contains(names);
            if !is_right {
                wrong.push(format!("{broker}: {code:?} {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The whole table may be something else.
    for table in [
        "broker = 'mqtt://frame:hunter2@b'\n",
        "broker = ['hunter2']\n",
    ] {
        let place = Workplace::new().with("frame.toml", format!("{table}{HEAD}"));
        let output = place.run(&["doctor", "--print-config", "--board", "frame.toml"]);
        let text = stderr(&output);
        assert!(
            text.contains("line 1") && !text.contains("hunter2"),
            "{text}"
        );
    }
}

#[test]
fn what_a_file_inherits_must_not_contradict_its_url() {
    let child = format!("inherits = 'base'\n{HEAD}[broker]\nhost = 'mqtt://frame:hunter2@b'\n");
    for (base, names) in [
        ("username = 'you'", "broker.username"),
        ("tls = true", "broker.tls"),
        ("password_file = 'word'", "broker.password_file"),
    ] {
        let place = Workplace::new()
            .with("base.toml", format!("[broker]\n{base}\n"))
            .with("frame.toml", &child);
        let output = place.run(&["doctor", "--print-config", "--board", "frame.toml"]);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(names) && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_configuration_is_printed_without_its_password() {
    let url = "mqtts://frame%40home:hunter%32@[::1]:8884/";
    let text = format!("{HEAD}[broker]\nhost = '{url}'\n");
    let place = Workplace::new().with("frame.toml", text);
    let output = place.run(&["doctor", "--print-config", "--board", "frame.toml"]);
    let printed = stdout(&output);
    assert!(
        printed.contains("host = \"mqtts://frame%40home@[::1]:8884\""),
        "{printed}"
    );
    assert!(!printed.contains("hunter"), "{printed}");
    // What was printed is a configuration.
    let place = Workplace::new().with("again.toml", &printed);
    let again = place.run(&["doctor", "--print-config", "--board", "again.toml"]);
    assert!(again.status.success(), "{}", stderr(&again));
}
