//! Group normalization of images, channels last.

use crate::elementwise::{Activation, CHUNK, worth};
use crate::quantize::{Extremes, union};
use crate::threads::Threads;
use crate::vector::{Level, Vectorized, madd};

/// Normalization of the channels in groups, each to mean 0 and variance 1 over an image, then scaled and shifted by
/// channel; images are channels last.
#[derive(Debug, Clone, Copy)]
pub struct GroupNorm<'a> {
    /// Channels are cut into so many equal groups.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f32,
    /// `[channels]`
    pub scale: &'a [f32],
    /// `[channels]`
    pub shift: &'a [f32],
    /// Whether [SiLU](Activation::Silu) comes after.
    pub silu: bool,
}

impl GroupNorm<'_> {
    /// Normalizes `x` of `shape` = `[images, pixels, channels]`: one pass over it for the sums, a second to apply them.
    ///
    /// # Panics
    /// When the lengths do not fit the shape, or the groups the channels.
    pub fn run(
        &self,
        level: Level,
        threads: &Threads,
        x: &[f32],
        shape: [usize; 3],
        out: &mut [f32],
    ) {
        self.apply(level, threads, x, shape, out, false);
    }

    /// [`run`](Self::run) that also finds the [range](crate::quantize::ranges) of each image of `out` as it is written, for
    /// [`Quantized::with_ranges`](crate::quantize::Quantized::with_ranges).
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_with_ranges(
        &self,
        level: Level,
        threads: &Threads,
        x: &[f32],
        shape: [usize; 3],
        out: &mut [f32],
    ) -> Vec<[f32; 2]> {
        self.apply(level, threads, x, shape, out, true)
    }

    fn apply(
        &self,
        level: Level,
        threads: &Threads,
        x: &[f32],
        shape: [usize; 3],
        out: &mut [f32],
        ranged: bool,
    ) -> Vec<[f32; 2]> {
        let [images, pixels, channels] = shape;
        assert!(
            x.len() == images * pixels * channels && out.len() == x.len(),
            "lengths fit the shape"
        );
        assert!(
            self.scale.len() == channels && self.shift.len() == channels,
            "one scale and shift a channel"
        );
        assert!(
            self.groups > 0 && channels.is_multiple_of(self.groups),
            "groups of equal size"
        );
        let mut ranges = vec![[0.0; 2]; images];
        if x.is_empty() {
            return ranges;
        }
        let threads = worth(threads, x.len());
        let affines = self.affines(level, threads, x, pixels * channels);
        let size = CHUNK.div_ceil(channels) * channels;
        let mut tasks: Vec<_> = x
            .chunks(pixels * channels)
            .zip(out.chunks_mut(pixels * channels))
            .enumerate()
            .flat_map(|(image, (x, out))| {
                let parts = x.chunks(size).zip(out.chunks_mut(size));
                parts.map(move |(x, out)| (image, x, out, [0.0; 2]))
            })
            .collect();
        threads.chunks(&mut tasks, 1, |_, task| {
            for (image, x, out, range) in task {
                *range = level.run(Apply {
                    affine: &affines[*image],
                    silu: self.silu,
                    ranged,
                    x,
                    out,
                });
            }
        });
        for (image, _, _, range) in tasks {
            ranges[image] = union(ranges[image], range);
        }
        ranges
    }

    /// What to do with each channel of each image of `size` numbers.
    fn affines(&self, level: Level, threads: &Threads, x: &[f32], size: usize) -> Vec<Affine> {
        /// Fewer cost more to add up than to read, more would lose digits in f32.
        const ROWS: [usize; 2] = [32, 512];
        let channels = self.scale.len();
        let chunk = (2 * CHUNK / channels).clamp(ROWS[0], ROWS[1]) * channels;
        let chunks: Vec<_> = x
            .chunks(size)
            .flat_map(|image| image.chunks(chunk))
            .collect();
        let mut moments = vec![Moments::default(); chunks.len() * self.groups];
        threads.chunks(&mut moments, self.groups, |number, moments| {
            level.run(Gather {
                x: chunks[number],
                channels,
                moments,
            });
        });
        moments
            .chunks(size.div_ceil(chunk) * self.groups)
            .map(|image| self.affine(image))
            .collect()
    }

    /// From an image's moments `[chunks, groups]`.
    fn affine(&self, moments: &[Moments]) -> Affine {
        let channels = self.scale.len();
        let mut affine = Affine {
            center: vec![0.0; channels],
            gain: vec![0.0; channels],
            shift: vec![0.0; channels],
        };
        for group in 0..self.groups {
            let chunks = moments.iter().skip(group).step_by(self.groups);
            let Moments {
                mean,
                squares,
                count,
            } = chunks.fold(Moments::default(), |sum, chunk| sum.and(*chunk));
            let deviation = (squares / count + f64::from(self.epsilon)).sqrt();
            let center = mean as f32;
            let size = channels / self.groups;
            for channel in group * size..(group + 1) * size {
                let gain = f64::from(self.scale[channel]) / deviation;
                affine.center[channel] = center;
                affine.gain[channel] = gain as f32;
                affine.shift[channel] =
                    (f64::from(self.shift[channel]) - (mean - f64::from(center)) * gain) as f32;
            }
        }
        affine
    }
}

