//! Micro kernels for x86-64.

#![allow(
    unsafe_code,
    reason = "vector instructions on raw pointers, behind checked slices"
)]

mod avx2;
mod avx512;
mod avx_vnni;

pub(crate) use avx_vnni::AvxVnniI8x6x16;
pub(crate) use avx2::{Avx2F32x6x16, Avx2I8x6x16};
pub(crate) use avx512::{Avx512F32x12x32, Avx512VnniI8x12x32};
