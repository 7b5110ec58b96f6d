//! Rows and columns exchanged.

use std::arch::x86_64::*;

use super::pack::first;

/// [`transpose`](crate::attention::arithmetic::Arithmetic::transpose), 16 × 16 words at a time.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transpose(
    from: &[f32],
    from_stride: usize,
    to: &mut [f32],
    to_stride: usize,
    columns: usize,
) {
    let rows = from.len() / from_stride;
    assert!(columns <= from_stride && rows <= to_stride && to.len() >= columns * to_stride);
    for row in (0..rows).step_by(16) {
        let count = 16.min(rows - row);
        for column in (0..columns).step_by(16) {
            let width = 16.min(columns - column);
            let from = &from[row * from_stride + column..];
            let to = &mut to[column * to_stride + row..];
            let mut block = [_mm512_setzero_si512(); 16];
            for (index, block) in block.iter_mut().enumerate().take(count) {
                let from = &from[index * from_stride..][..width];
                // SAFETY: the mask has the first `width` words only, which are there.
                *block = unsafe { _mm512_maskz_loadu_epi32(first(width), from.as_ptr().cast()) };
            }
            for (index, block) in transpose_block(&block).into_iter().enumerate().take(width) {
                let to = &mut to[index * to_stride..][..count];
                // SAFETY: the mask has the first `count` words only, which are there.
                unsafe { _mm512_mask_storeu_epi32(to.as_mut_ptr().cast(), first(count), block) };
            }
        }
    }
}

/// 16 × 16 words with rows and columns exchanged.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_block(rows: &[__m512i; 16]) -> [__m512i; 16] {
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;

    // Fours of rows, whose quarter q of vector c becomes column 4 q + c.
    let mut fours = [_mm512_setzero_si512(); 16];
    for four in (0..16).step_by(4) {
        let low = |a: usize| _mm512_unpacklo_epi32(rows[four + a], rows[four + a + 1]);
        let high = |a: usize| _mm512_unpackhi_epi32(rows[four + a], rows[four + a + 1]);
        fours[four] = _mm512_unpacklo_epi64(low(0), low(2));
        fours[four + 1] = _mm512_unpackhi_epi64(low(0), low(2));
        fours[four + 2] = _mm512_unpacklo_epi64(high(0), high(2));
        fours[four + 3] = _mm512_unpackhi_epi64(high(0), high(2));
    }
    let mut columns = [_mm512_setzero_si512(); 16];
    for c in 0..4 {
        let even = |a: usize| _mm512_shuffle_i32x4::<EVEN>(fours[a + c], fours[a + 4 + c]);
        let odd = |a: usize| _mm512_shuffle_i32x4::<ODD>(fours[a + c], fours[a + 4 + c]);
        columns[c] = _mm512_shuffle_i32x4::<EVEN>(even(0), even(8));
        columns[4 + c] = _mm512_shuffle_i32x4::<EVEN>(odd(0), odd(8));
        columns[8 + c] = _mm512_shuffle_i32x4::<ODD>(even(0), even(8));
        columns[12 + c] = _mm512_shuffle_i32x4::<ODD>(odd(0), odd(8));
    }
    columns
}
