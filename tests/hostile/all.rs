//! All cases, by groups: for the tests here, and for those that put them under a running daemon.

mod bytes;
mod constants;
mod crafted;
mod declarations;
mod evasions;
mod files;
mod graphs;
mod language;
mod long;
mod micro;
mod names;
mod nested;
mod numbers;
mod operators;
mod outsiders;
mod running;
mod templates;
mod tokenizers;
mod values;
pub(crate) mod watch;

use watch::{Case, Right};

/// Groups of models of which none is as it should be.
pub(crate) const GROUPS: [&str; 24] = [
    "shapeless operators",
    "whole operators",
    "damaged operators",
    "numbers",
    "running",
    "own operators",
    "external tensors",
    "rings",
    "doubled",
    "long",
    "names",
    "declarations",
    "nested",
    "functions",
    "constants",
    "flipped",
    "mangled",
    "not finite",
    "exported",
    "evasions",
    "no files",
    "no JSON",
    "values",
    "tokenizers",
];

/// The groups of cases by name; the worker makes its own from it.
pub(crate) fn cases(group: &str) -> Vec<Case> {
    match group {
        "whole" => vec![Case::new("micro", Right::Paints, micro::write)],
        "shapeless operators" => operators::shapeless(),
        "whole operators" => operators::whole(),
        "damaged operators" => operators::damaged(),
        "numbers" => numbers::cases(),
        "running" => running::running(),
        "own operators" => outsiders::own_operators(),
        "external tensors" => outsiders::external_tensors(),
        "rings" => graphs::rings(),
        "doubled" => graphs::doubled(),
        "long" => long::long(),
        "names" => names::names(),
        "declarations" => declarations::declarations(),
        "nested" => nested::nested(),
        "functions" => nested::functions(),
        "constants" => constants::constants(),
        "flipped" => bytes::flipped(),
        "mangled" => bytes::mangled(),
        "not finite" => bytes::not_finite(),
        "exported" => bytes::exported(),
        "evasions" => evasions::cases(),
        "no files" => files::no_files(),
        "no JSON" => files::no_json(),
        "values" => values::values(),
        "tokenizers" => tokenizers::tokenizers(),
        _ => panic!("no group `{group}`"),
    }
}
