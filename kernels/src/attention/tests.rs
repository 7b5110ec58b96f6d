//! Against the definition, in f64.

mod grouped;
mod rounded;

use std::sync::Arc;

use super::*;

/// Numbers of -1 to 1 that look random.
fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn shape(queries: usize, keys: usize, head_dim: usize, value_dim: usize) -> Shape {
    Shape {
        batch: 1,
        heads: 1,
        queries,
        keys,
        head_dim,
        value_dim,
    }
}

/// Tensors, and how they lie: tokens within heads or heads within tokens.
struct Case {
    shape: Shape,
    head_major: bool,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    /// What is added by distance.
    relative: Option<&'static [f32]>,
}

impl Case {
    fn new(shape: Shape) -> Self {
        let sequences = shape.batch * shape.heads;
        Self {
            shape,
            head_major: false,
            q: noise(sequences * shape.queries * shape.head_dim, 1),
            k: noise(sequences * shape.keys * shape.head_dim, 2),
            v: noise(sequences * shape.keys * shape.value_dim, 3),
            relative: None,
        }
    }

    fn strides(&self, tokens: usize, features: usize) -> Strides {
        if self.head_major {
            Strides::head_major(tokens, self.shape.heads, features)
        } else {
            Strides::token_major(tokens, self.shape.heads, features)
        }
    }

    fn operands(&self) -> [Operand<'_>; 3] {
        let Shape {
            queries,
            keys,
            head_dim,
            value_dim,
            ..
        } = self.shape;
        [
            (&self.q, self.strides(queries, head_dim)),
            (&self.k, self.strides(keys, head_dim)),
            (&self.v, self.strides(keys, value_dim)),
        ]
        .map(|(data, strides)| Operand { data, strides })
    }

    fn attention<'a>(&self, precision: Precision, mask: Option<Mask<'a>>) -> Attention<'a> {
        Attention {
            shape: self.shape,
            scale: (self.shape.head_dim as f32).sqrt().recip(),
            mask,
            relative: self.relative.map(|data| Relative {
                data,
                head: self.shape.queries + self.shape.keys - 1,
            }),
            precision,
        }
    }

    fn run(&self, isa: Isa, threads: &Threads, attention: &Attention) -> Vec<f32> {
        let shape = &self.shape;
        let mut data = vec![f32::NAN; shape.batch * shape.heads * shape.queries * shape.value_dim];
        let [q, k, v] = self.operands();
        let output = Output {
            data: &mut data,
            strides: self.strides(shape.queries, shape.value_dim),
        };
        attention.run(isa, threads, &q, &k, &v, output);
        data
    }

    /// Runs every family of kernels, and all that round, whether or not their family would choose them here.
    fn runs(&self, threads: &Threads, attention: &Attention) -> Vec<(String, Vec<f32>)> {
        let mut runs: Vec<_> = Isa::available()
            .map(|isa| (isa.to_string(), self.run(isa, threads, attention)))
            .collect();
        if attention.precision == Precision::Low {
            runs.extend(self.int8_runs(threads, attention));
            #[cfg(target_arch = "x86_64")]
            runs.extend(self.run_on(x86::Bf16::detect(), threads, attention));
        }
        runs
    }

    /// Runs all that round queries and keys to int8.
    fn int8_runs(&self, threads: &Threads, attention: &Attention) -> Vec<(String, Vec<f32>)> {
        #[cfg(target_arch = "x86_64")]
        let runs = [
            self.run_on(x86::Avx512::detect().map(Int8), threads, attention),
            self.run_on(x86::Bf16::detect().map(Int8), threads, attention),
            self.run_on(x86::AvxVnni::detect().map(Int8), threads, attention),
        ];
        #[cfg(target_arch = "aarch64")]
        let runs = [self.run_on(arm::Half::detect().map(Int8), threads, attention)];
        runs.into_iter().flatten().collect()
    }

    fn run_on<A: Arithmetic<T, L> + std::fmt::Debug, const T: usize, const L: usize>(
        &self,
        arithmetic: Option<A>,
        threads: &Threads,
        attention: &Attention,
    ) -> Option<(String, Vec<f32>)> {
        let arithmetic = arithmetic?;
        let shape = &self.shape;
        let mut data = vec![f32::NAN; shape.batch * shape.heads * shape.queries * shape.value_dim];
        let [queries, keys, values] = &self.operands();
        let inputs = Inputs {
            attention,
            queries,
            keys,
            values,
        };
        let output = Output {
            data: &mut data,
            strides: self.strides(shape.queries, shape.value_dim),
        };
        inputs.run(arithmetic, threads, &Rows::new(output, shape));
        Some((format!("{arithmetic:?}"), data))
    }

    /// The definition.
    fn exact(&self, attention: &Attention) -> Vec<f64> {
        let shape = &self.shape;
        let [q, k, v] = self.operands();
        let strides = self.strides(shape.queries, shape.value_dim);
        let mut out = vec![0.0; shape.batch * shape.heads * shape.queries * shape.value_dim];
        for of in (0..shape.batch).flat_map(|b| (0..shape.heads).map(move |h| (b, h))) {
            for query in 0..shape.queries {
                let scores: Vec<f64> = (0..shape.keys)
                    .map(|key| {
                        let a = q.row(of, query, shape.head_dim);
                        let b = k.row(of, key, shape.head_dim);
                        let dot: f64 = a
                            .iter()
                            .zip(b)
                            .map(|(&a, &b)| f64::from(a) * f64::from(b))
                            .sum();
                        let mask = attention.mask.map_or(0.0, |mask| {
                            mask.data[of.0 * mask.batch
                                + of.1 * mask.head
                                + query * mask.query
                                + key * mask.key]
                        });
                        let relative = attention.relative.map_or(0.0, |relative| {
                            relative.data[of.1 * relative.head + shape.queries - 1 + key - query]
                        });
                        let added = f64::from(mask.max(f32::MIN)) + f64::from(relative);
                        dot * f64::from(attention.scale) + added
                    })
                    .collect();
                let maximum = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> =
                    scores.iter().map(|score| (score - maximum).exp()).collect();
                let total: f64 = weights.iter().sum();
                let row = &mut out[strides.at(of, query)..][..shape.value_dim];
                for (key, weight) in weights.iter().enumerate() {
                    for (out, &value) in row.iter_mut().zip(v.row(of, key, shape.value_dim)) {
                        *out += weight / total * f64::from(value);
                    }
                }
            }
        }
        out
    }

    /// Runs every family of kernels in both precisions.
    fn check(&self, mask: Option<Mask>) {
        // The values are up to 1. Scores of noise are about ±1, of which int8 and bfloat16 lose less than 1 %.
        for (precision, tolerance) in [(Precision::Float, 1e-5), (Precision::Low, 1.5e-2)] {
            let attention = self.attention(precision, mask);
            let exact = self.exact(&attention);
            for (kernels, found) in self.runs(&Threads::single(), &attention) {
                for (index, (found, exact)) in found.iter().zip(&exact).enumerate() {
                    let error = (f64::from(*found) - exact).abs();
                    assert!(
                        error < tolerance,
                        "{kernels} {precision:?} {:?}: element {index} is {found}, should be {exact}",
                        self.shape
                    );
                }
            }
        }
    }
}

