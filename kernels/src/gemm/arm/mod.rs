//! Micro kernels for 64-bit Arm.
//!
//! Their inner loops are assembly: the small boards are in-order cores (Cortex-A53, A55), where the order of instructions
//! is the speed, and the intrinsics for `sdot` and `smmla` are not stable Rust. What surrounds the loops is Rust.
//!
//! Each loop stands between `LLVM-MCA` marks, by which `benches/mca.sh` finds it and predicts its cycles.
//! `docs/arm-kernels.md` has those numbers and a drawing of each kernel's registers.

#![allow(
    unsafe_code,
    reason = "vector instructions on raw pointers, behind checked slices"
)]

mod i8mm;
mod lanes;
mod widening;

pub(crate) use i8mm::NeonI8mmI8x8x12;
pub(crate) use lanes::{NeonDotI8x8x8, NeonF32x8x8};
pub(crate) use widening::NeonI8x4x4;
