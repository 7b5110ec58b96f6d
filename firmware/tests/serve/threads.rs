//! A thread of the daemon that hangs ends it, by name, so that it is started again.

use super::broker::{Broker, LONG};
use super::daemon::{Daemon, Ear, configuration, log_says};
use std::fs::File;
use std::io::{Write as _, pipe};
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;

#[test]
fn a_panel_that_hangs_ends_the_daemon_which_says_so() {
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let manager = UnixDatagram::bind(folder.path().join("notify")).expect("it can be bound");
    manager.set_nonblocking(true).expect("it can be set");
    // A terminal that takes nothing any more: the other end of the pipe is open, and nobody reads.
    let (unread, mut terminal) = pipe().expect("a pipe");
    terminal.write_all(&[0; 65536]).expect("as much as fits");
    let text = configuration(&broker).replace("'png'", "'terminal'");
    let mut daemon = Daemon::run(&text, folder.path(), |command| {
        let log = File::create(folder.path().join("log")).expect("it can be written");
        command.stdout(terminal).stderr(Stdio::from(log));
        command.env("NOTIFY_SOCKET", folder.path().join("notify"));
        command.env("WATCHDOG_USEC", "60000000");
    });
    let states = Ear::on(&broker, "easel/frame/state");
    let problem = loop {
        let state = states.next_json_within(3 * LONG);
        if state["problem"]["code"] == "thread" {
            break state["problem"]["text"].to_string();
        }
    };
    assert!(problem.contains("display: no progress for"), "{problem}");
    let ended = daemon.ends_within(LONG);
    assert_eq!(ended.code(), Some(1), "{ended}");
    let line = log_says(folder.path(), "easel: display: no progress for");
    assert!(line.ends_with("so that it is started again"), "{line}");
    let log = std::fs::read_to_string(folder.path().join("log")).expect("it is there");
    assert_eq!(log.matches("display: ").count(), 1, "{log}");
    assert_eq!(
        Ear::on(&broker, "easel/frame/availability").next_bytes(),
        b"offline"
    );
    let mut bytes = [0; 4096];
    let mut meals = 0;
    while let Ok(length) = manager.recv(&mut bytes) {
        meals += usize::from(&bytes[..length] == b"WATCHDOG=1");
    }
    assert!(
        meals > 0,
        "until then the service manager was told that all is well"
    );
    drop(unread);
}
