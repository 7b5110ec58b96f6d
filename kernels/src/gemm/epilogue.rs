//! What becomes of a row's sums: scale, bias, activation, residual.

#![allow(unsafe_code, reason = "threads write disjoint parts of one output")]

use std::marker::PhantomData;
use std::ops::Range;

use crate::elementwise::Activation;
use crate::vector::Vectorized;

/// `y = activation(product + bias + per_image) + residual`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// `[n]`.
    pub bias: Option<&'a [f32]>,
    /// `[images, n]`: added to all rows of an image, as a time embedding is.
    pub per_image: Option<&'a [f32]>,
    /// Comes after the sums above.
    pub activation: Option<Activation>,
    /// `[m, n]`: added last.
    pub residual: Option<&'a [f32]>,
}

/// How int8 sums become numbers: `(sum − zero · column_sum) · row_scale · column_scale`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dequantize<'a> {
    pub(super) zero: i32,
    pub(super) row_scale: f32,
    pub(super) column_sums: &'a [i32],
    pub(super) column_scales: &'a [f32],
}

/// One row's columns on their way out; slices are of those columns.
pub(super) struct FinishRow<'a, S> {
    pub(super) sums: &'a [S],
    pub(super) dequantize: Option<Dequantize<'a>>,
    pub(super) bias: Option<&'a [f32]>,
    pub(super) per_image: Option<&'a [f32]>,
    pub(super) activation: Option<Activation>,
    pub(super) residual: Option<&'a [f32]>,
    pub(super) out: &'a mut [f32],
}

impl<'a> Epilogue<'a> {
    /// The parts that concern one row of `image` and some of the `n` columns.
    pub(super) fn row<S>(
        &self,
        row: usize,
        image: usize,
        n: usize,
        columns: Range<usize>,
        sums: &'a [S],
        out: &'a mut [f32],
    ) -> FinishRow<'a, S> {
        let part = |whole: &'a [f32], row: usize| &whole[row * n..][columns.clone()];
        FinishRow {
            sums,
            dequantize: None,
            bias: self.bias.map(|bias| part(bias, 0)),
            per_image: self.per_image.map(|values| part(values, image)),
            activation: self.activation,
            residual: self.residual.map(|values| part(values, row)),
            out,
        }
    }
}

impl Vectorized for FinishRow<'_, i32> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        if let Some(how) = &self.dequantize {
            let columns = how.column_sums.iter().zip(how.column_scales);
            for ((out, sum), (column_sum, scale)) in self.out.iter_mut().zip(self.sums).zip(columns)
            {
                *out = (sum - how.zero * column_sum) as f32 * (how.row_scale * scale);
            }
        }
        finish::<FMA>(
            self.bias,
            self.per_image,
            self.activation,
            self.residual,
            self.out,
        );
    }
}

impl Vectorized for FinishRow<'_, f32> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        self.out.copy_from_slice(self.sums);
        finish::<FMA>(
            self.bias,
            self.per_image,
            self.activation,
            self.residual,
            self.out,
        );
    }
}

#[inline(always)]
fn finish<const FMA: bool>(
    bias: Option<&[f32]>,
    per_image: Option<&[f32]>,
    activation: Option<Activation>,
    residual: Option<&[f32]>,
    out: &mut [f32],
) {
    for values in [bias, per_image].into_iter().flatten() {
        out.iter_mut().zip(values).for_each(|(out, v)| *out += v);
    }
    if let Some(activation) = activation {
        activation.map_in_place::<FMA>(out);
    }
    if let Some(values) = residual {
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
    pub(super) unsafe fn part(&self, start: usize, len: usize) -> &mut [f32] {
        assert!(start + len <= self.len, "beyond the output");
        // SAFETY: within the borrowed memory, and nobody else's, as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}
