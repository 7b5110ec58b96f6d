mod model;

use super::*;
use crate::jobs::tests::faulty_disk::FastDisk;
use crate::jobs::{Job, NewJob, Order, Outcome, Source};
use easel::{Painting, SchedulerKind};
use std::fs;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn settings(pictures: usize) -> HistorySettings {
    HistorySettings { pictures, mib: 1 }
}

fn open(folder: &TempDir, pictures: usize) -> History {
    History::open_on(Arc::new(FastDisk), folder.path(), &settings(pictures)).expect("it opens")
}

fn id(number: u32) -> JobId {
    format!("job-{number}").parse().expect("it is right")
}

/// A picture that no compression makes much smaller.
fn noise(side: u32, seed: u32) -> Picture {
    let mut state = seed | 1;
    let bytes = side * side * 3;
    let rgb = (0..bytes).map(|_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    });
    Picture {
        width: side,
        height: side,
        rgb: rgb.collect(),
    }
}

fn painted(number: u32) -> Painted {
    Painted {
        id: id(number),
        prompt: format!("cat \"{number}\"\nat night"),
        painted_prompt: None,
        negative: Some("dogs".to_owned()),
        width: 8,
        height: 8,
        steps: 4,
        guidance: 1.5,
        seed: u64::MAX,
        scheduler: SchedulerKind::Lcm.to_string(),
        given: None,
        guidance_rescale: None,
        clip_skip: None,
        pictures: Box::default(),
        model: "pocket".to_owned(),
        source: Source::Button,
        accepted: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_600_000_123),
        painted: SystemTime::UNIX_EPOCH + Duration::from_millis(12_000),
        timings_ms: TimingsMs {
            total: Duration::from_millis(1234),
            ..TimingsMs::default()
        },
        warnings: Vec::new(),
    }
}

fn add(history: &mut History, number: u32) -> Kept {
    history
        .add(&noise(8, number), &painted(number))
        .expect("the disk is whole")
}

fn ids(history: &History) -> Vec<String> {
    history.iter().map(|kept| kept.id.to_string()).collect()
}

fn files(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).expect("it is there");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("it can be listed")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .filter(|name| name != "lock")
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn a_picture_comes_back_with_how_it_came_about() {
    let folder = folder();
    let nested = folder.path().join("a/history");
    let mut history = History::open(&nested, &settings(9)).expect("it is made");
    let kept = history
        .add(&noise(8, 1), &painted(1))
        .expect("the disk is whole");
    let size = |path: PathBuf| fs::metadata(path).expect("it is there").len();
    let path = history.path(&kept);
    assert_eq!(
        kept.bytes,
        size(path.with_extension("json")) + size(path.clone())
    );
    assert!(path.ends_with("0000000000-job-1.png"));
    drop(history);
    let history = History::open(&nested, &settings(9)).expect("it is there");
    assert_eq!(history.latest(), Some(&kept));
    assert_eq!(history.picture(&id(1)).expect("it is whole"), noise(8, 1));
    let details = history.details(&id(1)).expect("it is whole");
    assert_eq!(details, painted(1));
    let order = details.order();
    assert_eq!((order.seed, order.size), (Some(u64::MAX), Some((8, 8))));
    assert_eq!(order.scheduler, Some(SchedulerKind::Lcm));
    let missing = history.picture(&id(2)).expect_err("there is none");
    assert!(missing.to_string().contains("job-2"));
}

#[test]
fn details_are_of_the_job_and_of_the_painting() {
    let text = r#"{"sequence":3,"id":"a","order":{"prompt":"x","negative":"y"},"source":"mqtt","accepted_unix_ms":7,"attempts":1}"#;
    let job: Job = serde_json::from_str(text).expect("as the journal has it");
    let file = folder();
    let path = file.path().join("a.npy");
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1), }";
    let mut npy = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    npy.extend(format!("{header:<117}\n").bytes());
    npy.extend([0; 4]);
    fs::write(&path, npy).expect("it can be written");
    let painting = Painting {
        picture: noise(8, 1),
        latents: easel::Latents::read_npy(&path).expect("it is one number"),
        steps: 4,
        scheduler: SchedulerKind::EulerAncestral,
        guidance: 2.0,
        seed: 9,
        timings: easel::Timings {
            denoise: Duration::from_micros(1999),
            ..Default::default()
        },
        painted: Some("z".to_owned()),
        warnings: vec!["cut short".to_owned()],
    };
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(8);
    let painted = Painted::new(&job, &painting, "pocket", now);
    let json = serde_json::to_value(&painted).expect("it is plain");
    let should = serde_json::json!({
        "id": "a", "prompt": "x", "painted_prompt": "z", "negative": "y", "width": 8, "height": 8, "steps": 4, "guidance": 2.0, "seed": 9,
        "scheduler": "euler-ancestral", "model": "pocket", "source": "mqtt", "accepted_unix_ms": 7, "painted_unix_ms": 8,
        "timings_ms": {"load": 0, "text": 0, "denoise": 1, "decode": 0, "total": 0}, "warnings": ["cut short"],
    });
    assert_eq!(json, should);
}

