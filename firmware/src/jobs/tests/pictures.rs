//! The pictures of jobs: after whatever happens there are those that jobs which are not over need, and no others.

use super::faulty_disk::{FastDisk, Fault, FaultyDisk};
use super::{Clock, id, open, open_on};
use crate::jobs::{
    JournalError, NewJob, NewPicture, Order, OrderPictures, Outcome, PictureName, Queue, Rejection,
    Source,
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Something that is done to the queue.
#[derive(Debug, Clone)]
enum Operation {
    /// A job with these pictures.
    Push(u8, Vec<u8>),
    Take,
    Finish,
    Release,
    Cancel(u8),
    CancelUnwritten(u8),
    WriteDown,
    Restart,
}

fn operation() -> impl Strategy<Value = Operation> {
    let push = (0_u8..8, proptest::collection::vec(0_u8..5, 0..3));
    prop_oneof![
        5 => push.prop_map(|(name, pictures)| Operation::Push(name, pictures)),
        3 => Just(Operation::Take),
        2 => Just(Operation::Finish),
        1 => Just(Operation::Release),
        2 => (0_u8..8).prop_map(Operation::Cancel),
        1 => (0_u8..8).prop_map(Operation::CancelUnwritten),
        1 => Just(Operation::WriteDown),
        2 => Just(Operation::Restart),
    ]
}

fn job(name: u8, pictures: &[u8]) -> NewJob {
    let pictures: Vec<NewPicture> = pictures
        .iter()
        .map(|number| NewPicture::new(vec![*number; 100]))
        .collect();
    let mut named = pictures.iter().map(PictureName::of);
    let order = Order {
        pictures: Box::new(OrderPictures {
            image: named.next(),
            mask: named.next(),
            ..OrderPictures::default()
        }),
        ..Order::new("a cat")
    };
    NewJob {
        id: Some(id(name)),
        pictures,
        ..NewJob::new(order, Source::Mqtt)
    }
}

fn there(folder: &Path) -> BTreeSet<String> {
    let names = std::fs::read_dir(folder.join("pictures"));
    let names = names.into_iter().flatten().flatten();
    names
        .map(|entry| entry.file_name().into_string().expect("they are plain"))
        .collect()
}

fn needed(queue: &Queue) -> BTreeSet<String> {
    let jobs = queue.waiting().chain(queue.painting());
    jobs.flat_map(|job| job.order.pictures.files())
        .map(|name| name.as_ref().to_owned())
        .collect()
}

fn run(queue: &mut Queue, clock: &Clock, operation: &Operation) -> Result<(), JournalError> {
    let painting = queue.painting().map(|job| job.id.clone());
    match (operation, painting) {
        (Operation::Push(name, pictures), _) => {
            let pushed = queue.push(job(*name, pictures), 7, clock.now());
            if let Err(Rejection::Disk(error) | Rejection::DiskFull(error)) = pushed {
                return Err(error);
            }
        }
        (Operation::Take, _) => drop(queue.take(clock.now())?),
        (Operation::Finish, Some(id)) => drop(queue.finish(&id, Outcome::Done)?),
        (Operation::Release, Some(id)) => drop(queue.release(&id)?),
        (Operation::Cancel(name), _) => drop(queue.cancel(&id(*name))?),
        (Operation::CancelUnwritten(name), _) => drop(queue.cancel_unwritten(&id(*name))),
        (Operation::WriteDown, _) => queue.write_down()?,
        (Operation::Finish | Operation::Release | Operation::Restart, _) => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn there_is_what_jobs_need_and_no_more(operations in proptest::collection::vec(operation(), 1..60)) {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::new();
        let mut queue = open(folder.path(), &clock);
        for operation in &operations {
            if matches!(operation, Operation::Restart) {
                drop(queue);
                queue = open(folder.path(), &clock);
            }
            run(&mut queue, &clock, operation).expect("the disk is whole");
            let (seen, needed) = (there(folder.path()), needed(&queue));
            prop_assert!(seen.is_superset(&needed), "{operation:?}: {seen:?}, not {needed:?}");
            // A cancel that is not written may yet be lost.
            queue.write_down().expect("the disk is whole");
            prop_assert_eq!(there(folder.path()), needed, "{:?}", operation);
        }
    }

    /// A call of the disk fails or is the last one before the machine is off; then there is never one too few, and after the next start
    /// none too many.
    #[test]
    fn none_is_lost_on_a_disk_that_fails(
        operations in proptest::collection::vec(operation(), 1..30),
        call in 0_usize..60,
        fault in prop_oneof![Just(Fault::Full), Just(Fault::Broken), Just(Fault::PowerCut)],
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::new();
        let disk = Arc::new(FaultyDisk::default());
        let (mut queue, _) = open_on(disk.clone(), folder.path(), &clock);
        disk.fail_at(call, fault);
        for operation in &operations {
            let _ = run(&mut queue, &clock, operation);
            prop_assert!(there(folder.path()).is_superset(&needed(&queue)), "{operation:?}");
        }
        drop(queue);
        let (queue, _) = open_on(Arc::new(FastDisk), folder.path(), &clock);
        prop_assert!(there(folder.path()).is_superset(&needed(&queue)));
        prop_assert_eq!(there(folder.path()), needed(&queue));
    }
}

#[test]
fn what_nobody_needs_goes_at_the_start_and_other_files_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::new();
    let mut queue = open(folder.path(), &clock);
    run(&mut queue, &clock, &Operation::Push(1, vec![1])).expect("the disk is whole");
    drop(queue);
    let pictures = folder.path().join("pictures");
    let stray = NewPicture::new(vec![9]);
    for name in [stray.name.as_ref(), ".new-x.png", "notes.txt"] {
        std::fs::write(pictures.join(name), "x").expect("a file");
    }
    let queue = open(folder.path(), &clock);
    let mut expected = needed(&queue);
    assert_eq!(expected.len(), 1);
    expected.insert("notes.txt".to_owned());
    assert_eq!(there(folder.path()), expected);
}

#[test]
fn a_damaged_one_is_mended_by_the_next_job_that_has_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::new();
    let mut queue = open(folder.path(), &clock);
    run(&mut queue, &clock, &Operation::Push(1, vec![1])).expect("the disk is whole");
    let name = needed(&queue).pop_first().expect("it has one");
    let path = folder.path().join("pictures").join(name);
    std::fs::write(&path, "damage").expect("a file");
    run(&mut queue, &clock, &Operation::Push(2, vec![1])).expect("the disk is whole");
    assert_eq!(std::fs::read(&path).expect("it is there"), [1; 100]);
}
