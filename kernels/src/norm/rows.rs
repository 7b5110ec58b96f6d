//! Normalization of rows by themselves: layer and RMS normalization.

use crate::elementwise::{CHUNK, worth};
use crate::threads::Threads;
use crate::vector::{Level, Vectorized, madd};

/// Layer normalization, or RMS normalization, of the rows of a matrix.
#[derive(Debug, Clone, Copy)]
pub struct RowNorm<'a> {
    /// Whether the mean is taken off, as layer normalization (arXiv 1607.06450) does; otherwise it is RMS normalization
    /// (arXiv 1910.07467).
    pub centered: bool,
    /// Is added to the variance, or to the mean of the squares.
    pub epsilon: f32,
    /// Numbers of a row, at least 1.
    pub width: usize,
    /// `[images, width]`: what the rows of each image are multiplied with.
    pub scale: &'a [f32],
    /// `[images, width]`: what is added then.
    pub shift: &'a [f32],
}

impl RowNorm<'_> {
    /// Normalizes each row `[width]` of `x`, which are as many for each image, then scales and shifts it.
    ///
    /// # Panics
    /// When the rows are empty or the lengths do not fit.
    pub fn run(&self, level: Level, threads: &Threads, x: &[f32], out: &mut [f32]) {
        let width = self.width;
        assert!(width > 0, "rows have elements");
        let (images, rows) = (self.scale.len() / width, x.len() / width);
        assert!(
            self.scale.len() == images * width && self.shift.len() == self.scale.len(),
            "one scale and shift each"
        );
        assert!(
            x.len() == out.len() && x.len() == rows * width && images > 0,
            "whole rows"
        );
        assert!(rows.is_multiple_of(images), "as many rows for each image");
        let rows_per_image = rows / images;
        let each = CHUNK.div_ceil(width);
        worth(threads, x.len()).chunks(out, each * width, |number, out| {
            level.run(Rows {
                norm: self,
                first: number * each,
                rows_per_image,
                x: &x[number * each * width..][..out.len()],
                out,
            });
        });
    }
}

/// Some rows; each stays in the nearest cache for its passes.
struct Rows<'a> {
    norm: &'a RowNorm<'a>,
    /// The number of the first row.
    first: usize,
    rows_per_image: usize,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Vectorized for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let RowNorm {
            centered,
            epsilon,
            width,
            scale,
            shift,
        } = *self.norm;
        let rows = self.x.chunks_exact(width);
        let rows = rows.zip(self.out.chunks_exact_mut(width));
        for ((x, out), row) in rows.zip(self.first..) {
            let (base, mean) = if centered {
                // The deviations are of a number of the row, which is near the mean: f32 is enough for them.
                let base = x[0];
                (base, sum(x, |x| x - base) / width as f32)
            } else {
                (0.0, 0.0)
            };
            let squares = sum(x, |x| (x - base - mean) * (x - base - mean));
            let gain = (squares / width as f32 + epsilon).sqrt().recip();
            let image = row / self.rows_per_image * width;
            let by = scale[image..][..width].iter().zip(&shift[image..][..width]);
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
