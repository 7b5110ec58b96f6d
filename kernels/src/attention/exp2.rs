//! 2 to a power that is not positive.

use crate::vector::madd;

/// c₁ … c₅ of the polynomial 1 + Σ cₖ fᵏ that differs least from 2ᶠ for |f| ≤ ½, by 9.2 · 10⁻⁸ of it; by Remez's exchange.
#[expect(clippy::approx_constant, reason = "fitted, and not quite ln 2")]
pub(super) const COEFFICIENTS: [f32; 5] = [
    0.693_147,
    0.240_222_42,
    0.055_507_337,
    0.009_671_513,
    0.001_326_472_7,
];

/// 2ˣ for x ≤ 0, as (1 + Σ cₖ fᵏ) · 2ⁿ with x = n + f, |f| ≤ ½; exactly 1 at 0 and exactly 0 below -126.5.
///
/// The error is below 2 units in the last place.
#[inline(always)]
pub(super) fn exp2<const FMA: bool>(x: f32) -> f32 {
    /// Adding it rounds to a whole number, which with the bias of an exponent is then in the lowest bits.
    const ROUND: f32 = 12_582_912.0 + 127.0;

    // Not `max`, which takes NaN for the smaller.
    let x = if x < -127.0 { -127.0 } else { x };
    let rounded = x + ROUND;
    let f = x - (rounded - ROUND);
    let [c1, c2, c3, c4, c5] = COEFFICIENTS;
    let sum = madd::<FMA>(c5, f, c4);
    let sum = madd::<FMA>(sum, f, c3);
    let sum = madd::<FMA>(sum, f, c2);
    let sum = madd::<FMA>(sum, f, c1);
    // The shift drops all but the exponent. Its lowest value, 0, is the number 0.
    madd::<FMA>(sum, f, 1.0) * f32::from_bits(rounded.to_bits() << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest relative error over every `step`th number from -126 to 0.
    fn worst(exp2: impl Fn(f32) -> f32, step: usize) -> f64 {
        (0..=126f32.to_bits())
            .step_by(step)
            .map(|bits| {
                let x = -f32::from_bits(bits);
                let exact = f64::from(x).exp2();
                (f64::from(exp2(x)) / exact - 1.0).abs()
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn powers_are_as_close_as_promised() {
        for exp2 in [exp2::<true>, exp2::<false>] {
            let ulps = worst(exp2, 97) / f64::from(f32::EPSILON);
            assert!(ulps < 2.0, "{ulps}");
        }
    }

    #[test]
    fn ends_are_exact() {
        assert_eq!(exp2::<false>(0.0), 1.0);
        assert_eq!(exp2::<true>(-1.0), 0.5);
        for x in [-126.6, -1e4, f32::MIN, f32::NEG_INFINITY] {
            assert_eq!(exp2::<true>(x), 0.0);
        }
    }
}
