//! 24 bits a pixel down to 16.

use image::Rgb;

/// Bayer's 8×8 order (B. E. Bayer, "An optimum method for two-level rendition of continuous-tone pictures", 1973).
const ORDER: [[u8; 8]; 8] = order();

/// A pixel at its place: red in the upper 5 bits, green in the next 6, blue in the lower 5.
///
/// The dither is ordered, not diffused: what a pixel becomes depends on itself and its place alone, so that what does
/// not change on the screen does not change on the bus, and nothing crawls while a picture grows sharper. On average
/// over 8×8 pixels a colour is exact to 1/64 of a level; black and white stay pure.
pub(super) fn to_rgb565(pixel: &Rgb<u8>, x: u32, y: u32) -> u16 {
    let threshold = u32::from(ORDER[(y % 8) as usize][(x % 8) as usize]);
    let [red, green, blue] = pixel.0;
    level(red, 31, threshold) << 11 | level(green, 63, threshold) << 5 | level(blue, 31, threshold)
}

/// `value` on a scale of `0..=most`, rounded up where its fraction is above `(threshold + 1/2) / 64`.
fn level(value: u8, most: u32, threshold: u32) -> u16 {
    // In 128ths: value · most / 255 + (127 - 2 · threshold) / 128, rounded down.
    let sum = u32::from(value) * most * 128 + (127 - 2 * threshold) * 255;
    (sum / (255 * 128)) as u16 // at most `most`, since the second term is less than one
}

/// Each quarter of a square holds the smaller square, refined by the order of a 2×2 one.
const fn order() -> [[u8; 8]; 8] {
    let mut order = [[0; 8]; 8];
    let mut y = 0;
    while y < 8 {
        let mut x = 0;
        while x < 8 {
            let mut bit = 0;
            while bit < 3 {
                let (column, row) = ((x >> bit) & 1, (y >> bit) & 1);
                // 2×2: 0 2 / 3 1
                let quarter = 2 * (column ^ row) + row;
                order[y][x] += (quarter as u8) << (2 * (2 - bit));
                bit += 1;
            }
            x += 1;
        }
        y += 1;
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::RgbImage;
    use proptest::prelude::*;

    fn dithered(frame: &RgbImage) -> Vec<u16> {
        let pixels = frame.enumerate_pixels();
        pixels.map(|(x, y, pixel)| to_rgb565(pixel, x, y)).collect()
    }

    #[test]
    fn the_order_is_bayers() {
        assert_eq!(ORDER[0], [0, 32, 8, 40, 2, 34, 10, 42]);
        assert_eq!(ORDER[1], [48, 16, 56, 24, 50, 18, 58, 26]);
        let mut all: Vec<u8> = ORDER.concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..64));
    }

    #[test]
    fn a_ramp_looks_as_it_did() {
        let ramp = RgbImage::from_fn(8, 2, |x, y| {
            Rgb([(x * 36) as u8, (y * 100 + 20) as u8, (255 - x * 30) as u8])
        });
        // Worked out with exact fractions, apart from this program.
        let expected = [
            0x00BF, 0x20BB, 0x48B8, 0x68B4, 0x90B1, 0xB0AD, 0xD8A9, 0xF0A5, 0x03BF, 0x2BDC, 0x43B7,
            0x6BD4, 0x8BB0, 0xB3CD, 0xD3A9, 0xFBC6,
        ];
        let out = dithered(&ramp);
        assert_eq!(out, expected, "{out:#06X?}");
    }

    proptest! {
        #[test]
        fn the_mean_is_the_colour(colour in any::<[u8; 3]>()) {
            let out = dithered(&RgbImage::from_pixel(8, 8, Rgb(colour)));
            prop_assert_eq!(out.len(), 64);
            for (shift, most, value) in [(11, 31, colour[0]), (5, 63, colour[1]), (0, 31, colour[2])] {
                let sum: u32 = out.iter().map(|&pixel| u32::from(pixel >> shift) & most).sum();
                let mean = f64::from(sum) / 64.0;
                let exact = f64::from(value) / 255.0 * f64::from(most);
                prop_assert!((mean - exact).abs() <= 1.0 / 64.0, "{mean} {exact}");
            }
        }

        #[test]
        fn a_pixel_depends_on_nothing_but_its_place(one in any::<[u8; 3]>(), other in any::<[u8; 3]>()) {
            let mut frame = RgbImage::from_pixel(9, 9, Rgb(one));
            let before = dithered(&frame);
            frame.put_pixel(4, 5, Rgb(other));
            let after = dithered(&frame);
            let changed = before.iter().zip(&after).enumerate().filter(|(_, (a, b))| a != b);
            prop_assert!(changed.map(|(at, _)| at).all(|at| at == 5 * 9 + 4));
        }
    }

    #[test]
    fn pure_colours_stay_pure() {
        for (colour, expected) in [
            ([0, 0, 0], 0),
            ([255, 255, 255], 0xFFFF),
            ([255, 0, 0], 0xF800),
            ([0, 255, 0], 0x07E0),
            ([0, 0, 255], 0x001F),
        ] {
            let out = dithered(&RgbImage::from_pixel(8, 8, Rgb(colour)));
            assert!(out.iter().all(|&pixel| pixel == expected));
        }
    }
}
