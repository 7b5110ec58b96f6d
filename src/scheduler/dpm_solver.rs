//! Multistep DPM-Solver++ (Lu et al. 2022, arXiv 2211.01095, algorithm 2), orders 1 to 3, as an ODE or an SDE.

use super::Run;
use super::dpm_schedule::{Class, MULTISTEP, Path};
use super::dpm_weights::{Algorithm, Stride, Weights, heun};
use super::error::SchedulerError;
use super::history::History;
use super::options::Options;
use super::prediction::{Prediction, WITH_FLOW, prediction, refuse_thresholding};
use super::sampler::{Sampler, Step};
use super::schedule::Schedule;

/// diffusers' `DPMSolverMultistepScheduler`.
pub(super) struct DpmSolver {
    path: Path,
    algorithm: Algorithm,
    prediction: Prediction,
    order: usize,
    heun: bool,
    lower_order_final: bool,
    euler_at_final: bool,
    ends_at_zero: bool,
    /// Clean predictions of earlier steps.
    history: History,
}

impl DpmSolver {
    /// `karras` overrules the config's `use_karras_sigmas`; `algorithm` its own.
    pub(super) fn new(
        options: &Options<'_>,
        run: &Run,
        karras: Option<bool>,
        algorithm: Algorithm,
    ) -> Result<(Schedule, Self), SchedulerError> {
        refuse_thresholding(options)?;
        let path = Path::new(
            options,
            run,
            &Class {
                karras,
                ..MULTISTEP
            },
        )?;
        let order = options.count("solver_order", 2, 1..=3)?;
        let schedule = path.schedule();
        let sampler = Self {
            ends_at_zero: path.sigmas.last() == Some(&0.0),
            path,
            algorithm,
            prediction: prediction(options, WITH_FLOW)?,
            order,
            heun: heun(options)?,
            lower_order_final: options.flag("lower_order_final", true)?,
            euler_at_final: options.flag("euler_at_final", false)?,
            history: History::new(order - 1),
        };
        Ok((schedule, sampler))
    }

    /// The order of step `index`: as many as there is history for, fewer at the end of a short run.
    fn order_at(&self, index: usize) -> usize {
        let count = self.path.timesteps.len();
        let short = self.lower_order_final && count < 15;
        let order = self.order.min(self.history.len() + 1);
        if index + 1 == count && (self.euler_at_final || short || self.ends_at_zero) {
            1
        } else if index + 2 == count && short {
            order.min(2)
        } else {
            order
        }
    }
}

impl Sampler for DpmSolver {
    fn begin(&mut self) {
        self.history.clear();
    }

    fn draws(&self, _index: usize) -> bool {
        self.algorithm == Algorithm::Sde
    }

    fn step(&mut self, mut step: Step<'_>) {
        let level = self.path.level(step.index, self.prediction);
        step.predict_clean(level, self.prediction);
        let Step {
            index,
            sample,
            denoised,
            noise,
            ..
        } = step;
        let lambda = |index: usize| self.path.points[index].lambda;
        let order = self.order_at(index);
        let stride = Stride {
            from: self.path.points[index],
            to: self.path.points[index + 1],
            h: lambda(index + 1) - lambda(index),
            order,
            heun: self.heun,
        };
        let weights = Weights::new(self.algorithm, &stride);
        // The last step may have no length (Karras levels with final_sigmas_type sigma_min): stay.
        if stride.h > 0.0 {
            let r = |back: usize| (lambda(index + 1 - back) - lambda(index - back)) / stride.h;
            let (r0, r1) = (
                if order > 1 { r(1) } else { 1.0 },
                if order > 2 { r(2) } else { 1.0 },
            );
            let past = |back: usize, i: usize| self.history.get(back - 1)[i];
            for (i, x) in sample.iter_mut().enumerate() {
                let d0 = denoised[i];
                let (mut d1, mut d2) = (0.0, 0.0);
                if order > 1 {
                    let newer = (1.0 / r0) * (d0 - past(1, i));
                    d1 = newer;
                    if order > 2 {
                        let older = (1.0 / r1) * (past(1, i) - past(2, i));
                        d1 = newer + (r0 / (r0 + r1)) * (newer - older);
                        d2 = (1.0 / (r0 + r1)) * (newer - older);
                    }
                }
                *x = weights.mix(*x, [d0, d1, d2], noise[i]);
            }
        }
        self.history.push(denoised);
    }
}
