//! Mosquitto as a child process.

use super::super::BrokerError;
use super::super::fault::Fault;
use super::{Told, files, tether::tether};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

/// Where programs of the system are that a user's own path may not have.
const SYSTEM: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// What is needed of Mosquitto's package.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) mosquitto: PathBuf,
    pub(super) mosquitto_passwd: PathBuf,
}

impl Programs {
    /// # Errors
    /// Mosquitto is not installed.
    pub(super) fn find() -> Result<Self, BrokerError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let find = |name: &'static str| find(name, &path).ok_or(BrokerError::NotInstalled(name));
        Ok(Self {
            mosquitto: find("mosquitto")?,
            mosquitto_passwd: find("mosquitto_passwd")?,
        })
    }

    /// As it says itself, or a question mark.
    pub(super) fn version(&self) -> String {
        let help = Command::new(&self.mosquitto)
            .arg("-h")
            .stdin(Stdio::null())
            .output();
        let help = help.map(|help| String::from_utf8_lossy(&help.stdout).into_owned());
        version_in(&help.unwrap_or_default())
            .unwrap_or("?")
            .to_owned()
    }
}

/// The first line is `mosquitto version 2.0.11`.
fn version_in(help: &str) -> Option<&str> {
    let first = help.lines().next()?;
    first.strip_prefix("mosquitto version ").map(str::trim)
}

fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    let folders = std::env::split_paths(path).chain(std::env::split_paths(SYSTEM));
    folders
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// One run of it.
#[derive(Debug)]
pub(super) struct Mosquitto(Child);

impl Mosquitto {
    /// Starts it with what was written to `folder`. It has `lock` open as long as it runs; what it says is told line by line.
    ///
    /// # Errors
    /// The system has no process or thread for it.
    pub(super) fn start(
        programs: &Programs,
        folder: &Path,
        lock: File,
        tell: Sender<Told>,
    ) -> Result<Self, Fault> {
        let failed = |error| Fault::soon(format!("mosquitto cannot be started: {error}"));
        let mut child = tether(&programs.mosquitto)
            .arg("-c")
            .arg(folder.join(files::CONFIGURATION))
            // It needs nothing of it, and a password may be in it.
            .env_clear()
            .stdin(Stdio::from(lock))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // An interrupt from the keyboard is easel's, which has a word to say before the broker may go.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let Some(stderr) = child.stderr.take() else {
            return Err(Fault::soon("mosquitto has no standard error"));
        };
        let listen = move || {
            let end = Ended(tell.clone());
            let mut stderr = BufReader::new(stderr);
            let mut line = Vec::new();
            while let Ok(1..) = stderr.read_until(b'\n', &mut line) {
                let text = String::from_utf8_lossy(&line).trim().to_owned();
                // Nobody hears it any more: easel ends.
                let _ = tell.send(Told::Line(text));
                line.clear();
            }
            drop(end);
        };
        let thread = std::thread::Builder::new().name("broker's words".to_owned());
        if let Err(error) = thread.spawn(listen) {
            let _ = child.kill();
            let _ = child.wait();
            return Err(failed(error));
        }
        Ok(Self(child))
    }

    /// How it ended, once it has.
    pub(super) fn ended(&mut self) -> String {
        match self.0.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Ends it: asks it to, and does not ask when the time is over.
    pub(super) fn stop(&mut self, deadline: Duration, told: &Receiver<Told>) {
        let until = Instant::now() + deadline;
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        loop {
            match told.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Told::Ended) => break,
                Ok(Told::Line(_) | Told::Stop(..)) => {}
                Err(_) => {
                    let _ = self.0.kill();
                    // Now it ends; the next run must not take this one's end for its own.
                    while matches!(told.recv(), Ok(Told::Line(_) | Told::Stop(..))) {}
                    break;
                }
            }
        }
        let _ = self.0.wait();
    }
}

/// Tells that there are no more lines, also when the thread that reads them has panicked.
struct Ended(Sender<Told>);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.send(Told::Ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_version_is_the_programs_own_word() {
        let help = "mosquitto version 2.0.11\n\nmosquitto is an MQTT broker.\n";
        assert_eq!(version_in(help), Some("2.0.11"));
        assert_eq!(version_in("usage"), None);
        let programs = Programs::find().expect("run `apt-get install mosquitto`");
        assert!(programs.version().contains('.'), "{programs:?}");
    }

    #[test]
    fn the_path_goes_before_the_systems_folders() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mine = folder.path().join("mosquitto");
        fs::write(&mine, "").expect("it can be written");
        assert_eq!(find("mosquitto", folder.path().as_os_str()), Some(mine));
        assert_eq!(find("no such program", folder.path().as_os_str()), None);
        assert!(find("mosquitto", OsStr::new("")).is_some());
    }
}
