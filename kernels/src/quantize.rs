//! Activations as bytes, for the int8 matrix products: `x = scale · (q − zero)`, the scale and the zero point found anew for
//! each row.
//!
//! A row is a token of a matrix, or a whole image before a convolution. Its range is from its least to its greatest
//! number and always includes 0, so 0 is exact: padding adds nothing.

use crate::elementwise::{CHUNK, ROUND, worth};
use crate::threads::Threads;
use crate::vector::{Level, Vectorized, madd};

#[cfg(test)]
mod tests;

/// How a quantized byte is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// q is 0 to 255.
    Unsigned,
    /// q is −128 to 127, in two's complement.
    Signed,
}

impl Format {
    /// What q = 0 would be as an unsigned byte.
    const fn offset(self) -> i32 {
        match self {
            Self::Unsigned => 0,
            Self::Signed => 128,
        }
    }
}

/// Rows of bytes, each with its scale and zero point.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quantized {
    /// Rows, one after another, each padded with its zero point.
    pub data: Vec<u8>,
    /// One a row.
    pub scales: Vec<f32>,
    /// One a row, in the range of the [`Format`].
    pub zeros: Vec<i32>,
}

impl Quantized {
    /// Memory for the rows, zeroed.
    fn with_size(rows: usize, stride: usize) -> Self {
        Self {
            data: vec![0; rows * stride],
            scales: vec![0.0; rows],
            zeros: vec![0; rows],
        }
    }

    /// [`quantize_rows`] into memory of its own.
    ///
    /// # Panics
    /// As [`quantize_rows`], and when `x` is not whole rows.
    #[must_use]
    pub fn rows(
        level: Level,
        threads: &Threads,
        format: Format,
        x: &[f32],
        width: usize,
        stride: usize,
    ) -> Self {
        assert!(width > 0 && x.len().is_multiple_of(width), "whole rows");
        let mut out = Self::with_size(x.len() / width, stride);
        let Self {
            data,
            scales,
            zeros,
        } = &mut out;
        quantize_rows(
            level, threads, format, x, width, stride, data, scales, zeros,
        );
        out
    }

    /// As [`rows`](Self::rows), with the [range](ranges) of each row known, which spares a pass over `x`; rows lie without
    /// gaps. Numbers outside their range become its ends.
    ///
    /// # Panics
    /// When `x` is not as many rows as there are ranges, or a range does not include 0.
    #[must_use]
    pub fn with_ranges(
        level: Level,
        threads: &Threads,
        format: Format,
        ranges: &[[f32; 2]],
        x: &[f32],
    ) -> Self {
        let width = x.len() / ranges.len().max(1);
        assert_eq!(x.len(), width * ranges.len(), "whole rows");
        assert!(
            ranges.iter().all(|&[low, high]| !(low > 0.0 || high < 0.0)),
            "ranges include 0"
        );
        let mut out = Self::with_size(ranges.len(), width);
        let mut rows = Vec::new();
        for (row, &range) in ranges.iter().enumerate() {
            let grid = Grid::of(range);
            (out.scales[row], out.zeros[row]) = (grid.scale, grid.zero - format.offset());
            rows.push(grid.encoder(format));
        }
        encode_long(level, threads, &rows, x, width, &mut out.data, width);
        out
    }
}

