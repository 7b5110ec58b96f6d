//! The noise levels of DPM-Solver++, and the options that are about them.

use super::SchedulerKind;
use super::alphas::{Alphas, BetaDefaults, BetaShape};
use super::error::SchedulerError;
use super::euler::final_sigma;
use super::numpy::{interp, linspace};
use super::options::{Options, unsupported};
use super::prediction::Level;
use super::schedule::Schedule;
use super::spacing::{
    SigmaCurve, Spacing, check_steps, log_sigmas, sigma_curve, sigma_to_timestep, spacing,
    steps_offset, trailing,
};

/// `algorithm_type`: whether steps add noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Ode,
    Sde,
    NoisePredicting,
}

/// Which of the three kinds a `DPMSolverMultistepScheduler` config describes.
pub(super) fn kind(options: &Options<'_>) -> Result<SchedulerKind, SchedulerError> {
    let algorithm = options.choice(
        "algorithm_type",
        Algorithm::Ode,
        &[
            ("dpmsolver++", Algorithm::Ode),
            ("deis", Algorithm::Ode),
            ("sde-dpmsolver++", Algorithm::Sde),
            ("dpmsolver", Algorithm::NoisePredicting),
            ("sde-dpmsolver", Algorithm::NoisePredicting),
        ],
    )?;
    match algorithm {
        Algorithm::NoisePredicting => Err(unsupported(
            "algorithm_type",
            "dpmsolver",
            "diffusers has deprecated it; use dpmsolver++ or sde-dpmsolver++",
        )),
        Algorithm::Sde => Ok(SchedulerKind::DpmppSde),
        Algorithm::Ode if options.flag("use_karras_sigmas", false)? => {
            Ok(SchedulerKind::Dpmpp2mKarras)
        }
        Algorithm::Ode => Ok(SchedulerKind::Dpmpp2m),
    }
}

/// A noise level: signal and noise shares, and the logarithm of their ratio, the solver's time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) alpha: f32,
    pub(super) sigma: f32,
    pub(super) lambda: f32,
}

/// Where a run goes.
pub(super) struct Path {
    pub(super) timesteps: Vec<f32>,
    /// Noise over signal (or the flow's sigma) before each step, and after the last.
    pub(super) sigmas: Vec<f32>,
    /// The same levels as the solver sees them.
    pub(super) points: Vec<Point>,
}

impl Path {
    /// `karras` overrules `use_karras_sigmas`.
    pub(super) fn new(
        options: &Options<'_>,
        steps: usize,
        karras: Option<bool>,
    ) -> Result<Self, SchedulerError> {
        options.refuse(
            "use_dynamic_shifting",
            "its shift comes from pipelines that easel does not have; set flow_shift",
        )?;
        let alphas = Alphas::new(options, &BetaDefaults::USUAL)?.with_terminal_signal(options)?;
        let train = alphas.sigmas();
        let logs = log_sigmas(&train);
        check_steps(steps, train.len())?;

        let curve = match (karras, sigma_curve(options)) {
            (Some(true), _) => Some(SigmaCurve::Karras),
            (Some(false), Ok(Some(SigmaCurve::Karras))) => None,
            (_, curve) => curve?,
        };
        let lu = options.flag("use_lu_lambdas", false)?;
        let flow = options.flag("use_flow_sigmas", false)?;
        let flow_shift = options.positive("flow_shift", 1.0)?;
        let most = f64::from(train[train.len() - 1]);
        let least = f64::from(train[0]);
        // diffusers' order of precedence.
        let (sigmas, timesteps) = match curve {
            Some(SigmaCurve::Karras) => {
                let sigmas = SigmaCurve::Karras.sigmas(most, least, steps);
                let times = times_of(&sigmas, &logs, alphas.shape != BetaShape::SquaredCos);
                (sigmas, times)
            }
            _ if lu => {
                // The curve of Lu et al. 2022 with ρ = 1 is a straight line in log sigma.
                let (from, to) = (logs[logs.len() - 1], logs[0]);
                let sigmas: Vec<f64> = linspace(0.0, 1.0, steps)
                    .into_iter()
                    .map(|ramp| {
                        let (from, to) = (f64::from(from), f64::from(to));
                        libm::exp(from + ramp * (to - from))
                    })
                    .collect();
                let times = times_of(&sigmas, &logs, alphas.shape != BetaShape::SquaredCos);
                (sigmas, times)
            }
            Some(SigmaCurve::Exponential) => {
                let sigmas = SigmaCurve::Exponential.sigmas(most, least, steps);
                let times = times_of(&sigmas, &logs, false);
                (sigmas, times)
            }
            None if flow => {
                let count = train.len() as f64;
                let sigmas: Vec<f64> = linspace(1.0, 1.0 / count, steps + 1)
                    .into_iter()
                    .skip(1)
                    .rev()
                    .map(|alpha| {
                        let sigma = 1.0 - alpha;
                        flow_shift * sigma / (1.0 + (flow_shift - 1.0) * sigma)
                    })
                    .collect();
                let times = sigmas.iter().map(|sigma| sigma * count).collect();
                (sigmas, times)
            }
            None => {
                let times = spaced(options, &alphas, steps)?;
                let sigmas = times.iter().map(|time| interp(*time, &train)).collect();
                (sigmas, times)
            }
        };
        let end = final_sigma(options, &train)?;
        let sigmas: Vec<f32> = sigmas
            .into_iter()
            .map(|sigma| sigma as f32)
            .chain([end])
            .collect();
        let points: Vec<Point> = sigmas.iter().map(|sigma| point(*sigma, flow)).collect();
        let path = Self {
            // diffusers cuts them to whole numbers.
            timesteps: timesteps
                .into_iter()
                .map(|time: f64| time.trunc() as f32)
                .collect(),
            sigmas,
            points,
        };
        path.check(steps)?;
        Ok(path)
    }

