//! `--memory`, `--cache` and `easel plan`.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Workplace, json_line, pocket, stderr, stdout, tiny};

/// Of pictures large enough that a budget matters for the default model.
const SIZE: &str = "384x384";

/// Paints with the default model.
fn paint(place: &Workplace, arguments: &[&str]) -> Output {
    let pocket = pocket();
    let call = [
        &[
            "paint",
            "a red apple",
            "--seed",
            "1",
            "--steps",
            "3",
            "--quiet",
            "--json",
            "--size",
            SIZE,
            "--model",
        ],
        &[pocket.to_str().expect("UTF-8")][..],
        arguments,
    ];
    place.run(&call.concat())
}

fn plan(place: &Workplace, arguments: &[&str]) -> Value {
    let pocket = pocket();
    let call = [
        &["plan", "--json", "--size", SIZE],
        &["--model", pocket.to_str().expect("UTF-8")][..],
        arguments,
    ];
    let output = place.run(&call.concat());
    assert!(output.status.success(), "{}", stderr(&output));
    Value::Object(json_line(&output))
}

/// The smallest budget that is not refused, MiB.
fn smallest(place: &Workplace) -> u64 {
    let refused = paint(
        place,
        &["--cache", "cache", "--memory", "1", "--out", "cat.png"],
    );
    assert_eq!(refused.status.code(), Some(2));
    let said = stderr(&refused);
    let least = said
        .split("needs ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let least = least.and_then(|number| number.parse().ok());
    assert!(
        !place.path("cat.png").exists() && !place.path("cache").exists(),
        "before any work"
    );
    least.unwrap_or_else(|| panic!("no budget is named: {said}"))
}

#[test]
fn a_budget_is_kept_from_the_first_start_on() {
    let place = Workplace::new();
    let least = smallest(&place);
    for budget in [least, least, least + 8] {
        let memory = budget.to_string();
        let call = ["--cache", "cache", "--out", "cat.png", "--memory", &memory];
        let output = paint(&place, &call);
        assert!(output.status.success(), "{}", stderr(&output));
        let peak = json_line(&output)["peak_rss_mib"]
            .as_u64()
            .expect("on Linux");
        assert!(peak <= budget, "{peak} MiB of {budget}");
        // That it is no size of the model's, and nothing else.
        let said = stderr(&output);
        assert!(
            said.lines().all(|line| line.contains("was trained on")),
            "{said}"
        );
    }
}

/// A limit on the address space is stricter than one on the resident set: it also counts what is mapped and not touched, which
/// is the program itself, stacks of threads, and gaps of the heap.
#[test]
fn a_budget_holds_where_the_system_gives_no_more() {
    let place = Workplace::new();
    let least = smallest(&place);
    let pocket = pocket();
    let script = format!("ulimit -d {}; exec \"$0\" \"$@\"", least * 1024 * 115 / 100);
    let output = Command::new("sh")
        .args([
            "-c",
            &script,
            env!("CARGO_BIN_EXE_easel"),
            "paint",
            "a red apple",
        ])
        .args([
            "--seed",
            "1",
            "--steps",
            "3",
            "--threads",
            "1",
            "--cache",
            "cache",
            "--out",
            "cat.png",
        ])
        .args(["--memory", &least.to_string(), "--model"])
        .arg(pocket)
        .current_dir(place.path(""))
        .output()
        .expect("sh runs");
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_plan_is_a_table_and_a_drawing_or_a_line() {
    let place = Workplace::new();
    let least = smallest(&place).to_string();
    let lean = plan(&place, &["--cache", "cache", "--memory", &least]);
    let free = plan(&place, &["--cache", "cache"]);
    let number = |plan: &Value, key: &str| plan[key].as_f64().expect("a number");
    assert!(number(&lean, "peak_mib") <= number(&free, "peak_mib"));
    assert_eq!(
        (&lean["keeps"], &free["keeps"]),
        (&Value::Bool(false), &Value::Bool(true))
    );
    let unet = &lean["stages"][1];
    assert_eq!(unet["component"], "unet");
    assert!(
        number(unet, "resident_mib") < number(unet, "weights_mib"),
        "{unet}"
    );

    let pocket = pocket();
    let call = [
        "plan",
        "--model",
        pocket.to_str().expect("UTF-8"),
        "--size",
        SIZE,
        "--memory",
        &least,
    ];
    let output = place.run(&[&call[..], &["--cache", "cache"]].concat());
    let text = stdout(&output);
    for part in [
        "weights",
        "text_encoder",
        "vae_decoder",
        "++",
        "##",
        "leaves after its turn",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains(&format!("budget {least} MiB")), "{text}");
    assert!(!place.path("cache").exists(), "a plan makes nothing");
}

#[test]
fn killed_while_it_writes_the_cache_it_starts_anew() {
    let place = Workplace::new();
    let call = ["--cache", "cache", "--out", "whole.png"];
    let expected = {
        let other = Workplace::new();
        assert!(paint(&other, &call).status.success());
        fs::read(other.path("whole.png")).expect("it is there")
    };
    let pocket = pocket();
    // The cache is written in the first tenths of a second; some of these hit it on any machine.
    for milliseconds in (5..400).step_by(23) {
        let mut child = place
            .command(&[
                "paint",
                "a red apple",
                "--seed",
                "1",
                "--steps",
                "3",
                "--cache",
                "cache",
            ])
            .args(["--out", "killed.png", "--model"])
            .arg(&pocket)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        std::thread::sleep(Duration::from_millis(milliseconds));
        // It may have ended by itself.
        let _ = child.kill();
        child.wait().expect("it has ended");
    }
    let output = paint(&place, &call);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        fs::read(place.path("whole.png")).expect("it is there"),
        expected
    );
    let mut folders = fs::read_dir(place.path("cache")).expect("a cache");
    let folder = folders
        .next()
        .expect("a model's folder")
        .expect("an entry")
        .path();
    let names = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name());
    let names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    assert_eq!(names.len(), 3, "nothing half-written is left: {names:?}");
    assert!(
        names.iter().all(|name| name.ends_with(".pack")),
        "{names:?}"
    );
}

