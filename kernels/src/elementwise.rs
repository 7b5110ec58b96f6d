//! Functions of one number, and loops that apply them to many.
//!
//! The functions are straight lines of arithmetic, so that a loop over them becomes vector code: no table, no branch, no
//! call. Their bounds hold with and without fused multiply-add; the tests sweep them against f64.

use crate::threads::Threads;
use crate::vector::{Level, Vectorized, madd};

#[cfg(test)]
pub(crate) mod tests;

/// Elements a task: 64 KiB of f32, a few microseconds of work.
pub(crate) const CHUNK: usize = 1 << 14;

/// The threads, where there is enough for them to do; otherwise the caller's alone, as handing work over takes longer.
pub(crate) fn worth(threads: &Threads, elements: usize) -> &Threads {
    static CALLER: Threads = Threads::single();
    if elements > 2 * CHUNK {
        threads
    } else {
        &CALLER
    }
}

/// 1.5 · 2²³. Numbers from here to 2²⁴ are whole, so adding it rounds a small one to an integer, ties to even, that is
/// left in the low bits.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// e^x within 2.5 ulp where it is above 1.7e-38 (x > −86.98), 0 below, infinity above 88.7228; NaN stays. e^0 is 1.
///
/// After Cody and Waite: e^x = 2ⁿ · e^r with n = round(x / ln 2) and |r| ≤ ln 2 / 2, where a polynomial of degree 5, fitted
/// to the least relative error (1.05e-7) among those that begin 1 + r, is e^r.
#[inline(always)]
#[must_use]
pub fn exp<const FMA: bool>(x: f32) -> f32 {
    /// ln 2 in two parts; n times the first is exact.
    const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
    /// The polynomial is of 2 · e^r and the power 2ⁿ⁻¹, so that n = 128 needs no case of its own: for n of −126 to 128
    /// the power's exponent field is n + 126, from 0 (where the power is 0) to 254.
    const BIAS: f32 = 126.0;

    let x = x.clamp(-87.5, 89.0);
    let shifted = madd::<FMA>(x, std::f32::consts::LOG2_E, ROUND + BIAS);
    let power = f32::from_bits(shifted.to_bits() << 23);
    let n = shifted - (ROUND + BIAS);
    let r = madd::<FMA>(n, -LN_2[0], x);
    let r = madd::<FMA>(n, -LN_2[1], r);
    let p = madd::<FMA>(2.0 * 0.008_312_501, r, 2.0 * 0.041_890_33);
    let p = madd::<FMA>(p, r, 2.0 * 0.166_671_16);
    let p = madd::<FMA>(p, r, 2.0 * 0.499_992_3);
    let p = madd::<FMA>(p, r, 2.0);
    madd::<FMA>(p, r, 2.0) * power
}

/// 1 / (1 + e^−x), from 0 to 1 inclusive, within 4 ulp where it is above 2e-38; NaN stays.
#[inline(always)]
#[must_use]
pub fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FMA>(-x))
}

/// The error function, within 5e-7 and from −1 to 1 inclusive, which it is from |x| = 3.95 on; NaN stays.
///
/// x · P(x²) / Q(x²), both of degree 5, fitted to the least absolute error (1.8e-8) on 0 to 3.95. All coefficients are
/// positive, so nothing cancels.
#[inline(always)]
#[must_use]
pub fn erf<const FMA: bool>(x: f32) -> f32 {
    const P: [f32; 6] = [
        std::f32::consts::FRAC_2_SQRT_PI,
        0.194_036_6,
        0.053_207_178,
        0.003_917_354_6,
        2.876_010_5e-4,
        2.011_731e-6,
    ];
    const Q: [f32; 6] = [
        1.0,
        0.505_291_94,
        0.115_591_12,
        0.015_270_779,
        0.001_198_208_9,
        3.783_961e-5,
    ];
    let x = x.clamp(-3.95, 3.95);
    let square = x * x;
    let (mut p, mut q) = (P[5], Q[5]);
    for k in (0..5).rev() {
        p = madd::<FMA>(p, square, P[k]);
        q = madd::<FMA>(q, square, Q[k]);
    }
    (x * p / q).clamp(-1.0, 1.0)
}

/// A function between layers. All give NaN for −infinity (−∞ · 0), as PyTorch's do, and NaN for NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x · sigmoid(x), which is also called Swish.
    Silu,
    /// x · Φ(x) = x / 2 · (1 + erf(x / √2)).
    Gelu,
    /// GELU by x · sigmoid(√(8/π) · (x + 0.044715 x³)), the identity that makes it x / 2 · (1 + tanh(half of that)).
    GeluTanh,
    /// x · sigmoid(1.702 x).
    QuickGelu,
}

impl Activation {
    /// The function of one number. In a loop, see [`map`](Self::map).
    #[inline(always)]
    #[must_use]
    pub fn apply<const FMA: bool>(self, x: f32) -> f32 {
        match self {
            Self::Silu => times_sigmoid::<FMA>(x, x),
            Self::Gelu => 0.5 * x * (1.0 + erf::<FMA>(x * std::f32::consts::FRAC_1_SQRT_2)),
            Self::GeluTanh => {
                /// √(8/π)
                const ROOT: f32 = 1.595_769;
                times_sigmoid::<FMA>(x, x * madd::<FMA>(x * x, ROOT * 0.044_715, ROOT))
            }
            Self::QuickGelu => times_sigmoid::<FMA>(x, 1.702 * x),
        }
    }

    /// The function of each of `x`, chosen once for them all: a loop without a branch for each.
    #[inline(always)]
    pub fn map<const FMA: bool>(self, x: &[f32], out: &mut [f32]) {
        match self {
            Self::Silu => map::<FMA>(Self::Silu, x, out),
            Self::Gelu => map::<FMA>(Self::Gelu, x, out),
            Self::GeluTanh => map::<FMA>(Self::GeluTanh, x, out),
            Self::QuickGelu => map::<FMA>(Self::QuickGelu, x, out),
        }
    }

