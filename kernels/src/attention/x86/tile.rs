//! Tiles of sums in registers.

use std::arch::x86_64::*;

use super::{Avx512, Bf16, LANES, TILE};
use crate::attention::arithmetic::Start;

/// A multiplication that adds, on 16 lanes; held as a proof of AVX-512.
pub(super) trait Multiply: Copy {
    /// `a · b + sum`
    fn madd(self, a: __m512, b: __m512, sum: __m512) -> __m512;
}

impl Multiply for Avx512 {
    #[inline(always)]
    fn madd(self, a: __m512, b: __m512, sum: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_fmadd_ps(a, b, sum) }
    }
}

impl Multiply for Bf16 {
    #[inline(always)]
    fn madd(self, a: __m512, b: __m512, sum: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 BF16.
        unsafe { _mm512_dpbf16_ps(sum, pairs(a), pairs(b)) }
    }
}

/// The pairs of bfloat16 that these units are.
#[inline(always)]
pub(super) fn pairs(units: __m512) -> __m512bh {
    // SAFETY: both are 64 bytes, of which any will do.
    unsafe { std::mem::transmute(units) }
}

/// [`accumulate`](crate::attention::arithmetic::Arithmetic::accumulate) with the sums in 16 registers.
#[inline(always)]
pub(super) fn accumulate<M: Multiply>(
    multiply: M,
    a: &[[f32; TILE]],
    b: &[[f32; LANES]],
    start: Start<LANES>,
    sums: &mut [[f32; LANES]; TILE],
) {
    // SAFETY: a `Multiply` proves AVX-512.
    let mut kept = unsafe { [[_mm512_setzero_ps(); 2]; TILE] };
    for (kept, sums) in kept.iter_mut().zip(&*sums) {
        match start {
            Start::Zero => {}
            // SAFETY: a `Multiply` proves AVX-512.
            Start::Kept => *kept = unsafe { load(sums) },
            Start::Scaled(factors) => {
                // SAFETY: a `Multiply` proves AVX-512.
                let (sums, factors) = unsafe { (load(sums), load(factors)) };
                // SAFETY: a `Multiply` proves AVX-512.
                *kept = [0, 1].map(|half| unsafe { _mm512_mul_ps(sums[half], factors[half]) });
            }
        }
    }
    for (a, b) in a.iter().zip(b) {
        // SAFETY: a `Multiply` proves AVX-512.
        let b = unsafe { load(b) };
        for (kept, &a) in kept.iter_mut().zip(a) {
            // SAFETY: a `Multiply` proves AVX-512.
            let a = unsafe { _mm512_set1_ps(a) };
            kept[0] = multiply.madd(a, b[0], kept[0]);
            kept[1] = multiply.madd(a, b[1], kept[1]);
        }
    }
    for (kept, sums) in kept.into_iter().zip(sums) {
        // SAFETY: a `Multiply` proves AVX-512.
        unsafe { store(kept, sums) };
    }
}

/// Both vectors of a row.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load(row: &[f32; LANES]) -> [__m512; 2] {
    // SAFETY: the row has 16 lanes from either.
    unsafe { [0, 16].map(|lane| _mm512_loadu_ps(row.as_ptr().add(lane))) }
}

/// Writes both vectors of a row.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store(vectors: [__m512; 2], row: &mut [f32; LANES]) {
    for (vector, lane) in vectors.into_iter().zip([0, 16]) {
        // SAFETY: the row has 16 lanes from either.
        unsafe { _mm512_storeu_ps(row.as_mut_ptr().add(lane), vector) };
    }
}
