//! The monitor of an emulated machine: QEMU's machine protocol, a line of JSON each way.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A machine that says nothing for so long hangs; emulated without hardware support, it is slow but never that slow.
pub(crate) const AT_MOST: Duration = Duration::from_secs(180);

pub(crate) struct Monitor {
    line: BufReader<UnixStream>,
    folder: PathBuf,
}

impl Monitor {
    /// Over the socket `monitor` in this folder, where pictures of the screen are put as well.
    pub(crate) fn open(folder: &Path) -> Self {
        let mut monitor = Self {
            line: connect(&folder.join("monitor")),
            folder: folder.to_owned(),
        };
        monitor.answer();
        monitor.ask("qmp_capabilities", json!({}));
        monitor
    }

    /// Lets the monitor do something.
    pub(crate) fn ask(&mut self, command: &str, arguments: Value) {
        let line = json!({"execute": command, "arguments": arguments});
        writeln!(self.line.get_mut(), "{line}").unwrap();
        loop {
            let answer = self.answer();
            assert!(answer.get("error").is_none(), "{command}: {answer}");
            // Events come in between.
            if answer.get("return").is_some() {
                return;
            }
        }
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.line.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// What the screen shows now.
    pub(crate) fn screen(&mut self) -> image::RgbImage {
        let file = self.folder.join("screen.png");
        self.ask(
            "screendump",
            json!({"filename": file.to_str(), "format": "png"}),
        );
        image::open(&file).unwrap().to_rgb8()
    }
}

/// A socket that the emulator makes when it gets to it.
pub(crate) fn connect(socket: &Path) -> BufReader<UnixStream> {
    let begun = Instant::now();
    let stream = loop {
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            Err(error) => assert!(begun.elapsed() < AT_MOST, "{}: {error}", socket.display()),
        }
        sleep(Duration::from_millis(20));
    };
    stream.set_read_timeout(Some(AT_MOST)).unwrap();
    BufReader::new(stream)
}
