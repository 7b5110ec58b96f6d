//! UniPC (Zhao et al. 2023, arXiv 2302.04867, algorithms 5 to 8): a multistep predictor, and a corrector that
//! goes over the last step again once its end has been evaluated.

use super::Run;
use super::dpm_schedule::{Path, UNIPC};
use super::error::SchedulerError;
use super::history::History;
use super::options::{Options, bad, unsupported};
use super::prediction::{Prediction, USUAL, WITH_FLOW, prediction, refuse_thresholding};
use super::sampler::{Sampler, Step};
use super::schedule::Schedule;

/// `solver_type`: the paper's B(h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bh {
    /// h itself.
    One,
    /// eʰ − 1.
    Two,
}

/// diffusers' `UniPCMultistepScheduler`.
pub(super) struct UniPc {
    path: Path,
    prediction: Prediction,
    order: usize,
    bh: Bh,
    /// The solver integrates clean predictions; without it, predictions of noise.
    predict_x0: bool,
    lower_order_final: bool,
    /// Steps that the corrector leaves as they are.
    uncorrected: Vec<f64>,
    /// What was predicted at earlier levels.
    history: History,
    /// The sample before the last step, and that step's order.
    last: Vec<f32>,
    last_order: usize,
    /// The prediction of the present step.
    predicted: Vec<f32>,
}

/// What a step from one level to another weighs.
struct Weights {
    sample: f32,
    /// Of the newest prediction.
    base: f32,
    /// Of the differences to older ones and, in the corrector, to the one at the end, together.
    differences: f32,
    /// Of each difference to an older one; it counts divided by the last.
    older: Vec<(f32, f32)>,
    /// Of the difference to the one at the end.
    end: f32,
}

impl UniPc {
    pub(super) fn new(
        options: &Options<'_>,
        run: &Run,
    ) -> Result<(Schedule, Self), SchedulerError> {
        refuse_thresholding(options)?;
        if options.is_given("solver_p") {
            return Err(unsupported(
                "solver_p",
                "a scheduler",
                "the predictor is UniPC's own",
            ));
        }
        let predict_x0 = options.flag("predict_x0", true)?;
        let path = Path::new(options, run, &UNIPC)?;
        if !predict_x0 && path.ends_at_zero() {
            return Err(unsupported(
                "predict_x0",
                "false",
                "noise has no end at level 0; use final_sigmas_type sigma_min",
            ));
        }
        let order = options.count("solver_order", 2, 1..=3)?;
        let uncorrected = options.numbers("disable_corrector")?.unwrap_or_default();
        if let Some(step) = uncorrected.iter().find(|step| step.fract() != 0.0) {
            return Err(bad("disable_corrector", step, "a list of step numbers"));
        }
        let schedule = path.schedule();
        let sampler = Self {
            path,
            prediction: prediction(options, if predict_x0 { WITH_FLOW } else { USUAL })?,
            order,
            bh: options.choice(
                "solver_type",
                Bh::Two,
                &[
                    ("bh1", Bh::One),
                    ("bh2", Bh::Two),
                    // Other classes' names, which diffusers reads as bh2.
                    ("midpoint", Bh::Two),
                    ("heun", Bh::Two),
                    ("logrho", Bh::Two),
                ],
            )?,
            predict_x0,
            lower_order_final: options.flag("lower_order_final", true)?,
            uncorrected,
            history: History::new(order),
            last: Vec::new(),
            last_order: 0,
            predicted: Vec::new(),
        };
        Ok((schedule, sampler))
    }

    /// The order of the step at `index`: as many as there is history for, fewer towards the end.
    fn order_at(&self, index: usize) -> usize {
        let left = self.path.timesteps.len() - index;
        let most = if self.lower_order_final {
            self.order.min(left)
        } else {
            self.order
        };
        // A step of infinite length, to level 0, has no differences.
        if self.path.points[index + 1].lambda.is_infinite() {
            1
        } else {
            most.min(self.history.len())
        }
    }

