//! Every scheduler against diffusers, every step. Regenerate the data with
//! `cd model-export && python -m easel_export.goldens.schedulers`.
//! `cargo test --release --test schedulers -- --nocapture table` prints the worst errors.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod any;
mod calls;
mod configs;

use std::collections::BTreeMap;
use std::path::Path;

use easel::noise::{NoiseSource, PhiloxNoise};
use easel::scheduler::{FlowLevels, Run, SchedulerConfig, SchedulerKind, build};
use serde_json::Value;

struct Goldens {
    index: Value,
    data: Vec<f32>,
    size: usize,
}

fn goldens() -> Goldens {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/schedulers");
    let index: Value =
        serde_json::from_str(&std::fs::read_to_string(dir.join("index.json")).unwrap()).unwrap();
    let data = std::fs::read(dir.join("data.f32"))
        .unwrap()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    let size = index["size"].as_u64().unwrap() as usize;
    Goldens { index, data, size }
}

/// The noise of the golden file, draw after draw.
struct Recorded<'a> {
    draws: std::slice::ChunksExact<'a, f32>,
}

impl NoiseSource for Recorded<'_> {
    fn fill(&mut self, out: &mut [f32]) {
        out.copy_from_slice(self.draws.next().unwrap());
    }
}

/// The stand-in for a denoiser; the same formula as in the Python.
fn model(x: &[f32], t: f32) -> Vec<f32> {
    (0..x.len())
        .map(|i| {
            let wave = (f64::from(t) * 0.01 + i as f64).sin() as f32;
            x[i] * 0.7 + x[(13 * i + 5) % x.len()] * 0.2 + wave * 0.3
        })
        .collect()
}

/// Largest difference over largest value.
fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    let worst = |values: &mut dyn Iterator<Item = f32>| {
        values.fold(0.0_f64, |worst, v| {
            if v.is_nan() {
                f64::INFINITY
            } else {
                worst.max(f64::from(v.abs()))
            }
        })
    };
    assert_eq!(found.len(), expected.len());
    let difference = worst(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    difference / worst(&mut expected.iter().copied()).max(1e-30)
}

/// The zero-SNR schedules of `euler` lose 8e-5 to rounding, in diffusers too.
const LIMIT: f64 = 1e-4;

fn run_of(case: &Value) -> Run {
    let number = |key: &str| case[key].as_u64().map(|number| number as usize);
    let mut run = Run::new(number("steps").unwrap(), (32, 48));
    if let Some(tokens) = number("tokens") {
        run.image_tokens = tokens;
    }
    if case["levels"] == "pipeline" {
        run.flow_levels = FlowLevels::Pipeline;
    }
    if let Some(eta) = case["eta"].as_f64() {
        run.eta = eta as f32;
    }
    run
}

#[test]
fn table_of_errors_against_diffusers() {
    let Goldens { index, data, size } = goldens();
    let noise_len = index["draws"].as_u64().unwrap() as usize * size;
    // name -> cases, steps, worst error of latents, of timesteps and levels, worst case
    let mut table: BTreeMap<String, (usize, usize, f64, f64, String)> = BTreeMap::new();
    let mut failures = Vec::new();
    let cases = index["cases"].as_array().unwrap();
    for case in cases {
        let text = |key: &str| case[key].as_str().unwrap();
        let number = |key: &str| case[key].as_u64().unwrap() as usize;
        let name = format!("{} {} {}", text("kind"), number("steps"), text("config"));
        let kind: SchedulerKind = text("kind").parse().unwrap();
        let built = SchedulerConfig::from_json(text("config"))
            .and_then(|config| build(kind, &config, &run_of(case)));
        let mut scheduler = match built {
            Ok(scheduler) => scheduler,
            Err(error) => {
                failures.push(format!("{name}: {error}"));
                continue;
            }
        };
        let n = number("evaluations");
        let begin = case["begin"].as_u64().map(|begin| begin as usize);
        let mut rest = &data[number("offset")..];
        let mut take = |len: usize| {
            let (head, tail) = rest.split_at(len);
            rest = tail;
            head
        };
        if scheduler.timesteps().len() != n {
            failures.push(format!(
                "{name}: {} evaluations, not {n}",
                scheduler.timesteps().len()
            ));
            continue;
        }
        let sigmas: Vec<f32> = (0..n).map(|i| scheduler.sigma(i)).collect();
        let mut schedule = relative_error(scheduler.timesteps(), take(n));
        schedule = schedule.max(relative_error(&sigmas, take(n)));
        schedule = schedule.max(relative_error(&[scheduler.init_noise_sigma()], take(1)));

        let mut noise = Recorded {
            draws: data[size..noise_len].chunks_exact(size),
        };
        let first = &data[..size];
        let mut sample: Vec<f32> = first
            .iter()
            .map(|z| z * scheduler.init_noise_sigma())
            .collect();
        let mut denoised = vec![0.0; size];
        let mut worst = 0.0_f64;
        if let Some(begin) = begin {
            let mut fresh = vec![0.0; size];
            noise.fill(&mut fresh);
            scheduler
                .add_noise(begin, first, &fresh, &mut sample)
                .unwrap();
            scheduler.begin(begin).unwrap();
            worst = relative_error(&sample, take(size));
        }
        for step in begin.unwrap_or(0)..n {
            let mut input = sample.clone();
            scheduler.scale_model_input(step, &mut input);
            let output = model(&input, scheduler.timesteps()[step]);
            scheduler
                .step(step, &output, &mut sample, &mut denoised, &mut noise)
                .unwrap();
            worst = worst.max(relative_error(&sample, take(size)));
        }
        worst = worst.max(relative_error(&denoised, take(size)));
        if worst > LIMIT || schedule > LIMIT {
            failures.push(format!(
                "{name}: latents {worst:.1e}, schedule {schedule:.1e}"
            ));
        }
        let row = table.entry(text("kind").to_owned()).or_default();
        row.0 += 1;
        row.1 += n;
        if worst >= row.2 {
            (row.2, row.4) = (worst, format!("{} steps, `{}`", n, text("config")));
        }
        row.3 = row.3.max(schedule);
    }
    println!("| scheduler | cases | steps | worst latents | worst schedule | worst case |");
    println!("|---|---|---|---|---|---|");
    for (kind, (count, steps, latents, schedule, case)) in &table {
        println!("| `{kind}` | {count} | {steps} | {latents:.1e} | {schedule:.1e} | {case} |");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(cases.len() > 100);
}

#[test]
fn noise_equals_the_second_implementation() {
    let Goldens { index, data, size } = goldens();
    let mut noise = PhiloxNoise::new(index["seed"].as_str().unwrap().parse().unwrap());
    for expected in data
        .chunks_exact(size)
        .take(index["draws"].as_u64().unwrap() as usize)
    {
        let mut found = vec![0.0; size];
        noise.fill(&mut found);
        for (a, b) in found.iter().zip(expected) {
            // Two mathematics libraries may round a tie apart.
            assert!((a - b).abs() <= a.abs() * f32::EPSILON, "{a} {b}");
        }
    }
}
