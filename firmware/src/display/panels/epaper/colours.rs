//! From a picture to inks: what the paper can show is less bright and less strong than what a screen shows.
//!
//! Tones are compressed into what lies between the paper's black and white, colours drawn towards what its inks can mix,
//! then the error of each pixel is handed to its neighbours. Inks are taken as they look, not as they are called: dithered
//! against pure red, a picture comes out far too dark. See `docs/panels.md` for where the measurements come from.

use epaper_dithering_core::enums::{DitherMode, GamutCompression, ToneCompression};
use epaper_dithering_core::measured_palettes::{SOLUM_BWR, SPECTRA_7_3_6COLOR_V2};
use epaper_dithering_core::palettes::Palette as Inks;
use epaper_dithering_core::types::ImageBuffer;
use epaper_dithering_core::{DitherConfig, dither};
use image::RgbImage;
use std::borrow::Cow;

/// The inks of a kind of paper, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Palette {
    /// Black, white, yellow, red, blue, green.
    Spectra6,
    /// Black, white, green, blue, red, yellow, orange.
    Seven,
    /// Black, white, red.
    BlackWhiteRed,
}

/// In every palette.
const BLACK: u8 = 0;
/// In every palette.
const WHITE: u8 = 1;

/// As photographed for Pimoroni's `inky` library, its white from the same library's newer list.
static SEVEN: Inks = Inks {
    colors: Cow::Borrowed(&[
        [57, 48, 57],
        [161, 164, 165],
        [58, 91, 70],
        [61, 59, 94],
        [156, 72, 75],
        [208, 190, 71],
        [177, 106, 73],
    ]),
    accent_idx: 4,
};

impl Palette {
    /// What the inks look like, sRGB.
    fn inks(self) -> &'static Inks {
        match self {
            Self::Spectra6 => &SPECTRA_7_3_6COLOR_V2,
            Self::Seven => &SEVEN,
            Self::BlackWhiteRed => &SOLUM_BWR,
        }
    }
}

/// The ink of each pixel, row by row, as its place in the palette.
pub(super) fn inks(frame: &RgbImage, palette: Palette, saturation: f32) -> Vec<u8> {
    let picture = ImageBuffer::new(frame.as_raw(), frame.width() as usize);
    let how = DitherConfig {
        mode: DitherMode::FloydSteinberg,
        saturation: saturation.into(),
        // All of the range, into all of the paper's: a strength taken from the histogram burns out bright pictures.
        tone: ToneCompression::Fixed(1.0),
        gamut: GamutCompression::Auto,
        ..DitherConfig::default()
    };
    let mut inks = dither(&picture, palette.inks(), how);
    // Text has to be crisp, though no paper is as black or as white.
    for (ink, pixel) in inks.iter_mut().zip(frame.pixels()) {
        match pixel.0 {
            [0, 0, 0] => *ink = BLACK,
            [255, 255, 255] => *ink = WHITE,
            _ => {}
        }
    }
    inks
}

/// What a paper with these inks looks like.
#[cfg(test)]
pub(super) fn looks_like(inks: &[u8], palette: Palette, (width, height): (u32, u32)) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let ink = inks[(y * width + x) as usize];
        image::Rgb(palette.inks().colors[usize::from(ink)])
    })
}
