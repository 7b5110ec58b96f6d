//! Frames in the layouts that panels want.

use image::imageops::{FilterType, overlay, resize};
use image::{Rgb, RgbImage};
use std::borrow::Cow;

/// Offsets added before the last bits are cut off, so that a gradient does not fall into steps: Bayer's 4×4 matrix.
/// A pixel's value depends on its place and colour alone, so that what does not change is not sent again.
const BAYER: [[u8; 4]; 4] = [[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]];

/// One pixel with `bits` a channel instead of 8, dithered.
fn fewer_bits(value: u8, bits: u32, x: u32, y: u32) -> u8 {
    let step = 1 << (8 - bits);
    // The whole range lands on the whole range: 255 stays the largest value and 0 the least.
    let scaled = u32::from(value) * ((1 << bits) - 1) * step / 255;
    let threshold = u32::from(BAYER[(y % 4) as usize][(x % 4) as usize]) * step / 16;
    u8::try_from((scaled + threshold) / step).unwrap_or(u8::MAX)
}

/// A pixel at its place as RGB565: five bits of red, six of green, five of blue.
pub(super) fn to_rgb565(&Rgb([r, g, b]): &Rgb<u8>, x: u32, y: u32) -> u16 {
    let red = u16::from(fewer_bits(r, 5, x, y));
    let green = u16::from(fewer_bits(g, 6, x, y));
    let blue = u16::from(fewer_bits(b, 5, x, y));
    red << 11 | green << 5 | blue
}

/// The frame as large as fits a screen of another size, in its middle, black around.
pub(super) fn letterboxed(frame: &RgbImage, (width, height): (u32, u32)) -> Cow<'_, RgbImage> {
    if frame.dimensions() == (width, height) || frame.width() == 0 || frame.height() == 0 {
        return Cow::Borrowed(frame);
    }
    let scale = (f64::from(width) / f64::from(frame.width()))
        .min(f64::from(height) / f64::from(frame.height()));
    let fitted = |side: u32, most: u32| ((f64::from(side) * scale).round() as u32).clamp(1, most);
    let (w, h) = (fitted(frame.width(), width), fitted(frame.height(), height));
    let mut screen = RgbImage::new(width, height);
    let (left, top) = (i64::from((width - w) / 2), i64::from((height - h) / 2));
    overlay(
        &mut screen,
        &resize(frame, w, h, FilterType::Triangle),
        left,
        top,
    );
    Cow::Owned(screen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pure_colours_stay_pure() {
        for (x, y) in [(0, 0), (1, 2), (3, 3), (2, 1)] {
            assert_eq!(to_rgb565(&Rgb([255, 255, 255]), x, y), 0xffff);
            assert_eq!(to_rgb565(&Rgb([0, 0, 0]), x, y), 0);
            assert_eq!(to_rgb565(&Rgb([255, 0, 0]), x, y), 0xf800);
            assert_eq!(to_rgb565(&Rgb([0, 255, 0]), x, y), 0x07e0);
            assert_eq!(to_rgb565(&Rgb([0, 0, 255]), x, y), 0x001f);
        }
    }

    #[test]
    fn a_level_between_two_is_right_on_average() {
        // Every level of red, over one tile of the matrix: the mean is within half of a sixteenth of a step.
        for level in 0..=255_u8 {
            let sum: u32 = (0..16)
                .map(|i| u32::from(to_rgb565(&Rgb([level, 0, 0]), i % 4, i / 4) >> 11))
                .sum();
            let mean = f64::from(sum) / 16.0 * 255.0 / 31.0;
            assert!(
                (mean - f64::from(level)).abs() < 1.1,
                "{level} became {mean}"
            );
        }
    }

    #[test]
    fn a_frame_of_another_size_is_letterboxed() {
        let frame = RgbImage::from_pixel(80, 48, Rgb([200, 10, 10]));
        let screen = letterboxed(&frame, (100, 100));
        assert_eq!(screen.dimensions(), (100, 100));
        assert_eq!(screen.get_pixel(50, 50), &Rgb([200, 10, 10]));
        assert_eq!(screen.get_pixel(50, 10), &Rgb([0, 0, 0]));
        assert_eq!(screen.get_pixel(50, 90), &Rgb([0, 0, 0]));
        assert!(matches!(letterboxed(&frame, (80, 48)), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn any_frame_fits_any_screen(w in 1..60_u32, h in 1..60_u32, sw in 1..60_u32, sh in 1..60_u32) {
            let frame = RgbImage::new(w, h);
            prop_assert_eq!(letterboxed(&frame, (sw, sh)).dimensions(), (sw, sh));
        }
    }
}
