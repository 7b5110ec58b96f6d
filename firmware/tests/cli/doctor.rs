//! `easel doctor`.

use crate::support::{Workplace, json_line, stderr, stdout, tiny};
use std::path::Path;

fn board(model: &str, more: &str, panel: &str) -> String {
    format!(
        "[board]\nname = 'Frame'\n[model]\ndir = '{model}'\n{more}\n[panel]\nkind = 'png'\n{panel}\n"
    )
}

/// Examines the board and gives the exit code and the findings by name.
fn examine(board: &str) -> (Option<i32>, Vec<(String, String)>, String) {
    let place = Workplace::new().with("frame.toml", board);
    let output = place.run(&["doctor", "--board", "frame.toml", "--state", "state"]);
    assert_eq!(place.names(), ["frame.toml"], "something was written");
    let mut findings: Vec<(String, String)> = Vec::new();
    for line in stdout(&output).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[0] == "fix:" {
            let (_, text) = findings.last_mut().expect("a finding is before its fix");
            text.push_str(" | ");
            text.push_str(&words[1..].join(" "));
            continue;
        }
        let text = format!("{} {}", words[0], words[2..].join(" "));
        findings.push((words[1].to_owned(), text));
    }
    (output.status.code(), findings, stderr(&output))
}

fn finding<'a>(findings: &'a [(String, String)], name: &str) -> &'a str {
    let found = findings.iter().find(|(found, _)| found == name);
    &found
        .unwrap_or_else(|| panic!("no {name} in {findings:?}"))
        .1
}

/// Exactly these are wrong.
fn wrong(board: &str, names: &str, says: &[&str]) {
    let (code, findings, error) = examine(board);
    assert_eq!(code, Some(1), "{findings:?}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(
        error.contains("frame.toml") && error.contains(&format!("wrong: {names}:")),
        "{error}"
    );
    let name = names.split(", ").next().expect("one is wrong");
    for part in says {
        assert!(finding(&findings, name).contains(part), "{findings:?}");
    }
}

fn tiny_dir() -> String {
    tiny().to_str().expect("UTF-8").to_owned()
}

const EVERY: [&str; 15] = [
    "board",
    "cpu",
    "cores",
    "model",
    "hashes",
    "memory",
    "models",
    "panel",
    "display",
    "inputs",
    "broker",
    "clock",
    "permissions",
    "disk",
    "kiosk",
];

#[test]
fn a_healthy_board() {
    let board = board(
        &tiny_dir(),
        "threads = 1\nmemory_mib = 100",
        "width = 64\nheight = 48\nrotation = 90",
    );
    let (code, findings, error) = examine(&board);
    assert_eq!((code, error.as_str()), (Some(0), ""), "{findings:?}");
    let mut names: Vec<&str> = findings.iter().map(|(name, _)| name.as_str()).collect();
    // One check may find several things.
    names.dedup();
    assert_eq!(names, EVERY);
    let not_ok: Vec<_> = findings
        .iter()
        .filter(|(_, text)| !text.starts_with("ok "))
        .collect();
    // Who keeps the clock right is the machine's matter.
    assert!(
        not_ok
            .iter()
            .all(|(name, text)| text.starts_with("warn ") && name == "clock"),
        "{not_ok:?}"
    );
    assert!(finding(&findings, "hashes").contains("are what they were"));
    assert!(finding(&findings, "memory").ends_with("the budget is 100"));
    assert!(finding(&findings, "display").contains("state/panel.png: comes when"));
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
    // Whether a broker runs on this machine is not the file's matter.
    let failing = stderr(&output);
    assert!(
        failing.is_empty() || failing.contains("wrong: broker:"),
        "{output:?}"
    );
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
        &["fail", "multiples of 2", "| mend panel.width"],
    );
}

#[test]
fn more_than_the_machine_has_is_wrong() {
    let panel = "width = 32\nheight = 32";
    let memory = board(&tiny_dir(), "memory_mib = 1048576", panel);
    wrong(
        &memory,
        "memory",
        &[
            "fail",
            "model.memory_mib is 1048576",
            "| end other programs",
        ],
    );
    let little = board(&tiny_dir(), "memory_mib = 1", panel);
    wrong(&little, "memory", &["fail", "MiB"]);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < 256 {
        let threads = board(&tiny_dir(), "threads = 256", panel);
        wrong(&threads, "cores", &["fail", "model.threads is 256"]);
    }
}

