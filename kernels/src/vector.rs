//! Plain loops made vector code: one body of Rust, compiled once for each level of instructions.
//!
//! A computation is a value that implements [`Vectorized`]; [`Level::run`] runs its body inside a function that the
//! compiler may use those instructions in. The body and all that it calls must be `#[inline(always)]`.

#![allow(
    unsafe_code,
    reason = "calling a function compiled for more instructions than the crate"
)]

use crate::isa::Isa;

/// A computation whose loops the compiler turns into vector code.
pub trait Vectorized {
    /// What it gives.
    type Output;

    /// The computation, `#[inline(always)]`. `FMA`: fused multiply-add is an instruction here; see [`madd`].
    fn run<const FMA: bool>(self) -> Self::Output;
}

/// `a * b + c`, fused where that is one instruction.
#[inline(always)]
pub fn madd<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Instructions for f32 loops, held as a proof that the CPU has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What every CPU of the target has.
    Base,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The level that goes with a family of kernels; the base where the CPU lacks it.
    #[must_use]
    pub fn of(isa: Isa) -> Self {
        Self(match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni if isa.is_available() => Kind::Avx512,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::AvxVnni if isa.is_available() => Kind::Avx2,
            _ => Kind::Base,
        })
    }

    /// Runs the computation with this level's instructions.
    #[inline]
    pub fn run<V: Vectorized>(self, computation: V) -> V::Output {
        match self.0 {
            Kind::Base => computation.run::<{ cfg!(target_arch = "aarch64") }>(),
            // SAFETY: `of` gives this level only when `is_available` found AVX2 and FMA.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { avx2(computation) },
            // SAFETY: `of` gives this level only when `is_available` found these AVX-512 extensions.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => unsafe { avx512(computation) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<V: Vectorized>(computation: V) -> V::Output {
    computation.run::<true>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
fn avx512<V: Vectorized>(computation: V) -> V::Output {
    computation.run::<true>()
}
