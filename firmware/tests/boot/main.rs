//! A card's image on an emulated board, from the power switch to the picture, with a broker outside. What is booted is the
//! image that is shipped, with the kernel and the service manager in it; only the board is another one.
//!
//! `firmware/packaging/boot-test.sh` makes the image and runs this.
#![allow(
    clippy::unwrap_used,
    reason = "a test, whose helpers are functions of their own"
)]

mod board;
#[allow(dead_code, reason = "the broker's own tests use the rest")]
#[path = "../mqtt/broker.rs"]
mod broker;
#[allow(dead_code, reason = "the broker's own tests use the rest")]
#[path = "../mqtt/dashboard.rs"]
mod dashboard;
#[path = "../guest/monitor.rs"]
mod monitor;

use board::{AT_MOST, Board, Card, SCREEN};
use broker::Broker;
use dashboard::Dashboard;
use easel_firmware::display::{Frame, Screen, draw};
use image::RgbImage;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

const USER: &str = "frame";
const PASSWORD: &str = "opens the broker";

/// Decibels between what the screen shows and what was published: the one was a JPEG in between.
const ALIKE_DB: f64 = 30.0;

#[test]
#[ignore = "needs an image and some minutes: firmware/packaging/boot-test.sh"]
fn a_card_becomes_a_picture_frame() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let broker = broker_with_a_password();
    let card = Card::write(&image_file(), folder.path());
    // 10.0.2.2: this machine, as the emulated board sees it.
    let address = format!("mqtt://10.0.2.2:{}", broker.port);
    card.edit("easel.txt", &easel_txt(&address));
    let house = House::at(broker.port);

    // The first start: the card is set up.
    let mut board = Board::power_on(&card, folder.path());
    let device = house.device(&mut board);
    let ready = board.begun.elapsed();
    let first = house.paint(
        &device,
        &json!({"prompt": "a blue cat", "id": "one", "seed": 7}),
    );
    board.until("the screen shows the first picture", |board| {
        first.is_on(board)
    });
    println!("first start to READY: {:.0} s", ready.as_secs_f64());
    println!("prompt to picture: {:.0} s", first.seconds);
    println!("the daemon's memory: {} MiB", house.memory(&device));

    let log = card.read("easel-setup.log");
    assert!(log.contains("easel.txt is applied"), "{log}");
    assert!(!log.contains("forgotten"), "{log}");
    let left = card.read("easel.txt");
    assert!(!left.contains(PASSWORD), "{left}");

    // The power goes in the middle of a picture, and comes back.
    let long = json!({"prompt": "three red apples", "id": "two", "seed": 8, "steps": 30});
    house.ask(&device, &long);
    house.is_painting("two", 3);
    board.cut_power();
    house.dashboard.forget();
    let mut board = Board::power_on(&card, folder.path());
    assert_eq!(house.device(&mut board), device, "it is the same one");
    println!(
        "next start to READY: {:.0} s",
        board.begun.elapsed().as_secs_f64()
    );
    let second = house.done(&device, "two", Instant::now());
    board.until("the screen shows the second picture", |board| {
        second.is_on(board)
    });
    assert!(
        !first.is_on(&mut board),
        "the pictures cannot be told apart"
    );
}

#[test]
#[ignore = "needs an image and some minutes: firmware/packaging/boot-test.sh"]
fn a_card_brings_a_broker_to_a_house_without_one() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let card = Card::write(&image_file(), folder.path());
    card.edit("easel.txt", &easel_txt("embedded"));
    let mut board = Board::power_on(&card, folder.path());
    board.until("its broker lets us in", |board| lets_in(board.mqtt));
    let house = House::at(board.mqtt);
    let device = house.device(&mut board);
    let picture = house.paint(
        &device,
        &json!({"prompt": "a blue cat", "seed": 7, "id": "one"}),
    );
    board.until("the screen shows it", |board| picture.is_on(board));
}

/// Whether a broker takes a message of ours there; what forwards the port takes connections before there is one.
fn lets_in(port: u16) -> bool {
    let port = port.to_string();
    let said = Command::new("mosquitto_pub")
        .args(["-p", &port, "-u", USER, "-P", PASSWORD, "-q", "1"])
        .args(["-t", "hello", "-m", "is anybody there?"])
        .stderr(Stdio::null())
        .status()
        .expect("mosquitto_pub: apt-get install mosquitto-clients");
    said.success()
}

/// `EASEL_IMAGE`, or what `firmware/image/build.sh` makes.
fn image_file() -> PathBuf {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/image/easel.img");
    std::env::var_os("EASEL_IMAGE").map_or(made, PathBuf::from)
}

fn easel_txt(broker: &str) -> String {
    // As an editor of another system leaves the file.
    format!(
        "\u{feff}# This frame\r\nhostname = hallway\r\nboard = generic-arm64\r\npanel = hdmi\r\n\
         broker = {broker}\r\nbroker_user = {USER}\r\nbroker_password = {PASSWORD}\r\n\
         timezone = Europe/Berlin"
    )
}

