//! A Mosquitto of the test's own.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Deadline of every wait.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) struct Broker {
    process: Child,
    folder: TempDir,
    pub(crate) port: u16,
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

impl Broker {
    /// Anybody may do anything.
    pub(crate) fn open() -> Self {
        Self::with(
            tempfile::tempdir().expect("a temporary folder"),
            "allow_anonymous true\n",
        )
    }

    /// With more lines of configuration; `folder` holds the files that they name.
    pub(crate) fn with(folder: TempDir, lines: &str) -> Self {
        for _ in 0..5 {
            let port = free_port();
            let config = format!("user root\nlistener {port} 127.0.0.1\n{lines}");
            std::fs::write(folder.path().join("mosquitto.conf"), config)
                .expect("it can be written");
            let mut process = start(folder.path());
            if answers(&mut process, port) {
                return Self {
                    process,
                    folder,
                    port,
                };
            }
            // Somebody else took the port.
        }
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("mosquitto does not start:\n{log}");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let done = Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status();
        assert!(
            done.is_ok_and(|status| status.success()),
            "kill -{name} {id}"
        );
    }

    /// Ends it, as a shutdown would.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        self.process.wait().expect("it was started here");
    }

    /// Ends it, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("it was started here");
        self.process.wait().expect("it was started here");
    }

    /// Starts it again with the same port and configuration.
    pub(crate) fn start(&mut self) {
        self.process = start(self.folder.path());
        assert!(answers(&mut self.process, self.port), "{}", self.log());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn start(folder: &Path) -> Child {
    let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .unwrap_or("mosquitto");
    let log = std::fs::File::create(folder.join("log")).expect("it can be written");
    Command::new(program)
        .args(["-v", "-c"])
        .arg(folder.join("mosquitto.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}: run `apt-get install mosquitto`"))
}

/// Whether it listens before it ends.
fn answers(process: &mut Child, port: u16) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < LONG {
        if process.try_wait().expect("it was started here").is_some() {
            return false;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}