/// Quantizes rows of `width` numbers to rows of bytes that start every `stride` bytes: `q = round(x / scale) + zero`, ties
/// to even, where the division is a product with the reciprocal. What is left of a row is filled with its zero point.
///
/// |x − scale · (q − zero)| is at most scale / 2, but for rounding of 1e-4 of that. The scale is a 255th of the range, and
/// never below 2⁻¹⁰⁰ (which rows of zeros have), so that its products with other scales are no subnormals. A row with a NaN
/// or an infinity has the scale NaN and bytes of no meaning, so that a failure is seen in what is computed from it.
///
/// # Panics
/// When `width` is 0 or more than `stride`, or the slices are not as long as `scales` has rows.
#[allow(
    clippy::too_many_arguments,
    reason = "parts of three vectors that the caller keeps; `Quantized::rows` is the short form"
)]
pub fn quantize_rows(
    level: Level,
    threads: &Threads,
    format: Format,
    x: &[f32],
    width: usize,
    stride: usize,
    out: &mut [u8],
    scales: &mut [f32],
    zeros: &mut [i32],
) {
    assert!(0 < width && width <= stride, "rows fit their stride");
    let rows = scales.len();
    assert!(
        x.len() == rows * width && out.len() == rows * stride && zeros.len() == rows,
        "as many rows in each"
    );
    if width > 2 * CHUNK {
        let mut encoders = Vec::new();
        for (row, range) in ranges(level, threads, x, width).into_iter().enumerate() {
            let grid = Grid::of(range);
            (scales[row], zeros[row]) = (grid.scale, grid.zero - format.offset());
            encoders.push(grid.encoder(format));
        }
        return encode_long(level, threads, &encoders, x, width, out, stride);
    }
    // A row stays in the cache between the search for its range and its rounding.
    let some = CHUNK.div_ceil(width);
    let mut tasks: Vec<_> = x
        .chunks(some * width)
        .zip(out.chunks_mut(some * stride))
        .zip(scales.chunks_mut(some).zip(zeros.chunks_mut(some)))
        .collect();
    worth(threads, x.len()).chunks(&mut tasks, 1, |_, task| {
        for ((x, out), (scales, zeros)) in task {
            level.run(EncodeRows {
                format,
                x,
                width,
                out,
                stride,
                scales,
                zeros,
            });
        }
    });
}

/// The least and the greatest of each row's numbers and 0; NaN twice where one is NaN or infinite.
///
/// # Panics
/// When `width` is 0 or `x` is not whole rows.
#[must_use]
pub fn ranges(level: Level, threads: &Threads, x: &[f32], width: usize) -> Vec<[f32; 2]> {
    assert!(width > 0 && x.len().is_multiple_of(width), "whole rows");
    let pieces: Vec<_> = x.chunks(width).flat_map(|row| row.chunks(CHUNK)).collect();
    let mut found = vec![[0.0; 2]; pieces.len()];
    worth(threads, x.len()).chunks(&mut found, 1, |piece, range| {
        range[0] = level.run(FindRange(pieces[piece]));
    });
    found
        .chunks(width.div_ceil(CHUNK))
        .map(|pieces| pieces.iter().copied().fold([0.0; 2], union))
        .collect()
}

/// The range of two ranges. Which comes first does not matter.
#[must_use]
pub(crate) fn union(a: [f32; 2], b: [f32; 2]) -> [f32; 2] {
    if a[0].is_nan() || b[0].is_nan() {
        [f32::NAN; 2]
    } else {
        [a[0].min(b[0]), a[1].max(b[1])]
    }
}

/// Encodes rows each too long for one task.
fn encode_long(
    level: Level,
    threads: &Threads,
    encoders: &[Encoder],
    x: &[f32],
    width: usize,
    out: &mut [u8],
    stride: usize,
) {
    let mut tasks = Vec::new();
    let rows = x.chunks(width.max(1)).zip(out.chunks_mut(stride.max(1)));
    for ((x, out), &encoder) in rows.zip(encoders) {
        let (out, padding) = out.split_at_mut(width);
        padding.fill(encoder.zero);
        let pieces = x.chunks(CHUNK).zip(out.chunks_mut(CHUNK));
        tasks.extend(pieces.map(|(x, out)| (encoder, x, out)));
    }
    worth(threads, x.len()).chunks(&mut tasks, 1, |_, task| {
        for &mut (encoder, x, ref mut out) in task {
            level.run(Encode { encoder, x, out });
        }
    });
}

/// The numbers that q = 0 to 255 stand for: `scale · (q − zero)`.
#[derive(Debug, Clone, Copy)]
struct Grid {
    scale: f32,
    zero: i32,
}

impl Grid {
    /// 2⁻¹⁰⁰
    const LEAST_SCALE: f32 = f32::from_bits((127 - 100) << 23);

    /// The finest over the range, which includes 0.
    #[inline(always)]
    fn of([low, high]: [f32; 2]) -> Self {
        // Divided first: the difference may overflow.
        let scale = high / 255.0 - low / 255.0;
        // Not `max`, which would lose a NaN.
        let scale = if scale < Self::LEAST_SCALE {
            Self::LEAST_SCALE
        } else {
            scale
        };
        // Rounded as the numbers are, so the least becomes q = 0. For NaN it is 0.
        let zero = (-low * scale.recip() + ROUND) - ROUND;
        Self {
            scale,
            zero: (zero as i32).clamp(0, 255),
        }
    }