#[test]
fn one_goes_forth_and_back() {
    let folder = folder();
    let mut history = open(&folder, 9);
    assert!(history.is_empty() && history.latest().is_none() && history.next(&id(0)).is_none());
    for number in 0..3 {
        add(&mut history, number);
    }
    let name = |kept: Option<&Kept>| kept.map(|kept| kept.id.clone());
    assert_eq!(name(history.next(&id(0))), Some(id(1)));
    assert_eq!(name(history.next(&id(2))), None);
    assert_eq!(name(history.previous(&id(1))), Some(id(0)));
    assert_eq!(name(history.previous(&id(0))), None);
    // What was shown has made room.
    assert_eq!(name(history.next(&id(7))), Some(id(2)));
    assert_eq!(name(history.previous(&id(7))), Some(id(2)));
}

#[test]
fn the_oldest_make_room_and_favourites_do_not() {
    let folder = folder();
    let mut history = open(&folder, 2);
    add(&mut history, 0);
    history
        .set_favourite(&id(0), true)
        .expect("the disk is whole");
    for number in 1..4 {
        add(&mut history, number);
    }
    assert_eq!(ids(&history), ["job-0", "job-2", "job-3"]);
    drop(history);
    let mut history = open(&folder, 2);
    assert_eq!(ids(&history), ["job-0", "job-2", "job-3"]);
    assert_eq!(files(&folder).len(), 7);
    history
        .set_favourite(&id(0), false)
        .expect("the disk is whole");
    // Twice is no error.
    history
        .set_favourite(&id(0), false)
        .expect("the disk is whole");
    add(&mut history, 4);
    assert_eq!(ids(&history), ["job-3", "job-4"]);
    history.set_bounds(&settings(1));
    assert_eq!(ids(&history), ["job-4"]);
    assert_eq!(
        files(&folder),
        ["0000000004-job-4.json", "0000000004-job-4.png"]
    );
}

#[test]
fn bytes_are_bounded_and_the_latest_stays() {
    let folder = folder();
    let mut history = open(&folder, 99);
    // 480 KB each, and 1 MiB for all.
    for number in 0..4 {
        history
            .add(&noise(400, number), &painted(number))
            .expect("the disk is whole");
        assert!(
            history.bytes() <= 1 << 20 && history.bytes() > 400_000,
            "{}",
            history.bytes()
        );
    }
    assert_eq!(ids(&history), ["job-2", "job-3"]);
    // One that is too large alone.
    history
        .add(&noise(700, 4), &painted(4))
        .expect("the disk is whole");
    assert_eq!(ids(&history), ["job-4"]);
    assert_eq!(history.prune_to(0), 0);
}

#[test]
fn room_is_made_for_a_disk_that_is_full() {
    let folder = folder();
    let mut history = open(&folder, 99);
    let bytes: Vec<u64> = (0..5)
        .map(|number| add(&mut history, number).bytes)
        .collect();
    history
        .set_favourite(&id(1), true)
        .expect("the disk is whole");
    let all: u64 = bytes.iter().sum();
    assert_eq!(history.prune_to(all), 0);
    assert_eq!(history.prune_to(all - 1), bytes[0]);
    assert_eq!(history.prune_to(0), bytes[2] + bytes[3]);
    assert_eq!(ids(&history), ["job-1", "job-4"]);
    assert_eq!(history.bytes(), bytes[1] + bytes[4]);
}

#[test]
fn a_job_has_one_picture() {
    let folder = folder();
    let mut history = open(&folder, 9);
    add(&mut history, 0);
    add(&mut history, 1);
    history
        .set_favourite(&id(0), true)
        .expect("the disk is whole");
    // Painted again after a power cut.
    let again = add(&mut history, 0);
    assert!(again.favourite && again.number == 2);
    drop(history);
    let history = open(&folder, 9);
    assert_eq!(ids(&history), ["job-1", "job-0"]);
    assert_eq!(history.get(&id(0)), Some(&again));
    assert_eq!(files(&folder).len(), 5);
}

#[test]
fn deleted_is_deleted() {
    let folder = folder();
    let mut history = open(&folder, 9);
    add(&mut history, 0);
    history
        .set_favourite(&id(0), true)
        .expect("the disk is whole");
    history.delete(&id(0)).expect("it is there");
    assert!(history.is_empty() && files(&folder).is_empty());
    let error = history.delete(&id(0)).expect_err("it is gone");
    assert!(matches!(error, HistoryError::Unknown(_)));
}

#[test]
fn leftovers_go_and_what_is_not_the_historys_stays() {
    let folder = folder();
    let mut history = open(&folder, 9);
    let whole = add(&mut history, 0);
    drop(history);
    let leftovers = [
        ".new-0000000001-a.png",
        "0000000002-b.png",
        "0000000003-c.json",
        "0000000004.favourite",
        "0000000005-d.png",
        "0000000005-e.json",
    ];
    let others = [
        "notes.json",
        "1-a.png",
        "+000000001-a.png",
        "0000000009-.png",
        "holiday.png",
    ];
    for name in leftovers.iter().chain(&others) {
        fs::write(folder.path().join(name), "x").expect("it can be written");
    }
    let mut history = open(&folder, 9);
    assert_eq!(history.iter().collect::<Vec<_>>(), [&whole]);
    assert_eq!(files(&folder).len(), 2 + others.len());
    // Numbers are not used again.
    assert_eq!(add(&mut history, 6).number, 6);
}

