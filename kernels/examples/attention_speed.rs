//! How fast attention is on the shapes of Stable Diffusion 1.5, beside the most that registers alone allow.
//!
//! `cargo run --release -p easel-kernels --example attention_speed [repeats]`

use std::sync::Arc;
use std::time::Instant;

use easel_kernels::attention::{Attention, Operand, Output, Precision, Shape, Strides};
use easel_kernels::isa::Isa;
use easel_kernels::threads::Threads;

/// Pictures: with and without the prompt.
const BATCH: usize = 2;

/// Name, heads, queries, keys, features of a head.
const SHAPES: [(&str, usize, usize, usize, usize); 7] = [
    ("self 64²", 8, 4096, 4096, 40),
    ("cross 64²", 8, 4096, 77, 40),
    ("self 32²", 8, 1024, 1024, 80),
    ("cross 32²", 8, 1024, 77, 80),
    ("self 16²", 8, 256, 256, 160),
    ("self 8²", 8, 64, 64, 160),
    ("VAE 64²", 1, 4096, 4096, 512),
];

fn main() {
    let repeats = std::env::args()
        .nth(1)
        .map_or(5, |count| count.parse().expect("a count"));
    let isa = Isa::chosen().expect("kernels");
    println!("kernels: {isa}, the fastest of {repeats}, in GMAC/s of both products");
    println!(
        "{:<10} {:>10} {:>10} {:>10} {:>10}",
        "", "f32 x1", "f32 x2", "low x1", "low x2"
    );
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .expect("threads");
    let both = Threads::on(Arc::new(pool));
    for (name, heads, queries, keys, features) in SHAPES {
        print!("{name:<10}");
        for precision in [Precision::Float, Precision::Low] {
            for threads in [&Threads::single(), &both] {
                let shape = Shape {
                    batch: BATCH,
                    heads,
                    queries,
                    keys,
                    head_dim: features,
                    value_dim: features,
                };
                let seconds = fastest(isa, threads, precision, shape, repeats);
                let products = 2 * BATCH * heads * queries * keys * features;
                print!(" {:>10.1}", products as f64 / seconds / 1e9);
            }
        }
        println!();
    }
}

/// Seconds of the fastest of so many runs.
fn fastest(isa: Isa, threads: &Threads, precision: Precision, shape: Shape, repeats: usize) -> f64 {
    let of_queries = Strides::token_major(shape.queries, shape.heads, shape.head_dim);
    let of_keys = Strides::token_major(shape.keys, shape.heads, shape.head_dim);
    let tensor = |strides: Strides, offset: usize| -> Vec<f32> {
        let value = |index: usize| ((index + offset) * 37 % 1009) as f32 / 504.5 - 1.0;
        (0..BATCH * strides.batch).map(value).collect()
    };
    let (q, k, v) = (
        tensor(of_queries, 0),
        tensor(of_keys, 5),
        tensor(of_keys, 9),
    );
    let mut out = vec![0.0; BATCH * of_queries.batch];
    let attention = Attention {
        shape,
        scale: (shape.head_dim as f32).sqrt().recip(),
        mask: None,
        relative: None,
        precision,
    };
    let operand = |data, strides| Operand { data, strides };
    (0..repeats)
        .map(|_| {
            let start = Instant::now();
            attention.run(
                isa,
                threads,
                &operand(&q, of_queries),
                &operand(&k, of_keys),
                &operand(&v, of_keys),
                Output {
                    data: &mut out,
                    strides: of_queries,
                },
            );
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}
