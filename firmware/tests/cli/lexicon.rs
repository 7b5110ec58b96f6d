//! Prompts that the default model knows, knows in part, and does not know.

use crate::support::{Workplace, json_line, pocket, stderr};

fn paint(place: &Workplace, prompt: &str, more: &[&str]) -> std::process::Output {
    let pocket = pocket();
    let model = pocket.to_str().expect("UTF-8");
    let call = [
        "paint", prompt, "--model", model, "--quiet", "--seed", "4", "--steps", "2", "--out",
        "a.png",
    ];
    place.run(&[&call, more].concat())
}

#[test]
fn what_is_left_out_is_said() {
    let place = Workplace::new();
    let output = paint(&place, "eine Katze und ein kitten, xyzzy", &["--json"]);
    let line = json_line(&output);
    let said = [
        "prompt: \"kitten\" was read as \"cat\"",
        "prompt: \"xyzzy\" is not known and was left out",
    ];
    assert_eq!(line["warnings"], serde_json::json!(said));
    let told = stderr(&output);
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        said.map(|warning| format!("easel: {warning}"))
    );
    let painted = line["painted"].as_str().expect("it was put in other words");
    assert!(painted.starts_with("a cat and a cat on a"), "{painted}");
    // The file keeps what was typed, and says what was painted.
    let file = std::fs::read(place.path("a.png")).expect("a picture");
    let file = String::from_utf8_lossy(&file).into_owned();
    assert!(file.contains("eine Katze und ein kitten, xyzzy"));
    assert!(file.contains(&format!("Painted prompt: {painted}, Version")));
}

#[test]
fn a_prompt_in_the_models_words_is_painted_without_a_word() {
    let place = Workplace::new();
    let output = paint(&place, "two cats on a blue background", &["--json"]);
    let line = json_line(&output);
    assert_eq!(line["warnings"], serde_json::json!([]));
    assert!(!line.contains_key("painted"), "{line:?}");
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_seed_is_one_picture_also_of_a_prompt_without_a_background() {
    let place = Workplace::new();
    let bytes = || {
        assert!(paint(&place, "un gato", &[]).status.success());
        std::fs::read(place.path("a.png")).expect("a picture")
    };
    assert_eq!(bytes(), bytes());
}

#[test]
fn a_prompt_of_which_nothing_is_known_is_refused() {
    let place = Workplace::new();
    for prompt in ["asdfgh", "?", "a unicorn", "a red background"] {
        let output = paint(&place, prompt, &[]);
        place.refused(
            &output,
            2,
            &["prompt: nothing in it is known to this model", "try \""],
        );
    }
}

#[test]
fn a_size_that_the_model_was_not_trained_on_is_said() {
    let place = Workplace::new();
    let output = paint(&place, "a cat on blue", &["--size", "64x64"]);
    assert!(output.status.success());
    let told = stderr(&output);
    assert!(
        told.contains("size: 64x64: this model was trained on 128x128"),
        "{told}"
    );
    assert_eq!(
        stderr(&paint(&place, "a cat on blue", &["--size", "128x128"])),
        ""
    );
}

#[test]
fn a_lexicon_that_is_missing_or_damaged_is_refused_by_its_name() {
    let place = Workplace::new();
    let model = place.path("mine");
    std::fs::create_dir(&model).expect("it can be made");
    for entry in std::fs::read_dir(pocket()).expect("the default model") {
        let entry = entry.expect("a name");
        if entry.file_name() != "lexicon.json" {
            std::os::unix::fs::symlink(entry.path(), model.join(entry.file_name()))
                .expect("a link");
        }
    }
    let call = ["paint", "a cat", "--model", "mine", "--quiet"];
    place.refuses(1, &call, &["mine/lexicon.json", "cannot be read"]);
    std::fs::write(model.join("lexicon.json"), "{\"format\": 1}").expect("it can be written");
    place.refuses(
        1,
        &call,
        &[
            "mine/lexicon.json",
            "is no lexicon (missing field `language`",
        ],
    );
}
