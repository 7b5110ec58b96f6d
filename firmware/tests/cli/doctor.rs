//! `easel doctor`.

use crate::support::{Workplace, stderr, stdout, tiny};
use std::path::Path;

fn board(model: &str, more: &str, panel: &str) -> String {
    format!(
        "[board]\nname = 'Frame'\n[model]\ndir = '{model}'\n{more}\n[panel]\nkind = 'png'\n{panel}\n"
    )
}

/// Examines the board and gives the exit code and the findings by name.
fn examine(board: &str) -> (Option<i32>, Vec<(String, String)>, String) {
    let place = Workplace::new().with("frame.toml", board);
    let output = place.run(&["doctor", "--board", "frame.toml"]);
    assert_eq!(place.names(), ["frame.toml"], "something was written");
    let findings = stdout(&output)
        .lines()
        .map(|line| {
            let mut words = line.split_whitespace();
            let verdict = words.next().expect("a verdict").to_owned();
            let name = words.next().expect("a name").to_owned();
            (name, verdict + " " + &words.collect::<Vec<_>>().join(" "))
        })
        .collect();
    (output.status.code(), findings, stderr(&output))
}

fn finding<'a>(findings: &'a [(String, String)], name: &str) -> &'a str {
    let found = findings.iter().find(|(found, _)| found == name);
    &found
        .unwrap_or_else(|| panic!("no {name} in {findings:?}"))
        .1
}

/// Exactly these are wrong.
fn wrong(board: &str, name: &str, says: &[&str]) {
    let (code, findings, error) = examine(board);
    assert_eq!(code, Some(1), "{findings:?}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(
        error.contains("frame.toml") && error.contains(&format!("wrong: {name}:")),
        "{error}"
    );
    for part in says {
        assert!(finding(&findings, name).contains(part), "{findings:?}");
    }
}

fn tiny_dir() -> String {
    tiny().to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_healthy_board() {
    let board = board(
        &tiny_dir(),
        "threads = 1\nmemory_mib = 1",
        "width = 64\nheight = 48\nrotation = 90",
    );
    let (code, findings, error) = examine(&board);
    assert_eq!((code, error.as_str()), (Some(0), ""), "{findings:?}");
    let names: Vec<&str> = findings.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["board", "cpu", "cores", "memory", "model", "panel"]);
    assert!(findings.iter().all(|(_, text)| text.starts_with("ok ")));
    assert!(finding(&findings, "cpu").contains(std::env::consts::ARCH));
    assert!(finding(&findings, "cores").ends_with("1 are used"));
    assert!(finding(&findings, "model").contains("32x32, 20 steps, ddim"));
    assert!(finding(&findings, "panel").contains("48x64 png, a multiple of 2"));
}

#[test]
fn the_shipped_simulator_is_healthy_with_a_model() {
    let board = Path::new(env!("CARGO_MANIFEST_DIR")).join("../board-configs/simulator.toml");
    let output = Workplace::new()
        .command(&["doctor", "--board"])
        .arg(board)
        .env("EASEL_MODEL", tiny())
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{output:?}");
    assert!(stdout(&output).contains("800x480 png"), "{output:?}");
}

#[test]
fn a_panel_that_is_no_multiple_gets_the_largest_picture_that_fits() {
    let (code, findings, _) = examine(&board(&tiny_dir(), "", "width = 33\nheight = 35"));
    assert_eq!(code, Some(0));
    assert!(finding(&findings, "panel").contains("32x34 is the largest that fits"));
    wrong(
        &board(&tiny_dir(), "", "width = 1\nheight = 35"),
        "panel",
        &["WRONG", "multiples of 2", "panel.width"],
    );
}

#[test]
fn more_than_the_machine_has_is_wrong() {
    let panel = "width = 32\nheight = 32";
    let memory = board(&tiny_dir(), "memory_mib = 1048576", panel);
    wrong(&memory, "memory", &["WRONG", "model.memory_mib is 1048576"]);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < 256 {
        let threads = board(&tiny_dir(), "threads = 256", panel);
        wrong(&threads, "cores", &["WRONG", "model.threads is 256"]);
    }
}

#[test]
fn a_model_that_does_not_load_is_wrong_and_the_rest_is_still_examined() {
    let board = board("nowhere", "", "width = 32\nheight = 32");
    wrong(
        &board,
        "model",
        &["WRONG", "nowhere", "model.dir", "frame.toml"],
    );
    let (_, findings, _) = examine(&board);
    assert_eq!(findings.len(), 6);
    assert!(finding(&findings, "panel").starts_with("open "));
}

#[test]
fn a_damaged_network_is_found() {
    let place = Workplace::new()
        .with_tiny()
        .with("frame.toml", board("model", "", "width = 32\nheight = 32"));
    std::fs::write(place.path("model/unet/model.onnx"), "damage").expect("it can be written");
    let output = place.run(&["doctor", "--board", "frame.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("unet/model.onnx"), "{output:?}");
}

#[test]
fn a_wrong_configuration_is_a_wrong_call() {
    let place = Workplace::new()
        .with("key.toml", "[panel]\ncolour = 'red'")
        .with("value.toml", "[panel]\nrotation = 45")
        .with("circle.toml", "inherits = 'circle'")
        .with("bytes.toml", [0xff, 0xfe]);
    for (file, says) in [
        ("key.toml", "colour"),
        ("value.toml", "panel.rotation"),
        ("circle.toml", "inherits"),
        ("bytes.toml", "UTF-8"),
        ("none.toml", "cannot be read"),
    ] {
        place.refuses(2, &["doctor", "--board", file], &[file, says]);
    }
    place.refuses(2, &["doctor"], &["--board"]);
}