    /// [`map`](Self::map) in place.
    #[inline(always)]
    pub fn map_in_place<const FMA: bool>(self, x: &mut [f32]) {
        match self {
            Self::Silu => map_in_place::<FMA>(Self::Silu, x),
            Self::Gelu => map_in_place::<FMA>(Self::Gelu, x),
            Self::GeluTanh => map_in_place::<FMA>(Self::GeluTanh, x),
            Self::QuickGelu => map_in_place::<FMA>(Self::QuickGelu, x),
        }
    }
}

/// x · sigmoid(of), by one division. A function, as a closure may not be compiled for the level that calls it.
#[inline(always)]
fn times_sigmoid<const FMA: bool>(x: f32, of: f32) -> f32 {
    x / (1.0 + exp::<FMA>(-of))
}

/// Inlined where `activation` is a constant, so its match is gone.
#[inline(always)]
fn map<const FMA: bool>(activation: Activation, x: &[f32], out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = activation.apply::<FMA>(x);
    }
}

/// As [`map`].
#[inline(always)]
fn map_in_place<const FMA: bool>(activation: Activation, x: &mut [f32]) {
    for x in x {
        *x = activation.apply::<FMA>(*x);
    }
}

/// `out = activation(x)`.
///
/// # Panics
/// When the lengths differ.
pub fn activate(
    level: Level,
    threads: &Threads,
    activation: Activation,
    x: &[f32],
    out: &mut [f32],
) {
    struct Activate<'a>(Activation, &'a [f32], &'a mut [f32]);
    impl Vectorized for Activate<'_> {
        type Output = ();

        #[inline(always)]
        fn run<const FMA: bool>(self) {
            self.0.map::<FMA>(self.1, self.2);
        }
    }
    assert_eq!(x.len(), out.len(), "one output an input");
    worth(threads, x.len()).chunks(out, CHUNK, |number, out| {
        let x = &x[number * CHUNK..][..out.len()];
        level.run(Activate(activation, x, out));
    });
}

/// `x = activation(x)`.
pub fn activate_in_place(level: Level, threads: &Threads, activation: Activation, x: &mut [f32]) {
    struct Activate<'a>(Activation, &'a mut [f32]);
    impl Vectorized for Activate<'_> {
        type Output = ();

        #[inline(always)]
        fn run<const FMA: bool>(self) {
            self.0.map_in_place::<FMA>(self.1);
        }
    }
    worth(threads, x.len()).chunks(x, CHUNK, |_, x| level.run(Activate(activation, x)));
}

/// The gate of a transformer's feed-forward: of each row `[2 · width]` of `x` the first half times the GELU (by erf) of
/// the second, as a row `[width]` of `out`.
///
/// # Panics
/// When `width` is 0, or `x` is not twice as long as `out`, or `out` is not whole rows.
pub fn geglu(level: Level, threads: &Threads, x: &[f32], width: usize, out: &mut [f32]) {
    struct Geglu<'a>(&'a [f32], usize, &'a mut [f32]);
    impl Vectorized for Geglu<'_> {
        type Output = ();

        #[inline(always)]
        fn run<const FMA: bool>(self) {
            let Self(x, width, out) = self;
            for (x, out) in x.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
                // One half after the other: memory is fastest when read in order.
                let (x, gate) = x.split_at(width);
                out.copy_from_slice(x);
                for (out, &gate) in out.iter_mut().zip(gate) {
                    *out *= Activation::Gelu.apply::<FMA>(gate);
                }
            }
        }
    }
    assert!(width > 0, "rows have elements");
    assert!(
        x.len() == 2 * out.len() && out.len().is_multiple_of(width),
        "rows of twice the width in, of the width out"
    );
    let size = (CHUNK / width).max(1) * width;
    worth(threads, x.len()).chunks(out, size, |number, out| {
        let x = &x[2 * number * size..][..2 * out.len()];
        level.run(Geglu(x, width, out));
    });
}

/// `out = a + b`.
///
/// # Panics
/// When the lengths differ.
pub fn add(level: Level, threads: &Threads, a: &[f32], b: &[f32], out: &mut [f32]) {
    struct Add<'a>(&'a [f32], &'a [f32], &'a mut [f32]);
    impl Vectorized for Add<'_> {
        type Output = ();

        #[inline(always)]
        fn run<const FMA: bool>(self) {
            for ((out, a), b) in self.2.iter_mut().zip(self.0).zip(self.1) {
                *out = a + b;
            }
        }
    }
    assert!(
        a.len() == out.len() && b.len() == out.len(),
        "one output a pair of inputs"
    );
    worth(threads, out.len()).chunks(out, CHUNK, |number, out| {
        let part = number * CHUNK..number * CHUNK + out.len();
        level.run(Add(&a[part.clone()], &b[part], out));
    });
}

/// `a = a + b`.
///
/// # Panics
/// When the lengths differ.
pub fn add_assign(level: Level, threads: &Threads, a: &mut [f32], b: &[f32]) {
    struct Add<'a>(&'a mut [f32], &'a [f32]);
    impl Vectorized for Add<'_> {
        type Output = ();

        #[inline(always)]
        fn run<const FMA: bool>(self) {
            self.0.iter_mut().zip(self.1).for_each(|(a, b)| *a += b);
        }
    }
    assert_eq!(a.len(), b.len(), "one to add to each");
    worth(threads, a.len()).chunks(a, CHUNK, |number, a| {
        let b = &b[number * CHUNK..][..a.len()];
        level.run(Add(a, b));
    });
}
