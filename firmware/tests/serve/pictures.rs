//! Jobs that are painted from pictures: refused, kept, painted, and killed at random moments.

use super::broker::{Broker, LONG};
use super::daemon::{Daemon, Ear, configuration, say};
use super::dashboard::Dashboard;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PAINT: &str = "easel/frame/paint";
const RESPONSE: &str = "easel/frame/response";

/// A small model, and what it takes.
fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../test-models")
        .join(name)
}

fn start(broker: &Broker, folder: &Path, name: &str) -> Daemon {
    Daemon::start_as(broker, folder, |command| {
        command.env("EASEL_MODEL", model(name));
    })
}

/// A picture's file that no other number has.
fn file(number: u8, side: u32) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(side, side, |x, y| {
        image::Rgb([number.wrapping_mul(37), (x * 4) as u8, (y * 4) as u8])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .expect("it is written");
    bytes.into_inner()
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at > three.len() {
                '='
            } else {
                char::from(digit)
            });
        }
    }
    text
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// The next answer for this job that is not about its way.
fn end(responses: &Ear, id: &str) -> Value {
    loop {
        let answer = responses.next_json();
        let on_its_way = answer["status"] == "queued" || answer["status"] == "painting";
        if answer["id"] == id && !on_its_way {
            return answer;
        }
    }
}

#[test]
fn what_is_no_picture_is_refused_and_what_is_one_is_painted_from() {
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let daemon = start(&broker, folder.path(), "tiny/int8");
    let responses = Ear::on(&broker, RESPONSE);
    let picture = base64(&file(1, 64));
    let bomb = base64(&file(0, 5000));
    for (fields, code) in [
        (json!({"image": {"data": "%%%"}}), "invalid_image"),
        (
            json!({"image": {"data": base64(b"GIF89a...")}}),
            "invalid_image",
        ),
        (json!({"image": {"data": bomb}}), "invalid_image"),
        (json!({"image": {"history": "nobody"}}), "unknown_id"),
        (json!({"image": {"history": "last"}}), "unknown_id"),
        (json!({"strength": 0.5}), "invalid_strength"),
        (
            json!({"control": {"image": {"data": picture}}}),
            "no_controlnet",
        ),
        (json!({"ip_image": {"data": picture}}), "no_ip_adapter"),
    ] {
        let mut order = fields;
        (order["prompt"], order["id"]) = ("a cat".into(), "wrong".into());
        Dashboard::open(broker.port, &[]).publish(PAINT, order.to_string());
        let answer = end(&responses, "wrong");
        assert_eq!(answer["status"], "rejected", "{answer}");
        assert_eq!(answer["error"]["code"], code, "{answer}");
    }
    assert!(names(&folder.path().join("queue/pictures")).is_empty());
    let asks = Dashboard::open(broker.port, &[]);
    let paint = |id: &str, fields: Value| {
        let mut order = fields;
        (order["prompt"], order["id"], order["steps"]) = ("a cat".into(), id.into(), 2.into());
        asks.publish(PAINT, order.to_string());
        let answer = end(&responses, id);
        assert_eq!(answer["status"], "done", "{answer}");
    };
    paint(
        "one",
        json!({"image": {"data": picture}, "strength": "0.5"}),
    );
    paint(
        "two",
        json!({"image": {"history": "one"}, "mask": {"data": picture}}),
    );
    // The picture of the last one, a little different.
    say(&broker, "easel/frame/vary", "");
    let varied = responses.next_json();
    assert_eq!(varied["status"], "queued", "{varied}");
    let id = varied["id"].as_str().expect("it has one");
    assert_eq!(end(&responses, id)["status"], "done");
    daemon.stop();
    assert!(names(&folder.path().join("queue/pictures")).is_empty());

    // A model that cannot read pictures.
    let blind = folder.path().join("blind");
    std::fs::create_dir(&blind).expect("it can be made");
    let seeing = model("tiny/int8").canonicalize().expect("a test model");
    for name in names(&seeing).iter().filter(|name| *name != "vae_encoder") {
        std::os::unix::fs::symlink(seeing.join(name), blind.join(name)).expect("a link");
    }
    let daemon = Daemon::start_as(&broker, folder.path(), |command| {
        command.env("EASEL_MODEL", &blind);
    });
    let order = json!({"prompt": "a cat", "id": "blind", "image": {"history": "last"}});
    asks.publish(PAINT, order.to_string());
    assert_eq!(end(&responses, "blind")["error"]["code"], "no_encoder");
    asks.publish("easel/frame/vary", "");
    let refused = responses.next_json();
    assert_eq!(refused["error"]["code"], "no_encoder", "{refused}");
    daemon.stop();
}

