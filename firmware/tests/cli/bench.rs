//! `easel bench`.

use crate::support::{Workplace, is_kernel, json_line, stderr, stdout, tiny};

fn bench(place: &Workplace, arguments: &[&str]) -> std::process::Output {
    let tiny = tiny();
    let tiny = tiny.to_str().expect("UTF-8");
    let output = place.run(&[&["bench", "--model", tiny], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(place.names().is_empty(), "something was written");
    output
}

#[test]
fn json_is_one_line_of_what_the_contract_lists() {
    let place = Workplace::new();
    for component in ["text_encoder", "unet", "vae_decoder"] {
        let output = bench(
            &place,
            &[
                "--component",
                component,
                "--json",
                "--repeat",
                "4",
                "--threads",
                "2",
            ],
        );
        assert_eq!(stderr(&output), "");
        let line = json_line(&output);
        let keys: Vec<&str> = line.keys().map(String::as_str).collect();
        let contract = [
            "component",
            "median_ms",
            "min_ms",
            "max_ms",
            "repeat",
            "threads",
            "peak_rss_mib",
            "kernel",
        ];
        assert_eq!(keys, contract);
        assert_eq!(line["component"], component);
        assert_eq!((&line["repeat"], &line["threads"]), (&4.into(), &2.into()));
        assert!(is_kernel(&line["kernel"]), "{line:?}");
        let ms = |key: &str| {
            assert!(line[key].is_f64(), "{line:?}");
            line[key].as_f64().expect("a number")
        };
        assert!(
            0.0 < ms("min_ms") && ms("min_ms") <= ms("median_ms"),
            "{line:?}"
        );
        assert!(ms("median_ms") <= ms("max_ms"), "{line:?}");
    }
}

#[test]
fn the_denoiser_at_the_models_size_is_the_default() {
    let place = Workplace::new();
    let text = stdout(&bench(&place, &[]));
    assert!(text.starts_with("unet at 32x32: median "), "{text}");
    assert!(text.contains(" of 5 (threads "), "{text}");
    assert!(text.contains("ready after "), "{text}");
    let text = stdout(&bench(&place, &["--size", "64x32", "--repeat", "1"]));
    assert!(text.starts_with("unet at 64x32: "), "{text}");
    let text = stdout(&bench(&place, &["--component", "text_encoder"]));
    assert!(text.starts_with("text_encoder: "), "{text}");
}

#[test]
fn it_tells_where_the_time_goes() {
    let place = Workplace::new();
    let text = stdout(&bench(&place, &["--explain", "--repeat", "2"]));
    for kind in [
        "EaselLinear",
        "EaselConv2d 3x3",
        "EaselAttention",
        "EaselGroupNorm",
    ] {
        let line = text.lines().find(|line| line.starts_with(kind));
        assert!(line.is_some(), "{kind} is missing: {text}");
    }
    let line = json_line(&bench(&place, &["--explain", "--json", "--repeat", "2"]));
    let kinds = line["explain"].as_array().expect("a list");
    let total: f64 = kinds
        .iter()
        .map(|kind| kind["ms"].as_f64().expect("a number"))
        .sum();
    // The pass that is not timed counts as well, so no more can be said of the sum.
    assert!(total > 0.0, "{line:?}");
    assert!(
        kinds
            .iter()
            .any(|kind| kind["gmac"].as_f64().is_some_and(|gmac| gmac > 0.0))
    );
}

#[test]
fn kernels_can_be_forced() {
    let place = Workplace::new();
    let tiny = tiny();
    let call = [
        "bench",
        "--repeat",
        "1",
        "--json",
        "--model",
        tiny.to_str().expect("UTF-8"),
    ];
    let with = |kernel: &str| {
        place
            .command(&call)
            .env("EASEL_KERNEL", kernel)
            .output()
            .expect("it runs")
    };
    let output = with("reference");
    assert_eq!(
        json_line(&output)["kernel"],
        "reference",
        "{}",
        stderr(&output)
    );
    place.refused(&with("mmx"), 2, &["EASEL_KERNEL", "`mmx`", "choose"]);
    let foreign = if cfg!(target_arch = "x86_64") {
        "neon"
    } else {
        "avx2"
    };
    place.refused(&with(foreign), 2, &["EASEL_KERNEL", foreign, "unset"]);
}

#[test]
fn only_the_component_is_loaded() {
    let place = Workplace::new().with_tiny();
    for component in ["text_encoder", "vae_decoder"] {
        std::fs::remove_file(place.path("model").join(component).join("model.onnx"))
            .expect("the model has it");
    }
    let output = place.run(&["bench", "--model", "model", "--repeat", "1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    for component in ["text_encoder", "vae_decoder"] {
        place.refuses(
            1,
            &["bench", "--model", "model", "--component", component],
            &[component, "model.onnx", "cannot be read"],
        );
    }
}

#[test]
fn wrong_calls_are_refused() {
    let (place, tiny) = (Workplace::new(), tiny());
    let tiny = tiny.to_str().expect("UTF-8");
    for (arguments, says) in [
        (["--component", "vae"], ["component `vae`", "vae_decoder"]),
        (["--repeat", "0"], ["--repeat", "1..=10000"]),
        (["--size", "0x0"], ["--size", "512x512"]),
        (["--size", "33x32"], ["33x32", "multiples of"]),
        (["--threads", "0"], ["--threads", "1..=256"]),
    ] {
        let call = [&["bench", "--model", tiny], &arguments[..]].concat();
        place.refuses(2, &call, &says);
    }
    place.refuses(2, &["bench", "--model", "nowhere"], &["nowhere", "--model"]);
}
