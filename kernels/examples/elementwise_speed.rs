//! How fast the kernels between the matrix products move memory: GB/s of what each must read and write once.
//!
//! `cargo run --release -p easel-kernels --example elementwise_speed [kernels]`, where `kernels` is the name of a family.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use easel_kernels::elementwise::{Activation, activate, add, geglu};
use easel_kernels::isa::Isa;
use easel_kernels::norm::{GroupNorm, RowNorm};
use easel_kernels::quantize::{Format, quantize_rows};
use easel_kernels::threads::Threads;
use easel_kernels::vector::Level;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let isa = match std::env::args().nth(1) {
        Some(name) => name.parse()?,
        None => Isa::chosen()?,
    };
    println!("{isa}; GB/s with 1 and 2 threads");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build()?;
    let threads = [Threads::single(), Threads::on(Arc::new(pool))];
    for shape in [[4096, 320], [4096, 2560], [65_536, 128]] {
        println!("\n{} x {}", shape[0], shape[1]);
        let mut data = Data::new(shape);
        for kernel in KERNELS {
            let speeds = threads
                .each_ref()
                .map(|threads| data.speed(Level::of(isa), threads, kernel));
            println!("{:<28} {:7.1} {:7.1}", kernel.name, speeds[0], speeds[1]);
        }
    }
    Ok(())
}

/// Something to time.
struct Kernel {
    name: &'static str,
    /// Bytes read or written for each number of the shape.
    bytes: f64,
    run: fn(&mut Data, Level, &Threads),
}

const KERNELS: &[Kernel] = &[
    Kernel {
        name: "copy (for comparison)",
        bytes: 8.0,
        run: |data, _, _| data.out.copy_from_slice(&data.x),
    },
    Kernel {
        name: "add",
        bytes: 12.0,
        run: |data, level, threads| add(level, threads, &data.x, &data.y, &mut data.out),
    },
    Kernel {
        name: "silu",
        bytes: 8.0,
        run: |data, level, threads| data.activate(level, threads, Activation::Silu),
    },
    Kernel {
        name: "gelu",
        bytes: 8.0,
        run: |data, level, threads| data.activate(level, threads, Activation::Gelu),
    },
    Kernel {
        name: "geglu, half the width out",
        bytes: 6.0,
        run: |data, level, threads| {
            let out = &mut data.out[..data.x.len() / 2];
            geglu(level, threads, &data.x, data.shape[1] / 2, out);
        },
    },
    Kernel {
        name: "layer norm",
        bytes: 8.0,
        run: |data, level, threads| {
            let norm = RowNorm {
                centered: true,
                epsilon: 1e-5,
                width: data.shape[1],
                scale: &data.scale,
                shift: &data.shift,
            };
            norm.run(level, threads, &data.x, &mut data.out);
        },
    },
    Kernel {
        name: "group norm",
        bytes: 12.0,
        run: |data, level, threads| {
            data.group_norm(level, threads, false, false);
        },
    },
    Kernel {
        name: "group norm, silu",
        bytes: 12.0,
        run: |data, level, threads| {
            data.group_norm(level, threads, true, false);
        },
    },
    Kernel {
        name: "group norm, silu, ranges",
        bytes: 12.0,
        run: |data, level, threads| {
            data.group_norm(level, threads, true, true);
        },
    },
    Kernel {
        name: "quantize rows",
        bytes: 5.0,
        run: |data, level, threads| data.quantize(level, threads, data.shape[1]),
    },
    Kernel {
        name: "quantize an image (reads 2x)",
        bytes: 9.0,
        run: |data, level, threads| data.quantize(level, threads, data.x.len()),
    },
];

struct Data {
    /// Rows and columns, or pixels and channels.
    shape: [usize; 2],
    x: Vec<f32>,
    y: Vec<f32>,
    out: Vec<f32>,
    bytes: Vec<u8>,
    scale: Vec<f32>,
    shift: Vec<f32>,
    scales: Vec<f32>,
    zeros: Vec<i32>,
}

impl Data {
    fn new(shape: [usize; 2]) -> Self {
        let len = shape[0] * shape[1];
        let wave = |step: f32| (0..len).map(|i| 3.0 * (i as f32 * step).sin()).collect();
        Self {
            shape,
            x: wave(0.1),
            y: wave(0.3),
            out: vec![1.0; len],
            bytes: vec![1; len],
            scale: vec![1.5; shape[1]],
            shift: vec![0.5; shape[1]],
            scales: vec![1.0; shape[0]],
            zeros: vec![1; shape[0]],
        }
    }

    fn activate(&mut self, level: Level, threads: &Threads, activation: Activation) {
        activate(level, threads, activation, &self.x, &mut self.out);
    }

    fn group_norm(&mut self, level: Level, threads: &Threads, silu: bool, ranges: bool) {
        let norm = GroupNorm {
            groups: 32,
            epsilon: 1e-5,
            scale: &self.scale,
            shift: &self.shift,
            silu,
            moments: None,
        };
        let shape = [1, self.shape[0], self.shape[1]];
        if ranges {
            black_box(norm.run_with_ranges(level, threads, &self.x, shape, &mut self.out));
        } else {
            norm.run(level, threads, &self.x, shape, &mut self.out);
        }
    }

    fn quantize(&mut self, level: Level, threads: &Threads, width: usize) {
        let rows = self.x.len() / width;
        quantize_rows(
            level,
            threads,
            Format::Unsigned,
            &self.x,
            width,
            width,
            &mut self.bytes,
            &mut self.scales[..rows],
            &mut self.zeros[..rows],
        );
    }

    /// By the fastest of some runs: others use the machine too.
    fn speed(&mut self, level: Level, threads: &Threads, kernel: &Kernel) -> f64 {
        let begin = Instant::now();
        let mut least = Duration::MAX;
        while begin.elapsed() < Duration::from_millis(300) {
            let start = Instant::now();
            (kernel.run)(self, level, threads);
            least = least.min(start.elapsed());
        }
        black_box(&mut self.out);
        black_box(&mut self.bytes);
        kernel.bytes * self.x.len() as f64 / least.as_secs_f64() / 1e9
    }
}
