//! Hostile models: every command that meets one says one line and ends, promptly, with 1 or 2.
//!
//! The library's own tests have thousands; these are one of each kind, as a user meets it.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Workplace, is_progress, pocket, stderr, stdout};

/// What is promised are two seconds; the machine may have other work to do.
const LIMIT: Duration = Duration::from_secs(20);

const PAINT: &[&str] = &[
    "paint", "a cat", "--model", "model", "--steps", "1", "--quiet",
];
const BENCH: &[&str] = &[
    "bench",
    "--model",
    "model",
    "--component",
    "unet",
    "--repeat",
    "1",
];
const PLAN: &[&str] = &["plan", "--model", "model"];

/// The output, or a failure if it takes too long.
fn run(place: &Workplace, arguments: &[&str]) -> Output {
    let mut child = place
        .command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let clock = Instant::now();
    while child.try_wait().expect("it can be asked").is_none() {
        if clock.elapsed() > LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            let mut said = String::new();
            let pipe = child.stderr.as_mut().expect("it is piped");
            let _ = pipe.read_to_string(&mut said);
            panic!("{arguments:?} goes on and on: {said}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().expect("it ended")
}

/// Damages a copy of the tiny model; the commands refuse it by a line that names `file`, if not its folder.
fn refused(file: &str, damage: impl Fn(&Path), commands: &[&[&str]], says: &[&str]) {
    let place = Workplace::new().with_tiny();
    damage(&place.path("model").join(file));
    let before = place.names();
    for arguments in commands {
        let output = run(&place, arguments);
        let error = stderr(&output);
        let code = output.status.code();
        assert!(
            matches!(code, Some(1 | 2)),
            "{arguments:?}: {code:?} {error}"
        );
        let lines: Vec<&str> = error.lines().filter(|line| !is_progress(line)).collect();
        assert_eq!(lines.len(), 1, "{arguments:?}: not one line: {error}");
        let name = file.rsplit('/').next().unwrap_or(file);
        for part in [&[name], says].concat() {
            assert!(
                lines[0].contains(part),
                "{arguments:?}: does not say `{part}`: {error}"
            );
        }
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert_eq!(
            place.names(),
            before,
            "{arguments:?}: something was written"
        );
    }
    let board = "[board]\nname = 'Frame'\n[model]\ndir = 'model'\n[panel]\nkind = 'png'\nwidth = 32\nheight = 32\n";
    let place = place.with("frame.toml", board);
    let output = run(
        &place,
        &["doctor", "--board", "frame.toml", "--state", "state"],
    );
    // It reports, whatever it finds of the model; that is a line of a table.
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "{}",
        stderr(&output)
    );
    let told = stdout(&output);
    assert!(
        told.lines()
            .any(|line| line.split_whitespace().nth(1) == Some("model")),
        "{told}"
    );
}

fn replaced(from: &'static [u8], to: &'static [u8]) -> impl Fn(&Path) {
    move |path| {
        let bytes = fs::read(path).expect("the model has it");
        let mut changed = Vec::with_capacity(bytes.len());
        let mut rest = &bytes[..];
        let mut count = 0;
        while !rest.is_empty() {
            if let Some(behind) = rest.strip_prefix(from) {
                changed.extend(to);
                rest = behind;
                count += 1;
            } else {
                changed.push(rest[0]);
                rest = &rest[1..];
            }
        }
        assert!(count > 0, "{} has no such bytes", path.display());
        fs::write(path, changed).expect("it can be written");
    }
}

fn pipe(path: &Path) {
    fs::remove_file(path).expect("the model has it");
    let made = Command::new("mkfifo").arg(path).status().expect("it runs");
    assert!(made.success(), "no pipe");
}

#[test]
fn a_network_or_its_weights_are_a_pipe_or_a_device() {
    refused("unet/model.onnx", pipe, &[PAINT, BENCH, PLAN], &[]);
    refused("unet/model.onnx_data", pipe, &[PAINT, BENCH], &[]);
    let device = |path: &Path| {
        fs::remove_file(path).expect("the model has it");
        symlink("/dev/zero", path).expect("a link");
    };
    refused("unet/model.onnx", device, &[PAINT, BENCH, PLAN], &[]);
    refused("easel.json", device, &[PAINT, PLAN], &[]);
}

#[test]
fn a_file_is_vast() {
    let vast = |path: &Path| {
        let _ = fs::remove_file(path);
        let file = File::create(path).expect("it can be made");
        file.set_len(20 << 30).expect("a sparse file");
    };
    refused("unet/model.onnx", vast, &[PAINT, BENCH, PLAN], &[]);
    refused("tokenizer/tokenizer.json", vast, &[PAINT], &[]);
}

#[test]
fn a_model_names_our_own_operators() {
    // The same length, so that what stands around it stays.
    let damage = replaced(b"\x22\x07Sigmoid", b"\x22\x07EaselXy");
    refused(
        "unet/model.onnx",
        damage,
        &[PAINT, BENCH, PLAN],
        &["EaselXy"],
    );
}

#[test]
fn a_number_is_vast() {
    let damage = replaced(b"\"in_channels\": 4", b"\"in_channels\": 1000000000000");
    refused(
        "unet/config.json",
        damage,
        &[PAINT, BENCH, PLAN],
        &["in_channels"],
    );
}

/// The tiny model has its tokenizer as a vocabulary alone.
fn put_tokenizer(path: &Path) {
    fs::copy(pocket().join("tokenizer/tokenizer.json"), path).expect("the default model has it");
}

#[test]
fn a_tokenizer_grows_without_end() {
    let damage = |path: &Path| {
        put_tokenizer(path);
        let text = fs::read_to_string(path).expect("it was put there");
        let mut json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let double =
            serde_json::json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
        json["normalizer"] =
            serde_json::json!({"type": "Sequence", "normalizers": vec![double; 64]});
        fs::write(path, json.to_string()).expect("it can be written");
        let index = path
            .ancestors()
            .nth(2)
            .expect("the model")
            .join("model_index.json");
        let text = fs::read_to_string(&index).expect("the model has it");
        let text = text.replace("\"CLIPTokenizer\"", "\"CLIPTokenizerFast\"");
        fs::write(index, text).expect("it can be written");
    };
    refused("tokenizer/tokenizer.json", damage, &[PAINT], &[]);
}

#[test]
fn a_byte_of_a_tokenizer_is_wrong() {
    let damage = replaced(b"\"ByteLevel\"", b"\"Byt\xffLevel\"");
    let damage = |path: &Path| {
        put_tokenizer(path);
        damage(path);
    };
    refused("tokenizer/tokenizer.json", damage, &[PAINT], &[]);
}
