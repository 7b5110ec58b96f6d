//! Hostile model directories: whatever is in them, there is a picture or an error of one line, promptly and within memory; never a
//! panic that reaches the caller, the end of the process, or a picture of what is no network.
//!
//! Cases are made here, thousands of them by rule, from the smallest model that paints. `EASEL_HOSTILE_ONLY=TEXT` runs those whose
//! name has it; `EASEL_HOSTILE_REPORT=FOLDER` writes how each went.

mod crafted;
mod language;
mod micro;
mod numbers;
mod operators;
mod outsiders;
mod watch;

use watch::{Case, Right};

/// The groups of cases by name; the worker makes its own from it.
fn cases(group: &str) -> Vec<Case> {
    match group {
        "whole" => vec![Case::new("micro", Right::Paints, micro::write)],
        "shapeless operators" => operators::shapeless(),
        "whole operators" => operators::whole(),
        "damaged operators" => operators::damaged(),
        "numbers" => numbers::cases(),
        "own operators" => outsiders::own_operators(),
        "external tensors" => outsiders::external_tensors(),
        _ => panic!("no group `{group}`"),
    }
}

fn watch(group: &str) {
    watch::watch(group, &cases(group));
}

/// No test: what the others start.
#[test]
fn worker() {
    watch::work(cases);
}

#[test]
fn the_micro_model_paints() {
    watch("whole");
}

#[test]
fn operators_without_inputs_or_outputs() {
    watch("shapeless operators");
}

#[test]
fn operators_of_any_version() {
    watch("whole operators");
}

#[test]
fn operators_with_wrong_inputs_and_attributes() {
    watch("damaged operators");
}

#[test]
fn sizes_and_places_that_are_not_there() {
    watch("numbers");
}

#[test]
fn our_own_operators_from_outside() {
    watch("own operators");
}

#[test]
fn bytes_of_other_files() {
    watch("external tensors");
}
