//! Schedulers: how noise becomes a latent, one model evaluation at a time.
//!
//! A [`Scheduler`] owns the list of noise levels to visit and the formula that goes from one to the
//! next. It is pure arithmetic on slices: no model, no tensors, no I/O. Every one follows the class of
//! the same name in diffusers 0.36.0 operation by operation, in `f32` where diffusers computes in `f32`,
//! so that each step's latents agree (`docs/numerics.md` has the measured errors).
//!
//! ```
//! use easel::noise::{NoiseSource, PhiloxNoise};
//! use easel::scheduler::{SchedulerConfig, build};
//!
//! let config = SchedulerConfig::from_json(r#"{"_class_name": "EulerDiscreteScheduler"}"#)?;
//! let mut scheduler = build(config.default_kind()?, &config, 4, (2, 2))?;
//! let mut noise = PhiloxNoise::new(42);
//! let mut sample = vec![0.0; 4 * 2 * 2]; // [1, 4, 2, 2]
//! noise.fill(&mut sample);
//! sample.iter_mut().for_each(|v| *v *= scheduler.init_noise_sigma());
//! let mut denoised = sample.clone();
//! for index in 0..scheduler.timesteps().len() {
//!     let mut input = sample.clone();
//!     scheduler.scale_model_input(index, &mut input);
//!     let output = input; // the denoiser goes here: (input, scheduler.timesteps()[index]) -> output
//!     scheduler.step(index, &output, &mut sample, &mut denoised, &mut noise)?;
//! }
//! # Ok::<(), easel::scheduler::SchedulerError>(())
//! ```

mod alphas;
mod config;
mod ddim;
mod ddpm;
mod dpm_schedule;
mod dpm_solver;
mod dpm_solver_sde;
mod error;
mod euler;
mod euler_ancestral;
mod flow_euler;
mod lcm;
mod numpy;
mod options;
mod prediction;
mod spacing;

use std::fmt;
use std::str::FromStr;

use crate::noise::NoiseSource;
use crate::text::excerpt;
pub use config::SchedulerConfig;
pub use error::SchedulerError;

/// A sampling method, by the name that `--scheduler` takes. `docs/numerics.md` says which diffusers
/// class and options each one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchedulerKind {
    /// `ddpm`: ancestral sampling of Ho et al. 2020.
    Ddpm,
    /// `ddim`: Song et al. 2020, eta 0 (deterministic).
    Ddim,
    /// `euler`: Euler's method on the probability-flow ODE, Karras et al. 2022.
    Euler,
    /// `euler-ancestral`: Euler with fresh noise after every step.
    EulerAncestral,
    /// `dpmpp-2m`: multistep DPM-Solver++, Lu et al. 2022.
    Dpmpp2m,
    /// `dpmpp-2m-karras`: the same on the noise levels of Karras et al. 2022.
    Dpmpp2mKarras,
    /// `dpmpp-sde`: multistep SDE-DPM-Solver++.
    DpmppSde,
    /// `lcm`: latent consistency models, Luo et al. 2023.
    Lcm,
    /// `flow-euler`: Euler's method for flow-matching models (SD3, Flux).
    FlowEuler,
}

impl SchedulerKind {
    /// Every kind, in the order in which help texts list them.
    pub const ALL: [Self; 9] = [
        Self::Ddpm,
        Self::Ddim,
        Self::Euler,
        Self::EulerAncestral,
        Self::Dpmpp2m,
        Self::Dpmpp2mKarras,
        Self::DpmppSde,
        Self::Lcm,
        Self::FlowEuler,
    ];

    /// The name on the command line and in MQTT payloads.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ddpm => "ddpm",
            Self::Ddim => "ddim",
            Self::Euler => "euler",
            Self::EulerAncestral => "euler-ancestral",
            Self::Dpmpp2m => "dpmpp-2m",
            Self::Dpmpp2mKarras => "dpmpp-2m-karras",
            Self::DpmppSde => "dpmpp-sde",
            Self::Lcm => "lcm",
            Self::FlowEuler => "flow-euler",
        }
    }
}

impl fmt::Display for SchedulerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SchedulerKind {
    type Err = SchedulerError;

    fn from_str(name: &str) -> Result<Self, SchedulerError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| SchedulerError::UnknownName(excerpt(name)))
    }
}

/// One run of a sampling method: built for a number of steps, used once from index 0 upwards.
/// To start over, call [`step`](Self::step) with index 0 again.
pub trait Scheduler: Send {
    /// The time that the denoiser is told, one per model evaluation (usually, but not always, one per
    /// step asked for). Not every value is whole: Euler's `linspace` spacing has fractions.
    fn timesteps(&self) -> &[f32];

    /// The noise level at evaluation `index`: noise over signal, or the flow's sigma. For display.
    ///
    /// # Panics
    /// If `index` is not below `timesteps().len()`.
    fn sigma(&self, index: usize) -> f32;

