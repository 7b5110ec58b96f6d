//! Attention, `softmax(scale · Q Kᵀ + mask + relative) V`, in memory that grows with the tokens and not with their square.
//!
//! The scores never exist at once: keys pass in blocks, and each query keeps the largest score so far, the sum of its
//! weights and the sum of its weighted values, rescaled whenever a larger score comes (the online softmax of
//! arXiv 1805.02867, as FlashAttention, arXiv 2205.14135, uses it).
//!
//! The lanes of a vector are queries. Keys and values are read an element at a time and broadcast, so that the largest
//! score, the exponentials and the sums need no work across lanes, and a head dimension of 40 wastes nothing.
//!
//! Scores are in units of log2 e: the queries are scaled by `scale · log2 e` and the weights are powers of 2.
//!
//! Where to read on: `block` is the algorithm, for one block of queries; `arithmetic` is what it asks of the instructions,
//! and that in plain Rust; `int8` rounds queries and keys to bytes, less what `statistics` finds in common; `x86` and `arm` are the instructions for that, and for
//! f16, and f32 and bfloat16 with AVX-512; `pack` is how keys and values lie; `exp2` is the exponential; `output` is how threads
//! share the result.

#![cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(
        dead_code,
        unused_imports,
        unused_variables,
        reason = "processors without a kernel of their own have no products of int8"
    )
)]

mod arithmetic;
#[cfg(target_arch = "aarch64")]
mod arm;
mod block;
mod exp2;
mod int8;
mod output;
mod pack;
mod statistics;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::isa::Isa;
use crate::threads::Threads;
use crate::vector::Level;

use arithmetic::{Arithmetic, Plain};
use block::{QueryBlock, Scratch};
use int8::{Int8, MAX_FEATURES};
use output::Rows;
use pack::{Aligned, KeyBlock, Plan};
use statistics::Statistics;

/// Where the elements of one [batch, token, head, feature] tensor stand in a slice, in elements; features are adjacent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strides {
    /// From one picture to the next.
    pub batch: usize,
    /// From one token to the next.
    pub token: usize,
    /// From one head to the next.
    pub head: usize,
}

impl Strides {
    /// Of a dense `[batch, tokens, heads, features]` tensor.
    #[must_use]
    pub const fn token_major(tokens: usize, heads: usize, features: usize) -> Self {
        Self {
            batch: tokens * heads * features,
            token: heads * features,
            head: features,
        }
    }

    /// Of a dense `[batch, heads, tokens, features]` tensor.
    #[must_use]
    pub const fn head_major(tokens: usize, heads: usize, features: usize) -> Self {
        Self {
            batch: heads * tokens * features,
            token: features,
            head: tokens * features,
        }
    }

    /// Where the features of a token begin.
    fn at(&self, (batch, head): (usize, usize), token: usize) -> usize {
        batch * self.batch + head * self.head + token * self.token
    }
}

/// How much of everything there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Pictures.
    pub batch: usize,
    /// Heads of each.
    pub heads: usize,
    /// Tokens that ask.
    pub queries: usize,
    /// Tokens that answer, at least 1.
    pub keys: usize,
    /// Features of a query and of a key, at least 1.
    pub head_dim: usize,
    /// Features of a value and of a result.
    pub value_dim: usize,
}

/// A tensor that is read.
#[derive(Debug, Clone, Copy)]
pub struct Operand<'a> {
    /// Where its elements are.
    pub data: &'a [f32],
    /// How they lie there.
    pub strides: Strides,
}

impl<'a> Operand<'a> {
    /// The features of one token.
    #[inline(always)]
    fn row(&self, of: (usize, usize), token: usize, features: usize) -> &'a [f32] {
        &self.data[self.strides.at(of, token)..][..features]
    }
}

/// A tensor that is written. No two of its elements may share a place.
#[derive(Debug)]
pub struct Output<'a> {
    /// Where its elements go.
    pub data: &'a mut [f32],
    /// How they lie there.
    pub strides: Strides,
}

/// What is added to the scores: that of picture b, head h, query q and key k is at
/// `b·batch + h·head + q·query + k·key`, so that a stride of 0 shares it.
///
/// Minus infinity is taken for [`f32::MIN`], which drops the key just as well; so a query that may see no key gets the
/// mean of all values instead of NaN.
#[derive(Debug, Clone, Copy)]
pub struct Mask<'a> {
    /// Where its elements are.
    pub data: &'a [f32],
    /// From one picture to the next.
    pub batch: usize,
    /// From one head to the next.
    pub head: usize,
    /// From one query to the next.
    pub query: usize,
    /// From one key to the next.
    pub key: usize,
}

