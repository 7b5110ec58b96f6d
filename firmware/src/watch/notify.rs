//! What the service manager is told, by the protocol of sd_notify(3): one datagram of `NAME=value` lines to the socket that it
//! has named. Without one, nobody is told anything.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager's ear; the default one is nobody's.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

/// Bytes of a status; systemd shows one line.
const LONGEST_STATUS: usize = 200;

impl Notifier {
    /// From the environment that the service manager has made: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    ///
    /// # Errors
    /// A socket that is named but cannot be used.
    pub fn from_environment() -> io::Result<Self> {
        Self::new(|name| std::env::var_os(name), std::process::id())
    }

    /// From these variables, for the process of this id.
    ///
    /// # Errors
    /// As [`from_environment`](Self::from_environment).
    pub fn new(variable: impl Fn(&str) -> Option<OsString>, pid: u32) -> io::Result<Self> {
        let socket = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let socket = socket.map(|name| open(&name)).transpose()?;
        let number = |name| -> Option<u64> { variable(name)?.to_str()?.parse().ok() };
        // Set for another process: not this one's watchdog.
        let is_ours =
            variable("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(u64::from(pid));
        let microseconds = number("WATCHDOG_USEC").filter(|&us| us > 0 && is_ours);
        Ok(Self {
            watchdog: microseconds
                .map(Duration::from_micros)
                .filter(|_| socket.is_some()),
            socket,
        })
    }

    /// How often to call [`feed`](Self::feed): twice in the time after which the service manager would act. `None` where it would not.
    #[must_use]
    pub fn feed_every(&self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / 2)
    }

    /// All that others wait for is there.
    ///
    /// # Errors
    /// What the socket says; it is never waited for.
    pub fn ready(&self, status: &str) -> io::Result<()> {
        self.send(&format!("READY=1\nSTATUS={}", one_line(status)))
    }

    /// Its configuration is being read again; [`ready`](Self::ready) says that it has been. For `Type=notify-reload`, which wants
    /// to know since when by `CLOCK_MONOTONIC` (sd_notify(3)).
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn reloading(&self) -> io::Result<()> {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={now}"))
    }

    /// What it does, for people.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn status(&self, status: &str) -> io::Result<()> {
        self.send(&format!("STATUS={}", one_line(status)))
    }

    /// It still gets on.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn feed(&self) -> io::Result<()> {
        self.send("WATCHDOG=1")
    }

    /// Starting or stopping takes so much longer: a large model is being read.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn more_time(&self, time: Duration) -> io::Result<()> {
        self.send(&format!("EXTEND_TIMEOUT_USEC={}", time.as_micros()))
    }

    /// It ends, as it was told to.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn stopping(&self) -> io::Result<()> {
        self.send("STOPPING=1\nSTATUS=stops")
    }

    fn send(&self, message: &str) -> io::Result<()> {
        match &self.socket {
            Some((socket, to)) => socket.send_to_addr(message.as_bytes(), to).map(|_| ()),
            None => Ok(()),
        }
    }
}