/// How many numbers, their mean, and the sum of their squared deviations from it.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Of so many numbers, from the sums of their deviations from `base` and of the squares of those.
    #[inline(always)]
    fn of(count: usize, base: f32, sum: f64, squares: f64) -> Self {
        let count = count as f64;
        Self {
            count,
            mean: f64::from(base) + sum / count,
            // A NaN must stay one: not `max`.
            squares: (squares - sum * sum / count).clamp(0.0, f64::INFINITY),
        }
    }

    /// Of these numbers and the others together (Chan, Golub and LeVeque 1979).
    fn and(self, other: Self) -> Self {
        let count = self.count + other.count;
        let apart = other.mean - self.mean;
        let part = other.count / count;
        Self {
            count,
            mean: self.mean + apart * part,
            squares: self.squares + other.squares + apart * apart * self.count * part,
        }
    }
}

/// For each channel: `(x − center) · gain + shift`.
#[derive(Debug)]
struct Affine {
    center: Vec<f32>,
    gain: Vec<f32>,
    shift: Vec<f32>,
}

/// Channels at a time, so that what is kept for each stays in the nearest cache.
const TILE: usize = 4096;

/// The first pass, over some rows of an image.
struct Gather<'a> {
    /// `[rows, channels]`
    x: &'a [f32],
    channels: usize,
    /// `[groups]`, to be written.
    moments: &'a mut [Moments],
}

impl Vectorized for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let channels = self.channels;
        let size = channels / self.moments.len();
        // Each group's deviations are from the mean of its first row: a number near its own mean.
        let mut base = vec![0.0; channels];
        for (base, first) in base.chunks_mut(size).zip(self.x.chunks(size)) {
            base.fill((total(first) / size as f64) as f32);
        }
        let (mut sums, mut squares) = (vec![0.0; channels], vec![0.0; channels]);
        for start in (0..channels).step_by(TILE) {
            let tile = start..channels.min(start + TILE);
            let columns = Columns {
                x: self.x,
                channels,
                start,
                base: &base[tile.clone()],
            };
            columns.add::<FMA>(&mut sums[tile.clone()], &mut squares[tile]);
        }
        let count = self.x.len() / channels * size;
        let groups = sums.chunks(size).zip(squares.chunks(size));
        let groups = groups.zip(base.iter().step_by(size));
        for (moments, ((sums, squares), &base)) in self.moments.iter_mut().zip(groups) {
            *moments = Moments::of(count, base, total(sums), total(squares));
        }
    }
}

/// Some channels of rows.
struct Columns<'a> {
    /// `[rows, channels]`
    x: &'a [f32],
    channels: usize,
    /// The first of the channels.
    start: usize,
    /// One for each of them.
    base: &'a [f32],
}

impl Columns<'_> {
    /// Adds each channel's deviations from its base, and their squares.
    #[inline(always)]
    fn add<const FMA: bool>(&self, sums: &mut [f32], squares: &mut [f32]) {
        let (base, width) = (self.base, self.base.len());
        let (sums, squares) = (&mut sums[..width], &mut squares[..width]);
        // Four rows for each time that the sums are loaded and stored.
        let mut quads = self.x.chunks_exact(4 * self.channels);
        for quad in &mut quads {
            let [a, b, c, d] =
                [0, 1, 2, 3].map(|row| &quad[row * self.channels + self.start..][..width]);
            for i in 0..width {
                let (a, b) = (a[i] - base[i], b[i] - base[i]);
                let (c, d) = (c[i] - base[i], d[i] - base[i]);
                sums[i] += (a + b) + (c + d);
                squares[i] += madd::<FMA>(a, a, b * b) + madd::<FMA>(c, c, d * d);
            }
        }
        for row in quads.remainder().chunks_exact(self.channels) {
            let row = &row[self.start..][..width];
            for i in 0..width {
                let a = row[i] - base[i];
                sums[i] += a;
                squares[i] = madd::<FMA>(a, a, squares[i]);
            }
        }
    }
}

/// Σ x, in an order that is the same at each level.
#[inline(always)]
fn total(x: &[f32]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (blocks, rest) = x.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            sums[lane] += f64::from(block[lane]);
        }
    }
    for (sum, &x) in sums.iter_mut().zip(rest) {
        *sum += f64::from(x);
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

/// The second pass, over some rows of an image; gives the range of what it writes when it is to.
struct Apply<'a> {
    affine: &'a Affine,
    silu: bool,
    ranged: bool,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Vectorized for Apply<'_> {
    type Output = [f32; 2];

    #[inline(always)]
    fn run<const FMA: bool>(self) -> [f32; 2] {
        let Affine {
            center,
            gain,
            shift,
        } = self.affine;
        let channels = center.len();
        let mut extremes = Extremes::new();
        for start in (0..channels).step_by(TILE) {
            let tile = start..channels.min(start + TILE);
            let by = [
                &center[tile.clone()],
                &gain[tile.clone()],
                &shift[tile.clone()],
            ];
            let rows = self.x.chunks_exact(channels);
            for (x, out) in rows.zip(self.out.chunks_exact_mut(channels)) {
                let (x, out) = (&x[tile.clone()], &mut out[tile.clone()]);
                if self.silu {
                    normalize::<FMA, true>(x, by, out);
                } else {
                    normalize::<FMA, false>(x, by, out);
                }
                if self.ranged {
                    extremes.include::<FMA>(out);
                }
            }
        }
        extremes.range()
    }
}

#[inline(always)]
fn normalize<const FMA: bool, const SILU: bool>(x: &[f32], by: [&[f32]; 3], out: &mut [f32]) {
    let [center, gain, shift] = by;
    let by = center.iter().zip(gain).zip(shift);
    for ((out, x), ((center, &gain), &shift)) in out.iter_mut().zip(x).zip(by) {
        let y = madd::<FMA>(x - center, gain, shift);
        *out = if SILU {
            Activation::Silu.apply::<FMA>(y)
        } else {
            y
        };
    }
}
