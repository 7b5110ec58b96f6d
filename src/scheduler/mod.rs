//! Schedulers: how noise becomes a latent, one model evaluation at a time.
//!
//! A [`Scheduler`] owns the list of noise levels to visit and the formula that goes from one to the
//! next. It is pure arithmetic on slices: no model, no tensors, no I/O. Every one follows the class of
//! the same name in diffusers 0.36.0 operation by operation, in `f32` where diffusers computes in `f32`,
//! so that each step's latents agree (`docs/numerics.md` has the measured errors).
//!
//! ```
//! use easel::noise::{NoiseSource, PhiloxNoise};
//! use easel::scheduler::{Run, SchedulerConfig, build};
//!
//! let config = SchedulerConfig::from_json(r#"{"_class_name": "EulerDiscreteScheduler"}"#)?;
//! let mut scheduler = build(config.default_kind()?, &config, &Run::new(4, (2, 2)))?;
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
mod beta_quantile;
mod config;
mod ddim;
mod ddpm;
mod deis;
mod dpm_schedule;
mod dpm_singlestep;
mod dpm_solver;
mod dpm_weights;
mod error;
mod euler;
mod euler_ancestral;
mod flow_euler;
mod heun;
mod history;
mod kdpm2;
mod kind;
mod lcm;
mod levels;
mod lms;
mod numpy;
mod options;
mod pndm;
mod prediction;
mod run;
mod sampler;
mod schedule;
mod spacing;
mod tcd;
mod unipc;

use crate::noise::NoiseSource;
pub use config::SchedulerConfig;
use dpm_singlestep::Singlestep;
use dpm_solver::DpmSolver;
use dpm_weights::Algorithm;
pub use error::SchedulerError;
use euler_ancestral::EulerAncestral;
use flow_euler::FlowEuler;
use kdpm2::Kdpm2;
pub use kind::SchedulerKind;
pub use run::{FlowLevels, Run};
use sampler::{Sampler, Step};
use schedule::Schedule;
pub(crate) use spacing::{decimal, share_of};

/// One run of a sampling method: built for a number of steps, used from evaluation 0, or from where
/// [`begin`](Self::begin) says, up to the last.
///
/// Latents are flat slices of any one length, in the sampler's scale. An *evaluation* is one call of
/// the denoiser (two if guidance takes a second). Most methods have one a step, some two; `timesteps().len()`
/// says how many there are, and some times come twice.
pub struct Scheduler {
    schedule: Schedule,
    sampler: Box<dyn Sampler>,
    /// The evaluation that is due.
    next: usize,
    /// The length of this run's latents, once it is known.
    len: Option<usize>,
    noise: Vec<f32>,
}

