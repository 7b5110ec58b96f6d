//! The arithmetic of attention with dot products of bytes, `sdot`, and multiplications of 8 f16.

#![allow(unsafe_code, reason = "vector instructions")]

mod dot;
mod half;

use super::arithmetic::{Arithmetic, Start};
use super::int8::{Bytes, Dot};
use crate::isa::Isa;
use crate::vector::Vectorized;

/// Keys, or features of values, of a tile: one vector of units.
const TILE: usize = 4;

/// Queries of a group: four vectors.
const LANES: usize = 16;

/// f16 beside products of bytes, held as a proof that the CPU has both: FP16 and DotProd.
#[derive(Debug, Clone, Copy)]
pub(super) struct Half(());

impl Half {
    pub(super) fn detect() -> Option<Self> {
        let fp16 = std::arch::is_aarch64_feature_detected!("fp16");
        (fp16 && Isa::NeonDot.is_available()).then_some(Self(()))
    }
}

/// What weighs the values: for products of queries and keys there is [`Int8`](super::int8::Int8).
impl Arithmetic<TILE, LANES> for Half {
    const FEATURES: usize = 1;
    const TOKENS: usize = 2;
    const BOUNDED: bool = true;

    #[inline(always)]
    fn run<V: Vectorized>(self, computation: V) -> V::Output {
        // SAFETY: `self` proves the features.
        unsafe { run_half(computation) }
    }

    #[inline(always)]
    fn pack_tokens(self, first: &[f32], last: &[f32], factor: f32, to: &mut [f32]) {
        // SAFETY: `self` proves the features.
        unsafe { half::pairs(first, last, factor, to) }
    }

    #[inline(always)]
    fn accumulate<const FMA: bool>(
        self,
        a: &[[f32; TILE]],
        b: &[[f32; LANES]],
        start: Start<LANES>,
        sums: &mut [[f32; LANES]; TILE],
    ) {
        // SAFETY: `self` proves the features.
        unsafe { half::accumulate(a, b, start, sums) }
    }

    #[inline(always)]
    fn weigh<const FMA: bool>(
        self,
        scores: &mut [[f32; LANES]],
        maximum: &[f32; LANES],
    ) -> [f32; LANES] {
        // SAFETY: `self` proves the features.
        unsafe { half::weigh(scores, maximum) }
    }
}

impl Dot<TILE, LANES> for Half {
    type Values = Self;
    const UNSIGNED: bool = false;

    #[inline(always)]
    fn values(self) -> Self {
        self
    }

    #[inline(always)]
    fn run<V: Vectorized>(self, computation: V) -> V::Output {
        Arithmetic::run(self, computation)
    }

    #[inline(always)]
    fn dot(self, keys: Bytes<TILE>, queries: Bytes<LANES>, scores: &mut [[f32; LANES]; TILE]) {
        // SAFETY: `self` proves the features.
        unsafe { dot::tile(keys, queries, scores) }
    }
}

#[target_feature(enable = "neon,dotprod,fp16")]
fn run_half<V: Vectorized>(computation: V) -> V::Output {
    computation.run::<true>()
}
