//! How keys and values lie while they are multiplied.

use std::ops::{Deref, DerefMut, Range};

use super::arithmetic::Arithmetic;
use super::{Inputs, Shape};
use crate::vector::Vectorized;

/// Keys between two looks at the largest score, at most: their scores and weights fit a first-level cache.
const BLOCK_KEYS: usize = 64;

/// How keys and values are packed: for each block of keys, `[key / T][unit of features][T]` of the keys, then
/// `[feature / T][unit of keys][T]` of the values, in the order that the products read them.
#[derive(Debug)]
pub(super) struct Plan {
    /// Keys, all together.
    keys: usize,
    /// Neighbours in a unit.
    depth: usize,
    /// Units of features of a key.
    pub(super) steps: usize,
    /// Keys of a block, a multiple of `T`.
    pub(super) block_keys: usize,
    /// Blocks that hold all keys.
    pub(super) blocks: usize,
    /// Features of a value, up to a multiple of `T`.
    pub(super) features: usize,
}

impl Plan {
    pub(super) fn new<const T: usize>(shape: &Shape, depth: usize) -> Self {
        let blocks = shape.keys.div_ceil(BLOCK_KEYS);
        Self {
            keys: shape.keys,
            depth,
            steps: shape.head_dim.div_ceil(depth),
            block_keys: shape.keys.div_ceil(blocks).next_multiple_of(T),
            blocks,
            features: shape.value_dim.next_multiple_of(T),
        }
    }

    /// Units of keys of a block.
    pub(super) fn key_steps(&self) -> usize {
        self.block_keys / self.depth
    }

    /// Units that the keys of a block take.
    fn key_units(&self) -> usize {
        self.block_keys * self.steps
    }

    /// Units that a block takes.
    pub(super) fn block_units(&self) -> usize {
        self.key_units() + self.features * self.key_steps()
    }

    /// The keys of a block that there are.
    pub(super) fn keys(&self, block: usize) -> Range<usize> {
        let start = block * self.block_keys;
        start..self.keys.min(start + self.block_keys)
    }

    /// The keys of a block.
    #[inline(always)]
    pub(super) fn packed_keys<'a, U, const T: usize>(
        &self,
        packed: &'a [U],
        block: usize,
    ) -> &'a [[U; T]] {
        let units = &packed[block * self.block_units()..][..self.key_units()];
        units.as_chunks().0
    }

    /// The values of a block.
    #[inline(always)]
    pub(super) fn packed_values<'a, U, const T: usize>(
        &self,
        packed: &'a [U],
        block: usize,
    ) -> &'a [[U; T]] {
        let units = &packed[block * self.block_units()..][..self.block_units()];
        units[self.key_units()..].as_chunks().0
    }
}

/// A block of keys and values to pack.
pub(super) struct KeyBlock<'a, A: Arithmetic<T, L>, const T: usize, const L: usize> {
    pub(super) inputs: Inputs<'a>,
    pub(super) plan: &'a Plan,
    pub(super) arithmetic: A,
    /// Picture and head.
    pub(super) sequence: (usize, usize),
    pub(super) block: usize,
    /// Room for the keys of a tile.
    pub(super) rows: &'a mut Aligned<A::Unit>,
    /// Where it goes; zeros.
    pub(super) units: &'a mut [A::Unit],
}

impl<A: Arithmetic<T, L>, const T: usize, const L: usize> Vectorized for KeyBlock<'_, A, T, L> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let (shape, plan) = (&self.inputs.attention.shape, self.plan);
        let keys = plan.keys(self.block);
        let (key_units, value_units) = self.units.split_at_mut(plan.key_units());

        let tiles = key_units.chunks_exact_mut(plan.steps * T);
        for (first, tile) in keys.clone().step_by(T).zip(tiles) {
            let count = T.min(keys.end - first);
            let rows = &mut self.rows[..count * plan.steps];
            for (index, to) in rows.chunks_exact_mut(plan.steps).enumerate() {
                let row = self
                    .inputs
                    .keys
                    .row(self.sequence, first + index, shape.head_dim);
                pack_row::<A, T, L>(row, 1.0, to);
            }
            self.arithmetic
                .transpose(rows, plan.steps, tile, T, plan.steps);
        }

        let steps = plan.key_steps();
        let tiles = value_units.as_chunks_mut::<T>().0;
        for (step, key) in keys.clone().step_by(A::DEPTH).enumerate() {
            let value = |key| self.inputs.values.row(self.sequence, key, shape.value_dim);
            let (first, second) = (value(key), value((key + A::DEPTH - 1).min(keys.end - 1)));
            // What the odd last key is paired with counts nothing.
            let kept = if key + 1 < keys.end { 1.0 } else { 0.0 };
            let tiles = tiles.iter_mut().skip(step).step_by(steps);
            for ((first, second), to) in first.chunks(T).zip(second.chunks(T)).zip(tiles) {
                for ((&first, &second), to) in first.iter().zip(second).zip(to) {
                    *to = A::unit([first, second * kept]);
                }
            }
        }
    }
}

/// The features of a token, times a factor, in units, the last filled with zeros.
#[inline(always)]
pub(super) fn pack_row<A: Arithmetic<T, L>, const T: usize, const L: usize>(
    features: &[f32],
    factor: f32,
    to: &mut [A::Unit],
) {
    let whole = features.chunks_exact(A::DEPTH);
    let rest = whole.remainder();
    for (features, to) in whole.zip(&mut *to) {
        *to = A::unit([features[0] * factor, features[A::DEPTH - 1] * factor]);
    }
    if let ([feature], Some(to)) = (rest, to.last_mut()) {
        *to = A::unit([feature * factor, 0.0]);
    }
}

/// Zeros, at first, that begin where a cache line does: a vector across two lines takes twice as long.
#[derive(Debug)]
pub(super) struct Aligned<E> {
    data: Vec<E>,
    start: usize,
}

impl<E: Copy + Default> Aligned<E> {
    pub(super) fn new(len: usize) -> Self {
        const LINE: usize = 64;
        let mut data = vec![E::default(); len + LINE / size_of::<E>()];
        let start = data.as_ptr().align_offset(LINE);
        data.truncate(start + len);
        Self { data, start }
    }

    /// All of it in rows of `N`.
    #[inline(always)]
    pub(super) fn as_chunks<const N: usize>(&self) -> &[[E; N]] {
        self.data[self.start..].as_chunks().0
    }

    /// All of it in rows of `N`.
    #[inline(always)]
    pub(super) fn as_chunks_mut<const N: usize>(&mut self) -> &mut [[E; N]] {
        self.data[self.start..].as_chunks_mut().0
    }
}

impl<E> Deref for Aligned<E> {
    type Target = [E];

    #[inline(always)]
    fn deref(&self) -> &[E] {
        &self.data[self.start..]
    }
}

impl<E> DerefMut for Aligned<E> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [E] {
        &mut self.data[self.start..]
    }
}