#[test]
fn a_damaged_file_is_an_error_of_its_own() {
    let folder = folder();
    let mut history = open(&folder, 9);
    let kept = add(&mut history, 0);
    let path = history.path(&kept);
    let mut png = fs::read(&path).expect("it is there");
    let middle = png.len() / 2;
    png[middle] ^= 1;
    fs::write(&path, png).expect("it can be written");
    fs::write(path.with_extension("json"), "{").expect("it can be written");
    for error in [
        history.picture(&id(0)).map(drop),
        history.details(&id(0)).map(drop),
    ] {
        let error = error.expect_err("it is damaged").to_string();
        assert!(
            error.contains("is damaged") && !error.contains('\n'),
            "{error}"
        );
    }
    let short = Picture {
        width: 8,
        height: 8,
        rgb: vec![0; 7],
    };
    let error = history
        .add(&short, &painted(1))
        .expect_err("there are too few");
    assert!(error.to_string().contains("7 bytes"), "{error}");
    assert_eq!(ids(&history), ["job-0"]);
}

#[test]
fn two_processes_do_not_use_one_folder() {
    let folder = folder();
    let history = open(&folder, 9);
    let second = History::open(folder.path(), &settings(9));
    assert!(matches!(second.map(drop), Err(HistoryError::Locked(_))));
    drop(history);
    drop(open(&folder, 9));
}

#[test]
fn a_name_that_is_written_is_read() {
    for id in ["a", "a-b.png", "7.favourite", "x.json"] {
        let id: JobId = id.parse().expect("it is right");
        for name in [
            Name::Picture(7, id.clone()),
            Name::Details(u64::MAX, id.clone()),
            Name::Favourite(0),
        ] {
            assert_eq!(Name::parse(&name.to_string()), Some(name));
        }
    }
}

/// The way of a picture: on record as done when it is in the history, and not before.
#[test]
fn a_job_goes_from_the_queue_into_the_history() {
    let folder = folder();
    let mut history = open(&folder, 9);
    let queue_folder = folder.path().join("queue");
    let now = crate::jobs::Moment::now();
    let (mut queue, _) =
        crate::jobs::Queue::open(&queue_folder, &Default::default(), now).expect("it opens");
    let new = NewJob::new(Order::new("a cat"), Source::Kiosk);
    queue.push(new, 7, now).expect("there is room");
    let job = queue
        .take(now)
        .expect("the disk is whole")
        .job
        .expect("it waits");
    let painted = Painted {
        id: job.id.clone(),
        ..painted(0)
    };
    history
        .add(&noise(8, 0), &painted)
        .expect("the disk is whole");
    queue
        .finish(&job.id, Outcome::Done)
        .expect("the disk is whole");
    assert_eq!(history.get(&job.id).map(|kept| &kept.id), Some(&job.id));
}

/// Pictures tell what somebody asked for: nobody else is to read them, whatever the process's mask lets.
#[test]
fn pictures_and_the_queue_are_for_their_owner_alone() {
    use crate::jobs::{Moment, Queue, QueueSettings};
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    // Of an older version, or made by hand.
    for name in ["history", "queue"] {
        let inner = folder.path().join(name);
        fs::create_dir(&inner).expect("it can be made");
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    let mut history =
        History::open(&folder.path().join("history"), &settings(9)).expect("it opens");
    add(&mut history, 1);
    history.set_favourite(&id(1), true).expect("it is there");
    let settings = QueueSettings::default();
    let queue = Queue::open(&folder.path().join("queue"), &settings, Moment::now());
    let (mut queue, _) = queue.expect("it opens");
    let new = NewJob::new(Order::new("a cat"), Source::Button);
    queue.push(new, 1, Moment::now()).expect("there is room");
    for (name, most) in [("history", 4), ("queue", 2)] {
        let inner = folder.path().join(name);
        let mode = |path: &Path| {
            let known = fs::metadata(path).expect("it is there");
            known.permissions().mode() & 0o777
        };
        assert_eq!(mode(&inner), 0o700);
        let entries: Vec<_> = fs::read_dir(&inner).expect("a folder").flatten().collect();
        assert_eq!(entries.len(), most, "{entries:?}");
        for entry in entries {
            assert_eq!(mode(&entry.path()), 0o600, "{entry:?}");
        }
    }
    let png = fs::read(history.path(history.latest().expect("one"))).expect("it is there");
    let says = b"parameters\0cat \"1\" at night\nNegative prompt: dogs\nSteps: 4, Sampler: LCM, CFG scale: 1.5, Seed: 18446744073709551615, Size: 8x8, Model: pocket, Version: easel ";
    assert!(png.windows(says.len()).any(|part| part == says));
}
