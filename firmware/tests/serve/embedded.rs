//! A board alone, with a broker of its own.

use super::broker::{LONG, free_port};
use super::daemon::{Daemon, examine, log_says};
use super::dashboard::Dashboard;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(20);

fn configuration(port: u16, more: &str) -> String {
    format!(
        "[board]\nname = 'Frame'\n[panel]\nkind = 'png'\nwidth = 320\nheight = 240\n\
         [broker]\nembedded = true\nport = {port}\ndevice = 'frame'\n{more}"
    )
}

/// Starts one whose words go to `log`.
fn start(port: u16, more: &str, folder: &Path) -> Daemon {
    Daemon::run(&configuration(port, more), folder, |command| {
        let log = File::create(folder.join("log")).expect("it can be written");
        command.stderr(Stdio::from(log));
        command.env_remove("EASEL_MQTT_PASSWORD");
    })
}

/// Starts one and waits until it is on its broker.
fn start_online(port: u16, more: &str, folder: &Path) -> Daemon {
    let daemon = start(port, more, folder);
    log_says(folder, "broker: connected");
    daemon
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LONG, "{what}");
        std::thread::sleep(LOOK);
    }
}

/// The broker that the daemon has started.
fn broker_of(daemon: &Daemon) -> u32 {
    let parent = daemon.id().to_string();
    let found = fs::read_dir("/proc").expect("it is Linux").flatten();
    let mut found = found.filter_map(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // Number, name in brackets, state, parent: proc(5).
        let (head, tail) = stat.rsplit_once(')')?;
        let is_ours = head.ends_with("(mosquitto") && tail.split(' ').nth(2) == Some(&parent);
        is_ours
            .then(|| entry.file_name().to_string_lossy().parse())?
            .ok()
    });
    found.next().expect("it has one")
}

fn runs(process: u32) -> bool {
    // One that has ended and nobody has asked after is still there.
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, tail)| tail.trim_start());
    state.is_some_and(|state| !state.starts_with('Z'))
}

fn kill(process: u32) {
    let killed = Command::new("kill")
        .args(["-KILL", &process.to_string()])
        .status();
    assert!(killed.is_ok_and(|status| status.success()));
}

/// Publishes as a person would; whether the broker took it.
fn say(port: u16, login: &[&str], topic: &str, payload: &str) -> bool {
    let port = port.to_string();
    let said = Command::new("mosquitto_pub")
        .args(["-p", &port, "-q", "1", "-t", topic, "-m", payload])
        .args(login)
        .stderr(Stdio::null())
        .status()
        .expect("mosquitto_pub: run `apt-get install mosquitto-clients`");
    said.success()
}

