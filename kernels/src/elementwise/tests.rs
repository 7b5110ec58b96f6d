use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::isa::Isa;

/// One, two and three threads.
pub(crate) fn threads() -> [Threads; 3] {
    [1, 2, 3].map(|count| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
        Threads::on(Arc::new(pool.expect("threads")))
    })
}

/// Every level that runs here.
pub(crate) fn levels() -> impl Iterator<Item = Level> {
    Isa::available().map(Level::of)
}

/// Numbers between −1 and 1 that look random.
pub(crate) fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as i32 as f32 / 2_147_483_648.0
    };
    (0..len).map(next).collect()
}

/// Around vectors, chunks and the threshold of threads.
pub(crate) const LENGTHS: [usize; 12] = [
    0,
    1,
    2,
    15,
    17,
    33,
    CHUNK - 1,
    CHUNK,
    CHUNK + 1,
    2 * CHUNK,
    2 * CHUNK + 1,
    5 * CHUNK + 7,
];

/// By the series that has no negative term: 2/√π · e^−x² · Σ 2ᵏ x²ᵏ⁺¹ / (1 · 3 · … · (2k + 1)).
fn erf_f64(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut k) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs() {
        k += 2.0;
        term *= 2.0 * x * x / k;
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

fn activation_f64(activation: Activation, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match activation {
        Activation::Silu => x * sigmoid(x),
        Activation::Gelu => x / 2.0 * (1.0 + erf_f64(x / 2f64.sqrt())),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            x / 2.0 * (1.0 + inner.tanh())
        }
        Activation::QuickGelu => x * sigmoid(1.702 * x),
    }
}

const ALL: [Activation; 4] = [
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::QuickGelu,
];

/// Every so many of all finite numbers, of both signs.
fn sweep(step: usize) -> impl Iterator<Item = f32> {
    let positive = (0..f32::INFINITY.to_bits()).step_by(step);
    positive.flat_map(|bits| [f32::from_bits(bits), -f32::from_bits(bits)])
}

/// How far from the truth, in the distance of neighbouring f32 there.
fn ulps(got: f32, truth: f64) -> f64 {
    let near = truth as f32;
    let ulp = f64::from(near.next_up()) - f64::from(near);
    (f64::from(got) - truth).abs() / ulp
}

fn exp_is_near<const FMA: bool>() {
    let mut worst = 0.0f64;
    // All numbers of either sign, and those of interest more densely.
    let dense = (-8_800_000..8_872_000).map(|i| i as f32 * 1e-5 + 1.7e-7);
    for x in sweep(1009).chain(dense) {
        let (got, truth) = (exp::<FMA>(x), f64::from(x).exp());
        if x < -86.99 {
            assert!((0.0..2e-38).contains(&got), "exp({x}) = {got}");
        } else if x > 88.7229 {
            assert_eq!(got, f32::INFINITY, "exp({x})");
        } else if x > -86.98 && x < 88.7228 {
            worst = worst.max(ulps(got, truth));
        }
    }
    println!("exp, fused {FMA}: {worst:.3} ulp");
    assert!(worst < 2.5);
    assert_eq!(exp::<FMA>(f32::NEG_INFINITY), 0.0);
    assert_eq!(exp::<FMA>(f32::INFINITY), f32::INFINITY);
    assert_eq!((exp::<FMA>(0.0), exp::<FMA>(-0.0)), (1.0, 1.0));
    assert!(exp::<FMA>(f32::NAN).is_nan() && exp::<FMA>(-f32::NAN).is_nan());
}

fn sigmoid_is_near<const FMA: bool>() {
    let (mut worst, mut last) = (0.0f64, 0.0);
    for i in -1_000_000..=1_000_000 {
        let x = i as f32 * 1e-4;
        let (got, truth) = (sigmoid::<FMA>(x), 1.0 / (1.0 + (-f64::from(x)).exp()));
        assert!((0.0..=1.0).contains(&got) && got >= last * 0.999_999);
        last = got;
        if truth > 2e-38 {
            worst = worst.max(ulps(got, truth));
        }
    }
    println!("sigmoid, fused {FMA}: {worst:.3} ulp");
    assert!(worst < 4.0);
    assert_eq!(sigmoid::<FMA>(f32::NEG_INFINITY), 0.0);
    assert_eq!(sigmoid::<FMA>(f32::INFINITY), 1.0);
    assert_eq!(sigmoid::<FMA>(0.0), 0.5);
    assert!(sigmoid::<FMA>(f32::NAN).is_nan());
}

