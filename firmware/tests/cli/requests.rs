//! Wrong calls: exit code 2, one line, nothing written.

use crate::support::{Workplace, npy, tiny};

fn refused(arguments: &[&str], says: &[&str]) {
    Workplace::new().refuses(2, arguments, says);
}

fn refused_by_tiny(arguments: &[&str], says: &[&str]) {
    let tiny = tiny();
    let tiny = tiny.to_str().expect("UTF-8");
    refused(
        &[&["paint", "--model", tiny, "--quiet"], arguments].concat(),
        says,
    );
}

#[test]
fn the_model_is_missing() {
    refused(
        &["paint", "a cat", "--model", "nowhere"],
        &["nowhere", "--model", "is not a directory"],
    );
    refused(&["paint", "a cat"], &["model", "--model DIR"]);
    let place = Workplace::new();
    let output = place
        .command(&["paint", "a cat"])
        .env("EASEL_MODEL", "nowhere")
        .output()
        .expect("the binary runs");
    place.refused(&output, 2, &["nowhere", "EASEL_MODEL"]);
}

#[test]
fn the_model_directory_is_no_model() {
    let place = Workplace::new();
    std::fs::create_dir(place.path("empty")).expect("it can be made");
    place.refuses(
        2,
        &["paint", "a cat", "--model", "empty"],
        &["empty", "model_index.json"],
    );
}

#[test]
fn flags_are_unknown_or_missing() {
    refused(&["paint", "a cat", "--colour", "red"], &["--colour"]);
    refused(&["paint"], &["<PROMPT>"]);
    refused(&["draw", "a cat"], &["draw"]);
    refused(&["paint", "a cat", "--steps", "many"], &["--steps", "many"]);
    refused(
        &["paint", "a cat", "--threads", "0"],
        &["--threads", "1..=256"],
    );
}

#[test]
fn negative_numbers_are_refused_by_their_flag() {
    for seed in ["-1", "-0.5", "1.5", "18446744073709551616", "many"] {
        refused(
            &["paint", "a cat", "--seed", seed],
            &["--seed", seed, "0 to 2^64-1", "leave it out for a random"],
        );
    }
    for (flag, value, says) in [
        ("--steps", "-1", "give 1 to 1000"),
        ("--steps", "4.5", "give 1 to 1000"),
        ("--size", "-32x32", "512x512"),
        ("--threads", "-2", "1..=256"),
        ("--memory", "-100", "1..=1048576"),
    ] {
        refused(&["paint", "a cat", flag, value], &[flag, value, says]);
    }
    for (flag, value) in [("--repeat", "-1"), ("--storage", "-1"), ("--size", "-8x8")] {
        refused(&["bench", flag, value], &[flag, value]);
    }
    refused_by_tiny(&["a cat", "--guidance", "-3"], &["guidance: -3", "0 to 50"]);
}

#[test]
fn help_and_version_are_no_errors() {
    let place = Workplace::new();
    for flag in ["--help", "--version"] {
        let output = place.run(&[flag]);
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty() && !output.stdout.is_empty());
    }
}

#[test]
fn the_scheduler_is_unknown() {
    refused(
        &["paint", "a cat", "--scheduler", "magic"],
        &["--scheduler", "magic", "euler-ancestral"],
    );
}

#[test]
fn the_scheduler_is_for_another_kind_of_model() {
    refused_by_tiny(
        &["a cat", "--scheduler", "flow-euler"],
        &["flow-euler", "DDIMScheduler"],
    );
}

#[test]
fn the_size_is_none() {
    for size in [
        "big",
        "0x0",
        "32x0",
        "32",
        "-32x32",
        "32x32x32",
        "99999999999x32",
    ] {
        let flag = format!("--size={size}");
        refused(&["paint", "a cat", &flag], &["--size", "512x512"]);
    }
}

