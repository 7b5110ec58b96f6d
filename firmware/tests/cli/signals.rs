//! Ctrl-C in the middle of the work.

use crate::support::{Workplace, tiny};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

/// Interrupts after a quarter of the steps: on any machine, three quarters are left to notice it in.
fn interrupted(signal: &str) {
    let place = Workplace::new();
    let mut child = place
        .command(&[
            "paint",
            "a cat",
            "--steps",
            "200",
            "--guidance",
            "1",
            "--json",
        ])
        .args(["--out", "cat.png", "--save-latents", "cat.npy", "--model"])
        .arg(tiny())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut errors = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut line = String::new();
    while !line.starts_with("painting: step 50 of 200") {
        line.clear();
        let length = errors.read_line(&mut line).expect("UTF-8");
        assert_ne!(length, 0, "it ended before the first quarter");
    }
    let sent = Command::new("sh")
        .args([
            "-c",
            "kill -s \"$0\" \"$1\"",
            signal,
            &child.id().to_string(),
        ])
        .status();
    assert!(sent.expect("there is a shell").success());

    let mut rest = String::new();
    errors.read_to_string(&mut rest).expect("UTF-8");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1), "{rest}");
    assert!(rest.ends_with("easel: cancelled\n"), "{rest}");
    assert!(!rest.contains("step 200"), "it went on to the end: {rest}");
    assert!(output.stdout.is_empty());
    assert!(place.names().is_empty(), "something was written");
}

#[test]
fn an_interrupt_stops_it_and_nothing_is_written() {
    interrupted("INT");
}

#[test]
fn so_does_the_end_of_the_session() {
    interrupted("TERM");
}
