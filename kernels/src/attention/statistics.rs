//! What the tokens of a picture and head have in common, found before they are packed.

use super::Inputs;
use super::arithmetic::Arithmetic;
use crate::threads::Threads;
use crate::vector::Vectorized;

/// What is common to the keys and values of each picture and head.
#[derive(Debug)]
pub(super) struct Statistics {
    features: usize,
    /// The mean of the keys, if they are [centred](Arithmetic::CENTERED), and the largest magnitude of a value, if these are
    /// [bounded](Arithmetic::BOUNDED): one picture and head after the other.
    found: Vec<f32>,
}

/// What is common to the keys and values of one picture and head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Common<'a> {
    /// The mean of the keys.
    pub(super) mean: &'a [f32],
    /// The largest magnitude of a value, or 1.
    pub(super) largest: f32,
}

impl Statistics {
    /// Looks at all tokens, if it matters.
    pub(super) fn new<A: Arithmetic<T, L>, const T: usize, const L: usize>(
        arithmetic: A,
        threads: &Threads,
        inputs: Inputs,
    ) -> Self {
        let shape = &inputs.attention.shape;
        let features = shape.head_dim;
        let mut found = vec![];
        if A::CENTERED || A::BOUNDED {
            found.resize(shape.batch * shape.heads * (features + 1), 0.0);
            threads.chunks(&mut found, features + 1, |index, found| {
                let (largest, mean) = found.split_last_mut().expect("it has an element more");
                let sequence = inputs.sequence(index);
                if A::CENTERED {
                    arithmetic.run(KeyMean(inputs, sequence, mean));
                }
                *largest = match A::BOUNDED {
                    true => arithmetic.run(LargestValue(inputs, sequence)),
                    false => 1.0,
                };
            });
        }
        Self { features, found }
    }

    /// That of the picture and head with this number.
    pub(super) fn common(&self, sequence: usize) -> Common<'_> {
        let found = self.found.chunks_exact(self.features + 1).nth(sequence);
        let (largest, mean) = found.and_then(<[f32]>::split_last).unwrap_or((&1.0, &[]));
        Common {
            mean,
            largest: *largest,
        }
    }
}

/// Writes the mean of the keys of a picture and head over zeros.
struct KeyMean<'a>(Inputs<'a>, (usize, usize), &'a mut [f32]);

impl Vectorized for KeyMean<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self(inputs, sequence, mean) = self;
        let shape = &inputs.attention.shape;
        for key in 0..shape.keys {
            let row = inputs.keys.row(sequence, key, shape.head_dim);
            for (sum, x) in mean.iter_mut().zip(row) {
                *sum += x;
            }
        }
        let factor = (shape.keys as f32).recip();
        for mean in mean {
            *mean *= factor;
        }
    }
}

/// The largest magnitude of the values of a picture and head, and above 0.
struct LargestValue<'a>(Inputs<'a>, (usize, usize));

impl Vectorized for LargestValue<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<const FMA: bool>(self) -> f32 {
        let Self(inputs, sequence) = self;
        let shape = &inputs.attention.shape;
        let rows = (0..shape.keys).map(|key| {
            let row = inputs.values.row(sequence, key, shape.value_dim);
            largest(row.iter().copied())
        });
        // So that its reciprocal is finite.
        largest(rows).max(f32::MIN_POSITIVE)
    }
}

/// The largest magnitude; NaN if there is one.
#[inline(always)]
pub(super) fn largest(numbers: impl Iterator<Item = f32>) -> f32 {
    // As integers, whose order is that of magnitudes, for these the compiler compares in vectors.
    f32::from_bits(numbers.map(|x| x.abs().to_bits()).fold(0, u32::max))
}