    /// What to multiply standard normal noise with to get the first sample.
    fn init_noise_sigma(&self) -> f32;

    /// Scales a copy of the sample to what the denoiser expects at evaluation `index`, in place.
    ///
    /// # Panics
    /// If `index` is not below `timesteps().len()`.
    fn scale_model_input(&self, index: usize, sample: &mut [f32]);

    /// Advances `sample` from noise level `index` to the next, in place, given what the denoiser said
    /// about it. `denoised` receives the clean latents that this step predicts (for previews).
    /// Stochastic methods take one draw of `noise` a step; the others none.
    ///
    /// # Errors
    /// The slices differ in length, or `index` is neither 0 nor one more than the last. `sample` is
    /// unchanged then.
    fn step(
        &mut self,
        index: usize,
        model_output: &[f32],
        sample: &mut [f32],
        denoised: &mut [f32],
        noise: &mut dyn NoiseSource,
    ) -> Result<(), SchedulerError>;
}

/// Makes the scheduler `kind` for a model whose `scheduler_config.json` is `config`, as diffusers'
/// `Class.from_config(config)` would: options that the config names carry over, the others take the
/// defaults of the class behind `kind`.
///
/// `steps` is the number of denoising steps; `latent_len_hw` the latents' (height, width), which
/// flow-matching models with dynamic shifting depend on.
///
/// # Errors
/// An option has a value that this kind does not take, `steps` is 0 or too many, or the noise levels
/// come out infinite or in no order.
pub fn build(
    kind: SchedulerKind,
    config: &SchedulerConfig,
    steps: usize,
    latent_len_hw: (usize, usize),
) -> Result<Box<dyn Scheduler>, SchedulerError> {
    config.check_family(kind)?;
    let options = config.options();
    let scheduler: Box<dyn Scheduler> = match kind {
        SchedulerKind::Ddpm => Box::new(ddpm::Ddpm::new(&options, steps)?),
        SchedulerKind::Ddim => Box::new(ddim::Ddim::new(&options, steps)?),
        SchedulerKind::Euler => Box::new(euler::Euler::new(&options, steps)?),
        SchedulerKind::EulerAncestral => {
            Box::new(euler_ancestral::EulerAncestral::new(&options, steps)?)
        }
        SchedulerKind::Dpmpp2m => Box::new(dpm_solver::DpmSolver::new(
            &options,
            steps,
            Some(false),
            dpm_solver::ode,
        )?),
        SchedulerKind::Dpmpp2mKarras => Box::new(dpm_solver::DpmSolver::new(
            &options,
            steps,
            Some(true),
            dpm_solver::ode,
        )?),
        SchedulerKind::DpmppSde => Box::new(dpm_solver::DpmSolver::new(
            &options,
            steps,
            None,
            dpm_solver_sde::sde,
        )?),
        SchedulerKind::Lcm => Box::new(lcm::Lcm::new(&options, steps)?),
        SchedulerKind::FlowEuler => {
            Box::new(flow_euler::FlowEuler::new(&options, steps, latent_len_hw)?)
        }
    };
    check_finite(scheduler.as_ref())?;
    Ok(scheduler)
}

/// Extreme but well-formed options (a beta of 1e-30) overflow somewhere in the tables; say so before
/// a model runs for a minute on NaN.
fn check_finite(scheduler: &dyn Scheduler) -> Result<(), SchedulerError> {
    let start = scheduler.init_noise_sigma();
    if !(start.is_finite() && start > 0.0) {
        return Err(SchedulerError::Schedule(format!(
            "the first noise level is {start}"
        )));
    }
    for (index, timestep) in scheduler.timesteps().iter().enumerate() {
        let sigma = scheduler.sigma(index);
        if !(timestep.is_finite() && sigma.is_finite()) {
            return Err(SchedulerError::Schedule(format!(
                "step {} has timestep {timestep} and noise level {sigma}",
                index + 1
            )));
        }
    }
    Ok(())
}

/// Keeps a caller honest: slices of one length, indices in order.
#[derive(Debug, Default)]
struct Progress {
    next: usize,
}

impl Progress {
    /// Accepts evaluation `index` of `count` or says what is wrong with it.
    fn advance(
        &mut self,
        index: usize,
        count: usize,
        model_output: &[f32],
        sample: &[f32],
        denoised: &[f32],
    ) -> Result<(), SchedulerError> {
        if index >= count || (index != 0 && index != self.next) {
            return Err(SchedulerError::Order {
                index,
                expected: self.next,
                count,
            });
        }
        if model_output.len() != sample.len() || denoised.len() != sample.len() {
            return Err(SchedulerError::Length {
                sample: sample.len(),
                model_output: model_output.len(),
                denoised: denoised.len(),
            });
        }
        self.next = index + 1;
        Ok(())
    }
}