/// A path, or the name of an abstract socket after an `@`.
fn open(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => {
            let problem = "NOTIFY_SOCKET: is neither a path nor an abstract socket: unset it";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

/// A line break would begin another variable.
fn one_line(text: &str) -> String {
    let mut line = easel::one_line(text);
    let mut end = LONGEST_STATUS.min(line.len());
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.truncate(end);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service manager's side of it.
    struct Manager {
        _folder: tempfile::TempDir,
        ear: UnixDatagram,
        name: OsString,
    }

    impl Manager {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let path = folder.path().join("notify");
            let ear = UnixDatagram::bind(&path).expect("it can be bound");
            ear.set_nonblocking(true).expect("it can be set");
            Self {
                _folder: folder,
                ear,
                name: path.into(),
            }
        }

        fn notifier(&self, watchdog: &[(&str, &str)]) -> Notifier {
            let variable = |name: &str| match name {
                "NOTIFY_SOCKET" => Some(self.name.clone()),
                _ => watchdog
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| value.into()),
            };
            Notifier::new(variable, 42).expect("the socket is there")
        }

        fn heard(&self) -> Option<String> {
            let mut bytes = [0; 4096];
            let length = self.ear.recv(&mut bytes).ok()?;
            Some(String::from_utf8(bytes[..length].to_vec()).expect("it is text"))
        }
    }

    #[test]
    fn the_manager_hears_all() {
        let manager = Manager::new();
        let notifier = manager.notifier(&[]);
        notifier.ready("paints").expect("it is heard");
        notifier
            .status("step 3\nWATCHDOG=trigger")
            .expect("it is heard");
        notifier.feed().expect("it is heard");
        notifier
            .more_time(Duration::from_secs(90))
            .expect("it is heard");
        notifier.stopping().expect("it is heard");
        for expected in [
            "READY=1\nSTATUS=paints",
            "STATUS=step 3 WATCHDOG=trigger",
            "WATCHDOG=1",
            "EXTEND_TIMEOUT_USEC=90000000",
            "STOPPING=1\nSTATUS=stops",
        ] {
            assert_eq!(manager.heard().as_deref(), Some(expected));
        }
        assert_eq!(manager.heard(), None);
    }

    #[test]
    fn a_reload_has_a_time_that_does_not_go_back() {
        let manager = Manager::new();
        let notifier = manager.notifier(&[]);
        let times: Vec<u64> = (0..2)
            .map(|_| {
                notifier.reloading().expect("it is heard");
                let heard = manager.heard().expect("it was sent");
                let time = heard.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
                time.expect(&heard).parse().expect("a number")
            })
            .collect();
        assert!(times.is_sorted() && times[0] > 0, "{times:?}");
    }

    #[test]
    fn a_long_status_is_cut_between_characters() {
        let manager = Manager::new();
        manager
            .notifier(&[])
            .status(&"ä".repeat(150))
            .expect("it is heard");
        assert_eq!(manager.heard(), Some(format!("STATUS={}", "ä".repeat(100))));
        manager
            .notifier(&[])
            .status(&format!("x{}", "ä".repeat(150)))
            .expect("it is heard");
        assert_eq!(manager.heard(), Some(format!("STATUS=x{}", "ä".repeat(99))));
    }

    #[test]
    fn an_abstract_socket() {
        let name = format!("easel-notify-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let ear = UnixDatagram::bind_addr(&address).expect("it can be bound");
        let variable = |key: &str| (key == "NOTIFY_SOCKET").then(|| format!("@{name}").into());
        let notifier = Notifier::new(variable, 1).expect("the socket is there");
        notifier.feed().expect("it is heard");
        let mut bytes = [0; 64];
        let length = ear.recv(&mut bytes).expect("it was sent");
        assert_eq!(&bytes[..length], b"WATCHDOG=1");
    }

    #[test]
    fn the_watchdog_is_fed_twice_in_its_time() {
        let manager = Manager::new();
        let every = |variables: &[(&str, &str)]| manager.notifier(variables).feed_every();
        assert_eq!(
            every(&[("WATCHDOG_USEC", "30000000")]),
            Some(Duration::from_secs(15))
        );
        let ours = [("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "42")];
        assert_eq!(every(&ours), Some(Duration::from_secs(15)));
        for none in [
            &[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "43")][..],
            &[("WATCHDOG_USEC", "0")],
            &[("WATCHDOG_USEC", "soon")],
            &[],
        ] {
            assert_eq!(every(none), None, "{none:?}");
        }
    }

    #[test]
    fn without_a_manager_nothing_is_wrong() {
        let nobody = Notifier::new(|_| None, 1).expect("nothing is needed");
        nobody.ready("paints").expect("nobody listens");
        assert_eq!(nobody.feed_every(), None);
        assert!(Notifier::new(|_| Some("relative".into()), 1).is_err());
        // A manager that has gone is an error, and not a wait.
        let manager = Manager::new();
        let notifier = manager.notifier(&[]);
        drop(manager);
        assert!(notifier.feed().is_err());
    }
}
