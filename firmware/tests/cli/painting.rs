//! The good way: files, standard output, and the same picture again.

use crate::support::{Workplace, is_kernel, is_progress, json_line, model, npy, stderr, stdout};
use easel::Latents;
use easel::noise::{NoiseSource as _, PhiloxNoise};
use std::fs;

fn bytes(place: &Workplace, name: &str) -> Vec<u8> {
    fs::read(place.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Paints into `name` in three quick steps.
fn paint(place: &Workplace, name: &str, arguments: &[&str]) -> Vec<u8> {
    let call = ["--steps", "3", "--quiet", "--out", name];
    place.paint(&[&call, arguments].concat());
    bytes(place, name)
}

#[test]
fn json_is_one_line_of_what_the_contract_lists() {
    let place = Workplace::new();
    let output = place.paint(&[
        "a red house",
        "--json",
        "--out",
        "cat.png",
        "--size",
        "48x32",
        "--steps",
        "3",
        "--seed",
        "7",
        "--scheduler",
        "euler",
        "--guidance",
        "2.5",
    ]);
    let line = json_line(&output);
    let keys: Vec<&str> = line.keys().map(String::as_str).collect();
    let contract = [
        "image",
        "width",
        "height",
        "seed",
        "steps",
        "scheduler",
        "guidance",
        "timings_ms",
        "peak_rss_mib",
        "kernel",
        "warnings",
    ];
    assert_eq!(keys, contract);
    assert_eq!(line["image"], "cat.png");
    assert_eq!((&line["width"], &line["height"]), (&48.into(), &32.into()));
    assert_eq!((&line["seed"], &line["steps"]), (&7.into(), &3.into()));
    assert_eq!(line["scheduler"], "euler");
    assert_eq!(line["guidance"], 2.5);
    assert!(is_kernel(&line["kernel"]), "{line:?}");
    assert_eq!(line["warnings"], serde_json::json!([]));
    assert!(line["peak_rss_mib"].as_u64().is_some_and(|mib| mib > 0));

    let timings = line["timings_ms"].as_object().expect("an object");
    let keys: Vec<&str> = timings.keys().map(String::as_str).collect();
    assert_eq!(keys, ["load", "text", "denoise", "decode", "total"]);
    let ms = |key: &str| timings[key].as_u64().expect("whole milliseconds");
    assert!(ms("total") >= ms("denoise") && ms("total") >= ms("load"));

    let picture = image::open(place.path("cat.png")).expect("a PNG");
    assert_eq!((picture.width(), picture.height()), (48, 32));
    assert_eq!(place.names(), ["cat.png"]);
}

#[test]
fn the_models_defaults_are_used_and_the_seed_is_printed() {
    let place = Workplace::new();
    let line = json_line(&place.paint(&["a cat", "--json", "--quiet"]));
    let seed = line["seed"].as_u64().expect("a number");
    assert_eq!(line["image"], format!("easel-{seed}.png"));
    assert_eq!((&line["width"], &line["height"]), (&32.into(), &32.into()));
    assert_eq!(
        (&line["steps"], &line["guidance"]),
        (&20.into(), &7.5.into())
    );
    assert_eq!(line["scheduler"], "ddim");

    let again = place.paint(&[
        "a cat",
        "--quiet",
        "--out",
        "again.png",
        "--seed",
        &seed.to_string(),
    ]);
    assert!(
        stdout(&again).starts_with(&format!("again.png (seed {seed}, ")),
        "{again:?}"
    );
    assert_eq!(
        bytes(&place, &format!("easel-{seed}.png")),
        bytes(&place, "again.png")
    );
}

#[test]
fn the_seed_makes_the_picture_and_threads_do_not() {
    for precision in ["fp32", "int8"] {
        let (place, model) = (Workplace::new(), model(precision));
        let model = model.to_str().expect("UTF-8");
        let painted = |seed: &str, threads: &str| {
            let output = place.run(&[
                "paint",
                "a cat",
                "--model",
                model,
                "--quiet",
                "--out",
                "cat.png",
                "--steps",
                "3",
                "--scheduler",
                "euler-ancestral",
                "--seed",
                seed,
                "--threads",
                threads,
            ]);
            assert!(output.status.success(), "{}", stderr(&output));
            bytes(&place, "cat.png")
        };
        let one = painted("5", "1");
        assert!(
            one == painted("5", "1"),
            "{precision}: another picture from the same seed"
        );
        assert!(
            one == painted("5", "2"),
            "{precision}: another picture from two threads"
        );
        assert!(
            one != painted("6", "1"),
            "{precision}: the same picture from another seed"
        );
    }
}

#[test]
fn latents_are_the_noise_behind_the_seed() {
    let mut noise = vec![0.0; 4 * 16 * 16];
    PhiloxNoise::new(7).fill(&mut noise);
    let mut file = npy("1, 4, 16, 16", noise.len(), 0.0);
    let header = file.len() - 4 * noise.len();
    file.truncate(header);
    file.extend(noise.iter().flat_map(|value| value.to_le_bytes()));
    let place = Workplace::new().with("noise.npy", file);

    let seeded = ["a cat", "--seed", "7", "--save-latents", "seeded.npy"];
    let given = [
        "a cat",
        "--seed",
        "8",
        "--latents",
        "noise.npy",
        "--save-latents",
        "given.npy",
    ];
    // Their files differ in the seed that they name.
    let pixels = |name: &str, call: &[&str]| {
        let png = paint(&place, name, call);
        image::load_from_memory(&png).expect("a PNG").into_rgb8()
    };
    assert!(pixels("seeded.png", &seeded) == pixels("given.png", &given));
    assert!(bytes(&place, "seeded.npy") == bytes(&place, "given.npy"));
    let latents = Latents::read_npy(place.path("given.npy")).expect("latents");
    assert_eq!(latents.shape(), [1, 4, 16, 16]);
    assert_ne!(latents.data, noise);
}

#[test]
fn the_prompt_matters_and_may_come_from_standard_input() {
    let place = Workplace::new();
    let house = paint(&place, "house.png", &["a red house", "--seed", "1"]);
    assert!(house != paint(&place, "dog.png", &["a blue dog", "--seed", "1"]));
    let model = model("fp32");
    let model = model.to_str().expect("UTF-8");
    let call = [
        "paint",
        "-",
        "--model",
        model,
        "--steps",
        "3",
        "--seed",
        "1",
        "--out",
        "input.png",
        "--quiet",
    ];
    let output = place.run_with_input(&call, b"a red house\r\n".to_vec());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(house == bytes(&place, "input.png"));
}

#[test]
fn the_model_may_come_from_the_environment() {
    let place = Workplace::new();
    let call = [
        "paint", "a cat", "--steps", "1", "--quiet", "--out", "cat.png",
    ];
    let output = place
        .command(&call)
        .env("EASEL_MODEL", model("fp32"))
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(place.names(), ["cat.png"]);
}

#[test]
fn quiet_is_silent_and_otherwise_progress_is_a_few_lines() {
    let place = Workplace::new();
    let call = ["a cat", "--steps", "8", "--out", "cat.png"];
    let quiet = place.paint(&[&call[..], &["--quiet"]].concat());
    assert_eq!(stderr(&quiet), "");
    let lines = stderr(&place.paint(&call));
    assert!(lines.lines().all(is_progress), "{lines}");
    assert!(lines.contains("painting: step 8 of 8\n"), "{lines}");
    assert_eq!(lines.lines().count(), 6, "{lines}");
}

#[test]
fn warnings_do_not_stop_it() {
    let place = Workplace::new();
    let long = "cat ".repeat(1000);
    // A file where the cache's folder should be.
    let place = place.with("cache", "");
    let call = [
        "--steps", "1", "--quiet", "--cache", "cache", "--out", "cat.png", &long,
    ];
    let said = stderr(&place.paint(&call));
    assert_eq!(said.lines().count(), 4, "{said}");
    for part in ["tokens and is cut", "cache/"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn an_older_picture_is_replaced() {
    let place = Workplace::new().with("cat.png", "not even a picture");
    paint(&place, "cat.png", &["a cat"]);
    assert!(image::open(place.path("cat.png")).is_ok());
    assert_eq!(place.names(), ["cat.png"]);
}