/// What is added to the scores by how far a key is from the query, as T5 does (arXiv 1910.10683, section 2.1): that of head h, query q
/// and key k is at `h·head + k + queries - 1 - q`. Minus infinity is as in a [`Mask`].
#[derive(Debug, Clone, Copy)]
pub struct Relative<'a> {
    /// `[heads, queries + keys - 1]`, or one row for all heads.
    pub data: &'a [f32],
    /// From one head to the next.
    pub head: usize,
}

/// How exact the products are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// All in f32.
    Float,
    /// Scores of int8 where the CPU multiplies it (AVX-VNNI, AVX-512 VNNI, Arm's dot products with FP16), or of bfloat16 for
    /// few keys where it multiplies that (AVX-512 BF16). Values of bfloat16 there, of f16 on Arm, of f32 on other CPUs. All
    /// in f32 elsewhere.
    ///
    /// int8 moves a score by up to δ = scale · (max |qᵢ| · Σ|kᵢ - k̄ᵢ| + max |kᵢ - k̄ᵢ| · (Σ|qᵢ| + d · max |qᵢ| / 254)) / 254
    /// over the d features i, with k̄ the mean of the keys of that picture and head; and a result by up to (e²ᵟ - 1) max |v|
    /// for the largest δ. On numbers of a normal distribution that is 1 % of the results (root mean squares), and bfloat16
    /// 0.35 %: it moves a score by up to 2⁻⁸ Σ|qᵢ kᵢ| · scale and a result by up to 2⁻⁷ of its largest value beyond that.
    /// f16 moves a result by up to 2⁻⁵ of the largest value, and those of normal numbers by less than shows beside int8.
    Low,
}

/// Attention of one kind; see the [module](self).
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// How much of everything there is.
    pub shape: Shape,
    /// What the products of queries and keys are multiplied with: 1 / √`head_dim` as a rule.
    pub scale: f32,
    /// What is added to the scores.
    pub mask: Option<Mask<'a>>,
    /// What is added to them, too.
    pub relative: Option<Relative<'a>>,
    /// How exact the products are.
    pub precision: Precision,
}

impl Shape {
    /// Bytes of packed keys and values that [`Attention::run`] takes at most, on any CPU.
    #[must_use]
    pub const fn most_packed(&self) -> usize {
        /// Keys and features are padded to no more.
        const MULTIPLE: usize = 16;
        /// Of a query or key: what is noted of it beside its features.
        const NOTES: usize = 2;

        let features = self.head_dim + NOTES + self.value_dim.next_multiple_of(MULTIPLE);
        let keys = self.keys.next_multiple_of(pack::BLOCK_KEYS)
            + MULTIPLE * self.keys.div_ceil(pack::BLOCK_KEYS);
        let each = keys * features * size_of::<f32>();
        let all = self.batch * self.heads * each;
        match (all < PACKED, each < PACKED) {
            (true, _) => all,
            (_, true) => PACKED,
            _ => each,
        }
    }
}

impl Attention<'_> {
    /// Writes the attention of `queries` to `keys` and `values` into `output`. The result is the same, bit for bit, for any
    /// number of threads.
    ///
    /// # Panics
    /// A tensor is shorter than its shape and strides say, places of the output coincide, or there are no keys or no features
    /// of them.
    pub fn run(
        &self,
        isa: Isa,
        threads: &Threads,
        queries: &Operand,
        keys: &Operand,
        values: &Operand,
        output: Output,
    ) {
        let inputs = Inputs {
            attention: self,
            queries,
            keys,
            values,
        };
        let output = Rows::new(output, &self.shape);
        let low = self.precision == Precision::Low;
        let int8 = low && self.shape.head_dim <= MAX_FEATURES;
        #[cfg(target_arch = "x86_64")]
        if isa == Isa::Avx512Vnni
            && let Some(avx512) = x86::Avx512::detect()
        {
            return match x86::Bf16::detect().filter(|_| low) {
                Some(bf16) if int8 && self.shape.keys >= LONG => {
                    inputs.run(Int8(bf16), threads, &output)
                }
                Some(bf16) => inputs.run(bf16, threads, &output),
                None if int8 => inputs.run(Int8(avx512), threads, &output),
                None => inputs.run(avx512, threads, &output),
            };
        }
        #[cfg(target_arch = "x86_64")]
        if isa == Isa::AvxVnni
            && int8
            && let Some(vnni) = x86::AvxVnni::detect()
        {
            return inputs.run(Int8(vnni), threads, &output);
        }
        #[cfg(target_arch = "aarch64")]
        if matches!(isa, Isa::NeonDot | Isa::NeonI8mm)
            && int8
            && let Some(dot) = arm::Half::detect()
        {
            return inputs.run(Int8(dot), threads, &output);
        }
        // The sums of a tile and what they are summed from fill the registers: 16 of 4 lanes, or more.
        match isa {
            Isa::Reference => inputs.run::<2, 16, _>(Plain(Level::of(isa)), threads, &output),
            _ => inputs.run::<4, 16, _>(Plain(Level::of(isa)), threads, &output),
        }
    }
}