fn has_painted(dashboard: &Dashboard, port: u16, login: &[&str], id: &str) {
    let order = format!(r#"{{"prompt": "a cat", "id": "{id}", "steps": 2, "seed": 1}}"#);
    assert!(say(port, login, "easel/frame/paint", &order));
    let done = format!(r#""id":"{id}","status":"done""#);
    dashboard.text("easel/frame/response", &done);
}

#[test]
fn a_board_alone_paints_and_remembers_its_picture() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let daemon = start_online(port, "", folder.path());
    let line = log_says(folder.path(), "broker: mosquitto ");
    assert!(
        line.ends_with(&format!(" on 127.0.0.1:{port}, this machine alone")),
        "{line}"
    );
    assert!(
        TcpStream::connect(("127.0.0.2", port)).is_err(),
        "other addresses are not listened on"
    );
    let dashboard = Dashboard::open(port, &["easel/frame/#"]);
    has_painted(&dashboard, port, &[], "one");
    let broker = broker_of(&daemon);
    daemon.stop();
    assert!(!runs(broker));
    let log = fs::read_to_string(folder.path().join("log")).expect("it is there");
    assert!(!log.contains("not all that was to be said"), "{log}");

    // As it was left: said by the broker before the board is there, and not by the board itself.
    let mut alone = Command::new("/usr/sbin/mosquitto")
        .arg("-c")
        .arg(folder.path().join("broker/mosquitto.conf"))
        .spawn()
        .expect("run `apt-get install mosquitto`");
    wait_until("it listens", || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let dashboard = Dashboard::open(port, &["easel/frame/#"]);
    dashboard.text("easel/frame/availability", "offline");
    dashboard.text("easel/frame/image/info", r#""id":"one""#);
    dashboard.wait("picture", |message| {
        (message.topic.as_ref() == b"easel/frame/image" && message.retain)
            .then(|| image::load_from_memory(&message.payload).expect("it is a JPEG"))
    });
    let _ = alone.kill();
    let _ = alone.wait();

    let daemon = start_online(port, "", folder.path());
    let dashboard = Dashboard::open(port, &["easel/frame/#"]);
    dashboard.text("easel/frame/availability", "online");
    has_painted(&dashboard, port, &[], "two");
    daemon.stop();
}

#[test]
fn with_a_password_others_may_come_and_must_know_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let password = folder.path().join("password");
    fs::write(&password, "hunter2: x\n").expect("it can be written");
    let login = format!(
        "username = 'frame'\npassword_file = '{}'\n",
        password.display()
    );
    let daemon = start_online(port, &login, folder.path());
    log_says(folder.path(), &format!("on port {port}, for user frame"));
    TcpStream::connect(("127.0.0.2", port)).expect("all addresses are listened on");
    for wrong in [
        &[][..],
        &["-u", "frame", "-P", "hunter2"],
        &["-u", "other", "-P", "hunter2: x"],
    ] {
        let taken = say(port, wrong, "easel/frame/paint", "a cat");
        assert!(!taken, "{wrong:?}");
    }
    let right = ["-u", "frame", "-P", "hunter2: x"];
    let dashboard = Dashboard::login(port, &["easel/frame/#"], Some(("frame", "hunter2: x")));
    has_painted(&dashboard, port, &right, "one");
    daemon.stop();
    for file in ["log", "broker/mosquitto.conf", "broker/passwords"] {
        let text = fs::read_to_string(folder.path().join(file)).expect("it is there");
        assert!(!text.contains("hunter2"), "{file}: {text}");
    }
}

#[test]
fn a_broker_that_dies_is_started_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let daemon = start_online(port, "", folder.path());
    let log = || fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    for deaths in 1..=3 {
        let broker = broker_of(&daemon);
        kill(broker);
        wait_until("the board is on it again", || {
            log().matches("broker: connected").count() == 1 + deaths
        });
        assert_ne!(broker_of(&daemon), broker);
    }
    let line = log_says(folder.path(), "mosquitto ended");
    assert!(line.contains("SIGKILL"), "{line}");
    assert!(
        !log().contains("another board of this name"),
        "nobody else is to blame: {}",
        log()
    );
    let dashboard = Dashboard::open(port, &["easel/frame/#"]);
    dashboard.text("easel/frame/availability", "online");
    has_painted(&dashboard, port, &[], "one");
    daemon.stop();
}

#[test]
fn a_broker_ends_with_easel_however_that_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let daemon = start_online(port, "", folder.path());
    let broker = broker_of(&daemon);
    daemon.kill();
    wait_until("the broker is gone", || !runs(broker));
    // Nothing is in the way of the next.
    let daemon = start_online(port, "", folder.path());
    daemon.stop();
}

#[test]
fn a_port_that_is_taken_keeps_nobody_from_painting() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = other.local_addr().expect("it is bound").port();
    let kiosk =
        "[kiosk]\nenabled = true\n[[kiosk.playlists]]\nname = 'cats'\nprompts = ['a cat']\n";
    let daemon = start(port, kiosk, folder.path());
    let taken = format!("another program listens on port {port}");
    let line = log_says(folder.path(), &taken);
    assert!(line.contains("systemctl disable --now mosquitto"), "{line}");
    let history = folder.path().join("history");
    wait_until("the playlist is painted", || {
        let pictures = fs::read_dir(&history).into_iter().flatten().flatten();
        let mut names = pictures.map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().ends_with(".png"))
    });
    drop(other);
    log_says(folder.path(), "broker: connected");
    let dashboard = Dashboard::open(port, &["easel/frame/#"]);
    has_painted(&dashboard, port, &[], "one");
    let log = fs::read_to_string(folder.path().join("log")).expect("it is there");
    assert_eq!(log.matches(&taken).count(), 1, "it is said once: {log}");
    daemon.stop();
}

#[test]
fn a_memory_that_is_damaged_is_set_aside() {
    let folder = tempfile::tempdir().expect("a folder");
    let broker = folder.path().join("broker");
    fs::create_dir(&broker).expect("it can be made");
    fs::write(broker.join("mosquitto.db"), "half a p").expect("it can be written");
    let daemon = start_online(free_port(), "", folder.path());
    log_says(folder.path(), "set aside as mosquitto.db.damaged");
    let kept = fs::read_to_string(broker.join("mosquitto.db.damaged"));
    assert_eq!(kept.expect("it is there"), "half a p");
    daemon.stop();
}

#[test]
fn the_doctor_asks_the_boards_own_broker() {
    let folder = tempfile::tempdir().expect("a folder");
    let daemon = start_online(free_port(), "", folder.path());
    let report = examine(folder.path(), &["--no-display"]);
    assert!(report.contains("there and back"), "{report}");
    daemon.stop();
    let report = examine(folder.path(), &["--no-display"]);
    assert!(
        report.contains("easel serve will start mosquitto"),
        "{report}"
    );
}
