//! Singlestep DPM-Solver++ (Lu et al. 2022, arXiv 2211.01095, algorithm 1), as an ODE or an SDE: steps in groups
//! of one to three, each group over again from its first sample with what the group has learned.

use super::Run;
use super::dpm_schedule::{Path, SINGLESTEP};
use super::dpm_weights::{Algorithm, Stride, Weights, heun};
use super::error::SchedulerError;
use super::history::History;
use super::options::Options;
use super::prediction::{Prediction, WITH_FLOW, prediction, refuse_thresholding};
use super::sampler::{Sampler, Step};
use super::schedule::Schedule;

/// diffusers' `DPMSolverSinglestepScheduler`.
pub(super) struct Singlestep {
    path: Path,
    algorithm: Algorithm,
    prediction: Prediction,
    heun: bool,
    /// The order of each step: its place in its group.
    orders: Vec<usize>,
    /// Clean predictions, the present one among them.
    history: History,
    /// The sample that the group began with.
    first: Vec<f32>,
}

impl Singlestep {
    pub(super) fn new(
        options: &Options<'_>,
        run: &Run,
        algorithm: Algorithm,
    ) -> Result<(Schedule, Self), SchedulerError> {
        refuse_thresholding(options)?;
        let path = Path::new(options, run, &SINGLESTEP)?;
        let order = options.count("solver_order", 2, 1..=3)?;
        let lower_order_final = options.flag("lower_order_final", false)?;
        let zero = path.ends_at_zero();
        let schedule = path.schedule();
        let count = schedule.timesteps.len();
        let sampler = Self {
            path,
            algorithm,
            prediction: prediction(options, WITH_FLOW)?,
            heun: heun(options)?,
            // diffusers turns it on where steps do not fill groups, or end in none.
            orders: orders(
                count,
                order,
                lower_order_final || count % order != 0 || zero,
                zero,
            ),
            history: History::new(order),
            first: Vec::new(),
        };
        Ok((schedule, sampler))
    }
}

/// The orders of `count` steps in groups of `order`: 1, 2 … The last step has order 1 if it ends at level
/// `zero`, or with `lower` if it fills its group.
fn orders(count: usize, order: usize, lower: bool, zero: bool) -> Vec<usize> {
    let mut orders: Vec<usize> = (0..count).map(|step| step % order + 1).collect();
    if let Some(last) = orders.last_mut()
        && (zero || (lower && *last == order))
    {
        *last = 1;
    }
    orders
}

impl Sampler for Singlestep {
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
        self.history.push(denoised);
        // A run that begins in the middle may begin in the middle of a group.
        let order = self.orders[index].min(self.history.len());
        if order == 1 {
            self.first.clear();
            self.first.extend_from_slice(sample);
        }
        let begin = self.path.points[index + 1 - order];
        let to = self.path.points[index + 1];
        let h = to.lambda - begin.lambda;
        let stride = |order, heun| Stride {
            from: begin,
            to,
            h,
            order,
            heun,
        };
        let stride = match (order, self.heun) {
            // The midpoint's third order is the second order's other formula, with another difference.
            (3, false) => stride(2, true),
            (order, heun) => stride(order, heun),
        };
        let weights = Weights::new(self.algorithm, &stride);
        // Where in the group's length its later evaluations are.
        let place = |at: usize| (self.path.points[at].lambda - begin.lambda) / h;
        for (i, x) in sample.iter_mut().enumerate() {
            let past = |back: usize| self.history.get(back)[i];
            let d0 = past(order - 1);
            let slope = |back: usize| 1.0 / place(index - back) * (past(back) - d0);
            let (d1, d2) = match (order, self.heun) {
                (1, _) => (0.0, 0.0),
                (2, _) | (3, false) => (slope(0), 0.0),
                _ => {
                    let (r0, r1) = (place(index), place(index - 1));
                    let (late, early) = (slope(0), slope(1));
                    (
                        (r0 * early - r1 * late) / (r0 - r1),
                        2.0 * (late - early) / (r0 - r1),
                    )
                }
            };
            *x = weights.mix(self.first[i], [d0, d1, d2], noise[i]);
        }
    }
}
