//! Tiles of products of bytes by `sdot`.
//!
//! ```text
//! for each unit of features:      5 loads of 128 bits, 16 multiply-adds: the multipliers are the limit
//!     k = that of 4 keys, q0 … q3 = that of 16 queries
//!     for each key t:             c[t][0] += q0·k[lane t];  …  c[t][3] += q3·k[lane t]
//! ```

use std::arch::aarch64::*;
use std::arch::asm;

use super::{LANES, TILE};
use crate::attention::int8::Bytes;

/// [`dot`](crate::attention::int8::Dot::dot) with the sums in 16 registers.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub(super) fn tile(keys: Bytes<TILE>, queries: Bytes<LANES>, scores: &mut [[f32; LANES]; TILE]) {
    debug_assert!(queries.offset.is_none(), "both sides are signed");
    let mut sums = [[vdupq_n_s32(0); 4]; TILE];
    for (keys, queries) in keys.units.iter().zip(queries.units) {
        // SAFETY: a unit of 4 keys is 4 lanes.
        let keys = unsafe { vld1q_s8(keys.as_ptr().cast()) };
        let [row0, row1, row2, row3] = &mut sums;
        for (vector, query) in queries.as_chunks::<4>().0.iter().enumerate() {
            // SAFETY: these are 4 lanes.
            let query = unsafe { vld1q_s8(query.as_ptr().cast()) };
            row0[vector] = sdot::<0>(row0[vector], query, keys);
            row1[vector] = sdot::<1>(row1[vector], query, keys);
            row2[vector] = sdot::<2>(row2[vector], query, keys);
            row3[vector] = sdot::<3>(row3[vector], query, keys);
        }
    }
    for ((sums, &key_scale), scores) in sums.into_iter().zip(keys.scale).zip(scores) {
        let scales = queries.scale.as_chunks::<4>().0;
        let scores = scores.as_chunks_mut::<4>().0;
        for ((sums, scales), scores) in sums.into_iter().zip(scales).zip(scores) {
            // SAFETY: these are 4 lanes.
            let scales = unsafe { vld1q_f32(scales.as_ptr()) };
            let part = vmulq_f32(vcvtq_f32_s32(sums), vmulq_n_f32(scales, key_scale));
            // SAFETY: these are 4 lanes.
            unsafe { vst1q_f32(scores.as_mut_ptr(), part) };
        }
    }
}

/// `sum + q · k[LANE]`, four bytes a lane. The compiler has no stable intrinsic for it.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sdot<const LANE: i32>(mut sum: int32x4_t, q: int8x16_t, k: int8x16_t) -> int32x4_t {
    // SAFETY: the caller has the instruction, which touches registers alone.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {q:v}.16b, {k:v}.4b[{lane}]",
            sum = inout(vreg) sum,
            q = in(vreg) q,
            k = in(vreg) k,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}
