//! The daemon with the default model and a real Mosquitto: from a message to a picture on the panel, through power cuts.
//!
//! Waits are for conditions, with deadlines that only a hung machine reaches.

mod bad_models;
mod beside;
#[allow(dead_code, reason = "the broker's own tests use the rest")]
#[path = "../mqtt/broker.rs"]
mod broker;
mod daemon;
#[allow(dead_code, reason = "the broker's own tests use the rest")]
#[path = "../mqtt/dashboard.rs"]
mod dashboard;
mod embedded;
mod fleet;
#[allow(dead_code, reason = "the library's own tests use the rest")]
#[path = "../../../tests/hostile/all.rs"]
mod hostile;
mod panel;
mod pictures;
mod ready;
mod refused;
mod reload;
mod requests;
mod soak;
mod threads;
mod unrest;

use broker::Broker;
use daemon::{Daemon, Ear, examine, log_says, logged, say};
use std::collections::HashMap;

fn status(message: &serde_json::Value) -> (String, String) {
    let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
    (text("id"), text("status"))
}

#[test]
fn a_message_becomes_a_picture() {
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let daemon = Daemon::start(&broker, folder.path());
    let responses = Ear::on(&broker, "easel/frame/response");
    say(
        &broker,
        "easel/frame/paint",
        r#"{"prompt": "a blue cat", "id": "one", "seed": 7}"#,
    );
    for wanted in ["queued", "painting", "done"] {
        let answer = responses.next_json();
        assert_eq!(
            status(&answer),
            ("one".to_owned(), wanted.to_owned()),
            "{answer}"
        );
    }
    let image = Ear::on(&broker, "easel/frame/image").next_bytes();
    let image = image::load_from_memory(&image).expect("it is a JPEG");
    assert_eq!((image.width(), image.height()), (128, 128));
    let info = Ear::on(&broker, "easel/frame/image/info").next_json();
    assert_eq!(
        (&info["prompt"], &info["seed"]),
        (&"a blue cat".into(), &7.into())
    );
    daemon.panel_shows(|panel| panel.dimensions() == (800, 480));

    // The same name again is the same job, and what cannot be read is said so.
    say(
        &broker,
        "easel/frame/paint",
        r#"{"prompt": "a blue cat", "id": "one"}"#,
    );
    assert_eq!(status(&responses.next_json()).1, "done");
    say(
        &broker,
        "easel/frame/paint",
        r#"{"prompt": "a cat", "stepz": 3}"#,
    );
    let answer = responses.next_json();
    assert_eq!(status(&answer).1, "rejected");
    assert!(
        answer["error"]["text"]
            .as_str()
            .is_some_and(|text| text.contains("stepz")),
        "{answer}"
    );
    say(
        &broker,
        "easel/frame/paint",
        r#"{"prompt": "a cat", "size": "100x128"}"#,
    );
    assert_eq!(responses.next_json()["error"]["code"], "invalid_size");

    daemon.stop();
    assert_eq!(
        Ear::on(&broker, "easel/frame/availability").next_bytes(),
        b"offline"
    );
}

#[test]
fn a_broker_that_hangs_for_a_minute_and_a_half_is_left_and_found_again() {
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let daemon = logged(&broker, folder.path(), &[]);
    let responses = Ear::on(&broker, "easel/frame/response");
    let order = |id: &str| format!(r#"{{"prompt": "a cat", "id": "{id}", "steps": 300}}"#);
    say(&broker, "easel/frame/paint", &order("before"));
    assert_eq!(status(&responses.next_json()).1, "queued");
    broker.signal("STOP");
    // Not a wait for a condition: this is how long a board must bear it, three times the keep-alive.
    std::thread::sleep(std::time::Duration::from_secs(90));
    broker.signal("CONT");
    // What was painted meanwhile is told, and the next prompt is heard.
    while status(&responses.next_json()) != ("before".to_owned(), "done".to_owned()) {}
    let availability = Ear::on(&broker, "easel/frame/availability");
    while availability.next_bytes() != b"online" {}
    say(&broker, "easel/frame/paint", &order("after"));
    while status(&responses.next_json()) != ("after".to_owned(), "done".to_owned()) {}
    let noticed = format!("broker 127.0.0.1:{}: the broker ", broker.port);
    log_says(folder.path(), &noticed);
    daemon.stop();
}

#[test]
fn a_long_job_is_cancelled() {
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let daemon = Daemon::start(&broker, folder.path());
    let responses = Ear::on(&broker, "easel/frame/response");
    say(
        &broker,
        "easel/frame/paint",
        r#"{"prompt": "a cat", "id": "long", "steps": 1000}"#,
    );
    say(
        &broker,
        "easel/frame/paint",
        r#"{"prompt": "a cat", "id": "waits"}"#,
    );
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.push(status(&responses.next_json()));
    }
    say(&broker, "easel/frame/cancel", "waits");
    assert_eq!(
        status(&responses.next_json()),
        ("waits".to_owned(), "cancelled".to_owned())
    );
    say(&broker, "easel/frame/cancel", "");
    assert_eq!(
        status(&responses.next_json()),
        ("long".to_owned(), "cancelled".to_owned())
    );
    daemon.stop();
}

