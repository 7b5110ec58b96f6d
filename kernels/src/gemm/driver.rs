//! The loops around a micro kernel.
//!
//! ```text
//! tasks, shared between threads: blocks of rows × blocks of columns
//!   for each block of k:                          its weights, block × columns, stay in the second-level cache
//!     for each MR rows:                           their activations stay in the first-level cache
//!       copy them side by side, if they are not (a convolution's are gathered here: no matrix of windows in memory)
//!       for each NR columns: micro kernel         sums += activations · weights
//!   for each row: finish(sums)                    scale, bias, activation, residual, while the sums are in cache
//! ```
//!
//! A sum is formed in the same order whatever the blocks and threads, so results are the same too.

use std::ops::Range;

use super::buffer::Buffer;
use super::rows::Rows;
use super::tile::{Strided, StridedMut, Tile};
use super::weights::Panels;
use crate::threads::Threads;

/// Bytes of weights that a block keeps in the second-level cache: half of the smallest that easel is for (A53: 512 KiB
/// shared by four cores) is too little to split further, a quarter of the larger ones.
const CACHED_WEIGHTS: usize = 256 << 10;
/// Bytes of one row's activations in a block.
const CACHED_ROW: usize = 1024;
/// Rows in a task: enough to reuse a block of weights.
const TASK_ROWS: usize = 96;
/// Where all weights are more than third-level caches hold, they are read once, for all rows if those are so few.
const LARGE_WEIGHTS: usize = 32 << 20;
const ALL_ROWS: usize = 3 * TASK_ROWS;
/// Tasks a thread, so that none waits long for the last one.
const TASKS_PER_THREAD: usize = 6;

/// How a product is cut.
struct Blocks {
    rows: usize,
    columns: usize,
    /// Steps of k, a multiple of the kernel's.
    steps: usize,
}

impl Blocks {
    fn choose<T: Tile>([m, n, k]: [usize; 3], multiple: usize, threads: usize) -> Self {
        let blocks_of_k = (k * size_of::<T::Activation>()).div_ceil(CACHED_ROW).max(1);
        let steps = k.div_ceil(blocks_of_k).next_multiple_of(T::KR);
        let large = n * k * size_of::<T::Weight>() > LARGE_WEIGHTS && m <= ALL_ROWS;
        let rows = if large { ALL_ROWS } else { TASK_ROWS }
            .next_multiple_of(T::MR)
            .min(m.next_multiple_of(T::MR));
        let cached = CACHED_WEIGHTS / (steps.max(1) * size_of::<T::Weight>());
        let wanted = if threads > 1 {
            threads * TASKS_PER_THREAD
        } else {
            1
        };
        let blocks_of_rows = m.div_ceil(rows);
        let per_task = n.div_ceil(wanted.div_ceil(blocks_of_rows));
        // Equal blocks, none wider than the cache holds.
        let count = n.div_ceil(per_task.min(cached).max(2 * T::NR)).max(1);
        let columns = n.div_ceil(count).next_multiple_of(multiple);
        Self {
            rows,
            columns,
            steps: steps.max(T::KR),
        }
    }
}

/// Computes `rows · weights` for `m` rows and hands each row's sums to `finish(row, columns, sums)`, in pieces, each once.
/// Columns are counted from the first of all, of which `weights` may be a part.
pub(super) fn product<T: Tile>(
    tile: T,
    threads: &Threads,
    m: usize,
    rows: &Rows<'_, T::Activation>,
    weights: &Panels<'_, T::Weight>,
    finish: impl Fn(usize, Range<usize>, &[T::Sum]) + Sync,
) {
    let (n, k, start) = (
        weights.columns.len(),
        weights.layout.k,
        weights.columns.start,
    );
    assert_eq!(rows.depth(), k, "activations and weights differ in depth");
    if m == 0 || n == 0 {
        return;
    }
    let multiple = weights.layout.multiple();
    let blocks = Blocks::choose::<T>([m, n, k], multiple, threads.count());
    let across = n.div_ceil(blocks.columns);
    let scratch = || Scratch::<T>::new(&blocks);
    threads.run_with(
        m.div_ceil(blocks.rows) * across,
        scratch,
        |scratch, task| {
            let (down, right) = (task / across, task % across);
            let task_rows = down * blocks.rows..m.min((down + 1) * blocks.rows);
            let columns = right * blocks.columns..n.min((right + 1) * blocks.columns);
            scratch.fill(
                tile,
                &blocks,
                rows,
                weights,
                task_rows.clone(),
                columns.clone(),
            );
            for (row, sums) in task_rows.zip(scratch.sums.as_slice().chunks(blocks.columns)) {
                let all = start + columns.start..start + columns.end;
                finish(row, all, &sums[..columns.len()]);
            }
        },
    );
}

