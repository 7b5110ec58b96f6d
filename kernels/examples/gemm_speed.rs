//! Prints how fast the products of SD 1.5's U-Net at 512×512 run, for each family of kernels on this CPU.
//!
//! `cargo run --release -p easel-kernels --example gemm_speed [THREADS]`

use std::sync::Arc;
use std::time::Instant;

use easel_kernels::gemm::{Activations, Epilogue, Left, Order, WeightsF32, WeightsI8, Window};
use easel_kernels::isa::Isa;
use easel_kernels::threads::Threads;

fn main() {
    let count = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(2);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .build()
        .expect("threads");
    let pool = Arc::new(pool);
    let threads = Threads::on(pool.clone());
    println!("{count} threads; GMAC/s, the best of several");
    pool.install(|| {
        for isa in Isa::available().filter(|isa| *isa != Isa::Reference) {
            for (side, channels, n) in [
                (64, 320, 320),
                (64, 640, 320),
                (32, 640, 640),
                (16, 1280, 1280),
                (8, 1280, 1280),
            ] {
                convolution(isa, &threads, side, channels, n);
            }
            for (m, k, n) in [
                (4096, 320, 320),
                (4096, 320, 2560),
                (4096, 1280, 320),
                (1024, 640, 5120),
                (256, 1280, 1280),
                (77, 768, 320),
            ] {
                linear(isa, &threads, m, k, n);
            }
        }
    });
}

fn convolution(isa: Isa, threads: &Threads, side: usize, channels: usize, n: usize) {
    let window = Window {
        input: [1, side, side, channels],
        kernel: [3, 3],
        strides: [1, 1],
        dilations: [1, 1],
        pads: [1; 4],
        upsample: 1,
    };
    let order = Order::convolution([n, channels, 3, 3]);
    let label = format!("conv 3x3 {side}x{side} {channels:4} -> {n:4}");
    both(
        isa,
        threads,
        &label,
        Left::Images(&window),
        side * side,
        &order,
    );
}

fn linear(isa: Isa, threads: &Threads, m: usize, k: usize, n: usize) {
    let left = Left::Matrix {
        rows: m,
        rows_per_image: m,
    };
    let label = format!("linear {m:4} rows  {k:4} -> {n:4}");
    both(isa, threads, &label, left, m, &Order::columns_first(n, k));
}

fn both(isa: Isa, threads: &Threads, label: &str, left: Left<'_>, m: usize, order: &Order) {
    let (n, k) = (order.n.0, order.depth());
    let mut out = vec![0.0; m * n];
    let inputs = match left {
        Left::Images(window) => window.input.iter().product(),
        Left::Matrix { rows, .. } => rows * k,
    };
    let packed = WeightsI8::pack(isa, threads, order, &vec![3; n * k], vec![1.0; n]);
    let data = vec![7; inputs];
    let activations = Activations {
        data: &data,
        stride: k,
        scales: &[1.0],
        zeros: &[1],
    };
    let int8 = best(|| packed.multiply(threads, left, activations, &Epilogue::default(), &mut out));
    let packed = WeightsF32::pack(isa, threads, order, &vec![0.5; n * k]);
    let x = vec![0.25; inputs];
    let float = best(|| packed.multiply(threads, left, &x, &Epilogue::default(), &mut out));
    let gmac = (m * n * k) as f64 / 1e9;
    println!(
        "{:12} {label}: int8 {:6.1}  f32 {:6.1}",
        isa.name(),
        gmac / int8,
        gmac / float
    );
}

/// Seconds of the fastest run.
fn best(mut run: impl FnMut()) -> f64 {
    run();
    let mut best = f64::INFINITY;
    let start = Instant::now();
    for round in 0.. {
        let clock = Instant::now();
        run();
        best = best.min(clock.elapsed().as_secs_f64());
        if start.elapsed().as_secs_f64() > 0.25 && round > 2 {
            break;
        }
    }
    best
}
