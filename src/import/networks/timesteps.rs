//! What step it is, as features: sines and cosines, then two layers (diffusers' `Timesteps` and `TimestepEmbedding`).

use super::super::error::ImportError;
use super::super::graph::{Graph, Value};

/// How numbers become features.
pub(super) struct Waves {
    /// Features of a number, an even count.
    pub(super) features: usize,
    /// Cosines before sines.
    pub(super) cosines_first: bool,
    /// How many fewer frequencies the longest period is counted by.
    pub(super) shift: f32,
}

const LONGEST_PERIOD: f32 = 10_000.0;

impl Waves {
    /// Of numbers `[…, 1]`; they become `[…, features]`. `rank` is how many axes they have.
    pub(super) fn of(&self, graph: &mut Graph<'_>, numbers: &Value, rank: usize) -> Value {
        let half = self.features / 2;
        // In f32 as torch does, but the exponential, which no library computes quite alike.
        let frequency = |number: usize| {
            let exponent = -LONGEST_PERIOD.ln() * number as f32 / (half as f32 - self.shift);
            f64::from(exponent).exp() as f32
        };
        let frequencies: Vec<f32> = (0..half).map(frequency).collect();
        let mut shape = vec![1; rank];
        shape[rank - 1] = half;
        let frequencies = graph.floats(&shape, &frequencies);
        let angles = graph.node("Mul", &[&numbers.name, &frequencies], &[], half);
        let sines = graph.node("Sin", &[&angles.name], &[], half);
        let cosines = graph.node("Cos", &[&angles.name], &[], half);
        if self.cosines_first {
            graph.concat(&[&cosines, &sines], -1)
        } else {
            graph.concat(&[&sines, &cosines], -1)
        }
    }
}

/// Two layers with SiLU between; `condition` is added to what the first one is given (LCM's embedded guidance).
pub(super) fn embedding(
    graph: &mut Graph<'_>,
    at: &str,
    waves: &Value,
    condition: Option<&Value>,
) -> Result<Value, ImportError> {
    let mut x = waves.clone();
    if let Some(condition) = condition {
        let projected = graph.linear(&format!("{at}.cond_proj"), condition)?;
        x = graph.add(&x, &projected);
    }
    let hidden = graph.linear_row(&format!("{at}.linear_1"), &x)?;
    let hidden = graph.silu(&hidden);
    graph.linear_row(&format!("{at}.linear_2"), &hidden)
}
