//! What configs say, and what they may not.

use easel::scheduler::{Run, SchedulerConfig, SchedulerKind, build};

#[test]
fn names_round_trip() {
    for kind in SchedulerKind::ALL {
        assert_eq!(kind.to_string().parse::<SchedulerKind>().unwrap(), kind);
    }
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for (file, quote) in [("command-line.md", ""), ("numerics.md", "`")] {
        let text = std::fs::read_to_string(docs.join(file)).unwrap();
        for kind in SchedulerKind::ALL {
            assert!(
                text.contains(&format!("{quote}{kind}{quote}")),
                "{file}: {kind}"
            );
        }
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
    // A solver for both kinds of model takes what the class says by its name.
    let solver = SchedulerConfig::from_json(
        r#"{"_class_name":"UniPCMultistepScheduler","use_flow_sigmas":true,"prediction_type":"flow_prediction","flow_shift":3.0}"#,
    )
    .unwrap();
    let [named, told] = [&flow, &solver].map(|config| {
        let scheduler = build(SchedulerKind::Unipc, config, &Run::new(5, (8, 8))).unwrap();
        scheduler.timesteps().to_vec()
    });
    assert_eq!(named, told);
    assert!(build(SchedulerKind::FlowEuler, &solver, &Run::new(5, (8, 8))).is_ok());
    assert!(build(SchedulerKind::Heun, &solver, &Run::new(5, (8, 8))).is_err());
    let edm = SchedulerConfig::from_json(
        r#"{"_class_name":"EDMDPMSolverMultistepScheduler","sigma_data":0.5}"#,
    )
    .unwrap();
    for kind in SchedulerKind::ALL {
        let error = build(kind, &edm, &Run::new(5, (8, 8))).err().unwrap();
        assert!(error.to_string().contains("EDM"), "{error}");
    }
    assert!(flow.default_kind().is_err());
    assert!(build(SchedulerKind::FlowEuler, &flow, &Run::new(5, (8, 8))).is_ok());
    assert!(build(SchedulerKind::Ddim, &flow, &Run::new(5, (8, 8))).is_err());
}
