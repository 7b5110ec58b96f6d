//! A model that is damaged or hostile, put in place while the daemon runs: it says so, keeps its last picture, and paints again,
//! without a restart, when the model is put right.

use super::broker::{Broker, LONG};
use super::daemon::{Daemon, Ear, configuration, log_says, say};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What is done to a file.
enum Bad {
    /// These are its bytes.
    Bytes(Vec<u8>),
    /// Its bytes become these.
    Made(fn(Vec<u8>) -> Vec<u8>),
    /// This key of its JSON has another value.
    Json(&'static str, Value),
    Missing,
    Pipe,
    Folder,
}

/// A model of the test's own, and room beside it from which files are put in place at once.
struct Model {
    dir: PathBuf,
    spare: PathBuf,
}

impl Model {
    fn new(folder: &Path) -> Self {
        let pocket = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/pocket");
        let (dir, spare) = (folder.join("model"), folder.join("spare"));
        copy(&pocket, &dir);
        fs::create_dir(&spare).expect("it can be made");
        Self { dir, spare }
    }

    /// Puts something else in the place of a file. The file itself is kept.
    fn damage(&self, name: &str, bad: &Bad) {
        let (file, kept) = (self.dir.join(name), self.spare.join("kept"));
        let new = self.spare.join("new");
        let bytes = fs::read(&file).expect("it is there");
        fs::copy(&file, &kept).expect("it can be copied");
        let written = match bad {
            Bad::Bytes(bytes) => fs::write(&new, bytes),
            Bad::Made(change) => fs::write(&new, change(bytes)),
            Bad::Json(key, value) => {
                let mut whole: Value = serde_json::from_slice(&bytes).expect("it is JSON");
                whole[*key] = value.clone();
                fs::write(&new, whole.to_string())
            }
            Bad::Missing => return fs::remove_file(&file).expect("it is there"),
            Bad::Pipe => {
                let made = Command::new("mkfifo").arg(&new).status();
                made.map(|status| assert!(status.success()))
            }
            Bad::Folder => {
                fs::remove_file(&file).expect("it is there");
                fs::create_dir(&new)
            }
        };
        written.expect("it can be written");
        fs::rename(new, file).expect("it can be put in place");
    }

    fn put_right(&self, name: &str) {
        let file = self.dir.join(name);
        if file.is_dir() {
            fs::remove_dir(&file).expect("it is empty");
        }
        fs::rename(self.spare.join("kept"), file).expect("it can be put in place");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("it can be made");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("it can be copied");
        }
    }
}

/// The panel's file when it has not changed for a while: the display's thread is the last to be served.
fn settled(panel: &Path) -> Vec<u8> {
    let begun = Instant::now();
    let mut shown = (Vec::new(), Instant::now());
    while shown.0.is_empty() || shown.1.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(100));
        let now = fs::read(panel).unwrap_or_default();
        if now != shown.0 {
            shown = (now, Instant::now());
        }
        assert!(begun.elapsed() < LONG, "the panel does not settle");
    }
    shown.0
}

#[test]
fn a_bad_model_is_said_and_a_good_one_paints_again() {
    let cases = [
        ("unet/model.onnx", Bad::Bytes(b"garbage".repeat(1000))),
        ("unet/model.onnx", Bad::Bytes(Vec::new())),
        (
            "unet/model.onnx",
            Bad::Made(|bytes| bytes[..bytes.len() / 2].to_vec()),
        ),
        ("vae_decoder/model.onnx", Bad::Missing),
        ("text_encoder/model.onnx", Bad::Pipe),
        ("text_encoder/model.onnx", Bad::Folder),
        (
            "unet/model.onnx_data",
            Bad::Made(|bytes| bytes[..100].to_vec()),
        ),
        (
            "vae_decoder/model.onnx_data",
            Bad::Made(|bytes| vec![0xff; bytes.len()]),
        ),
        // Said by the checksums alone.
        (
            "unet/model.onnx_data",
            Bad::Made(|mut bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
                bytes
            }),
        ),
        (
            "unet/config.json",
            Bad::Made(|bytes| bytes[..bytes.len() / 2].to_vec()),
        ),
        (
            "unet/config.json",
            Bad::Json("in_channels", json!(1_000_000_000_000_u64)),
        ),
        ("model_index.json", Bad::Bytes(b"[]".to_vec())),
        (
            "scheduler/scheduler_config.json",
            Bad::Json("num_train_timesteps", json!(-1)),
        ),
        ("tokenizer/tokenizer.json", Bad::Bytes(b"{".to_vec())),
        ("tokenizer/tokenizer.json", Bad::Pipe),
    ];
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let model = Model::new(folder.path());
    let text = format!(
        "{}[model]\ndir = '{}'\n",
        configuration(&broker),
        model.dir.display()
    );
    let mut daemon = Daemon::run(&text, folder.path(), |command| {
        let log = File::create(folder.path().join("log")).expect("it can be written");
        command.stderr(Stdio::from(log));
    });
    let log = || fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    let panel = folder.path().join("panel.png");
    let states = Ear::on(&broker, "easel/frame/state");
    let responses = Ear::on(&broker, "easel/frame/response");
    let paint = |id: &str| {
        let order = format!(r#"{{"prompt": "a cat", "id": "{id}", "steps": 2, "seed": 1}}"#);
        say(&broker, "easel/frame/paint", &order);
    };
    let answered = |id: &str, wanted: &str| loop {
        let answer = responses.next_json();
        let status = answer["status"].as_str().unwrap_or_default().to_owned();
        if answer["id"] == id && !["queued", "painting"].contains(&&*status) {
            assert_eq!(status, wanted, "{answer}: {}", log());
            return answer;
        }
    };
    let has_problem = |wanted: bool| loop {
        let problem = states.next_json()["problem"].clone();
        if (problem["code"] == "model") == wanted {
            return problem["text"].as_str().unwrap_or_default().to_owned();
        }
    };
    log_says(folder.path(), "listens on");
    paint("first");
    answered("first", "done");
    let picture = settled(&panel);

    for (number, (name, bad)) in cases.iter().enumerate() {
        let id = format!("case-{number}");
        let said_before = log().lines().count();
        model.damage(name, bad);
        paint(&id);
        let problem = has_problem(true);
        let is_one_line = !problem.is_empty() && !problem.contains('\n');
        assert!(is_one_line, "{name}: {problem}");
        if number == 0 {
            answered(&id, "error");
            // The error is shown for a while; then the picture comes back, and the model is as bad as before.
            daemon.panel_shows(|_| fs::read(&panel).is_ok_and(|shown| shown == picture));
            // Nobody tries it again and again.
            let lines = log().lines().skip(said_before).count();
            assert!(lines <= 8, "{}", log());
        }
        model.put_right(name);
        has_problem(false);
        let again = format!("{id}-again");
        paint(&again);
        answered(&again, "done");
        assert!(daemon.is_there(), "{name}: {}", log());
    }
    daemon.stop();
}
