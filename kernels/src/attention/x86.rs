//! The arithmetic of attention with AVX-512: tiles of 8 × 32 sums, which the compiler leaves in memory by itself, and
//! products of bfloat16.

#![allow(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::arithmetic::{Arithmetic, Start, Word, weigh};
use crate::isa::Isa;
use crate::vector::{Level, Vectorized};

/// Keys, or features of values, of a tile.
const TILE: usize = 8;

/// Queries of a group.
const LANES: usize = 32;

/// f32 with AVX-512, held as a proof that the CPU has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        Isa::Avx512Vnni.is_available().then_some(Self(()))
    }
}

impl Arithmetic<TILE, LANES> for Avx512 {
    const DEPTH: usize = 1;

    type Unit = f32;

    #[inline(always)]
    fn run<V: Vectorized>(self, computation: V) -> V::Output {
        Level::of(Isa::Avx512Vnni).run(computation)
    }

    #[inline(always)]
    fn unit(elements: [f32; 2]) -> f32 {
        elements[0]
    }

    #[inline(always)]
    fn accumulate<const FMA: bool>(
        self,
        a: &[[f32; TILE]],
        b: &[[f32; LANES]],
        start: Start<LANES>,
        sums: &mut [[f32; LANES]; TILE],
    ) {
        accumulate(self, a, b, start, sums);
    }

    #[inline(always)]
    fn weigh<const FMA: bool>(
        self,
        scores: &[[f32; LANES]],
        maximum: &[f32; LANES],
        weights: &mut [[f32; LANES]],
    ) -> [f32; LANES] {
        weigh::<LANES, FMA>(scores, maximum, weights)
    }

    #[inline(always)]
    fn transpose<W: Word>(
        self,
        from: &[W],
        from_stride: usize,
        to: &mut [W],
        to_stride: usize,
        columns: usize,
    ) {
        // SAFETY: `self` proves AVX-512.
        unsafe { transpose(from, from_stride, to, to_stride, columns) }
    }
}

/// Pairs of bfloat16 with AVX-512 BF16, held as a proof that the CPU has it. A unit is a pair, the first in the low half.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bf16(Avx512);

impl Bf16 {
    pub(super) fn detect() -> Option<Self> {
        Avx512::detect()
            .filter(|_| is_x86_feature_detected!("avx512bf16"))
            .map(Self)
    }
}

impl Arithmetic<TILE, LANES> for Bf16 {
    const DEPTH: usize = 2;

    type Unit = u32;

    #[inline(always)]
    fn run<V: Vectorized>(self, computation: V) -> V::Output {
        // SAFETY: `self` proves these features.
        unsafe { run_bf16(computation) }
    }

    #[inline(always)]
    fn unit(elements: [f32; 2]) -> u32 {
        round(elements[0]) >> 16 | round(elements[1]) & 0xffff_0000
    }

    #[inline(always)]
    fn accumulate<const FMA: bool>(
        self,
        a: &[[u32; TILE]],
        b: &[[u32; LANES]],
        start: Start<LANES>,
        sums: &mut [[f32; LANES]; TILE],
    ) {
        accumulate(self, a, b, start, sums);
    }

    #[inline(always)]
    fn weigh<const FMA: bool>(
        self,
        scores: &[[f32; LANES]],
        maximum: &[f32; LANES],
        weights: &mut [[u32; LANES]],
    ) -> [f32; LANES] {
        // SAFETY: `self` proves the features.
        unsafe { weigh_bf16(scores, maximum, weights) }
    }

    #[inline(always)]
    fn transpose<W: Word>(
        self,
        from: &[W],
        from_stride: usize,
        to: &mut [W],
        to_stride: usize,
        columns: usize,
    ) {
        // SAFETY: `self` proves AVX-512.
        unsafe { transpose(from, from_stride, to, to_stride, columns) }
    }
}

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
fn run_bf16<V: Vectorized>(computation: V) -> V::Output {
    computation.run::<true>()
}

/// The bfloat16 nearest to a number (the even one of two), in the high half; the low half is anything.
#[inline(always)]
fn round(value: f32) -> u32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    // The carry would make infinity of a NaN, or zero.
    if value.is_nan() {
        bits | 0x0040_0000
    } else {
        rounded
    }
}

/// A multiplication that adds, on 16 lanes.
trait Multiply: Copy {
    type Unit: Copy;

    /// The unit in every lane.
    fn splat(self, unit: Self::Unit) -> __m512i;

    /// `a · b + sum`
    fn madd(self, a: __m512i, b: __m512i, sum: __m512) -> __m512;
}

impl Multiply for Avx512 {
    type Unit = f32;

    #[inline(always)]
    fn splat(self, unit: f32) -> __m512i {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_castps_si512(_mm512_set1_ps(unit)) }
    }

    #[inline(always)]
    fn madd(self, a: __m512i, b: __m512i, sum: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum) }
    }
}

impl Multiply for Bf16 {
    type Unit = u32;

    #[inline(always)]
    fn splat(self, unit: u32) -> __m512i {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_set1_epi32(unit.cast_signed()) }
    }

    #[inline(always)]
    fn madd(self, a: __m512i, b: __m512i, sum: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512 BF16, and the two types are 32 bfloat16 or any 64 bytes.
        unsafe { _mm512_dpbf16_ps(sum, bf16s(a), bf16s(b)) }
    }
}

