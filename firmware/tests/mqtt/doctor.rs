//! `easel doctor` on a broker: what it says to each that is not as it should be.

use crate::board::{Board, at};
use crate::broker::{Broker, free_port};
use crate::doors::{tls_broker, with_passwords};
use std::path::Path;
use std::process::Command;

/// What the check of the broker found: verdict and text, its fix included.
fn examine(broker: &str) -> Vec<(String, String)> {
    examine_at("localhost", broker)
}

fn examine_at(host: &str, broker: &str) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let board = folder.path().join("frame.toml");
    let text = format!(
        "[board]\nname = 'Frame'\n[panel]\nkind = 'png'\nwidth = 64\nheight = 48\n\
         [broker]\ndevice = 'frame'\nhost = '{host}'\n{broker}\n"
    );
    std::fs::write(&board, text).expect("it can be written");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/pocket");
    let output = Command::new(env!("CARGO_BIN_EXE_easel"))
        .args(["doctor", "--json", "--no-display", "--board"])
        .arg(&board)
        .arg("--state")
        .arg(folder.path())
        .env("EASEL_MODEL", model)
        .output()
        .expect("the binary runs");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let checks = report["checks"].as_array().expect("a list").iter();
    let found: Vec<_> = checks
        .filter(|row| row["check"] == "broker")
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            (text("verdict"), text("found") + ": " + &text("fix"))
        })
        .collect();
    let fails = found.iter().any(|(verdict, _)| verdict == "fail");
    assert_eq!(output.status.code() == Some(1), fails, "{report}");
    found
}

fn only(found: &[(String, String)], verdict: &str, says: &[&str]) {
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, verdict, "{found:?}");
    for part in says {
        assert!(found[0].1.contains(part), "{found:?} does not say {part}");
    }
}

#[test]
fn a_broker_that_is_well_tells_the_round_trip_and_the_board_on_it_stays() {
    let broker = Broker::open();
    let board = Board::start("frame", &at(broker.port));
    board.online();
    let found = examine(&format!("port = {}", broker.port));
    only(&found, "ok", &["as easel/frame", "there and back takes"]);
    // The board has heard nothing of it, and is where it was.
    let mut others = board.events.try_iter();
    assert!(others.next().is_none());
    assert!(
        broker.log().contains("easel-frame-doctor"),
        "{}",
        broker.log()
    );
}

#[test]
fn who_is_not_let_in_is_told_why() {
    let broker = with_passwords("");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let password = folder.path().join("password");
    std::fs::write(&password, "hunter3\n").expect("it can be written");
    let login = format!(
        "port = {}\nusername = 'frame'\npassword_file = '{}'",
        broker.port,
        password.display()
    );
    only(&examine(&login), "fail", &["password", "correct"]);
    std::fs::write(&password, "hunter2\n").expect("it can be written");
    only(&examine(&login), "ok", &["there and back"]);
    std::fs::remove_file(&password).expect("it was there");
    only(
        &examine(&login),
        "fail",
        &["the password in", "let the service read it"],
    );
    let nobody = format!("port = {}", free_port());
    only(&examine(&nobody), "fail", &["nothing listens there"]);
}

#[test]
fn a_url_says_all_that_is_needed_and_its_password_is_not_told() {
    let broker = with_passwords("");
    let url = |password: &str| format!("mqtt://frame:{password}@localhost:{}", broker.port);
    let right = examine_at(&url("hunter%32"), "");
    only(
        &right,
        "ok",
        &["there and back", &format!("localhost:{}", broker.port)],
    );
    let wrong = examine_at(&url("hunter3"), "");
    only(&wrong, "fail", &["password", "correct"]);
    for (_, text) in right.iter().chain(&wrong) {
        assert!(!text.contains("hunter"), "{text}");
    }
    let (broker, _) = tls_broker("", |_| {});
    let ca = format!("ca_file = '{}'", broker.path("ca.crt").display());
    let encrypted = examine_at(&format!("mqtts://localhost:{}", broker.port), &ca);
    only(&encrypted, "ok", &["encrypted"]);
}

#[test]
fn tls_that_does_not_fit_is_told_why() {
    let (broker, _) = tls_broker("", |_| {});
    let ca = broker.path("ca.crt");
    let port = broker.port;
    let right = format!("port = {port}\nca_file = '{}'", ca.display());
    only(&examine(&right), "ok", &["encrypted"]);
    only(
        &examine(&format!("port = {port}")),
        "fail",
        &["does it want TLS"],
    );
    let (other, _) = tls_broker("", |_| {});
    let wrong = format!(
        "port = {port}\nca_file = '{}'",
        other.path("ca.crt").display()
    );
    only(&examine(&wrong), "fail", &["not trusted", "broker.ca_file"]);
}

#[test]
fn what_the_access_list_refuses_is_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let password = folder.path().join("password");
    std::fs::write(&password, "hunter2\n").expect("it can be written");
    for (rights, says) in [
        (
            "topic read easel/frame/#",
            "refuses to publish easel/frame/doctor",
        ),
        ("topic write easel/frame/#", "does not give it back"),
    ] {
        let broker = with_passwords(&format!("user frame\n{rights}\n"));
        let found = examine(&format!(
            "port = {}\nusername = 'frame'\npassword_file = '{}'",
            broker.port,
            password.display()
        ));
        let failing: Vec<_> = found
            .iter()
            .filter(|(verdict, _)| verdict == "fail")
            .collect();
        assert_eq!(failing.len(), 1, "{found:?}");
        assert!(
            failing[0].1.contains(says) && failing[0].1.contains("easel/frame/#"),
            "{found:?}"
        );
    }
}
