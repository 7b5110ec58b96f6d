//! What the model does not know: clocks, replies, limits, files.

use super::faulty_disk::FastDisk;
use super::{Clock, id, open, open_on, settings};
use crate::jobs::{
    Cancel, JournalError, LARGEST_QUEUE, NewJob, Order, Outcome, Pushed, Queue, QueueSettings,
    Rejection, Reply, Source, Status,
};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

fn job(name: u8) -> NewJob {
    NewJob {
        id: Some(id(name)),
        ..NewJob::new(Order::new("a blue cat"), Source::Mqtt)
    }
}

fn with_ttl(name: u8, seconds: u64) -> NewJob {
    NewJob {
        ttl: Some(Duration::from_secs(seconds)),
        ..job(name)
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// The names of the jobs that have expired now.
fn expired(queue: &mut Queue, clock: &Clock) -> Vec<String> {
    let expired = queue.expire(clock.now()).expect("the disk is whole");
    expired.iter().map(|job| job.id.to_string()).collect()
}

#[test]
fn the_real_disk_does_the_same() {
    let folder = folder();
    let nested = folder.path().join("state/queue");
    let clock = Clock::new();
    let (mut queue, recovered) =
        Queue::open(&nested, &settings(), clock.now()).expect("it is made");
    assert_eq!(recovered, crate::jobs::Recovered::default());
    let pushed = queue.push(job(1), 7 << 32 | 5, clock.now());
    assert_eq!(
        pushed.expect("there is room"),
        Pushed::Queued {
            id: id(1),
            position: 0
        }
    );
    let taken = queue.take(clock.now()).expect("the disk is whole");
    let first = taken.job.expect("it waits");
    assert_eq!((first.order.seed, first.attempts), (Some(5), 1));
    drop(queue);
    let (mut queue, recovered) =
        Queue::open(&nested, &settings(), clock.now()).expect("it is there");
    assert_eq!((recovered.waiting, recovered.interrupted), (1, Some(id(1))));
    let again = queue.take(clock.now()).expect("the disk is whole").job;
    // The same picture.
    assert_eq!(again.map(|job| job.order), Some(first.order));
    let done = queue
        .finish(&id(1), Outcome::Done)
        .expect("the disk is whole");
    assert_eq!(done.map(|job| job.id), Some(id(1)));
    assert_eq!(queue.status(&id(1)), Some(Status::Done));
}

#[test]
fn it_may_be_given_to_a_thread() {
    fn is_send<T: Send>() {}
    is_send::<Queue>();
    is_send::<crate::jobs::History>();
}

#[test]
fn it_can_be_seen_whether_a_queue_is_in_use() {
    let folder = folder();
    assert!(!crate::jobs::is_in_use(folder.path()));
    assert!(
        fs::read_dir(folder.path())
            .expect("it is there")
            .next()
            .is_none(),
        "nothing is made"
    );
    let queue = open(folder.path(), &Clock::new());
    assert!(crate::jobs::is_in_use(folder.path()));
    drop(queue);
    assert!(!crate::jobs::is_in_use(folder.path()));
}

#[test]
fn two_processes_do_not_use_one_folder() {
    let folder = folder();
    let clock = Clock::new();
    let queue = open(folder.path(), &clock);
    let second = Queue::open(folder.path(), &settings(), clock.now());
    let error = second.map(drop).expect_err("it is used");
    assert!(matches!(error, JournalError::Locked(_)));
    assert!(error.to_string().contains("another easel"));
    drop(queue);
    drop(open(folder.path(), &clock));
}

#[test]
fn where_to_answer_outlasts_a_restart() {
    let folder = folder();
    let clock = Clock::new();
    let mut queue = open(folder.path(), &clock);
    let reply = Reply {
        topic: "a/b".to_owned(),
        correlation: Some(vec![0, 255, b'"']),
    };
    let mut new = job(1);
    new.reply = Some(reply.clone());
    new.order.seed = Some(u64::MAX);
    queue.push(new, 1, clock.now()).expect("there is room");
    let before = queue.waiting().next().cloned();
    drop(queue);
    let queue = open(folder.path(), &clock);
    let after = queue.waiting().next().cloned();
    assert_eq!(
        after.as_ref().and_then(|job| job.reply.clone()),
        Some(reply)
    );
    assert_eq!(after, before);
}

#[test]
fn a_rejection_has_a_name_for_machines_and_a_sentence_for_people() {
    let folder = folder();
    let clock = Clock::new();
    let mut queue = open(folder.path(), &clock);
    let mut rejected = |new, name: &str, says: &str| {
        let error = queue.push(new, 1, clock.now()).expect_err("it is rejected");
        assert_eq!(error.name(), name);
        assert!(error.to_string().contains(says), "{error}");
    };
    rejected(with_ttl(1, 0), "expired", "time to live");
    let mut long = job(1);
    long.order.prompt = "\u{1}".repeat(100_000);
    rejected(long, "too_long", "600");
    for name in 0..4 {
        queue
            .push(job(name), 1, clock.now())
            .expect("there is room");
    }
    let error = queue.push(job(5), 1, clock.now()).expect_err("it is full");
    assert!(error.to_string().contains("4 pictures wait"), "{error}");
    // It may be tried again when there is room.
    let gone = queue.cancel(&id(0)).expect("the disk is whole");
    assert!(matches!(gone, Cancel::Waiting(job) if job.id == id(0)));
    queue.push(job(5), 1, clock.now()).expect("there is room");
}

#[test]
fn a_longer_queue_than_the_configuration_has_loses_none() {
    let folder = folder();
    let clock = Clock::new();
    let long = QueueSettings {
        capacity: LARGEST_QUEUE,
    };
    let (mut queue, _) =
        Queue::open_on(Arc::new(FastDisk), folder.path(), &long, None, clock.now())
            .expect("it opens");
    // As many as there can ever be.
    for source in [Source::Kiosk, Source::Mqtt] {
        for random in 0..LARGEST_QUEUE as u64 {
            let new = NewJob::new(Order::new("x"), source);
            queue
                .push(new, random << 32, clock.now())
                .expect("there is room");
        }
    }
    queue.take(clock.now()).expect("the disk is whole");
    queue
        .push(job(1), 1, clock.now())
        .expect("one is being painted");
    drop(queue);
    let mut queue = open(folder.path(), &clock);
    assert_eq!(queue.len(), 2 * LARGEST_QUEUE + 1);
    let full = queue.push(job(2), 1, clock.now());
    assert!(matches!(full, Err(Rejection::QueueFull { capacity: 4 })));
    queue.set_capacity(&QueueSettings {
        capacity: LARGEST_QUEUE + 2,
    });
    let full = queue.push(job(2), 1, clock.now());
    assert!(matches!(full, Err(Rejection::QueueFull { .. })));
}

#[test]
fn names_stay_known_for_a_thousand_jobs() {
    let folder = folder();
    let clock = Clock::new();
    let mut queue = open(folder.path(), &clock);
    queue.push(job(1), 1, clock.now()).expect("there is room");
    queue.cancel(&id(1)).expect("the disk is whole");
    let mut largest = 0;
    for random in 0..1500_u64 {
        let new = NewJob::new(Order::new("x"), Source::Mqtt);
        let pushed = queue.push(new, random << 32, clock.now());
        assert!(matches!(pushed, Ok(Pushed::Queued { .. })));
        let taken = queue.take(clock.now()).expect("the disk is whole").job;
        let name = taken.expect("it waits").id;
        queue
            .finish(&name, Outcome::Done)
            .expect("the disk is whole");
        if random == 1000 {
            drop(queue);
            queue = open(folder.path(), &clock);
            assert_eq!(queue.status(&id(1)), Some(Status::Cancelled));
        }
        let length = fs::metadata(folder.path().join("journal")).expect("it is there");
        largest = largest.max(length.len());
    }
    assert_eq!(queue.status(&id(1)), None);
    // 1500 jobs take 600 KB, but no journal has them all.
    assert!((100_000..450_000).contains(&largest), "{largest}");
}

#[test]
fn a_job_that_ends_the_program_twice_is_kept_for_people() {
    let folder = folder();
    let clock = Clock::new();
    for attempt in 1..=2 {
        let mut queue = open(folder.path(), &clock);
        let _ = queue.push(job(1), 1, clock.now());
        let taken = queue.take(clock.now()).expect("the disk is whole");
        assert_eq!(taken.job.map(|job| job.attempts), Some(attempt));
    }
    let mut queue = open(folder.path(), &clock);
    queue.push(job(2), 1, clock.now()).expect("there is room");
    let taken = queue.take(clock.now()).expect("the disk is whole");
    assert_eq!(taken.set_aside.len(), 1);
    assert_eq!(taken.job.map(|job| job.id), Some(id(2)));
    let known = queue.push(job(1), 1, clock.now()).expect("it is known");
    assert!(
        matches!(known, Pushed::Known { status: Status::Error, error: Some(error), .. } if error.contains("twice"))
    );
    let file = folder.path().join("set-aside/0000000000-job-1.json");
    let kept = fs::read_to_string(file).expect("it is kept");
    assert!(
        kept.contains("a blue cat") && kept.contains("\"attempts\": 2"),
        "{kept}"
    );
}

#[test]
fn power_cuts_are_no_crashes_but_have_an_end_too() {
    let folder = folder();
    let mut clock = Clock::new();
    let mut attempts = Vec::new();
    let set_aside = loop {
        let mut queue = open(folder.path(), &clock);
        let _ = queue.push(job(1), 1, clock.now());
        let mut taken = queue.take(clock.now()).expect("the disk is whole");
        if let Some(job) = taken.set_aside.pop() {
            break job;
        }
        attempts.push(taken.job.map(|job| (job.attempts, job.power_cuts)));
        // Once the program dies, and twice it ends without the painter; the machine dies all other times.
        match attempts.len() {
            2 => {}
            4 | 5 => assert!(queue.unstopped(&id(1)).expect("the disk is whole")),
            _ => clock.boot += 1,
        }
    };
    let seen: Vec<_> = attempts.into_iter().flatten().collect();
    let expected = [
        (1, 0),
        (2, 1),
        (3, 1),
        (4, 2),
        (5, 2),
        (6, 2),
        (7, 3),
        (8, 4),
    ];
    assert_eq!(seen, expected);
    assert!(
        set_aside
            .why_set_aside()
            .is_some_and(|why| why.contains("went off five times"))
    );
}

#[test]
fn a_job_that_cannot_be_stopped_does_not_come_back_for_ever() {
    let folder = folder();
    let clock = Clock::new();
    for attempt in 1..=5 {
        let mut queue = open(folder.path(), &clock);
        let _ = queue.push(job(1), 1, clock.now());
        let taken = queue.take(clock.now()).expect("the disk is whole").job;
        assert_eq!(taken.map(|job| job.attempts), Some(attempt));
        assert!(queue.unstopped(&id(1)).expect("the disk is whole"));
    }
    let mut queue = open(folder.path(), &clock);
    let taken = queue.take(clock.now()).expect("the disk is whole");
    assert_eq!(taken.job, None);
    let why = taken.set_aside[0].why_set_aside();
    assert!(why.is_some_and(|why| why.contains("could not be stopped")));
}

/// A stop that was begun and ended in a SIGKILL: the journal of before has begun ones, this one has none.
#[test]
fn a_stop_that_was_not_finished_counts_as_a_crash() {
    use crate::jobs::record::record;
    let folder = folder();
    let clock = Clock::new();
    for _ in 0..2 {
        let mut queue = open(folder.path(), &clock);
        let _ = queue.push(job(1), 1, clock.now());
        let taken = queue.take(clock.now()).expect("the disk is whole").job;
        assert!(taken.is_some());
        drop(queue);
        let journal = folder.path().join("journal");
        let mut bytes = fs::read(&journal).expect("it is there");
        bytes.extend(record(&[crate::jobs::Entry::Excused { id: id(1) }]));
        fs::write(&journal, bytes).expect("it can be written");
    }
    let mut queue = open(folder.path(), &clock);
    let taken = queue.take(clock.now()).expect("the disk is whole");
    assert_eq!((taken.job, taken.set_aside.len()), (None, 1));
}

#[test]
fn a_job_that_is_cancelled_while_it_is_painted_is_over_at_once_and_for_ever() {
    let folder = folder();
    let clock = Clock::new();
    let mut queue = open(folder.path(), &clock);
    for name in [1, 2] {
        queue
            .push(job(name), 1, clock.now())
            .expect("there is room");
    }
    queue.take(clock.now()).expect("the disk is whole");
    let cancelled = queue.cancel(&id(1)).expect("the disk is whole");
    assert!(matches!(cancelled, Cancel::Painting(job) if job.id == id(1)));
    assert_eq!(queue.status(&id(1)), Some(Status::Cancelled));
    // What the painter still brings.
    let late = queue.finish(&id(1), Outcome::Done);
    assert_eq!(late.expect("the disk is whole"), None);
    assert!(!queue.release(&id(1)).expect("the disk is whole"));
    // SIGKILL.
    drop(queue);
    let mut queue = open(folder.path(), &clock);
    assert_eq!(queue.status(&id(1)), Some(Status::Cancelled));
    let next = queue.take(clock.now()).expect("the disk is whole").job;
    assert_eq!(next.map(|job| job.id), Some(id(2)));
}

#[test]
fn a_full_disk_keeps_nobody_from_cancelling() {
    use super::faulty_disk::{Fault, FaultyDisk};
    for painting in [false, true] {
        let folder = folder();
        let clock = Clock::new();
        let disk = Arc::new(FaultyDisk::default());
        let (mut queue, _) = open_on(Arc::clone(&disk) as _, folder.path(), &clock);
        queue.push(job(1), 1, clock.now()).expect("there is room");
        if painting {
            queue.take(clock.now()).expect("the disk is whole");
        }
        disk.fail_at(0, Fault::Full);
        let error = queue.cancel(&id(1)).expect_err("the disk is full");
        assert!(error.is_disk_full());
        assert_ne!(queue.status(&id(1)), Some(Status::Cancelled));
        let cancelled = queue.cancel_unwritten(&id(1));
        assert!(matches!(cancelled, Cancel::Painting(_)) == painting);
        assert_eq!(queue.status(&id(1)), Some(Status::Cancelled));
        assert!(queue.is_empty() && queue.painting().is_none());
        disk.fail_at(0, Fault::Full);
        assert!(queue.write_down().is_err());
        assert_eq!(queue.cancel_unwritten(&id(1)), Cancel::Unknown);
        queue.write_down().expect("there is room again");
        drop(queue);
        let queue = open(folder.path(), &clock);
        assert_eq!(queue.status(&id(1)), Some(Status::Cancelled));
        assert!(queue.is_empty());
    }
}

#[test]
fn a_name_that_is_known_is_that_of_one_order() {
    let folder = folder();
    let clock = Clock::new();
    let mut queue = open(folder.path(), &clock);
    let asked = |name: u8, steps: usize| {
        let mut new = job(name);
        new.order.steps = Some(steps);
        // What the board puts in is not what is asked for.
        new.given = Some(new.order.given());
        new.order.guidance = Some(f32::from(name));
        new
    };
    for name in [1, 2, 3] {
        queue
            .push(asked(name, 4), 1, clock.now())
            .expect("there is room");
    }
    // 1 is done, 2 is painted, 3 waits, 4 is cancelled.
    queue.take(clock.now()).expect("the disk is whole");
    queue
        .finish(&id(1), Outcome::Done)
        .expect("the disk is whole");
    queue.take(clock.now()).expect("the disk is whole");
    queue
        .push(asked(4, 4), 1, clock.now())
        .expect("there is room");
    queue.cancel(&id(4)).expect("the disk is whole");
    let statuses = [
        Status::Done,
        Status::Painting,
        Status::Queued,
        Status::Cancelled,
    ];
    let check = |queue: &mut Queue, statuses: [Status; 4]| {
        for (name, wanted) in (1..).zip(statuses) {
            let mut same = asked(name, 4);
            same.order.guidance = Some(7.0); // what was set meanwhile
            let known = queue.push(same, 1, clock.now()).expect("it is known");
            assert!(matches!(known, Pushed::Known { status, .. } if status == wanted));
            let mut dog = asked(name, 4);
            dog.order.prompt = "a dog".to_owned();
            for other in [asked(name, 5), dog] {
                let taken = queue.push(other, 1, clock.now()).expect_err("another");
                assert_eq!(taken.name(), "id_taken");
                assert!(taken.to_string().contains(&format!("job-{name}")));
            }
        }
    };
    check(&mut queue, statuses);
    // Written anew.
    queue.outgrow();
    queue
        .push(asked(5, 4), 1, clock.now())
        .expect("there is room");
    check(&mut queue, statuses);
    drop(queue);
    let mut queue = open(folder.path(), &clock);
    let [done, _, queued, cancelled] = statuses;
    check(&mut queue, [done, queued, queued, cancelled]);
}

/// It may have been the same: nobody is refused for what is not known.
#[test]
fn a_journal_of_before_does_not_say_what_was_asked_for() {
    use crate::jobs::Entry;
    use crate::jobs::record::{HEADING, record};
    let folder = folder();
    let clock = Clock::new();
    let mut queue = open(folder.path(), &clock);
    queue.push(job(1), 1, clock.now()).expect("there is room");
    let mut before = queue.waiting().next().cloned().expect("it waits");
    drop(queue);
    before.given = None;
    before.order.steps = Some(4);
    let mut bytes = HEADING.to_vec();
    bytes.extend(record(&[
        Entry::Accepted(Box::new(before)),
        Entry::finished(id(2), Outcome::Done),
    ]));
    fs::write(folder.path().join("journal"), bytes).expect("it can be written");
    let mut queue = open(folder.path(), &clock);
    // Of one that is over nothing is known, of one that waits all but what the board put in.
    for name in [1, 2] {
        let known = queue.push(job(name), 1, clock.now());
        assert!(matches!(known, Ok(Pushed::Known { .. })), "{known:?}");
    }
    for (steps, is_known) in [(4, true), (5, false)] {
        let mut new = job(1);
        new.order.steps = Some(steps);
        let pushed = queue.push(new, 1, clock.now());
        assert_eq!(pushed.is_ok(), is_known, "{pushed:?}");
    }
}

#[test]
fn a_journal_of_before_counts_each_interruption() {
    use crate::jobs::record::{HEADING, record};
    let folder = folder();
    let mut clock = Clock::new();
    let mut queue = open(folder.path(), &clock);
    queue.push(job(1), 1, clock.now()).expect("there is room");
    drop(queue);
    let journal = folder.path().join("journal");
    let mut bytes = fs::read(&journal).expect("it is there");
    assert!(bytes.starts_with(HEADING));
    bytes.extend(record(&[crate::jobs::Entry::Started {
        id: id(1),
        boot: None,
    }]));
    fs::write(&journal, bytes).expect("it can be written");
    clock.boot += 1;
    let mut queue = open(folder.path(), &clock);
    let taken = queue.take(clock.now()).expect("the disk is whole");
    assert_eq!(
        taken.job.map(|job| (job.attempts, job.power_cuts)),
        Some((2, 0))
    );
}

/// A time to live counts by the clock that runs, however the date jumps.
#[test]
fn a_date_that_jumps_ends_no_job_and_keeps_none() {
    let folder = folder();
    let mut clock = Clock::new().in_1970();
    let mut queue = open(folder.path(), &clock);
    queue
        .push(with_ttl(1, 60), 1, clock.now())
        .expect("there is room");
    clock.seconds = 10;
    // The network sets the date, and sets it wrong, and right again.
    for wall in [1_795_600_000, 4_000_000_000, 1_795_600_000] {
        clock.wall = SystemTime::UNIX_EPOCH + Duration::from_secs(wall);
        assert!(expired(&mut queue, &clock).is_empty());
    }
    clock.seconds = 59;
    assert!(expired(&mut queue, &clock).is_empty());
    clock.seconds = 60;
    assert_eq!(expired(&mut queue, &clock), ["job-1"]);
}

#[test]
fn while_the_board_was_off_time_went_by() {
    let folder = folder();
    let mut clock = Clock::new();
    let mut queue = open(folder.path(), &clock);
    queue
        .push(with_ttl(1, 60), 1, clock.now())
        .expect("there is room");
    queue
        .push(with_ttl(2, 3600), 1, clock.now())
        .expect("there is room");
    drop(queue);
    clock.wall += Duration::from_secs(600);
    let mut queue = open(folder.path(), &clock);
    assert_eq!(expired(&mut queue, &clock), ["job-1"]);
    clock.seconds = 2999;
    assert!(expired(&mut queue, &clock).is_empty());
    clock.seconds = 3000;
    assert_eq!(expired(&mut queue, &clock), ["job-2"]);
}

/// Where the dates before and after a restart cannot be compared, a job may wait its whole time once more.
#[test]
fn a_board_without_a_battery_gives_a_job_its_time_from_the_start() {
    let set = Clock::new;
    let unset = || Clock::new().in_1970();
    let early = || {
        let mut clock = Clock::new();
        clock.wall -= Duration::from_secs(86_400);
        clock
    };
    for (before, after) in [
        (unset(), set()),
        (set(), unset()),
        (unset(), unset()),
        (set(), early()),
    ] {
        let folder = folder();
        let mut queue = open(folder.path(), &before);
        queue
            .push(with_ttl(1, 60), 1, before.now())
            .expect("there is room");
        drop(queue);
        let mut clock = after;
        let mut queue = open(folder.path(), &clock);
        clock.seconds = 59;
        assert!(expired(&mut queue, &clock).is_empty());
        clock.seconds = 60;
        assert_eq!(expired(&mut queue, &clock), ["job-1"]);
    }
    // Once: the second start counts from the first, if that knew the date.
    let folder = folder();
    let clock = unset();
    let mut queue = open(folder.path(), &clock);
    queue
        .push(with_ttl(1, 60), 1, clock.now())
        .expect("there is room");
    drop(queue);
    let mut clock = set();
    drop(open(folder.path(), &clock));
    clock.seconds = 60;
    let mut queue = open(folder.path(), &clock);
    assert_eq!(expired(&mut queue, &clock), ["job-1"]);
}

#[test]
fn a_full_disk_is_no_reason_not_to_start() {
    use super::faulty_disk::{Fault, FaultyDisk};
    let folder = folder();
    let clock = Clock::new();
    let disk = Arc::new(FaultyDisk::default());
    disk.fail_at(0, Fault::Full);
    let (mut queue, _) = open_on(Arc::clone(&disk) as _, folder.path(), &clock);
    assert!(
        names(folder.path())
            .iter()
            .all(|name| !name.starts_with('.'))
    );
    disk.fail_at(0, Fault::Full);
    let error = queue
        .push(job(1), 1, clock.now())
        .expect_err("the disk is full");
    assert_eq!(error.name(), "disk_full");
    assert!(error.to_string().contains("delete pictures"), "{error}");
    queue
        .push(job(1), 1, clock.now())
        .expect("there is room again");
    disk.fail_at(0, Fault::Broken);
    let error = queue
        .push(job(2), 1, clock.now())
        .expect_err("the disk is broken");
    assert_eq!(error.name(), "disk_error");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("it is there");
    entries
        .map(|entry| {
            entry
                .expect("it can be listed")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}
