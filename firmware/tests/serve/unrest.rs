//! Jobs of all sizes, and somebody who cancels, stops and kills at random moments: while the board starts, while a graph is
//! made, in the text encoder, between steps and in the decoder. Nothing that was accepted is lost, nothing that was cancelled
//! is painted, nothing is painted twice, and nobody waits.

use super::broker::{Broker, LONG};
use super::daemon::{Daemon, configuration};
use super::dashboard::Dashboard;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

/// Jobs when nobody asks for more.
const JOBS: usize = 25;
/// A cancel is answered within 2 s and a stop takes 5 s at most, on a machine with nothing else to do. Here, only a board that
/// waits for its painter fails.
const BOUND: Duration = Duration::from_secs(20);
/// Sizes of a model that paints 128x128; the last is beyond it.
const SIZES: [&str; 8] = [
    "",
    "64x64",
    "128x256",
    "256x256",
    "512x384",
    "768x768",
    "1024x1024",
    "8192x8192",
];
const RESPONSE: &str = "easel/frame/response";

/// What happens to a job.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Nothing,
    Cancel,
    /// As soon as that is answered, the program is killed.
    CancelAndKill,
    Stop,
    Kill,
}

/// What came of a job in the end.
#[derive(Debug, Default)]
struct Job {
    order: String,
    /// The broker's `cancelled` was seen.
    cancelled: bool,
    /// Somebody asked for it, and the board may have ended before it said so.
    asked_to_cancel: bool,
    /// Programs that were killed while it was there, and all that ended.
    kills: usize,
    ends: usize,
    /// How often it was asked after: each answer says `painting` as long as it is painted.
    asked_after: usize,
}

struct Board<'a> {
    broker: &'a Broker,
    folder: &'a Path,
    daemon: Option<Daemon>,
    asks: Dashboard,
    listens: Dashboard,
    random: fastrand::Rng,
    jobs: HashMap<String, Job>,
    cancels: Vec<Duration>,
    stops: Vec<Duration>,
    kills: usize,
    refused: usize,
}

