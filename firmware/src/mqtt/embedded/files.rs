//! What the board's own broker reads, and what it remembers.

use super::super::BrokerSettings;
use super::super::fault::Fault;
use super::access::Access;
use super::mosquitto::Programs;
use easel::files::{own_private_folder, write_privately};
use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(super) const CONFIGURATION: &str = "mosquitto.conf";
const PASSWORDS: &str = "passwords";
const MEMORY: &str = "mosquitto.db";
const LOCK: &str = "lock";

/// KiB of a packet that the broker takes at least: a picture is 256 at most, a prompt 64, and other devices of a house may
/// be on it, too.
const LARGEST_PACKET_KIB: u32 = 1024;

/// Where they are, in the daemon's state folder.
pub(super) fn folder(state: &Path) -> PathBuf {
    state.join("broker")
}

/// Writes what Mosquitto reads. What comes back is locked as long as somebody has it open.
///
/// # Errors
/// The folder cannot be written, the password not be hashed, or a broker of the board's still runs.
pub(super) fn prepare(
    folder: &Path,
    programs: &Programs,
    settings: &BrokerSettings,
    access: &Access,
) -> Result<File, Fault> {
    let failed = |error: io::Error| {
        let advice = "make room, and let easel write there";
        Fault::slow(format!("{}: {error}: {advice}", folder.display()))
    };
    own_private_folder(folder).map_err(failed)?;
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(folder.join(LOCK))
        .map_err(failed)?;
    if is_locked(&lock).map_err(failed)? {
        let reason = "the broker of an earlier start has not ended yet: it is waited for";
        return Err(Fault::soon(reason));
    }
    match access {
        Access::Machine => {}
        Access::User { name, password } => {
            write_passwords(folder, programs, name, password.reveal()).map_err(|error| {
                Fault::slow(format!(
                    "mosquitto_passwd: {error}: is all of mosquitto installed?"
                ))
            })?;
        }
    }
    let text = configuration(folder, settings, access);
    write_privately(&folder.join(CONFIGURATION), &text).map_err(failed)?;
    Ok(lock)
}

/// Whether a broker runs with its files here.
pub(super) fn is_in_use(folder: &Path) -> bool {
    File::open(folder.join(LOCK)).is_ok_and(|lock| is_locked(&lock).unwrap_or(false))
}

