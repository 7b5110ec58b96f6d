//! Where the tiles of a decode lie, and how much each counts where two of them meet.
//!
//! ```text
//! tile i     |────────────────────────|
//! tile i+1              |────────────────────────|
//!                       '- overlap ---'            both tiles have computed these
//!                           '-ramp-'               here the one fades into the other (raised cosine)
//! ```
//!
//! What is outside the ramp but within the overlap is thrown away: next to an edge that is none of the picture's, a tile was
//! computed from the decoder's zero padding instead of its neighbour's latents. Tiles are alike in shape and spread evenly, so that one
//! plan does for all and the outermost edges are the picture's.

use std::ops::Range;

/// Latents that two neighbouring tiles share at least, where the tile is at least twice as large: docs/tiles.md has the measurements.
const OVERLAP: usize = 8;

/// How much of the latents the decoder sees at once: the memory of a decode is bounded by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tile {
    /// All.
    #[default]
    Whole,
    /// Overlapping tiles whose sides are no longer than this, latent pixels; 0 is taken for 1. They are as small as their number
    /// allows. A side of the latents that is not longer is not cut. A decoder with norms is taken section by section, so that each
    /// norm sees the whole picture, where its network is of the usual kind: docs/tiles.md.
    Side(usize),
    /// As [`Side`](Self::Side), but each tile goes through the whole decoder by itself. Norms see no more than a tile, so colours
    /// may shift from one to the next; it takes the least memory.
    Apart(usize),
}

impl Tile {
    /// The tiles, sides in latents, that a picture of such sides can be decoded in, from large to small: first those that cost no
    /// quality.
    pub(crate) fn from_large_to_small(height: usize, width: usize) -> impl Iterator<Item = Self> {
        const SIDES: [usize; 8] = [96, 64, 48, 40, 32, 24, 16, 12];
        let smaller = || {
            let sides = SIDES.into_iter();
            sides.filter(move |side| *side < height.max(width))
        };
        std::iter::once(Self::Whole)
            .chain(smaller().map(Self::Side))
            .chain(smaller().map(Self::Apart))
    }
}

/// Tiles of latents of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tiling {
    pub(crate) rows: Axis,
    pub(crate) columns: Axis,
}

/// Tiles along one side of the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Axis {
    /// Latents.
    len: usize,
    /// Of a tile, latents.
    side: usize,
    /// Where each tile begins, latents; ascending.
    pub(crate) origins: Vec<usize>,
    /// Latents that neighbours share at least.
    overlap: usize,
}

/// [`Axis`] in pixels of the picture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pixels {
    /// Pixels of the picture for which each tile counts; neighbours share those of the ramp.
    pub(crate) spans: Vec<Range<usize>>,
    /// Where each tile begins.
    pub(crate) origins: Vec<usize>,
    /// What a tile counts at the first pixels of its span, the tile before it counting for the rest: ascending in (0, 1).
    pub(crate) ramp: Vec<f32>,
}

impl Tiling {
    /// Tiles of `height` × `width` latents, neither 0.
    pub(crate) fn new(height: usize, width: usize, tile: Tile) -> Self {
        Self::with_overlap(height, width, tile, OVERLAP)
    }

    pub(crate) fn with_overlap(height: usize, width: usize, tile: Tile, overlap: usize) -> Self {
        let side = match tile {
            Tile::Whole => height.max(width),
            Tile::Side(side) | Tile::Apart(side) => side.max(1),
        };
        Self {
            rows: Axis::new(height, side, overlap),
            columns: Axis::new(width, side, overlap),
        }
    }

    /// Height and width of every tile, latents.
    pub(crate) fn shape(&self) -> [usize; 2] {
        [self.rows.side, self.columns.side]
    }

    /// How many tiles there are.
    pub(crate) fn count(&self) -> usize {
        self.rows.origins.len() * self.columns.origins.len()
    }
}

impl Axis {
    /// What is taken from each tile where they do not fade into each other: their overlaps are cut in the middle.
    pub(crate) fn shares(&self) -> Vec<Range<usize>> {
        let middles = self
            .origins
            .windows(2)
            .map(|pair| (pair[0] + self.side + pair[1]) / 2);
        let middles: Vec<usize> = middles.collect();
        let firsts = std::iter::once(0).chain(middles.iter().copied());
        let ends = middles.iter().copied().chain([self.len]);
        firsts.zip(ends).map(|(first, end)| first..end).collect()
    }

    fn new(len: usize, side: usize, overlap: usize) -> Self {
        let longest = side.min(len);
        // No pixel may be three tiles' business, or the ramps would meet.
        let overlap = overlap.min(longest / 2);
        let gaps = (len - longest).div_ceil(longest - overlap);
        // What just as many tiles can do with: the rest would be computed twice and thrown away.
        let side = (len + gaps * overlap).div_ceil(gaps + 1).max(2 * overlap);
        let room = len - side;
        let origins = (0..=gaps).map(|i| (i * room).checked_div(gaps).unwrap_or(0));
        Self {
            len,
            side,
            origins: origins.collect(),
            overlap,
        }
    }

