//! The algorithm: how a block of queries passes over the keys and values.

#![allow(
    unsafe_code,
    reason = "a task holds the rows of the output that are its own"
)]

use std::ops::Range;

use super::arithmetic::{Arithmetic, Start};
use super::exp2::exp2;
use super::output::Rows;
use super::pack::{Aligned, Plan};
use super::{Inputs, Mask, Relative};
use crate::vector::Vectorized;

/// What a thread needs for a task: the queries, and what is known of them so far.
pub(super) struct Scratch {
    /// `[group][unit of features][lane]`
    queries: Aligned,
    /// `[group][lane]`: the largest score.
    maximum: Aligned,
    /// `[group][lane]`: the sum of weights relative to it.
    total: Aligned,
    /// `[group][feature][lane]`: the sum of values by these weights.
    weighted: Aligned,
    /// `[key][lane]`, then `[unit of keys][lane]`, of one block and group.
    scores: Aligned,
    /// `[lane][unit of features]`: the queries of a group.
    query_rows: Aligned,
    /// `[lane][feature]`: the results of a group.
    result_rows: Aligned,
}

impl Scratch {
    pub(super) fn new<const L: usize>(plan: &Plan, groups: usize) -> Self {
        Self {
            queries: Aligned::new(groups * plan.steps * L),
            maximum: Aligned::new(groups * L),
            total: Aligned::new(groups * L),
            weighted: Aligned::new(groups * plan.features * L),
            scores: Aligned::new(plan.block_keys * L),
            query_rows: Aligned::new(plan.steps * L),
            result_rows: Aligned::new(plan.features * L),
        }
    }
}

/// Groups of `L` queries and all that they attend to.
pub(super) struct QueryBlock<'a, A: Arithmetic<T, L>, const T: usize, const L: usize> {
    pub(super) inputs: Inputs<'a>,
    pub(super) plan: &'a Plan,
    pub(super) arithmetic: A,
    /// Picture and head.
    pub(super) sequence: (usize, usize),
    /// The numbers of the groups; no other task has them.
    pub(super) groups: Range<usize>,
    /// The keys and values of this picture and head, packed.
    pub(super) packed: &'a [f32],
    /// What the results are multiplied with.
    pub(super) value_scale: f32,
    pub(super) scratch: &'a mut Scratch,
    pub(super) output: &'a Rows<'a>,
}

impl<A: Arithmetic<T, L>, const T: usize, const L: usize> Vectorized for QueryBlock<'_, A, T, L> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(mut self) {
        for slot in 0..self.groups.len() {
            self.start(slot);
        }
        for block in 0..self.plan.blocks {
            let keys = self.plan.keys(block);
            for slot in 0..self.groups.len() {
                self.score::<FMA>(slot, block, keys.clone());
                let rescale = self.weigh::<FMA>(slot, keys.len());
                self.sum_values::<FMA>(slot, block, keys.len(), &rescale);
            }
        }
        for slot in 0..self.groups.len() {
            self.finish(slot);
        }
    }
}