/// Locks it, unless it is by somebody else.
fn is_locked(lock: &File) -> io::Result<bool> {
    match lock.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// What the broker is told, mosquitto.conf(5).
fn configuration(folder: &Path, settings: &BrokerSettings, access: &Access) -> Vec<u8> {
    let port = settings.port_or_default();
    let largest = settings.max_packet_kib.max(LARGEST_PACKET_KIB) * 1024;
    let mut text = b"# Written by easel at each start of its broker.\n".to_vec();
    let mut line = |key: &str, value: &[u8]| {
        text.extend_from_slice(key.as_bytes());
        text.push(b' ');
        text.extend_from_slice(value);
        text.push(b'\n');
    };
    // Whoever easel is; started as root, it would become somebody who cannot write here.
    line("user", b"root");
    match access {
        Access::Machine => {
            line("listener", format!("{port} 127.0.0.1").as_bytes());
            line("allow_anonymous", b"true");
        }
        Access::User { .. } => {
            line("listener", port.to_string().as_bytes());
            line("allow_anonymous", b"false");
            let file = folder.join(PASSWORDS);
            line("password_file", file.as_os_str().as_bytes());
        }
    }
    // Else a prompt may wait 40 ms for the acknowledgement of what was sent before it.
    line("set_tcp_nodelay", b"true");
    line("max_connections", b"100");
    line("max_packet_size", largest.to_string().as_bytes());
    // For each client that is away; a board has little memory.
    line("max_queued_messages", b"1000");
    line("max_queued_bytes", b"8388608");
    line("persistent_client_expiration", b"14d");
    line("persistence", b"true");
    let memory = folder.join("");
    line("persistence_location", memory.as_os_str().as_bytes());
    // Seconds. It writes all that it remembers each time, and cards do not last for ever; at its end it writes it, too.
    line("autosave_interval", b"600");
    line("log_dest", b"stderr");
    line("log_type", b"error");
    line("log_type", b"warning");
    line("log_timestamp", b"false");
    line("connection_messages", b"false");
    text
}

/// Has the password hashed, by a program that reads it from its standard input: it is in no file and on no command line.
fn write_passwords(
    folder: &Path,
    programs: &Programs,
    name: &str,
    password: &str,
) -> io::Result<()> {
    let new = folder.join("passwords.new");
    if let Err(error) = fs::remove_file(&new)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut hashing = Command::new(&programs.mosquitto_passwd)
        .arg("-c")
        .arg(&new)
        .arg(name)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = hashing.stdin.take() {
        // It asks twice. What it does not read it says something about.
        let _ = write!(input, "{password}\n{password}\n");
    }
    let done = hashing.wait_with_output()?;
    if !done.status.success() {
        let words = String::from_utf8_lossy(&done.stderr);
        let words: Vec<&str> = words.split_whitespace().collect();
        return Err(io::Error::other(words.join(" ")));
    }
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    fs::rename(new, folder.join(PASSWORDS))
}

/// Puts what the broker remembered out of its way; whether there was something.
pub(super) fn set_memory_aside(folder: &Path) -> bool {
    let damaged = folder.join(format!("{MEMORY}.damaged"));
    fs::rename(folder.join(MEMORY), damaged).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::super::secret::PasswordPlaces;
    use super::*;

    fn written(text: &str, password: Option<&str>) -> (tempfile::TempDir, Vec<String>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings: BrokerSettings = toml::from_str(text).expect("its keys are known");
        let file = folder.path().join("password");
        let places = password.map(|password| {
            fs::write(&file, password).expect("it can be written");
            file.as_path()
        });
        let access = Access::new(&settings, &PasswordPlaces::in_file(places)).expect("it is right");
        let programs = Programs::find().expect("run `apt-get install mosquitto`");
        let broker = super::folder(&folder.path().join("state"));
        let lock = prepare(&broker, &programs, &settings, &access).expect("it is free");
        assert!(is_in_use(&broker));
        assert!(prepare(&broker, &programs, &settings, &access).is_err());
        drop(lock);
        assert!(!is_in_use(&broker));
        let text = fs::read_to_string(broker.join(CONFIGURATION)).expect("it is there");
        (folder, text.lines().map(str::to_owned).collect())
    }

    #[test]
    fn without_a_password_it_is_for_this_machine() {
        let (folder, lines) = written("port = 1999", None);
        for line in ["listener 1999 127.0.0.1", "allow_anonymous true"] {
            assert!(lines.iter().any(|found| found == line), "{line}: {lines:?}");
        }
        let location = folder.path().join("state/broker/");
        let location = format!("persistence_location {}", location.display());
        assert!(lines.contains(&location), "{lines:?}");
        let listeners = lines.iter().filter(|line| line.starts_with("listener"));
        assert_eq!(listeners.count(), 1);
    }

    #[test]
    fn a_password_is_kept_as_its_hash_alone() {
        let (folder, lines) = written("username = 'frame'", Some("hunter2:x y\n"));
        for line in ["listener 1883", "allow_anonymous false"] {
            assert!(lines.iter().any(|found| found == line), "{line}: {lines:?}");
        }
        let broker = folder.path().join("state/broker");
        for entry in fs::read_dir(&broker).expect("it is there").flatten() {
            let bytes = fs::read(entry.path()).expect("it can be read");
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains("hunter2"), "{:?}: {text}", entry.path());
        }
        let passwords = fs::read_to_string(broker.join(PASSWORDS)).expect("it is there");
        assert!(passwords.starts_with("frame:$"), "{passwords}");
        let mode = |path: &Path| {
            let known = fs::metadata(path).expect("it is there");
            known.permissions().mode() & 0o777
        };
        assert_eq!(mode(&broker.join(PASSWORDS)), 0o600);
        assert_eq!(mode(&broker), 0o700);
    }

    #[test]
    fn a_larger_packet_of_the_boards_is_one_of_the_brokers() {
        let largest = |text: &str| {
            let (_folder, lines) = written(text, None);
            let line = lines
                .iter()
                .find_map(|line| line.strip_prefix("max_packet_size "));
            line.expect("it is there").to_owned()
        };
        assert_eq!(largest(""), "1048576");
        assert_eq!(largest("max_packet_kib = 4096"), "4194304");
    }
}