    /// For a decoder that makes `factor` pixels of a latent.
    pub(crate) fn pixels(&self, factor: usize) -> Pixels {
        // Twice the middle of each overlap.
        let middles: Vec<usize> = self
            .origins
            .windows(2)
            .map(|pair| (pair[0] + self.side + pair[1]) * factor)
            .collect();
        let apart = middles.windows(2).map(|pair| (pair[1] - pair[0]) / 2);
        // Half of the overlap fades, a quarter on each side is thrown away.
        let ramp = apart.fold((self.overlap * factor).div_ceil(2), usize::min);
        let starts: Vec<usize> = middles.iter().map(|middle| (middle - ramp) / 2).collect();
        let firsts = std::iter::once(0).chain(starts.iter().copied());
        let ends = starts.iter().map(|start| start + ramp);
        let spans = firsts.zip(ends.chain([self.len * factor]));
        Pixels {
            spans: spans.map(|(first, end)| first..end).collect(),
            origins: self.origins.iter().map(|origin| origin * factor).collect(),
            ramp: (0..ramp).map(|at| raised_cosine(at, ramp)).collect(),
        }
    }
}

/// At the middle of pixel `at` of `len`, between 0 and 1.
fn raised_cosine(at: usize, len: usize) -> f32 {
    let turn = (at as f64 + 0.5) / len as f64 * std::f64::consts::PI;
    (0.5 - 0.5 * libm::cos(turn)) as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_image_not_larger_than_the_tile_is_one_tile() {
        for (tile, shape) in [
            (Tile::Whole, [24, 32]),
            (Tile::Side(32), [24, 32]),
            (Tile::Side(usize::MAX), [24, 32]),
        ] {
            let tiling = Tiling::new(24, 32, tile);
            assert_eq!((tiling.shape(), tiling.count()), (shape, 1));
        }
        let tiling = Tiling::new(24, 32, Tile::Side(28));
        assert_eq!((tiling.shape(), tiling.count()), ([24, 20], 2));
        assert_eq!(tiling.columns.origins, [0, 12]);
    }

    #[test]
    fn tiles_are_spread_evenly_and_no_larger_than_needed() {
        let axis = Axis::new(64, 48, 8);
        assert_eq!((axis.side, &axis.origins[..]), (36, &[0, 28][..]));
        let axis = Axis::new(64, 32, 16);
        assert_eq!(axis.origins, [0, 16, 32]);
        let axis = Axis::new(65, 32, 16);
        assert_eq!(axis.origins, [0, 11, 22, 33]);
        let pixels = Axis::new(64, 40, 16).pixels(8);
        assert_eq!(pixels.origins, [0, 192]);
        // The overlap is 192..320; 64 pixels in its middle fade.
        assert_eq!(pixels.spans, [0..288, 224..512]);
        assert_eq!(pixels.ramp.len(), 64);
    }

    proptest! {
        #[test]
        fn tiles_cover_the_latents_alike_and_share_the_overlap(
            (len, side, overlap) in (1_usize..300, 1_usize..80, 0_usize..40),
        ) {
            let axis = Axis::new(len, side, overlap);
            prop_assert!((1..=side.min(len)).contains(&axis.side), "{:?}", axis);
            prop_assert_eq!(axis.origins[0], 0);
            prop_assert_eq!(axis.origins.last().copied(), Some(len - axis.side));
            let overlap = overlap.min(side.min(len) / 2);
            for pair in axis.origins.windows(2) {
                prop_assert!(pair[0] < pair[1] && pair[1] + overlap <= pair[0] + axis.side, "{:?}", axis);
            }
            // One tile less of the longest side would not do.
            let gaps = axis.origins.len() - 1;
            prop_assert!(gaps == 0 || gaps * side - (gaps - 1) * overlap < len, "{:?}", axis);
        }

        #[test]
        fn shares_are_all_the_latents_once_and_half_an_overlap_from_edges_inside(
            (len, side, overlap) in (1_usize..300, 1_usize..80, 0_usize..40),
        ) {
            let axis = Axis::new(len, side, overlap);
            let shares = axis.shares();
            let at: Vec<usize> = shares.iter().cloned().flatten().collect();
            prop_assert_eq!(at, (0..len).collect::<Vec<_>>());
            for (share, origin) in shares.iter().zip(&axis.origins) {
                let (before, behind) = (share.start - origin, origin + axis.side - share.end);
                prop_assert!(*origin == 0 || before >= axis.overlap / 2);
                prop_assert!(origin + axis.side == len || behind >= axis.overlap / 2);
            }
        }

        #[test]
        fn weights_of_every_pixel_sum_to_one_and_only_computed_pixels_count(
            (len, side, overlap, factor) in (1_usize..200, 1_usize..80, 0_usize..40, 1_usize..9),
        ) {
            let axis = Axis::new(len, side, overlap);
            let pixels = axis.pixels(factor);
            let mut sums = vec![0.0; len * factor];
            let mut tiles = vec![0; len * factor];
            for (index, span) in pixels.spans.iter().enumerate() {
                let origin = pixels.origins[index];
                prop_assert!(origin <= span.start && span.end <= origin + axis.side * factor);
                for at in span.clone() {
                    let mut weight = 1.0;
                    if index > 0 && at - span.start < pixels.ramp.len() {
                        weight = pixels.ramp[at - span.start];
                    }
                    let next = pixels.spans.get(index + 1);
                    if let Some(next) = next.filter(|next| next.contains(&at)) {
                        prop_assert_eq!(weight, 1.0, "two ramps meet");
                        weight = 1.0 - pixels.ramp[at - next.start];
                    }
                    sums[at] += weight;
                    tiles[at] += 1;
                }
            }
            prop_assert!(sums.iter().all(|sum: &f32| (sum - 1.0).abs() < 1e-6), "{:?}", sums);
            prop_assert!(tiles.iter().all(|tiles| (1..=2).contains(tiles)));
            prop_assert!(pixels.ramp.is_sorted() && pixels.ramp.iter().all(|w| *w > 0.0 && *w < 1.0));
        }
    }
}