    /// What the caller sees of it.
    pub(super) fn schedule(&self) -> Schedule {
        let count = self.timesteps.len();
        let level = |point: &Point| Level {
            signal: point.alpha,
            noise: point.sigma,
        };
        Schedule {
            timesteps: self.timesteps.clone(),
            sigmas: self.sigmas[..count].to_vec(),
            levels: self.points[..count].iter().map(level).collect(),
            divisors: Vec::new(),
            init_noise_sigma: 1.0,
        }
    }

    /// The solver divides by the distance between levels; only the last may be none.
    fn check(&self, steps: usize) -> Result<(), SchedulerError> {
        let visited = &self.points[..self.timesteps.len()];
        if visited.is_empty() || visited.iter().any(|point| !point.lambda.is_finite()) {
            return Err(SchedulerError::Schedule(
                "a noise level has no signal or no noise".into(),
            ));
        }
        if visited
            .windows(2)
            .any(|pair| pair[1].lambda <= pair[0].lambda)
        {
            return Err(SchedulerError::Steps {
                steps,
                most: (steps / 2).max(1),
            });
        }
        Ok(())
    }
}

fn times_of(sigmas: &[f64], logs: &[f32], whole: bool) -> Vec<f64> {
    sigmas
        .iter()
        .map(|sigma| sigma_to_timestep(*sigma, logs))
        .map(|time| if whole { time.round_ties_even() } else { time })
        .collect()
}

fn point(sigma: f32, flow: bool) -> Point {
    let (alpha, sigma) = if flow {
        (1.0 - sigma, sigma)
    } else {
        let alpha = 1.0 / (sigma * sigma + 1.0).sqrt();
        (alpha, sigma * alpha)
    };
    let log = |value: f32| libm::log(f64::from(value)) as f32;
    Point {
        alpha,
        sigma,
        lambda: log(alpha) - log(sigma),
    }
}

/// The class's own reading of the three spacings: linspace and leading lay out one more timestep than
/// there are steps, and leave out the last. `lambda_min_clipped` cuts off the noisiest ones.
fn spaced(
    options: &Options<'_>,
    alphas: &Alphas,
    steps: usize,
) -> Result<Vec<f64>, SchedulerError> {
    let train = alphas.len();
    let floor = options.number_or_minus_infinity("lambda_min_clipped", f64::NEG_INFINITY)?;
    let clipped = alphas
        .cumprod
        .iter()
        .rev()
        .take_while(|alpha| {
            let log = |value: f32| libm::log(f64::from(value)) as f32;
            f64::from(log(alpha.sqrt()) - log((1.0 - **alpha).sqrt())) < floor
        })
        .count();
    let last = train - clipped;
    if last < 2 {
        return Err(SchedulerError::Schedule(
            "lambda_min_clipped leaves no timesteps".into(),
        ));
    }
    let offset = steps_offset(options, train)?;
    Ok(match spacing(options, Spacing::Linspace)? {
        Spacing::Linspace => linspace(0.0, (last - 1) as f64, steps + 1)
            .into_iter()
            .skip(1)
            .rev()
            .map(f64::round_ties_even)
            .collect(),
        Spacing::Leading => {
            let ratio = last / (steps + 1);
            (1..=steps)
                .rev()
                .map(|i| (i * ratio + offset) as f64)
                .collect()
        }
        Spacing::Trailing => trailing(last, train, steps),
    })
}
