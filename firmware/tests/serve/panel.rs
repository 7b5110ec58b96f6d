//! A panel that cannot be written is reported, by the log and on `state`, and so is one that works again.

use super::broker::Broker;
use super::daemon::{Daemon, Ear, configuration, log_says, say};
use std::fs::{self, File};
use std::process::Stdio;

#[test]
fn a_file_that_cannot_be_written_is_said_once_and_when_it_changes() {
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let panel = folder.path().join("panels/frame.png");
    let text = configuration(&broker).replace(
        "kind = 'png'",
        &format!("kind = 'png'\nfile = '{}'", panel.display()),
    );
    let daemon = Daemon::run(&text, folder.path(), |command| {
        let log = File::create(folder.path().join("log")).expect("it can be written");
        command.stderr(Stdio::from(log));
    });
    let states = Ear::on(&broker, "easel/frame/state");
    let problem = || loop {
        let state = states.next_json();
        if state["state"] == "idle" {
            return state["problem"].clone();
        }
    };
    let line = log_says(folder.path(), "panel: ");
    assert!(line.contains("panels/frame.png: No such file"), "{line}");
    while problem()["code"] != "panel" {}
    // Somebody makes a folder where the file should be.
    fs::create_dir_all(&panel).expect("it can be made");
    log_says(folder.path(), "panels/frame.png: Is a directory");
    fs::remove_dir(&panel).expect("it is empty");
    log_says(folder.path(), "panel: it works again");
    while !problem().is_null() {}
    assert!(image::open(&panel).is_ok(), "it is a picture");
    let log = fs::read_to_string(folder.path().join("log")).expect("it is there");
    assert_eq!(log.matches("No such file").count(), 1, "{log}");
    // Nothing of it keeps the board from painting.
    let responses = Ear::on(&broker, "easel/frame/response");
    say(
        &broker,
        "easel/frame/paint",
        r#"{"prompt": "a cat", "steps": 2}"#,
    );
    while responses.next_json()["status"] != "done" {}
    daemon.stop();
}
