//! Every micro kernel of this CPU against plain loops, on sizes astride the edges of tiles and blocks.

use super::*;
use crate::elementwise::Activation;
use crate::quantize::Format;
use crate::threads::Threads;
use std::sync::Arc;

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    fn weights(&mut self, len: usize) -> Vec<i8> {
        (0..len)
            .map(|_| (self.next() % 255) as i8)
            .map(|w| w.max(-127))
            .collect()
    }

    fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len)
            .map(|_| self.next() as f32 / (1_u64 << 30) as f32 - 1.0)
            .collect()
    }
}

fn pools() -> Vec<Threads> {
    let pool = |count| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
        Threads::on(Arc::new(pool.expect("threads")))
    };
    vec![Threads::single(), pool(2), pool(3)]
}

fn value(format: Format, byte: u8) -> i32 {
    match format {
        Format::Unsigned => i32::from(byte),
        Format::Signed => i32::from(byte as i8),
    }
}

/// Pixel `[image, y, x]` that tap `(tap_y, tap_x)` of output row `row` sees.
fn seen(window: &Window, row: usize, tap_y: usize, tap_x: usize) -> Result<usize, usize> {
    let [_, height, width, _] = window.input;
    let [out_height, out_width] = window.output();
    let (image, y, x) = (
        row / (out_height * out_width),
        row / out_width % out_height,
        row % out_width,
    );
    let at = |out: usize, tap: usize, axis: usize, size: usize| {
        let at = (out * window.strides[axis] + tap * window.dilations[axis]) as isize
            - window.pads[axis] as isize;
        let inside = at >= 0 && at < (size * window.upsample) as isize;
        inside.then(|| at as usize / window.upsample)
    };
    match (at(y, tap_y, 0, height), at(x, tap_x, 1, width)) {
        (Some(y), Some(x)) => Ok((image * height + y) * width + x),
        _ => Err(image),
    }
}

const SIZES: [(usize, usize, usize); 14] = [
    (1, 1, 1),
    (1, 33, 3),
    (2, 16, 4),
    (3, 8, 5),
    (4, 15, 7),
    (5, 17, 8),
    (6, 31, 16),
    (7, 32, 17),
    (11, 33, 31),
    (12, 64, 64),
    (13, 65, 100),
    (25, 7, 1023),
    (97, 40, 1025),
    (100, 300, 2050),
];

#[test]
fn int8_products_are_exact_for_every_family() {
    let mut numbers = Numbers(1);
    for isa in Isa::available() {
        for (m, n, k) in SIZES {
            let threads = Threads::single();
            let weights = numbers.weights(n * k);
            let packed = WeightsI8::pack(
                isa,
                &threads,
                &Order::columns_first(n, k),
                &weights,
                vec![1.0; n],
            );
            let layout = packed.activations();
            for stride in [k, k.next_multiple_of(layout.multiple)] {
                let data = numbers.bytes(m * stride);
                let zeros: Vec<i32> = numbers
                    .bytes(m)
                    .iter()
                    .map(|b| value(layout.format, *b))
                    .collect();
                let activations = Activations {
                    data: &data,
                    stride,
                    scales: &vec![1.0; m],
                    zeros: &zeros,
                };
                let left = Left::Matrix {
                    rows: m,
                    rows_per_image: m,
                };
                let mut out = vec![f32::NAN; m * n];
                packed.multiply(&threads, left, activations, &Epilogue::default(), &mut out);
                for (at, out) in out.iter().enumerate() {
                    let (row, column) = (at / n, at % n);
                    let products = (0..k).map(|k_at| {
                        let a = value(layout.format, data[row * stride + k_at]) - zeros[row];
                        a * i32::from(weights[column * k + k_at])
                    });
                    let sum: i32 = products.sum();
                    assert_eq!(
                        *out, sum as f32,
                        "{isa} {m}x{n}x{k} stride {stride} row {row} column {column}"
                    );
                }
            }
        }
    }
}

#[test]
fn extreme_bytes_do_not_overflow_or_saturate() {
    let (m, n, k) = (13, 33, 4096);
    for isa in Isa::available() {
        let threads = Threads::single();
        for weight in [-127, 127] {
            let packed = WeightsI8::pack(
                isa,
                &threads,
                &Order::rows_first(k, n),
                &vec![weight; n * k],
                vec![1.0; n],
            );
            for byte in [0_u8, 127, 128, 255] {
                let activations = Activations {
                    data: &vec![byte; m * k],
                    stride: k,
                    scales: &[1.0],
                    zeros: &[0],
                };
                let left = Left::Matrix {
                    rows: m,
                    rows_per_image: m,
                };
                let mut out = vec![0.0; m * n];
                packed.multiply(&threads, left, activations, &Epilogue::default(), &mut out);
                let sum = value(packed.activations().format, byte) * i32::from(weight) * k as i32;
                assert!(
                    out.iter().all(|out| *out == sum as f32),
                    "{isa} {byte} {weight}"
                );
            }
        }
    }
}

