//! Matrix products and convolutions with constant weights, int8 and f32.
//!
//! A convolution is a product too, whose left side is gathered window by window while it runs (implicit GEMM). Read
//! `driver` for the loops, `tile` for what a micro kernel is, `x86` and `arm` for those.

#[cfg(target_arch = "aarch64")]
mod arm;
mod buffer;
mod driver;
mod epilogue;
mod float;
mod int8;
mod left;
mod reference;
mod rows;
mod tile;
mod weights;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(all(test, target_os = "linux", target_pointer_width = "64"))]
mod bounds;
#[cfg(test)]
mod tests;
pub use buffer::Memory;
pub use epilogue::{Epilogue, Factor};
pub use float::WeightsF32;
pub use int8::{ActivationLayout, Activations, WeightsI8};
pub use left::Left;
pub use rows::Window;
pub use weights::{GATED, Order, Part, in_packed_order};

use tile::Tile;

use crate::isa::Isa;

/// Something to do with the int8 micro kernel of a family, whichever it is.
trait WithI8 {
    type Output;
    fn run<T: Tile<Weight = i8, Activation = u8, Sum = i32>>(self, tile: T) -> Self::Output;
}

/// Something to do with the f32 micro kernel of a family, whichever it is.
trait WithF32 {
    type Output;
    fn run<T: Tile<Weight = f32, Activation = f32, Sum = f32>>(self, tile: T) -> Self::Output;
}

/// Here, and only here, a family becomes a micro kernel.
fn with_i8<W: WithI8>(isa: Isa, what: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    match isa {
        Isa::Avx512Vnni => {
            if let Some(tile) = x86::Avx512VnniI8x12x32::new() {
                return what.run(tile);
            }
        }
        Isa::AvxVnni => {
            if let Some(tile) = x86::AvxVnniI8x6x16::new() {
                return what.run(tile);
            }
        }
        Isa::Avx2 => {
            if let Some(tile) = x86::Avx2I8x6x16::new() {
                return what.run(tile);
            }
        }
        _ => {}
    }
    #[cfg(target_arch = "aarch64")]
    match isa {
        Isa::NeonI8mm => {
            if let Some(tile) = arm::NeonI8mmI8x8x12::new() {
                return what.run(tile);
            }
        }
        Isa::NeonDot => {
            if let Some(tile) = arm::NeonDotI8x8x8::new() {
                return what.run(tile);
            }
        }
        Isa::Neon => {
            if let Some(tile) = arm::NeonI8x4x4::new() {
                return what.run(tile);
            }
        }
        _ => {}
    }
    let _ = isa;
    what.run(reference::ReferenceI8x4x8)
}

/// As [`with_i8`], for f32.
fn with_f32<W: WithF32>(isa: Isa, what: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    match isa {
        Isa::Avx512Vnni => {
            if let Some(tile) = x86::Avx512F32x12x32::new() {
                return what.run(tile);
            }
        }
        Isa::AvxVnni | Isa::Avx2 => {
            if let Some(tile) = x86::Avx2F32x6x16::new() {
                return what.run(tile);
            }
        }
        _ => {}
    }
    #[cfg(target_arch = "aarch64")]
    match isa {
        Isa::NeonI8mm | Isa::NeonDot | Isa::Neon => {
            if let Some(tile) = arm::NeonF32x8x8::new() {
                return what.run(tile);
            }
        }
        _ => {}
    }
    let _ = isa;
    what.run(reference::ReferenceF32x4x16)
}
