//! Downloads from a hub on this machine: whole ones, and every way in which a network fails.

#[path = "common/hub.rs"]
mod hub;

use easel::import::hub::{Fetched, Hub, Name, Patience, Progress, Staging};
use easel::import::{ImportError, Precision};
use hub::{Answer, Asked, COMMIT};
use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";

/// Bytes that are not alike.
fn bytes(count: usize) -> Vec<u8> {
    (0..count as u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

/// A small repository: on more than one page, with what nobody needs.
fn repository(rule: impl Fn(&Asked) -> Answer + Send + 'static) -> hub::Hub {
    hub::Hub::new(
        &[
            ("README.md", b"# A model"),
            ("model_index.json", b"{}"),
            ("sample.png", b"picture"),
            ("scheduler/scheduler_config.json", b"{\"a\": 1}"),
            ("tokenizer/vocab.json", &bytes(900)),
            ("unet/config.json", b"{}"),
            (WEIGHTS, &bytes(600_000)),
            ("unet/diffusion_pytorch_model.bin", &bytes(2000)),
        ],
        rule,
    )
}

fn client(server: &str, token: Option<&str>) -> Hub {
    let folder = std::env::temp_dir().join("easel-hub-has-no-token");
    let mut hub = Hub::from_variables(&|name| match name {
        "HF_ENDPOINT" => Some(server.into()),
        "HF_TOKEN" => token.map(Into::into),
        "HF_HOME" => Some(folder.clone().into()),
        _ => None,
    })
    .expect("a hub");
    hub.patience = Patience {
        connect: Duration::from_secs(2),
        stall: Duration::from_millis(400),
        pause: Duration::from_millis(5),
        tries: 4,
    };
    hub
}

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn folder(&self) -> PathBuf {
        self.0
            .path()
            .join(".model.download")
            .join(COMMIT)
            .join("small")
    }

    fn fetch(
        &self,
        server: &str,
        token: Option<&str>,
        watch: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Fetched, ImportError> {
        let staging = Staging::open(&self.0.path().join("model"))?;
        let name = Name::parse("owner/small").expect("a name");
        client(server, token).fetch(&name, None, Precision::Int8, &staging, watch)
    }

    fn plainly(&self, server: &str) -> Result<Fetched, ImportError> {
        self.fetch(server, None, &mut |_| ControlFlow::Continue(()))
    }
}

/// Paths of all files below a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    fn collect(root: &Path, folder: &Path, names: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(root, &path, names);
            } else {
                let name = path.strip_prefix(root).expect("below it");
                names.insert(name.display().to_string());
            }
        }
    }
    let mut names = BTreeSet::new();
    collect(folder, folder, &mut names);
    names
}

fn is_weights(asked: &Asked) -> bool {
    asked.path.ends_with(WEIGHTS)
}

#[test]
fn what_an_import_needs_comes_once_and_whole() {
    let server = repository(|_| Answer::Right);
    let place = Place::new();
    let mut last = 0;
    let fetched = place
        .fetch(server.address(), Some("hf_secret"), &mut |progress| {
            assert!(progress.done >= last && progress.done <= progress.total);
            last = progress.done;
            ControlFlow::Continue(())
        })
        .expect("a download");
    assert_eq!(fetched.source, place.folder());
    assert_eq!(fetched.licence.as_deref(), Some("mit"));
    assert_eq!(fetched.received, 600_000 + 900 + 8 + 2 + 2);
    let expected = [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        WEIGHTS,
    ];
    assert_eq!(names(&place.folder()), expected.map(str::to_owned).into());
    assert_eq!(
        fs::read(place.folder().join(WEIGHTS)).expect("a file"),
        bytes(600_000)
    );
    let asked = server.asked();
    assert!(
        asked
            .iter()
            .all(|asked| asked.token.as_deref() == Some("Bearer hf_secret"))
    );
    // A second time nothing of it comes again.
    assert_eq!(
        place
            .plainly(server.address())
            .expect("a download")
            .received,
        0
    );
    let staging = Staging::open(&place.0.path().join("model")).expect("a folder");
    let second = Staging::open(&place.0.path().join("model"))
        .expect_err("it is locked")
        .to_string();
    assert!(second.contains("another import is downloading"), "{second}");
    staging.remove().expect("it can be removed");
    assert_eq!(names(place.0.path()), BTreeSet::new());
}

