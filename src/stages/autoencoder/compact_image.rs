//! A picture's activations, kept from one section of the decoder to a later one.

use std::ops::Range;

use easel_kernels::compact::{compact, expand};
use easel_kernels::threads::Threads;
use easel_kernels::vector::Level;

/// An image `[height, width, channels]` in 16 bits, of which only the rows that were written and are still wanted take memory.
pub(super) struct CompactImage {
    width: usize,
    channels: usize,
    rows: Vec<Row>,
}

/// Empty, or all of it.
#[derive(Clone, Default)]
struct Row {
    numbers: Vec<i16>,
    /// One a pixel.
    scales: Vec<f32>,
}

impl CompactImage {
    /// Nothing yet.
    pub(super) fn new([height, width]: [usize; 2], channels: usize) -> Self {
        Self {
            width,
            channels,
            rows: vec![Row::default(); height],
        }
    }

    /// Bytes of a row.
    pub(super) fn row_bytes(width: usize, channels: usize) -> usize {
        width * (channels * size_of::<i16>() + size_of::<f32>())
    }

    /// Writes the part of these rows and columns: of each row its pixels.
    pub(super) fn put(
        &mut self,
        (level, threads): (Level, &Threads),
        [down, across]: [Range<usize>; 2],
        pixels: &[&[f32]],
    ) {
        let (width, channels) = (self.width, self.channels);
        threads.chunks(&mut self.rows[down], 1, |number, rows| {
            let Row { numbers, scales } = &mut rows[0];
            // What is not written yet is not read either.
            numbers.resize(width * channels, 0);
            scales.resize(width, 0.0);
            let numbers = &mut numbers[across.start * channels..across.end * channels];
            let scales = &mut scales[across.clone()];
            compact(level, channels, pixels[number], numbers, scales);
        });
    }

    /// Reads the part of these rows and columns into `out`, `[rows, columns, channels]`.
    pub(super) fn read(
        &self,
        (level, threads): (Level, &Threads),
        [down, across]: [Range<usize>; 2],
        out: &mut [f32],
    ) {
        let channels = self.channels;
        let rows = &self.rows[down];
        threads.chunks(out, across.len() * channels, |number, out| {
            let Row { numbers, scales } = &rows[number];
            let numbers = &numbers[across.start * channels..across.end * channels];
            expand(level, channels, numbers, &scales[across.clone()], out);
        });
    }

    /// Frees the rows before this one.
    pub(super) fn release_before(&mut self, row: usize) {
        self.rows[..row].fill_with(Row::default);
    }
}

#[cfg(test)]
mod tests {
    use easel_kernels::isa::Isa;

    use super::*;

    #[test]
    fn parts_come_back_from_where_they_were_put_on_any_number_of_threads() {
        let ([height, width], channels) = ([7, 9], 5);
        let level = Level::of(Isa::chosen().expect("it can be told"));
        let threads = Threads::single();
        let on = (level, &threads);
        let number = |y: usize, x: usize, c: usize| (y * 100 + x * 10 + c) as f32;
        let mut kept = CompactImage::new([height, width], channels);
        for across in [0..4, 4..9] {
            for down in [0..3, 3..7] {
                let rows: Vec<Vec<f32>> = down
                    .clone()
                    .map(|y| {
                        let pixels = across
                            .clone()
                            .flat_map(|x| (0..channels).map(move |c| (x, c)));
                        pixels.map(|(x, c)| number(y, x, c)).collect()
                    })
                    .collect();
                let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
                kept.put(on, [down, across.clone()], &rows);
            }
        }
        kept.release_before(2);
        assert!(kept.rows[1].numbers.is_empty() && kept.rows[1].scales.is_empty());
        let mut out = vec![f32::NAN; 5 * 6 * channels];
        kept.read(on, [2..7, 2..8], &mut out);
        for (at, found) in out.iter().enumerate() {
            let (y, x, c) = (at / (6 * channels), at / channels % 6, at % channels);
            let wanted = number(y + 2, x + 2, c);
            assert!((found - wanted).abs() < 0.02, "{found} for {wanted}");
        }
    }
}
