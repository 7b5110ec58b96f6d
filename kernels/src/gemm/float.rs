//! Products of f32.

#![allow(unsafe_code, reason = "threads write disjoint parts of one output")]

use super::driver;
use super::epilogue::{Epilogue, Output, Place};
use super::left::Left;
use super::rows::Rows;
use super::tile::{Strided, Tile};
use super::weights::{Order, Panels};
use super::{WithF32, with_f32};
use crate::isa::Isa;
use crate::threads::Threads;
use crate::vector::Level;

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
        let level = Level::of(self.weights.isa);
        let rows = self.left.rows();
        let rows_per_image = self.left.rows_per_image().max(1);
        let finish = |row, columns, sums: &[f32]| {
            let place = Place::new(panels, row, rows_per_image, columns);
            // SAFETY: the driver gives each row's columns once, so no two parts overlap.
            let out = unsafe { self.out.part(place.part()) };
            level.run(self.epilogue.row(&place, sums, out));
        };
        driver::product(tile, self.threads, rows, &self.rows, panels, finish);
    }
}
