use proptest::prelude::*;

use super::*;
use crate::elementwise::tests::{levels, noise, threads};

/// As the definition says, with nothing clever.
fn reference(format: Format, row: &[f32]) -> (Vec<u8>, f32, i32) {
    let low = row.iter().copied().fold(0.0, f32::min);
    let high = row.iter().copied().fold(0.0, f32::max);
    let scale = (high / 255.0 - low / 255.0).max(Grid::LEAST_SCALE);
    let zero = (-low * (1.0 / scale)).round_ties_even().clamp(0.0, 255.0);
    let q = row.iter().map(|x| {
        let q = (x * (1.0 / scale)).round_ties_even() + zero;
        (q.clamp(0.0, 255.0) as i32 - format.offset()).to_le_bytes()[0]
    });
    (q.collect(), scale, zero as i32 - format.offset())
}

fn value(format: Format, byte: u8) -> i32 {
    match format {
        Format::Unsigned => byte.into(),
        Format::Signed => i32::from(byte as i8),
    }
}

fn check(format: Format, x: &[f32], width: usize, stride: usize, got: &Quantized) {
    let rows = x.chunks(width).zip(got.data.chunks(stride));
    for (row, (x, bytes)) in rows.enumerate() {
        let (q, scale, zero) = reference(format, x);
        assert_eq!(
            (scale, zero),
            (got.scales[row], got.zeros[row]),
            "row {row}"
        );
        assert!(bytes[..width] == q, "row {row} of {width}");
        assert!(
            bytes[width..]
                .iter()
                .all(|&byte| value(format, byte) == zero)
        );
        for (&x, &byte) in x.iter().zip(bytes) {
            let back = f64::from(scale) * f64::from(value(format, byte) - zero);
            let error = (f64::from(x) - back).abs();
            assert!(error <= 0.5001 * f64::from(scale), "{x} became {back}");
            assert!(x != 0.0 || back == 0.0);
        }
    }
}

#[test]
fn rows_of_any_length_are_as_defined_on_any_number_of_threads() {
    let threads = threads();
    let shapes = [
        (0, 5),
        (1, 1),
        (1, 31),
        (3, 32),
        (2, 33),
        (300, 320),
        (7, CHUNK - 1),
        (3, 2 * CHUNK),
        (1, 2 * CHUNK + 1),
        (2, 5 * CHUNK + 3),
    ];
    for level in levels() {
        for (rows, width) in shapes {
            let mut x = noise(rows * width, 7);
            // Ranges of many kinds: around 0, above and below it.
            for (row, x) in x.chunks_mut(width).enumerate() {
                let (by, add) = [(1.0, 0.0), (3e-5, 3e-4), (1e30, -7e29)][row % 3];
                x.iter_mut().for_each(|x| *x = *x * by + add);
            }
            for format in [Format::Unsigned, Format::Signed] {
                for stride in [width, width.next_multiple_of(64)] {
                    for threads in &threads {
                        let got = Quantized::rows(level, threads, format, &x, width, stride);
                        check(format, &x, width, stride, &got);
                    }
                }
                let known = ranges(level, &threads[0], &x, width);
                for threads in &threads {
                    assert_eq!(known, ranges(level, threads, &x, width));
                    let got = Quantized::with_ranges(level, threads, format, &known, &x);
                    check(format, &x, width, width, &got);
                }
            }
        }
    }
}

#[test]
fn rows_of_zeros_are_exact() {
    for (x, width) in [
        (vec![0.0; 40], 40),
        (vec![-0.0; 3], 3),
        (vec![0.0; 3 * CHUNK], 3 * CHUNK),
    ] {
        for level in levels() {
            for format in [Format::Unsigned, Format::Signed] {
                let got = Quantized::rows(level, &Threads::single(), format, &x, width, width);
                assert_eq!(got.scales, [Grid::LEAST_SCALE]);
                assert!(
                    got.data
                        .iter()
                        .all(|&byte| value(format, byte) == got.zeros[0])
                );
            }
        }
    }
}

#[test]
fn extremes_of_f32_overflow_nothing() {
    let rows = [
        [f32::MAX, f32::MIN, 0.0],
        [f32::MAX, 1.0, 0.0],
        [1e-44, -1e-44, 0.0],
        [f32::MIN_POSITIVE, 0.0, 0.0],
        [1e-28, -1e-30, 3e-29],
    ];
    for level in levels() {
        for x in rows {
            let got = Quantized::rows(level, &Threads::single(), Format::Signed, &x, 3, 3);
            check(Format::Signed, &x, 3, 3, &got);
        }
    }
}

#[test]
fn what_is_not_finite_shows_in_its_row_alone() {
    for level in levels() {
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for width in [3, 100, 3 * CHUNK] {
                for place in [0, width / 2, width - 1] {
                    let mut x = noise(2 * width, 9);
                    x[place] = bad;
                    let format = Format::Unsigned;
                    let got = Quantized::rows(level, &threads()[1], format, &x, width, width);
                    assert!(got.scales[0].is_nan() && got.scales[1].is_finite());
                    let again =
                        Quantized::rows(level, &Threads::single(), format, &x, width, width);
                    assert_eq!(got.data, again.data);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_row_comes_back_within_half_a_step(
        x in prop::collection::vec(-1e3f32..1e3, 1..200),
        by in prop::sample::select(vec![1e-20f32, 1e-3, 1.0, 1e20]),
        above in 0f32..2e3,
    ) {
        let x: Vec<f32> = x.iter().map(|x| (x + above) * by).collect();
        for level in levels() {
            let width = x.len();
            let got = Quantized::rows(level, &Threads::single(), Format::Signed, &x, width, width + 3);
            check(Format::Signed, &x, width, width + 3, &got);
        }
    }
}

#[test]
fn what_an_image_leaves_over_makes_it_255_times_as_fine() {
    for level in levels() {
        for format in [Format::Unsigned, Format::Signed] {
            for width in [1, 33, 2 * CHUNK + 5] {
                let x = noise(2 * width, 11);
                let mut coarse = Quantized::default();
                let mut rest = Quantized::default();
                for threads in threads() {
                    quantize_images(level, &threads, format, &x, width, &mut coarse);
                    quantize_rest(level, &threads, format, &x, &coarse, &mut rest);
                    for (at, x) in x.iter().enumerate() {
                        let image = at / width;
                        let part = |q: &Quantized| {
                            let steps = value(format, q.data[at]) - q.zeros[image];
                            f64::from(q.scales[image]) * f64::from(steps)
                        };
                        let error = (f64::from(*x) - part(&coarse) - part(&rest)).abs();
                        // Half a fine step, and the rounding of x / scale in f32.
                        let bound = f64::from(coarse.scales[image]) * (0.5 / 255.0 + 3e-5);
                        assert!(error <= bound, "{width}: {error} {bound}");
                    }
                }
            }
        }
    }
}
