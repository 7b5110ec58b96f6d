//! `easel import`: what it makes, what it says, and that nothing half-done is ever taken for a model.

use crate::support::{Workplace, json_line, model, stderr, stdout};
use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// The checkpoint that the tiny model is made of, as diffusers saved it.
fn checkpoint() -> String {
    model("checkpoint").to_str().expect("UTF-8").to_owned()
}

fn import(place: &Workplace, more: &[&str]) -> Output {
    place.run(&[&["import", &checkpoint(), "--out", "model"], more].concat())
}

#[test]
fn a_checkpoint_becomes_a_model_that_paints() {
    let place = Workplace::new();
    let output = import(
        &place,
        &[
            "--json",
            "--steps",
            "3",
            "--guidance",
            "4",
            "--scheduler",
            "euler",
        ],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let line = json_line(&output);
    assert_eq!(line["model"], "model");
    assert_eq!(line["source"], "checkpoint");
    assert_eq!(line["precision"], "int8");
    assert!(
        line["weights"]["unet"]
            .as_u64()
            .is_some_and(|count| count > 100_000),
        "{line:?}"
    );
    assert!(line["bytes"].is_u64() && line["seconds"].is_f64() && line["peak_rss_mib"].is_u64());
    let lines: Vec<_> = stderr(&output).lines().map(str::to_owned).collect();
    let networks = ["text_encoder", "unet", "vae_decoder", "vae_encoder"];
    assert_eq!(lines, networks.map(|name| format!("importing: {name}")));
    assert_eq!(place.names(), ["model"]);

    let output = place.run(&[
        "paint", "a cat", "--model", "model", "--seed", "1", "--out", "cat.png", "--json",
        "--quiet",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let line = json_line(&output);
    assert_eq!(
        (&line["steps"], &line["guidance"], &line["scheduler"]),
        (&3.into(), &4.0.into(), &"euler".into())
    );
    assert_eq!(place.names(), ["cat.png", "model"]);
}

#[test]
fn it_says_what_it_made() {
    let place = Workplace::new();
    let output = import(&place, &["--quiet", "--precision", "fp16"]);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        stderr(&output)
    );
    let said = stdout(&output);
    assert!(
        said.starts_with("model: ") && said.contains(" MiB, made of checkpoint in "),
        "{said}"
    );
}

#[test]
fn another_decoder_takes_the_place_of_its_own() {
    let place = Workplace::new();
    let tiny = model("checkpoint").join("../../tiny-taesd/checkpoint/vae");
    let decoder = tiny.to_str().expect("UTF-8");
    assert!(import(&place, &["--decoder", decoder]).status.success());
    let config = fs::read_to_string(place.path("model/vae_decoder/config.json")).expect("a file");
    assert!(config.contains("AutoencoderTiny"), "{config}");
    let output = place.run(&[
        "paint", "a cat", "--model", "model", "--steps", "2", "--out", "cat.png",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    // One for latents of another kind.
    let other = model("checkpoint").join("../../tiny-sd3/checkpoint/vae");
    let other = other.to_str().expect("UTF-8");
    let arguments = [
        "import",
        &checkpoint(),
        "--out",
        "second",
        "--decoder",
        other,
    ];
    place.refuses(
        2,
        &arguments,
        &["is for latents of 16 channels, the model's have 4"],
    );
}

#[test]
fn wrong_calls_are_refused() {
    let place = Workplace::new().with("file", "content");
    let source = checkpoint();
    let with = |more: &[&'static str]| [&["import", &source, "--out", "model"], more].concat();
    place.refuses(
        2,
        &["import", &source, "--out", "file"],
        &["file", "is there already"],
    );
    place.refuses(2, &["import", "nowhere", "--out", "model"], &["nowhere"]);
    place.refuses(2, &["import", "file", "--out", "model"], &["file"]);
    place.refuses(2, &["import", &source], &["--out"]);
    place.refuses(2, &with(&["--precision", "int4"]), &["int4", "int8"]);
    place.refuses(2, &with(&["--steps", "0"]), &["steps", "1 to 1000"]);
    place.refuses(2, &with(&["--guidance", "51"]), &["--guidance", "0 to 50"]);
    place.refuses(2, &with(&["--scheduler", "magic"]), &["magic"]);
    place.refuses(2, &with(&["--size", "33x32"]), &["33"]);
    place.refuses(2, &with(&["--image-encoder", "x"]), &["--ip-adapter"]);
    place.refuses(
        2,
        &with(&["--ip-adapter", "nowhere.safetensors"]),
        &["nowhere.safetensors", "is missing"],
    );
    place.refuses(2, &with(&["--decoder", "nowhere"]), &["nowhere"]);
}

#[test]
fn an_interrupt_leaves_nothing() {
    let place = Workplace::new();
    let mut child = place
        .command(&["import", &checkpoint(), "--out", "model"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    std::thread::sleep(Duration::from_millis(20));
    let sent = Command::new("sh")
        .args(["-c", "kill -s INT \"$0\"", &child.id().to_string()])
        .status();
    // It may have been through already.
    let interrupted = sent.expect("there is a shell").success()
        && child.wait().expect("it ends").code() == Some(1);
    let names = place.names();
    assert!(
        if interrupted {
            names.is_empty()
        } else {
            names == ["model"]
        },
        "{names:?}"
    );
}

/// As many as it takes to meet each stage of it.
const KILLS: u64 = 25;

#[test]
fn a_kill_at_any_moment_leaves_no_model_that_is_none() {
    let place = Workplace::new();
    let (mut killed, mut made) = (0, 0);
    for number in 0..KILLS {
        let mut child = place
            .command(&["import", &checkpoint(), "--out", "model", "--quiet"])
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary runs");
        std::thread::sleep(Duration::from_millis(number * 4));
        let _ = child.kill();
        let _ = child.wait();
        if place.path("model").exists() {
            whole(&place);
            made += 1;
            fs::remove_dir_all(place.path("model")).expect("it can be removed");
        } else {
            killed += 1;
        }
    }
    println!("{killed} of {KILLS} were killed before the end, {made} were through");
    let output = import(&place, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    whole(&place);
    assert_eq!(
        place.names(),
        ["model"],
        "what the killed ones left is gone"
    );
}

/// Every file of the model is what its list of checksums says.
fn whole(place: &Workplace) {
    let status = Command::new("sha256sum")
        .args(["--check", "--quiet", "--strict", "SHA256SUMS"])
        .current_dir(place.path("model"))
        .status();
    assert!(status.expect("coreutils").success());
}

/// A disk of so many KiB that becomes `full`, with a model in it afterwards or not.
fn on_a_disk_of(place: &Workplace, kib: u64) -> Output {
    fs::create_dir_all(place.path("full")).expect("room");
    let script = format!(
        "mount -t tmpfs -o size={kib}k none full && \"$0\" \"$@\"; code=$?; find full -mindepth 1; exit $code"
    );
    let easel = place.command(&[]).get_program().to_owned();
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &script])
        .arg(easel)
        .args(["import", &checkpoint(), "--out", "full/model", "--quiet"])
        .current_dir(place.path("."))
        .output();
    output.expect("unshare is there")
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let place = Workplace::new();
    let output = import(&place, &["--json"]);
    let line = json_line(&output);
    let weights = line["weights"].as_object().expect("an object").values();
    let weights: u64 = weights.filter_map(serde_json::Value::as_u64).sum();
    // Seen before, and met on the way: there is room for the weights, but not for the rest.
    let least = weights.div_ceil(1024);
    for (kib, said) in [
        (least / 2, "are free: free some space"),
        (least + 200, "No space left on device"),
    ] {
        let output = on_a_disk_of(&place, kib);
        let error = stderr(&output);
        assert!(
            !error.contains("unshare") && !error.contains("mount"),
            "a tmpfs cannot be mounted: run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1)"
        );
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(
            error.contains(said) && error.lines().count() == 1,
            "{error}"
        );
        assert_eq!(stdout(&output), "", "it left something");
    }
}
