//! A picture put together from decoded tiles, a band of them at a time.
//!
//! Of the floats before rounding only the current band is kept, and of the one above it the rows that fade into it. Where two tiles
//! meet, the new one is blended in as `old + weight · (new − old)`: what two tiles agree on comes out as it is, bit for bit.

use crate::picture::Picture;
use crate::tiling::{Pixels, Tiling};

/// Takes tiles row by row, from the left; gives the picture.
pub(super) struct Canvas {
    rows: Pixels,
    columns: Pixels,
    /// Of a tile, pixels.
    tile: [usize; 2],
    /// Of the picture, pixels.
    width: usize,
    /// Of the band in progress the rows that count, `[rows, 3, width]`.
    band: Vec<f32>,
    /// The last rows of the band above, which fade into it, `[ramp, 3, width]`.
    above: Vec<f32>,
    /// What is finished.
    rgb: Vec<u8>,
}

impl Canvas {
    /// Nothing on it; `factor` pixels of a latent, each way.
    pub(super) fn new(tiling: &Tiling, factor: usize) -> Self {
        let rows = tiling.rows.pixels(factor);
        let columns = tiling.columns.pixels(factor);
        let end = |axis: &Pixels| axis.spans.last().map_or(0, |span| span.end);
        let (height, width) = (end(&rows), end(&columns));
        Self {
            tile: tiling.shape().map(|side| side * factor),
            width,
            band: Vec::new(),
            above: Vec::new(),
            rgb: Vec::with_capacity(height * width * 3),
            rows,
            columns,
        }
    }

    /// Puts the tile of this row and column there: `planes` is `[3, tile height, tile width]` as decoded.
    pub(super) fn put(&mut self, [row, column]: [usize; 2], planes: &[f32]) {
        let [tile_height, tile_width] = self.tile;
        debug_assert_eq!(planes.len(), 3 * tile_height * tile_width);
        let (down, across) = (&self.rows.spans[row], &self.columns.spans[column]);
        self.band.resize(down.len() * 3 * self.width, 0.0);
        let (top, left) = (
            down.start - self.rows.origins[row],
            across.start - self.columns.origins[column],
        );
        let ramp: &[f32] = if column == 0 { &[] } else { &self.columns.ramp };
        for (line, target) in self.band.chunks_exact_mut(self.width).enumerate() {
            let (y, colour) = (top + line / 3, line % 3);
            let source = &planes[(colour * tile_height + y) * tile_width + left..][..across.len()];
            let (fading, rest) = target[across.clone()].split_at_mut(ramp.len());
            blend(fading, ramp, &source[..ramp.len()]);
            rest.copy_from_slice(&source[ramp.len()..]);
        }
        if column + 1 == self.columns.spans.len() {
            self.finish_band(row);
        }
    }

    fn finish_band(&mut self, row: usize) {
        let line = 3 * self.width;
        if row > 0 {
            let rows = self.above.chunks_exact_mut(line);
            let pairs = rows.zip(self.band.chunks_exact_mut(line));
            for ((old, new), weight) in pairs.zip(&self.rows.ramp) {
                let weights = std::iter::repeat_n(weight, line);
                for ((new, old), weight) in new.iter_mut().zip(old).zip(weights) {
                    *new = *old + weight * (*new - *old);
                }
            }
        }
        let is_last = row + 1 == self.rows.spans.len();
        let fading = if is_last { 0 } else { self.rows.ramp.len() };
        let (finished, below) = self.band.split_at(self.band.len() - fading * line);
        for planes in finished.chunks_exact(line) {
            let pixels = Picture::from_planes(planes, 1, self.width);
            self.rgb.extend(pixels.rgb);
        }
        self.above.clear();
        self.above.extend_from_slice(below);
        self.band.clear();
    }

    /// The picture, when every tile is there.
    pub(super) fn into_picture(self) -> Picture {
        let height = self.rgb.len() / (3 * self.width);
        let side = |side: usize| u32::try_from(side).expect("a request's sides are u32");
        Picture {
            width: side(self.width),
            height: side(height),
            rgb: self.rgb,
        }
    }
}

/// `target` becomes `target + weight · (new − target)`.
fn blend(target: &mut [f32], weights: &[f32], new: &[f32]) {
    for ((target, weight), new) in target.iter_mut().zip(weights).zip(new) {
        *target += weight * (new - *target);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tiling::Tile;

    /// A picture of anything, `[3, height, width]`, some of it out of range.
    fn planes(height: usize, width: usize) -> Vec<f32> {
        let noise = |at: usize| (at.wrapping_mul(2_654_435_761) >> 7) % 4096;
        (0..3 * height * width)
            .map(|at| noise(at) as f32 / 1800.0 - 1.1)
            .collect()
    }

    /// Cuts `whole` into tiles, lets `change` at each with its row and column, and puts them together.
    fn assembled(
        tiling: &Tiling,
        factor: usize,
        whole: &[f32],
        [height, width]: [usize; 2],
        change: impl Fn([usize; 2], f32) -> f32,
    ) -> Picture {
        let mut canvas = Canvas::new(tiling, factor);
        let [tile_height, tile_width] = tiling.shape().map(|side| side * factor);
        for (row, top) in tiling.rows.origins.iter().enumerate() {
            for (column, left) in tiling.columns.origins.iter().enumerate() {
                let mut tile = Vec::new();
                for colour in 0..3 {
                    for y in top * factor..top * factor + tile_height {
                        let start = (colour * height + y) * width + left * factor;
                        tile.extend(
                            whole[start..start + tile_width]
                                .iter()
                                .map(|v| change([row, column], *v)),
                        );
                    }
                }
                canvas.put([row, column], &tile);
            }
        }
        canvas.into_picture()
    }

    proptest! {
        #[test]
        fn tiles_that_agree_give_the_whole_picture_exactly(
            (height, width, side, overlap, factor) in
                (1_usize..40, 1_usize..40, 1_usize..30, 0_usize..20, 1_usize..5),
        ) {
            let tiling = Tiling::with_overlap(height, width, Tile::Side(side), overlap);
            let [height, width] = [height * factor, width * factor];
            let whole = planes(height, width);
            let found = assembled(&tiling, factor, &whole, [height, width], |_, v| v);
            prop_assert_eq!(found, Picture::from_planes(&whole, height, width));
        }
    }

    #[test]
    fn tiles_that_do_not_agree_fade_without_a_seam() {
        let tiling = Tiling::with_overlap(48, 48, Tile::Side(32), 16);
        let (factor, side) = (4, 192);
        let grey = vec![0.0; 3 * side * side];
        // The first tile is black, those beside and below it grey, the last white.
        let shade = |[row, column]: [usize; 2], _| (row + column) as f32 - 1.0;
        let found = assembled(&tiling, factor, &grey, [side, side], shade);
        let at = |x: usize, y: usize| found.rgb[3 * (y * side + x)];
        assert_eq!([at(0, 0), at(side - 1, 0)], [0, 128]);
        assert_eq!([at(0, side - 1), at(side - 1, side - 1)], [128, 255]);
        // The steepest slope of a raised cosine over 32 pixels: π/2 · 128/32 = 6.3 levels a pixel.
        for y in 0..side {
            for x in 1..side {
                assert!((0..=7).contains(&(i32::from(at(x, y)) - i32::from(at(x - 1, y)))));
                assert!((0..=7).contains(&(i32::from(at(y, x)) - i32::from(at(y, x - 1)))));
            }
        }
    }
}
