//! What the history should do, told a second time without a disk, and disks that fail.

use super::{folder, id, noise, open, painted, settings};
use crate::jobs::history::name::Name;
use crate::jobs::history::{History, HistoryError, Kept};
use crate::jobs::tests::faulty_disk::{Fault, FaultyDisk};
use proptest::prelude::*;
use std::fs;
use std::sync::Arc;

/// What can be done to a history.
#[derive(Debug, Clone)]
enum Operation {
    Add(u32),
    Favourite(u32, bool),
    Delete(u32),
    Prune,
}

/// Jobs that are there, and which of them are favourites.
type Model = Vec<(u32, bool)>;

const MOST: usize = 3;

fn model_of(history: &History) -> Model {
    let number = |kept: &Kept| kept.id.to_string()[4..].parse().expect("a number");
    history
        .iter()
        .map(|kept| (number(kept), kept.favourite))
        .collect()
}

fn bound(model: &mut Model) {
    while model.iter().filter(|(_, favourite)| !favourite).count() > MOST {
        let oldest = model.iter().position(|(_, favourite)| !favourite);
        model.remove(oldest.expect("there are some"));
    }
}

fn apply(model: &mut Model, operation: &Operation) {
    match *operation {
        Operation::Add(number) => {
            let favourite = model.contains(&(number, true));
            model.retain(|(other, _)| *other != number);
            model.push((number, favourite));
            bound(model);
        }
        Operation::Favourite(number, favourite) => {
            if let Some(entry) = model.iter_mut().find(|(other, _)| *other == number) {
                entry.1 = favourite;
            }
        }
        Operation::Delete(number) => model.retain(|(other, _)| *other != number),
        Operation::Prune => {
            let latest = model.last().copied();
            model.retain(|entry| entry.1 || Some(*entry) == latest);
        }
    }
}

fn run(history: &mut History, operation: &Operation) -> Result<(), HistoryError> {
    let done = match *operation {
        Operation::Add(number) => history.add(&noise(8, number), &painted(number)).map(drop),
        Operation::Favourite(number, favourite) => history.set_favourite(&id(number), favourite),
        Operation::Delete(number) => history.delete(&id(number)),
        Operation::Prune => {
            history.prune_to(0);
            Ok(())
        }
    };
    match done {
        Err(HistoryError::Unknown(_)) => Ok(()),
        done => done,
    }
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        5 => (0_u32..8).prop_map(Operation::Add),
        2 => (0_u32..8, any::<bool>()).prop_map(|(number, to)| Operation::Favourite(number, to)),
        1 => (0_u32..8).prop_map(Operation::Delete),
        1 => Just(Operation::Prune),
    ]
}

/// Every picture that the history has is whole, and of its job.
fn is_sound(history: &History) {
    for kept in history.iter() {
        let details = history.details(&kept.id).expect("it is whole");
        assert_eq!(details.id, kept.id);
        let seed = details.id.to_string()[4..].parse().expect("a number");
        assert_eq!(
            history.picture(&kept.id).expect("it is whole"),
            noise(8, seed)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_history_does_as_the_model(operations in proptest::collection::vec(operation(), 1..40)) {
        let folder = folder();
        let mut history = open(&folder, MOST);
        let mut model = Model::new();
        for operation in &operations {
            run(&mut history, operation).expect("the disk is whole");
            apply(&mut model, operation);
            prop_assert_eq!(model_of(&history), model.clone());
        }
        drop(history);
        // Those that are no favourites any more count now.
        bound(&mut model);
        let history = open(&folder, MOST);
        prop_assert_eq!(model_of(&history), model);
        is_sound(&history);
        let bytes: u64 = super::files(&folder)
            .iter()
            .map(|name| fs::metadata(folder.path().join(name)).expect("it is there").len())
            .sum();
        prop_assert_eq!(history.bytes(), bytes);
    }

    /// A call fails, or the power goes at it. What was there and was not to go is there, whole.
    #[test]
    fn a_disk_that_fails_costs_no_other_picture(
        operations in proptest::collection::vec(operation(), 1..20),
        call in 0_usize..80,
        fault in prop_oneof![Just(Fault::Full), Just(Fault::Broken), Just(Fault::PowerCut)],
        lose in any::<bool>(),
    ) {
        let folder = folder();
        let disk = Arc::new(FaultyDisk::default());
        disk.fail_at(call, fault);
        let mut history = History::open_on(Arc::clone(&disk) as _, folder.path(), &settings(MOST))
            .expect("it opens");
        let mut acknowledged = Vec::new();
        for operation in &operations {
            let before = model_of(&history);
            let done = run(&mut history, operation);
            if let (Operation::Add(number), Ok(())) = (operation, &done) {
                acknowledged.push(*number);
            }
            if done.is_err() && !matches!(operation, Operation::Delete(_)) {
                prop_assert_eq!(model_of(&history), before, "{:?}", operation);
            }
            if done.is_err() && fault == Fault::PowerCut {
                // It may be whole all the same, and others have made room for it.
                let mut after = model_of(&history);
                apply(&mut after, operation);
                acknowledged.retain(|number| after.iter().any(|(other, _)| other == number));
                break;
            }
            // What could not be removed makes room when it can.
            let mut after = model_of(&history);
            bound(&mut after);
            acknowledged.retain(|number| after.iter().any(|(other, _)| other == number));
        }
        drop(history);
        if lose && fault == Fault::PowerCut {
            disk.forget_unsynced(folder.path());
        }
        let history = open(&folder, MOST);
        is_sound(&history);
        let left = model_of(&history);
        for number in acknowledged {
            let is_there = left.iter().any(|(other, _)| *other == number);
            let was_to_go = operations.iter().any(|operation| match operation {
                Operation::Delete(other) => *other == number,
                Operation::Prune => true,
                _ => false,
            });
            prop_assert!(is_there || was_to_go, "{}: {:?}", number, left);
        }
    }

    #[test]
    fn any_file_name_can_be_read(name in "[0-9+]{0,12}[-.]{0,2}[a-z.]{0,5}(\\.png|\\.json|\\.favourite)?|.*") {
        if let Some(parsed) = Name::parse(&name) {
            prop_assert_eq!(parsed.to_string(), name);
        }
    }
}