#[test]
fn a_model_that_does_not_load_is_wrong_and_the_rest_is_still_examined() {
    let board = board("nowhere", "", "width = 32\nheight = 32");
    wrong(
        &board,
        "model",
        &["fail", "nowhere", "model.dir", "frame.toml"],
    );
    let (_, findings, _) = examine(&board);
    for name in ["hashes", "memory", "panel"] {
        assert!(
            finding(&findings, name).starts_with("skip "),
            "{findings:?}"
        );
    }
    assert!(finding(&findings, "kiosk").starts_with("ok "));
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

/// Examines a copy of the tiny model that `change` was made to; what is said of the model.
fn examined_model(change: impl FnOnce(&Path)) -> (Workplace, String) {
    let place = Workplace::new()
        .with_tiny()
        .with("frame.toml", board("model", "", "width = 32\nheight = 32"));
    change(&place.path("model"));
    let output = place.run(&["doctor", "--board", "frame.toml", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report = json_line(&output);
    let mut checks = report["checks"].as_array().expect("a list").iter();
    let model = checks.find(|check| check["check"] == "model");
    let model = model.expect("it is there");
    assert_eq!(model["verdict"], "fail");
    let said = format!(
        "{} | {}",
        model["found"].as_str().expect("text"),
        model["fix"].as_str().expect("text")
    );
    (place, said)
}

#[test]
fn a_model_of_another_family_is_described_and_its_networks_can_be_looked_at() {
    let (place, said) = examined_model(|model| {
        let index = model.join("model_index.json");
        let text = std::fs::read_to_string(&index).expect("the model has it");
        let text = text
            .replace("StableDiffusionPipeline", "SanaPipeline")
            .replace("\"unet\"", "\"transformer\"");
        std::fs::write(&index, text).expect("it can be written");
    });
    for part in [
        "another family, SANA; it has class SanaPipeline (SANA), networks text_encoder, ",
        "unet, vae_decoder, and lacks transformer/model.onnx | ",
        "easel plan --model model --component text_encoder",
        "easel bench --model model --component text_encoder",
    ] {
        assert!(said.contains(part), "{said} has no {part}");
    }
    for command in ["plan", "bench"] {
        let call = [command, "--model", "model", "--component", "text_encoder"];
        let output = place.run(&call);
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn a_denoiser_that_asks_for_something_unknown_is_described() {
    let (_, said) = examined_model(|model| {
        for file in ["model.onnx", "model.onnx_data"] {
            let from = model.join("vae_decoder").join(file);
            std::fs::copy(from, model.join("unet").join(file)).expect("it can be copied");
        }
    });
    for part in [
        "asks for input `latent_sample`",
        "class StableDiffusionPipeline, networks text_encoder, ",
        "unet, vae_decoder | ",
        "easel plan --model model --component text_encoder",
    ] {
        assert!(said.contains(part), "{said} has no {part}");
    }
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

#[test]
fn a_changed_file_of_the_model_is_found_by_its_checksum() {
    let place = Workplace::new()
        .with_tiny()
        .with("frame.toml", board("model", "", "width = 32\nheight = 32"));
    let doctor = ["doctor", "--board", "frame.toml", "--state", "state"];
    let output = place.run(&doctor);
    assert!(output.status.success(), "{output:?}");
    assert!(stdout(&output).contains("are what they were"), "{output:?}");
    let file = place.path("model/tokenizer/merges.txt");
    let mut bytes = std::fs::read(&file).expect("it is there");
    bytes.push(b'\n');
    std::fs::write(&file, bytes).expect("it can be written");
    let output = place.run(&doctor);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        stdout(&output).contains("merges.txt: is not what it was"),
        "{output:?}"
    );
    std::fs::remove_file(place.path("model/SHA256SUMS")).expect("it was there");
    let output = place.run(&doctor);
    assert!(output.status.success(), "{output:?}");
    assert!(
        stdout(&output).contains("export the model anew"),
        "{output:?}"
    );
}

#[test]
fn the_test_pattern_comes_into_the_state_folder_unless_it_is_not_wanted() {
    let place = Workplace::new().with(
        "frame.toml",
        board(&tiny_dir(), "", "width = 64\nheight = 48"),
    );
    std::fs::create_dir(place.path("state")).expect("it can be made");
    let output = place.run(&[
        "doctor",
        "--board",
        "frame.toml",
        "--state",
        "state",
        "--no-display",
    ]);
    assert!(output.status.success(), "{output:?}");
    assert!(!place.path("state/panel.png").exists());
    let output = place.run(&["doctor", "--board", "frame.toml", "--state", "state"]);
    assert!(output.status.success(), "{output:?}");
    let shown = image::open(place.path("state/panel.png")).expect("it is a picture");
    assert_eq!((shown.width(), shown.height()), (64, 48));
    let names = std::fs::read_dir(place.path("state"))
        .expect("it is there")
        .count();
    assert_eq!(names, 1, "only the pattern is written");
}

#[test]
fn programs_get_one_line_of_json() {
    let place = Workplace::new().with(
        "frame.toml",
        board("nowhere", "", "width = 32\nheight = 32"),
    );
    let output = place.run(&[
        "doctor",
        "--board",
        "frame.toml",
        "--state",
        "state",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let report = json_line(&output);
    assert_eq!(
        (&report["board"], &report["ok"]),
        (&"Frame".into(), &false.into())
    );
    let checks = report["checks"].as_array().expect("a list");
    let model = checks
        .iter()
        .find(|check| check["check"] == "model")
        .expect("it is there");
    assert_eq!(model["verdict"], "fail");
    assert!(
        model["found"].is_string() && model["fix"].is_string(),
        "{model}"
    );
}

#[test]
fn the_effective_configuration_can_be_read_again() {
    let place = Workplace::new()
        .with("base.toml", "[limits]\nslow_above_c = 61.0\n")
        .with(
            "frame.toml",
            format!(
                "inherits = 'base'\n{}",
                board("m", "", "width = 32\nheight = 32")
            ),
        );
    let output = place.run(&["doctor", "--board", "frame.toml", "--print-config"]);
    assert!(output.status.success(), "{output:?}");
    let text = stdout(&output);
    for part in [
        "slow_above_c = 61.0",
        "pause_above_c = 82.0",
        "keep_alive_s = 30",
    ] {
        assert!(text.contains(part), "{text} has no {part}");
    }
    let again = Workplace::new().with("again.toml", &text);
    let output = again.run(&["doctor", "--board", "again.toml", "--print-config"]);
    let without_heading = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(without_heading(&stdout(&output)), without_heading(&text));
    place.refuses(
        2,
        &["doctor", "--board", "none.toml", "--print-config"],
        &["none.toml"],
    );
    place.refuses(
        2,
        &[
            "doctor",
            "--board",
            "frame.toml",
            "--print-config",
            "--json",
        ],
        &["--json"],
    );
}