fn threads(count: usize) -> Threads {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
    Threads::on(Arc::new(pool.expect("threads")))
}

#[test]
fn sizes_astride_every_edge_are_right() {
    for queries in [1, 15, 16, 17, 31, 32, 33, 65] {
        for keys in [1, 2, 7, 8, 9, 63, 64, 65, 77, 255, 300] {
            Case::new(shape(queries, keys, 8, 8)).check(None);
        }
    }
    for features in [1, 4, 5, 8, 9, 40, 64, 80, 160, 512] {
        Case::new(shape(33, 77, features, features)).check(None);
        Case::new(shape(5, 65, features, 7)).check(None);
        Case::new(shape(5, 65, 7, features)).check(None);
    }
}

#[test]
fn heads_and_pictures_lie_where_the_strides_say() {
    for head_major in [false, true] {
        let shape = Shape {
            batch: 2,
            heads: 3,
            ..shape(37, 70, 10, 6)
        };
        let mut case = Case::new(shape);
        case.head_major = head_major;
        case.check(None);
    }
}

#[test]
fn masks_are_added_and_shared() {
    let full = Shape {
        batch: 2,
        heads: 3,
        ..shape(33, 70, 8, 8)
    };
    let data = noise(2 * 3 * 33 * 70, 7);
    let strides = [
        (3 * 33 * 70, 33 * 70, 70, 1),
        (70, 0, 0, 1),
        (0, 0, 70, 1),
        (0, 70, 1, 0),
    ];
    for (batch, head, query, key) in strides {
        Case::new(full).check(Some(Mask {
            data: &data,
            batch,
            head,
            query,
            key,
        }));
    }
}

#[test]
fn what_is_added_by_distance_belongs_to_a_head() {
    for (queries, keys) in [(1, 1), (33, 70), (16, 65), (150, 17)] {
        let shape = Shape {
            batch: 2,
            heads: 3,
            ..shape(queries, keys, 8, 8)
        };
        let mut case = Case::new(shape);
        case.relative = Some(noise(3 * (queries + keys - 1), 8).leak());
        case.check(None);
        let data = noise(2 * keys, 9);
        case.check(Some(Mask {
            data: &data,
            batch: keys,
            head: 0,
            query: 0,
            key: 1,
        }));
    }
}

