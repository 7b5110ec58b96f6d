//! Weights in the order in which micro kernels read them.

use std::ops::Range;

use super::buffer::{numbers, numbers_mut};
use super::tile::{Number, Tile};
use crate::threads::Threads;

/// Where the weight of column (output channel) `n` and step `k` stands in a slice. k has three axes, the last the fastest:
/// of a convolution kernel row, kernel column and input channel; of a matrix the last alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Columns: how many, and elements from one to the next.
    pub n: (usize, usize),
    /// Axes of k: how many, and elements from one to the next.
    pub k: [(usize, usize); 3],
    /// The second half of the columns are gates of the first: a column of the output is `value · GELU(gate)`. They are packed
    /// side by side, [`GATED`] of one and as many of the other.
    pub gated: bool,
}

/// Columns of values, and of their gates, that stand together.
pub const GATED: usize = 16;

impl Order {
    /// A matrix `[n, k]`, as `Gemm` with `transB` has it.
    #[must_use]
    pub const fn columns_first(n: usize, k: usize) -> Self {
        Self {
            n: (n, k),
            k: [(1, 0), (1, 0), (k, 1)],
            gated: false,
        }
    }

    /// A matrix `[k, n]`, as `MatMul` has it.
    #[must_use]
    pub const fn rows_first(k: usize, n: usize) -> Self {
        Self {
            n: (n, 1),
            k: [(1, 0), (1, 0), (k, n)],
            gated: false,
        }
    }

    /// A convolution's `[n, channels, height, width]`; k becomes `[height, width, channels]`.
    #[must_use]
    pub const fn convolution([n, channels, height, width]: [usize; 4]) -> Self {
        let plane = height * width;
        Self {
            n: (n, channels * plane),
            k: [(height, width), (width, 1), (channels, plane)],
            gated: false,
        }
    }

    /// Steps of k.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.k[0].0 * self.k[1].0 * self.k[2].0
    }

    /// Whether the columns can be gated: in whole groups.
    #[must_use]
    pub const fn can_be_gated(&self) -> bool {
        self.n.0.is_multiple_of(2 * GATED)
    }

    /// The column that is packed as number `packed`.
    pub(super) fn unpacked(&self, packed: usize) -> usize {
        if !self.gated {
            return packed;
        }
        let (group, within) = (packed / (2 * GATED), packed % (2 * GATED));
        let half = if within < GATED { 0 } else { self.n.0 / 2 };
        half + group * GATED + within % GATED
    }

    /// Where the weights of column `n` stand, in the order of k.
    pub fn column(&self, n: usize) -> impl Iterator<Item = usize> {
        let [(k0, s0), (k1, s1), (k2, s2)] = self.k;
        let start = n * self.n.1;
        let starts = (0..k0).flat_map(move |i| (0..k1).map(move |j| start + i * s0 + j * s1));
        starts.flat_map(move |start| (0..k2).map(move |c| start + c * s2))
    }

    fn needed(&self) -> usize {
        let axes = [self.n, self.k[0], self.k[1], self.k[2]];
        let last: usize = axes
            .iter()
            .map(|(count, step)| count.saturating_sub(1) * step)
            .sum();
        if axes.iter().any(|(count, _)| *count == 0) {
            0
        } else {
            last + 1
        }
    }
}

/// Values of columns, such as a bias, in the order in which weights of this order are packed.
#[must_use]
pub fn in_packed_order(order: &Order, values: Vec<f32>) -> Vec<f32> {
    if !order.gated {
        return values;
    }
    (0..values.len())
        .map(|packed| values[order.unpacked(packed)])
        .collect()
}

/// How packed weights lie: panels of `NR` columns, `[n / NR][k / KR][NR][KR]`, zeros where n or k do not fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) n: usize,
    pub(super) k: usize,
    /// Columns of a panel.
    nr: usize,
    /// Bytes of a panel.
    bytes: usize,
    /// As [`Order::gated`].
    pub(super) gated: bool,
}

impl Layout {
    pub(super) fn new<T: Tile>(order: &Order) -> Self {
        assert!(
            !order.gated || order.can_be_gated(),
            "gates in whole groups"
        );
        let (n, k) = (order.n.0, order.depth());
        Self {
            n,
            k,
            nr: T::NR,
            bytes: T::NR * k.next_multiple_of(T::KR) * size_of::<T::Weight>(),
            gated: order.gated,
        }
    }

    /// Columns come in multiples of this: whole panels, and whole groups of gates.
    pub(super) fn multiple(&self) -> usize {
        let fits = |n: &usize| !self.gated || n.is_multiple_of(2 * GATED);
        let mut multiples = (1..).map(|n| n * self.nr);
        multiples.find(fits).unwrap_or(self.nr)
    }

    /// Bytes of these columns; they begin with a panel.
    pub(super) fn bytes(&self, columns: &Range<usize>) -> usize {
        columns.len().div_ceil(self.nr) * self.bytes
    }

