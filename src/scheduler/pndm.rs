//! PNDM (Liu, Ren, Lin and Zhao 2022, arXiv 2202.09778): Adams and Bashforth's linear multistep method on the
//! noise, with a transfer between levels (equation 11) that stays on the data's manifold. It starts with Runge
//! and Kutta's fourth-order method, or (`skip_prk_steps`) with one step that is evaluated twice.

use super::alphas::{Alphas, BetaDefaults};
use super::error::SchedulerError;
use super::history::History;
use super::levels::NO_SAMPLE;
use super::options::Options;
use super::prediction::{Level, Prediction, prediction};
use super::sampler::{Sampler, Step};
use super::schedule::Schedule;
use super::spacing::{Spacing, spacing, steps_offset};

/// How many steps start with Runge and Kutta.
const WARM_UP: usize = 3;
/// How many evaluations each of them takes.
const STAGES: usize = 4;

/// What one evaluation leads to.
#[derive(Debug, Clone, Copy)]
struct Move {
    stage: Stage,
    /// Where alpha bar is now, and where it goes.
    from: f32,
    to: f32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// A step of the multistep method.
    Multistep,
    /// The first step over again, with the mean of the noise at its two ends.
    Again,
    /// An evaluation of a Runge–Kutta step, 0 to 3.
    Rk(usize),
}

/// diffusers' `PNDMScheduler`.
pub(super) struct Pndm {
    moves: Vec<Move>,
    /// The level of each evaluation.
    alphas: Vec<f32>,
    prediction: Prediction,
    /// Outputs at the beginnings of steps.
    history: History,
    /// The sample that the step began with.
    first: Vec<f32>,
    /// The weighted outputs of this Runge–Kutta step.
    sum: Vec<f32>,
}

impl Pndm {
    pub(super) fn new(
        options: &Options<'_>,
        steps: usize,
    ) -> Result<(Schedule, Self), SchedulerError> {
        let training = Alphas::new(options, &BetaDefaults::NO_RESCALE)?.with_terminal_signal()?;
        let train = training.len();
        let offset = steps_offset(options, train)?;
        let indices = spacing(options, Spacing::Leading)?.indices(train, steps, offset)?;
        let end = if options.flag("set_alpha_to_one", false)? {
            1.0
        } else {
            training.cumprod[0]
        };
        // diffusers goes a fixed distance down, whatever the next visited timestep is.
        let distance = train / steps;
        let alpha = |index: usize| training.cumprod[index.min(train - 1)];
        let below = |index: usize, by: usize| index.checked_sub(by).map_or(end, alpha);

        let (mut visited, mut moves, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        // Runge–Kutta steps need a fourth to follow them.
        let warm_up = !options.flag("skip_prk_steps", false)? && indices.len() > WARM_UP;
        for (step, &index) in indices.iter().enumerate() {
            starts.push(visited.len());
            if warm_up && step < WARM_UP {
                let (next, half) = (indices[step + 1], distance / 2);
                let stages = [index, next + half, next + half, next];
                for (stage, &at) in stages.iter().enumerate() {
                    visited.push(at);
                    moves.push(Move {
                        stage: Stage::Rk(stage),
                        from: alpha(index),
                        to: below(at, if stage % 2 == 0 { half } else { 0 }),
                    });
                }
                continue;
            }
            visited.push(index);
            moves.push(Move {
                stage: Stage::Multistep,
                from: alpha(index),
                to: below(index, distance),
            });
            if step == 0
                && let Some(&next) = indices.get(1)
            {
                visited.push(next);
                moves.push(Move {
                    stage: Stage::Again,
                    from: alpha(next + distance),
                    to: alpha(next),
                });
            }
        }
        let alphas: Vec<f32> = visited.iter().map(|index| alpha(*index)).collect();
        let timesteps = visited.iter().map(|index| *index as f32).collect();
        let mut schedule = Schedule::preserving(timesteps, &alphas);
        schedule.starts = starts;
        let sampler = Self {
            moves,
            alphas,
            prediction: prediction(options, NO_SAMPLE)?,
            history: History::new(4),
            first: Vec::new(),
            sum: Vec::new(),
        };
        Ok((schedule, sampler))
    }

    /// Adams and Bashforth's mix of the newest outputs.
    fn multistep(&self, i: usize) -> f32 {
        let past = |back: usize| self.history.get(back)[i];
        match self.history.len() {
            1 => past(0),
            2 => (3.0 * past(0) - past(1)) / 2.0,
            3 => (23.0 * past(0) - 16.0 * past(1) + 5.0 * past(2)) / 12.0,
            _ => {
                let sum = 55.0 * past(0) - 59.0 * past(1) + 37.0 * past(2) - 9.0 * past(3);
                (1.0 / 24.0) * sum
            }
        }
    }
}

impl Move {
    /// Equation 11: where the noise takes a sample.
    fn transfer(self, prediction: Prediction, sample: f32, output: f32) -> f32 {
        let (from, to) = (self.from, self.to);
        let epsilon = Level::new(from).epsilon(prediction, sample, output);
        let keep = (to / from).sqrt();
        let divisor = from * (1.0 - to).sqrt() + (from * (1.0 - from) * to).sqrt();
        keep * sample - (to - from) * epsilon / divisor
    }
}

impl Sampler for Pndm {
    fn begin(&mut self) {
        self.history.clear();
    }

    fn step(&mut self, mut step: Step<'_>) {
        step.predict_clean(Level::new(self.alphas[step.index]), self.prediction);
        let Step {
            index,
            output,
            sample,
            ..
        } = step;
        let now = self.moves[index];
        if matches!(now.stage, Stage::Multistep | Stage::Rk(0)) {
            self.history.push(output);
            self.first.clear();
            self.first.extend_from_slice(sample);
            self.sum.clear();
            self.sum.resize(sample.len(), 0.0);
        }
        for (i, x) in sample.iter_mut().enumerate() {
            let output = output[i];
            let mixed = match now.stage {
                Stage::Multistep => self.multistep(i),
                Stage::Again => (output + self.history.get(0)[i]) / 2.0,
                Stage::Rk(stage) => {
                    self.sum[i] += [1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0][stage] * output;
                    if stage + 1 == STAGES {
                        self.sum[i]
                    } else {
                        output
                    }
                }
            };
            *x = now.transfer(self.prediction, self.first[i], mixed);
        }
    }
}
