//! `easel serve` as a process, and ears on its broker.

use super::broker::{Broker, LONG};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

/// How long a condition is waited for between two looks.
const LOOK: std::time::Duration = std::time::Duration::from_millis(20);

/// Publishes as a user would, acknowledged by the broker.
pub(crate) fn say(broker: &Broker, topic: &str, payload: &str) {
    let port = broker.port.to_string();
    let said = Command::new("mosquitto_pub")
        .args(["-p", &port, "-q", "1", "-t", topic, "-m", payload])
        .status()
        .expect("mosquitto_pub: run `apt-get install mosquitto-clients`");
    assert!(said.success(), "{said}");
}

/// Waits until somebody has subscribed to this.
fn wait_for_subscription(broker: &Broker, topic: &str) {
    let begun = Instant::now();
    let line = format!("\t{topic} (QoS");
    while !broker.log().contains(&line) {
        assert!(begun.elapsed() < LONG, "{}", broker.log());
        std::thread::sleep(LOOK);
    }
}

/// Waits until the log has this.
pub(crate) fn log_says(folder: &Path, text: &str) -> String {
    let begun = Instant::now();
    loop {
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        if let Some(line) = log.lines().find(|line| line.contains(text)) {
            return line.to_owned();
        }
        assert!(begun.elapsed() < LONG, "no {text:?} in {log}");
        std::thread::sleep(LOOK);
    }
}

/// A daemon whose words go to `log`.
pub(crate) fn logged(broker: &Broker, folder: &Path, variables: &[(&str, &Path)]) -> Daemon {
    let log = std::fs::File::create(folder.join("log")).expect("it can be written");
    Daemon::start_as(broker, folder, |command| {
        command.stderr(Stdio::from(log));
        command.envs(variables.iter().copied());
    })
}

/// The board's file as every test begins.
pub(crate) fn configuration(broker: &Broker) -> String {
    format!(
        "[board]\nname = 'Frame'\n[panel]\nkind = 'png'\nwidth = 800\nheight = 480\n\
         [queue]\ncapacity = 256\n[history]\npictures = 10000\n\
         [broker]\nhost = '127.0.0.1'\nport = {}\ndevice = 'frame'\n",
        broker.port
    )
}

/// What `easel doctor --json` says of the daemon's board in this folder.
pub(crate) fn examine(folder: &Path, more: &[&str]) -> String {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/pocket");
    let examined = Command::new(env!("CARGO_BIN_EXE_easel"))
        .args(["doctor", "--json", "--board"])
        .arg(folder.join("board.toml"))
        .arg("--state")
        .arg(folder)
        .args(more)
        .env("EASEL_MODEL", model)
        .output()
        .expect("easel starts");
    assert!(examined.status.success(), "{examined:?}");
    String::from_utf8_lossy(&examined.stdout).into_owned()
}

pub(crate) struct Daemon {
    process: Child,
    panel: PathBuf,
}

impl Daemon {
    /// Starts it with the default model; returns when it listens.
    pub(crate) fn start(broker: &Broker, folder: &Path) -> Self {
        Self::start_as(broker, folder, |_| {})
    }

    /// The same, with more said to the process.
    pub(crate) fn start_as(
        broker: &Broker,
        folder: &Path,
        more: impl FnOnce(&mut Command),
    ) -> Self {
        let daemon = Self::run(&configuration(broker), folder, more);
        let availability = Ear::on(broker, "easel/frame/availability");
        while availability.next_bytes() != b"online" {}
        daemon
    }