impl Scheduler {
    fn new((schedule, sampler): (Schedule, impl Sampler + 'static)) -> Self {
        Self {
            schedule,
            sampler: Box::new(sampler),
            next: 0,
            len: None,
            noise: Vec::new(),
        }
    }

    /// The time that the denoiser is told, one per evaluation. Not every value is whole: Euler's
    /// `linspace` spacing has fractions.
    pub fn timesteps(&self) -> &[f32] {
        &self.schedule.timesteps
    }

    /// The noise level at evaluation `index`: noise over signal, or the flow's sigma. For display.
    ///
    /// # Panics
    /// If `index` is not below `timesteps().len()`.
    pub fn sigma(&self, index: usize) -> f32 {
        self.schedule.sigmas[index]
    }

    /// What to multiply standard normal noise with to get the first sample.
    pub fn init_noise_sigma(&self) -> f32 {
        self.schedule.init_noise_sigma
    }

    /// Scales a copy of the sample to what the denoiser expects at evaluation `index`, in place.
    ///
    /// # Panics
    /// If `index` is not below `timesteps().len()`.
    pub fn scale_model_input(&self, index: usize, sample: &mut [f32]) {
        if !self.schedule.divisors.is_empty() {
            let divisor = self.schedule.divisors[index];
            sample.iter_mut().for_each(|x| *x /= divisor);
        }
    }

    /// The evaluation that each step begins with, in order: where a run may [`begin`](Self::begin). To
    /// take the last `n` steps of a schedule, begin with the `n`-th from the end.
    pub fn starts(&self) -> &[usize] {
        &self.schedule.starts
    }

    /// A sample of evaluation `index` made of `clean` latents and standard normal `noise`: where
    /// painting over a picture starts, and what its kept parts are at each level.
    ///
    /// # Errors
    /// The slices differ in length, or `index` is not below `timesteps().len()`.
    pub fn add_noise(
        &self,
        index: usize,
        clean: &[f32],
        noise: &[f32],
        out: &mut [f32],
    ) -> Result<(), SchedulerError> {
        let Some(level) = self.schedule.levels.get(index) else {
            return Err(self.order(index));
        };
        if clean.len() != out.len() || noise.len() != out.len() {
            return Err(SchedulerError::Length {
                sample: out.len(),
                others: [clean.len(), noise.len()],
            });
        }
        level.mix(clean, noise, out);
        Ok(())
    }

    /// Begins a run at evaluation `index`, one of [`starts`](Self::starts); without it, a run begins at 0.
    /// The sample is then one of [`add_noise`](Self::add_noise) at the same index, and earlier evaluations
    /// are forgotten.
    ///
    /// # Errors
    /// No step begins with `index`.
    pub fn begin(&mut self, index: usize) -> Result<(), SchedulerError> {
        if self.starts().binary_search(&index).is_err() {
            return Err(SchedulerError::Middle(index));
        }
        self.sampler.begin();
        self.next = index;
        self.len = None;
        Ok(())
    }

    /// Whether evaluation `index` takes a draw of noise, one as long as the sample.
    ///
    /// # Panics
    /// If `index` is not below `timesteps().len()`.
    pub fn draws(&self, index: usize) -> bool {
        assert!(index < self.timesteps().len(), "no evaluation {index}");
        self.sampler.draws(index)
    }

    /// Advances `sample` from noise level `index` to the next, in place, given what the denoiser said
    /// about it. `denoised` receives the clean latents that this evaluation predicts (for previews).
    /// Takes one draw of `noise` where [`draws`](Self::draws) says so. Index 0 always begins a run.
    ///
    /// # Errors
    /// The slices differ in length or from the run's earlier ones, or `index` is neither 0 nor the one
    /// that is due. `sample` is unchanged then.
    pub fn step(
        &mut self,
        index: usize,
        model_output: &[f32],
        sample: &mut [f32],
        denoised: &mut [f32],
        noise: &mut dyn NoiseSource,
    ) -> Result<(), SchedulerError> {
        if index >= self.timesteps().len() || (index != 0 && index != self.next) {
            return Err(self.order(index));
        }
        let due = match self.len {
            Some(len) if index != 0 => len,
            _ => sample.len(),
        };
        if [sample.len(), model_output.len(), denoised.len()] != [due; 3] {
            return Err(SchedulerError::Length {
                sample: sample.len(),
                others: [model_output.len(), denoised.len()],
            });
        }
        if index == 0 {
            self.begin(0)?;
        }
        self.len = Some(due);
        self.noise.clear();
        self.noise.resize(due, 0.0);
        if self.sampler.draws(index) {
            noise.fill(&mut self.noise);
        }
        self.sampler.step(Step {
            index,
            output: model_output,
            sample,
            denoised,
            noise: &self.noise,
        });
        self.next = index + 1;
        Ok(())
    }

    fn order(&self, index: usize) -> SchedulerError {
        SchedulerError::Order {
            index,
            expected: self.next,
            count: self.timesteps().len(),
        }
    }
}

/// Makes the scheduler `kind` for a model whose `scheduler_config.json` is `config`, as diffusers'
/// `Class.from_config(config)` would: options that the config names carry over, the others take the
/// defaults of the class behind `kind`.
///
/// # Errors
/// An option has a value that this kind does not take, the number of steps is 0 or too high, or the noise
/// levels come out infinite or in no order.
pub fn build(
    kind: SchedulerKind,
    config: &SchedulerConfig,
    run: &Run,
) -> Result<Scheduler, SchedulerError> {
    config.check_family(kind)?;
    if !(0.0..=1.0).contains(&run.eta) {
        return Err(SchedulerError::Eta(run.eta));
    }
    let (options, steps) = (&config.options(), run.steps);
    let scheduler = match kind {
        SchedulerKind::Ddpm => Scheduler::new(ddpm::Ddpm::new(options, steps)?),
        SchedulerKind::Ddim => Scheduler::new(ddim::Ddim::new(options, steps)?),
        SchedulerKind::Euler => Scheduler::new(euler::Euler::new(options, steps)?),
        SchedulerKind::EulerAncestral => Scheduler::new(EulerAncestral::new(options, steps)?),
        SchedulerKind::Dpmpp2m => {
            Scheduler::new(DpmSolver::new(options, run, Some(false), Algorithm::Ode)?)
        }
        SchedulerKind::Dpmpp2mKarras => {
            Scheduler::new(DpmSolver::new(options, run, Some(true), Algorithm::Ode)?)
        }
        SchedulerKind::DpmppSde => {
            Scheduler::new(DpmSolver::new(options, run, None, Algorithm::Sde)?)
        }
        SchedulerKind::Lcm => Scheduler::new(lcm::Lcm::new(options, run)?),
        SchedulerKind::Unipc => Scheduler::new(unipc::UniPc::new(options, run)?),
        SchedulerKind::Deis => Scheduler::new(deis::Deis::new(options, run)?),
        SchedulerKind::Heun => Scheduler::new(heun::Heun::new(options, steps)?),
        SchedulerKind::Lms => Scheduler::new(lms::Lms::new(options, steps)?),
        SchedulerKind::Kdpm2 => Scheduler::new(Kdpm2::new(options, steps, false)?),
        SchedulerKind::Kdpm2Ancestral => Scheduler::new(Kdpm2::new(options, steps, true)?),
        SchedulerKind::Dpmpp2s => Scheduler::new(Singlestep::new(options, run, Algorithm::Ode)?),
        SchedulerKind::Dpmpp2sSde => Scheduler::new(Singlestep::new(options, run, Algorithm::Sde)?),
        SchedulerKind::Tcd => Scheduler::new(tcd::Tcd::new(options, steps, run.eta)?),
        SchedulerKind::Pndm => Scheduler::new(pndm::Pndm::new(options, steps)?),
        SchedulerKind::FlowEuler => Scheduler::new(FlowEuler::new(options, run)?),
    };
    scheduler.schedule.check_finite()?;
    Ok(scheduler)
}
