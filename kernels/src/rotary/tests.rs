use super::*;
use crate::elementwise::tests::{levels, noise, threads};

/// Where the other feature of the pair is, and with which sign.
fn other(pairs: Pairs, feature: usize, features: usize) -> (usize, f64) {
    let half = features / 2;
    match pairs {
        Pairs::Neighbours if feature.is_multiple_of(2) => (feature + 1, -1.0),
        Pairs::Neighbours => (feature - 1, 1.0),
        Pairs::Halves if feature < half => (feature + half, -1.0),
        Pairs::Halves => (feature - half, 1.0),
    }
}

#[test]
fn pairs_are_turned_as_defined_on_any_number_of_threads() {
    let threads = threads();
    // Pictures, tokens, heads, features.
    for [pictures, tokens, heads, features] in [
        [1, 1, 1, 2],
        [0, 3, 2, 4],
        [2, 5, 3, 6],
        [1, 77, 24, 64],
        [2, 333, 2, 128],
        [1, 7, 1, 2 * CHUNK + 2],
    ] {
        let x = noise(pictures * tokens * heads * features, 1);
        let cos = noise(tokens * features, 2);
        let sin = noise(tokens * features, 3);
        for pairs in [Pairs::Neighbours, Pairs::Halves] {
            // The heads of a token side by side, or the tokens of a head.
            for repeat in [heads, 1] {
                let rotary = Rotary {
                    pairs,
                    features,
                    repeat,
                    cos: &cos,
                    sin: &sin,
                };
                for level in levels() {
                    for threads in &threads {
                        let mut out = vec![f32::NAN; x.len()];
                        rotary.run(level, threads, &x, &mut out);
                        for (at, out) in out.iter().enumerate() {
                            let (row, feature) = (at / features, at % features);
                            let place = row / repeat % tokens * features + feature;
                            let (pair, sign) = other(pairs, feature, features);
                            let pair = f64::from(x[row * features + pair]);
                            let want = f64::from(x[at]) * f64::from(cos[place])
                                + sign * pair * f64::from(sin[place]);
                            let error = (f64::from(*out) - want).abs();
                            assert!(error < 1e-6, "{pairs:?} {repeat} {features} at {at}");
                        }
                    }
                }
            }
        }
    }
}
