//! Activations as bytes, for the int8 matrix products: `x = scale · (q − zero)`, the scale and the zero point found anew for
//! each row.
//!
//! A row is a token of a matrix, or a whole image before a convolution. Its range is from its least to its greatest
//! number and always includes 0, so 0 is exact: padding adds nothing.

mod grid;
mod range;
#[cfg(test)]
mod tests;

use grid::{Encode, EncodeRest, Encoder, Grid};
use range::FindRange;
pub(crate) use range::{Extremes, union};

use crate::elementwise::{CHUNK, worth};
use crate::threads::Threads;
use crate::vector::{Level, Vectorized};

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

/// Makes `bytes` so long, with anything in it. Never more memory than that, and never the old beside the new.
pub fn fit(bytes: &mut Vec<u8>, len: usize) {
    if bytes.capacity() < len {
        *bytes = Vec::new();
        bytes.reserve_exact(len);
    }
    bytes.resize(len, 0);
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
/// |x − scale · (q − zero)| is at most scale / 2, but for rounding of 2e-4 of that. The scale is a 255th of the range, and
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

/// As [`quantize_rows`] for whole images, which lie without gaps: one scale for all pixels and channels of each.
///
/// # Panics
/// When `scales`, `zeros` or `out` is not as long as `x` has images of `width` numbers.
pub fn quantize_images(
    level: Level,
    threads: &Threads,
    format: Format,
    x: &[f32],
    width: usize,
    quantized: &mut Quantized,
) {
    assert!(width > 0 && x.len().is_multiple_of(width), "whole images");
    let images = x.len() / width;
    fit(&mut quantized.data, x.len());
    quantized.scales.resize(images, 0.0);
    quantized.zeros.resize(images, 0);
    let mut encoders = Vec::new();
    let ranges = ranges(level, threads, x, width);
    for (image, range) in ranges.into_iter().enumerate() {
        let grid = Grid::of(range);
        quantized.scales[image] = grid.scale;
        quantized.zeros[image] = grid.zero - format.offset();
        encoders.push(grid.encoder(format));
    }
    encode_long(
        level,
        threads,
        &encoders,
        x,
        width,
        &mut quantized.data,
        width,
    );
}

/// What [`quantize_images`] left over, as bytes on a grid 255 times as fine: products with both, added up, have activations of
/// 16 bits.
///
/// # Panics
/// When `coarse` is not what `x` was quantized to.
pub fn quantize_rest(
    level: Level,
    threads: &Threads,
    format: Format,
    x: &[f32],
    coarse: &Quantized,
    rest: &mut Quantized,
) {
    let images = coarse.scales.len();
    assert!(coarse.data.len() == x.len() && images > 0, "its own bytes");
    let width = x.len() / images;
    fit(&mut rest.data, x.len());
    rest.scales = coarse.scales.iter().map(|scale| scale / 255.0).collect();
    rest.zeros = vec![REST_ZERO - format.offset(); images];
    let mut tasks = Vec::new();
    let rows = x
        .chunks(width.max(1))
        .zip(rest.data.chunks_mut(width.max(1)));
    for ((x, out), scale) in rows.zip(&coarse.scales) {
        let pieces = x.chunks(CHUNK).zip(out.chunks_mut(CHUNK));
        tasks.extend(pieces.map(|(x, out)| (scale.recip(), x, out)));
    }
    worth(threads, x.len()).chunks(&mut tasks, 1, |_, task| {
        for &mut (inverse, x, ref mut out) in task {
            let zero = (REST_ZERO - format.offset()) as u8;
            level.run(EncodeRest {
                inverse,
                zero,
                x,
                out,
            });
        }
    });
}

/// The zero point of what is left over, in unsigned bytes: it lies on both sides of 0.
const REST_ZERO: i32 = 128;

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
