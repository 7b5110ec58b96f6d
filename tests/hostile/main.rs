//! Hostile model directories: whatever is in them, there is a picture or an error of one line, promptly and within memory; never a
//! panic that reaches the caller, the end of the process, or a picture of what is no network.
//!
//! Cases are made here, thousands of them by rule, from the smallest model that paints. `EASEL_HOSTILE_ONLY=TEXT` runs those whose
//! name has it, `EASEL_HOSTILE_ALL=1` also those that take long together; `EASEL_HOSTILE_REPORT=FOLDER` writes how each went.

#[allow(dead_code, reason = "the daemon's tests use the rest")]
#[path = "all.rs"]
mod all;

use all::{cases, watch};

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
fn numbers_that_are_known_when_it_runs() {
    watch("running");
}

#[test]
fn our_own_operators_from_outside() {
    watch("own operators");
}

#[test]
fn bytes_of_other_files() {
    watch("external tensors");
}

#[test]
fn values_that_wait_for_themselves() {
    watch("rings");
}

#[test]
fn values_that_are_read_twice_at_each_level() {
    watch("doubled");
}

#[test]
fn graphs_of_any_length() {
    watch("long");
}

#[test]
fn names_that_make_no_line() {
    watch("names");
}

#[test]
fn what_is_declared_twice_or_of_nobody() {
    watch("declarations");
}

#[test]
fn graphs_in_graphs() {
    watch("nested");
}

#[test]
fn functions_of_the_model() {
    watch("functions");
}

#[test]
fn constants_of_every_type() {
    watch("constants");
}

#[test]
fn a_flipped_bit() {
    watch("flipped");
}

#[test]
fn files_cut_and_spliced() {
    watch("mangled");
}

#[test]
fn a_flipped_bit_of_an_exporters_file() {
    watch("exported");
}

#[test]
fn what_stands_where_a_file_should() {
    watch("no files");
}

#[test]
fn json_that_is_none() {
    watch("no JSON");
}

#[test]
fn values_of_the_small_files() {
    watch("values");
}

#[test]
fn tokenizers_that_grow_and_nest() {
    watch("tokenizers");
}

#[test]
fn ways_around_the_checks() {
    watch("evasions");
}

#[test]
fn weights_that_are_no_numbers() {
    watch("not finite");
}
