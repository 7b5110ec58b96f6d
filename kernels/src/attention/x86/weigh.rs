//! Scores made weights; see [`weigh`](crate::attention::arithmetic::Arithmetic::weigh).

use std::arch::x86_64::*;

use super::LANES;
use super::pack::pair;
use super::tile::{load, pairs as as_pairs, store};
use crate::attention::exp2::COEFFICIENTS;

/// Weights of f32.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn floats(scores: &mut [[f32; LANES]], maximum: &[f32; LANES]) -> [f32; LANES] {
    let maximum = load(maximum);
    let mut sums = [_mm512_setzero_ps(); 2];
    for scores in scores {
        let weights = differences(scores, maximum).map(|x| exp2(x));
        store(weights, scores);
        sums = add(sums, weights);
    }
    let mut total = [0.0; LANES];
    store(sums, &mut total);
    total
}

/// Weights of bfloat16, in pairs of keys. The sums are of these, so that their rounding cancels in the mean.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512bf16")]
pub(super) fn pairs(scores: &mut [[f32; LANES]], maximum: &[f32; LANES]) -> [f32; LANES] {
    let ones = as_pairs(_mm512_castsi512_ps(_mm512_set1_epi32(0x3f80_3f80)));
    let maximum = load(maximum);
    let mut sums = [_mm512_setzero_ps(); 2];
    let keys = scores.len();
    for unit in 0..keys.div_ceil(2) {
        let first = differences(&scores[2 * unit], maximum).map(|x| exp2_coarse(x));
        let second = if 2 * unit + 1 < keys {
            differences(&scores[2 * unit + 1], maximum).map(|x| exp2_coarse(x))
        } else {
            [_mm512_setzero_ps(); 2]
        };
        let weights = [0, 1].map(|half| pair(first[half], second[half]));
        store(weights, &mut scores[unit]);
        sums = [0, 1].map(|half| _mm512_dpbf16_ps(sums[half], as_pairs(weights[half]), ones));
    }
    let mut total = [0.0; LANES];
    store(sums, &mut total);
    total
}

/// The scores less the largest.
#[inline]
#[target_feature(enable = "avx512f")]
fn differences(scores: &[f32; LANES], maximum: [__m512; 2]) -> [__m512; 2] {
    let scores = load(scores);
    [0, 1].map(|half| _mm512_sub_ps(scores[half], maximum[half]))
}

/// Sums of both halves.
#[inline]
#[target_feature(enable = "avx512f")]
fn add(a: [__m512; 2], b: [__m512; 2]) -> [__m512; 2] {
    [0, 1].map(|half| _mm512_add_ps(a[half], b[half]))
}

/// 2ˣ for x ≤ 0, as [`exp2`](crate::attention::exp2::exp2) has it, but down to 2⁻¹⁴⁹.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn exp2(x: __m512) -> __m512 {
    const NEAREST: i32 = 0;
    // x less the nearest whole number; for minus infinity 0.
    let f = _mm512_reduce_ps::<NEAREST>(x);
    let [c1, c2, c3, c4, c5] = COEFFICIENTS;
    // One by one: a closure in `map` is not inlined here, and is then called for each.
    let sum = _mm512_fmadd_ps(_mm512_set1_ps(c5), f, _mm512_set1_ps(c4));
    let sum = _mm512_fmadd_ps(sum, f, _mm512_set1_ps(c3));
    let sum = _mm512_fmadd_ps(sum, f, _mm512_set1_ps(c2));
    let sum = _mm512_fmadd_ps(sum, f, _mm512_set1_ps(c1));
    let sum = _mm512_fmadd_ps(sum, f, _mm512_set1_ps(1.0));
    _mm512_scalef_ps(sum, _mm512_sub_ps(x, f))
}

/// 2ˣ for x ≤ 0, exactly 1 at 0, within 8.7 · 10⁻⁵ of itself, where rounding to bfloat16 changes up to 2 · 10⁻³. The
/// polynomial is that of least largest relative error from 0 to 1 with 1 at 0.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn exp2_coarse(x: __m512) -> __m512 {
    const DOWN: i32 = 1;
    // x less the whole number below; for minus infinity 0.
    let f = _mm512_reduce_ps::<DOWN>(x);
    let sum = _mm512_set1_ps(0.077_067_04);
    let sum = _mm512_fmadd_ps(sum, f, _mm512_set1_ps(0.227_645));
    let sum = _mm512_fmadd_ps(sum, f, _mm512_set1_ps(0.695_116_8));
    let sum = _mm512_fmadd_ps(sum, f, _mm512_set1_ps(1.0));
    // It too takes the whole number below.
    _mm512_scalef_ps(sum, x)
}

#[cfg(test)]
mod tests {
    use super::super::Bf16;
    use super::*;

    /// The largest relative error over every 97th number from -126 to 0.
    fn worst(exp2: impl Fn(f32) -> f32) -> f64 {
        (0..=126f32.to_bits())
            .step_by(97)
            .map(|bits| {
                let x = -f32::from_bits(bits);
                (f64::from(exp2(x)) / f64::from(x).exp2() - 1.0).abs()
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn powers_are_as_close_as_promised() {
        if Bf16::detect().is_none() {
            return;
        }
        let fine = |x| {
            // SAFETY: `detect` found the features.
            unsafe { _mm512_cvtss_f32(exp2(_mm512_set1_ps(x))) }
        };
        let coarse = |x| {
            // SAFETY: `detect` found the features.
            unsafe { _mm512_cvtss_f32(exp2_coarse(_mm512_set1_ps(x))) }
        };
        let ulps = worst(fine) / f64::from(f32::EPSILON);
        assert!(ulps < 2.0, "{ulps}");
        assert!(worst(coarse) < 8.7e-5, "{}", worst(coarse));
        for exp2 in [&fine as &dyn Fn(f32) -> f32, &coarse] {
            assert_eq!(exp2(0.0), 1.0);
            for x in [-151.0, -1e4, f32::MIN, f32::NEG_INFINITY] {
                assert_eq!(exp2(x), 0.0);
            }
        }
    }
}
