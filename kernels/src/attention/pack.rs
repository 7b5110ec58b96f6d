//! How keys and values lie while they are multiplied.

use std::ops::{Deref, DerefMut, Range};

use super::arithmetic::Arithmetic;
use super::statistics::Common;
use super::{Inputs, Shape};
use crate::vector::Vectorized;

/// Keys between two looks at the largest score, at most: their scores and weights fit a first-level cache.
pub(super) const BLOCK_KEYS: usize = 64;

/// How keys and values are packed: for each block of keys, `[key / T][unit of features][T]` of the keys, then
/// `[feature / T][unit of keys][T]` of the values, in the order that the products read them.
#[derive(Debug)]
pub(super) struct Plan {
    /// Keys, all together.
    keys: usize,
    /// Keys in a unit of values.
    tokens: usize,
    /// Units of a query or key: of features, and what is noted of them.
    pub(super) steps: usize,
    /// Keys of a block, a multiple of `T`.
    pub(super) block_keys: usize,
    /// Blocks that hold all keys.
    pub(super) blocks: usize,
    /// Features of a value, up to a multiple of `T`.
    pub(super) features: usize,
}

impl Plan {
    pub(super) fn new<A: Arithmetic<T, L>, const T: usize, const L: usize>(shape: &Shape) -> Self {
        let blocks = shape.keys.div_ceil(BLOCK_KEYS);
        Self {
            keys: shape.keys,
            tokens: A::TOKENS,
            steps: shape.head_dim.div_ceil(A::FEATURES) + A::NOTES,
            block_keys: shape.keys.div_ceil(blocks).next_multiple_of(T),
            blocks,
            features: shape.value_dim.next_multiple_of(T),
        }
    }

    /// Units of keys of a block.
    pub(super) fn key_steps(&self) -> usize {
        self.block_keys / self.tokens
    }

    /// Units that the keys of a block take.
    fn key_units(&self) -> usize {
        self.block_keys * self.steps
    }

    /// Units that a block takes.
    pub(super) fn block_units(&self) -> usize {
        self.key_units() + self.features * self.key_steps()
    }

    /// Units that the keys of a tile take, or a row of values.
    pub(super) fn row_units<const T: usize>(&self) -> usize {
        self.features.max(T * self.steps)
    }

    /// The keys of a block that there are.
    pub(super) fn keys(&self, block: usize) -> Range<usize> {
        let start = block * self.block_keys;
        start..self.keys.min(start + self.block_keys)
    }

    /// The keys of a block.
    #[inline(always)]
    pub(super) fn packed_keys<'a, const T: usize>(
        &self,
        packed: &'a [f32],
        block: usize,
    ) -> &'a [[f32; T]] {
        let units = &packed[block * self.block_units()..][..self.key_units()];
        units.as_chunks().0
    }

    /// The values of a block.
    #[inline(always)]
    pub(super) fn packed_values<'a, const T: usize>(
        &self,
        packed: &'a [f32],
        block: usize,
    ) -> &'a [[f32; T]] {
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
    /// What is common to its tokens.
    pub(super) common: Common<'a>,
    /// Room for [`Plan::row_units`].
    pub(super) rows: &'a mut Aligned,
    /// Where it goes; zeros.
    pub(super) units: &'a mut [f32],
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
                self.arithmetic.pack_key(row, self.common.mean, to);
            }
            self.arithmetic
                .transpose(rows, plan.steps, tile, T, plan.steps);
        }

        let tiles = value_units.as_chunks_mut::<T>().0;
        let row = &mut self.rows[..plan.features];
        row.fill(0.0);
        let factor = self.common.largest.recip();
        for (step, key) in keys.clone().step_by(A::TOKENS).enumerate() {
            // The last of an odd number is paired with itself, which then weighs 0.
            let [first, last] = [key, (key + A::TOKENS - 1).min(keys.end - 1)]
                .map(|key| self.inputs.values.row(self.sequence, key, shape.value_dim));
            self.arithmetic.pack_tokens(first, last, factor, row);
            let tiles = tiles.iter_mut().skip(step).step_by(plan.key_steps());
            for (from, to) in row.as_chunks().0.iter().zip(tiles) {
                *to = *from;
            }
        }
    }
}

/// Zeros, at first, that begin where a cache line does: a vector across two lines takes twice as long.
#[derive(Debug)]
pub(super) struct Aligned {
    data: Vec<f32>,
    start: usize,
}

impl Aligned {
    pub(super) fn new(len: usize) -> Self {
        const LINE: usize = 64;
        let mut data = vec![0.0; len + LINE / size_of::<f32>()];
        let start = data.as_ptr().align_offset(LINE);
        data.truncate(start + len);
        Self { data, start }
    }

    /// All of it in rows of `N`.
    #[inline(always)]
    pub(super) fn as_chunks<const N: usize>(&self) -> &[[f32; N]] {
        (**self).as_chunks().0
    }

    /// All of it in rows of `N`.
    #[inline(always)]
    pub(super) fn as_chunks_mut<const N: usize>(&mut self) -> &mut [[f32; N]] {
        (**self).as_chunks_mut().0
    }
}

impl Deref for Aligned {
    type Target = [f32];

    #[inline(always)]
    fn deref(&self) -> &[f32] {
        &self.data[self.start..]
    }
}

impl DerefMut for Aligned {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.start..]
    }
}
