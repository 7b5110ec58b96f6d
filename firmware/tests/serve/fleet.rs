//! Boards of one group, each a process of its own, and one of them dies.

use super::broker::{Broker, LONG};
use super::daemon::{Daemon, configuration};
use super::dashboard::Dashboard;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

const BOARDS: [&str; 4] = ["a", "b", "c", "d"];
/// Which of them.
const DIES: usize = 3;
/// Prompts that a board's queue has room for.
const CAPACITY: usize = 8;
const PROMPTS: usize = 200;

fn start(broker: &Broker, folder: &Path, device: &str) -> Daemon {
    let folder = folder.join(device);
    std::fs::create_dir_all(&folder).expect("it can be made");
    let configuration = configuration(broker)
        .replace("'frame'", &format!("'{device}'\nfleet = 'house'"))
        .replace("capacity = 256", &format!("capacity = {CAPACITY}"));
    Daemon::run(&configuration, &folder, |_| {})
}

/// How often each prompt got this answer, from any of these boards.
fn answers(dashboard: &Dashboard, boards: &[&str], status: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for board in boards {
        for answer in dashboard.payloads(&format!("easel/{board}/response")) {
            let answer: serde_json::Value = serde_json::from_str(&answer).expect("it is JSON");
            if answer["status"] == status {
                let id = answer["id"].as_str().expect("a name").to_owned();
                *counts.entry(id).or_default() += 1;
            }
        }
    }
    counts
}

/// Waits until this many prompts beside `others` are painted.
fn painted(dashboard: &Dashboard, count: usize, others: &BTreeSet<String>) {
    // As long as one more is painted from time to time.
    let (mut most, mut since) = (0, Instant::now());
    loop {
        let done = answers(dashboard, &BOARDS, "done");
        let now = done.keys().filter(|id| !others.contains(*id)).count();
        if now >= count {
            return;
        }
        if now > most {
            (most, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < LONG, "{now} of {count} are painted");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn of_two_hundred_prompts_to_four_boards_none_is_lost_when_one_dies() {
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let topics = ["easel/+/response", "easel/fleet/house/members/+"];
    let dashboard = Dashboard::open(broker.port, &topics);
    let mut boards = BOARDS.map(|device| Some(start(&broker, folder.path(), device)));
    for device in BOARDS {
        dashboard.text(&format!("easel/fleet/house/members/{device}"), "online");
    }
    let order = |number: usize| {
        let order = format!(r#"{{"prompt": "{number} apples", "id": "{number}", "steps": 1}}"#);
        dashboard.publish("easel/fleet/house/paint", order);
    };
    (0..PROMPTS / 2).for_each(order);
    painted(&dashboard, PROMPTS / 8, &BTreeSet::new());
    boards[DIES].take().expect("it runs").kill();
    (PROMPTS / 2..PROMPTS).for_each(order);

    // What it had accepted waits in its journal, some of it not yet told; all else comes to the others.
    let accepted = answers(&dashboard, &[BOARDS[DIES]], "queued");
    let accepted: BTreeSet<String> = accepted.into_keys().collect();
    painted(&dashboard, PROMPTS - accepted.len() - CAPACITY, &accepted);
    boards[DIES] = Some(start(&broker, folder.path(), BOARDS[DIES]));
    painted(&dashboard, PROMPTS, &BTreeSet::new());

    let each = BOARDS.map(|board| answers(&dashboard, &[board], "done").len());
    let done = answers(&dashboard, &BOARDS, "done");
    let twice: usize = done.values().map(|times| times - 1).sum();
    println!("{PROMPTS} prompts, by board {each:?}, {twice} of them painted once more");
    assert!(twice <= 20, "{twice} duplicates");
    for board in boards.into_iter().flatten() {
        board.stop();
    }
}
