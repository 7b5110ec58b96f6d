//! The arithmetic of attention with dot products of bytes, `sdot`; the rest is plain Rust, which the compiler makes `fmla`.

#![allow(unsafe_code, reason = "vector instructions")]

mod dot;

use super::arithmetic::Plain;
use super::int8::{Bytes, Dot};
use crate::isa::Isa;
use crate::vector::{Level, Vectorized};

/// Keys, or features of values, of a tile: one vector of units.
const TILE: usize = 4;

/// Queries of a group: four vectors.
const LANES: usize = 16;

/// Products of bytes with `sdot`, held as a proof that the CPU has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct NeonDot(());

impl NeonDot {
    pub(super) fn detect() -> Option<Self> {
        Isa::NeonDot.is_available().then_some(Self(()))
    }
}

impl Dot<TILE, LANES> for NeonDot {
    type Values = Plain;
    const UNSIGNED: bool = false;

    #[inline(always)]
    fn values(self) -> Plain {
        Plain(Level::of(Isa::NeonDot))
    }

    #[inline(always)]
    fn run<V: Vectorized>(self, computation: V) -> V::Output {
        // SAFETY: `self` proves the features.
        unsafe { run_dot(computation) }
    }

    #[inline(always)]
    fn dot(self, keys: Bytes<TILE>, queries: Bytes<LANES>, scores: &mut [[f32; LANES]; TILE]) {
        // SAFETY: `self` proves the features.
        unsafe { dot::tile(keys, queries, scores) }
    }
}

#[target_feature(enable = "neon,dotprod")]
fn run_dot<V: Vectorized>(computation: V) -> V::Output {
    computation.run::<true>()
}
