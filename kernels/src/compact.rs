//! Images kept in 16 bits: the largest number of each pixel is the scale of its others.
//!
//! A number comes back to within 1/65000 of the largest of its pixel. Half precision would round by 1/2000 of the number, and a
//! decoder's activations can exceed its range.

use crate::elementwise::ROUND;
use crate::vector::{Level, Vectorized};

/// What the largest number of a pixel becomes.
const LARGEST: f32 = 32767.0;

/// Compacts pixels `[pixels, channels]`. A pixel with a number that is not finite comes back as NaN.
///
/// # Panics
/// When the lengths do not fit.
pub fn compact(level: Level, channels: usize, x: &[f32], numbers: &mut [i16], scales: &mut [f32]) {
    assert!(
        x.len() == numbers.len() && x.len() == scales.len() * channels,
        "a number for each, a scale a pixel"
    );
    level.run(Compact {
        channels,
        x,
        numbers,
        scales,
    });
}

/// Gives compacted pixels back.
///
/// # Panics
/// When the lengths do not fit.
pub fn expand(level: Level, channels: usize, numbers: &[i16], scales: &[f32], out: &mut [f32]) {
    assert!(
        out.len() == numbers.len() && out.len() == scales.len() * channels,
        "a number for each, a scale a pixel"
    );
    level.run(Expand {
        channels,
        numbers,
        scales,
        out,
    });
}

struct Compact<'a> {
    channels: usize,
    x: &'a [f32],
    numbers: &'a mut [i16],
    scales: &'a mut [f32],
}

impl Vectorized for Compact<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let pixels = self.x.chunks_exact(self.channels);
        let numbers = self.numbers.chunks_exact_mut(self.channels);
        for ((x, numbers), scale) in pixels.zip(numbers).zip(self.scales) {
            let largest = largest(x);
            // Next to nothing becomes 0.
            let by = Some(LARGEST / largest).filter(|by| by.is_finite());
            let by = by.unwrap_or(0.0);
            for (number, x) in numbers.iter_mut().zip(x) {
                *number = (x * by + ROUND).to_bits() as i16;
            }
            *scale = if largest.is_finite() {
                largest / LARGEST
            } else {
                f32::NAN
            };
        }
    }
}

/// The largest magnitude; not finite if one of them is not.
#[inline(always)]
fn largest(x: &[f32]) -> f32 {
    const LANES: usize = 16;
    /// All but the sign: as integers, magnitudes are in order, and what is not finite comes last.
    const MAGNITUDE: u32 = u32::MAX >> 1;
    let mut most = [0; LANES];
    let (blocks, rest) = x.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            most[lane] = most[lane].max(block[lane].to_bits() & MAGNITUDE);
        }
    }
    for (most, x) in most.iter_mut().zip(rest) {
        *most = (*most).max(x.to_bits() & MAGNITUDE);
    }
    f32::from_bits(most.into_iter().max().unwrap_or(0))
}

struct Expand<'a> {
    channels: usize,
    numbers: &'a [i16],
    scales: &'a [f32],
    out: &'a mut [f32],
}

impl Vectorized for Expand<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let pixels = self.numbers.chunks_exact(self.channels);
        let out = self.out.chunks_exact_mut(self.channels);
        for ((numbers, out), scale) in pixels.zip(out).zip(self.scales) {
            for (out, number) in out.iter_mut().zip(numbers) {
                *out = f32::from(*number) * scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elementwise::tests::{levels, noise};

    #[test]
    fn numbers_come_back_to_within_a_part_of_the_largest_of_their_pixel() {
        for level in levels() {
            for channels in [1, 3, 16, 67, 128] {
                let mut x = noise(9 * channels, 3);
                // Pixels of all sizes: one of zeros, one that half precision could not hold.
                for (pixel, x) in x.chunks_mut(channels).enumerate() {
                    let size = [0.0, 1e-30, 1e-3, 1.0, 7.0, 300.0, 1e6, 1e30, 1.0][pixel];
                    x.iter_mut().for_each(|x| *x *= size);
                }
                let (mut numbers, mut scales) = (vec![0; x.len()], vec![0.0; 9]);
                compact(level, channels, &x, &mut numbers, &mut scales);
                let mut out = vec![f32::NAN; x.len()];
                expand(level, channels, &numbers, &scales, &mut out);
                for (x, out) in x.chunks(channels).zip(out.chunks(channels)) {
                    let most = x.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                    for (x, out) in x.iter().zip(out) {
                        assert!((x - out).abs() <= most / 65000.0, "{x} became {out}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_finite_does_not_become_a_number() {
        for level in levels() {
            for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let x = [1.0, wrong, 2.0, 3.0];
                let (mut numbers, mut scales) = ([0; 4], [0.0; 2]);
                compact(level, 2, &x, &mut numbers, &mut scales);
                let mut out = [0.0; 4];
                expand(level, 2, &numbers, &scales, &mut out);
                assert!(out[0].is_nan() && out[1].is_nan(), "{out:?}");
                assert!((out[2] - 2.0).abs() < 1e-3 && (out[3] - 3.0).abs() < 1e-3);
            }
        }
    }
}
