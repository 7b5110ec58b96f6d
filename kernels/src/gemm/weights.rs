//! Weights in the order in which micro kernels read them.

use super::buffer::Buffer;
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

/// `[n / NR][k / KR][NR][KR]`, zeros where n or k do not fill.
#[derive(Debug)]
pub(crate) struct Panels<W> {
    data: Buffer<W>,
    pub(crate) n: usize,
    pub(crate) k: usize,
    /// Elements of a panel.
    panel: usize,
    /// As [`Order::gated`].
    pub(crate) gated: bool,
}

impl<W: Number> Panels<W> {
    /// Packs `weights` for a tile.
    ///
    /// # Panics
    /// When there are fewer weights than `order` reaches.
    pub(crate) fn pack<T: Tile<Weight = W>>(
        threads: &Threads,
        order: &Order,
        weights: &[W],
    ) -> Self {
        assert!(weights.len() >= order.needed(), "weights cut short");
        let (n, k) = (order.n.0, order.depth());
        let panel = T::NR * k.next_multiple_of(T::KR);
        let mut data = Buffer::zeroed(n.div_ceil(T::NR) * panel);
        if panel > 0 {
            threads.chunks(data.as_mut_slice(), panel, |number, panel| {
                pack_panel::<T>(order, weights, number * T::NR, panel);
            });
        }
        Self {
            data,
            n,
            k,
            panel,
            gated: order.gated,
        }
    }

    /// Columns come in multiples of this: whole panels, and whole groups of gates.
    pub(crate) fn multiple<T: Tile<Weight = W>>(&self) -> usize {
        if self.gated {
            (1..)
                .map(|n| n * T::NR)
                .find(|n| n.is_multiple_of(2 * GATED))
                .unwrap_or(T::NR)
        } else {
            T::NR
        }
    }

    /// The panel of columns `number * NR` and on, from step `k` on.
    pub(crate) fn steps_from<T: Tile<Weight = W>>(&self, number: usize, k: usize) -> &[W] {
        debug_assert!(k.is_multiple_of(T::KR));
        &self.data.as_slice()[number * self.panel..][..self.panel][k * T::NR..]
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.data.as_slice())
    }
}

fn pack_panel<T: Tile>(
    order: &Order,
    weights: &[T::Weight],
    first: usize,
    panel: &mut [T::Weight],
) {
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

impl Panels<i8> {
    /// Σ over k of each column.
    pub(crate) fn sums<T: Tile<Weight = i8>>(&self, threads: &Threads) -> Vec<i32> {
        let mut sums = vec![0; self.n];
        if self.panel > 0 {
            threads.chunks(&mut sums, T::NR, |number, sums| {
                for group in self.steps_from::<T>(number, 0).chunks_exact(T::NR * T::KR) {
                    for (sum, weights) in sums.iter_mut().zip(group.chunks_exact(T::KR)) {
                        *sum += weights.iter().map(|w| i32::from(*w)).sum::<i32>();
                    }
                }
            });
        }
        sums
    }
}
