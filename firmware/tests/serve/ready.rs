//! When a board says that it is ready, and that it listens: not before that is so.

use super::broker::{Broker, LONG, free_port};
use super::daemon::{Daemon, Ear, configuration, log_says, say};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Stdio;

/// Starts a board that has its broker on this port and a service manager's socket in `folder`.
fn start(port: u16, folder: &Path) -> Daemon {
    let text = format!(
        "[board]\nname = 'Frame'\n[panel]\nkind = 'png'\nwidth = 64\nheight = 48\n\
         [broker]\nhost = '127.0.0.1'\nport = {port}\ndevice = 'frame'\n"
    );
    Daemon::run(&text, folder, |command| {
        let log = File::create(folder.join("log")).expect("it can be written");
        command.stderr(Stdio::from(log));
        command.env("NOTIFY_SOCKET", folder.join("notify"));
    })
}

fn manager(folder: &Path) -> UnixDatagram {
    let ear = UnixDatagram::bind(folder.join("notify")).expect("it can be bound");
    ear.set_read_timeout(Some(LONG)).expect("it can be set");
    ear
}

fn heard(ear: &UnixDatagram) -> String {
    let mut bytes = [0; 4096];
    let length = ear.recv(&mut bytes).expect("the board says something");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

/// One packet of MQTT: its first byte and what follows its length.
fn packet(wire: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut byte = || {
        let mut byte = [0];
        wire.read_exact(&mut byte).expect("the board is there");
        byte[0]
    };
    let kind = byte();
    let (mut length, mut shift) = (0, 0);
    loop {
        let more = byte();
        length |= usize::from(more & 0x7f) << shift;
        shift += 7;
        if more < 0x80 {
            break;
        }
    }
    let mut rest = vec![0; length];
    wire.read_exact(&mut rest).expect("the board is there");
    (kind, rest)
}

/// A broker that has let the board in and has its subscription: the wire, its packet's number, and how many topics.
fn until_it_subscribes(broker: &TcpListener) -> (TcpStream, [u8; 2], usize) {
    let (mut wire, _) = broker.accept().expect("the board comes");
    wire.set_read_timeout(Some(LONG)).expect("it can be set");
    assert_eq!(packet(&mut wire).0, 0x10, "CONNECT");
    wire.write_all(&[0x20, 3, 0, 0, 0]).expect("CONNACK");
    subscription(wire)
}

/// What is retained may come before it, but not that the board is there.
fn subscription(mut wire: TcpStream) -> (TcpStream, [u8; 2], usize) {
    let rest = loop {
        let (kind, rest) = packet(&mut wire);
        if kind == 0x82 {
            break rest;
        }
        assert_eq!(kind & 0xf0, 0x30, "PUBLISH or SUBSCRIBE");
        assert!(!is_online(&rest));
    };
    // Without properties, as the board sends it: number, an empty length, then name and options of each topic.
    let number = [rest[0], rest[1]];
    let mut topics = &rest[3..];
    let mut count = 0;
    while let [high, low, others @ ..] = topics {
        topics = &others[usize::from(*high) * 256 + usize::from(*low) + 1..];
        count += 1;
    }
    (wire, number, count)
}

/// Whether a publication says that the board is there.
fn is_online(publish: &[u8]) -> bool {
    let text = String::from_utf8_lossy(publish);
    text.contains("easel/frame/availability") && text.ends_with("online")
}

fn acknowledge(wire: &mut TcpStream, number: [u8; 2], codes: &[u8]) {
    let mut suback = vec![0x90, 3 + codes.len() as u8, number[0], number[1], 0];
    suback.extend_from_slice(codes);
    wire.write_all(&suback).expect("SUBACK");
}

#[test]
fn a_board_listens_when_its_broker_knows_the_subscription() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    let ear = manager(folder.path());
    let broker = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = broker.local_addr().expect("it is bound").port();
    let daemon = start(port, folder.path());
    let (mut wire, number, count) = until_it_subscribes(&broker);
    assert_eq!(count, 3);
    let log_before = log();
    assert!(!log_before.contains("listens on"), "{log_before}");
    assert!(!log_before.contains("ready"), "{log_before}");
    acknowledge(&mut wire, number, &[1, 1, 1]);
    log_says(folder.path(), "listens on easel/frame/paint");
    while !is_online(&packet(&mut wire).1) {}
    assert!(heard(&ear).starts_with("READY=1\n"));
    log_says(folder.path(), "easel: ready");
    daemon.kill();
}

#[test]
fn a_subscription_that_is_refused_is_said_and_the_board_does_not_claim_to_listen() {
    let folder = tempfile::tempdir().expect("a folder");
    let broker = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = broker.local_addr().expect("it is bound").port();
    let daemon = start(port, folder.path());
    let (mut wire, number, count) = until_it_subscribes(&broker);
    acknowledge(&mut wire, number, &vec![0x87; count]);
    // Then for each command; `paint` is the first.
    let (mut wire, number, count) = subscription(wire);
    let mut codes = vec![1; count];
    codes[0] = 0x87;
    acknowledge(&mut wire, number, &codes);
    let line = log_says(folder.path(), "the broker refuses a subscription to");
    assert!(
        line.contains("easel/frame/paint") && line.contains("access list"),
        "{line}"
    );
    log_says(folder.path(), "easel: ready");
    let log = std::fs::read_to_string(folder.path().join("log")).expect("it is there");
    assert!(!log.contains("listens on"), "{log}");
    assert_eq!(log.matches("refuses a subscription").count(), 1, "{log}");
    daemon.kill();
}

#[test]
fn a_board_whose_broker_is_away_is_ready_all_the_same() {
    let nobody = free_port();
    // One that takes connections and never says a word.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    for port in [nobody, mute.local_addr().expect("it is bound").port()] {
        let folder = tempfile::tempdir().expect("a folder");
        let ear = manager(folder.path());
        let daemon = start(port, folder.path());
        log_says(folder.path(), "easel: ready; the broker is away");
        assert!(heard(&ear).starts_with("READY=1\n"));
        let log = std::fs::read_to_string(folder.path().join("log")).expect("it is there");
        assert!(!log.contains("listens on"), "{log}");
        daemon.stop();
    }
}

#[test]
fn a_prompt_that_is_sent_as_soon_as_the_board_listens_is_painted() {
    let broker = Broker::open();
    for round in 0..3 {
        // Another state folder and a broker that knows no session: nothing is kept for it.
        let folder = tempfile::tempdir().expect("a folder");
        let log = File::create(folder.path().join("log")).expect("it can be written");
        let text = configuration(&broker).replace("'frame'", &format!("'frame{round}'"));
        let daemon = Daemon::run(&text, folder.path(), |command| {
            command.stderr(Stdio::from(log));
        });
        let answers = Ear::on(&broker, &format!("easel/frame{round}/response"));
        log_says(folder.path(), "listens on");
        say(&broker, &format!("easel/frame{round}/paint"), "a cat");
        assert_eq!(answers.next_json()["status"], "queued");
        daemon.stop();
    }
}
