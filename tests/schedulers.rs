//! Every scheduler against diffusers, every step. Regenerate the data with
//! `cd model-export && python -m easel_export.goldens.schedulers`.
//! `cargo test --release --test schedulers -- --nocapture table` prints the worst errors.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::Path;

use easel::noise::{NoiseSource, PhiloxNoise};
use easel::scheduler::{FlowLevels, Run, SchedulerConfig, SchedulerError, SchedulerKind, build};
use proptest::prelude::*;
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

#[test]
fn names_round_trip() {
    for kind in SchedulerKind::ALL {
        assert_eq!(kind.to_string().parse::<SchedulerKind>().unwrap(), kind);
    }
    let error = "dpm\n2".parse::<SchedulerKind>().unwrap_err().to_string();
    assert!(
        error.contains("`dpm 2`") && !error.contains('\n'),
        "{error}"
    );
}

#[test]
fn default_kinds() {
    let kind = |text: &str| {
        let config = SchedulerConfig::from_json(text).unwrap();
        config.default_kind().unwrap()
    };
    let dpm = |rest: &str| {
        kind(&format!(
            r#"{{"_class_name":"DPMSolverMultistepScheduler","lambda_min_clipped":-Infinity{rest}}}"#
        ))
    };
    assert_eq!(dpm(""), SchedulerKind::Dpmpp2m);
    assert_eq!(
        dpm(r#","use_karras_sigmas":true"#),
        SchedulerKind::Dpmpp2mKarras
    );
    assert_eq!(
        dpm(r#","algorithm_type":"sde-dpmsolver++""#),
        SchedulerKind::DpmppSde
    );
    let pndm =
        SchedulerConfig::from_json(r#"{"_class_name":"PNDMScheduler","skip_prk_steps":true}"#)
            .unwrap();
    assert_eq!(pndm.default_kind().unwrap(), SchedulerKind::Pndm);
    let ddim = SchedulerConfig::from_json(r#"{"_class_name":"DDIMScheduler"}"#).unwrap();
    assert_eq!(ddim.default_kind().unwrap(), SchedulerKind::Ddim);
}

#[test]
fn bad_configs_are_named() {
    for (json, part) in [
        ("[]", "JSON object"),
        ("{", "not valid JSON"),
        ("{}", "_class_name"),
        (
            r#"{"_class_name":"SASolverScheduler"}"#,
            "SASolverScheduler",
        ),
        (
            r#"{"_class_name":"DDIMScheduler","beta_strat":1}"#,
            "beta_strat",
        ),
        (
            r#"{"_class_name":"DDIMScheduler","beta_start":NaN}"#,
            "beta_start",
        ),
        (
            r#"{"_class_name":"DDIMScheduler","beta_end":-1}"#,
            "beta_end",
        ),
        (
            r#"{"_class_name":"DDIMScheduler","beta_end":"a"}"#,
            "beta_end",
        ),
        (
            r#"{"_class_name":"DDIMScheduler","beta_schedule":"sigmoid"}"#,
            "beta_schedule",
        ),
        (
            r#"{"_class_name":"DDIMScheduler","prediction_type":"flow"}"#,
            "prediction_type",
        ),
        (
            r#"{"_class_name":"DDIMScheduler","thresholding":true}"#,
            "thresholding",
        ),
        (
            r#"{"_class_name":"DDIMScheduler","num_train_timesteps":0}"#,
            "num_train_timesteps",
        ),
        (
            r#"{"_class_name":"DDIMScheduler","num_train_timesteps":1e12}"#,
            "num_train_timesteps",
        ),
        (
            r#"{"_class_name":"DDIMScheduler","trained_betas":[0.1]}"#,
            "trained_betas",
        ),
        (
            r#"{"_class_name":"DDIMScheduler","rescale_betas_zero_snr":true,"timestep_spacing":"trailing"}"#,
            "pure noise",
        ),
        (
            r#"{"_class_name":"DDPMScheduler","variance_type":"learned_range"}"#,
            "variance_type",
        ),
        (
            r#"{"_class_name":"DDPMScheduler","variance_type":"fixed_large_log"}"#,
            "variance_type",
        ),
        (
            r#"{"_class_name":"DPMSolverMultistepScheduler","algorithm_type":"dpmsolver"}"#,
            "algorithm_type",
        ),
        (
            r#"{"_class_name":"DPMSolverMultistepScheduler","solver_order":4}"#,
            "solver_order",
        ),
        (
            r#"{"_class_name":"EulerDiscreteScheduler","use_beta_sigmas":true,"use_karras_sigmas":true}"#,
            "use_beta_sigmas",
        ),
        (
            r#"{"_class_name":"UniPCMultistepScheduler","solver_p":{"_class_name":"DDIMScheduler"}}"#,
            "solver_p",
        ),
        (
            r#"{"_class_name":"UniPCMultistepScheduler","predict_x0":false}"#,
            "predict_x0",
        ),
        (
            r#"{"_class_name":"UniPCMultistepScheduler","disable_corrector":[0.5]}"#,
            "disable_corrector",
        ),
        (
            r#"{"_class_name":"UniPCMultistepScheduler","use_flow_sigmas":true,"prediction_type":"flow_prediction","use_karras_sigmas":true}"#,
            "use_flow_sigmas",
        ),
        (
            r#"{"_class_name":"UniPCMultistepScheduler","solver_type":"bh3"}"#,
            "solver_type",
        ),
        (
            r#"{"_class_name":"KDPM2DiscreteScheduler","prediction_type":"sample"}"#,
            "prediction_type",
        ),
        (
            r#"{"_class_name":"DPMSolverSinglestepScheduler","algorithm_type":"dpmsolver"}"#,
            "algorithm_type",
        ),
        (
            r#"{"_class_name":"PNDMScheduler","prediction_type":"sample"}"#,
            "prediction_type",
        ),
    ] {
        let config = SchedulerConfig::from_json(json);
        let kind = config.and_then(|config| config.default_kind());
        let error = kind.unwrap_err().to_string();
        assert!(
            error.contains(part) && !error.contains('\n'),
            "{json}: {error}"
        );
    }
}

/// As diffusers' `Class.from_config`: what the class that is chosen does not know is left behind.
#[test]
fn another_scheduler_can_be_chosen_for_a_class_or_an_option_that_is_not_there() {
    for json in [
        r#"{"_class_name":"SASolverScheduler","beta_start":0.00085,"beta_end":0.012,"beta_schedule":"scaled_linear","solver_type":"bh2","predict_x0":true,"something_new":[1]}"#,
        r#"{"_class_name":"DPMSolverMultistepScheduler","beta_start":0.00085,"beta_end":0.012,"beta_schedule":"scaled_linear","algorithm_type":"dpmsolver"}"#,
    ] {
        let config = SchedulerConfig::from_json(json).unwrap();
        assert!(config.default_kind().is_err(), "{json}");
        let plain = SchedulerConfig::from_json(
            r#"{"_class_name":"DDIMScheduler","beta_start":0.00085,"beta_end":0.012,"beta_schedule":"scaled_linear"}"#,
        )
        .unwrap();
        let [chosen, own] = [&config, &plain].map(|config| {
            let scheduler = build(SchedulerKind::Ddim, config, &Run::new(5, (8, 8))).unwrap();
            (0..5)
                .map(|at| (scheduler.timesteps()[at], scheduler.sigma(at)))
                .collect::<Vec<_>>()
        });
        assert_eq!(chosen, own);
        assert!(build(SchedulerKind::FlowEuler, &config, &Run::new(5, (8, 8))).is_err());
    }
    let flow = SchedulerConfig::from_json(
        r#"{"_class_name":"FlowMatchHeunDiscreteScheduler","shift":3.0}"#,
    )
    .unwrap();
    assert!(flow.default_kind().is_err());
    assert!(build(SchedulerKind::FlowEuler, &flow, &Run::new(5, (8, 8))).is_ok());
    assert!(build(SchedulerKind::Ddim, &flow, &Run::new(5, (8, 8))).is_err());
}

#[test]
fn bad_calls_change_nothing() {
    let ddim = SchedulerConfig::from_json(r#"{"_class_name":"DDIMScheduler"}"#).unwrap();
    for (kind, steps) in [
        (SchedulerKind::Ddim, 0),
        (SchedulerKind::Euler, 1001),
        (SchedulerKind::Lcm, 51),
        (SchedulerKind::Dpmpp2m, 2000),
    ] {
        let error = build(kind, &ddim, &Run::new(steps, (8, 8))).err().unwrap();
        assert!(matches!(error, SchedulerError::Steps { .. }), "{error}");
    }
    assert!(matches!(
        build(SchedulerKind::FlowEuler, &ddim, &Run::new(4, (8, 8)))
            .err()
            .unwrap(),
        SchedulerError::Family { .. }
    ));
    let mut scheduler = build(SchedulerKind::Ddim, &ddim, &Run::new(4, (8, 8))).unwrap();
    let (mut sample, mut denoised, mut noise) = (vec![1.0; 8], vec![0.0; 8], PhiloxNoise::new(0));
    assert!(
        scheduler
            .step(0, &[0.0; 7], &mut sample, &mut denoised, &mut noise)
            .is_err()
    );
    assert!(
        scheduler
            .step(2, &[0.0; 8], &mut sample, &mut denoised, &mut noise)
            .is_err()
    );
    assert!(
        scheduler
            .step(4, &[0.0; 8], &mut sample, &mut denoised, &mut noise)
            .is_err()
    );
    assert_eq!(sample, [1.0; 8]);
}

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("NaN".to_owned()),
        Just("-Infinity".to_owned()),
        Just("[0.1, 0.2]".to_owned()),
        Just("{}".to_owned()),
        (-3i64..1200).prop_map(|v| v.to_string()),
        (-2.0f64..2.0).prop_map(|v| format!("{v:?}")),
        proptest::num::f64::NORMAL.prop_map(|v| format!("{v:e}")),
        prop::sample::select(vec![
            "epsilon",
            "v_prediction",
            "sample",
            "flow_prediction",
            "leading",
            "linspace",
            "trailing",
            "scaled_linear",
            "squaredcos_cap_v2",
            "linear",
            "heun",
            "sigma_min",
            "zero",
            "sde-dpmsolver++",
            "log_linear",
            "continuous"
        ])
        .prop_map(|v| format!("{v:?}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        let _ = SchedulerConfig::from_json(&text);
    }

    #[test]
    fn no_config_panics(
        class in prop::sample::select(vec!["DDPMScheduler", "DDIMScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler",
            "DPMSolverMultistepScheduler", "LCMScheduler", "FlowMatchEulerDiscreteScheduler", "PNDMScheduler"]),
        options in prop::collection::vec((prop::sample::select(vec!["num_train_timesteps", "beta_start", "beta_end", "beta_schedule",
            "trained_betas", "clip_sample", "clip_sample_range", "set_alpha_to_one", "steps_offset", "prediction_type", "timestep_spacing",
            "rescale_betas_zero_snr", "use_karras_sigmas", "use_exponential_sigmas", "use_lu_lambdas", "use_flow_sigmas", "flow_shift",
            "final_sigmas_type", "lambda_min_clipped", "solver_order", "solver_type", "interpolation_type", "timestep_type", "sigma_min",
            "sigma_max", "shift", "use_dynamic_shifting", "base_image_seq_len", "max_image_seq_len", "shift_terminal", "invert_sigmas",
            "original_inference_steps", "timestep_scaling", "variance_type", "algorithm_type"]), any_value()), 0..5),
        steps in prop_oneof![0usize..30, 990usize..1010, Just(usize::MAX)],
    ) {
        let options: String = options.iter().map(|(key, value)| format!(", {key:?}: {value}")).collect();
        if let Ok(config) = SchedulerConfig::from_json(&format!("{{\"_class_name\": {class:?}{options}}}")) {
            let _ = config.default_kind();
            for kind in SchedulerKind::ALL {
                if let Ok(mut scheduler) = build(kind, &config, &Run::new(steps, (8, 8))) {
                    let (mut sample, mut denoised, mut noise) = (vec![0.5; 4], vec![0.0; 4], PhiloxNoise::new(1));
                    for index in 0..scheduler.timesteps().len().min(4) {
                        let mut input = sample.clone();
                        scheduler.scale_model_input(index, &mut input);
                        scheduler.step(index, &input, &mut sample, &mut denoised, &mut noise).unwrap();
                    }
                }
            }
        }
    }
}
