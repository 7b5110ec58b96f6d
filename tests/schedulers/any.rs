//! Whatever a config says, no scheduler panics; and what is sane stays within bounds.

use easel::noise::PhiloxNoise;
use easel::scheduler::{FlowLevels, Run, SchedulerConfig, SchedulerError, SchedulerKind, build};
use proptest::prelude::*;

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
            "DPMSolverMultistepScheduler", "LCMScheduler", "FlowMatchEulerDiscreteScheduler", "PNDMScheduler", "UniPCMultistepScheduler",
            "DEISMultistepScheduler", "HeunDiscreteScheduler", "LMSDiscreteScheduler", "KDPM2AncestralDiscreteScheduler",
            "DPMSolverSinglestepScheduler", "TCDScheduler", "FlowMatchHeunDiscreteScheduler"]),
        options in prop::collection::vec((prop::sample::select(vec!["num_train_timesteps", "beta_start", "beta_end", "beta_schedule",
            "trained_betas", "clip_sample", "clip_sample_range", "set_alpha_to_one", "steps_offset", "prediction_type", "timestep_spacing",
            "rescale_betas_zero_snr", "use_karras_sigmas", "use_exponential_sigmas", "use_lu_lambdas", "use_flow_sigmas", "flow_shift",
            "final_sigmas_type", "lambda_min_clipped", "solver_order", "solver_type", "interpolation_type", "timestep_type", "sigma_min",
            "sigma_max", "shift", "use_dynamic_shifting", "base_image_seq_len", "max_image_seq_len", "shift_terminal", "invert_sigmas",
            "original_inference_steps", "timestep_scaling", "variance_type", "algorithm_type",
            "use_beta_sigmas", "predict_x0", "disable_corrector", "lower_order_final", "skip_prk_steps", "solver_p", "base_shift", "time_shift_type"]), any_value()), 0..5),
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

    /// Any number of steps of any method on an ordinary model: either an error that says so, or a run with finite
    /// times within the training schedule, finite levels, and finite latents at its end.
    #[test]
    fn sane_configs_stay_within_bounds(
        kind in prop::sample::select(SchedulerKind::ALL.to_vec()),
        steps in prop_oneof![1usize..30, 1usize..1000, Just(1000usize)],
        spacing in prop::sample::select(vec!["leading", "linspace", "trailing"]),
        curve in prop::sample::select(vec!["none", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"]),
        prediction in prop::sample::select(vec!["epsilon", "v_prediction", "sample"]),
        order in 1usize..=3,
        offset in 0usize..=1,
        flags in prop::array::uniform4(any::<bool>()),
        tokens in 1usize..=8192,
        start in 0.0f64..1.0,
    ) {
        let [skip, lower, pipeline, sigma_min] = flags;
        let flow = kind == SchedulerKind::FlowEuler;
        let ends = if sigma_min { "sigma_min" } else { "zero" };
        let curve = if curve == "none" { String::new() } else { format!(r#","{curve}":true"#) };
        let config = if flow {
            format!(r#"{{"_class_name":"FlowMatchEulerDiscreteScheduler","use_dynamic_shifting":{lower}{curve}}}"#)
        } else {
            format!(
                r#"{{"_class_name":"DDIMScheduler","beta_start":0.00085,"beta_end":0.012,"beta_schedule":"scaled_linear",
                "timestep_spacing":"{spacing}","steps_offset":{offset},"prediction_type":"{prediction}","solver_order":{order},
                "skip_prk_steps":{skip},"lower_order_final":{lower},"final_sigmas_type":"{ends}","clip_sample":false{curve}}}"#
            )
        };
        let config = SchedulerConfig::from_json(&config).unwrap();
        let mut run = Run::new(steps, (64, 64));
        run.image_tokens = tokens;
        if pipeline {
            run.flow_levels = FlowLevels::Pipeline;
        }
        let mut scheduler = match build(kind, &config, &run) {
            Ok(scheduler) => scheduler,
            Err(error) => {
                let known = matches!(error, SchedulerError::Steps { .. } | SchedulerError::BadValue { .. });
                prop_assert!(known, "{error}");
                return Ok(());
            }
        };
        let count = scheduler.timesteps().len();
        prop_assert!(count >= scheduler.starts().len());
        // As many steps as timesteps, one up.
        let most = if flow { 1000.0 } else { (999 + offset) as f32 };
        for (index, time) in scheduler.timesteps().iter().enumerate() {
            prop_assert!((0.0..=most).contains(time), "{index}: {time}");
            prop_assert!(scheduler.sigma(index).is_finite());
        }
        let starts = scheduler.starts();
        let begin = starts[(start * starts.len() as f64) as usize];
        scheduler.begin(begin).unwrap();
        let (mut sample, mut denoised, mut noise) = (vec![0.5, -1.0], vec![0.0; 2], PhiloxNoise::new(1));
        for index in begin..count {
            let output: Vec<f32> = sample.iter().map(|x: &f32| x.clamp(-1.0, 1.0)).collect();
            scheduler.step(index, &output, &mut sample, &mut denoised, &mut noise).unwrap();
            prop_assert!(sample.iter().chain(&denoised).all(|value| value.is_finite()), "{index}: {sample:?}");
        }
    }
}
