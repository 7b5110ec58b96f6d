//! Matrix products and convolutions with constant weights, int8 and f32.
//!
//! A convolution is a product too, whose left side is gathered window by window while it runs (implicit GEMM). Read
//! [`driver`] for the loops, [`tile`] for what a micro kernel is, `x86` and `arm` for those.

#[cfg(target_arch = "aarch64")]
mod arm;
mod buffer;
mod driver;
mod epilogue;
mod reference;
mod rows;
mod tile;
mod weights;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
mod tests;

pub use epilogue::Epilogue;
pub use rows::Window;
pub use weights::Order;

use epilogue::{Dequantize, Output};
use rows::Rows;
use tile::{Strided, Tile};
use weights::Panels;

use crate::isa::Isa;
use crate::quantize::Format;
use crate::threads::Threads;
use crate::vector::Level;

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

/// Weights `[n, k]` of int8 with a scale for each column (output channel), packed for one family of kernels.
#[derive(Debug)]
pub struct WeightsI8 {
    isa: Isa,
    panels: Panels<i8>,
    /// Σ over k of each column: what a zero point of the activations adds.
    sums: Vec<i32>,
    scales: Vec<f32>,
}

/// Activations as the int8 kernels of a family read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivationLayout {
    /// How a byte is to be read.
    pub format: Format,
    /// Rows are best padded with their zero point to a multiple of this.
    pub multiple: usize,
}

/// Quantized activations: `x = scale · (byte − zero)`, with one scale and zero point for each row or for each image.
#[derive(Debug, Clone, Copy)]
pub struct Activations<'a> {
    /// Rows of bytes in the [format](ActivationLayout) of the kernels.
    pub data: &'a [u8],
    /// Bytes from one row to the next; ignored for images, which lie without gaps.
    pub stride: usize,
    /// One for each row, or for each image.
    pub scales: &'a [f32],
    /// One for each row, or for each image.
    pub zeros: &'a [i32],
}

/// The left side of a product.
#[derive(Debug, Clone, Copy)]
pub enum Left<'a> {
    /// Rows `[m, k]`, of which `rows_per_image` belong together.
    Matrix {
        /// m.
        rows: usize,
        /// Rows that share what [`Epilogue::per_image`] gives.
        rows_per_image: usize,
    },
    /// Images `[n, height, width, channels]` that a convolution sees through this window.
    Images(&'a Window),
}

impl Left<'_> {
    fn rows(&self) -> usize {
        match self {
            Self::Matrix { rows, .. } => *rows,
            Self::Images(window) => window.input[0] * self.rows_per_image(),
        }
    }

    fn rows_per_image(&self) -> usize {
        match self {
            Self::Matrix { rows_per_image, .. } => *rows_per_image,
            Self::Images(window) => window.output().iter().product(),
        }
    }
}

impl WeightsI8 {
    /// Packs `weights` that lie in `order`, with one scale a column.
    ///
    /// # Panics
    /// When there are fewer weights than `order` reaches, a weight is −128 (no kernel could take it: pairs of products
    /// must fit 16 bits on Arm), or the scales are not one a column.
    #[must_use]
    pub fn pack(
        isa: Isa,
        threads: &Threads,
        order: &Order,
        weights: &[i8],
        scales: Vec<f32>,
    ) -> Self {
        struct Pack<'a>(&'a Threads, &'a Order, &'a [i8]);
        impl WithI8 for Pack<'_> {
            type Output = (Panels<i8>, Vec<i32>);
            fn run<T: Tile<Weight = i8>>(self, _tile: T) -> Self::Output {
                let panels = Panels::pack::<T>(self.0, self.1, self.2);
                let sums = panels.sums::<T>(self.0);
                (panels, sums)
            }
        }
        assert_eq!(scales.len(), order.n.0, "one scale a column");
        assert!(!weights.contains(&i8::MIN), "weights are -127 to 127");
        let (panels, sums) = with_i8(isa, Pack(threads, order, weights));
        Self {
            isa,
            panels,
            sums,
            scales,
        }
    }

    /// Columns: output channels.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.panels.n
    }

    /// Steps of k: input channels, times the taps of a convolution.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.panels.k
    }

    /// Bytes of memory that the weights take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.panels.bytes() + size_of_val(&self.sums[..]) + size_of_val(&self.scales[..])
    }

    /// What the activations must be like.
    #[must_use]
    pub fn activations(&self) -> ActivationLayout {
        struct Layout;
        impl WithI8 for Layout {
            type Output = ActivationLayout;
            fn run<T: Tile>(self, _tile: T) -> ActivationLayout {
                ActivationLayout {
                    format: if T::SIGNED {
                        Format::Signed
                    } else {
                        Format::Unsigned
                    },
                    multiple: T::KR,
                }
            }
        }
        with_i8(self.isa, Layout)
    }

    /// `out[m, n] = epilogue(left · weights)`: sums are exact, in int32.
    ///
    /// # Panics
    /// When a slice is too short for the shapes.
    pub fn multiply(
        &self,
        threads: &Threads,
        left: Left<'_>,
        activations: Activations<'_>,
        epilogue: &Epilogue<'_>,
        out: &mut [f32],
    ) {
        let rows = match left {
            Left::Matrix { .. } => Rows::Matrix {
                rows: Strided {
                    data: activations.data,
                    stride: activations.stride,
                },
                k: self.depth(),
            },
            Left::Images(window) => Rows::Windows {
                window,
                pixels: activations.data,
                outside: &outside(activations.zeros),
            },
        };
        // For one scale a row the "image" of a row is the row itself.
        let rows_per_scale = (left.rows() / activations.scales.len().max(1)).max(1);
        let product = ProductI8 {
            weights: self,
            threads,
            left,
            rows,
            activations,
            rows_per_scale,
            epilogue,
            out: Output::new(out),
        };
        with_i8(self.isa, product);
    }
}

