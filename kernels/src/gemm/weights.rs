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
}

impl Order {
    /// A matrix `[n, k]`, as `Gemm` with `transB` has it.
    #[must_use]
    pub const fn columns_first(n: usize, k: usize) -> Self {
        Self {
            n: (n, k),
            k: [(1, 0), (1, 0), (k, 1)],
        }
    }

    /// A matrix `[k, n]`, as `MatMul` has it.
    #[must_use]
    pub const fn rows_first(k: usize, n: usize) -> Self {
        Self {
            n: (n, 1),
            k: [(1, 0), (1, 0), (k, n)],
        }
    }

    /// A convolution's `[n, channels, height, width]`; k becomes `[height, width, channels]`.
    #[must_use]
    pub const fn convolution([n, channels, height, width]: [usize; 4]) -> Self {
        let plane = height * width;
        Self {
            n: (n, channels * plane),
            k: [(height, width), (width, 1), (channels, plane)],
        }
    }

    /// Steps of k.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.k[0].0 * self.k[1].0 * self.k[2].0
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

/// `[n / NR][k / KR][NR][KR]`, zeros where n or k do not fill.
#[derive(Debug)]
pub(crate) struct Panels<W> {
    data: Buffer<W>,
    pub(crate) n: usize,
    pub(crate) k: usize,
    /// Elements of a panel.
    panel: usize,
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
        Self { data, n, k, panel }
    }

    /// The panel of columns `number * NR` and on, from step `k` on.
    pub(crate) fn from_step<T: Tile<Weight = W>>(&self, number: usize, k: usize) -> &[W] {
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
        let start = (first + column) * order.n.1;
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
                for group in self.from_step::<T>(number, 0).chunks_exact(T::NR * T::KR) {
                    for (sum, weights) in sums.iter_mut().zip(group.chunks_exact(T::KR)) {
                        *sum += weights.iter().map(|w| i32::from(*w)).sum::<i32>();
                    }
                }
            });
        }
        sums
    }
}
