//! Values weighed in f16, summed so over the keys of a block, half of them each, and in f32 from block to block.
//!
//! A unit of 4 features or 16 queries is twice as many halves: all of the first token, then all of the second.
//!
//! ```text
//! for each two keys:              5 loads of 128 bits, 16 multiply-adds: the multipliers are the limit
//!     v = 4 features of both, w0 w1 = weights of 16 queries by the first, w2 w3 = by the second
//!     for each feature f:         first[f][0] += w0·v[lane f];         first[f][1] += w1·v[lane f]
//!                                 second[f][0] += w2·v[lane 4 + f];    second[f][1] += w3·v[lane 4 + f]
//! ```

use std::arch::aarch64::*;
use std::arch::asm;

use super::{LANES, TILE};
use crate::attention::arithmetic::Start;
use crate::attention::exp2::exp2;

/// [`accumulate`](crate::attention::arithmetic::Arithmetic::accumulate) with the sums in 16 registers.
#[inline]
#[target_feature(enable = "neon,fp16")]
pub(super) fn accumulate(
    a: &[[f32; TILE]],
    b: &[[f32; LANES]],
    start: Start<LANES>,
    sums: &mut [[f32; LANES]; TILE],
) {
    let mut first = [[vdupq_n_u16(0); 2]; TILE];
    let mut second = first;
    for (a, b) in a.iter().zip(b) {
        // SAFETY: 4 units are 8 halves.
        let values = unsafe { vld1q_u16(a.as_ptr().cast()) };
        for half in 0..2 {
            // SAFETY: 4 units are 8 halves, and the row has as many from any of these on.
            let [w, w2] =
                [half, half + 2].map(|part| unsafe { vld1q_u16(b.as_ptr().add(4 * part).cast()) });
            first[0][half] = fmla::<0>(first[0][half], w, values);
            first[1][half] = fmla::<1>(first[1][half], w, values);
            first[2][half] = fmla::<2>(first[2][half], w, values);
            first[3][half] = fmla::<3>(first[3][half], w, values);
            second[0][half] = fmla::<4>(second[0][half], w2, values);
            second[1][half] = fmla::<5>(second[1][half], w2, values);
            second[2][half] = fmla::<6>(second[2][half], w2, values);
            second[3][half] = fmla::<7>(second[3][half], w2, values);
        }
    }
    for (row, sums) in sums.iter_mut().enumerate() {
        for (half, sums) in sums.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let both = widen(add(first[row][half], second[row][half]));
            for (quarter, added) in both.into_iter().enumerate() {
                let sums = &mut sums.as_chunks_mut::<4>().0[quarter];
                // SAFETY: these are 4 lanes.
                let before = unsafe { vld1q_f32(sums.as_ptr()) };
                let sum = match start {
                    Start::Zero => added,
                    Start::Kept => vaddq_f32(added, before),
                    Start::Scaled(factors) => {
                        let factors = &factors.as_chunks::<4>().0[2 * half + quarter];
                        // SAFETY: these are 4 lanes.
                        vfmaq_f32(added, before, unsafe { vld1q_f32(factors.as_ptr()) })
                    }
                };
                // SAFETY: these are 4 lanes.
                unsafe { vst1q_f32(sums.as_mut_ptr(), sum) };
            }
        }
    }
}

/// [`weigh`](crate::attention::arithmetic::Arithmetic::weigh), in pairs of keys.
#[inline]
#[target_feature(enable = "neon,fp16")]
pub(super) fn weigh(scores: &mut [[f32; LANES]], maximum: &[f32; LANES]) -> [f32; LANES] {
    let mut sums = [0.0; LANES];
    let keys = scores.len();
    for unit in 0..keys.div_ceil(2) {
        let mut weights = [[0.0; LANES]; 2];
        let pair = &scores[2 * unit..keys.min(2 * unit + 2)];
        for (weights, scores) in weights.iter_mut().zip(pair) {
            for lane in 0..LANES {
                weights[lane] = exp2::<true>(scores[lane] - maximum[lane]);
                sums[lane] += weights[lane];
            }
        }
        let to = scores[unit].as_chunks_mut::<4>().0;
        for (from, to) in weights.as_flattened().as_chunks().0.iter().zip(to) {
            round(from, to);
        }
    }
    sums
}

/// Writes features of two tokens, times a factor.
#[inline]
#[target_feature(enable = "neon,fp16")]
pub(super) fn pairs(first: &[f32], second: &[f32], factor: f32, to: &mut [f32]) {
    let tiles = first.chunks(TILE).zip(second.chunks(TILE));
    for ((first, second), to) in tiles.zip(to.as_chunks_mut::<TILE>().0) {
        let mut both = [0.0; 2 * TILE];
        for (index, (first, second)) in first.iter().zip(second).enumerate() {
            both[index] = first * factor;
            both[TILE + index] = second * factor;
        }
        round(&both, to);
    }
}

/// Writes 8 numbers as halves, the nearest.
#[inline]
#[target_feature(enable = "neon,fp16")]
fn round(from: &[f32; 8], to: &mut [f32; 4]) {
    // SAFETY: there are 4 lanes from either, and the instructions touch registers alone.
    unsafe {
        let (low, high) = (vld1q_f32(from.as_ptr()), vld1q_f32(from.as_ptr().add(4)));
        let halves: uint16x8_t;
        asm!(
            "fcvtn {halves:v}.4h, {low:v}.4s",
            "fcvtn2 {halves:v}.8h, {high:v}.4s",
            halves = out(vreg) halves,
            low = in(vreg) low,
            high = in(vreg) high,
            options(pure, nomem, nostack, preserves_flags),
        );
        vst1q_u16(to.as_mut_ptr().cast(), halves);
    }
}

/// 8 halves as numbers.
#[inline]
#[target_feature(enable = "neon,fp16")]
fn widen(halves: uint16x8_t) -> [float32x4_t; 2] {
    let (low, high);
    // SAFETY: the instructions touch registers alone.
    unsafe {
        asm!(
            "fcvtl {low:v}.4s, {halves:v}.4h",
            "fcvtl2 {high:v}.4s, {halves:v}.8h",
            low = out(vreg) low,
            high = lateout(vreg) high,
            halves = in(vreg) halves,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    [low, high]
}

/// `a + b` of halves. The compiler's intrinsics for these are newer than the oldest that this crate supports.
#[inline]
#[target_feature(enable = "neon,fp16")]
fn add(a: uint16x8_t, b: uint16x8_t) -> uint16x8_t {
    let sum;
    // SAFETY: the caller has the instruction, which touches registers alone.
    unsafe {
        asm!(
            "fadd {sum:v}.8h, {a:v}.8h, {b:v}.8h",
            sum = lateout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

/// `sum + w · v[LANE]` of halves.
#[inline]
#[target_feature(enable = "neon,fp16")]
fn fmla<const LANE: i32>(mut sum: uint16x8_t, w: uint16x8_t, v: uint16x8_t) -> uint16x8_t {
    // SAFETY: the caller has the instruction, which touches registers alone.
    unsafe {
        asm!(
            "fmla {sum:v}.8h, {w:v}.8h, {v:v}.h[{lane}]",
            sum = inout(vreg) sum,
            w = in(vreg) w,
            v = in(vreg_low16) v,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}
