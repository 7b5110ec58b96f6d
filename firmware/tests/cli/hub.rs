//! `easel import OWNER/NAME`: from a hub on this machine to a picture, stopped and gone on with, and refused.

#[path = "../../../tests/common/hub.rs"]
#[allow(dead_code, reason = "the library's tests need more of it")]
pub(crate) mod server;

use crate::support::{Workplace, json_line, model, stderr, stdout};
use server::{Answer, Asked, Hub};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The checkpoint that the tiny model is made of.
fn checkpoint() -> PathBuf {
    model("checkpoint")
}

pub(crate) fn tiny_decoder() -> PathBuf {
    model("checkpoint").join("../../tiny-taesd/checkpoint/vae")
}

fn import(place: &Workplace, hub: &str, arguments: &[&str]) -> Command {
    with_hub(place, hub, &[&["import"], arguments].concat())
}

/// `easel` with these arguments, which asks this hub.
pub(crate) fn with_hub(place: &Workplace, hub: &str, arguments: &[&str]) -> Command {
    let mut command = place.command(arguments);
    command
        .env("HF_ENDPOINT", hub)
        // Nobody's own token.
        .env("HF_HOME", place.path("no-token"))
        .env_remove("HF_TOKEN")
        .env_remove("HF_TOKEN_PATH")
        .env_remove("HF_HUB_OFFLINE");
    command
}

fn run(place: &Workplace, hub: &str, arguments: &[&str]) -> Output {
    import(place, hub, arguments)
        .output()
        .expect("the binary runs")
}

fn hub(rule: impl Fn(&Asked) -> Answer + Send + 'static) -> Hub {
    let unneeded: &[(&str, &[u8])] = &[
        ("README.md", b"# Tiny"),
        ("unet/diffusion_pytorch_model.bin", b"pickled"),
    ];
    Hub::new(unneeded, rule).with_folder(&checkpoint())
}