#[test]
fn dropped_keys_weigh_nothing() {
    for drop in [f32::NEG_INFINITY, f32::MIN, -1e9] {
        // A text encoder's: each query sees the keys up to itself. Behind 64, whole blocks are dropped.
        let shape = shape(150, 150, 16, 16);
        let data: Vec<f32> = (0..150 * 150)
            .map(|index| if index % 150 > index / 150 { drop } else { 0.0 })
            .collect();
        let mut mask = Mask {
            data: &data,
            batch: 0,
            head: 0,
            query: 150,
            key: 1,
        };
        Case::new(shape).check(Some(mask));
        // The other way around: the blocks that come first are dropped.
        (mask.query, mask.key) = (1, 150);
        Case::new(shape).check(Some(mask));
    }
}

#[test]
fn a_query_without_keys_gets_the_mean() {
    let case = Case::new(shape(33, 100, 8, 8));
    for drop in [f32::NEG_INFINITY, f32::MIN] {
        case.check(Some(Mask {
            data: &[drop],
            batch: 0,
            head: 0,
            query: 0,
            key: 0,
        }));
    }
}

#[test]
fn large_scores_pick_the_largest() {
    let mut case = Case::new(shape(40, 130, 4, 4));
    case.q.iter_mut().for_each(|q| *q = 100.0 * q.signum());
    case.q[..4].fill(100.0);
    for (index, k) in case.k.iter_mut().enumerate() {
        *k = if index / 4 == 99 { 100.0 } else { *k };
    }
    for precision in [Precision::Float, Precision::Low] {
        for (kernels, out) in case.runs(&Threads::single(), &case.attention(precision, None)) {
            assert!(out.iter().all(|out| out.abs() <= 1.0), "{kernels}");
            for (out, v) in out[..4].iter().zip(&case.v[4 * 99..]) {
                assert!((out - v).abs() < 4e-3, "{kernels}: {out} for {v}");
            }
        }
    }
}

#[test]
fn results_are_means() {
    let mut case = Case::new(shape(70, 300, 40, 12));
    for precision in [Precision::Float, Precision::Low] {
        for (kernels, out) in case.runs(&Threads::single(), &case.attention(precision, None)) {
            let within = out.iter().all(|out| (-1.0..=1.0).contains(out));
            assert!(within, "{kernels}");
        }
    }
    // 0.75 is a bfloat16, and the weights are summed as they are multiplied; but f16 rounds each sum.
    let coarse = if cfg!(target_arch = "aarch64") {
        2e-3
    } else {
        1e-6
    };
    case.v.fill(0.75);
    for (precision, tolerance) in [(Precision::Float, 1e-6), (Precision::Low, coarse)] {
        for (kernels, out) in case.runs(&Threads::single(), &case.attention(precision, None)) {
            let equal = out.iter().all(|out| (out - 0.75).abs() < tolerance);
            assert!(equal, "{kernels}");
        }
    }
}

/// Beyond the range of f16, and below it.
#[test]
fn values_have_any_size() {
    let mut case = Case::new(shape(20, 200, 16, 8));
    for factor in [0.0, 1e-42, 1e-30, 1e30] {
        for (v, noise) in case.v.iter_mut().zip(noise(200 * 8, 3)) {
            *v = factor * noise;
        }
        for precision in [Precision::Float, Precision::Low] {
            let attention = case.attention(precision, None);
            let exact = case.exact(&attention);
            for (kernels, found) in case.runs(&Threads::single(), &attention) {
                for (found, exact) in found.iter().zip(&exact) {
                    let error = (f64::from(*found) - exact).abs();
                    // A subnormal has few bits, and bfloat16's multiplier takes it for 0.
                    let tolerance = f64::from(factor * 1.5e-2).max(1e-41);
                    assert!(error < tolerance, "{kernels}: {found} for {exact}");
                }
            }
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let shape = Shape {
        heads: 3,
        ..shape(200, 150, 24, 24)
    };
    let case = Case::new(shape);
    for precision in [Precision::Float, Precision::Low] {
        let attention = case.attention(precision, None);
        let alone = case.runs(&Threads::single(), &attention);
        for count in [2, 3] {
            assert_eq!(case.runs(&threads(count), &attention), alone);
        }
    }
}

#[test]
fn nothing_asked_is_nothing_done() {
    let case = Case::new(shape(0, 3, 4, 4));
    let attention = case.attention(Precision::Float, None);
    assert!(
        case.run(Isa::Reference, &Threads::single(), &attention)
            .is_empty()
    );
}
