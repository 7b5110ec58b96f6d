//! Hostile input: whatever is typed or half copied, there is a picture or an error of one line, never a panic.

mod common;

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use common::{SIZE, load, models};
use easel::{CancelToken, Error, LoadOptions, PaintRequest, Painting, Pipeline};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 64,
        ..ProptestConfig::default()
    }
}

fn quick(prompt: &str) -> PaintRequest {
    PaintRequest {
        size: Some(SIZE),
        steps: Some(1),
        ..PaintRequest::new(prompt)
    }
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("red house ".to_owned()),
        prop::sample::select(vec![
            "(",
            ")",
            "[",
            "]",
            ":1.3)",
            ":-2)",
            ":1e9)",
            ":0)",
            ":nan)",
            "\\(",
            "\\",
            " ",
            "\n",
            "\0",
            "BREAK",
            "🦊",
            "漢字",
            "<|endoftext|>",
            "<|startoftext|>",
            "\u{301}",
            "\u{202e}",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,12}",
        any::<String>(),
    ];
    prop_oneof![
        8 => prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()),
        1 => (1..300_usize).prop_map(|count| "(tree:1.2) ".repeat(count)),
    ]
}

#[test]
fn any_prompt_gives_a_picture() {
    let pipeline = RefCell::new(load(&models("tiny").join("fp32")));
    let guidance = prop::sample::select(vec![0.0_f32, 1.0, 7.5, 50.0]);
    let mut runner = TestRunner::new(config(48));
    runner
        .run(
            &(text(), text(), guidance),
            |(prompt, negative, guidance)| {
                let request = PaintRequest {
                    negative: Some(negative),
                    guidance: Some(guidance),
                    ..quick(&prompt)
                };
                let mut pipeline = pipeline.borrow_mut();
                match pipeline.paint(&request, &CancelToken::new(), &mut |_| {}) {
                    Ok(painting) => prop_assert_eq!(painting.picture.rgb.len(), 24 * 16 * 3),
                    Err(Error::Request(_)) => prop_assert!(prompt.trim().is_empty()),
                    Err(error) => prop_assert!(false, "{}", error),
                }
                Ok(())
            },
        )
        .unwrap_or_else(|error| panic!("{error}"));
}

fn painted(model: &Path) -> Result<Painting, Error> {
    let options = LoadOptions {
        threads: Some(1),
        ..LoadOptions::default()
    };
    let mut pipeline = Pipeline::load(model, &options)?;
    pipeline.paint(&quick("a tree"), &CancelToken::new(), &mut |_| {})
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copied");
        }
    }
}

/// Cuts each of `files` of the model at many places.
fn cut_short(model: &str, files: &[&'static str], cases: u32) {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    copy(&models("tiny").join(model), scratch.path());
    painted(scratch.path()).expect("the whole model paints");
    let place = (
        prop::sample::select(files.to_vec()),
        prop_oneof![any::<prop::sample::Index>().prop_map(Some), Just(None)],
        0..24_usize,
    );
    let mut runner = TestRunner::new(config(cases));
    runner
        .run(&place, |(name, index, from_the_end)| {
            let file = scratch.path().join(name);
            let whole = fs::read(&file).expect("a file");
            // Anywhere, or among the last bytes, where the small fields stand.
            let length = match index {
                Some(index) => index.index(whole.len()),
                None => whole.len().saturating_sub(1 + from_the_end),
            };
            fs::write(&file, &whole[..length]).expect("written");
            let result = painted(scratch.path());
            fs::write(&file, &whole).expect("written");
            let Err(error) = result else {
                return Err(TestCaseError::fail(format!(
                    "{name} cut to {length} bytes of {} paints",
                    whole.len()
                )));
            };
            let line = error.to_string();
            let network = name.trim_end_matches("_data");
            prop_assert!(!line.contains('\n') && line.contains(network), "{}", line);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_network_cut_short_is_an_error() {
    let files = [
        "text_encoder/model.onnx",
        "unet/model.onnx",
        "vae_decoder/model.onnx",
    ];
    cut_short("inline", &files, 96);
    cut_short("fp32", &files, 48);
}

#[test]
fn weights_cut_short_are_an_error() {
    let files = ["text_encoder/model.onnx_data", "unet/model.onnx_data"];
    cut_short("fp32", &files, 24);
}

#[test]
fn a_network_that_is_no_network_is_an_error() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    copy(&models("tiny").join("fp32"), scratch.path());
    for bytes in [
        &b""[..],
        b"\0",
        b"not a network",
        &[0xff; 64],
        &[8, 10, 58, 0],
    ] {
        fs::write(scratch.path().join("unet/model.onnx"), bytes).expect("written");
        let error = painted(scratch.path()).expect_err("refused").to_string();
        assert!(
            error.contains("unet/model.onnx") && !error.contains('\n'),
            "{error}"
        );
    }
}