#[test]
fn a_full_disk_costs_the_cache_and_not_the_picture() {
    let place = Workplace::new();
    fs::create_dir(place.path("full")).expect("it can be made");
    let script = "mount -t tmpfs -o size=1m none full && \"$0\" \"$@\"; code=$?; find full -type f; exit $code";
    let pocket = pocket();
    let run = |more: &[&str]| {
        Command::new("unshare")
            .args([
                "--mount",
                "--map-root-user",
                "sh",
                "-c",
                script,
                env!("CARGO_BIN_EXE_easel"),
            ])
            .args([
                "paint",
                "a red apple",
                "--steps",
                "2",
                "--quiet",
                "--cache",
                "full",
                "--out",
                "cat.png",
                "--size",
                SIZE,
            ])
            .arg("--model")
            .arg(&pocket)
            .args(more)
            .current_dir(place.path(""))
            .output()
            .expect("unshare comes with `apt-get install util-linux mount`")
    };
    let output = run(&[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains("cannot be written") && said.contains("space"),
        "{said}"
    );
    let left = stdout(&output);
    assert!(
        !left.contains(".part") && !left.contains("unet"),
        "a part was left: {left}"
    );

    // With a budget that needs the cache there is nothing to fall back on.
    let least = smallest(&Workplace::new()).to_string();
    let output = run(&["--memory", &least]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("cannot be written"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn storage_that_is_slow_shows_and_what_is_read_is_said() {
    let place = Workplace::new();
    let pocket = pocket();
    let bench = |more: &[&str]| {
        let call = [
            "bench", "--json", "--repeat", "3", "--cache", "cache", "--size", "512x512", "--model",
        ];
        let output = place.run(&[&call[..], &[pocket.to_str().expect("UTF-8")], more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        Value::Object(json_line(&output))
    };
    assert!(bench(&[]).get("read_mib").is_none(), "all is in memory");
    let refused = place.run(&[
        "bench",
        "--memory",
        "1",
        "--cache",
        "cache",
        "--size",
        "512x512",
        "--model",
        pocket.to_str().expect("UTF-8"),
    ]);
    let said = stderr(&refused);
    let least = said
        .split("needs ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let least = least.expect("it is named").to_owned();
    let weights = plan(&place, &["--cache", "cache"])["stages"][1]["weights_mib"].as_f64();
    let weights = weights.expect("a number");
    let lean = bench(&["--memory", &least]);
    let read = lean["read_mib"].as_f64().expect("it streams");
    assert!(
        read > 0.3 * weights && read < 1.6 * weights,
        "{read} of {weights} MiB"
    );
    // So slow that the storage decides: 10 MiB at 20 MB/s.
    let slow = bench(&["--memory", &least, "--storage", "20"]);
    let expected = slow["read_mib"].as_f64().expect("it streams") * 1.048_576 / 20.0 * 1000.0;
    let median = slow["median_ms"].as_f64().expect("a number");
    assert!(
        median > 0.7 * expected,
        "{median} ms, the storage takes {expected}"
    );
}

#[test]
fn nonsense_is_refused() {
    let place = Workplace::new();
    let tiny = tiny();
    let tiny = tiny.to_str().expect("UTF-8");
    for (arguments, says) in [
        (["--memory", "0"], "1..=1048576"),
        (["--memory", "-5"], "-5"),
        (["--memory", "lots"], "--memory"),
        (["--size", "33x32"], "multiples of"),
    ] {
        let output = place.run(&[&["plan", "--model", tiny], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}

#[test]
fn a_plan_can_be_of_one_network() {
    let place = Workplace::new();
    let picture = plan(&place, &[]);
    let stages = |plan: &Value| plan["stages"].as_array().cloned().expect("stages");
    for (at, name) in ["text_encoder", "unet", "vae_decoder"].iter().enumerate() {
        let alone = plan(&place, &["--component", name]);
        let [mut found] = <[Value; 1]>::try_from(stages(&alone)).expect("one stage");
        let mut wanted = stages(&picture)[at].clone();
        if *name == "unet" {
            // In a picture, the sampler's latents are there, too.
            for key in ["tensors_mib", "peak_mib"] {
                let take = |stage: &mut Value| stage[key].take().as_f64().expect("a number");
                let more = take(&mut wanted) - take(&mut found);
                assert!((0.0..1.0).contains(&more), "{key}: {more}");
            }
        }
        assert_eq!(found, wanted, "{name}");
        assert!(alone["peak_mib"].as_u64() < picture["peak_mib"].as_u64());
    }
    let pocket = pocket();
    let model = pocket.to_str().expect("UTF-8");
    let refused = place.run(&["plan", "--model", model, "--component", "vae"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("vae_decoder"),
        "{}",
        stderr(&refused)
    );
}