fn broker_with_a_password() -> Broker {
    let folder = tempfile::tempdir().unwrap();
    let passwords = folder.path().join("passwords");
    let made = Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&passwords)
        .args([USER, PASSWORD])
        .status()
        .expect("mosquitto_passwd: apt-get install mosquitto");
    assert!(made.success());
    let lines = format!("password_file {}\n", passwords.display());
    Broker::with(folder, &lines)
}

/// The rest of the house, on the other side of the broker.
struct House {
    dashboard: Dashboard,
}

impl House {
    fn at(port: u16) -> Self {
        let login = Some((USER, PASSWORD));
        Self {
            dashboard: Dashboard::login(port, &["easel/#"], login),
        }
    }

    /// The topic below which the board is heard: systemd has called it ready, and the broker knows it.
    fn device(&self, board: &mut Board) -> String {
        board.says("Started easel.service");
        let device = self.hear("the board", |topic, payload| {
            let device = topic.strip_suffix("/availability")?;
            (payload == b"online").then(|| device.to_owned())
        });
        // What it paints by itself would come between what is asked for.
        self.dashboard
            .publish(&format!("{device}/set/kiosk"), "OFF");
        device
    }

    fn ask(&self, device: &str, job: &Value) {
        self.dashboard
            .publish(&format!("{device}/paint"), job.to_string());
    }

    fn paint(&self, device: &str, job: &Value) -> Picture {
        let begun = Instant::now();
        self.ask(device, job);
        self.done(device, job["id"].as_str().unwrap(), begun)
    }

    fn is_painting(&self, id: &str, step: u64) {
        self.hear(&format!("step {step} of {id}"), |topic, payload| {
            let state: Value = serde_json::from_slice(payload).ok()?;
            let far = state["step"].as_u64().is_some_and(|done| done >= step);
            (topic.ends_with("/state") && state["id"] == id && far).then_some(())
        });
    }

    /// Waits until a job is done, and gives what was published of it.
    fn done(&self, device: &str, id: &str, begun: Instant) -> Picture {
        let status = self.hear(&format!("the end of {id}"), |topic, payload| {
            let answer: Value = serde_json::from_slice(payload).ok()?;
            let status = answer["status"].as_str()?;
            let ended = !["queued", "painting"].contains(&status);
            (topic.ends_with("/response") && answer["id"] == id && ended).then_some(answer)
        });
        assert_eq!(status["status"], "done", "{status}");
        let seconds = begun.elapsed().as_secs_f64();
        // What a picture shows is said after it.
        let newest = RefCell::default();
        let jpeg = self.hear(&format!("the picture of {id}"), |topic, payload| {
            if topic == format!("{device}/image") {
                newest.replace(payload.to_vec());
            }
            let info: Value = serde_json::from_slice(payload).ok()?;
            (topic.ends_with("/image/info") && info["id"] == id).then(|| newest.take())
        });
        let picture = image::load_from_memory(&jpeg).unwrap().into_rgb8();
        let screen = Screen::Picture {
            picture: Arc::new(picture),
            caption: None,
        };
        Picture {
            expected: draw(&screen, SCREEN, Frame::default()),
            seconds,
        }
    }

    fn memory(&self, device: &str) -> Value {
        self.hear("its health", |topic, payload| {
            let health: Value = serde_json::from_slice(payload).ok()?;
            let rss = health.get("rss_mib")?.clone();
            (topic == format!("{device}/health")).then_some(rss)
        })
    }

    fn hear<T>(&self, what: &str, find: impl Fn(&str, &[u8]) -> Option<T>) -> T {
        self.dashboard.wait_at_most(AT_MOST, what, |message| {
            let topic = std::str::from_utf8(&message.topic).ok()?;
            find(topic, &message.payload)
        })
    }
}

/// A picture that was published.
struct Picture {
    /// How the screen shows it.
    expected: RgbImage,
    /// From the prompt to the answer.
    seconds: f64,
}

impl Picture {
    fn is_on(&self, board: &mut Board) -> bool {
        let screen = board.monitor.screen();
        screen.dimensions() == SCREEN && decibels(&screen, &self.expected) >= ALIKE_DB
    }
}

/// Peak signal-to-noise ratio of pictures of one size.
fn decibels(a: &RgbImage, b: &RgbImage) -> f64 {
    let squares = a.as_raw().iter().zip(b.as_raw()).map(|(&a, &b)| {
        let difference = f64::from(a) - f64::from(b);
        difference * difference
    });
    let mean = squares.sum::<f64>() / a.as_raw().len() as f64;
    10.0 * (255.0 * 255.0 / mean.max(1e-9)).log10()
}
