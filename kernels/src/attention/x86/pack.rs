//! Rows scaled, and rounded to pairs of bfloat16 (to the nearest, the even one of two).

use std::arch::x86_64::*;

/// Copies `from`, times a factor, to the beginning of `to`.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn scale(from: &[f32], factor: f32, to: &mut [f32]) {
    let factor = _mm512_set1_ps(factor);
    for (from, to) in from.chunks(16).zip(to.chunks_mut(16)) {
        store(_mm512_mul_ps(load(from), factor), to);
    }
}

/// Writes the numbers of a row, times a factor, in pairs of neighbours.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn neighbours(from: &[f32], factor: f32, to: &mut [f32]) {
    let factor = _mm512_set1_ps(factor);
    for (from, to) in from.chunks(32).zip(to.chunks_mut(16)) {
        let (low, high) = from.split_at(from.len().min(16));
        let [low, high] = [low, high].map(|half| _mm512_mul_ps(load(half), factor));
        store(units(_mm512_cvtne2ps_pbh(high, low)), to);
    }
}

/// Writes the numbers of two rows in pairs of one of each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn pairs(first: &[f32], second: &[f32], to: &mut [f32]) {
    for ((first, second), to) in first
        .chunks(16)
        .zip(second.chunks(16))
        .zip(to.chunks_mut(16))
    {
        store(pair(load(first), load(second)), to);
    }
}

/// Lane by lane, two numbers rounded to a pair of bfloat16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn pair(first: __m512, second: __m512) -> __m512 {
    /// Half n of one vector beside half n of the one that follows it.
    const INTERLEAVED: [u16; 32] = {
        let mut order = [0; 32];
        let mut index = 0;
        while index < 32 {
            order[index] = (index / 2 + index % 2 * 16) as u16;
            index += 1;
        }
        order
    };
    // SAFETY: the order is 64 bytes.
    let order = unsafe { _mm512_loadu_si512(INTERLEAVED.as_ptr().cast()) };
    let halves = _mm512_castps_si512(units(_mm512_cvtne2ps_pbh(second, first)));
    _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, halves))
}

/// The units that these pairs of bfloat16 are.
#[inline(always)]
fn units(pairs: __m512bh) -> __m512 {
    // SAFETY: both are 64 bytes, of which any will do.
    unsafe { std::mem::transmute(pairs) }
}

/// Up to 16 numbers, and zeros after them.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(from: &[f32]) -> __m512 {
    // SAFETY: the mask has no more than there are.
    unsafe { _mm512_maskz_loadu_ps(first(from.len()), from.as_ptr()) }
}

/// Writes as many of 16 numbers as `to` holds.
#[inline]
#[target_feature(enable = "avx512f")]
fn store(numbers: __m512, to: &mut [f32]) {
    // SAFETY: the mask has no more than there are.
    unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), first(to.len()), numbers) };
}

/// The mask of the first `count` of 16, or of all.
#[inline(always)]
pub(super) fn first(count: usize) -> __mmask16 {
    ((1_u32 << count.min(16)) - 1) as __mmask16
}
