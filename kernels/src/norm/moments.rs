//! Sums over the pixels of an image, channels last.

use crate::vector::{Vectorized, madd};

/// Of a group of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    /// How many there are.
    pub count: f64,
    /// Their mean.
    pub mean: f64,
    /// The sum of their squared deviations from it.
    pub squares: f64,
}

impl Moments {
    /// Of so many numbers, from the sums of their deviations from `base` and of the squares of those.
    #[inline(always)]
    fn of(count: usize, base: f32, sum: f64, squares: f64) -> Self {
        let count = count as f64;
        Self {
            count,
            mean: f64::from(base) + sum / count,
            // A NaN must stay one: not `max`.
            squares: (squares - sum * sum / count).clamp(0.0, f64::INFINITY),
        }
    }

    /// [`and`](Self::and) for each of several groups.
    pub fn add_all(sums: &mut [Self], others: &[Self]) {
        for (sum, other) in sums.iter_mut().zip(others) {
            *sum = sum.and(*other);
        }
    }

    /// Of these numbers and the others together (Chan, Golub and LeVeque 1979).
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let count = self.count + other.count;
        let apart = other.mean - self.mean;
        let part = other.count / count;
        Self {
            count,
            mean: self.mean + apart * part,
            squares: self.squares + other.squares + apart * apart * self.count * part,
        }
    }
}

/// The first pass, over some rows of an image.
pub(super) struct Gather<'a> {
    /// `[rows, channels]`
    pub(super) x: &'a [f32],
    pub(super) channels: usize,
    /// `[groups]`, to be written.
    pub(super) moments: &'a mut [Moments],
}

impl Vectorized for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let channels = self.channels;
        let size = channels / self.moments.len();
        let width = (WIDTH / channels).max(1) * channels;
        let mut memory = Vec::new();
        let [base, sums, squares] = columns(&mut memory, width);
        // Each group's deviations are from a number near its mean: the mean in three of the rows, of which the middle one,
        // as one may be far off.
        let rows = self.x.len() / channels;
        for (group, base) in base[..channels].chunks_mut(size).enumerate() {
            let [a, b, c] = [0, rows / 2, rows - 1]
                .map(|row| total(&self.x[row * channels + group * size..][..size]));
            let middle = a.min(b).max(a.max(b).min(c));
            base.fill((middle / size as f64) as f32);
        }
        for copy in channels..width {
            base[copy] = base[copy - channels];
        }
        add_deviations::<FMA>(self.x, base, sums, squares);
        let sums = fold(sums, channels);
        let squares = fold(squares, channels);
        let count = rows * size;
        let groups = sums.chunks(size).zip(squares.chunks(size));
        let groups = groups.zip(base.iter().step_by(size));
        for (moments, ((sums, squares), &base)) in self.moments.iter_mut().zip(groups) {
            *moments = Moments::of(count, base, total(sums), total(squares));
        }
    }
}

/// Rows are summed as rows of about so many numbers, each some short ones in one: memory is slow to read by less than
/// that from each of several places.
const WIDTH: usize = 1280;

/// Zeros, three times, each from a cache line of its own: a vector astride two is slow to store and load again.
#[inline(always)]
fn columns(memory: &mut Vec<f32>, width: usize) -> [&mut [f32]; 3] {
    /// f32 in a cache line.
    const LINE: usize = 16;
    let padded = width.next_multiple_of(LINE);
    memory.resize(3 * padded + LINE, 0.0);
    let skip = memory.as_ptr().align_offset(LINE * size_of::<f32>());
    let (a, rest) = memory[skip.min(LINE)..].split_at_mut(padded);
    let (b, c) = rest.split_at_mut(padded);
    [a, b, c].map(|column| &mut column[..width])
}

/// Adds the deviations from `base` of rows as long as that, and their squares, to those of each place; the last row may be
/// shorter.
#[inline(always)]
fn add_deviations<const FMA: bool>(x: &[f32], base: &[f32], sums: &mut [f32], squares: &mut [f32]) {
    let width = base.len();
    let (sums, squares) = (&mut sums[..width], &mut squares[..width]);
    // Four rows for each time that the sums are loaded and stored.
    let mut quads = x.chunks_exact(4 * width);
    for quad in &mut quads {
        let [a, b, c, d] = [0, 1, 2, 3].map(|row| &quad[row * width..][..width]);
        for i in 0..width {
            let (a, b) = (a[i] - base[i], b[i] - base[i]);
            let (c, d) = (c[i] - base[i], d[i] - base[i]);
            sums[i] += (a + b) + (c + d);
            squares[i] += madd::<FMA>(a, a, b * b) + madd::<FMA>(c, c, d * d);
        }
    }
    for row in quads.remainder().chunks(width) {
        for (i, x) in row.iter().enumerate() {
            let a = x - base[i];
            sums[i] += a;
            squares[i] = madd::<FMA>(a, a, squares[i]);
        }
    }
}

/// Adds up rows of so many numbers, into the first.
#[inline(always)]
fn fold(rows: &mut [f32], width: usize) -> &[f32] {
    let (first, others) = rows.split_at_mut(width);
    for row in others.chunks_exact(width) {
        first.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    first
}

/// Σ x, in an order that is the same at each level.
#[inline(always)]
fn total(x: &[f32]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (blocks, rest) = x.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            sums[lane] += f64::from(block[lane]);
        }
    }
    for (sum, &x) in sums.iter_mut().zip(rest) {
        *sum += f64::from(x);
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}