/// The bytes of zero points, signed or not.
fn outside(zeros: &[i32]) -> Vec<u8> {
    zeros.iter().map(|zero| zero.to_le_bytes()[0]).collect()
}

struct ProductI8<'a> {
    weights: &'a WeightsI8,
    threads: &'a Threads,
    left: Left<'a>,
    rows: Rows<'a, u8>,
    activations: Activations<'a>,
    rows_per_scale: usize,
    epilogue: &'a Epilogue<'a>,
    out: Output<'a>,
}

impl WithI8 for ProductI8<'_> {
    type Output = ();

    fn run<T: Tile<Weight = i8, Activation = u8, Sum = i32>>(self, tile: T) {
        let WeightsI8 {
            panels,
            sums: column_sums,
            scales,
            ..
        } = self.weights;
        let (n, level) = (panels.n, Level::of(self.weights.isa));
        let per_image = self.left.rows_per_image().max(1);
        driver::product(
            tile,
            self.threads,
            self.left.rows(),
            &self.rows,
            panels,
            |row, columns, sums| {
                // SAFETY: the driver gives each row's columns once, so no two parts overlap.
                #[allow(unsafe_code, reason = "a part of the output of its own")]
                let out = unsafe { self.out.part(row * n + columns.start, columns.len()) };
                let scale = row / self.rows_per_scale;
                let dequantize = Dequantize {
                    zero: self.activations.zeros[scale],
                    row_scale: self.activations.scales[scale],
                    column_sums: &column_sums[columns.clone()],
                    column_scales: &scales[columns.clone()],
                };
                let mut finish = self
                    .epilogue
                    .row(row, row / per_image, n, columns, sums, out);
                finish.dequantize = Some(dequantize);
                level.run(finish);
            },
        );
    }
}

/// Weights `[n, k]` of f32, packed for one family of kernels.
#[derive(Debug)]
pub struct WeightsF32 {
    isa: Isa,
    panels: Panels<f32>,
}

impl WeightsF32 {
    /// Packs `weights` that lie in `order`.
    ///
    /// # Panics
    /// When there are fewer weights than `order` reaches.
    #[must_use]
    pub fn pack(isa: Isa, threads: &Threads, order: &Order, weights: &[f32]) -> Self {
        struct Pack<'a>(&'a Threads, &'a Order, &'a [f32]);
        impl WithF32 for Pack<'_> {
            type Output = Panels<f32>;
            fn run<T: Tile<Weight = f32>>(self, _tile: T) -> Panels<f32> {
                Panels::pack::<T>(self.0, self.1, self.2)
            }
        }
        let panels = with_f32(isa, Pack(threads, order, weights));
        Self { isa, panels }
    }

    /// Columns: output channels.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.panels.n
    }

    /// Steps of k: input channels, times the taps of a convolution.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.panels.k
    }

    /// Bytes of memory that the weights take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.panels.bytes()
    }

    /// `out[m, n] = epilogue(left · weights)` for activations `x`: rows or images without gaps.
    ///
    /// # Panics
    /// When a slice is too short for the shapes.
    pub fn multiply(
        &self,
        threads: &Threads,
        left: Left<'_>,
        x: &[f32],
        epilogue: &Epilogue<'_>,
        out: &mut [f32],
    ) {
        let outside;
        let rows = match left {
            Left::Matrix { .. } => Rows::Matrix {
                rows: Strided {
                    data: x,
                    stride: self.depth(),
                },
                k: self.depth(),
            },
            Left::Images(window) => {
                outside = vec![0.0; window.input[0]];
                Rows::Windows {
                    window,
                    pixels: x,
                    outside: &outside,
                }
            }
        };
        let product = ProductF32 {
            weights: self,
            threads,
            left,
            rows,
            epilogue,
            out: Output::new(out),
        };
        with_f32(self.isa, product);
    }
}

struct ProductF32<'a> {
    weights: &'a WeightsF32,
    threads: &'a Threads,
    left: Left<'a>,
    rows: Rows<'a, f32>,
    epilogue: &'a Epilogue<'a>,
    out: Output<'a>,
}

impl WithF32 for ProductF32<'_> {
    type Output = ();

    fn run<T: Tile<Weight = f32, Activation = f32, Sum = f32>>(self, tile: T) {
        let panels = &self.weights.panels;
        let (n, level) = (panels.n, Level::of(self.weights.isa));
        let per_image = self.left.rows_per_image().max(1);
        driver::product(
            tile,
            self.threads,
            self.left.rows(),
            &self.rows,
            panels,
            |row, columns, sums| {
                // SAFETY: the driver gives each row's columns once, so no two parts overlap.
                #[allow(unsafe_code, reason = "a part of the output of its own")]
                let out = unsafe { self.out.part(row * n + columns.start, columns.len()) };
                level.run(
                    self.epilogue
                        .row(row, row / per_image, n, columns, sums, out),
                );
            },
        );
    }
}