impl<A: Arithmetic<T, L>, const T: usize, const L: usize> QueryBlock<'_, A, T, L> {
    /// The queries of the group in this slot of the scratch.
    #[inline(always)]
    fn queries(&self, slot: usize) -> Range<usize> {
        let start = (self.groups.start + slot) * L;
        start..self.inputs.attention.shape.queries.min(start + L)
    }

    /// Lays the queries out by lane, scaled; nothing is known of them yet.
    #[inline(always)]
    fn start(&mut self, slot: usize) {
        let (shape, steps) = (&self.inputs.attention.shape, self.plan.steps);
        let scale = self.inputs.attention.scale * std::f32::consts::LOG2_E;
        let queries = self.queries(slot);
        let scratch = &mut *self.scratch;
        for (lane, to) in scratch.query_rows.chunks_exact_mut(steps).enumerate() {
            let query = queries.start + lane;
            if query < queries.end {
                let features = self
                    .inputs
                    .queries
                    .row(self.sequence, query, shape.head_dim);
                self.arithmetic.pack_query(features, scale, to);
            } else {
                to.fill(0.0);
            }
        }
        let to = &mut scratch.queries[slot * steps * L..][..steps * L];
        self.arithmetic
            .transpose(&scratch.query_rows, steps, to, L, steps);
        // Finite, so that no difference of two maxima is NaN.
        scratch.maximum.as_chunks_mut()[slot] = [f32::MIN; L];
        scratch.total.as_chunks_mut()[slot] = [0.0; L];
    }

    /// The scores of a block of keys, masked.
    #[inline(always)]
    fn score<const FMA: bool>(&mut self, slot: usize, block: usize, keys: Range<usize>) {
        let plan = self.plan;
        let units = plan.packed_keys::<T>(self.packed, block);
        let queries = &self.scratch.queries.as_chunks::<L>()[slot * plan.steps..][..plan.steps];
        let scores = self.scratch.scores.as_chunks_mut::<L>();
        let sums = scores[..keys.len().next_multiple_of(T)]
            .as_chunks_mut::<T>()
            .0;
        self.arithmetic.scores::<FMA>(units, queries, sums);
        let attention = self.inputs.attention;
        let all = attention.shape.queries;
        let start = (self.groups.start + slot) * L;
        let queries = start..all.min(start + L);
        let scores = &mut scores[..keys.len()];
        if let Some(mask) = &attention.mask {
            mask.add(self.sequence, queries.clone(), keys.start, scores);
        }
        if let Some(relative) = &attention.relative {
            relative.add(self.sequence.1, all, queries, keys.start, scores);
        }
    }

    /// Turns the scores into weights relative to the largest score so far. Where that rose, what was summed before has to
    /// shrink: the factors, by lane.
    #[inline(always)]
    fn weigh<const FMA: bool>(&mut self, slot: usize, keys: usize) -> [f32; L] {
        let scratch = &mut *self.scratch;
        let scores = &mut scratch.scores.as_chunks_mut::<L>()[..keys];
        let before = scratch.maximum.as_chunks::<L>()[slot];
        let mut maximum = before;
        for scores in &*scores {
            for (maximum, &score) in maximum.iter_mut().zip(scores) {
                *maximum = if score > *maximum { score } else { *maximum };
            }
        }
        let sums = self.arithmetic.weigh::<FMA>(scores, &maximum);

        let mut rescale = [0.0; L];
        for (lane, rescale) in rescale.iter_mut().enumerate() {
            *rescale = exp2::<FMA>(before[lane] - maximum[lane]);
        }
        scratch.maximum.as_chunks_mut()[slot] = maximum;
        let totals = &mut scratch.total.as_chunks_mut::<L>()[slot];
        for (lane, total) in totals.iter_mut().enumerate() {
            *total = *total * rescale[lane] + sums[lane];
        }
        rescale
    }

    /// Adds the values of a block of keys by their weights.
    #[inline(always)]
    fn sum_values<const FMA: bool>(
        &mut self,
        slot: usize,
        block: usize,
        keys: usize,
        rescale: &[f32; L],
    ) {
        let plan = self.plan;
        let units = plan.packed_values::<T>(self.packed, block);
        let weights = &self.scratch.scores.as_chunks::<L>()[..keys.div_ceil(A::TOKENS)];
        let weighted = self.scratch.weighted.as_chunks_mut::<L>();
        let weighted = &mut weighted[slot * plan.features..][..plan.features];
        let tiles = units.chunks_exact(plan.key_steps());
        let start = if block == 0 {
            Start::Zero
        } else {
            Start::Scaled(rescale)
        };
        for (tile, sums) in tiles.zip(weighted.as_chunks_mut::<T>().0) {
            let tile = &tile[..weights.len()];
            self.arithmetic
                .accumulate::<FMA>(tile, weights, start, sums);
        }
    }

    /// Writes the means of the values.
    #[inline(always)]
    fn finish(&mut self, slot: usize) {
        let features = self.plan.features;
        let queries = self.queries(slot);
        let scratch = &mut *self.scratch;
        let from = &scratch.weighted[slot * features * L..][..features * L];
        self.arithmetic
            .transpose(from, L, &mut scratch.result_rows, features, queries.len());
        let total = &scratch.total.as_chunks::<L>()[slot];
        let rows = scratch.result_rows.chunks_exact(features);
        for ((query, row), total) in queries.zip(rows).zip(total) {
            // SAFETY: no other task has this query, and this loop comes to it once.
            let output = unsafe { self.output.row(self.sequence, query) };
            self.arithmetic
                .scale(&row[..output.len()], self.value_scale / total, output);
        }
    }
}

impl Mask<'_> {
    /// Adds the mask of these queries, by lane, to the scores of the keys from `key` on.
    #[inline(always)]
    fn add<const L: usize>(
        &self,
        (batch, head): (usize, usize),
        queries: Range<usize>,
        key: usize,
        scores: &mut [[f32; L]],
    ) {
        let start = batch * self.batch + head * self.head;
        for (index, scores) in scores.iter_mut().enumerate() {
            let start = start + (key + index) * self.key;
            for (score, query) in scores.iter_mut().zip(queries.clone()) {
                *score = masked(*score, self.data[start + query * self.query]);
            }
        }
    }
}

impl Relative<'_> {
    /// Adds what belongs to these of all queries, by lane, to the scores of the keys from `key` on.
    #[inline(always)]
    fn add<const L: usize>(
        &self,
        head: usize,
        all: usize,
        queries: Range<usize>,
        key: usize,
        scores: &mut [[f32; L]],
    ) {
        for (index, scores) in scores.iter_mut().enumerate() {
            // That of the last query comes first.
            let first = head * self.head + key + index + all - queries.end;
            let by = self.data[first..][..queries.len()].iter().rev();
            for (score, &by) in scores.iter_mut().zip(by) {
                *score = masked(*score, by);
            }
        }
    }
}

/// A score with something more, which is not yet in units of log2 e.
#[inline(always)]
fn masked(score: f32, more: f32) -> f32 {
    let sum = score + more * std::f32::consts::LOG2_E;
    if sum < f32::MIN { f32::MIN } else { sum }
}
