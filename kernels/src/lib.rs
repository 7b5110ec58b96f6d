//! The arithmetic of easel: int8 and f32 matrix products, convolution, attention, norms.
//!
//! Slices and shapes in, slices out: nothing here knows a graph, a file or a model. It is a crate of its own so that its
//! tests, each variant on the CPU it is for, build in seconds and need no network runtime.
//!
//! Where to read on: [`isa`] is what the CPU can do and which kernels that means; [`threads`] is how work is shared;
//! [`vector`] is how plain loops become vector code.

pub mod attention;
pub mod compact;
pub mod elementwise;
pub mod gemm;
pub mod heap;
pub mod isa;
pub mod norm;
pub mod program;
pub mod quantize;
pub mod rotary;
pub mod threads;
pub mod vector;