#[test]
fn the_size_does_not_fit_the_model() {
    refused_by_tiny(&["a cat", "--size", "33x32"], &["33x32", "multiples of"]);
    refused_by_tiny(&["a cat", "--size", "32x8194"], &["32x8194", "8192"]);
}

#[test]
fn steps_and_guidance_are_out_of_range() {
    for steps in ["0", "1001"] {
        refused_by_tiny(&["a cat", "--steps", steps], &["steps", steps, "1 to 1000"]);
    }
    for guidance in ["NaN", "inf", "-1", "51"] {
        refused_by_tiny(
            &["a cat", "--guidance", guidance],
            &["guidance", guidance, "0 to 50"],
        );
        refused_by_tiny(
            &["a cat", "--guidance-rescale", guidance],
            &["guidance rescale", guidance, "0 to 1"],
        );
    }
}

#[test]
fn tokens_are_counted_where_t5_reads() {
    refused_by_tiny(
        &["a cat", "--text-tokens", "64"],
        &["text tokens", "T5", "leave it out"],
    );
}

#[test]
fn the_prompt_is_empty() {
    for prompt in ["", "  \t\n"] {
        refused_by_tiny(&[prompt], &["prompt", "empty"]);
    }
}

fn refused_from_input(input: Vec<u8>, says: &[&str]) {
    let (place, tiny) = (Workplace::new(), tiny());
    let tiny = tiny.to_str().expect("UTF-8");
    let output = place.run_with_input(&["paint", "-", "--model", tiny], input);
    place.refused(&output, 2, says);
    assert!(place.names().is_empty(), "something was written");
}

#[test]
fn the_prompt_from_standard_input_is_wrong() {
    refused_from_input(Vec::new(), &["prompt", "empty"]);
    refused_from_input(b"\n".to_vec(), &["prompt", "empty"]);
    refused_from_input(vec![b'a'; 1 << 20], &["prompt", "65536", "64 KiB"]);
    // The limit cuts the last character in two, which is not what is wrong.
    refused_from_input("ä".repeat(1 << 19).into_bytes(), &["prompt", "65536"]);
    refused_from_input(b"a caf\xe9".to_vec(), &["prompt", "utf-8", "UTF-8"]);
}

#[test]
fn the_prompt_in_the_call_is_too_long() {
    // One argument may have 128 KiB on Linux, so a longer one never reaches the program.
    refused_by_tiny(&[&"a".repeat(100_000)], &["prompt", "100000", "65536"]);
}

#[test]
fn the_latents_are_wrong() {
    let tiny = tiny();
    let tiny = tiny.to_str().expect("UTF-8");
    let place = Workplace::new()
        .with("small.npy", npy("1, 4, 8, 8", 256, 0.0))
        .with("flat.npy", npy("4, 16, 16", 1024, 0.0))
        .with("short.npy", npy("1, 4, 16, 16", 1023, 0.0))
        .with("text.npy", "noise");
    let call = ["paint", "a cat", "--model", tiny, "--quiet", "--latents"];
    for (file, says) in [
        (
            "small.npy",
            &["latents", "[1, 4, 8, 8]", "[1, 4, 16, 16]"][..],
        ),
        ("flat.npy", &["flat.npy", "[4, 16, 16]"]),
        ("short.npy", &["short.npy", "does not fit"]),
        ("text.npy", &["text.npy", "not a NumPy file"]),
        ("none.npy", &["none.npy", "cannot be read"]),
    ] {
        place.refuses(2, &[&call[..], &[file]].concat(), says);
    }
}

#[test]
fn the_latents_are_not_numbers() {
    let tiny = tiny();
    let tiny = tiny.to_str().expect("UTF-8");
    for value in [f32::NAN, f32::INFINITY] {
        let place = Workplace::new().with("noise.npy", npy("1, 4, 16, 16", 1024, value));
        place.refuses(
            1,
            &[
                "paint",
                "a cat",
                "--model",
                tiny,
                "--quiet",
                "--latents",
                "noise.npy",
            ],
            &["latents", "not finite"],
        );
    }
}