    /// All columns, in parts of at most so many bytes, or of the fewest columns that can be.
    pub(super) fn parts(&self, most: usize) -> Vec<Range<usize>> {
        let multiple = self.multiple();
        let each = (most / self.bytes.max(1) * self.nr / multiple).max(1) * multiple;
        // Equal ones, rather than a small one at the end.
        let each = self.n.div_ceil(self.n.div_ceil(each).max(1)).max(1);
        let each = each.next_multiple_of(multiple);
        let starts = (0..self.n).step_by(each);
        starts
            .map(|start| start..self.n.min(start + each))
            .collect()
    }
}

/// Packed weights of some columns.
#[derive(Debug, Clone)]
pub(super) struct Panels<'a, W> {
    pub(super) layout: &'a Layout,
    pub(super) columns: Range<usize>,
    data: &'a [W],
}

impl<'a, W: Number> Panels<'a, W> {
    /// # Panics
    /// When the bytes are not as many as those of the columns.
    pub(super) fn new(layout: &'a Layout, columns: Range<usize>, bytes: &'a [u8]) -> Self {
        assert!(columns.end <= layout.n, "there are no such columns");
        assert!(
            columns.start.is_multiple_of(layout.multiple()),
            "a part begins with a panel"
        );
        assert_eq!(bytes.len(), layout.bytes(&columns), "bytes of a part");
        Self {
            layout,
            columns,
            data: numbers(bytes),
        }
    }

    /// The panel that begins with this column, counted from the part's first, from step `k` on.
    pub(super) fn steps_from<T: Tile<Weight = W>>(&self, column: usize, k: usize) -> &'a [W] {
        debug_assert!(column.is_multiple_of(T::NR) && k.is_multiple_of(T::KR));
        let panel = self.layout.bytes / size_of::<W>();
        &self.data[column / T::NR * panel..][..panel][k * T::NR..]
    }
}

/// Packed weights of some columns, for a product of those alone.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// Which columns, in packed order.
    pub columns: Range<usize>,
    /// Their panels, from a 4-byte boundary on; kernels like one of 64.
    pub panels: &'a [u8],
}

/// Packs some columns of `weights`, which lie in `order`.
///
/// # Panics
/// When there are fewer weights than `order` reaches, or other bytes than the columns take.
pub(super) fn pack<T: Tile>(
    threads: &Threads,
    order: &Order,
    weights: &[T::Weight],
    columns: &Range<usize>,
    panels: &mut [u8],
) {
    assert!(weights.len() >= order.needed(), "weights cut short");
    let layout = Layout::new::<T>(order);
    assert_eq!(panels.len(), layout.bytes(columns), "bytes of a part");
    if layout.bytes == 0 {
        return;
    }
    let panels = numbers_mut(panels);
    threads.chunks(
        panels,
        layout.bytes / size_of::<T::Weight>(),
        |number, panel| {
            pack_panel::<T>(order, weights, columns.start + number * T::NR, panel);
        },
    );
}

fn pack_panel<T: Tile>(
    order: &Order,
    weights: &[T::Weight],
    first: usize,
    panel: &mut [T::Weight],
) {
    panel.fill(T::Weight::default());
    let columns = T::NR.min(order.n.0 - first);
    let [(k0, s0), (k1, s1), (k2, s2)] = order.k;
    for column in 0..columns {
        let start = order.unpacked(first + column) * order.n.1;
        let place = |k: usize| (k / T::KR * T::NR + column) * T::KR + k % T::KR;
        let mut k = 0;
        for (i, j) in (0..k0).flat_map(|i| (0..k1).map(move |j| (i, j))) {
            let run = &weights[start + i * s0 + j * s1..];
            if s2 == 1 && k2.is_multiple_of(T::KR) {
                for run in run[..k2].chunks_exact(T::KR) {
                    panel[place(k)..][..T::KR].copy_from_slice(run);
                    k += T::KR;
                }
            } else {
                for weight in run.iter().step_by(s2.max(1)).take(k2) {
                    panel[place(k)] = *weight;
                    k += 1;
                }
            }
        }
    }
}

/// Σ over k of each of the part's columns.
pub(super) fn sums<T: Tile<Weight = i8>>(
    threads: &Threads,
    panels: &Panels<'_, i8>,
    sums: &mut [i32],
) {
    if panels.layout.k == 0 {
        return sums.fill(0);
    }
    threads.chunks(sums, T::NR, |number, sums| {
        sums.fill(0);
        let panel = panels.steps_from::<T>(number * T::NR, 0);
        for group in panel.chunks_exact(T::NR * T::KR) {
            for (sum, weights) in sums.iter_mut().zip(group.chunks_exact(T::KR)) {
                *sum += weights.iter().map(|w| i32::from(*w)).sum::<i32>();
            }
        }
    });
}
