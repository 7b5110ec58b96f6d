//! The result, written by several threads at once.

#![allow(
    unsafe_code,
    reason = "threads write rows of one slice that interleave, which no safe split of it can say"
)]

use std::marker::PhantomData;

use super::{Output, Shape, Strides};

/// The rows of the result, one for each query of each head, no two of which share an element.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    data: *mut f32,
    strides: Strides,
    shape: Shape,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is a `&mut [f32]`, and f32 is Send; `row` hands out parts that do not overlap, under its own contract.
unsafe impl Sync for Rows<'_> {}

impl<'a> Rows<'a> {
    /// # Panics
    /// The slice is too short, or rows overlap.
    pub(super) fn new(output: Output<'a>, shape: &Shape) -> Self {
        let Strides { batch, token, head } = output.strides;
        let mut dims = [
            (batch, shape.batch),
            (token, shape.queries),
            (head, shape.heads),
        ];
        dims.sort_unstable();
        // How far what is inside reaches: each step of a dimension has to pass over it.
        let mut extent = shape.value_dim;
        if dims.iter().any(|&(_, count)| count == 0) {
            extent = 0;
        }
        for (stride, count) in dims {
            if count > 1 && extent > 0 {
                assert!(stride >= extent, "rows of the attention's output overlap");
                extent = extent.saturating_add(stride.saturating_mul(count - 1));
            }
        }
        assert!(
            extent <= output.data.len(),
            "the attention's output is too short"
        );
        Self {
            data: output.data.as_mut_ptr(),
            strides: output.strides,
            shape: *shape,
            borrow: PhantomData,
        }
    }

    /// The row of a query.
    ///
    /// # Safety
    /// Nobody else holds this row.
    #[expect(clippy::mut_from_ref, reason = "the contract makes it the only one")]
    #[inline(always)]
    pub(super) unsafe fn row(&self, (batch, head): (usize, usize), query: usize) -> &mut [f32] {
        let shape = &self.shape;
        assert!(batch < shape.batch && head < shape.heads && query < shape.queries);
        let start = self.strides.at((batch, head), query);
        // SAFETY: `new` found the last row in the slice, hence this; it overlaps no other, and the caller holds it alone.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(start), shape.value_dim) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(len: usize, strides: Strides) {
        let shape = Shape {
            batch: 1,
            heads: 2,
            queries: 3,
            keys: 1,
            head_dim: 1,
            value_dim: 4,
        };
        let output = Output {
            data: &mut vec![0.0; len],
            strides,
        };
        Rows::new(output, &shape);
    }

    #[test]
    fn both_orders_fit_exactly() {
        rows(24, Strides::token_major(3, 2, 4));
        rows(24, Strides::head_major(3, 2, 4));
    }

    #[test]
    #[should_panic(expected = "too short")]
    fn short_output_is_refused() {
        rows(23, Strides::token_major(3, 2, 4));
    }

    #[test]
    #[should_panic(expected = "overlap")]
    fn overlapping_rows_are_refused() {
        rows(
            24,
            Strides {
                batch: 0,
                token: 8,
                head: 3,
            },
        );
    }
}
