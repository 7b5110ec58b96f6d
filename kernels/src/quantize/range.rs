//! The least and the greatest.

use crate::vector::{Vectorized, madd};

/// The range of two ranges. Which comes first does not matter.
#[must_use]
pub(crate) fn union(a: [f32; 2], b: [f32; 2]) -> [f32; 2] {
    if a[0].is_nan() || b[0].is_nan() {
        [f32::NAN; 2]
    } else {
        [a[0].min(b[0]), a[1].max(b[1])]
    }
}

/// A search of a piece of a row.
pub(super) struct FindRange<'a>(pub(super) &'a [f32]);

impl Vectorized for FindRange<'_> {
    type Output = [f32; 2];

    #[inline(always)]
    fn run<const FMA: bool>(self) -> [f32; 2] {
        let mut extremes = Extremes::new();
        extremes.include::<FMA>(self.0);
        extremes.range()
    }
}

/// Numbers are searched side by side, in two to four vectors.
const LANES: usize = 32;

/// A search for the least and the greatest of numbers and 0.
pub(crate) struct Extremes {
    low: [f32; LANES],
    high: [f32; LANES],
    /// 0 until a NaN or an infinity makes it NaN: comparisons pass over NaN.
    finite: [f32; LANES],
}

impl Extremes {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self {
            low: [0.0; LANES],
            high: [0.0; LANES],
            finite: [0.0; LANES],
        }
    }

    #[inline(always)]
    pub(crate) fn include<const FMA: bool>(&mut self, x: &[f32]) {
        let (blocks, rest) = x.as_chunks::<LANES>();
        for block in blocks {
            self.block::<FMA>(block);
        }
        if !rest.is_empty() {
            let mut block = [0.0; LANES];
            block[..rest.len()].copy_from_slice(rest);
            self.block::<FMA>(&block);
        }
    }

    #[inline(always)]
    fn block<const FMA: bool>(&mut self, x: &[f32; LANES]) {
        for (lane, &x) in x.iter().enumerate() {
            self.low[lane] = lesser(x, self.low[lane]);
            self.high[lane] = greater(x, self.high[lane]);
            self.finite[lane] = madd::<FMA>(x, 0.0, self.finite[lane]);
        }
    }

    /// What was found; NaN twice where a number was NaN or infinite.
    #[inline(always)]
    pub(crate) fn range(mut self) -> [f32; 2] {
        let mut half = LANES / 2;
        while half > 0 {
            for lane in 0..half {
                self.low[lane] = lesser(self.low[lane], self.low[lane + half]);
                self.high[lane] = greater(self.high[lane], self.high[lane + half]);
                self.finite[lane] += self.finite[lane + half];
            }
            half /= 2;
        }
        // 0, or NaN.
        [self.low[0] + self.finite[0], self.high[0] + self.finite[0]]
    }
}

/// A single instruction, unlike `min`, which promises more about NaN.
#[inline(always)]
pub(super) fn lesser(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// As [`lesser`].
#[inline(always)]
pub(super) fn greater(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}
