//! How a scheduler is called, and what it keeps to whatever the method.

use easel::noise::{NoiseSource, PhiloxNoise};
use easel::scheduler::{Run, Scheduler, SchedulerConfig, SchedulerError, SchedulerKind, build};

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

/// A schedule whose steps end in the picture itself, for every method.
fn exact(kind: SchedulerKind) -> SchedulerConfig {
    SchedulerConfig::from_json(match kind {
        SchedulerKind::FlowEuler => {
            r#"{"_class_name":"FlowMatchEulerDiscreteScheduler","shift":3.0}"#
        }
        _ => {
            r#"{"_class_name":"DDIMScheduler","beta_start":0.00085,"beta_end":0.012,"beta_schedule":"scaled_linear",
                "clip_sample":false,"set_alpha_to_one":true,"timestep_spacing":"leading","steps_offset":1}"#
        }
    })
    .unwrap()
}

/// What evaluation `index` makes of clean latents 1 and of noise 1, as the denoiser sees it.
fn level(scheduler: &Scheduler, index: usize) -> (f32, f32) {
    let mut seen = [1.0];
    scheduler.scale_model_input(index, &mut seen);
    let [divided] = seen;
    if divided < 1.0 {
        // The input is brought to variance 1, also halfway through a step.
        return (1.0, (1.0 / (divided * divided) - 1.0).sqrt());
    }
    let part = |clean: f32, noise: f32| {
        let mut out = [0.0];
        scheduler
            .add_noise(index, &[clean], &[noise], &mut out)
            .unwrap();
        out[0]
    };
    (part(1.0, 0.0), part(0.0, 1.0))
}

/// A denoiser that knows the picture leads to it, from every step of a schedule and by every method.
#[test]
fn an_oracle_is_followed_to_the_picture_from_every_start() {
    let picture = [0.8_f32, -1.3, 0.1, 2.0];
    for kind in SchedulerKind::ALL {
        let config = exact(kind);
        let mut scheduler = build(kind, &config, &Run::new(10, (32, 48))).unwrap();
        assert_eq!(scheduler.starts().len(), 10, "{kind}");
        for start in scheduler.starts().to_vec() {
            let mut noise = PhiloxNoise::new(start as u64);
            let (mut sample, mut denoised) = ([0.0; 4], [0.0; 4]);
            let mut fresh = [0.0; 4];
            noise.fill(&mut fresh);
            scheduler
                .add_noise(start, &picture, &fresh, &mut sample)
                .unwrap();
            scheduler.begin(start).unwrap();
            for index in start..scheduler.timesteps().len() {
                let (signal, share) = level(&scheduler, index);
                let output: Vec<f32> = sample
                    .iter()
                    .zip(&picture)
                    .map(|(x, clean)| {
                        let epsilon = (x - signal * clean) / share;
                        if kind == SchedulerKind::FlowEuler {
                            epsilon - clean
                        } else {
                            epsilon
                        }
                    })
                    .collect();
                scheduler
                    .step(index, &output, &mut sample, &mut denoised, &mut noise)
                    .unwrap();
            }
            // DEIS ends at the lowest noise level of the training schedule, PNDM and TCD at its first timestep.
            let tolerance = match kind {
                SchedulerKind::Deis | SchedulerKind::Tcd => 0.15,
                _ => 2e-3,
            };
            for (found, expected) in sample.iter().zip(&picture) {
                assert!(
                    (found - expected).abs() < tolerance,
                    "{kind} from {start}: {sample:?}"
                );
            }
        }
    }
}

/// Draws are counted: what is said of an evaluation is what it takes.
#[test]
fn draws_are_as_announced() {
    struct Counted(usize);
    impl NoiseSource for Counted {
        fn fill(&mut self, out: &mut [f32]) {
            self.0 += 1;
            out.fill(0.25);
        }
    }
    for kind in SchedulerKind::ALL {
        let mut scheduler = build(kind, &exact(kind), &Run::new(5, (8, 8))).unwrap();
        let (mut sample, mut denoised) = ([0.5; 3], [0.0; 3]);
        let mut total = 0;
        for index in 0..scheduler.timesteps().len() {
            let mut noise = Counted(0);
            let announced = scheduler.draws(index);
            scheduler
                .step(index, &[0.1; 3], &mut sample, &mut denoised, &mut noise)
                .unwrap();
            assert_eq!(noise.0, usize::from(announced), "{kind} {index}");
            total += noise.0;
        }
        let stochastic = match kind {
            SchedulerKind::Ddpm
            | SchedulerKind::EulerAncestral
            | SchedulerKind::DpmppSde
            | SchedulerKind::Dpmpp2sSde => 5,
            SchedulerKind::Lcm | SchedulerKind::Kdpm2Ancestral | SchedulerKind::Tcd => 4,
            _ => 0,
        };
        assert_eq!(total, stochastic, "{kind}");
    }
}

#[test]
fn evaluations_a_step() {
    for (kind, count, starts) in [
        (SchedulerKind::Euler, 5, vec![0, 1, 2, 3, 4]),
        (SchedulerKind::Heun, 9, vec![0, 2, 4, 6, 8]),
        (SchedulerKind::Kdpm2Ancestral, 9, vec![0, 2, 4, 6, 8]),
        // Three steps of Runge and Kutta's method with four each.
        (SchedulerKind::Pndm, 14, vec![0, 4, 8, 12, 13]),
    ] {
        let mut scheduler = build(kind, &exact(kind), &Run::new(5, (8, 8))).unwrap();
        assert_eq!(scheduler.timesteps().len(), count, "{kind}");
        assert_eq!(scheduler.starts(), starts, "{kind}");
        let within = scheduler.begin(1);
        assert_eq!(within.is_ok(), kind == SchedulerKind::Euler, "{kind}");
        assert!(scheduler.begin(count).is_err(), "{kind}");
    }
    let plms =
        SchedulerConfig::from_json(r#"{"_class_name":"PNDMScheduler","skip_prk_steps":true}"#);
    let scheduler = build(SchedulerKind::Pndm, &plms.unwrap(), &Run::new(5, (8, 8))).unwrap();
    assert_eq!(scheduler.timesteps().len(), 6);
    assert_eq!(scheduler.starts(), [0, 2, 3, 4, 5]);
}

#[test]
fn a_run_has_one_length_and_begins_anew() {
    for kind in SchedulerKind::ALL {
        let mut scheduler = build(kind, &exact(kind), &Run::new(6, (8, 8))).unwrap();
        let once = |scheduler: &mut Scheduler| {
            let (mut sample, mut denoised) = (vec![0.5; 4], vec![0.0; 4]);
            let mut noise = PhiloxNoise::new(3);
            for index in 0..scheduler.timesteps().len() {
                let output: Vec<f32> = sample.iter().map(|x: &f32| x.sin()).collect();
                scheduler
                    .step(index, &output, &mut sample, &mut denoised, &mut noise)
                    .unwrap();
                if index == 0 {
                    let (mut longer, mut clean) = (vec![0.5; 5], vec![0.0; 5]);
                    let error = scheduler
                        .step(1, &[0.0; 5], &mut longer, &mut clean, &mut noise)
                        .unwrap_err();
                    assert!(matches!(error, SchedulerError::Length { .. }), "{error}");
                }
            }
            sample
        };
        assert_eq!(once(&mut scheduler), once(&mut scheduler), "{kind}");
    }
}
