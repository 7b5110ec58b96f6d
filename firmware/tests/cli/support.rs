//! An empty folder to run `easel` in, and models to run it on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The tiny Stable Diffusion 1 with random weights: 32x32 pixels, VAE factor 2, guidance 7.5, ddim, 20 steps.
pub(crate) fn tiny() -> PathBuf {
    model("fp32")
}

/// The default model: 128x128 pixels, trained.
pub(crate) fn pocket() -> PathBuf {
    fs::canonicalize(root().join("models/pocket")).expect("it is in the repository")
}

/// An export of the tiny model.
pub(crate) fn model(precision: &str) -> PathBuf {
    let folder = root().join("test-models/tiny");
    assert!(
        folder.join("complete").exists(),
        "{} is missing: run `.venv/bin/python -m easel_export.goldens.pipelines`",
        folder.display()
    );
    folder.join(precision)
}

/// A folder that `easel` works in.
pub(crate) struct Workplace {
    folder: tempfile::TempDir,
}

impl Workplace {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a file there.
    pub(crate) fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        fs::write(self.path(name), bytes).expect("it can be written");
        self
    }

    /// Puts a copy of the tiny model there as `model`, for a test to damage.
    pub(crate) fn with_tiny(self) -> Self {
        copy(&tiny(), &self.path("model"));
        self
    }

    /// What is in the folder, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("it can be listed");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("it can be listed").file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// `easel` with these arguments, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_easel"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("EASEL_MODEL")
            .env_remove("NO_COLOR")
            .env("EASEL_CACHE", "off")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    /// Runs with the tiny model, and must succeed.
    pub(crate) fn paint(&self, arguments: &[&str]) -> Output {
        let tiny = tiny();
        let tiny = tiny.to_str().expect("UTF-8");
        let output = self.run(&[&["paint", "--model", tiny], arguments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        output
    }

    /// Runs with `input` on standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: Vec<u8>) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut pipe = child.stdin.take().expect("it is piped");
        // From a thread: the binary may answer before it has read everything, or close its end.
        let writer = std::thread::spawn(move || {
            use std::io::Write as _;
            let _ = pipe.write_all(&input);
        });
        let output = child.wait_with_output().expect("it ends");
        writer.join().expect("it does not panic");
        output
    }

    /// Runs and expects a failure: this exit code, one line that says all of `says`, nothing on standard output and
    /// no file that was not there before.
    pub(crate) fn refuses(&self, code: i32, arguments: &[&str], says: &[&str]) {
        let before = self.names();
        let output = self.run(arguments);
        self.refused(&output, code, says);
        assert_eq!(self.names(), before, "something was written");
    }

    /// Looks at the output of a run that failed.
    pub(crate) fn refused(&self, output: &Output, code: i32, says: &[&str]) {
        let error = stderr(output);
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(output.stdout.is_empty(), "{output:?}");
        // Stages that began before the failure are progress, not messages.
        let lines: Vec<&str> = error.lines().filter(|line| !is_progress(line)).collect();
        assert_eq!(lines.len(), 1, "not one line: {error}");
        assert!(lines[0].starts_with("easel: "), "{error}");
        assert!(lines[0].len() < 1000, "too long: {error}");
        for part in says {
            assert!(lines[0].contains(part), "does not say `{part}`: {error}");
        }
    }
}

pub(crate) fn is_progress(line: &str) -> bool {
    ["reading", "decoding"].contains(&line)
        || line.starts_with("painting: step ")
        || line.starts_with("importing: ")
        || line.starts_with("downloading: ")
}

/// Whether it is a family of kernels that this CPU runs.
pub(crate) fn is_kernel(name: &serde_json::Value) -> bool {
    let isa = name
        .as_str()
        .and_then(|name| name.parse::<easel::Isa>().ok());
    isa.is_some_and(easel::Isa::is_available)
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// The one line of JSON on standard output.
pub(crate) fn json_line(output: &Output) -> serde_json::Map<String, serde_json::Value> {
    let text = stdout(output);
    assert_eq!(text.matches('\n').count(), 1, "not one line: {text}");
    assert!(text.ends_with('\n'), "not one line: {text}");
    serde_json::from_str(&text).expect("a JSON object")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("it can be made");
    for entry in fs::read_dir(from).expect("it can be listed") {
        let entry = entry.expect("it can be listed");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("it can be copied");
        }
    }
}

/// A NumPy file of f32 zeros but for the first value, of this shape.
pub(crate) fn npy(shape: &str, values: usize, first: f32) -> Vec<u8> {
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}").into_bytes();
    header.resize(117, b' ');
    header.push(b'\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header);
    let mut data = vec![0.0_f32; values];
    data[0] = first;
    bytes.extend(data.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}
