//! The noise levels of DPM-Solver++ and of the solvers that think in its time (DEIS, UniPC), and the
//! options that are about them.

use super::alphas::{Alphas, BetaDefaults, BetaShape};
use super::error::SchedulerError;
use super::flow_euler::mu;
use super::levels::final_sigma;
use super::numpy::{interp, linspace};
use super::options::{Options, unsupported};
use super::prediction::{Level, Prediction};
use super::schedule::Schedule;
use super::spacing::{
    SigmaCurve, Spacing, check_steps, curve_ends, log_sigmas, sigma_curve, sigma_to_timestep,
    spacing, steps_offset, trailing,
};
use super::{Run, SchedulerKind};

/// `algorithm_type`: whether steps add noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Ode,
    Sde,
    NoisePredicting,
}

/// Which of the kinds a config of a DPM-Solver class describes.
pub(super) fn kind(
    options: &Options<'_>,
    singlestep: bool,
) -> Result<SchedulerKind, SchedulerError> {
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
        Algorithm::Sde if singlestep => Ok(SchedulerKind::Dpmpp2sSde),
        Algorithm::Ode if singlestep => Ok(SchedulerKind::Dpmpp2s),
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

/// What tells the schedules of the classes apart.
pub(super) struct Class {
    /// Overrules `use_karras_sigmas`.
    pub(super) karras: Option<bool>,
    pub(super) betas: &'static BetaDefaults,
    /// Takes `timestep_spacing` and `steps_offset`; without them the spacing is linspace.
    pub(super) spaced: bool,
    /// Takes `lambda_min_clipped`.
    pub(super) clipped: bool,
    /// Takes `use_lu_lambdas`.
    pub(super) lu: bool,
    /// Leaves the times on Karras's curve as they are where betas are the cosine schedule's.
    pub(super) exact_cosine: bool,
    pub(super) end: End,
}

/// Where a class's runs end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As `final_sigmas_type` says; `sigma_min` is the lowest level of the training schedule.
    Training,
    /// The same, but on a curve `sigma_min` is the curve's own last level.
    Curve,
    /// Always at `sigma_min`.
    AtMinimum,
}

/// `DPMSolverMultistepScheduler`.
pub(super) const MULTISTEP: Class = Class {
    karras: None,
    betas: &BetaDefaults::USUAL,
    spaced: true,
    clipped: true,
    lu: true,
    exact_cosine: true,
    end: End::Training,
};

/// `DPMSolverSinglestepScheduler`.
pub(super) const SINGLESTEP: Class = Class {
    betas: &BetaDefaults::NO_RESCALE,
    spaced: false,
    lu: false,
    exact_cosine: false,
    ..MULTISTEP
};

/// `UniPCMultistepScheduler`.
pub(super) const UNIPC: Class = Class {
    clipped: false,
    lu: false,
    exact_cosine: false,
    end: End::Curve,
    ..MULTISTEP
};

/// `DEISMultistepScheduler`.
pub(super) const DEIS: Class = Class {
    betas: &BetaDefaults::NO_RESCALE,
    end: End::AtMinimum,
    ..UNIPC
};