/// A thread's memory.
struct Scratch<T: Tile> {
    /// `[rows][columns]` of a block.
    sums: Buffer<T::Sum>,
    /// `MR` rows of activations of a block of k.
    panel: Buffer<T::Activation>,
    /// One row of them, before it is interleaved.
    row: Vec<T::Activation>,
}

impl<T: Tile> Scratch<T> {
    fn new(blocks: &Blocks) -> Self {
        Self {
            sums: Buffer::zeroed(blocks.rows * blocks.columns),
            panel: Buffer::zeroed(T::MR * blocks.steps),
            row: vec![T::Activation::default(); blocks.steps],
        }
    }

    /// Fills the sums of a task.
    fn fill(
        &mut self,
        tile: T,
        blocks: &Blocks,
        rows: &Rows<'_, T::Activation>,
        weights: &Panels<'_, T::Weight>,
        task_rows: Range<usize>,
        columns: Range<usize>,
    ) {
        for k in (0..weights.layout.k.max(1)).step_by(blocks.steps) {
            let steps = blocks.steps.min(weights.layout.k - k);
            let padded = steps.next_multiple_of(T::KR);
            for first in task_rows.clone().step_by(T::MR) {
                let a = if let Some(rows) = rows.in_place::<T>(first, k, padded) {
                    rows
                } else {
                    self.gather(
                        rows,
                        first..task_rows.end.min(first + T::MR),
                        k,
                        steps,
                        padded,
                    );
                    Strided {
                        data: self.panel.as_slice(),
                        stride: padded,
                    }
                };
                let sums =
                    &mut self.sums.as_mut_slice()[(first - task_rows.start) * blocks.columns..];
                for column in columns.clone().step_by(T::NR) {
                    let c = StridedMut {
                        data: &mut sums[column - columns.start..],
                        stride: blocks.columns,
                    };
                    let b = weights.steps_from::<T>(column, k);
                    tile.run(padded / T::KR, a, b, c, k > 0);
                }
            }
        }
    }

    /// Copies rows side by side. Behind the last row and the last step anything may stand: those sums are not used, and
    /// those weights are 0. (f32 kernels take single steps, so no NaN can come from there.)
    fn gather(
        &mut self,
        rows: &Rows<'_, T::Activation>,
        which: Range<usize>,
        k: usize,
        steps: usize,
        padded: usize,
    ) {
        let panel = self.panel.as_mut_slice();
        if T::INTERLEAVED {
            for (number, row) in which.enumerate() {
                rows.copy(row, k, std::iter::once(&mut self.row[..steps]));
                interleave::<T>(&self.row[..padded], number, panel);
            }
        } else if padded > 0 {
            let panel = panel.chunks_exact_mut(padded).take(which.len());
            rows.copy(which.start, k, panel.map(|row| &mut row[..steps]));
        }
    }
}

/// Writes a row to its places in `[k / KR][MR][KR]`. The copies are of a constant length: one load and one store each.
fn interleave<T: Tile>(from: &[T::Activation], row: usize, to: &mut [T::Activation]) {
    let groups = to.chunks_exact_mut(T::MR * T::KR);
    for (from, group) in from.chunks_exact(T::KR).zip(groups) {
        group[row * T::KR..][..T::KR].copy_from_slice(from);
    }
}
