//! Products of f32.

#![allow(unsafe_code, reason = "threads write disjoint parts of one output")]

use std::ops::Range;

use super::buffer::Memory;
use super::driver;
use super::epilogue::{Epilogue, Output, Place};
use super::left::Left;
use super::rows::Rows;
use super::tile::{Strided, Tile};
use super::weights::{Layout, Order, Panels, Part, pack};
use super::{WithF32, with_f32};
use crate::isa::Isa;
use crate::threads::Threads;
use crate::vector::Level;

/// Weights `[n, k]` of f32, packed for one family of kernels.
#[derive(Debug)]
pub struct WeightsF32 {
    isa: Isa,
    layout: Layout,
    panels: Memory,
}

impl WeightsF32 {
    /// What there is to know of weights in `order` but the weights, which come [part by part](Self::multiply_part).
    #[must_use]
    pub fn without_panels(isa: Isa, order: &Order) -> Self {
        struct Of<'a>(&'a Order);
        impl WithF32 for Of<'_> {
            type Output = Layout;
            fn run<T: Tile<Weight = f32>>(self, _tile: T) -> Layout {
                Layout::new::<T>(self.0)
            }
        }
        Self {
            isa,
            layout: with_f32(isa, Of(order)),
            panels: Memory::zeroed(0),
        }
    }

    /// Packs `weights` that lie in `order`.
    ///
    /// # Panics
    /// When there are fewer weights than `order` reaches.
    #[must_use]
    pub fn pack(isa: Isa, threads: &Threads, order: &Order, weights: &[f32]) -> Self {
        let mut packed = Self::without_panels(isa, order);
        let all = 0..packed.columns();
        let mut panels = Memory::zeroed(packed.part_bytes(&all));
        packed.pack_part(threads, order, weights, all, &mut panels);
        packed.panels = panels;
        packed
    }

    /// Packs some columns of `weights` that lie in `order`: one of the [`parts`](Self::parts).
    ///
    /// # Panics
    /// When there are fewer weights than `order` reaches, or `panels` has not the [size](Self::part_bytes) of the part.
    pub fn pack_part(
        &self,
        threads: &Threads,
        order: &Order,
        weights: &[f32],
        columns: Range<usize>,
        panels: &mut [u8],
    ) {
        struct Pack<'a>(
            &'a Threads,
            &'a Order,
            &'a [f32],
            Range<usize>,
            &'a mut [u8],
        );
        impl WithF32 for Pack<'_> {
            type Output = ();
            fn run<T: Tile<Weight = f32>>(self, _tile: T) {
                pack::<T>(self.0, self.1, self.2, &self.3, self.4);
            }
        }
        with_f32(self.isa, Pack(threads, order, weights, columns, panels));
    }

    /// Columns: output channels.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.layout.n
    }

    /// Steps of k: input channels, times the taps of a convolution.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.layout.k
    }

    /// All columns in parts of at most `most` bytes, or of as few columns as kernels take.
    #[must_use]
    pub fn parts(&self, most: usize) -> Vec<Range<usize>> {
        self.layout.parts(most)
    }

    /// Bytes that these columns take when packed.
    #[must_use]
    pub fn part_bytes(&self, columns: &Range<usize>) -> usize {
        self.layout.bytes(columns)
    }

    /// `out[m, n] = epilogue(left · weights)` for activations `x`: rows or images without gaps.
    ///
    /// # Panics
    /// When a slice is too short for the shapes, or the panels are not here.
    pub fn multiply(
        &self,
        threads: &Threads,
        left: Left<'_>,
        x: &[f32],
        epilogue: &Epilogue<'_>,
        out: &mut [f32],
    ) {
        let all = Part {
            columns: 0..self.columns(),
            panels: &self.panels,
        };
        self.multiply_part(threads, all, left, x, epilogue, out);
    }

    /// The columns of the product that `part` has; `out` and `epilogue` are of all columns, and the others of `out` stay.
    ///
    /// # Panics
    /// When a slice is too short for the shapes, or the part is none of the [`parts`](Self::parts).
    pub fn multiply_part(
        &self,
        threads: &Threads,
        part: Part<'_>,
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
            isa: self.isa,
            panels: Panels::new(&self.layout, part.columns, part.panels),
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
    isa: Isa,
    panels: Panels<'a, f32>,
    threads: &'a Threads,
    left: Left<'a>,
    rows: Rows<'a, f32>,
    epilogue: &'a Epilogue<'a>,
    out: Output<'a>,
}

impl WithF32 for ProductF32<'_> {
    type Output = ();

    fn run<T: Tile<Weight = f32, Activation = f32, Sum = f32>>(self, tile: T) {
        let level = Level::of(self.isa);
        let rows = self.left.rows();
        let rows_per_image = self.left.rows_per_image().max(1);
        let finish = |row, columns, sums: &[f32]| {
            let place = Place::new(self.panels.layout, row, rows_per_image, columns);
            // SAFETY: the driver gives each row's columns once, so no two parts overlap.
            let out = unsafe { self.out.part(place.part()) };
            level.run(self.epilogue.row(&place, sums, out));
        };
        driver::product(tile, self.threads, rows, &self.rows, &self.panels, finish);
    }
}
