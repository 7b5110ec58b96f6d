//! `easel bench --report`: what people send back from their boards.

use crate::support::{Workplace, is_kernel, json_line, pocket, stderr, stdout, tiny};
use std::process::Output;

fn report(place: &Workplace, arguments: &[&str]) -> Output {
    let tiny = tiny();
    let tiny = tiny.to_str().expect("UTF-8");
    let output = place.run(&[&["bench", "--report", "--model", tiny], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(place.names().is_empty(), "something was written");
    output
}

#[test]
fn it_is_one_block_of_markdown_and_says_on_the_way_what_it_does() {
    let place = Workplace::new();
    let output = report(&place, &["--threads", "2"]);
    let text = stdout(&output);
    let title = format!("### easel {}, ", env!("CARGO_PKG_VERSION"));
    assert!(text.starts_with(&title), "{text}");
    assert!(!text.contains("\n\n\n"), "{text}");
    for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
        assert!(line.starts_with('|') && line.ends_with('|'), "{line}");
    }
    for row in [
        "| processor | ",
        "| before | ",
        "| after | ",
        "| model | another one, 32x32 |",
        "| memory, triad | ",
        "| storage | ",
        "| peak of painting | ",
        "| 2 | 20 | 7.5 | ",
        "| text_encoder | 2 | ",
        "| unet, guided | 2 | ",
        "| vae_decoder | 2 | ",
        "| unet, guided | 1 | ",
    ] {
        let found = text.lines().any(|line| line.starts_with(row));
        assert!(found, "no line starts with `{row}`: {text}");
    }
    let steps = stderr(&output);
    assert!(steps.contains("painting picture 2 of 2 …"), "{steps}");
    assert!(steps.lines().all(|line| line.ends_with('…')), "{steps}");
}

#[test]
fn json_is_one_line_of_the_same() {
    let place = Workplace::new();
    let line = json_line(&report(&place, &["--threads", "1", "--json"]));
    assert!(is_kernel(&line["kernel"]), "{line:?}");
    assert_eq!(line["threads"], 1);
    assert_eq!(line["default_model"], false);
    assert!(line["memory_mb_per_s"].as_f64() > Some(0.0), "{line:?}");
    assert!(line["storage"]["mb_per_s"].as_f64() > Some(0.0), "{line:?}");
    let pictures = line["pictures"].as_array().expect("a list");
    assert_eq!(pictures.len(), 2);
    for picture in pictures {
        let parts = ["load_ms", "text_ms", "denoise_ms", "decode_ms"];
        let parts = parts.map(|part| picture[part].as_f64().expect("a number"));
        let total = picture["total_ms"].as_f64().expect("a number");
        assert!(parts.iter().all(|&part| part > 0.0), "{picture}");
        assert!(parts.iter().sum::<f64>() <= total * 1.01, "{picture}");
    }
    // One thread only: nothing to compare with.
    let networks = line["networks"].as_array().expect("a list");
    let names: Vec<_> = networks
        .iter()
        .map(|network| &network["component"])
        .collect();
    assert_eq!(
        names,
        ["text_encoder", "vae_encoder", "unet", "vae_decoder"]
    );
    assert!(networks.iter().all(|network| network["passes"] == 5));
}

#[test]
fn it_does_not_say_whose_machine_it_is() {
    let place = Workplace::new();
    let model = place.path("annas-secret-model");
    std::os::unix::fs::symlink(tiny(), &model).expect("it can be made");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("it is there");
    let output = place
        .command(&[
            "bench",
            "--report",
            "--json",
            "--model",
            "annas-secret-model",
        ])
        .env("USER", "anna-user")
        .output()
        .expect("it runs");
    let said = stdout(&output) + &stderr(&output);
    assert!(output.status.success(), "{said}");
    let place = place.path("").display().to_string();
    for secret in ["anna", place.as_str(), host.trim()] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
}

#[test]
fn the_default_model_is_known_as_such() {
    let place = Workplace::new();
    std::fs::create_dir(place.path("models")).expect("it can be made");
    std::os::unix::fs::symlink(pocket(), place.path("models/pocket")).expect("it can be made");
    let output = place.run(&["bench", "--report"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    let row = "| model | the one that comes with easel, 128x128 |";
    assert!(text.contains(row), "{text}");
}

#[test]
fn what_is_fixed_cannot_be_chosen() {
    let place = Workplace::new();
    for chosen in [
        &["--component", "unet"][..],
        &["--size", "32x32"],
        &["--guided"],
        &["--storage", "80"],
        &["--repeat", "3"],
        &["--explain"],
    ] {
        let call = [&["bench", "--report"], chosen].concat();
        place.refuses(2, &call, &["--report", chosen[0]]);
    }
    let call = ["bench", "--report", "--model", "nowhere"];
    place.refuses(2, &call, &["nowhere", "--model"]);
}
