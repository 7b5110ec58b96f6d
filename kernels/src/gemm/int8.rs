//! Products of quantized activations with int8 weights.

#![allow(unsafe_code, reason = "threads write disjoint parts of one output")]

use std::ops::Range;

use super::buffer::Memory;
use super::driver;
use super::epilogue::{Epilogue, Output, Place, Quantized};
use super::left::Left;
use super::rows::Rows;
use super::tile::{Strided, Tile};
use super::weights::{Layout, Order, Panels, Part, in_packed_order, pack, sums};
use super::{WithI8, with_i8};
use crate::isa::Isa;
use crate::quantize::Format;
use crate::threads::Threads;
use crate::vector::Level;

/// Weights `[n, k]` of int8 with a scale for each column (output channel), packed for one family of kernels.
#[derive(Debug)]
pub struct WeightsI8 {
    isa: Isa,
    layout: Layout,
    panels: Memory,
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

impl WeightsI8 {
    /// What there is to know of weights in `order` but the weights, which come [part by part](Self::multiply_part): the
    /// scales, and the sums of columns. Both are one a column, packed as [`scales`](Self::scales) and [`sums`](Self::sums)
    /// gave them.
    ///
    /// # Panics
    /// When they are not one a column.
    #[must_use]
    pub fn without_panels(isa: Isa, order: &Order, scales: Vec<f32>, sums: Vec<i32>) -> Self {
        struct Of<'a>(&'a Order);
        impl WithI8 for Of<'_> {
            type Output = Layout;
            fn run<T: Tile<Weight = i8>>(self, _tile: T) -> Layout {
                Layout::new::<T>(self.0)
            }
        }
        assert_eq!(scales.len(), order.n.0, "one scale a column");
        assert_eq!(sums.len(), order.n.0, "one sum a column");
        Self {
            isa,
            layout: with_i8(isa, Of(order)),
            panels: Memory::zeroed(0),
            sums,
            scales,
        }
    }

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
        let scales = in_packed_order(order, scales);
        let sums = vec![0; scales.len()];
        let mut packed = Self::without_panels(isa, order, scales, sums);
        let all = 0..packed.columns();
        let mut panels = Memory::zeroed(packed.part_bytes(&all));
        packed.pack_part(threads, order, weights, all, &mut panels);
        packed.panels = panels;
        packed
    }

    /// Packs some columns of `weights` that lie in `order`: one of the [`parts`](Self::parts). Their sums are kept.
    ///
    /// # Panics
    /// As [`pack`](Self::pack), and when `panels` has not the [size](Self::part_bytes) of the part.
    pub fn pack_part(
        &mut self,
        threads: &Threads,
        order: &Order,
        weights: &[i8],
        columns: Range<usize>,
        panels: &mut [u8],
    ) {
        struct Pack<'a> {
            threads: &'a Threads,
            order: &'a Order,
            weights: &'a [i8],
            columns: Range<usize>,
            panels: &'a mut [u8],
            layout: &'a Layout,
            sums: &'a mut [i32],
        }
        impl WithI8 for Pack<'_> {
            type Output = ();
            fn run<T: Tile<Weight = i8>>(self, _tile: T) {
                pack::<T>(
                    self.threads,
                    self.order,
                    self.weights,
                    &self.columns,
                    self.panels,
                );
                let panels = Panels::new(self.layout, self.columns, self.panels);
                sums::<T>(self.threads, &panels, self.sums);
            }
        }
        assert!(!weights.contains(&i8::MIN), "weights are -127 to 127");
        let pack = Pack {
            threads,
            order,
            weights,
            panels,
            layout: &self.layout,
            sums: &mut self.sums[columns.clone()],
            columns,
        };
        with_i8(self.isa, pack);
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

    /// One scale a column, in packed order.
    #[must_use]
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// Σ over k of each column, in packed order.
    #[must_use]
    pub fn sums(&self) -> &[i32] {
        &self.sums
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
    /// When a slice is too short for the shapes, or the panels are not here.
    pub fn multiply(
        &self,
        threads: &Threads,
        left: Left<'_>,
        activations: Activations<'_>,
        epilogue: &Epilogue<'_>,
        out: &mut [f32],
    ) {
        let all = Part {
            columns: 0..self.columns(),
            panels: &self.panels,
        };
        self.multiply_part(threads, all, left, activations, epilogue, out);
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
            panels: Panels::new(&self.layout, part.columns, part.panels),
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
    panels: Panels<'a, i8>,
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
        let weights = self.weights;
        let level = Level::of(weights.isa);
        let rows = self.left.rows();
        let rows_per_image = self.left.rows_per_image().max(1);
        let finish = |row, columns: Range<usize>, sums: &[i32]| {
            let scale = row / self.rows_per_scale;
            let sums = Quantized {
                sums,
                zero: self.activations.zeros[scale],
                row_scale: self.activations.scales[scale],
                column_sums: &weights.sums[columns.clone()],
                column_scales: &weights.scales[columns.clone()],
            };
            let place = Place::new(&weights.layout, row, rows_per_image, columns);
            // SAFETY: the driver gives each row's columns once, so no two parts overlap.
            let out = unsafe { self.out.part(place.part()) };
            level.run(self.epilogue.row(&place, sums, out));
        };
        driver::product(tile, self.threads, rows, &self.rows, &self.panels, finish);
    }
}