    /// The weights of the step from `index` to the next level, whose end the corrector knows.
    fn weights(&self, index: usize, order: usize, corrector: bool) -> Weights {
        let [from, to] = [index, index + 1].map(|at| self.path.points[at]);
        let h = to.lambda - from.lambda;
        let hh = if self.predict_x0 { -h } else { h };
        let grown = libm::expm1(f64::from(hh)) as f32;
        let b_h = match self.bh {
            Bh::One => hh,
            Bh::Two => grown,
        };
        // Where the other predictions are, the step's length being 1.
        let mut nodes: Vec<f32> = (1..order)
            .map(|back| (self.path.points[index - back].lambda - from.lambda) / h)
            .collect();
        nodes.push(1.0);

        // The right sides: what the exact solution makes of each power of time.
        let mut right = Vec::with_capacity(order);
        let (mut phi, mut factorial) = (grown / hh - 1.0, 1.0_f32);
        for power in 1..=order {
            right.push(phi * factorial / b_h);
            factorial *= (power + 1) as f32;
            phi = phi / hh - 1.0 / factorial;
        }
        let rhos = match (corrector, order) {
            (false, 1) => Vec::new(),
            (false, 2) | (true, 1) => vec![0.5],
            (false, _) => solve(&nodes[..order - 1], &right[..order - 1]),
            (true, _) => solve(&nodes, &right),
        };
        let end = if corrector { rhos[order - 1] } else { 0.0 };
        let (sample, target) = if self.predict_x0 {
            (to.sigma / from.sigma, to.alpha)
        } else {
            (to.alpha / from.alpha, to.sigma)
        };
        Weights {
            sample,
            base: target * grown,
            differences: if corrector || order > 1 {
                target * b_h
            } else {
                0.0
            },
            older: rhos.into_iter().zip(nodes).take(order - 1).collect(),
            end,
        }
    }

    /// A step over `index` from `sample`, in place; `end` is the prediction at its end.
    fn go(&self, weights: &Weights, end: Option<&[f32]>, sample: &mut [f32]) {
        for (i, x) in sample.iter_mut().enumerate() {
            let newest = self.history.get(0)[i];
            let next = weights.sample * *x - weights.base * newest;
            let older = weights.older.iter().enumerate();
            let mut sum: f32 = older
                .map(|(back, (rho, node))| rho * ((self.history.get(back + 1)[i] - newest) / node))
                .sum();
            if let Some(end) = end {
                sum += weights.end * (end[i] - newest);
            }
            *x = next - weights.differences * sum;
        }
    }

    /// Whether the corrector goes over the step that led to `index`.
    fn corrects(&self, index: usize) -> bool {
        self.history.len() > 0
            && !self
                .uncorrected
                .iter()
                .any(|step| *step == (index - 1) as f64)
    }
}

/// The weights of values at `nodes` that give `right` for each power of time, from 0 up: Vandermonde's
/// system, by elimination with pivots in `f32`, as PyTorch solves it.
fn solve(nodes: &[f32], right: &[f32]) -> Vec<f32> {
    let count = nodes.len();
    let mut rows: Vec<Vec<f32>> = (0..count)
        .map(|power| {
            let powers = nodes.iter().map(|node| node.powi(power as i32));
            powers.chain([right[power]]).collect()
        })
        .collect();
    for at in 0..count {
        let pivot = (at..count)
            .max_by(|a, b| rows[*a][at].abs().total_cmp(&rows[*b][at].abs()))
            .unwrap_or(at);
        rows.swap(at, pivot);
        let (above, below) = rows.split_at_mut(at + 1);
        let pivot = &above[at];
        for row in below {
            let factor = row[at] / pivot[at];
            for (value, from) in row.iter_mut().zip(pivot).skip(at) {
                *value -= factor * from;
            }
        }
    }
    let mut solution = vec![0.0; count];
    for at in (0..count).rev() {
        let known: f32 = (at + 1..count)
            .map(|other| rows[at][other] * solution[other])
            .sum();
        solution[at] = (rows[at][count] - known) / rows[at][at];
    }
    solution
}

impl Sampler for UniPc {
    fn begin(&mut self) {
        self.history.clear();
    }

    fn step(&mut self, mut step: Step<'_>) {
        let level = self.path.level(step.index, self.prediction);
        step.predict_clean(level, self.prediction);
        let Step {
            index,
            output,
            sample,
            denoised,
            ..
        } = step;
        self.predicted.clear();
        if self.predict_x0 {
            self.predicted.extend_from_slice(denoised);
        } else {
            let pairs = sample.iter().zip(output);
            let noise = pairs.map(|(x, output)| level.epsilon(self.prediction, *x, *output));
            self.predicted.extend(noise);
        }
        if self.corrects(index) {
            let weights = self.weights(index - 1, self.last_order, true);
            sample.copy_from_slice(&self.last);
            self.go(&weights, Some(&self.predicted), sample);
        }
        self.history.push(&self.predicted);
        self.last.clear();
        self.last.extend_from_slice(sample);
        self.last_order = self.order_at(index);
        // The last step may have no length (a curve with final_sigmas_type sigma_min): stay.
        if self.path.points[index + 1].lambda > self.path.points[index].lambda {
            let weights = self.weights(index, self.last_order, false);
            self.go(&weights, None, sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_solve_the_system() {
        let (nodes, right) = ([-1.5, -0.25, 1.0], [0.5, 0.3, 0.2]);
        let weights = solve(&nodes, &right);
        for (power, expected) in right.iter().enumerate() {
            let found: f32 = nodes
                .iter()
                .zip(&weights)
                .map(|(node, weight)| node.powi(power as i32) * weight)
                .sum();
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
