//! What is left of the queue after a power cut, a full disk and a failing one.

use super::faulty_disk::{FastDisk, Fault, FaultyDisk};
use super::model::{Model, Operation, operation, run};
use super::{Clock, open, open_on};
use crate::jobs::{Outcome, Source};
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use std::sync::Arc;

fn push(name: u8, source: Source, ttl: Option<u64>) -> Operation {
    Operation::Push {
        name: Some(name),
        source,
        ttl,
        random: 0x1234_5678_9abc_def0 + u64::from(name),
    }
}

/// A bit of everything.
fn script() -> Vec<Operation> {
    use Operation::{Cancel, Finish, PowerCut, Release, Restart, Take, Unstopped, Wait};
    vec![
        push(0, Source::Mqtt, None),
        push(1, Source::Kiosk, None),
        Take,
        push(2, Source::Fleet, Some(3)),
        Finish(Outcome::Done),
        push(0, Source::Mqtt, None),
        Take,
        Release,
        Wait(5),
        Operation::Expire,
        push(3, Source::Button, Some(100)),
        Take,
        Restart,
        Take,
        Finish(Outcome::Error("no memory".to_owned())),
        push(4, Source::Mqtt, None),
        Operation::Outgrow,
        push(5, Source::Mqtt, None),
        Cancel(4),
        Take,
        Restart,
        Take,
        PowerCut,
        Take,
        Unstopped,
        Restart,
        Take,
        Restart,
        Take,
        push(6, Source::Mqtt, None),
        Take,
        Cancel(6),
        Take,
        Finish(Outcome::Cancelled),
    ]
}

/// Runs the operations on a queue in `folder`, calling `after` with the model and the answer to each.
fn play(
    disk: &Arc<FaultyDisk>,
    folder: &Path,
    operations: &[Operation],
    mut after: impl FnMut(&mut Model, &Operation, Option<super::model::Answer>),
) -> Clock {
    let mut clock = Clock::new();
    let (mut queue, _) = open_on(Arc::clone(disk) as _, folder, &clock);
    let mut model = Model::default();
    for operation in operations {
        if operation.begins_anew(&mut clock) {
            drop(queue);
            queue = open_on(Arc::clone(disk) as _, folder, &clock).0;
        }
        let answer = run(&mut queue, &mut clock, operation).ok();
        after(&mut model, operation, answer);
        assert_eq!(model.differs(&queue), None, "{operation:?}");
    }
    clock
}

#[test]
fn the_journal_cut_at_any_byte_has_all_that_was_acknowledged_by_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = folder.path().join("journal");
    let disk = Arc::new(FaultyDisk::default());
    // Without a new journal in between, and with one record an operation, so that each length has its state.
    let operations: Vec<Operation> = script()
        .into_iter()
        .filter(|operation| !matches!(operation, Operation::Outgrow))
        .collect();
    let mut states = vec![(0, Model::default())];
    let clock = play(
        &disk,
        folder.path(),
        &operations,
        |model, operation, answer| {
            assert_eq!(answer, Some(model.apply(operation)));
            let length = fs::metadata(&journal).expect("it is there").len() as usize;
            states.push((length, model.clone()));
        },
    );
    let bytes = fs::read(&journal).expect("it is there");
    assert!(states.len() > 20 && bytes.len() > 1500, "{}", bytes.len());
    for end in 0..=bytes.len() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("journal"), &bytes[..end]).expect("it can be written");
        let (mut queue, recovered) = open_on(Arc::new(FastDisk), folder.path(), &clock);
        let (_, mut model) = states
            .iter()
            .rev()
            .find(|(length, _)| *length <= end)
            .cloned()
            .expect("the first is 0");
        model.apply(&Operation::Restart);
        assert_eq!(model.differs(&queue), None, "{end} bytes");
        assert!(recovered.damaged == 0 && recovered.set_aside.is_none());
        let lines = bytes[..end].iter().rposition(|&byte| byte == b'\n');
        assert_eq!(recovered.cut, end - lines.map_or(0, |last| last + 1));
        // And it goes on from there.
        let next = push(9, Source::Button, None);
        let mut clock = Clock {
            seconds: clock.seconds,
            ..clock
        };
        let answer = run(&mut queue, &mut clock, &next).expect("the disk is whole");
        assert_eq!(answer, model.apply(&next), "{end} bytes");
        drop(queue);
        assert_eq!(
            model.differs(&open(folder.path(), &clock)),
            None,
            "{end} bytes"
        );
    }
}