fn windows() -> Vec<Window> {
    let window = |input, kernel, stride: usize, pads, upsample| Window {
        input,
        kernel,
        strides: [stride, stride],
        dilations: [1, 1],
        pads,
        upsample,
    };
    vec![
        window([1, 1, 1, 1], [1, 1], 1, [0; 4], 1),
        window([2, 5, 7, 3], [3, 3], 1, [1; 4], 1),
        window([1, 8, 6, 36], [3, 3], 2, [1; 4], 1),
        window([1, 8, 6, 5], [3, 3], 2, [0, 0, 1, 1], 1),
        window([2, 4, 3, 130], [3, 3], 1, [1; 4], 2),
        window([1, 9, 9, 16], [1, 1], 1, [0; 4], 1),
        window([1, 6, 5, 4], [5, 2], 1, [2, 1, 2, 0], 1),
        Window {
            dilations: [2, 3],
            ..window([1, 9, 11, 6], [3, 3], 1, [2, 3, 2, 3], 1)
        },
    ]
}

#[test]
fn int8_convolutions_are_exact_for_every_family() {
    let mut numbers = Numbers(2);
    for isa in Isa::available() {
        for window in windows() {
            let [images, height, width, channels] = window.input;
            let [kernel_height, kernel_width] = window.kernel;
            let n = 35;
            let threads = Threads::single();
            let weights = numbers.weights(n * window.depth());
            let order = Order::convolution([n, channels, kernel_height, kernel_width]);
            let packed = WeightsI8::pack(isa, &threads, &order, &weights, vec![0.5; n]);
            let format = packed.activations().format;
            let data = numbers.bytes(images * height * width * channels);
            let zeros: Vec<i32> = numbers
                .bytes(images)
                .iter()
                .map(|b| value(format, *b))
                .collect();
            let scales: Vec<f32> = (1..=images).map(|image| image as f32).collect();
            let activations = Activations {
                data: &data,
                stride: 0,
                scales: &scales,
                zeros: &zeros,
            };
            let rows: usize = images * window.output().iter().product::<usize>();
            let mut out = vec![f32::NAN; rows * n];
            packed.multiply(
                &threads,
                Left::Images(&window),
                activations,
                &Epilogue::default(),
                &mut out,
            );
            for (at, out) in out.iter().enumerate() {
                let (row, column) = (at / n, at % n);
                let image = row / (rows / images);
                let mut sum = 0;
                for (y, x) in
                    (0..kernel_height).flat_map(|y| (0..kernel_width).map(move |x| (y, x)))
                {
                    let Ok(pixel) = seen(&window, row, y, x) else {
                        continue;
                    };
                    for channel in 0..channels {
                        let a = value(format, data[pixel * channels + channel]) - zeros[image];
                        let weight = weights[((column * channels + channel) * kernel_height + y)
                            * kernel_width
                            + x];
                        sum += a * i32::from(weight);
                    }
                }
                assert_eq!(
                    *out,
                    sum as f32 * (scales[image] * 0.5),
                    "{isa} {window:?} row {row} column {column}"
                );
            }
        }
    }
}

#[test]
fn f32_products_are_near_f64_for_every_family() {
    let mut numbers = Numbers(3);
    for isa in Isa::available() {
        for (m, n, k) in SIZES {
            let threads = Threads::single();
            let (weights, x) = (numbers.floats(n * k), numbers.floats(m * k));
            let packed = WeightsF32::pack(isa, &threads, &Order::rows_first(k, n), &weights);
            let mut out = vec![f32::NAN; m * n];
            let left = Left::Matrix {
                rows: m,
                rows_per_image: m,
            };
            packed.multiply(&threads, left, &x, &Epilogue::default(), &mut out);
            for (at, out) in out.iter().enumerate() {
                let (row, column) = (at / n, at % n);
                let products = (0..k)
                    .map(|at| f64::from(x[row * k + at]) * f64::from(weights[at * n + column]));
                let (sum, size) =
                    products.fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p.abs()));
                let bound = size * (k as f64) * f64::from(f32::EPSILON) / 2.0;
                assert!(
                    (f64::from(*out) - sum).abs() <= bound,
                    "{isa} {m}x{n}x{k}: {out} {sum}"
                );
            }
        }
    }
}

