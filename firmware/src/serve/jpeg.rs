//! Pictures as dashboards take them.

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, ImageEncoder as _, RgbImage};

/// Bytes of a published picture at most.
pub(super) const LARGEST_IMAGE: usize = 256 * 1024;
/// Bytes of a published preview at most.
pub(super) const LARGEST_PREVIEW: usize = 32 * 1024;
/// Shorter side of a published preview, pixels.
const PREVIEW_SIDE: u32 = 256;
/// Longer side of a preview that was made larger, pixels.
const LONGEST_SIDE: u32 = 1024;

/// The best JPEG of at most `most` bytes; smaller in pixels where no quality makes it small enough.
pub(super) fn jpeg(picture: &RgbImage, most: usize) -> Vec<u8> {
    let mut shrunk;
    let mut picture = picture;
    loop {
        for quality in [92, 85, 75, 60, 40] {
            let bytes = encode(picture, quality);
            if bytes.len() <= most {
                return bytes;
            }
        }
        let (width, height) = picture.dimensions();
        let half = |side: u32| (side / 2).max(1);
        if width.max(height) == 1 {
            return encode(picture, 40);
        }
        shrunk = imageops::resize(picture, half(width), half(height), FilterType::Triangle);
        picture = &shrunk;
    }
}

/// A preview has a pixel a latent: it is made as large as a dashboard's card.
pub(super) fn preview(small: &RgbImage) -> Vec<u8> {
    let (width, height) = small.dimensions();
    let times = PREVIEW_SIDE.div_ceil(width.min(height).max(1));
    let times = times.min(LONGEST_SIDE / width.max(height).max(1)).max(1);
    let large = imageops::resize(
        small,
        width.saturating_mul(times),
        height.saturating_mul(times),
        FilterType::CatmullRom,
    );
    jpeg(&large, LARGEST_PREVIEW)
}

fn encode(picture: &RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (width, height) = picture.dimensions();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .write_image(picture.as_raw(), width, height, ExtendedColorType::Rgb8)
        .expect("memory takes any number of bytes, and the picture is far below JPEG's 65535 pixels a side");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_fits_whatever_it_shows() {
        // Noise is what JPEG is worst at.
        let mut state = 1_u32;
        let noise = RgbImage::from_fn(900, 700, |_, _| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            image::Rgb([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8])
        });
        for most in [LARGEST_IMAGE, 20_000, 1_000] {
            let bytes = jpeg(&noise, most);
            assert!(bytes.len() <= most, "{} of {most}", bytes.len());
            let back = image::load_from_memory(&bytes).expect("it is a JPEG");
            assert!(back.width() <= 900 && back.height() <= 700);
        }
        let flat = jpeg(&RgbImage::new(512, 512), LARGEST_IMAGE);
        let back = image::load_from_memory(&flat).expect("it is a JPEG");
        assert_eq!((back.width(), back.height()), (512, 512));
    }

    #[test]
    fn a_preview_is_as_large_as_a_card() {
        for ((width, height), wanted) in [
            ((16, 16), (256, 256)),
            ((64, 40), (448, 280)),
            ((1, 300), (3, 900)),
            ((2000, 1), (2000, 1)),
        ] {
            let bytes = preview(&RgbImage::new(width, height));
            let back = image::load_from_memory(&bytes).expect("it is a JPEG");
            assert_eq!((back.width(), back.height()), wanted);
            assert!(bytes.len() <= LARGEST_PREVIEW);
        }
    }
}
