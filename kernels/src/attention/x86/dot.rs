//! Tiles of products of bytes by `vpdpbusd`: unsigned keys, signed queries.

use std::arch::x86_64::*;

use super::{AvxVnni, LANES, TILE};
use crate::attention::int8::Bytes;

/// [`dot`](crate::attention::int8::Dot::dot) with the sums in 16 registers.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vnni")]
pub(super) fn wide(keys: Bytes<TILE>, queries: Bytes<LANES>, scores: &mut [[f32; LANES]; TILE]) {
    let load = |row: &[f32; LANES]| super::tile::load(row);
    let offset = queries.offset.map_or([_mm512_setzero_ps(); 2], load);
    let mut sums = [offset.map(|offset| _mm512_castps_si512(offset)); TILE];
    for (keys, queries) in keys.units.iter().zip(queries.units) {
        let queries = load(queries).map(|units| _mm512_castps_si512(units));
        for (sums, key) in sums.iter_mut().zip(keys) {
            let key = _mm512_set1_epi32(key.to_bits().cast_signed());
            sums[0] = _mm512_dpbusd_epi32(sums[0], key, queries[0]);
            sums[1] = _mm512_dpbusd_epi32(sums[1], key, queries[1]);
        }
    }
    let scale = load(queries.scale);
    for ((sums, &key_scale), scores) in sums.into_iter().zip(keys.scale).zip(scores) {
        let scores_of = |half: usize| {
            let scale = _mm512_mul_ps(scale[half], _mm512_set1_ps(key_scale));
            _mm512_mul_ps(_mm512_cvtepi32_ps(sums[half]), scale)
        };
        super::tile::store([scores_of(0), scores_of(1)], scores);
    }
}

/// [`dot`](crate::attention::int8::Dot::dot) with the sums in 8 registers.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
pub(super) fn narrow(
    keys: Bytes<{ AvxVnni::TILE }>,
    queries: Bytes<{ AvxVnni::LANES }>,
    scores: &mut [[f32; AvxVnni::LANES]; AvxVnni::TILE],
) {
    let load = |row: &[f32; AvxVnni::LANES]| {
        // SAFETY: the row has 8 lanes from either.
        unsafe { [0, 8].map(|lane| _mm256_loadu_ps(row.as_ptr().add(lane))) }
    };
    let offset = queries.offset.map_or([_mm256_setzero_ps(); 2], load);
    let mut sums = [offset.map(|offset| _mm256_castps_si256(offset)); AvxVnni::TILE];
    for (keys, queries) in keys.units.iter().zip(queries.units) {
        let queries = load(queries).map(|units| _mm256_castps_si256(units));
        for (sums, key) in sums.iter_mut().zip(keys) {
            let key = _mm256_set1_epi32(key.to_bits().cast_signed());
            sums[0] = _mm256_dpbusd_avx_epi32(sums[0], key, queries[0]);
            sums[1] = _mm256_dpbusd_avx_epi32(sums[1], key, queries[1]);
        }
    }
    let scale = load(queries.scale);
    for ((sums, &key_scale), scores) in sums.into_iter().zip(keys.scale).zip(scores) {
        for (half, sums) in sums.into_iter().enumerate() {
            let scale = _mm256_mul_ps(scale[half], _mm256_set1_ps(key_scale));
            let part = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scale);
            // SAFETY: the row has 8 lanes from either.
            unsafe { _mm256_storeu_ps(scores.as_mut_ptr().add(8 * half), part) };
        }
    }
}
