//! What attention asks of the instructions, and that in plain Rust.

use super::exp2::exp2;
use crate::vector::{Level, Vectorized, madd};

/// Units of features that are summed before the next tile of keys: their queries fit a first-level cache.
const PART_STEPS: usize = 128;

/// What a tile of sums begins with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start<'a, const L: usize> {
    /// Zeros.
    Zero,
    /// The sums that are there.
    Kept,
    /// The sums that are there, each times the factor of its lane.
    Scaled(&'a [f32; L]),
}

/// Sums of products, `T` × `L` at a time: `T` keys (or features of values) by `L` queries.
///
/// The summed dimension goes in units of neighbours. A unit is 32 bits, whatever they mean, held as an f32: so scores
/// become weights in place, and there is one transposition. Zeros are the unit of zeros.
pub(super) trait Arithmetic<const T: usize, const L: usize>: Copy + Sync {
    /// How many features a unit of queries and keys holds.
    const FEATURES: usize;

    /// How many tokens a unit of weights and values holds, 1 or 2; `T` is a multiple of it.
    const TOKENS: usize;

    /// How many units follow the features of a query or key, to say what these mean.
    const NOTES: usize = 0;

    /// Whether the mean of all keys is taken from each, which changes all scores of a query by the same.
    const CENTERED: bool = false;

    /// Whether values are divided by the largest of all.
    const BOUNDED: bool = false;

    /// Runs the computation with the instructions that the other methods are for.
    fn run<V: Vectorized>(self, computation: V) -> V::Output;

    /// Copies `from`, times a factor, to the beginning of `to`.
    #[inline(always)]
    fn scale(self, from: &[f32], factor: f32, to: &mut [f32]) {
        for (from, to) in from.iter().zip(to) {
            *to = from * factor;
        }
    }

    /// Writes the features of a query, times a factor, to `to` in units of features, the last filled with zeros.
    #[inline(always)]
    fn pack_query(self, features: &[f32], factor: f32, to: &mut [f32]) {
        self.scale(features, factor, to);
    }

    /// Writes the features of a key, less the mean of these if they are `CENTERED`, in the same way.
    #[inline(always)]
    fn pack_key(self, features: &[f32], mean: &[f32], to: &mut [f32]) {
        let _ = mean;
        self.pack_query(features, 1.0, to);
    }

    /// Writes the features of `TOKENS` values, which `first` and `last` are, to `to` in units of tokens; times a factor, if
    /// they are `BOUNDED`.
    #[inline(always)]
    fn pack_tokens(self, first: &[f32], last: &[f32], factor: f32, to: &mut [f32]) {
        let _ = (last, factor);
        to[..first.len()].copy_from_slice(first);
    }

    /// Adds `Σ a[s][t] · b[s][l]` over the units s to `sums[t][l]`.
    fn accumulate<const FMA: bool>(
        self,
        a: &[[f32; T]],
        b: &[[f32; L]],
        start: Start<L>,
        sums: &mut [[f32; L]; T],
    );

    /// Writes the products of queries with the keys of a block: as many units of each key as there are of the queries.
    #[inline(always)]
    fn scores<const FMA: bool>(
        self,
        keys: &[[f32; T]],
        queries: &[[f32; L]],
        scores: &mut [[[f32; L]; T]],
    ) {
        for (part, part_queries) in queries.chunks(PART_STEPS).enumerate() {
            let tiles = keys.chunks_exact(queries.len());
            for (tile, scores) in tiles.zip(&mut *scores) {
                let tile = &tile[part * PART_STEPS..][..part_queries.len()];
                let start = if part == 0 { Start::Zero } else { Start::Kept };
                self.accumulate::<FMA>(tile, part_queries, start, scores);
            }
        }
    }

    /// Turns the scores of keys into weights, 2^(score - maximum), and gives the sums of these. Their units take the first
    /// of every `TOKENS` rows; the last is filled with zeros.
    fn weigh<const FMA: bool>(self, scores: &mut [[f32; L]], maximum: &[f32; L]) -> [f32; L];

    /// Copies column c of `from`, whose rows have `from_stride` elements, to the beginning of row c of `to`.
    #[inline(always)]
    fn transpose(
        self,
        from: &[f32],
        from_stride: usize,
        to: &mut [f32],
        to_stride: usize,
        columns: usize,
    ) {
        for (column, to) in to.chunks_mut(to_stride).take(columns).enumerate() {
            for (from, to) in from.chunks(from_stride).zip(to) {
                *to = from[column];
            }
        }
    }
}

/// f32 and loops that the compiler turns into vector code. Tiles of more than 64 sums it leaves in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain(pub(super) Level);

impl<const T: usize, const L: usize> Arithmetic<T, L> for Plain {
    const FEATURES: usize = 1;
    const TOKENS: usize = 1;

    #[inline(always)]
    fn run<V: Vectorized>(self, computation: V) -> V::Output {
        self.0.run(computation)
    }

    #[inline(always)]
    fn accumulate<const FMA: bool>(
        self,
        a: &[[f32; T]],
        b: &[[f32; L]],
        start: Start<L>,
        sums: &mut [[f32; L]; T],
    ) {
        // Copies, which the compiler keeps in registers.
        let mut kept = match start {
            Start::Zero => [[0.0; L]; T],
            Start::Kept => *sums,
            Start::Scaled(factors) => sums.map(|mut sums| {
                for (sum, factor) in sums.iter_mut().zip(factors) {
                    *sum *= factor;
                }
                sums
            }),
        };
        for (a, b) in a.iter().zip(b) {
            for (kept, &a) in kept.iter_mut().zip(a) {
                let mut row = *kept;
                for (sum, &b) in row.iter_mut().zip(b) {
                    *sum = madd::<FMA>(a, b, *sum);
                }
                *kept = row;
            }
        }
        *sums = kept;
    }

    #[inline(always)]
    fn weigh<const FMA: bool>(self, scores: &mut [[f32; L]], maximum: &[f32; L]) -> [f32; L] {
        /// Lanes at a time, whose sums stay in registers.
        const PART: usize = 16;

        let mut sums = [0.0; L];
        let maxima = maximum.as_chunks::<PART>().0;
        for (part, sums) in sums.as_chunks_mut::<PART>().0.iter_mut().enumerate() {
            let mut kept = *sums;
            for scores in &mut *scores {
                let scores = &mut scores.as_chunks_mut::<PART>().0[part];
                for lane in 0..PART {
                    scores[lane] = exp2::<FMA>(scores[lane] - maxima[part][lane]);
                    kept[lane] += scores[lane];
                }
            }
            *sums = kept;
        }
        sums
    }
}
