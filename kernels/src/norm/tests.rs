use super::*;
use crate::elementwise::CHUNK;
use crate::elementwise::tests::{levels, noise, threads};
use crate::quantize::ranges;
use crate::threads::Threads;

/// Two passes in f64.
fn reference(norm: &GroupNorm<'_>, x: &[f32], shape: [usize; 3]) -> Vec<f64> {
    let [images, pixels, channels] = shape;
    let size = channels / norm.groups;
    let mut out = vec![0.0; x.len()];
    for image in 0..images {
        for group in 0..norm.groups {
            let of = |pixel: usize| {
                let start = (image * pixels + pixel) * channels + group * size;
                start..start + size
            };
            let all = || (0..pixels).flat_map(of);
            let count = (pixels * size) as f64;
            let mean = all().map(|i| f64::from(x[i])).sum::<f64>() / count;
            let variance = all().map(|i| (f64::from(x[i]) - mean).powi(2)).sum::<f64>() / count;
            let deviation = (variance + f64::from(norm.epsilon)).sqrt();
            for i in all() {
                let (scale, shift) = (norm.scale[i % channels], norm.shift[i % channels]);
                let y = (f64::from(x[i]) - mean) / deviation * f64::from(scale) + f64::from(shift);
                out[i] = if norm.silu { y / (1.0 + (-y).exp()) } else { y };
            }
        }
    }
    out
}

fn assert_near(got: &[f32], want: &[f64], what: &str) {
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(got) - want).abs();
        assert!(
            error <= 1e-5 * want.abs().max(1.0),
            "{what}: {got} for {want} at {i}"
        );
    }
}

/// Numbers whose mean is far from 0 in multiples of their deviation, with a channel that stands out.
fn data(len: usize, channels: usize, mean: f32) -> Vec<f32> {
    let mut x = noise(len, 5);
    for (i, x) in x.iter_mut().enumerate() {
        let channel = i % channels;
        *x = mean + *x * if channel == 1 { 0.5 } else { 0.01 };
    }
    x
}