impl Path {
    pub(super) fn new(
        options: &Options<'_>,
        run: &Run,
        class: &Class,
    ) -> Result<Self, SchedulerError> {
        let alphas = Alphas::new(options, class.betas)?.with_terminal_signal()?;
        let train = alphas.sigmas();
        let logs = log_sigmas(&train);
        check_steps(run.steps, train.len())?;

        let curve = match (class.karras, sigma_curve(options)) {
            (Some(true), _) => Some(SigmaCurve::Karras),
            (Some(false), Ok(Some(SigmaCurve::Karras))) => None,
            (_, curve) => curve?,
        };
        let lu = class.lu && options.flag("use_lu_lambdas", false)?;
        let flow = options.flag("use_flow_sigmas", false)?;
        if flow && (curve.is_some() || lu) {
            return Err(unsupported(
                "use_flow_sigmas",
                "true",
                "the levels of a curve are not those of a flow; leave the curve out",
            ));
        }
        let (most, least) = (f64::from(train[train.len() - 1]), f64::from(train[0]));
        let (most, least) = curve_ends(options, most, least)?;
        // diffusers' order of precedence.
        let (sigmas, timesteps) = match curve {
            Some(SigmaCurve::Karras) => {
                let sigmas = SigmaCurve::Karras.sigmas(most, least, run.steps);
                let exact = class.exact_cosine && alphas.shape == BetaShape::SquaredCos;
                let times = times_of(&sigmas, &logs, !exact);
                (sigmas, times)
            }
            _ if lu => {
                let sigmas = lu_sigmas(&logs, run.steps);
                let times = times_of(&sigmas, &logs, alphas.shape != BetaShape::SquaredCos);
                (sigmas, times)
            }
            Some(curve) => {
                let sigmas = curve.sigmas(most, least, run.steps);
                let times = times_of(&sigmas, &logs, false);
                (sigmas, times)
            }
            None if flow => {
                let sigmas = flow_sigmas(options, run, train.len())?;
                let count = train.len() as f64;
                let times = sigmas.iter().map(|sigma| sigma * count).collect();
                (sigmas, times)
            }
            None => {
                let times = spaced(options, &alphas, run.steps, class)?;
                let sigmas = times.iter().map(|time| interp(*time, &train)).collect();
                (sigmas, times)
            }
        };
        let curved = curve.is_some() || flow;
        let lowest = match (class.end, sigmas.last()) {
            (End::Curve | End::AtMinimum, Some(last)) if curved => *last as f32,
            _ => train[0],
        };
        let end = match class.end {
            End::AtMinimum => lowest,
            End::Training | End::Curve => final_sigma(options, lowest)?,
        };
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
        path.check(run.steps)?;
        Ok(path)
    }

    /// The level at which an evaluation's output is read.
    pub(super) fn level(&self, index: usize, prediction: Prediction) -> Level {
        let Point { alpha, sigma, .. } = self.points[index];
        Level {
            signal: alpha,
            // A flow's output is scaled by its raw sigma.
            noise: match prediction {
                Prediction::Flow => self.sigmas[index],
                _ => sigma,
            },
        }
    }

    /// The run's last step ends in clean latents.
    pub(super) fn ends_at_zero(&self) -> bool {
        self.sigmas.last() == Some(&0.0)
    }

    /// What the caller sees of it.
    pub(super) fn schedule(&self) -> Schedule {
        let count = self.timesteps.len();
        let level = |point: &Point| Level {
            signal: point.alpha,
            noise: point.sigma,
        };
        Schedule {
            starts: (0..count).collect(),
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

/// The curve of Lu et al. 2022 with ρ = 1: a straight line in log sigma.
fn lu_sigmas(logs: &[f32], steps: usize) -> Vec<f64> {
    let (from, to) = (f64::from(logs[logs.len() - 1]), f64::from(logs[0]));
    linspace(0.0, 1.0, steps)
        .into_iter()
        .map(|ramp| libm::exp(from + ramp * (to - from)))
        .collect()
}

/// `use_flow_sigmas`: levels of a flow-matching model, shifted by `flow_shift` or by the picture's size.
fn flow_sigmas(options: &Options<'_>, run: &Run, train: usize) -> Result<Vec<f64>, SchedulerError> {
    let shift = if options.flag("use_dynamic_shifting", false)? {
        // The class knows the exponential kind alone.
        options.choice("time_shift_type", (), &[("exponential", ())])?;
        libm::exp(mu(options, run.image_tokens)?)
    } else {
        // The name of flow-matching classes for it stands in.
        options.positive("flow_shift", options.positive("shift", 1.0)?)?
    };
    options.refuse(
        "invert_sigmas",
        "this method goes from noise to pictures; choose flow-euler",
    )?;
    if options.number_or_none("shift_terminal")?.is_some() {
        return Err(unsupported(
            "shift_terminal",
            "a number",
            "this method has its own last level; choose flow-euler",
        ));
    }
    Ok(linspace(1.0, 1.0 / train as f64, run.steps + 1)
        .into_iter()
        .skip(1)
        .rev()
        .map(|alpha| {
            let sigma = 1.0 - alpha;
            shift * sigma / (1.0 + (shift - 1.0) * sigma)
        })
        .collect())
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
    class: &Class,
) -> Result<Vec<f64>, SchedulerError> {
    let train = alphas.len();
    let floor = if class.clipped {
        options.number_or_minus_infinity("lambda_min_clipped", f64::NEG_INFINITY)?
    } else {
        f64::NEG_INFINITY
    };
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
    let (spacing, offset) = if class.spaced {
        let spacing = spacing(options, Spacing::Linspace)?;
        (spacing, steps_offset(options, train)?)
    } else {
        (Spacing::Linspace, 0)
    };
    Ok(match spacing {
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