#[test]
fn a_name_of_the_hub_becomes_a_model_that_paints() {
    let place = Workplace::new();
    let server = hub(|_| Answer::Right);
    let output = run(
        &place,
        server.address(),
        &["owner/tiny", "--out", "model", "--json", "--steps", "2"],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let line = json_line(&output);
    assert_eq!(
        (&line["source"], &line["licence"]),
        (&"tiny".into(), &"mit".into())
    );
    assert!(
        line["downloaded"]
            .as_u64()
            .is_some_and(|bytes| bytes > 100_000),
        "{line:?}"
    );
    let error = stderr(&output);
    assert!(
        error.starts_with("downloading: 0 of ") && error.contains("importing: unet"),
        "{error}"
    );
    assert_eq!(server.sent("unet/diffusion_pytorch_model.bin"), 0);
    assert_eq!(place.names(), ["model"], "the download is removed");
    // The same as of the folder.
    let output = place.run(&[
        "import",
        checkpoint().to_str().expect("UTF-8"),
        "--out",
        "same",
        "--quiet",
        "--steps",
        "2",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let sums = ["model", "same"]
        .map(|name| std::fs::read_to_string(place.path(name).join("SHA256SUMS")).expect("a list"));
    let networks = |sums: &str| {
        sums.lines()
            .filter(|line| line.contains("model.onnx"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert!(!networks(&sums[0]).is_empty());
    assert_eq!(networks(&sums[0]), networks(&sums[1]));
    let output = place.run(&[
        "paint", "a cat", "--model", "model", "--out", "cat.png", "--quiet",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_decoder_of_the_hub_takes_the_place_of_a_checkpoints_own() {
    let place = Workplace::new();
    let server = Hub::new(&[], |_| Answer::Right).with_folder(&tiny_decoder());
    let checkpoint = checkpoint();
    let source = checkpoint.to_str().expect("UTF-8");
    let output = run(
        &place,
        server.address(),
        &[source, "--decoder", "owner/taesd", "--out", "model"],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        !stdout(&output).contains("licence"),
        "of the decoder, not of the model"
    );
    let config =
        std::fs::read_to_string(place.path("model/vae_decoder/config.json")).expect("a file");
    assert!(config.contains("AutoencoderTiny"), "{config}");
    assert_eq!(place.names(), ["model"]);
}

#[test]
fn a_download_that_is_interrupted_is_gone_on_with() {
    let place = Workplace::new();
    const WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";
    let server = hub(|asked| match asked.before {
        0 if asked.path.ends_with(WEIGHTS) => Answer::Cut(50_000),
        1 if asked.path.ends_with(WEIGHTS) => Answer::Silent,
        _ => Answer::Right,
    });
    let arguments = ["owner/tiny", "--out", "model"];
    let mut child = import(&place, server.address(), &arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let begun = Instant::now();
    while server
        .asked()
        .iter()
        .filter(|asked| asked.path.ends_with(WEIGHTS))
        .count()
        < 2
    {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it does not come so far"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let sent = Command::new("sh")
        .args(["-c", "kill -s INT \"$0\"", &child.id().to_string()])
        .status();
    assert!(sent.expect("there is a shell").success());
    let asked = Instant::now();
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );
    let output = child.wait_with_output().expect("it ended");
    place.refused(
        &output,
        1,
        &["stopped", "the download is kept", ".model.download"],
    );
    assert_eq!(place.names(), [".model.download"]);
    let output = run(&place, server.address(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let length = checkpoint().join(WEIGHTS).metadata().expect("a file").len();
    assert_eq!(server.sent(WEIGHTS) as u64, length, "nothing came twice");
    assert_eq!(place.names(), ["model"]);
}

#[test]
fn what_does_not_come_is_said_in_a_line() {
    let place = Workplace::new();
    let server = hub(|_| Answer::Status(401, ""));
    let refuses = |code, hub: &str, arguments: &[&str], says: &[&str]| {
        place.refused(&run(&place, hub, arguments), code, says);
        assert_eq!(place.names(), Vec::<String>::new());
    };
    refuses(
        2,
        server.address(),
        &["owner/tiny", "--out", "model"],
        &["owner/tiny", "HF_TOKEN"],
    );
    refuses(
        1,
        "http://127.0.0.1:9",
        &["owner/tiny", "--out", "model"],
        &[
            "127.0.0.1:9",
            "after 3 tries",
            "no file or folder of this name here",
        ],
    );
    refuses(
        2,
        "ftp://hub",
        &["owner/tiny", "--out", "model"],
        &["HF_ENDPOINT"],
    );
    refuses(
        2,
        server.address(),
        &["owner/tiny", "--out", "model", "--revision", "a b"],
        &["--revision"],
    );
    let checkpoint = checkpoint();
    let source = checkpoint.to_str().expect("UTF-8");
    refuses(
        2,
        server.address(),
        &[source, "--out", "model", "--revision", "v1"],
        &["--revision", "no name of the hub"],
    );
    let pickled = Hub::new(
        &[
            ("model_index.json", b"{}"),
            ("unet/diffusion_pytorch_model.bin", b"x"),
        ],
        |_| Answer::Right,
    );
    refuses(
        2,
        pickled.address(),
        &["owner/old", "--out", "model"],
        &["owner/old", "pickled"],
    );
    let output = import(&place, server.address(), &["owner/tiny", "--out", "model"])
        .env("HF_HUB_OFFLINE", "1")
        .output();
    place.refused(&output.expect("the binary runs"), 2, &["HF_HUB_OFFLINE"]);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn models_for_small_boards_are_listed() {
    let place = Workplace::new();
    let said = stdout(&place.run(&["import", "--list"]));
    for part in [
        "Pi Zero 2 W",
        "easel import stabilityai/sd-turbo --decoder madebyollin/taesd",
        "not with its published weights",
        "computed",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let line = json_line(&place.run(&["import", "--list", "--json"]));
    let first = &line["models"][0];
    assert!(
        first["seconds"]["Pi 5"].is_string()
            && first["command"].is_string()
            && first["memory"].is_u64(),
        "{line:?}"
    );
    place.refuses(2, &["import", "--list", "owner/name"], &["--list"]);
    place.refuses(2, &["import"], &["--out"]);
}
