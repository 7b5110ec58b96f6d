//! Pictures to begin with, to follow, to paint like.

use crate::support::{Workplace, json_line, model, pocket, stderr};
use std::fs;
use std::path::{Path, PathBuf};

/// A model with random weights, beside `tiny`.
fn other(kind: &str) -> PathBuf {
    let tiny = model("fp32");
    let models = tiny
        .parent()
        .and_then(Path::parent)
        .expect("it lies in a folder");
    models.join(kind)
}

fn golden(name: &str) -> Vec<u8> {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/pipelines");
    fs::read(goldens.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A folder with a picture of 61×45 and a mask.
fn place() -> Workplace {
    Workplace::new()
        .with("source.png", golden("source.png"))
        .with("mask.png", golden("mask-right.png"))
}

/// The pixels of a PNG, and its size.
fn pixels(path: &Path) -> (Vec<u8>, (u32, u32)) {
    let picture = image::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let picture = picture.to_rgb8();
    let size = picture.dimensions();
    (picture.into_raw(), size)
}

#[test]
fn a_picture_is_varied_in_its_own_shape_and_the_line_says_so() {
    let place = place();
    let call = [
        "a tree",
        "--image",
        "source.png",
        "--steps",
        "4",
        "--seed",
        "3",
        "--json",
        "--quiet",
    ];
    let line = json_line(&place.paint(&[&call[..], &["--out", "a.png"]].concat()));
    assert!(line["timings_ms"]["encode"].is_u64(), "{line:?}");
    // 32×32 by default: as many pixels, and nearly the shape of 61×45.
    assert_eq!((&line["width"], &line["height"]), (&36.into(), &28.into()));
    place.paint(&[&call[..], &["--out", "b.png", "--strength", "0.3"]].concat());
    assert_ne!(pixels(&place.path("a.png")), pixels(&place.path("b.png")));
    let sized = [&call[..], &["--out", "c.png", "--size", "48x32"]].concat();
    assert_eq!(json_line(&place.paint(&sized))["width"], 48);
    // Nothing is painted, and that is said.
    let none = [&call[..], &["--out", "d.png", "--strength", "0.1"]].concat();
    let line = json_line(&place.paint(&none));
    let warnings = line["warnings"].to_string();
    assert!(warnings.contains("strength 0.1 of 4 steps"), "{warnings}");
}

#[test]
fn what_the_mask_keeps_is_the_source_to_the_bit() {
    let place = place();
    let call = [
        "a tree",
        "--image",
        "source.png",
        "--mask",
        "mask.png",
        "--size",
        "61x45",
        "--steps",
        "2",
        "--quiet",
    ];
    // The tiny model paints two pixels a latent: an even size.
    let call: Vec<&str> = call
        .iter()
        .map(|word| if *word == "61x45" { "60x44" } else { word })
        .collect();
    place.paint(&[&call[..], &["--out", "kept.png"]].concat());
    place.paint(&[&call[..], &["--out", "raw.png", "--no-paste"]].concat());
    let source = easel::Picture::read(&place.path("source.png")).expect("a picture");
    let mask = easel::Picture::read(&place.path("mask.png")).expect("a picture");
    let (source, mask) = (source.resized((60, 44)), mask.resized((60, 44)));
    let [kept, raw] = ["kept.png", "raw.png"].map(|name| pixels(&place.path(name)).0);
    let black = (0..mask.rgb.len()).filter(|at| mask.rgb[*at] == 0);
    let black: Vec<usize> = black.collect();
    assert!(black.len() > mask.rgb.len() / 4);
    assert!(black.iter().all(|at| kept[*at] == source.rgb[*at]));
    assert!(black.iter().any(|at| raw[*at] != source.rgb[*at]));
}

#[test]
fn the_default_model_changes_apples_into_a_cat() {
    let place = Workplace::new();
    let pocket = pocket();
    let pocket = pocket.to_str().expect("UTF-8");
    let paint = |words: &[&str]| {
        let output = place.run(
            &[
                &["paint", "--quiet", "--seed", "5", "--model", pocket],
                words,
            ]
            .concat(),
        );
        assert!(output.status.success(), "{}", stderr(&output));
    };
    paint(&[
        "three red apples on a blue background",
        "--out",
        "apples.png",
    ]);
    paint(&[
        "a green cat on a blue background",
        "--image",
        "apples.png",
        "--out",
        "cat.png",
    ]);
    paint(&[
        "three red apples on a blue background",
        "--image",
        "apples.png",
        "--strength",
        "0.2",
        "--out",
        "same.png",
    ]);
    let [apples, cat, same] =
        ["apples.png", "cat.png", "same.png"].map(|name| pixels(&place.path(name)).0);
    let distance = |other: &[u8]| -> u64 {
        let pairs = apples.iter().zip(other);
        pairs.map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum()
    };
    // Little strength leaves the picture, much does not.
    assert!(
        3 * distance(&same) < distance(&cat),
        "{} and {}",
        distance(&same),
        distance(&cat)
    );
}

/// A PNG that says it is so large, and has nothing else.
fn bomb() -> Vec<u8> {
    let mut png = golden("source.png");
    png[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let sum = crc32fast::hash(&png[12..29]).to_be_bytes();
    png[29..33].copy_from_slice(&sum);
    png
}

#[test]
fn what_is_no_picture_is_refused_by_its_file() {
    let png = golden("source.png");
    let place = place()
        .with("bomb.png", bomb())
        .with("short.png", &png[..png.len() / 2])
        .with("empty.jpg", "")
        .with("moving.png", b"GIF89a\x01\0\x01\0")
        .with("text.webp", "hello");
    let tiny = model("fp32");
    let tiny = tiny.to_str().expect("UTF-8");
    let call = [
        "paint", "a tree", "--model", tiny, "--quiet", "--steps", "2",
    ];
    for (file, says) in [
        ("bomb.png", "60000x60000 pixels: too large"),
        ("short.png", "is a damaged PNG"),
        ("empty.jpg", "is empty"),
        ("moving.png", "is a GIF: give a PNG, JPEG or WebP"),
        ("text.webp", "is no picture that is known"),
        ("nowhere.png", "cannot be read"),
        (".", "a directory"),
    ] {
        place.refuses(2, &[&call[..], &["--image", file]].concat(), &[file, says]);
        let mask = ["--image", "source.png", "--mask", file];
        place.refuses(2, &[&call[..], &mask].concat(), &[file, says]);
    }
    for (flags, says) in [
        (&["--strength", "0.5"][..], "no picture to begin with"),
        (&["--mask", "mask.png"], "no picture to begin with"),
        (
            &["--image", "source.png", "--strength", "1.5"],
            "strength: 1.5: give 0 to 1",
        ),
        (
            &["--image", "source.png", "--strength", "nan"],
            "give 0 to 1",
        ),
        (
            &["--control", "source.png"],
            "takes nothing from a ControlNet",
        ),
        (
            &["--control", "depth:source.png"],
            "`depth` is no preprocessor",
        ),
        (&["--control-scale", "1"], "give a --control for each"),
        (&["--controlnet", "."], "give a --control for each"),
        (&["--ip-image", "source.png"], "has no IP-Adapter"),
        (&["--ip-scale", "0.5"], "no picture to paint like"),
    ] {
        place.refuses(2, &[&call[..], flags].concat(), &[says]);
    }
}

#[test]
fn a_model_without_an_encoder_and_one_that_needs_a_picture_say_so() {
    let place = place().with_tiny();
    fs::remove_dir_all(place.path("model/vae_encoder")).expect("it is there");
    let call = ["paint", "a tree", "--quiet", "--steps", "2", "--model"];
    let begin = ["model", "--image", "source.png"];
    place.refuses(
        2,
        &[&call[..], &begin].concat(),
        &["no `vae_encoder`", "easel import"],
    );
    let inpaint = other("tiny-inpaint/fp32");
    let inpaint = inpaint.to_str().expect("UTF-8");
    place.refuses(
        2,
        &[&call[..], &[inpaint]].concat(),
        &["was made for inpainting", "--mask"],
    );
    let edit = other("tiny-pix2pix/fp32");
    let edit = edit.to_str().expect("UTF-8");
    place.refuses(
        2,
        &[&call[..], &[edit]].concat(),
        &["changes pictures as it is told", "--image"],
    );
}

#[test]
fn controlnets_are_taken_from_the_model_or_from_folders_and_no_more_than_there_are() {
    let place = place();
    let control = other("tiny-control/fp32");
    let net = control.join("controlnet");
    let [control, net] = [&control, &net].map(|path| path.to_str().expect("UTF-8"));
    let call = [
        "paint", "a tree", "--quiet", "--steps", "2", "--seed", "1", "--model", control,
    ];
    let paint = |out: &str, flags: &[&str]| {
        let output = place.run(&[&call[..], &["--out", out], flags].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        pixels(&place.path(out))
    };
    let plain = paint("plain.png", &[]);
    let own = paint("own.png", &["--control", "source.png"]);
    let named = paint(
        "named.png",
        &["--control", "source.png", "--controlnet", net],
    );
    assert_eq!(own, named);
    assert_ne!(own, plain);
    assert_ne!(paint("edges.png", &["--control", "canny:source.png"]), own);
    let none = ["--control", "source.png", "--control-scale", "0"];
    assert_eq!(paint("none.png", &none), plain);
    let three = ["--control", "source.png"].repeat(3);
    place.refuses(
        2,
        &[&call[..], &three].concat(),
        &["3 pictures, and 2 ControlNets"],
    );
    let code = ["--control", "qr:https://easel.example"];
    place.refuses(
        2,
        &[&call[..], &code].concat(),
        &["--control: qr:", "too few"],
    );
    let nowhere = ["--control", "source.png", "--controlnet", "nowhere"];
    place.refuses(
        2,
        &[&call[..], &nowhere].concat(),
        &["controlnet: nowhere", "imported ControlNet"],
    );
}

#[test]
fn a_plan_shows_the_networks_that_pictures_need() {
    let place = place();
    let control = other("tiny-control/fp32");
    let control = control.to_str().expect("UTF-8");
    let call = [
        "plan",
        "--model",
        control,
        "--json",
        "--image",
        "--controls",
        "2",
    ];
    let output = place.run(&call);
    assert!(output.status.success(), "{}", stderr(&output));
    let plan = json_line(&output);
    let stages = plan["stages"].as_array().expect("a list").iter();
    let names: Vec<&str> = stages
        .filter_map(|stage| stage["component"].as_str())
        .collect();
    let wanted = [
        "vae_encoder",
        "text_encoder",
        "controlnet",
        "controlnet_1",
        "unet",
        "vae_decoder",
    ];
    assert_eq!(names, wanted);
    place.refuses(
        2,
        &["plan", "--model", control, "--ip-image"],
        &["has no IP-Adapter"],
    );
}
