//! What is asked of the board, against its journal and its history, through kills and restarts.

use super::broker::Broker;
use super::daemon::{Daemon, Ear, configuration, say};
use serde_json::Value;

const PAINT: &str = "easel/frame/paint";

/// The answer with this status for this job; those before it are passed.
fn answer(responses: &Ear, id: &str, status: &str) -> Value {
    loop {
        let answer = responses.next_json();
        if answer["id"] == id && answer["status"] == status {
            return answer;
        }
        let is_other = answer["id"] != id;
        let is_before = ["queued", "painting"]
            .iter()
            .any(|s| answer["status"] == *s);
        assert!(is_other || is_before, "not {status}: {answer}");
    }
}

#[test]
fn a_job_that_was_cancelled_is_not_painted_again_however_the_board_ends() {
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let responses = Ear::on(&broker, "easel/frame/response");
    let mut daemon = Daemon::start(&broker, folder.path());
    for turn in 0..3 {
        let id = format!("long-{turn}");
        let order =
            format!(r#"{{"prompt": "a cat", "id": "{id}", "steps": 500, "size": "512x512"}}"#);
        say(&broker, PAINT, &order);
        answer(&responses, &id, "painting");
        say(&broker, "easel/frame/cancel", "");
        answer(&responses, &id, "cancelled");
        daemon.kill();
        daemon = Daemon::start(&broker, folder.path());
        // The next is the next, and the same order again is told what became of it.
        say(&broker, PAINT, &order);
        answer(&responses, &id, "cancelled");
        let next = format!("next-{turn}");
        let order = format!(r#"{{"prompt": "a cat", "id": "{next}", "steps": 1}}"#);
        say(&broker, PAINT, &order);
        answer(&responses, &next, "done");
    }
    daemon.stop();
    let history = std::fs::read_dir(folder.path().join("history")).expect("a history");
    let names: Vec<String> = history
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    assert!(
        names.iter().any(|name| name.contains("next-2"))
            && names.iter().all(|name| !name.contains("long")),
        "{names:?}"
    );
}

#[test]
fn an_id_is_that_of_one_order_also_when_the_journal_is_lost() {
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let responses = Ear::on(&broker, "easel/frame/response");
    let daemon = Daemon::start(&broker, folder.path());
    let order = r#"{"prompt": "a cat <lora:ink:1>", "id": "mine", "steps": 1}"#;
    say(&broker, PAINT, order);
    let done = answer(&responses, "mine", "done");
    let warning = done["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains("<lora:ink:1> is left out"), "{done}");
    daemon.stop();
    std::fs::remove_file(folder.path().join("queue/journal")).expect("it was there");

    let daemon = Daemon::start(&broker, folder.path());
    // The same, as another program writes it.
    say(&broker, PAINT, &order.replace("1}", r#""1.0"}"#));
    answer(&responses, "mine", "done");
    for other in [
        order.replace("cat", "dog"),
        order.replace("1}", "2}"),
        order.replace("1}", r#"1, "seed": 4}"#),
    ] {
        say(&broker, PAINT, &other);
        let taken = answer(&responses, "mine", "rejected");
        assert_eq!(taken["error"]["code"], "id_taken", "{other}: {taken}");
    }
    daemon.stop();
}

#[test]
fn what_the_model_does_not_know_is_answered_and_on_the_panel() {
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let responses = Ear::on(&broker, "easel/frame/response");
    let pictures = Ear::on(&broker, "easel/frame/image/info");
    let daemon = Daemon::start(&broker, folder.path());
    let order = |id: &str, prompt: &str| {
        format!(r#"{{"prompt": "{prompt}", "id": "{id}", "seed": 3, "steps": 2}}"#)
    };
    // Dark below the picture, behind the words: the default model paints a bright background there.
    let is_dark = |panel: &image::RgbImage| {
        let row = panel.height() - 8;
        (0..panel.width()).all(|x| {
            panel
                .get_pixel(x, row)
                .0
                .iter()
                .map(|v| u32::from(*v))
                .sum::<u32>()
                < 420
        })
    };
    say(
        &broker,
        PAINT,
        &order("known", "a cat on a yellow background"),
    );
    let done = answer(&responses, "known", "done");
    assert!(done.get("warnings").is_none(), "{done}");
    daemon.panel_shows(|panel| !is_dark(panel) && panel.get_pixel(4, 4).0[0] > 180);
    say(
        &broker,
        PAINT,
        &order("partly", "a cat and a dinosaur on a yellow background"),
    );
    let done = answer(&responses, "partly", "done");
    let said = done["warnings"][0].as_str().unwrap_or_default();
    assert!(
        said.starts_with("prompt: \"dinosaur\" is not known and was left out"),
        "{done}"
    );
    daemon.panel_shows(|panel| is_dark(panel) && panel.get_pixel(4, 4).0[0] > 180);
    let info = loop {
        let info = pictures.next_json();
        if info["id"] == "partly" {
            break info;
        }
    };
    assert_eq!(
        info["prompt"],
        "a cat and a dinosaur on a yellow background"
    );
    assert_eq!(info["painted_prompt"], "a cat on a yellow background");
    say(&broker, PAINT, &order("unknown", "asdfgh"));
    let refused = answer(&responses, "unknown", "error");
    assert_eq!(refused["error"]["code"], "refused", "{refused}");
    let text = refused["error"]["text"].as_str().unwrap_or_default();
    assert!(text.contains("nothing in it is known"), "{text}");
    daemon.stop();
}

#[test]
fn a_size_that_cannot_be_painted_is_refused_also_when_it_waits_already() {
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let responses = Ear::on(&broker, "easel/frame/response");
    let large = |id: &str| format!(r#"{{"prompt": "a cat", "id": "{id}", "size": "8192x8192"}}"#);
    // Without a model nobody can say what it could not paint.
    let nothing = folder.path().join("nothing");
    let daemon = Daemon::start_as(&broker, folder.path(), |command| {
        command.env("EASEL_MODEL", &nothing);
    });
    say(&broker, PAINT, &large("early"));
    answer(&responses, "early", "queued");
    daemon.stop();

    let daemon = Daemon::run(&configuration(&broker), folder.path(), |_| {});
    let refused = answer(&responses, "early", "error");
    assert_eq!(refused["error"]["code"], "invalid_size", "{refused}");
    say(&broker, PAINT, &large("late"));
    let refused = answer(&responses, "late", "rejected");
    assert_eq!(refused["error"]["code"], "invalid_size", "{refused}");
    let text = refused["error"]["text"].as_str().unwrap_or_default();
    assert!(text.contains("at most 1024 each way"), "{text}");
    say(
        &broker,
        PAINT,
        r#"{"prompt": "a cat", "id": "small", "size": "64x64", "steps": 1}"#,
    );
    answer(&responses, "small", "done");
    daemon.stop();
}