#[test]
fn f32_convolutions_are_near_f64_for_every_family() {
    let mut numbers = Numbers(4);
    for isa in Isa::available() {
        for window in windows() {
            let [images, height, width, channels] = window.input;
            let [kernel_height, kernel_width] = window.kernel;
            let (n, threads) = (17, Threads::single());
            let weights = numbers.floats(n * window.depth());
            let order = Order::convolution([n, channels, kernel_height, kernel_width]);
            let packed = WeightsF32::pack(isa, &threads, &order, &weights);
            let x = numbers.floats(images * height * width * channels);
            let rows: usize = images * window.output().iter().product::<usize>();
            let mut out = vec![f32::NAN; rows * n];
            packed.multiply(
                &threads,
                Left::Images(&window),
                &x,
                &Epilogue::default(),
                &mut out,
            );
            for (at, out) in out.iter().enumerate() {
                let (row, column) = (at / n, at % n);
                let mut sum = 0.0;
                for (y, x_tap) in
                    (0..kernel_height).flat_map(|y| (0..kernel_width).map(move |x| (y, x)))
                {
                    let Ok(pixel) = seen(&window, row, y, x_tap) else {
                        continue;
                    };
                    for channel in 0..channels {
                        let weight = weights[((column * channels + channel) * kernel_height + y)
                            * kernel_width
                            + x_tap];
                        sum += f64::from(x[pixel * channels + channel]) * f64::from(weight);
                    }
                }
                assert!(
                    (f64::from(*out) - sum).abs() < 1e-4,
                    "{isa} {window:?}: {out} {sum}"
                );
            }
        }
    }
}

#[test]
fn the_epilogue_adds_in_its_order_and_threads_change_nothing() {
    let mut numbers = Numbers(5);
    let (images, rows_per_image, n, k) = (2, 70, 75, 1100);
    let m = images * rows_per_image;
    let x = numbers.floats(m * k);
    let weights = numbers.floats(n * k);
    let (bias, per_image, residual) = (
        numbers.floats(n),
        numbers.floats(images * n),
        numbers.floats(m * n),
    );
    let (gates, factors) = (numbers.floats(images * n), numbers.floats(m * n));
    let left = Left::Matrix {
        rows: m,
        rows_per_image,
    };
    for isa in Isa::available() {
        let packed = WeightsF32::pack(
            isa,
            &Threads::single(),
            &Order::columns_first(n, k),
            &weights,
        );
        let run = |threads: &Threads, epilogue: &Epilogue<'_>| {
            let mut out = vec![f32::NAN; m * n];
            packed.multiply(threads, left, &x, epilogue, &mut out);
            out
        };
        let plain = run(&Threads::single(), &Epilogue::default());
        let epilogue = Epilogue {
            bias: Some(&bias),
            per_image: Some(&per_image),
            activation: Some(Activation::Silu),
            residual: Some(&residual),
            ..Epilogue::default()
        };
        let full = run(&Threads::single(), &epilogue);
        let gated = |factor| {
            let factor = Some(factor);
            run(&Threads::single(), &Epilogue { factor, ..epilogue })
        };
        let scaled = gated(Factor::PerImage(&gates));
        let multiplied = gated(Factor::Each(&factors));
        for (at, plain) in plain.iter().enumerate() {
            let (row, column) = (at / n, at % n);
            let of_image = row / rows_per_image * n + column;
            let sum = f64::from(plain + bias[column] + per_image[of_image]);
            let activated = sum / (1.0 + (-sum).exp());
            let near = |found: f32, factor: f32| {
                let expected = activated * f64::from(factor) + f64::from(residual[at]);
                let error = (f64::from(found) - expected).abs();
                assert!(error < 1e-4, "{isa}: {found} {expected}");
            };
            near(full[at], 1.0);
            near(scaled[at], gates[of_image]);
            near(multiplied[at], factors[at]);
        }
        for threads in pools() {
            assert_eq!(
                run(&threads, &epilogue),
                full,
                "{isa}, {} threads",
                threads.count()
            );
        }
    }
}