#[test]
fn after_five_cuts_no_byte_came_twice() {
    let server = repository(|asked| match asked.before {
        before if is_weights(asked) && before < 5 => Answer::Cut(70_000 + before),
        _ => Answer::Right,
    });
    let place = Place::new();
    let fetched = place.plainly(server.address()).expect("a download");
    assert_eq!(fetched.received, 600_912);
    assert_eq!(server.sent(WEIGHTS), 600_000);
    assert_eq!(
        fs::read(place.folder().join(WEIGHTS)).expect("a file"),
        bytes(600_000)
    );
    let from: Vec<_> = server
        .asked()
        .into_iter()
        .filter(is_weights)
        .map(|asked| asked.from)
        .collect();
    let expected = [
        None,
        Some(70_000),
        Some(140_001),
        Some(210_003),
        Some(280_006),
        Some(350_010),
    ];
    assert_eq!(from, expected);
}

#[test]
fn a_call_that_was_stopped_is_gone_on_with() {
    let server = repository(|asked| match asked.before {
        0 if is_weights(asked) => Answer::Cut(300_000),
        1 if is_weights(asked) => Answer::Silent,
        _ => Answer::Right,
    });
    let place = Place::new();
    let stopped = place.fetch(
        server.address(),
        None,
        &mut |progress| match progress.done {
            300_000.. => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        },
    );
    assert!(matches!(stopped, Err(ImportError::Stopped)), "{stopped:?}");
    let part = place.folder().join(format!("{WEIGHTS}.part"));
    assert_eq!(fs::metadata(part).expect("it is kept").len(), 300_000);
    let fetched = place.plainly(server.address()).expect("a download");
    assert_eq!(fetched.received, 300_000);
    assert_eq!(server.sent(WEIGHTS), 600_000);
}