#[test]
fn the_doctor_sees_that_a_board_is_served_and_disturbs_nothing() {
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let daemon = Daemon::start(&broker, folder.path());
    let availability = Ear::on(&broker, "easel/frame/availability");
    assert_eq!(availability.next_bytes(), b"online");
    let report = examine(folder.path(), &[]);
    assert!(report.contains("and easel serve runs"), "{report}");
    assert!(report.contains("there and back"), "{report}");
    assert!(
        report.contains("easel serve has the panel"),
        "what the board shows is not overwritten: {report}"
    );
    daemon.stop();
    // The next word is the last: the board was there all the time.
    assert_eq!(availability.next_bytes(), b"offline");
}

#[test]
fn no_prompt_is_lost_when_the_power_goes() {
    // More of them before a release: docs/reliability.md.
    let asked = std::env::var("EASEL_POWER_CUTS").ok();
    let cuts: usize = asked.map_or(6, |cuts| cuts.parse().expect("a number of power cuts"));
    let prompts = 10 * cuts.max(3);
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let responses = Ear::on(&broker, "easel/frame/response");
    let mut daemon = Daemon::start(&broker, folder.path());
    let mut done: HashMap<String, usize> = HashMap::new();
    let mut said = 0;
    for cut in 0..=cuts {
        while said < prompts * (cut + 1) / (cuts + 1) {
            let prompt = format!(r#"{{"prompt": "a cat", "id": "job-{said}", "steps": 40}}"#);
            say(&broker, "easel/frame/paint", &prompt);
            said += 1;
        }
        if cut == cuts {
            break;
        }
        // Somewhere in the middle of it: after so many messages, which are never the same. Each job is interrupted once at
        // most; twice looks as if it ended the program.
        let before = done.values().sum::<usize>();
        let mut more = cut % 7;
        // The queue has room for what is said between this cut and the next.
        while done.values().sum::<usize>() == before || more > 0 || said > done.len() + 100 {
            count(&responses.next_json(), &mut done);
            more = more.saturating_sub(1);
        }
        daemon.kill();
        say(
            &broker,
            "easel/frame/response",
            r#"{"status": "power cut"}"#,
        );
        while count(&responses.next_json(), &mut done) != "power cut" {}
        daemon = Daemon::start(&broker, folder.path());
    }
    while done.len() < prompts {
        count(&responses.next_json(), &mut done);
    }
    daemon.stop();
    let entries = std::fs::read_dir(folder.path().join("history")).expect("a history");
    let pictures = entries
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "png"))
        .map(|entry| image::open(entry.path()).expect("it is whole"));
    assert_eq!(pictures.count(), prompts);
    let twice = done.values().filter(|&&times| times > 1).count();
    println!("{prompts} prompts, {cuts} power cuts: all painted, {twice} said to be done twice");
}

/// Notes what is done, and returns the status; nothing may fail.
fn count(answer: &serde_json::Value, done: &mut HashMap<String, usize>) -> String {
    let (id, status) = status(answer);
    match status.as_str() {
        "done" => *done.entry(id).or_default() += 1,
        "painting" => assert!(!done.contains_key(&id), "{id} is painted again"),
        "queued" | "power cut" => {}
        _ => panic!("{answer}"),
    }
    status
}
