//! What becomes of a row's sums: scale, bias, activation, factor, residual.

#![allow(unsafe_code, reason = "threads write disjoint parts of one output")]

use std::marker::PhantomData;
use std::ops::Range;

use super::weights::{GATED, Layout};
use crate::elementwise::Activation;
use crate::vector::Vectorized;

/// `y = activation(product + bias + per_image) · factor + residual`, with [`Self::onto`] `+ y` inside the brackets; of gated weights
/// `y = value · GELU(gate)` of the sum of product and bias, and no more.
#[derive(Debug, Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// `[n]`, in the order in which the weights are [packed](super::in_packed_order).
    pub bias: Option<&'a [f32]>,
    /// `[images, n]`: added to all rows of an image, as a time embedding is.
    pub per_image: Option<&'a [f32]>,
    /// Comes after the sums above.
    pub activation: Option<Activation>,
    /// What that is multiplied with.
    pub factor: Option<Factor<'a>>,
    /// `[m, n]`: added last.
    pub residual: Option<&'a [f32]>,
    /// The product is added to what is in the output, which is a part of it: see [`crate::quantize::quantize_rest`].
    pub onto: bool,
}

/// Numbers that results are multiplied with.
#[derive(Debug, Clone, Copy)]
pub enum Factor<'a> {
    /// `[images, n]`: the same for all rows of an image, as the gates of a diffusion transformer (adaLN, arXiv 2212.09748).
    PerImage(&'a [f32]),
    /// `[m, n]`: of each its own, as the other branch of a gated feed-forward (GLU, arXiv 2002.05202).
    Each(&'a [f32]),
}

/// Numbers that are added onto others at once.
const PIECE: usize = 64;

/// Sums of a row's columns, on their way to becoming numbers.
pub(super) trait Sums {
    /// Writes those from column `from` on, as many as `out` has.
    fn numbers(&self, from: usize, out: &mut [f32]);
}

/// f32 sums are numbers.
impl Sums for &[f32] {
    #[inline(always)]
    fn numbers(&self, from: usize, out: &mut [f32]) {
        out.copy_from_slice(&self[from..][..out.len()]);
    }
}

/// int8 sums: `(sum − zero · column_sum) · row_scale · column_scale`.
pub(super) struct Quantized<'a> {
    pub(super) sums: &'a [i32],
    pub(super) zero: i32,
    pub(super) row_scale: f32,
    pub(super) column_sums: &'a [i32],
    pub(super) column_scales: &'a [f32],
}

impl Sums for Quantized<'_> {
    #[inline(always)]
    fn numbers(&self, from: usize, out: &mut [f32]) {
        let columns = self.column_sums[from..]
            .iter()
            .zip(&self.column_scales[from..]);
        let sums = self.sums[from..].iter().zip(columns);
        for (out, (sum, (column_sum, scale))) in out.iter_mut().zip(sums) {
            *out = (sum - self.zero * column_sum) as f32 * (self.row_scale * scale);
        }
    }
}

/// One row's columns on their way out; slices are of those columns.
pub(super) struct FinishRow<'a, S> {
    sums: S,
    gated: bool,
    onto: bool,
    bias: Option<&'a [f32]>,
    per_image: Option<&'a [f32]>,
    activation: Option<Activation>,
    factor: Option<&'a [f32]>,
    residual: Option<&'a [f32]>,
    out: &'a mut [f32],
}

/// Where a row of the output is, and what the output is like.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) image: usize,
    /// Columns of the product.
    pub(super) n: usize,
    /// Those that are there now.
    pub(super) columns: Range<usize>,
    pub(super) gated: bool,
}

impl Place {
    pub(super) fn new(
        weights: &Layout,
        row: usize,
        rows_per_image: usize,
        columns: Range<usize>,
    ) -> Self {
        Self {
            row,
            image: row / rows_per_image,
            n: weights.n,
            columns,
            gated: weights.gated,
        }
    }

    /// Where the row's part of the output starts, and how long it is.
    pub(super) fn part(&self) -> (usize, usize) {
        let each = if self.gated { 2 } else { 1 };
        let start = (self.row * self.n + self.columns.start) / each;
        (start, self.columns.len() / each)
    }
}

impl<'a> Epilogue<'a> {
    /// The parts that concern one place.
    pub(super) fn row<S: Sums>(
        &self,
        place: &Place,
        sums: S,
        out: &'a mut [f32],
    ) -> FinishRow<'a, S> {
        let part = |whole: &'a [f32], row: usize| &whole[row * place.n..][place.columns.clone()];
        FinishRow {
            sums,
            gated: place.gated,
            onto: self.onto,
            bias: self.bias.map(|bias| part(bias, 0)),
            per_image: self.per_image.map(|values| part(values, place.image)),
            activation: self.activation,
            factor: self.factor.map(|factor| match factor {
                Factor::PerImage(values) => part(values, place.image),
                Factor::Each(values) => part(values, place.row),
            }),
            residual: self.residual.map(|values| part(values, place.row)),
            out,
        }
    }
}

impl<S: Sums> Vectorized for FinishRow<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        if self.gated {
            return self.gate::<FMA>();
        }
        if self.onto {
            for (piece, out) in self.out.chunks_mut(PIECE).enumerate() {
                let mut numbers = [0.0; PIECE];
                self.sums.numbers(piece * PIECE, &mut numbers[..out.len()]);
                add(Some(&numbers), out);
            }
        } else {
            self.sums.numbers(0, self.out);
        }
        add(self.bias, self.out);
        add(self.per_image, self.out);
        if let Some(activation) = self.activation {
            activation.map_in_place::<FMA>(self.out);
        }
        if let Some(factor) = self.factor {
            self.out.iter_mut().zip(factor).for_each(|(y, f)| *y *= f);
        }
        add(self.residual, self.out);
    }
}

impl<S: Sums> FinishRow<'_, S> {
    #[inline(always)]
    fn gate<const FMA: bool>(self) {
        for (group, out) in self.out.as_chunks_mut::<GATED>().0.iter_mut().enumerate() {
            let from = group * 2 * GATED;
            let mut gates = [0.0; GATED];
            self.sums.numbers(from, out);
            self.sums.numbers(from + GATED, &mut gates);
            add(self.bias.map(|bias| &bias[from..]), out);
            add(self.bias.map(|bias| &bias[from + GATED..]), &mut gates);
            Activation::Gelu.map_in_place::<FMA>(&mut gates);
            out.iter_mut()
                .zip(gates)
                .for_each(|(out, gate)| *out *= gate);
        }
    }
}

#[inline(always)]
fn add(values: Option<&[f32]>, out: &mut [f32]) {
    if let Some(values) = values {
        out.iter_mut().zip(values).for_each(|(out, v)| *out += v);
    }
}

/// An output that threads write in parts.
pub(super) struct Output<'a> {
    start: *mut f32,
    len: usize,
    whole: PhantomData<&'a mut [f32]>,
}

// SAFETY: it hands out parts that its users promise to be disjoint, of memory borrowed for as long as it lives.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    pub(super) fn new(whole: &'a mut [f32]) -> Self {
        Self {
            start: whole.as_mut_ptr(),
            len: whole.len(),
            whole: PhantomData,
        }
    }

    /// # Safety
    /// No two parts that are alive at once may overlap.
    #[allow(
        clippy::mut_from_ref,
        reason = "the parts are disjoint, as the caller promises"
    )]
    pub(super) unsafe fn part(&self, (start, len): (usize, usize)) -> &mut [f32] {
        assert!(start + len <= self.len, "beyond the output");
        // SAFETY: within the borrowed memory, and nobody else's, as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}