#[test]
fn a_stop_is_obeyed_whatever_the_server_does() {
    for answer in [
        Answer::Silent,
        Answer::SlowHead,
        Answer::Slow,
        Answer::Endless,
    ] {
        let server = repository(move |_| answer.clone());
        let begun = Instant::now();
        let stopped = Place::new().fetch(server.address(), None, &mut |_| match begun.elapsed() {
            late if late > Duration::from_millis(150) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        let took = begun.elapsed();
        let is_right = match &stopped {
            Err(ImportError::Stopped) => true,
            // An endless list may be given up before.
            Err(ImportError::Failed(problem)) => problem.contains("does not end"),
            _ => false,
        };
        assert!(
            is_right && took < Duration::from_secs(2),
            "{stopped:?} {took:?}"
        );
    }
}

#[test]
fn files_are_fetched_where_the_hub_sends_us_without_the_token() {
    let store = repository(|asked| match asked.before {
        0 if is_weights(asked) => Answer::Cut(1000),
        _ => Answer::Right,
    });
    let there = store.address().to_owned();
    let server = repository(move |asked| match asked.path.contains("/resolve/") {
        true => Answer::Elsewhere(there.clone()),
        false => Answer::Right,
    });
    let fetched = Place::new().fetch(server.address(), Some("hf_secret"), &mut |_| {
        ControlFlow::Continue(())
    });
    assert_eq!(fetched.expect("a download").received, 600_912);
    assert!(server.asked().iter().all(|asked| asked.token.is_some()));
    assert!(
        store.asked().iter().all(|asked| asked.token.is_none()),
        "{:?}",
        store.asked()
    );
    assert_eq!(store.sent(WEIGHTS), 600_000);
}

#[test]
fn what_goes_wrong_once_is_tried_again() {
    for (answer, received) in [
        (Answer::Status(500, ""), 600_912),
        (Answer::Status(429, "Retry-After: 0\r\n"), 600_912),
        (Answer::Wrong, 1_200_912),
        (Answer::Short, 600_912),
        // What came slowly was not the file's either.
        (Answer::Slow, 1_200_912),
        (Answer::Silent, 600_912),
        (Answer::SlowHead, 600_912),
    ] {
        let said = format!("{answer:?}");
        let server = repository(move |asked| match asked.before {
            0 if is_weights(asked) => answer.clone(),
            _ => Answer::Right,
        });
        let fetched = Place::new().plainly(server.address());
        let fetched = fetched.unwrap_or_else(|error| panic!("{said}: {error}"));
        let more = fetched.received - received;
        assert!(more < 100, "{said}: {fetched:?}");
    }
    // A server that knows no parts sends the whole anew.
    let server = repository(|asked| match asked.before {
        0 if is_weights(asked) => Answer::Cut(1000),
        _ => Answer::Whole,
    });
    assert_eq!(
        Place::new()
            .plainly(server.address())
            .expect("a download")
            .received,
        601_912
    );
}

#[test]
fn each_failure_is_one_clear_line() {
    let cases: [(Answer, bool, &[&str]); 9] = [
        (
            Answer::Status(401, ""),
            false,
            &["owner/small: is not there, or not for everyone", "HF_TOKEN"],
        ),
        (
            Answer::Status(401, "X-Error-Code: GatedRepo\r\n"),
            false,
            &["accepted its terms", "/owner/small", "HF_TOKEN"],
        ),
        (Answer::Status(403, ""), false, &["accepted its terms"]),
        (
            Answer::Status(404, ""),
            false,
            &["owner/small: is not there"],
        ),
        (
            Answer::Status(404, "X-Error-Code: RevisionNotFound\r\n"),
            false,
            &["has no revision main"],
        ),
        (Answer::Status(418, ""), false, &["HTTP 418"]),
        (
            Answer::Status(503, ""),
            true,
            &["HTTP 503", "after 3 tries", "try again later"],
        ),
        (
            Answer::Silent,
            true,
            &["does not answer in time", "after 3 tries"],
        ),
        (Answer::Cut(3), true, &["after 3 tries"]),
    ];
    for (answer, is_failed, said) in cases {
        let server = repository(move |_| answer.clone());
        check(Place::new().plainly(server.address()), is_failed, said);
    }
    let cases: [(Answer, bool, &[&str]); 8] = [
        (
            Answer::Wrong,
            true,
            &[WEIGHTS, "2 times", "the hash is wrong"],
        ),
        (Answer::Endless, true, &[WEIGHTS, "the hash is wrong"]),
        (
            Answer::Short,
            true,
            &[WEIGHTS, "599999 bytes", "listed with 600000"],
        ),
        (Answer::Slow, true, &[WEIGHTS, "bytes came in 0.4 s"]),
        (Answer::SlowHead, true, &[WEIGHTS, "in time"]),
        (
            Answer::Status(403, ""),
            false,
            &[WEIGHTS, "access is refused"],
        ),
        (Answer::Status(404, ""), true, &[WEIGHTS, "HTTP 404"]),
        (Answer::Cut(0), true, &[WEIGHTS, "after 4 tries"]),
    ];
    for (answer, is_failed, said) in cases {
        let server = repository(move |asked| match is_weights(asked) {
            true => answer.clone(),
            false => Answer::Right,
        });
        let place = Place::new();
        check(place.plainly(server.address()), is_failed, said);
        assert!(!place.folder().join(WEIGHTS).exists(), "{said:?}");
        assert!(
            place.folder().join("unet/config.json").exists(),
            "what came is kept"
        );
    }
    // Nobody there.
    check(
        Place::new().plainly("http://127.0.0.1:9"),
        true,
        &["http://127.0.0.1:9", "refused"],
    );
    check(
        Place::new().plainly("http://no-such-host.invalid"),
        true,
        &["is there a network?"],
    );
}

fn check(fetched: Result<Fetched, ImportError>, is_failed: bool, said: &[&str]) {
    let error = fetched.expect_err("an error");
    assert_eq!(
        matches!(error, ImportError::Failed(_)),
        is_failed,
        "{error:?}"
    );
    let text = error.to_string();
    assert!(
        said.iter().all(|part| text.contains(part)),
        "{said:?}: {text}"
    );
    assert!(text.lines().count() == 1 && text.len() < 600, "{text}");
}

#[test]
fn a_hostile_list_leads_nowhere() {
    let content = bytes(2000);
    let hostile = [
        "unet/../../../evil.json",
        "/etc/evil.json",
        "scheduler/.evil.json",
        "scheduler/ev\\\\il.json",
    ];
    let mut files: Vec<(&str, &[u8])> = hostile.map(|name| (name, &content[..])).into();
    files.push(("model_index.json", b"{}"));
    files.push((WEIGHTS, &content));
    let server = hub::Hub::new(&files, |_| Answer::Right);
    let place = Place::new();
    place.plainly(server.address()).expect("a download");
    assert_eq!(
        names(&place.folder()),
        ["model_index.json", WEIGHTS].map(str::to_owned).into()
    );
    // Unless one of them is asked for by name, nothing else is; and such names cannot be.
    assert_eq!(Name::parse("owner/small/../x.safetensors"), None);
}

#[test]
fn what_is_there_and_where_there_is_no_room_is_seen_before() {
    let place = Place::new();
    fs::create_dir_all(place.0.path().join("model/unet")).expect("room");
    let error = place
        .plainly("http://127.0.0.1:9")
        .expect_err("it is there")
        .to_string();
    assert!(error.contains("is there already"), "{error}");
    let place = Place::new();
    let hub = client("http://127.0.0.1:9", None);
    let staging = Staging::open(&place.0.path().join("model")).expect("a folder");
    let name = Name::parse("owner/small").expect("a name");
    let wrong = hub.fetch(&name, Some("a b"), Precision::Int8, &staging, &mut |_| {
        ControlFlow::Continue(())
    });
    assert!(
        wrong
            .expect_err("no revision")
            .to_string()
            .contains("--revision")
    );
    drop(staging);
    assert_eq!(names(place.0.path()), BTreeSet::new());
}
