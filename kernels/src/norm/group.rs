//! Group normalization of images, channels last.

use super::moments::{Gather, Moments};
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
    /// Of each group of each image, `[images, groups]`, where `x` is a part of the images; otherwise those of `x`.
    pub moments: Option<&'a [Moments]>,
}

impl GroupNorm<'_> {
    /// Normalizes `x` of `shape` = `[images, pixels, channels]`: one pass over it for the sums, a second to apply them.
    ///
    /// # Panics
    /// When the lengths do not fit the shape, or the groups the channels or the moments.
    pub fn run(
        &self,
        level: Level,
        threads: &Threads,
        x: &[f32],
        shape: [usize; 3],
        out: &mut [f32],
    ) {
        assert!(out.len() == x.len(), "lengths fit the shape");
        self.apply(level, threads, Some(x), shape, out, false);
    }

    /// [`run`](Self::run) over `x` itself: the same numbers, to the last bit.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_in_place(&self, level: Level, threads: &Threads, x: &mut [f32], shape: [usize; 3]) {
        self.apply(level, threads, None, shape, x, false);
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
        assert!(out.len() == x.len(), "lengths fit the shape");
        self.apply(level, threads, Some(x), shape, out, true)
    }

    /// From `x`, or from what `out` holds.
    fn apply(
        &self,
        level: Level,
        threads: &Threads,
        x: Option<&[f32]>,
        shape: [usize; 3],
        out: &mut [f32],
        ranged: bool,
    ) -> Vec<[f32; 2]> {
        let [images, pixels, channels] = shape;
        assert!(
            out.len() == images * pixels * channels,
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
        if out.is_empty() {
            return ranges;
        }
        let threads = worth(threads, out.len());
        let each = pixels * channels;
        let affines = self.affines(level, threads, images, x.unwrap_or(out));
        let size = CHUNK.div_ceil(channels) * channels;
        let mut tasks: Vec<_> = out
            .chunks_mut(each)
            .enumerate()
            .flat_map(|(image, out)| {
                let x = x.map(|x| &x[image * each..][..each]);
                out.chunks_mut(size).enumerate().map(move |(part, out)| {
                    let x = x.map(|x| &x[part * size..][..out.len()]);
                    (image, x, out, [0.0; 2])
                })
            })
            .collect();
        threads.chunks(&mut tasks, 1, |_, task| {
            for (image, x, out, range) in task {
                *range = level.run(Apply {
                    affine: &affines[*image],
                    silu: self.silu,
                    ranged,
                    x: *x,
                    out,
                });
            }
        });
        for (image, _, _, range) in tasks {
            ranges[image] = union(ranges[image], range);
        }
        ranges
    }

    /// What to do with each channel of each image.
    fn affines(&self, level: Level, threads: &Threads, images: usize, x: &[f32]) -> Vec<Affine> {
        if let Some(moments) = self.moments {
            assert!(
                moments.len() == images * self.groups,
                "moments of each group of each image"
            );
            let images = moments.chunks(self.groups);
            return images.map(|image| self.affine(image)).collect();
        }
        let pieces: Vec<_> = x.chunks(x.len() / images).collect();
        let moments = gather(level, threads, self.groups, self.scale.len(), &pieces);
        let images = moments.chunks(moments.len() / images);
        images
            .map(|chunks| self.affine(&sum(self.groups, chunks)))
            .collect()
    }

    /// From an image's moments `[groups]`.
    fn affine(&self, moments: &[Moments]) -> Affine {
        let channels = self.scale.len();
        let mut affine = Affine {
            center: vec![0.0; channels],
            gain: vec![0.0; channels],
            shift: vec![0.0; channels],
        };
        for (group, moments) in moments.iter().enumerate() {
            let Moments {
                mean,
                squares,
                count,
            } = *moments;
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

/// Moments of each group of `channels` over the pixels of some rows `[pixels, channels]`, which need not lie together.
///
/// # Panics
/// When a row is not of whole pixels, or the groups do not divide the channels.
pub fn moments(
    level: Level,
    threads: &Threads,
    groups: usize,
    channels: usize,
    rows: &[&[f32]],
) -> Vec<Moments> {
    assert!(
        groups > 0 && channels.is_multiple_of(groups),
        "groups of equal size"
    );
    assert!(
        rows.iter().all(|row| row.len().is_multiple_of(channels)),
        "whole pixels"
    );
    sum(groups, &gather(level, threads, groups, channels, rows))
}

/// Moments of each group over chunks of these pieces: `[chunks, groups]`.
fn gather(
    level: Level,
    threads: &Threads,
    groups: usize,
    channels: usize,
    pieces: &[&[f32]],
) -> Vec<Moments> {
    /// Pixels: fewer cost more to add up than to read, more would lose digits in f32.
    const PIXELS: [usize; 2] = [32, 512];
    let chunk = (2 * CHUNK / channels).clamp(PIXELS[0], PIXELS[1]) * channels;
    let chunks: Vec<_> = pieces
        .iter()
        .flat_map(|piece| piece.chunks(chunk))
        .collect();
    let mut moments = vec![Moments::default(); chunks.len() * groups];
    threads.chunks(&mut moments, groups, |number, moments| {
        level.run(Gather {
            x: chunks[number],
            channels,
            moments,
        });
    });
    moments
}

/// Of all chunks `[chunks, groups]` together, in their order.
fn sum(groups: usize, chunks: &[Moments]) -> Vec<Moments> {
    let mut sums = vec![Moments::default(); groups];
    chunks
        .chunks(groups)
        .for_each(|chunk| Moments::add_all(&mut sums, chunk));
    sums
}

/// For each channel: `(x − center) · gain + shift`.
#[derive(Debug)]
struct Affine {
    center: Vec<f32>,
    gain: Vec<f32>,
    shift: Vec<f32>,
}

/// The second pass, over some rows of an image; gives the range of what it writes when it is to.
struct Apply<'a> {
    affine: &'a Affine,
    silu: bool,
    ranged: bool,
    /// `None`: what `out` holds.
    x: Option<&'a [f32]>,
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
        let (channels, by) = (center.len(), [&center[..], gain, shift]);
        let mut extremes = Extremes::new();
        let mut row = vec![0.0; if self.x.is_none() { channels } else { 0 }];
        for (number, out) in self.out.chunks_exact_mut(channels).enumerate() {
            let x = match self.x {
                Some(x) => &x[number * channels..][..channels],
                None => {
                    row.copy_from_slice(out);
                    &row
                }
            };
            if self.silu {
                normalize::<FMA, true>(x, by, out);
            } else {
                normalize::<FMA, false>(x, by, out);
            }
            if self.ranged {
                extremes.include::<FMA>(out);
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