/// 64 bytes as 32 bfloat16.
#[inline(always)]
fn bf16s(bits: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes of which any will do.
    unsafe { std::mem::transmute(bits) }
}

/// [`Arithmetic::accumulate`] with the sums in 16 registers.
#[inline(always)]
fn accumulate<M: Multiply>(
    multiply: M,
    a: &[[M::Unit; TILE]],
    b: &[[M::Unit; LANES]],
    start: Start<LANES>,
    sums: &mut [[f32; LANES]; TILE],
) {
    let load = |lanes: &[f32; LANES]| {
        // SAFETY: a `Multiply` proves AVX-512, and the lanes are two vectors.
        unsafe { [0, 16].map(|lane| _mm512_loadu_ps(lanes.as_ptr().add(lane))) }
    };
    // SAFETY: a `Multiply` proves AVX-512, and a row is two vectors of 16 units of 4 bytes.
    unsafe {
        let mut kept = [[_mm512_setzero_ps(); 2]; TILE];
        for (kept, sums) in kept.iter_mut().zip(&*sums) {
            match start {
                Start::Zero => {}
                Start::Kept => *kept = load(sums),
                Start::Scaled(factors) => {
                    let (sums, factors) = (load(sums), load(factors));
                    *kept = [0, 1].map(|half| _mm512_mul_ps(sums[half], factors[half]));
                }
            }
        }
        for (a, b) in a.iter().zip(b) {
            let b = [0, 16].map(|lane| _mm512_loadu_si512(b.as_ptr().add(lane).cast()));
            for (kept, &a) in kept.iter_mut().zip(a) {
                let a = multiply.splat(a);
                kept[0] = multiply.madd(a, b[0], kept[0]);
                kept[1] = multiply.madd(a, b[1], kept[1]);
            }
        }
        for (kept, sums) in kept.iter().zip(sums) {
            _mm512_storeu_ps(sums.as_mut_ptr(), kept[0]);
            _mm512_storeu_ps(sums.as_mut_ptr().add(16), kept[1]);
        }
    }
}

/// 2ˣ for x ≤ 0, exactly 1 at 0, within 8.7 · 10⁻⁵ of itself, where rounding to bfloat16 changes
/// up to 2 · 10⁻³. The polynomial is that of least largest relative error over 0 ..= 1 with 1 at 0.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn exp2_coarse(x: __m512) -> __m512 {
    const DOWN: i32 = 1;
    // x less the whole number below; for minus infinity 0.
    let f = _mm512_reduce_ps::<DOWN>(x);
    let sum = _mm512_set1_ps(0.077_067_04);
    let sum = _mm512_fmadd_ps(sum, f, _mm512_set1_ps(0.227_645));
    let sum = _mm512_fmadd_ps(sum, f, _mm512_set1_ps(0.695_116_8));
    let sum = _mm512_fmadd_ps(sum, f, _mm512_set1_ps(1.0));
    // It too takes the whole number below.
    _mm512_scalef_ps(sum, x)
}

/// [`Arithmetic::weigh`] with weights of bfloat16. The sums are of these, so that their rounding cancels in the mean.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512bf16")]
fn weigh_bf16(
    scores: &[[f32; LANES]],
    maximum: &[f32; LANES],
    weights: &mut [[u32; LANES]],
) -> [f32; LANES] {
    /// Lane n of one vector beside lane n of another that follows it.
    const INTERLEAVED: [u16; 32] = {
        let mut order = [0; 32];
        let mut index = 0;
        while index < 32 {
            order[index] = (index / 2 + index % 2 * 16) as u16;
            index += 1;
        }
        order
    };
    /// Two times 1.
    const ONES: i32 = 0x3f80_3f80;

    let mut sums = [0.0; LANES];
    for lane in [0, 16] {
        // SAFETY: a row is two vectors of 16 units of 4 bytes, and the order is one vector.
        unsafe {
            let load = |row: &[f32; LANES]| _mm512_loadu_ps(row.as_ptr().add(lane));
            let order = _mm512_loadu_si512(INTERLEAVED.as_ptr().cast());
            let maximum = load(maximum);
            let mut sum = _mm512_setzero_ps();
            for (scores, weights) in scores.chunks(2).zip(&mut *weights) {
                let first = exp2_coarse(_mm512_sub_ps(load(&scores[0]), maximum));
                let second = match scores.get(1) {
                    Some(score) => exp2_coarse(_mm512_sub_ps(load(score), maximum)),
                    None => _mm512_setzero_ps(),
                };
                let halves =
                    std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first));
                let pairs = _mm512_permutexvar_epi16(order, halves);
                _mm512_storeu_si512(weights.as_mut_ptr().add(lane).cast(), pairs);
                sum = _mm512_dpbf16_ps(sum, bf16s(pairs), bf16s(_mm512_set1_epi32(ONES)));
            }
            _mm512_storeu_ps(sums.as_mut_ptr().add(lane), sum);
        }
    }
    sums
}

/// [`Arithmetic::transpose`], 16 × 16 words at a time.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose<W: Word>(
    from: &[W],
    from_stride: usize,
    to: &mut [W],
    to_stride: usize,
    columns: usize,
) {
    const { assert!(size_of::<W>() == 4) }
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

/// The mask of the first so many of 16 words.
fn first(count: usize) -> __mmask16 {
    ((1_u32 << count) - 1) as __mmask16
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