/// What is read.
#[derive(Debug, Clone, Copy)]
struct Inputs<'a> {
    attention: &'a Attention<'a>,
    queries: &'a Operand<'a>,
    keys: &'a Operand<'a>,
    values: &'a Operand<'a>,
}

/// Keys from which rounding queries to bytes pays where the other choice is bfloat16: 64 are slower so, 256 faster.
#[cfg(target_arch = "x86_64")]
const LONG: usize = 128;

/// How many queries a task takes at most: enough to use keys and values several times while they are in the cache.
const TASK_QUERIES: usize = 128;

/// Packed keys and values that exist at once, bytes, unless those of one picture and head are more: heads pass in groups.
const PACKED: usize = 4 << 20;

/// Packed keys and values, in elements, that stay in a second-level cache: up to here the heads of a query follow each
/// other, for its features are neighbours in memory; beyond, the queries of a head do.
const CACHED: usize = 1 << 17;

/// How many heads pass at once, when each takes so many elements: as many groups as need be, all of about the same size.
fn together(each: usize, sequences: usize) -> usize {
    let most = (PACKED / size_of::<f32>() / each).clamp(1, sequences);
    sequences.div_ceil(sequences.div_ceil(most))
}

impl Inputs<'_> {
    /// Packs the keys and values of some heads, takes their queries block by block, then comes to the next heads.
    fn run<const T: usize, const L: usize, A: Arithmetic<T, L>>(
        self,
        arithmetic: A,
        threads: &Threads,
        output: &Rows,
    ) {
        let shape = &self.attention.shape;
        assert!(
            shape.keys > 0 && shape.head_dim > 0,
            "attention needs a key of a feature"
        );
        let sequences = shape.batch * shape.heads;
        if sequences * shape.queries * shape.value_dim == 0 {
            return;
        }
        let plan = Plan::new::<A, T, L>(shape);

        let statistics = Statistics::new(arithmetic, threads, self);

        let each = plan.blocks * plan.block_units();
        let together = together(each, sequences);
        let heads_first = together == sequences && sequences * each <= CACHED;

        let lanes = shape.queries.div_ceil(L);
        // At least four tasks a thread, so that none waits long for the last.
        let fair = (together * lanes).div_ceil(4 * threads.count());
        let task_groups = fair.clamp(1, TASK_QUERIES / L);
        let tasks = lanes.div_ceil(task_groups);

        // What is padded is 0 in each group alike.
        let mut packed = vec![0.0; together * each];
        for first in (0..sequences).step_by(together) {
            let count = together.min(sequences - first);
            let packed = &mut packed[..count * each];
            threads.chunks(packed, plan.block_units(), |index, units| {
                let sequence = first + index / plan.blocks;
                arithmetic.run(KeyBlock::<'_, A, T, L> {
                    inputs: self,
                    plan: &plan,
                    arithmetic,
                    sequence: self.sequence(sequence),
                    block: index % plan.blocks,
                    common: statistics.common(sequence),
                    rows: &mut Aligned::new(plan.row_units::<T>()),
                    units,
                });
            });
            threads.run_with(
                count * tasks,
                || Scratch::new::<L>(&plan, task_groups),
                |scratch, index| {
                    let (sequence, task) = if heads_first {
                        (index % count, index / count)
                    } else {
                        (index / tasks, index % tasks)
                    };
                    let start = task * task_groups;
                    arithmetic.run(QueryBlock::<'_, A, T, L> {
                        inputs: self,
                        plan: &plan,
                        arithmetic,
                        sequence: self.sequence(first + sequence),
                        groups: start..lanes.min(start + task_groups),
                        packed: &packed[sequence * each..],
                        value_scale: statistics.common(first + sequence).largest,
                        scratch,
                        output,
                    });
                },
            );
        }
    }

    /// The picture and the head with this number.
    fn sequence(&self, index: usize) -> (usize, usize) {
        let heads = self.attention.shape.heads;
        (index / heads, index % heads)
    }
}
