//! Rotary position embeddings (RoFormer, arXiv 2104.09864): pairs of features are turned by angles of the token's place.

use crate::elementwise::{CHUNK, worth};
use crate::threads::Threads;
use crate::vector::{Level, Vectorized, madd};

#[cfg(test)]
mod tests;

/// Which features are turned together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// 0 and 1, 2 and 3, and so on.
    Neighbours,
    /// Feature i of the first half and feature i of the second.
    Halves,
}

/// The angles of tokens, by their cosines and sines.
#[derive(Debug, Clone, Copy)]
pub struct Rotary<'a> {
    /// Which features are turned together.
    pub pairs: Pairs,
    /// Features of a row: even, and at least 2.
    pub features: usize,
    /// Rows that are turned alike before the next token comes: its heads, where they are beside each other.
    pub repeat: usize,
    /// `[tokens, features]`: what a feature is multiplied with.
    pub cos: &'a [f32],
    /// `[tokens, features]`: what the other one of its pair is multiplied with, negative where this is the first of both.
    pub sin: &'a [f32],
}

impl Rotary<'_> {
    /// Turns each row `[features]` of `x`. After the last token comes the first again.
    ///
    /// # Panics
    /// When the features are odd or none, or the lengths do not fit.
    pub fn run(&self, level: Level, threads: &Threads, x: &[f32], out: &mut [f32]) {
        let features = self.features;
        assert!(
            features > 0 && features.is_multiple_of(2) && self.repeat > 0,
            "rows of pairs"
        );
        let turn = self.cos.len() * self.repeat;
        assert!(
            self.cos.len() == self.sin.len()
                && self.cos.len().is_multiple_of(features)
                && x.len() == out.len()
                && (x.is_empty() || turn > 0 && x.len().is_multiple_of(turn)),
            "an angle for each row"
        );
        let each = CHUNK.div_ceil(features);
        worth(threads, x.len()).chunks(out, each * features, |number, out| {
            level.run(Rows {
                rotary: self,
                first: number * each,
                x: &x[number * each * features..][..out.len()],
                out,
            });
        });
    }
}

/// Some rows.
struct Rows<'a> {
    rotary: &'a Rotary<'a>,
    /// The number of the first row.
    first: usize,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Vectorized for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Rotary {
            pairs,
            features,
            repeat,
            cos,
            sin,
        } = *self.rotary;
        let tokens = cos.len() / features;
        let rows = self.x.chunks_exact(features);
        let rows = rows.zip(self.out.chunks_exact_mut(features));
        for ((x, out), row) in rows.zip(self.first..) {
            let token = row / repeat % tokens * features;
            let (cos, sin) = (&cos[token..][..features], &sin[token..][..features]);
            match pairs {
                Pairs::Neighbours => neighbours::<FMA>(x, cos, sin, out),
                Pairs::Halves => {
                    let half = features / 2;
                    let (low, high) = out.split_at_mut(half);
                    let (a, b) = x.split_at(half);
                    turn::<FMA, true>(a, b, &cos[..half], &sin[..half], low);
                    turn::<FMA, false>(b, a, &cos[half..], &sin[half..], high);
                }
            }
        }
    }
}

#[inline(always)]
fn neighbours<const FMA: bool>(x: &[f32], cos: &[f32], sin: &[f32], out: &mut [f32]) {
    let x = x.as_chunks::<2>().0.iter();
    let by = cos.as_chunks::<2>().0.iter().zip(sin.as_chunks::<2>().0);
    for ((out, [a, b]), (cos, sin)) in out.as_chunks_mut::<2>().0.iter_mut().zip(x).zip(by) {
        *out = [
            madd::<FMA>(*a, cos[0], -b * sin[0]),
            madd::<FMA>(*b, cos[1], a * sin[1]),
        ];
    }
}

/// `x · cos ± other · sin`.
#[inline(always)]
fn turn<const FMA: bool, const MINUS: bool>(
    x: &[f32],
    other: &[f32],
    cos: &[f32],
    sin: &[f32],
    out: &mut [f32],
) {
    let by = cos.iter().zip(sin);
    for ((out, (x, other)), (cos, sin)) in out.iter_mut().zip(x.iter().zip(other)).zip(by) {
        let side = other * sin;
        *out = madd::<FMA>(*x, *cos, if MINUS { -side } else { side });
    }
}