/// The picture of this job, as the history keeps it.
fn painted(folder: &Path, id: &str) -> image::RgbImage {
    let history = folder.join("history");
    let end = format!("-{id}.png");
    let name = names(&history)
        .into_iter()
        .find(|name| name.ends_with(&end));
    let name = name.expect("it is in the history");
    let picture = image::open(history.join(name)).expect("it is whole");
    picture.into_rgb8()
}

#[test]
fn models_with_adapters_paint_from_what_an_order_brings() {
    let broker = Broker::open();
    let responses = Ear::on(&broker, RESPONSE);
    let asks = Dashboard::open(broker.port, &[]);
    let data = |number| json!({"data": base64(&file(number, 64))});
    for (name, orders) in [
        (
            "tiny-control/int8",
            [
                json!({}),
                json!({"control": {"image": data(1)}}),
                json!({"control": [
                    {"image": data(1), "preprocessor": "canny", "scale": 0.5},
                    {"image": {"history": "job-0"}, "end": "0.5"},
                ]}),
            ],
        ),
        (
            "tiny-ip/int8",
            [
                json!({}),
                json!({"ip_image": data(2)}),
                json!({"ip_image": data(2), "ip_scale": 0.5}),
            ],
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let daemon = start(&broker, folder.path(), name);
        let mut pictures = Vec::new();
        for (number, mut order) in orders.into_iter().enumerate() {
            let id = format!("job-{number}");
            order["prompt"] = "a cat".into();
            (order["id"], order["steps"], order["seed"]) = (id.as_str().into(), 2.into(), 5.into());
            asks.publish(PAINT, order.to_string());
            let answer = end(&responses, &id);
            assert_eq!(answer["status"], "done", "{name}: {answer}");
            pictures.push(painted(folder.path(), &id).into_raw());
        }
        daemon.stop();
        let different: BTreeSet<&Vec<u8>> = pictures.iter().collect();
        assert_eq!(different.len(), pictures.len(), "{name}: one is not heeded");
        assert!(names(&folder.path().join("queue/pictures")).is_empty());
    }
}

#[test]
fn a_playlist_varies_what_it_painted() {
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let responses = Ear::on(&broker, RESPONSE);
    let playlist = "[model]\nvary_strength = 0.5\n[kiosk]\nenabled = true\ninterval_s = 0\n\
                    [[kiosk.playlists]]\nname = 'cats'\norder = 'sequential'\nsteps = 2\n\
                    prompts = ['a cat', { vary = true }]\n";
    let board = configuration(&broker) + playlist;
    let daemon = Daemon::run(&board, folder.path(), |command| {
        command.env("EASEL_MODEL", model("tiny/int8"));
    });
    let mut done = Vec::new();
    while done.len() < 2 {
        let answer = responses.next_json();
        assert_ne!(answer["status"], "rejected", "{answer}");
        if answer["status"] == "done" {
            done.push(answer["id"].as_str().expect("it has one").to_owned());
        }
    }
    daemon.stop();
    let history = folder.path().join("history");
    let record = |id: &str| -> Value {
        let end = format!("-{id}.json");
        let name = names(&history)
            .into_iter()
            .find(|name| name.ends_with(&end));
        let text = std::fs::read(history.join(name.expect("a record"))).expect("it is there");
        serde_json::from_slice(&text).expect("it is JSON")
    };
    let (first, varied) = (record(&done[0]), record(&done[1]));
    assert!(first["pictures"].is_null(), "{first}");
    assert_eq!(varied["pictures"]["image"]["history"], done[0], "{varied}");
    assert_eq!(varied["pictures"]["strength"], 0.5);
    assert_eq!(varied["prompt"], first["prompt"]);
    assert_ne!(varied["seed"], first["seed"]);
}

/// `EASEL_PICTURE_KILLS=300` before a release; `EASEL_UNREST_SEED` has another course of it.
#[test]
fn no_job_with_a_picture_is_lost_however_often_the_board_is_killed() {
    let number = |name: &str, default: usize| {
        let asked = std::env::var(name).ok();
        asked.map_or(default, |asked| asked.parse().expect("a number"))
    };
    let kills = number("EASEL_PICTURE_KILLS", 30);
    let mut random = fastrand::Rng::with_seed(number("EASEL_UNREST_SEED", 1) as u64);
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let responses = Ear::on(&broker, RESPONSE);
    let asks = Dashboard::open(broker.port, &[]);
    // Five pictures, which jobs share.
    let pictures: Vec<String> = (0..5).map(|number| base64(&file(number, 64))).collect();
    let order = |id: usize, seed: usize| {
        let data = |number: usize| json!({"data": pictures[number % 5]});
        let mut order =
            json!({"prompt": "a cat", "id": format!("job-{id}"), "steps": 6, "image": data(seed)});
        if seed.is_multiple_of(3) {
            order["mask"] = data(seed + 1);
        }
        order.to_string()
    };
    let run = || {
        Daemon::run(&configuration(&broker), folder.path(), |command| {
            command.env("EASEL_MODEL", model("tiny/int8"));
        })
    };
    let mut orders = Vec::new();
    for _ in 0..kills {
        let daemon = run();
        for _ in 0..2 {
            let seed = random.usize(0..15);
            orders.push(order(orders.len(), seed));
            asks.publish(PAINT, orders.last().expect("just pushed").clone());
        }
        std::thread::sleep(Duration::from_millis(random.u64(0..900)));
        daemon.kill();
    }
    let daemon = run();
    let mut answers: HashMap<String, Vec<Value>> = HashMap::new();
    let begun = Instant::now();
    let is_over = |said: Option<&Vec<Value>>| {
        let over = |answer: &Value| answer["status"] == "done" || answer["status"] == "error";
        said.is_some_and(|said| said.iter().any(over))
    };
    let mut asked = Instant::now();
    while (0..orders.len()).any(|id| !is_over(answers.get(&format!("job-{id}")))) {
        assert!(begun.elapsed() < LONG, "{answers:?}");
        if let Some(answer) = responses.heard_within(Duration::from_millis(500)) {
            let id = answer["id"].as_str().unwrap_or_default().to_owned();
            answers.entry(id).or_default().push(answer);
        }
        // An answer may have been lost with a program; the same order again is the same job.
        if asked.elapsed() > Duration::from_secs(5) {
            asked = Instant::now();
            for (id, order) in orders.iter().enumerate() {
                if !is_over(answers.get(&format!("job-{id}"))) {
                    asks.publish(PAINT, order.clone());
                }
            }
        }
    }
    daemon.stop();
    let painted: Vec<String> = names(&folder.path().join("history"))
        .into_iter()
        .filter_map(|name| Some(name.strip_suffix(".png")?.split_once('-')?.1.to_owned()))
        .collect();
    let different: BTreeSet<&String> = painted.iter().collect();
    assert_eq!(different.len(), painted.len(), "painted twice: {painted:?}");
    let mut set_aside = 0;
    for id in (0..orders.len()).map(|id| format!("job-{id}")) {
        let said = &answers[&id];
        let of = |status: &str| {
            said.iter()
                .filter(|answer| answer["status"] == status)
                .count()
        };
        let first_end = said.iter().position(|answer| answer["status"] == "done");
        if let Some(end) = first_end {
            let again = said[end..]
                .iter()
                .any(|answer| answer["status"] == "painting");
            assert!(!again, "{id} is painted after its end: {said:?}");
            assert!(different.contains(&id), "{id} is done and not there");
        } else {
            // Killed twice in the middle of it.
            let text = said.iter().map(Value::to_string).collect::<String>();
            assert!(text.contains("set aside"), "{id}: {said:?}");
            assert!(of("painting") <= 3, "{said:?}");
            set_aside += 1;
        }
    }
    let left = names(&folder.path().join("queue/pictures"));
    assert!(left.is_empty(), "nobody needs them: {left:?}");
    println!(
        "{} jobs with pictures, {kills} kills: {} painted, {set_aside} set aside after two kills, {} files left",
        orders.len(),
        painted.len(),
        left.len()
    );
}
