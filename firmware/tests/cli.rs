//! Drives the real binary: a wrong call is one clear line, exit code 2, and no file.

use std::process::{Command, Output};

fn easel(folder: &std::path::Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_easel"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("EASEL_MODEL")
        .output()
        .expect("the binary runs")
}

fn refused(arguments: &[&str], says: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = easel(folder.path(), arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains(says), "{error}");
    assert!(output.stdout.is_empty());
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("it exists").count(),
        0,
        "something was written"
    );
}

#[test]
fn missing_model() {
    refused(
        &["paint", "a cat", "--model", "nowhere"],
        "is not a directory",
    );
}

#[test]
fn output_without_png() {
    refused(&["paint", "a cat", "--out", "cat.jpg"], ".png");
}

#[test]
fn output_folder_missing() {
    refused(&["paint", "a cat", "--out", "nowhere/cat.png"], "--out");
}

#[test]
fn unknown_scheduler_lists_the_names() {
    refused(
        &["paint", "a cat", "--scheduler", "magic"],
        "euler-ancestral",
    );
}

#[test]
fn size_that_is_no_size() {
    refused(&["paint", "a cat", "--size", "big"], "512x512");
}