impl Board<'_> {
    /// Starts the program; now and then it is told to stop, or killed, before it has begun.
    fn start(&mut self) {
        loop {
            let before = self.times_online();
            let configuration = configuration(self.broker);
            let model = std::env::var_os("EASEL_UNREST_MODEL");
            self.daemon = Some(Daemon::run(&configuration, self.folder, |command| {
                command.envs(model.map(|model| ("EASEL_MODEL", model)));
            }));
            match self.random.u32(0..8) {
                0 => {
                    self.pause(400);
                    self.stop();
                }
                1 => {
                    self.pause(400);
                    self.kill();
                }
                _ => {
                    self.wait_until("online", |board| board.times_online() > before);
                    return;
                }
            }
        }
    }

    fn times_online(&self) -> usize {
        let said = self.listens.payloads("easel/frame/availability");
        said.iter().filter(|said| *said == "online").count()
    }

    fn pause(&mut self, most_ms: u64) {
        std::thread::sleep(Duration::from_millis(self.random.u64(0..most_ms)));
    }

    fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < LONG, "not {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn stop(&mut self) {
        let Some(daemon) = self.daemon.take() else {
            return;
        };
        let begun = Instant::now();
        daemon.stop_within(BOUND);
        self.stops.push(begun.elapsed());
        self.jobs.values_mut().for_each(|job| job.ends += 1);
    }

    fn kill(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.kill();
            self.kills += 1;
            for job in self.jobs.values_mut() {
                job.kills += 1;
                job.ends += 1;
            }
        }
    }

    /// All answers for a job until now.
    fn answers(&self, id: &str) -> Vec<Value> {
        let all = self.listens.payloads(RESPONSE);
        let all = all
            .iter()
            .filter_map(|text| serde_json::from_str(text).ok());
        all.filter(|answer: &Value| answer["id"] == id).collect()
    }

    fn has_status(&self, id: &str, wanted: &[&str]) -> bool {
        let answers = self.answers(id);
        answers
            .iter()
            .any(|answer| wanted.iter().any(|status| answer["status"] == **status))
    }

    /// Brings a job, and returns whether it was accepted.
    fn push(&mut self, number: usize) -> Option<String> {
        let id = format!("job-{number}");
        let size = SIZES[self.random.usize(0..SIZES.len())];
        let steps = if size.len() > 7 {
            self.random.u32(1..3)
        } else {
            self.random.u32(1..20)
        };
        let order = format!(
            r#"{{"prompt": "{number} red apples", "id": "{id}", "size": "{size}", "steps": {steps}}}"#
        );
        self.asks.publish("easel/frame/paint", order.clone());
        self.wait_until("answered", |board| !board.answers(&id).is_empty());
        // Before its model is loaded, the board takes any size, and answers later.
        if size == "8192x8192" && self.answers(&id)[0]["status"] == "rejected" {
            assert_eq!(self.answers(&id)[0]["error"]["code"], "invalid_size");
            self.refused += 1;
            return None;
        }
        let job = Job {
            order,
            ..Job::default()
        };
        self.jobs.insert(id.clone(), job);
        Some(id)
    }

    fn cancel(&mut self, id: &str) {
        let before = self.answers(id).len();
        let begun = Instant::now();
        self.asks.publish("easel/frame/cancel", id);
        // One of those that were on their way may be about its steps.
        self.wait_until("cancelled", |board| {
            let answers = board.answers(id);
            answers[before..].iter().any(|answer| {
                answer["status"] == "cancelled" || answer["error"]["code"] == "unknown_id"
            })
        });
        let waited = begun.elapsed();
        assert!(waited < BOUND, "{id} is cancelled after {waited:?}");
        self.cancels.push(waited);
        let is_cancelled = self.has_status(id, &["cancelled"]);
        let job = self.jobs.get_mut(id).expect("it was brought");
        job.asked_to_cancel = true;
        job.cancelled = is_cancelled;
    }

    /// Asks after a job until it is over. An answer may have been lost with a program that was killed; the same order again
    /// is the same job.
    fn is_over(&mut self, id: &str) {
        let over = ["done", "cancelled", "error"];
        let begun = Instant::now();
        while !self.has_status(id, &over) {
            let job = self.jobs.get_mut(id).expect("it was brought");
            job.asked_after += 1;
            let order = job.order.clone();
            self.asks.publish("easel/frame/paint", order);
            let until = Instant::now() + Duration::from_secs(5);
            while Instant::now() < until && !self.has_status(id, &over) {
                std::thread::sleep(Duration::from_millis(10));
            }
            assert!(begun.elapsed() < 5 * LONG, "{id}: {:?}", self.answers(id));
        }
    }

    /// What the board said and kept, against what it was told.
    fn check(&self) {
        let names = std::fs::read_dir(self.folder.join("history")).expect("a history");
        let names = names.map(|entry| entry.expect("it can be listed").file_name());
        let pictures: Vec<String> = names
            .filter_map(|name| name.into_string().ok())
            .filter_map(|name| Some(name.strip_suffix(".png")?.split_once('-')?.1.to_owned()))
            .collect();
        let different: HashSet<&String> = pictures.iter().collect();
        assert_eq!(
            different.len(),
            pictures.len(),
            "painted twice: {pictures:?}"
        );
        for (id, job) in &self.jobs {
            let answers = self.answers(id);
            let said: Vec<&str> = answers
                .iter()
                .filter_map(|answer| answer["status"].as_str())
                .collect();
            let over = said
                .iter()
                .position(|status| matches!(*status, "done" | "cancelled"));
            if let Some(over) = over {
                assert!(
                    !said[over..].contains(&"painting"),
                    "{id} is painted after its end: {said:?}"
                );
            }
            let begun = said.iter().filter(|status| **status == "painting").count();
            assert!(
                begun <= 1 + job.ends + job.asked_after,
                "{id} is painted {begun} times, {} programs ended: {said:?}",
                job.ends
            );
            if job.cancelled {
                assert!(!different.contains(id), "{id} was cancelled: {said:?}");
                assert!(!said.contains(&"done"), "{id} was cancelled: {said:?}");
            } else if said.contains(&"error") {
                let error = answers.iter().find(|answer| answer["status"] == "error");
                let code = error.map(|answer| answer["error"]["code"].clone());
                let code = code.unwrap_or_default();
                let size = job.order.contains("8192");
                // Twice killed in the middle of it, or five times not to be stopped.
                let set_aside =
                    (job.kills >= 2 || job.ends >= 5) && (code == "set_aside" || code == "failed");
                assert!(size || set_aside, "{id}: {answers:?}");
            } else {
                let done = said.contains(&"done") && different.contains(id);
                let lost_answer = job.asked_to_cancel && said.contains(&"cancelled");
                assert!(done || lost_answer, "{id} is lost: {said:?}");
            }
        }
    }

    fn tell(&mut self) {
        let most = |times: &mut Vec<Duration>| {
            times.sort_unstable();
            let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len() - 1));
            let ms = |time: Option<&Duration>| time.map_or(0, Duration::as_millis);
            if times.is_empty() {
                return "none".to_owned();
            }
            let late = |limit: u64| {
                let limit = Duration::from_secs(limit);
                times.iter().filter(|time| **time > limit).count()
            };
            format!(
                "{}: p50 {} ms, p99 {} ms, longest {} ms; {} over 2 s, {} over 5 s",
                times.len(),
                ms(at(50)),
                ms(at(99)),
                ms(times.last()),
                late(2),
                late(5)
            )
        };
        println!("cancels answered, {}", most(&mut self.cancels));
        println!("stops, {}", most(&mut self.stops));
        println!(
            "{} jobs accepted, {} refused by their size, {} kills",
            self.jobs.len(),
            self.refused,
            self.kills
        );
    }
}

