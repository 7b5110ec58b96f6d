//! Rounding to bytes.

use super::Format;
use super::range::{greater, lesser};
use crate::elementwise::ROUND;
use crate::vector::Vectorized;

/// The numbers that q = 0 to 255 stand for: `scale · (q − zero)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub(super) scale: f32,
    /// 0 to 255.
    pub(super) zero: i32,
}

impl Grid {
    /// 2⁻¹⁰⁰
    pub(super) const LEAST_SCALE: f32 = f32::from_bits((127 - 100) << 23);

    /// The finest over the range, which includes 0.
    #[inline(always)]
    pub(super) fn of([low, high]: [f32; 2]) -> Self {
        // Divided first: the difference may overflow.
        let scale = high / 255.0 - low / 255.0;
        // Not `max`, which would lose a NaN.
        let scale = if scale < Self::LEAST_SCALE {
            Self::LEAST_SCALE
        } else {
            scale
        };
        // Rounded as the numbers are, so the least becomes q = 0. For NaN it is 0.
        let zero = (-low * scale.recip() + ROUND) - ROUND;
        Self {
            scale,
            zero: (zero as i32).clamp(0, 255),
        }
    }

    #[inline(always)]
    pub(super) fn encoder(self, format: Format) -> Encoder {
        Encoder {
            inverse: self.scale.recip(),
            low: -self.zero as f32,
            high: (255 - self.zero) as f32,
            zero: (self.zero - format.offset()) as u8,
        }
    }
}

/// A grid as the inner loop needs it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoder {
    /// 1 / scale
    inverse: f32,
    /// The least q − zero.
    low: f32,
    /// The greatest q − zero.
    high: f32,
    /// The byte of the zero point.
    pub(super) zero: u8,
}

/// A piece of a row.
pub(super) struct Encode<'a> {
    pub(super) encoder: Encoder,
    pub(super) x: &'a [f32],
    pub(super) out: &'a mut [u8],
}

impl Vectorized for Encode<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Encoder {
            inverse,
            low,
            high,
            zero,
        } = self.encoder;
        for (out, x) in self.out.iter_mut().zip(self.x) {
            // The ends are whole, so it is the same to clamp before rounding. NaN becomes the low end.
            let steps = lesser(greater(x * inverse, low), high);
            *out = ((steps + ROUND).to_bits() as u8).wrapping_add(zero);
        }
    }
}

/// What rounding a piece of a row to whole steps left over, in steps of a 255th.
pub(super) struct EncodeRest<'a> {
    /// 1 / scale of the rounding.
    pub(super) inverse: f32,
    /// The byte of its zero point.
    pub(super) zero: u8,
    pub(super) x: &'a [f32],
    pub(super) out: &'a mut [u8],
}

impl Vectorized for EncodeRest<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (out, &x) in self.out.iter_mut().zip(self.x) {
            let steps = x * self.inverse;
            let rest = (steps - ((steps + ROUND) - ROUND)) * 255.0;
            // At most 127.5 either way.
            let rest = lesser(greater(rest, -128.0), 127.0);
            *out = ((rest + ROUND).to_bits() as u8).wrapping_add(self.zero);
        }
    }
}