fn erf_is_near<const FMA: bool>() {
    let mut worst = 0.0f64;
    let dense = (-4_200_000..4_200_000).map(|i| i as f32 * 1e-6);
    for x in sweep(100_003).chain(dense.step_by(3)) {
        let got = erf::<FMA>(x);
        worst = worst.max((f64::from(got) - erf_f64(f64::from(x))).abs());
        assert!((-1.0..=1.0).contains(&got));
        assert_eq!(got, -erf::<FMA>(-x), "odd");
        if x > 3.95 {
            assert_eq!(got, 1.0, "at {x}");
        }
    }
    println!("erf, fused {FMA}: {worst:.3e}");
    assert!(worst < 5e-7);
    assert!(erf::<FMA>(f32::NAN).is_nan());
}

#[test]
fn functions_are_within_their_bounds() {
    exp_is_near::<true>();
    exp_is_near::<false>();
    sigmoid_is_near::<true>();
    sigmoid_is_near::<false>();
    erf_is_near::<true>();
    erf_is_near::<false>();
}

#[test]
fn activations_are_near_their_definitions() {
    for activation in ALL {
        for x in (-200_000..=200_000).map(|i| i as f32 * 1e-4) {
            let truth = activation_f64(activation, f64::from(x));
            let bound = 4e-7 * f64::from(x.abs()).max(0.1);
            for got in [activation.apply::<true>(x), activation.apply::<false>(x)] {
                assert!(
                    (f64::from(got) - truth).abs() < bound,
                    "{activation:?}({x}) = {got}"
                );
            }
        }
        for far in [1e3, 1e10, 1e20, f32::MAX] {
            assert_eq!(activation.apply::<true>(far), far);
            assert_eq!(
                activation.apply::<true>(-far),
                0.0,
                "{activation:?}(-{far})"
            );
        }
        assert_eq!(activation.apply::<true>(f32::INFINITY), f32::INFINITY);
        assert!(activation.apply::<true>(f32::NEG_INFINITY).is_nan());
        assert!(activation.apply::<true>(f32::NAN).is_nan());
    }
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn loops_apply_the_functions_on_any_number_of_threads() {
    let threads = threads();
    for level in levels() {
        for len in LENGTHS {
            let (x, y) = (noise(len, 1), noise(len, 2));
            for threads in &threads {
                for activation in ALL {
                    let mut out = vec![f32::NAN; len];
                    activate(level, threads, activation, &x, &mut out);
                    let want = |x: f32| [activation.apply::<true>(x), activation.apply::<false>(x)];
                    let right = |(&got, &x): (&f32, &f32)| want(x).contains(&got);
                    assert!(out.iter().zip(&x).all(right), "{level:?} {len}");
                    let mut same = x.clone();
                    activate_in_place(level, threads, activation, &mut same);
                    assert_eq!(bits(&out), bits(&same), "{level:?} {len}");
                }
                let mut out = vec![f32::NAN; len];
                add(level, threads, &x, &y, &mut out);
                assert!(
                    out.iter()
                        .zip(&x)
                        .zip(&y)
                        .all(|((out, x), y)| *out == x + y)
                );
                let mut same = x.clone();
                add_assign(level, threads, &mut same, &y);
                assert_eq!(bits(&out), bits(&same));
            }
        }
    }
}

#[test]
fn geglu_gates_the_first_half_with_the_second() {
    let threads = threads();
    let shapes = [(0, 3), (1, 1), (3, 7), (5, 32), (2, CHUNK + 3), (57, 1280)];
    for level in levels() {
        for (rows, width) in shapes {
            let x = noise(2 * rows * width, 3);
            let outputs = threads.each_ref().map(|threads| {
                let mut out = vec![f32::NAN; rows * width];
                geglu(level, threads, &x, width, &mut out);
                out
            });
            for (row, out) in x.chunks(2 * width).zip(outputs[0].chunks(width)) {
                for i in 0..width {
                    let gate = activation_f64(Activation::Gelu, row[width + i].into());
                    let truth = f64::from(row[i]) * gate;
                    assert!((f64::from(out[i]) - truth).abs() < 1e-6);
                }
            }
            assert!(outputs.iter().all(|out| bits(out) == bits(&outputs[0])));
        }
    }
}

proptest! {
    #[test]
    fn silu_is_x_times_sigmoid(x in -80f32..80.0) {
        let product = x * sigmoid::<true>(x);
        prop_assert!((Activation::Silu.apply::<true>(x) - product).abs() <= 1e-6 * product.abs());
    }
}
