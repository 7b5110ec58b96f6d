//! Scores as products of int8, the way of SageAttention (arXiv 2410.02367): the mean of all keys is taken from each, then
//! each query and key is rounded to bytes of its own scale, the largest of its features over 127.
//!
//! A softmax does not see what is added to all scores of a query, so the mean costs nothing; but what channels have in
//! common, often many times what sets keys apart, would otherwise fill their bytes.
//!
//! A token is its bytes, four features a unit, then a unit with its scale and, where the instructions multiply unsigned
//! with signed, one with what the offset of the keys' bytes adds to its products, negated.

#![allow(unsafe_code, reason = "units are written as bytes")]

use super::arithmetic::{Arithmetic, Start};
use super::statistics::largest;
use crate::vector::Vectorized;

/// Features of a query or key up to which no sum of products overflows: 255 · 127 each.
pub(super) const MAX_FEATURES: usize = 1 << 16;

/// Products of bytes, `T` keys by `L` queries, beside an arithmetic for the rest.
pub(super) trait Dot<const T: usize, const L: usize>: Copy + Sync {
    /// What weighs the values.
    type Values: Arithmetic<T, L>;

    /// Whether the bytes of keys are unsigned, 128 more than they mean.
    const UNSIGNED: bool;

    /// What weighs the values.
    fn values(self) -> Self::Values;

    /// Runs the computation with the instructions that both are for.
    fn run<V: Vectorized>(self, computation: V) -> V::Output;

    /// Writes `(offset[l] + Σ k[s][t] · q[s][l]) · k_scale[t] · q_scale[l]` over the units s to `scores[t][l]`.
    fn dot(self, keys: Bytes<T>, queries: Bytes<L>, scores: &mut [[f32; L]; T]);
}

/// The packed features of `N` tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a, const N: usize> {
    /// Four bytes a unit.
    pub(super) units: &'a [[f32; N]],
    /// What a byte of 1 stands for.
    pub(super) scale: &'a [f32; N],
    /// What products begin with, the bits of an i32; there if the keys are unsigned.
    pub(super) offset: Option<&'a [f32; N]>,
}

impl<'a, const N: usize> Bytes<'a, N> {
    #[inline(always)]
    fn new(token: &'a [[f32; N]], notes: usize) -> Self {
        let (units, notes) = token.split_at(token.len() - notes);
        Self {
            units,
            scale: &notes[0],
            offset: notes.get(1),
        }
    }
}

/// Scores of int8, and values as the [`Dot`] has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Int8<D>(pub(super) D);

impl<D: Dot<T, L>, const T: usize, const L: usize> Arithmetic<T, L> for Int8<D> {
    const FEATURES: usize = 4;
    const TOKENS: usize = D::Values::TOKENS;
    const NOTES: usize = 1 + D::UNSIGNED as usize;
    const CENTERED: bool = true;
    const BOUNDED: bool = D::Values::BOUNDED;

    #[inline(always)]
    fn run<V: Vectorized>(self, computation: V) -> V::Output {
        self.0.run(computation)
    }

    #[inline(always)]
    fn scale(self, from: &[f32], factor: f32, to: &mut [f32]) {
        self.0.values().scale(from, factor, to);
    }

    #[inline(always)]
    fn pack_query(self, features: &[f32], factor: f32, to: &mut [f32]) {
        let (units, notes) = to.split_at_mut(to.len() - Self::NOTES);
        let scale = largest(features.iter().copied()) / 127.0;
        let bytes = as_bytes(units);
        round(features.iter().copied(), scale, 0, bytes);
        notes[0] = scale * factor;
        if D::UNSIGNED {
            let sum: i32 = bytes.iter().map(|&byte| i32::from(byte as i8)).sum();
            notes[1] = f32::from_bits((-128 * sum) as u32);
        }
    }

    #[inline(always)]
    fn pack_key(self, features: &[f32], mean: &[f32], to: &mut [f32]) {
        let (units, notes) = to.split_at_mut(to.len() - Self::NOTES);
        let centered = features.iter().zip(mean).map(|(x, mean)| x - mean);
        let scale = largest(centered.clone()) / 127.0;
        let flip = if D::UNSIGNED { 0x80 } else { 0 };
        round(centered, scale, flip, as_bytes(units));
        notes[0] = scale;
    }

    #[inline(always)]
    fn pack_tokens(self, first: &[f32], last: &[f32], factor: f32, to: &mut [f32]) {
        self.0.values().pack_tokens(first, last, factor, to);
    }

    #[inline(always)]
    fn accumulate<const FMA: bool>(
        self,
        a: &[[f32; T]],
        b: &[[f32; L]],
        start: Start<L>,
        sums: &mut [[f32; L]; T],
    ) {
        self.0.values().accumulate::<FMA>(a, b, start, sums);
    }

    #[inline(always)]
    fn scores<const FMA: bool>(
        self,
        keys: &[[f32; T]],
        queries: &[[f32; L]],
        scores: &mut [[[f32; L]; T]],
    ) {
        let lanes = Bytes::new(queries, Self::NOTES);
        for (tile, scores) in keys.chunks_exact(queries.len()).zip(scores) {
            self.0.dot(Bytes::new(tile, Self::NOTES), lanes, scores);
        }
    }

    #[inline(always)]
    fn weigh<const FMA: bool>(self, scores: &mut [[f32; L]], maximum: &[f32; L]) -> [f32; L] {
        self.0.values().weigh::<FMA>(scores, maximum)
    }

    #[inline(always)]
    fn transpose(
        self,
        from: &[f32],
        from_stride: usize,
        to: &mut [f32],
        to_stride: usize,
        columns: usize,
    ) {
        self.0
            .values()
            .transpose(from, from_stride, to, to_stride, columns);
    }
}

/// Writes numbers as multiples of `scale`, the nearest, their bits changed where `flip` has them, and zeros behind them.
/// All zeros, whose scale is 0, become anything: their scale is what counts.
#[inline(always)]
fn round(numbers: impl Iterator<Item = f32>, scale: f32, flip: u8, to: &mut [u8]) {
    /// Adding it leaves the whole number in the lowest bits.
    const ROUND: f32 = 12_582_912.0;

    let per_unit = scale.recip();
    let mut count = 0;
    for (to, x) in to.iter_mut().zip(numbers) {
        *to = (x * per_unit + ROUND).to_bits() as u8 ^ flip;
        count += 1;
    }
    to[count..].fill(0);
}

/// The bytes of units.
#[inline(always)]
fn as_bytes(units: &mut [f32]) -> &mut [u8] {
    // SAFETY: these are the same bytes, any of which make bytes and f32.
    unsafe { std::slice::from_raw_parts_mut(units.as_mut_ptr().cast(), size_of_val(units)) }
}