#[test]
fn group_norm_is_as_defined_on_any_number_of_threads() {
    let shapes = [
        // Images, pixels, channels, groups.
        ([0, 5, 32], 32),
        ([1, 0, 32], 32),
        ([1, 1, 2], 1),
        ([2, 3, 4], 2),
        ([1, 7, 64], 32),
        ([2, 49, 320], 32),
        ([1, 9, 2560], 32),
        ([2, 515, 128], 32),
        ([1, 5000, 4], 1),
        ([1, 1031, 60], 3),
        ([1, 3, 3 * CHUNK], 32),
    ];
    let threads = threads();
    for (shape, groups) in shapes {
        let channels = shape[2];
        let scale: Vec<f32> = noise(channels, 1).iter().map(|x| 1.0 + x).collect();
        let shift = noise(channels, 2);
        for mean in [0.0, 1000.0] {
            let x = data(shape.iter().product(), channels, mean);
            for silu in [false, true] {
                let norm = GroupNorm {
                    groups,
                    epsilon: 1e-6,
                    scale: &scale,
                    shift: &shift,
                    silu,
                    moments: None,
                };
                let want = reference(&norm, &x, shape);
                for level in levels() {
                    let mut one = vec![f32::NAN; x.len()];
                    norm.run(level, &threads[0], &x, shape, &mut one);
                    assert_near(&one, &want, &format!("{level:?} {shape:?} {mean}"));
                    for threads in &threads {
                        let mut out = vec![f32::NAN; x.len()];
                        let found = norm.run_with_ranges(level, threads, &x, shape, &mut out);
                        assert!(out == one, "{level:?} {shape:?} {threads:?}");
                        let mut own = x.clone();
                        norm.run_in_place(level, threads, &mut own, shape);
                        assert!(own == one, "{level:?} {shape:?} {threads:?}");
                        assert_eq!(found.len(), shape[0]);
                        if !x.is_empty() {
                            let size = shape[1] * channels;
                            assert_eq!(found, ranges(level, threads, &out, size));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn one_number_far_from_the_others_costs_no_digits() {
    let (scale, shift) = (vec![1.0; 32], vec![0.0; 32]);
    let norm = GroupNorm {
        groups: 16,
        epsilon: 1e-6,
        scale: &scale,
        shift: &shift,
        silu: false,
        moments: None,
    };
    for place in [0, 1, 700 * 32, 2000 * 32 - 1] {
        let mut x = noise(2000 * 32, 6);
        x[place] = 1e4;
        let want = reference(&norm, &x, [1, 2000, 32]);
        for level in levels() {
            let mut out = vec![f32::NAN; x.len()];
            norm.run(level, &Threads::single(), &x, [1, 2000, 32], &mut out);
            assert_near(&out, &want, &format!("{level:?}, the one at {place}"));
        }
    }
}

#[test]
fn equal_numbers_become_the_shift() {
    let (scale, shift) = (vec![3.0; 32], noise(32, 3));
    let norm = GroupNorm {
        groups: 8,
        epsilon: 1e-5,
        scale: &scale,
        shift: &shift,
        silu: false,
        moments: None,
    };
    let x = vec![1234.567; 100 * 32];
    for level in levels() {
        let mut out = vec![f32::NAN; x.len()];
        norm.run(level, &Threads::single(), &x, [1, 100, 32], &mut out);
        assert!(out.chunks(32).all(|row| row == shift));
        let norm = RowNorm {
            centered: true,
            epsilon: 1e-5,
            width: 32,
            scale: &scale,
            shift: &shift,
        };
        norm.run(level, &Threads::single(), &x, &mut out);
        assert!(out.chunks(32).all(|row| row == shift));
    }
}

#[test]
fn nan_stays_in_its_group() {
    let ones = vec![1.0; 64];
    let norm = GroupNorm {
        groups: 32,
        epsilon: 1e-5,
        scale: &ones,
        shift: &ones,
        silu: true,
        moments: None,
    };
    for bad in [f32::NAN, f32::INFINITY] {
        let mut x = noise(2 * 50 * 64, 4);
        x[64 * 7 + 5] = bad;
        for level in levels() {
            let mut out = vec![0.0; x.len()];
            let found = norm.run_with_ranges(level, &Threads::single(), &x, [2, 50, 64], &mut out);
            for (i, out) in out.iter().enumerate() {
                let hit = i < 50 * 64 && matches!(i % 64, 4 | 5);
                assert_eq!(out.is_nan(), hit, "at {i}");
            }
            assert!(found[0][0].is_nan() && found[1][0].is_finite());
        }
    }
}

/// Two passes in f64 over each row.
fn rows_reference(norm: &RowNorm<'_>, x: &[f32]) -> Vec<f64> {
    let width = norm.width;
    let rows_per_image = x.len() / norm.scale.len().max(1);
    let mut out = Vec::with_capacity(x.len());
    for (row, x) in x.chunks(width).enumerate() {
        let of_row = |of: &dyn Fn(f64) -> f64| {
            x.iter().map(|x| of(f64::from(*x))).sum::<f64>() / width as f64
        };
        let mean = if norm.centered { of_row(&|x| x) } else { 0.0 };
        let squares = of_row(&|x| (x - mean).powi(2));
        let gain = 1.0 / (squares + f64::from(norm.epsilon)).sqrt();
        for (column, x) in x.iter().enumerate() {
            let at = row / rows_per_image * width + column;
            let [scale, shift] = [norm.scale, norm.shift].map(|of| f64::from(of[at]));
            out.push((f64::from(*x) - mean) * gain * scale + shift);
        }
    }
    out
}

#[test]
fn rows_are_normalized_as_defined_on_any_number_of_threads() {
    let threads = threads();
    let shapes = [
        // Images, rows of each, numbers of a row.
        (1, 0, 4),
        (1, 1, 1),
        (3, 1, 5),
        (2, 1, 31),
        (1, 9, 33),
        (2, 75, 320),
        (3, 700, 64),
        (1, 2, 2 * CHUNK + 5),
    ];
    for (images, rows, width) in shapes {
        let scale: Vec<f32> = noise(images * width, 1).iter().map(|x| 1.0 + x).collect();
        let shift = noise(images * width, 2);
        for (mean, centered) in [(0.0, true), (1000.0, true), (0.0, false), (3.0, false)] {
            let x = data(images * rows * width, width, mean);
            let norm = RowNorm {
                centered,
                epsilon: 1e-5,
                width,
                scale: &scale,
                shift: &shift,
            };
            let want = rows_reference(&norm, &x);
            for level in levels() {
                let outputs = threads.each_ref().map(|threads| {
                    let mut out = vec![f32::NAN; x.len()];
                    norm.run(level, threads, &x, &mut out);
                    out
                });
                let what = format!("{level:?} {images} {rows} {width} {mean} {centered}");
                assert_near(&outputs[0], &want, &what);
                assert!(outputs.iter().all(|out| *out == outputs[0]), "{what}");
            }
        }
    }
}

#[test]
fn a_part_of_an_image_with_the_moments_of_all_of_it_is_that_part_of_the_whole() {
    let (pixels, channels, groups) = (700, 24, 3);
    let x = data(pixels * channels, channels, 7.0);
    let [scale, shift] = [1, 2].map(|seed| noise(channels, seed));
    let norm = GroupNorm {
        groups,
        epsilon: 1e-6,
        scale: &scale,
        shift: &shift,
        silu: true,
        moments: None,
    };
    for level in levels() {
        for threads in threads() {
            let mut whole = vec![f32::NAN; x.len()];
            norm.run(level, &threads, &x, [1, pixels, channels], &mut whole);
            // In two pieces, of several rows each.
            let (first, second) = x.split_at(500 * channels);
            let mut sums = vec![Moments::default(); groups];
            for piece in [first, second] {
                let rows: Vec<_> = piece.chunks(100 * channels).collect();
                Moments::add_all(
                    &mut sums,
                    &moments(level, &threads, groups, channels, &rows),
                );
            }
            assert!(
                sums.iter()
                    .all(|sum| sum.count == (pixels * channels / groups) as f64)
            );
            let mut part = vec![f32::NAN; second.len()];
            let norm = GroupNorm {
                moments: Some(&sums),
                ..norm
            };
            norm.run(level, &threads, second, [1, 200, channels], &mut part);
            let wanted: Vec<f64> = whole[first.len()..].iter().map(|y| f64::from(*y)).collect();
            assert_near(&part, &wanted, "a part");
        }
    }
}
