//! The arithmetic of attention with AVX-512: tiles of 8 × 32 sums, which the compiler leaves in memory by itself, and
//! products of bfloat16.

#![allow(unsafe_code, reason = "vector instructions")]

mod dot;
mod pack;
mod tile;
mod transpose;
mod weigh;

use super::arithmetic::{Arithmetic, Plain, Start};
use super::int8::{Bytes, Dot};
use crate::isa::Isa;
use crate::vector::{Level, Vectorized};

/// Keys, or features of values, of a tile.
const TILE: usize = 8;

/// Queries of a group: two vectors.
const LANES: usize = 32;

/// f32 with AVX-512, held as a proof that the CPU has it: the extensions F, BW, DQ and VL.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        Isa::Avx512Vnni.is_available().then_some(Self(()))
    }
}

impl Arithmetic<TILE, LANES> for Avx512 {
    const FEATURES: usize = 1;
    const TOKENS: usize = 1;

    #[inline(always)]
    fn run<V: Vectorized>(self, computation: V) -> V::Output {
        Level::of(Isa::Avx512Vnni).run(computation)
    }

    #[inline(always)]
    fn scale(self, from: &[f32], factor: f32, to: &mut [f32]) {
        // SAFETY: `self` proves the feature.
        unsafe { pack::scale(from, factor, to) }
    }

    #[inline(always)]
    fn accumulate<const FMA: bool>(
        self,
        a: &[[f32; TILE]],
        b: &[[f32; LANES]],
        start: Start<LANES>,
        sums: &mut [[f32; LANES]; TILE],
    ) {
        tile::accumulate(self, a, b, start, sums);
    }

    #[inline(always)]
    fn weigh<const FMA: bool>(
        self,
        scores: &mut [[f32; LANES]],
        maximum: &[f32; LANES],
    ) -> [f32; LANES] {
        // SAFETY: `self` proves the features.
        unsafe { weigh::floats(scores, maximum) }
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
        // SAFETY: `self` proves the feature.
        unsafe { transpose::transpose(from, from_stride, to, to_stride, columns) }
    }
}

/// Pairs of bfloat16 with AVX-512 BF16, held as a proof that the CPU has it. The first of a pair is in the low half.
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
    const FEATURES: usize = 2;
    const TOKENS: usize = 2;

    #[inline(always)]
    fn run<V: Vectorized>(self, computation: V) -> V::Output {
        // SAFETY: `self` proves these features.
        unsafe { run_bf16(computation) }
    }

    #[inline(always)]
    fn scale(self, from: &[f32], factor: f32, to: &mut [f32]) {
        self.0.scale(from, factor, to);
    }

    #[inline(always)]
    fn pack_query(self, features: &[f32], factor: f32, to: &mut [f32]) {
        // SAFETY: `self` proves the features.
        unsafe { pack::neighbours(features, factor, to) }
    }

    #[inline(always)]
    fn pack_tokens(self, first: &[f32], last: &[f32], _factor: f32, to: &mut [f32]) {
        // SAFETY: `self` proves the features.
        unsafe { pack::pairs(first, last, to) }
    }

    #[inline(always)]
    fn accumulate<const FMA: bool>(
        self,
        a: &[[f32; TILE]],
        b: &[[f32; LANES]],
        start: Start<LANES>,
        sums: &mut [[f32; LANES]; TILE],
    ) {
        tile::accumulate(self, a, b, start, sums);
    }

    #[inline(always)]
    fn weigh<const FMA: bool>(
        self,
        scores: &mut [[f32; LANES]],
        maximum: &[f32; LANES],
    ) -> [f32; LANES] {
        // SAFETY: `self` proves the features.
        unsafe { weigh::pairs(scores, maximum) }
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
        self.0.transpose(from, from_stride, to, to_stride, columns);
    }
}

impl Dot<TILE, LANES> for Avx512 {
    type Values = Self;
    const UNSIGNED: bool = true;

    #[inline(always)]
    fn values(self) -> Self {
        self
    }

    #[inline(always)]
    fn run<V: Vectorized>(self, computation: V) -> V::Output {
        // SAFETY: `self` proves these features.
        unsafe { run_vnni(computation) }
    }

    #[inline(always)]
    fn dot(self, keys: Bytes<TILE>, queries: Bytes<LANES>, scores: &mut [[f32; LANES]; TILE]) {
        // SAFETY: `self` proves these features.
        unsafe { dot::wide(keys, queries, scores) }
    }
}

impl Dot<TILE, LANES> for Bf16 {
    type Values = Self;
    const UNSIGNED: bool = true;

    #[inline(always)]
    fn values(self) -> Self {
        self
    }

    #[inline(always)]
    fn run<V: Vectorized>(self, computation: V) -> V::Output {
        // SAFETY: `self` proves these features.
        unsafe { run_bf16(computation) }
    }

    #[inline(always)]
    fn dot(self, keys: Bytes<TILE>, queries: Bytes<LANES>, scores: &mut [[f32; LANES]; TILE]) {
        self.0.dot(keys, queries, scores);
    }
}

/// Products of bytes with AVX-VNNI, held as a proof that the CPU has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct AvxVnni(());

impl AvxVnni {
    /// Keys, or features of values, of a tile.
    pub(super) const TILE: usize = 4;

    /// Queries of a group: two vectors.
    pub(super) const LANES: usize = 16;

    pub(super) fn detect() -> Option<Self> {
        Isa::AvxVnni.is_available().then_some(Self(()))
    }
}

impl Dot<{ Self::TILE }, { Self::LANES }> for AvxVnni {
    type Values = Plain;
    const UNSIGNED: bool = true;

    #[inline(always)]
    fn values(self) -> Plain {
        Plain(Level::of(Isa::AvxVnni))
    }

    #[inline(always)]
    fn run<V: Vectorized>(self, computation: V) -> V::Output {
        // SAFETY: `self` proves these features.
        unsafe { run_avx_vnni(computation) }
    }

    #[inline(always)]
    fn dot(
        self,
        keys: Bytes<{ Self::TILE }>,
        queries: Bytes<{ Self::LANES }>,
        scores: &mut [[f32; Self::LANES]; Self::TILE],
    ) {
        // SAFETY: `self` proves these features.
        unsafe { dot::narrow(keys, queries, scores) }
    }
}

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn run_vnni<V: Vectorized>(computation: V) -> V::Output {
    computation.run::<true>()
}

#[target_feature(enable = "avx2,fma,avxvnni")]
fn run_avx_vnni<V: Vectorized>(computation: V) -> V::Output {
    computation.run::<true>()
}

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")]
fn run_bf16<V: Vectorized>(computation: V) -> V::Output {
    computation.run::<true>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transpositions_of_any_size_are_exact() {
        let Some(avx512) = Avx512::detect() else {
            return;
        };
        for (rows, columns) in [(1, 1), (8, 40), (16, 16), (32, 33), (47, 5)] {
            let from: Vec<f32> = (0..rows * columns).map(|index| index as f32).collect();
            let mut to = vec![0.0; rows * columns];
            avx512.transpose(&from, columns, &mut to, rows, columns);
            for (index, to) in to.iter().enumerate() {
                assert_eq!(*to, from[index % rows * columns + index / rows]);
            }
        }
    }
}