    /// Starts one with this configuration, and does not wait for anything.
    pub(crate) fn run(configuration: &str, folder: &Path, more: impl FnOnce(&mut Command)) -> Self {
        let board = folder.join("board.toml");
        std::fs::write(&board, configuration).expect("it can be written");
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/pocket");
        let mut command = Command::new(env!("CARGO_BIN_EXE_easel"));
        command
            .args(["serve", "--cache", "off", "--board"])
            .arg(&board)
            .arg("--state")
            .arg(folder)
            .env("EASEL_MODEL", model)
            .stdin(Stdio::null());
        more(&mut command);
        let process = command.spawn().expect("easel starts");
        Self {
            process,
            panel: folder.join("panel.png"),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let told = Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status();
        assert!(told.is_ok_and(|status| status.success()));
    }

    /// Waits until the panel's file shows this.
    pub(crate) fn panel_shows(&self, wanted: impl Fn(&image::RgbImage) -> bool) {
        let begun = Instant::now();
        loop {
            let shown = image::open(&self.panel).map(image::DynamicImage::into_rgb8);
            if shown.is_ok_and(|shown| wanted(&shown)) {
                return;
            }
            assert!(
                begun.elapsed() < LONG,
                "{} does not show it",
                self.panel.display()
            );
            std::thread::sleep(LOOK);
        }
    }

    pub(crate) fn is_there(&mut self) -> bool {
        self.process.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// Waits until it ends by itself.
    pub(crate) fn ends_within(&mut self, limit: std::time::Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(ended) = self.process.try_wait().expect("it was started here") {
                return ended;
            }
            assert!(begun.elapsed() < limit, "it goes on");
            std::thread::sleep(LOOK);
        }
    }

    /// As a power cut would.
    pub(crate) fn kill(mut self) {
        self.process.kill().expect("it was started here");
        self.process.wait().expect("it was started here");
    }

    /// As systemd would, at any moment: it may not yet hear of it in its own way.
    pub(crate) fn stop_within(mut self, most: std::time::Duration) {
        let begun = Instant::now();
        self.signal("TERM");
        while self
            .process
            .try_wait()
            .expect("it was started here")
            .is_none()
        {
            assert!(begun.elapsed() < most, "it does not stop");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// As systemd would.
    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        let ended = self.process.wait().expect("it was started here");
        assert!(ended.success(), "{ended}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // After a failed assertion.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Hears a topic from now on, what is retained on it first.
pub(crate) struct Ear {
    process: Child,
    heard: Receiver<Vec<u8>>,
}

impl Ear {
    pub(crate) fn on(broker: &Broker, topic: &str) -> Self {
        let port = broker.port.to_string();
        let mut process = Command::new("mosquitto_sub")
            // Hexadecimal: a picture has line breaks of its own.
            .args(["-p", &port, "-q", "1", "-F", "%x", "-t", topic])
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto_sub: apt-get install mosquitto-clients");
        let mut output = process.stdout.take().expect("it is piped");
        let (tell, heard) = channel();
        std::thread::spawn(move || {
            let (mut line, mut bytes) = (String::new(), [0; 4096]);
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                for &byte in &bytes[..count] {
                    if byte == b'\n' {
                        let _ = tell.send(from_hex(&line));
                        line.clear();
                    } else {
                        line.push(char::from(byte));
                    }
                }
            }
        });
        let ear = Self { process, heard };
        wait_for_subscription(broker, topic);
        ear
    }

    pub(crate) fn next_bytes(&self) -> Vec<u8> {
        self.heard.recv_timeout(LONG).expect("a message")
    }

    /// The next message, if one comes in time.
    pub(crate) fn heard_within(&self, limit: std::time::Duration) -> Option<serde_json::Value> {
        let bytes = self.heard.recv_timeout(limit).ok()?;
        Some(serde_json::from_slice(&bytes).expect("it is JSON"))
    }

    pub(crate) fn next_json(&self) -> serde_json::Value {
        self.next_json_within(LONG)
    }

    pub(crate) fn next_json_within(&self, limit: std::time::Duration) -> serde_json::Value {
        let bytes = self.heard.recv_timeout(limit).expect("a message");
        serde_json::from_slice(&bytes).expect("it is JSON")
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn from_hex(line: &str) -> Vec<u8> {
    line.as_bytes()
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("it is ASCII");
            u8::from_str_radix(pair, 16).expect("it is hexadecimal")
        })
        .collect()
}