    #[inline(always)]
    fn encoder(self, format: Format) -> Encoder {
        Encoder {
            inverse: self.scale.recip(),
            low: -self.zero as f32,
            high: (255 - self.zero) as f32,
            zero: (self.zero - format.offset()) as u8,
        }
    }
}

/// A grid as the inner loop needs it.
#[derive(Debug, Clone, Copy)]
struct Encoder {
    /// 1 / scale
    inverse: f32,
    /// The least q − zero.
    low: f32,
    /// The greatest q − zero.
    high: f32,
    /// The byte of the zero point.
    zero: u8,
}

/// Some short rows: ranges found, and rounded.
struct EncodeRows<'a> {
    format: Format,
    x: &'a [f32],
    width: usize,
    out: &'a mut [u8],
    stride: usize,
    scales: &'a mut [f32],
    zeros: &'a mut [i32],
}

impl Vectorized for EncodeRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let rows = self
            .x
            .chunks(self.width)
            .zip(self.out.chunks_mut(self.stride));
        for ((x, out), (scale, zero)) in rows.zip(self.scales.iter_mut().zip(self.zeros)) {
            let grid = Grid::of(FindRange(x).run::<FMA>());
            (*scale, *zero) = (grid.scale, grid.zero - self.format.offset());
            let encoder = grid.encoder(self.format);
            let (out, padding) = out.split_at_mut(self.width);
            padding.fill(encoder.zero);
            Encode { encoder, x, out }.run::<FMA>();
        }
    }
}

/// A piece of a row.
struct Encode<'a> {
    encoder: Encoder,
    x: &'a [f32],
    out: &'a mut [u8],
}

impl Vectorized for Encode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Encoder {
            inverse,
            low,
            high,
            zero,
        } = self.encoder;
        for (out, x) in self.out.iter_mut().zip(self.x) {
            // The ends are whole, so it is the same to clamp before rounding. NaN becomes the low end.
            let steps = lesser(greater(x * inverse, low), high);
            *out = ((steps + ROUND).to_bits() as u8).wrapping_add(zero);
        }
    }
}

struct FindRange<'a>(&'a [f32]);

impl Vectorized for FindRange<'_> {
    type Output = [f32; 2];

    #[inline(always)]
    fn run<const FMA: bool>(self) -> [f32; 2] {
        let mut extremes = Extremes::new();
        extremes.include::<FMA>(self.0);
        extremes.range()
    }
}

/// Numbers are searched side by side, in two to four vectors.
const LANES: usize = 32;

/// A search for the least and the greatest of numbers and 0.
pub(crate) struct Extremes {
    low: [f32; LANES],
    high: [f32; LANES],
    /// 0 until a NaN or an infinity makes it NaN: comparisons pass over NaN.
    finite: [f32; LANES],
}

impl Extremes {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self {
            low: [0.0; LANES],
            high: [0.0; LANES],
            finite: [0.0; LANES],
        }
    }

    #[inline(always)]
    pub(crate) fn include<const FMA: bool>(&mut self, x: &[f32]) {
        let (blocks, rest) = x.as_chunks::<LANES>();
        for block in blocks {
            self.block::<FMA>(block);
        }
        if !rest.is_empty() {
            let mut block = [0.0; LANES];
            block[..rest.len()].copy_from_slice(rest);
            self.block::<FMA>(&block);
        }
    }

    #[inline(always)]
    fn block<const FMA: bool>(&mut self, x: &[f32; LANES]) {
        for (lane, &x) in x.iter().enumerate() {
            self.low[lane] = lesser(x, self.low[lane]);
            self.high[lane] = greater(x, self.high[lane]);
            self.finite[lane] = madd::<FMA>(x, 0.0, self.finite[lane]);
        }
    }

    /// What was found; NaN twice where a number was NaN or infinite.
    #[inline(always)]
    pub(crate) fn range(mut self) -> [f32; 2] {
        let mut half = LANES / 2;
        while half > 0 {
            for lane in 0..half {
                self.low[lane] = lesser(self.low[lane], self.low[lane + half]);
                self.high[lane] = greater(self.high[lane], self.high[lane + half]);
                self.finite[lane] += self.finite[lane + half];
            }
            half /= 2;
        }
        // 0, or NaN.
        [self.low[0] + self.finite[0], self.high[0] + self.finite[0]]
    }
}

/// A single instruction, unlike `min`, which promises more about NaN.
#[inline(always)]
fn lesser(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// As [`lesser`].
#[inline(always)]
fn greater(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}