/// After each call that fails, whatever it is, the queue is as before it or as after it.
#[test]
fn a_call_that_fails_changes_nothing() {
    let operations = script();
    let calls = {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Arc::new(FaultyDisk::default());
        play(
            &disk,
            folder.path(),
            &operations,
            |model, operation, answer| {
                assert_eq!(answer, Some(model.apply(operation)));
            },
        );
        disk.calls()
    };
    assert!(calls > 40, "{calls}");
    for fault in [Fault::Full, Fault::Broken] {
        let mut failures = 0;
        for call in 0..calls {
            let folder = tempfile::tempdir().expect("a folder");
            let disk = Arc::new(FaultyDisk::default());
            disk.fail_at(call, fault);
            let mut last = Model::default();
            let mut clock = play(
                &disk,
                folder.path(),
                &operations,
                |model, operation, answer| {
                    match answer {
                        Some(answer) => assert_eq!(answer, model.apply(operation), "call {call}"),
                        None => failures += 1,
                    }
                    last = model.clone();
                },
            );
            // What a failed sync has left is gone with the next record that is written.
            let (mut queue, _) = open_on(Arc::new(FastDisk), folder.path(), &clock);
            last.apply(&Operation::Restart);
            let next = push(9, Source::Button, None);
            let answer = run(&mut queue, &mut clock, &next).expect("the disk is whole");
            assert_eq!(answer, last.apply(&next));
            drop(queue);
            assert_eq!(
                last.differs(&open(folder.path(), &clock)),
                None,
                "call {call}"
            );
        }
        assert!(failures > 20, "{fault:?}: {failures}");
    }
}

/// The power goes at call `call` of the operations; what was not synced is lost or not.
fn cut_power(operations: &[Operation], call: usize, lose: bool) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Arc::new(FaultyDisk::default());
    disk.fail_at(call, Fault::PowerCut);
    let mut clock = Clock::new();
    let (mut queue, _) = open_on(Arc::clone(&disk) as _, folder.path(), &clock);
    let mut before = Model::default();
    let mut after = before.clone();
    for operation in operations {
        if operation.begins_anew(&mut clock) {
            drop(queue);
            queue = open_on(Arc::clone(&disk) as _, folder.path(), &clock).0;
        }
        after = before.clone();
        let should = after.apply(operation);
        match run(&mut queue, &mut clock, operation) {
            Ok(answer) if answer == should => before = after.clone(),
            Ok(answer) => return Err(format!("{operation:?}: {answer:?}")),
            Err(_) => break,
        }
    }
    drop(queue);
    if lose {
        disk.forget_unsynced(folder.path());
    }
    let (queue, recovered) = open_on(Arc::new(FastDisk), folder.path(), &clock);
    if recovered.damaged > 0 || recovered.set_aside.is_some() {
        return Err(format!("{recovered:?}"));
    }
    before.apply(&Operation::Restart);
    after.apply(&Operation::Restart);
    match (before.differs(&queue), after.differs(&queue)) {
        (Some(before), Some(_)) => Err(before),
        _ => Ok(()),
    }
}

#[test]
fn the_power_may_go_at_any_call() {
    let operations = script();
    for call in 0..80 {
        for lose in [false, true] {
            let done = cut_power(&operations, call, lose);
            assert_eq!(done, Ok(()), "call {call}, unsynced lost: {lose}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_power_may_go_at_any_call_of_anything(
        operations in proptest::collection::vec(operation(), 1..60),
        call in 0_usize..120,
        lose in any::<bool>(),
    ) {
        prop_assert_eq!(cut_power(&operations, call, lose), Ok(()));
    }
}