#[test]
fn gates_meet_their_values() {
    let mut numbers = Numbers(6);
    let (m, n, k) = (29, 192, 130);
    let (x, weights, bias) = (
        numbers.floats(m * k),
        numbers.floats(n * k),
        numbers.floats(n),
    );
    let left = Left::Matrix {
        rows: m,
        rows_per_image: m,
    };
    let plain = Order::columns_first(n, k);
    let gated = Order {
        gated: true,
        ..plain
    };
    for isa in Isa::available() {
        for threads in pools() {
            let sums = {
                let packed = WeightsF32::pack(isa, &threads, &plain, &weights);
                let mut out = vec![f32::NAN; m * n];
                let epilogue = Epilogue {
                    bias: Some(&bias),
                    ..Epilogue::default()
                };
                packed.multiply(&threads, left, &x, &epilogue, &mut out);
                out
            };
            let packed = WeightsF32::pack(isa, &threads, &gated, &weights);
            let bias = in_packed_order(&gated, bias.clone());
            let epilogue = Epilogue {
                bias: Some(&bias),
                ..Epilogue::default()
            };
            let mut out = vec![f32::NAN; m * n / 2];
            packed.multiply(&threads, left, &x, &epilogue, &mut out);
            for (at, out) in out.iter().enumerate() {
                let (row, column) = (at / (n / 2), at % (n / 2));
                let [value, gate] = [0, n / 2].map(|half| sums[row * n + half + column]);
                let expected = value * Activation::Gelu.apply::<false>(gate);
                let near = (out - expected).abs() <= 1e-5 * expected.abs().max(1.0);
                assert!(near, "{isa}: {out}, not {expected}");
            }
        }
    }
}

#[test]
fn parts_make_the_whole() {
    let mut numbers = Numbers(7);
    let (m, k) = (37, 129);
    let (threads, left) = (
        Threads::single(),
        Left::Matrix {
            rows: m,
            rows_per_image: m,
        },
    );
    for (n, gated, most) in [
        (1, false, 1),
        (300, false, 1),
        (300, false, 20_000),
        (300, false, 1 << 20),
        (320, true, 1),
        (320, true, 20_000),
    ] {
        let order = Order {
            gated,
            ..Order::rows_first(k, n)
        };
        let outputs = if gated { n / 2 } else { n };
        let (weights, floats, x) = (
            numbers.weights(n * k),
            numbers.floats(n * k),
            numbers.floats(m * k),
        );
        let scales = numbers.floats(n);
        let residual = numbers.floats(m * outputs);
        let epilogue = Epilogue {
            bias: Some(&scales),
            residual: Some(&residual).filter(|_| !gated).map(|r| &r[..]),
            ..Epilogue::default()
        };
        let data = numbers.bytes(m * k);
        let activations = Activations {
            data: &data,
            stride: k,
            scales: &numbers.floats(m),
            zeros: &vec![3; m],
        };
        for isa in Isa::available() {
            let whole = WeightsI8::pack(isa, &threads, &order, &weights, scales.clone());
            let mut expected = vec![f32::NAN; m * outputs];
            whole.multiply(&threads, left, activations, &epilogue, &mut expected);

            let mut packed = WeightsI8::without_panels(
                isa,
                &order,
                in_packed_order(&order, scales.clone()),
                vec![0; n],
            );
            let parts = packed.parts(most);
            assert!(
                most == 1 << 20 || n == 1 || parts.len() > 1,
                "{isa} {n} {most}: {parts:?}"
            );
            let mut out = vec![f32::NAN; m * outputs];
            for columns in parts {
                let mut panels = Memory::zeroed(packed.part_bytes(&columns));
                panels.fill(0xa5); // memory that was used before
                packed.pack_part(&threads, &order, &weights, columns.clone(), &mut panels);
                let part = Part {
                    columns,
                    panels: &panels,
                };
                packed.multiply_part(&threads, part, left, activations, &epilogue, &mut out);
            }
            assert_eq!(packed.sums(), whole.sums());
            assert_eq!(out, expected, "{isa} {n} {most}");

            let whole = WeightsF32::pack(isa, &threads, &order, &floats);
            whole.multiply(&threads, left, &x, &epilogue, &mut expected);
            let packed = WeightsF32::without_panels(isa, &order);
            for columns in packed.parts(most) {
                let mut panels = Memory::zeroed(packed.part_bytes(&columns));
                packed.pack_part(&threads, &order, &floats, columns.clone(), &mut panels);
                let part = Part {
                    columns,
                    panels: &panels,
                };
                packed.multiply_part(&threads, part, left, &x, &epilogue, &mut out);
            }
            assert_eq!(out, expected, "{isa} {n} {most} f32");
        }
    }
}
