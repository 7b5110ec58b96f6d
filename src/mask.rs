//! Which part of a picture is painted anew.

use crate::picture::Picture;

/// A mask at the size of the picture: white is painted anew, black stays.
#[derive(Debug, Clone)]
pub(crate) struct Mask {
    width: usize,
    /// How white each pixel is.
    grey: Vec<u8>,
}

impl Mask {
    /// Of a picture that is resized to `size`, width and height.
    pub(crate) fn of(picture: &Picture, size: (u32, u32)) -> Self {
        Self {
            width: size.0 as usize,
            grey: picture.resized(size).grey(),
        }
    }

    /// Whether a pixel is for the sampler to paint: half-white and more.
    fn is_painted(grey: u8) -> bool {
        grey >= 128
    }

    /// `planes`, `[3, height, width]`, with the part that is painted anew in mid-grey (0).
    pub(crate) fn blank(&self, planes: &mut [f32]) {
        for plane in planes.chunks_exact_mut(self.grey.len()) {
            let pixels = plane.iter_mut().zip(&self.grey);
            let painted = pixels.filter(|(_, grey)| Self::is_painted(**grey));
            painted.for_each(|(pixel, _)| *pixel = 0.0);
        }
    }

    /// `[height / factor, width / factor]`: 1 where latents are painted anew, else 0. Of each latent's pixels the first one counts.
    pub(crate) fn latents(&self, factor: usize) -> Vec<f32> {
        let rows = self.grey.chunks_exact(self.width).step_by(factor);
        let pixels = rows.flat_map(|row| row.iter().step_by(factor));
        pixels
            .map(|grey| f32::from(u8::from(Self::is_painted(*grey))))
            .collect()
    }

    /// Puts the pixels of `source` back into the `painted` picture where the mask is black, exactly. Where it is grey both are seen, and
    /// along a sharp edge the painted part fades over `feather` pixels of its own side.
    pub(crate) fn paste(&self, painted: &mut Picture, source: &Picture, feather: usize) {
        let weights = self.faded(feather);
        let pixels = painted.rgb.chunks_exact_mut(3);
        let pixels = pixels.zip(source.rgb.chunks_exact(3)).zip(weights);
        for ((painted, source), weight) in pixels {
            for (painted, source) in painted.iter_mut().zip(source) {
                let (new, old) = (f32::from(*painted), f32::from(*source));
                *painted = (old + weight * (new - old)).round() as u8;
            }
        }
    }

    /// How much of the painted picture is seen at each pixel, 0 to 1.
    fn faded(&self, feather: usize) -> Vec<f32> {
        let height = self.grey.len() / self.width;
        let share: Vec<f32> = self
            .grey
            .iter()
            .map(|grey| f32::from(*grey) / 255.0)
            .collect();
        // The mean of a window is one half on a straight edge, and 1 where the edge is `feather` pixels away.
        let across = means(&share, self.width, feather);
        let down = transposed(&across, self.width);
        let means = transposed(&means(&down, height, feather), height);
        let pairs = share.iter().zip(&means);
        let faded = pairs.map(|(share, mean)| share.min((2.0 * mean - 1.0).max(0.0)));
        faded.collect()
    }
}

/// Of each number the mean of itself and those up to `reach` before and behind it in its row; at the ends the outermost counts again.
fn means(rows: &[f32], width: usize, reach: usize) -> Vec<f32> {
    let last = width - 1;
    let mean = |row: &[f32], at: usize| {
        let window = at..=at + 2 * reach;
        let sum: f32 = window
            .map(|shifted| row[shifted.saturating_sub(reach).min(last)])
            .sum();
        sum / (2 * reach + 1) as f32
    };
    let rows = rows.chunks_exact(width);
    rows.flat_map(|row| (0..width).map(move |at| mean(row, at)))
        .collect()
}

/// Rows of this width as columns.
fn transposed(rows: &[f32], width: usize) -> Vec<f32> {
    let columns = (0..width).flat_map(|column| rows.iter().skip(column).step_by(width));
    columns.copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: u32, shades: &[u8]) -> Picture {
        Picture {
            width,
            height: shades.len() as u32 / width,
            rgb: shades.iter().flat_map(|shade| [*shade; 3]).collect(),
        }
    }

    #[test]
    fn a_soft_mask_is_cut_at_one_half_and_the_first_pixel_of_a_latent_counts() {
        let mask = grey(4, &[127, 255, 128, 0, 255, 255, 0, 0]);
        let mask = Mask::of(&mask, (4, 2));
        assert_eq!(mask.latents(2), [0.0, 1.0]);
        let mut planes = vec![0.5; 24];
        mask.blank(&mut planes);
        assert_eq!(planes[..8], [0.5, 0.0, 0.0, 0.5, 0.0, 0.0, 0.5, 0.5]);
        assert_eq!(planes[8..16], planes[..8]);
    }

    #[test]
    fn what_is_black_in_the_mask_comes_back_to_the_bit() {
        let shades = |seed: usize| (0..3 * 16 * 9).map(move |at| (at * seed % 251) as u8);
        let picture = |seed| Picture {
            width: 16,
            height: 9,
            rgb: shades(seed).collect(),
        };
        let (source, painted) = (picture(7), picture(13));
        let half: Vec<u8> = (0..16 * 9)
            .map(|at| if at % 16 < 8 { 0 } else { 255 })
            .collect();
        for feather in 0..4 {
            let mut pasted = painted.clone();
            Mask::of(&grey(16, &half), (16, 9)).paste(&mut pasted, &source, feather);
            for (at, pixel) in pasted.rgb.chunks_exact(3).enumerate() {
                let own = &source.rgb[3 * at..3 * at + 3];
                let new = &painted.rgb[3 * at..3 * at + 3];
                match at % 16 {
                    0..8 => assert_eq!(pixel, own, "{at}, {feather}"),
                    x if x >= 8 + feather => assert_eq!(pixel, new, "{at}, {feather}"),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn along_a_sharp_edge_the_painted_part_fades_in() {
        let mask = grey(6, &[0, 0, 255, 255, 255, 255]);
        let faded = Mask::of(&mask, (6, 1)).faded(2);
        let wanted = [0.0, 0.0, 0.2, 0.6, 1.0, 1.0];
        for (found, wanted) in faded.iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-6, "{faded:?}");
        }
    }
}
