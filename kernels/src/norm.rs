//! Group and layer normalization.
//!
//! Both are exact about means far from 0: deviations are summed from a number near the mean, never squares from 0, and the
//! mean is taken off before anything is scaled.

mod group;
mod moments;
#[cfg(test)]
mod tests;

pub use group::{GroupNorm, moments};
pub use moments::Moments;

use crate::elementwise::{CHUNK, worth};
use crate::threads::Threads;
use crate::vector::{Level, Vectorized, madd};

/// Normalizes each row `[width]` of `x` to mean 0 and variance 1, then scales and shifts it; `scale` and `shift` are
/// `[width]`.
///
/// # Panics
/// When the rows are empty or the lengths do not fit.
pub fn layer_norm(
    level: Level,
    threads: &Threads,
    epsilon: f32,
    scale: &[f32],
    shift: &[f32],
    x: &[f32],
    out: &mut [f32],
) {
    let width = scale.len();
    assert!(
        width > 0 && shift.len() == width,
        "one scale and shift each"
    );
    assert!(
        x.len() == out.len() && x.len().is_multiple_of(width),
        "whole rows"
    );
    let size = CHUNK.div_ceil(width) * width;
    worth(threads, x.len()).chunks(out, size, |number, out| {
        let x = &x[number * size..][..out.len()];
        level.run(LayerNorm {
            epsilon,
            scale,
            shift,
            x,
            out,
        });
    });
}

/// Some rows; each stays in the nearest cache for its three passes.
struct LayerNorm<'a> {
    epsilon: f32,
    scale: &'a [f32],
    shift: &'a [f32],
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Vectorized for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let width = self.scale.len();
        let rows = self.x.chunks_exact(width);
        for (x, out) in rows.zip(self.out.chunks_exact_mut(width)) {
            // The deviations are of a number of the row, which is near the mean: f32 is enough for them.
            let base = x[0];
            let mean = sum(x, |x| x - base) / width as f32;
            let squares = sum(x, |x| (x - base - mean) * (x - base - mean));
            let gain = (squares / width as f32 + self.epsilon).sqrt().recip();
            let by = self.scale.iter().zip(self.shift);
            for ((out, x), (scale, &shift)) in out.iter_mut().zip(x).zip(by) {
                *out = madd::<FMA>((x - base - mean) * gain, *scale, shift);
            }
        }
    }
}

/// Σ of(x), in an order that is the same at each level.
#[inline(always)]
fn sum(x: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    const LANES: usize = 32;
    let mut sums = [0.0; LANES];
    let (blocks, rest) = x.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            sums[lane] += of(block[lane]);
        }
    }
    for (sum, &x) in sums.iter_mut().zip(rest) {
        *sum += of(x);
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
        half /= 2;
    }
    sums[0]
}
