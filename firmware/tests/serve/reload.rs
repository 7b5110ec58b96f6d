//! A configuration that is changed while the daemon runs.

use super::broker::{Broker, LONG};
use super::daemon::{Ear, configuration, log_says, logged, say};
use std::os::unix::net::UnixDatagram;

/// The first message that has this value.
fn wait_for(ear: &Ear, key: &str, value: &serde_json::Value) -> serde_json::Value {
    loop {
        let message = ear.next_json();
        if message[key] == *value {
            return message;
        }
    }
}

#[test]
fn what_can_change_at_once_does_and_the_rest_waits() {
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let daemon = logged(&broker, folder.path(), &[]);
    let settings = Ear::on(&broker, "easel/frame/settings");
    let state = Ear::on(&broker, "easel/frame/state");
    let board = folder.path().join("board.toml");
    let write = |text: &str| std::fs::write(&board, text).expect("it can be written");
    let before = configuration(&broker);
    wait_for(&settings, "interval", &600.into());

    // A parent that appears counts as well.
    let base = folder.path().join("base.toml");
    std::fs::write(&base, "[kiosk]\ninterval_s = 77\n").expect("it can be written");
    let changed = before
        .replace("800", "640")
        .replace("port", "keep_alive_s = 33\nport");
    write(&format!("inherits = 'base'\n{changed}"));
    wait_for(&settings, "interval", &77.into());
    log_says(folder.path(), "configuration: read again: kiosk.interval_s");
    let waits = log_says(folder.path(), "takes effect at the next start");
    assert!(
        waits.contains("broker.keep_alive_s, panel.width"),
        "{waits}"
    );
    std::fs::write(&base, "[kiosk]\ninterval_s = 78\n").expect("it can be written");
    wait_for(&settings, "interval", &78.into());

    // What people set goes before the file.
    say(&broker, "easel/frame/set/interval", "90");
    wait_for(&settings, "interval", &90.into());
    std::fs::write(
        &base,
        "[kiosk]\ninterval_s = 79\n[panel]\nbrightness = 0.5\n",
    )
    .expect("it can be written");
    let dimmed = wait_for(&settings, "brightness", &50.into());
    assert_eq!(dimmed["interval"], 90);
    log_says(folder.path(), "kiosk.interval_s: what was set over MQTT");

    // Buttons are opened anew.
    let button =
        "[[inputs]]\nname = 'left'\nkind = 'button'\nline = 5\nchip = '/dev/no-such-chip'\n";
    write(&format!("inherits = 'base'\n{changed}{button}"));
    log_says(folder.path(), "configuration: read again: inputs");
    log_says(folder.path(), "input left: /dev/no-such-chip");

    // A broken file changes nothing, and is said until it is mended.
    write(&before.replace("capacity = 256", "capacity = 0"));
    let broken = loop {
        let state = state.next_json();
        if state["problem"]["code"] == "config" {
            break state;
        }
    };
    let text = broken["problem"]["text"].as_str().unwrap_or_default();
    assert!(text.contains("line 8: queue.capacity: 0"), "{broken}");
    say(
        &broker,
        "easel/frame/paint",
        r#"{"prompt": "a cat", "steps": 2}"#,
    );
    wait_for(&state, "state", &"painting".into());
    write(&before);
    wait_for(&state, "problem", &serde_json::Value::Null);
    let log = std::fs::read_to_string(folder.path().join("log")).expect("it is there");
    assert_eq!(log.matches("queue.capacity: 0").count(), 1, "{log}");
    daemon.stop();
}

#[test]
fn the_service_manager_hears_of_a_reload() {
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("notify");
    let ear = UnixDatagram::bind(&socket).expect("it can be bound");
    ear.set_read_timeout(Some(LONG)).expect("it can be set");
    let hear = |wanted: &str| loop {
        let mut bytes = [0; 4096];
        let length = ear.recv(&mut bytes).expect("it is told");
        let told = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if told.contains(wanted) {
            return told;
        }
    };
    let daemon = logged(&broker, folder.path(), &[("NOTIFY_SOCKET", &socket)]);
    hear("READY=1");
    daemon.signal("HUP");
    let reloading = hear("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    hear("READY=1");
    log_says(folder.path(), "nothing has changed");
    daemon.stop();
    hear("STOPPING=1");
}