/// `EASEL_UNREST_JOBS=300` before a release; `EASEL_UNREST_SEED` has another course of it, `EASEL_UNREST_MODEL` another model.
#[test]
fn nothing_is_lost_and_nobody_waits_whatever_happens_when() {
    let number = |name: &str, default: usize| {
        let asked = std::env::var(name).ok();
        asked.map_or(default, |asked| asked.parse().expect("a number"))
    };
    let (count, seed) = (
        number("EASEL_UNREST_JOBS", JOBS),
        number("EASEL_UNREST_SEED", 1),
    );
    println!("EASEL_UNREST_JOBS={count} EASEL_UNREST_SEED={seed}");
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let mut board = Board {
        broker: &broker,
        folder: folder.path(),
        daemon: None,
        asks: Dashboard::open(broker.port, &[]),
        listens: Dashboard::open(broker.port, &[RESPONSE, "easel/frame/availability"]),
        random: fastrand::Rng::with_seed(seed as u64),
        jobs: HashMap::new(),
        cancels: Vec::new(),
        stops: Vec::new(),
        kills: 0,
        refused: 0,
    };
    board.start();
    for number in 0..count {
        let Some(id) = board.push(number) else {
            continue;
        };
        // Now and then two wait.
        if board.random.u32(0..4) == 0 {
            continue;
        }
        let fate = match board.random.u32(0..10) {
            0..2 => Fate::Nothing,
            2..5 => Fate::Cancel,
            5 => Fate::CancelAndKill,
            6..9 => Fate::Stop,
            _ => Fate::Kill,
        };
        board.pause(1500);
        match fate {
            Fate::Nothing => board.is_over(&id),
            Fate::Cancel => board.cancel(&id),
            Fate::CancelAndKill => {
                board.cancel(&id);
                board.kill();
            }
            Fate::Stop => board.stop(),
            Fate::Kill => board.kill(),
        }
        if board.daemon.is_none() {
            board.start();
        }
    }
    let ids: Vec<String> = board.jobs.keys().cloned().collect();
    for id in &ids {
        board.is_over(id);
    }
    board.stop();
    board.tell();
    board.check();
}
