//! What rounding may cost: [`Precision::Low`] on numbers like those of a U-Net.

use super::*;

/// The error of a result relative to it, both as root mean squares, on U-Nets' shapes. int8 costs up to 1 %; bfloat16
/// 0.35 %.
const RELATIVE: f64 = 1.2e-2;

/// Numbers of a normal distribution, mean 0 and deviation 1, nearly: sums of 12 uniform ones.
fn gaussian(len: usize, seed: u64) -> Vec<f32> {
    let sums = noise(12 * len, seed);
    sums.as_chunks::<12>()
        .0
        .iter()
        .map(|part| part.iter().sum::<f32>() / 2.0)
        .collect()
}

fn gaussian_case(queries: usize, keys: usize, features: usize) -> Case {
    let mut case = Case::new(Shape {
        heads: 2,
        ..shape(queries, keys, features, features)
    });
    for (seed, data) in [&mut case.q, &mut case.k, &mut case.v]
        .into_iter()
        .enumerate()
    {
        *data = gaussian(data.len(), seed as u64 + 11);
    }
    case
}

/// ‖found - exact‖ / ‖exact‖
fn relative(found: impl Iterator<Item = f64>, exact: &[f64]) -> f64 {
    let wrong: f64 = found.zip(exact).map(|(found, x)| (found - x).powi(2)).sum();
    let right: f64 = exact.iter().map(|x| x * x).sum();
    (wrong / right).sqrt()
}

fn floats(data: &[f32]) -> impl Iterator<Item = f64> {
    data.iter().map(|&x| f64::from(x))
}

#[test]
fn normal_numbers_lose_a_hundredth() {
    for (queries, keys, features) in [(96, 1024, 40), (64, 512, 80), (64, 256, 160)] {
        let case = gaussian_case(queries, keys, features);
        let attention = case.attention(Precision::Low, None);
        let exact = case.exact(&attention);
        for (kernels, found) in case.runs(&Threads::single(), &attention) {
            let error = relative(floats(&found), &exact);
            assert!(error < RELATIVE, "{kernels}, {features} features: {error}");
        }
    }
}

/// Without the mean taken out, the same keys would not do.
#[test]
fn what_all_keys_share_costs_nothing() {
    let mut case = gaussian_case(64, 512, 40);
    let shared: Vec<f32> = gaussian(2 * 40, 5).iter().map(|x| 20.0 * x).collect();
    for (index, k) in case.k.iter_mut().enumerate() {
        *k += shared[index % shared.len()];
    }
    let attention = case.attention(Precision::Low, None);
    let exact = case.exact(&attention);
    for (kernels, found) in case.int8_runs(&Threads::single(), &attention) {
        let error = relative(floats(&found), &exact);
        assert!(error < RELATIVE, "{kernels}: {error}");
    }

    for key in case.k.chunks_exact_mut(40) {
        let scale = key.iter().fold(0.0, |max: f32, x| max.max(x.abs())) / 127.0;
        key.iter_mut()
            .for_each(|x| *x = (*x / scale).round() * scale);
    }
    let error = relative(case.exact(&attention).into_iter(), &exact);
    assert!(error > 5.0 * RELATIVE, "{error}");
}

/// With one value for each key, results are weights, and their logarithms tell scores.
#[test]
fn scores_keep_their_bound() {
    const KEYS: usize = 12;
    for features in [2, 3, 40, 41] {
        let mut case = Case::new(shape(300, KEYS, features, KEYS));
        for (index, v) in case.v.iter_mut().enumerate() {
            *v = if index % (KEYS + 1) == 0 { 1.0 } else { 0.0 };
        }
        let attention = case.attention(Precision::Low, None);
        let exact = case.exact(&attention);
        let mean: Vec<f32> = (0..features)
            .map(|feature| {
                let column = case.k.iter().skip(feature).step_by(features);
                column.sum::<f32>() / KEYS as f32
            })
            .collect();
        for (kernels, found) in case.int8_runs(&Threads::single(), &attention) {
            for (query, (found, exact)) in case
                .q
                .chunks_exact(features)
                .zip(found.chunks_exact(KEYS).zip(exact.chunks_exact(KEYS)))
            {
                let wrong = |key: usize| f64::from(found[key]).ln() - exact[key].ln();
                let bound = |key: usize| {
                    let key = &case.k[key * features..][..features];
                    let key: Vec<f32> = key.iter().zip(&mean).map(|(k, mean)| k - mean).collect();
                    score_bound(query, &key) * f64::from(attention.scale)
                };
                for key in 1..KEYS {
                    let difference = (wrong(key) - wrong(0)).abs();
                    // bfloat16 rounds both weights by up to 2⁻⁸.
                    let bound = bound(key) + bound(0) + 2f64.powi(-7) + 1e-4;
                    assert!(difference < bound, "{kernels}: {difference}, {bound}");
                }
            }
        }
    }
}

/// How far rounding moves a product of a query and a centred key at most: that of [`Precision::Low`].
fn score_bound(query: &[f32], key: &[f32]) -> f64 {
    let max = |row: &[f32]| floats(row).map(f64::abs).fold(0.0, f64::max);
    let sum = |row: &[f32]| floats(row).map(f64::abs).sum::<f64>();
    let half_step = max(query) / 254.0;
    (max(query) * sum(key) + max(key) * (sum(query) + query.len() as f64 * half_step)) / 254.0
}
