//! How fast memory is.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Elements of each array: 16 MiB, well beyond the caches of any board.
const ELEMENTS: usize = 4 << 20;
const REPETITIONS: usize = 7;

/// STREAM's triad, `a = b + q · c` in f32 (J. McCalpin, stream.c): the best of a few runs on so many threads, in MB/s as STREAM counts
/// them, two arrays read and one written.
pub(super) fn triad(threads: usize) -> f64 {
    let (mut a, b, c) = (
        vec![0.0_f32; ELEMENTS],
        vec![1.0_f32; ELEMENTS],
        vec![2.0_f32; ELEMENTS],
    );
    let best = (0..REPETITIONS)
        .map(|_| once(&mut a, &b, &c, threads))
        .min();
    let seconds = best.unwrap_or(Duration::MAX).as_secs_f64();
    (3 * ELEMENTS * size_of::<f32>()) as f64 / 1e6 / seconds
}

fn once(a: &mut [f32], b: &[f32], c: &[f32], threads: usize) -> Duration {
    let part = ELEMENTS.div_ceil(threads.max(1));
    let q = black_box(3.0_f32);
    let clock = Instant::now();
    std::thread::scope(|scope| {
        for ((a, b), c) in a.chunks_mut(part).zip(b.chunks(part)).zip(c.chunks(part)) {
            scope.spawn(move || {
                for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
                    *a = b + q * c;
                }
            });
        }
    });
    let time = clock.elapsed();
    black_box(a);
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_computed_whatever_the_threads() {
        let (b, c): (Vec<f32>, Vec<f32>) = (0..ELEMENTS)
            .map(|i| ((i % 97) as f32, (i % 89) as f32))
            .unzip();
        for threads in [0, 1, 3] {
            let mut a = vec![f32::NAN; ELEMENTS];
            let time = once(&mut a, &b, &c, threads);
            assert!(time > Duration::ZERO);
            let wrong = (0..ELEMENTS).find(|&i| a[i] != b[i] + 3.0 * c[i]);
            assert_eq!(wrong, None, "{threads} threads");
        }
    }
}
