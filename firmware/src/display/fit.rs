//! Pictures onto panels of another shape.

use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};
use image::{GenericImage as _, Rgb, RgbImage, imageops};
use serde::{Deserialize, Serialize};

/// What becomes of a picture whose shape is not the panel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// It fills the panel; what is too much is cut off, the same on both sides.
    Crop,
    /// All of it is seen, with bars beside it.
    Letterbox,
    /// As `Crop`, but the part with the most in it is kept.
    #[default]
    Smart,
}

/// A part of a picture, pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Window {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

/// A picture of exactly `size` pixels; bars have the colour `mat`.
#[must_use]
pub fn fit(picture: &RgbImage, size: (u32, u32), fit: Fit, mat: Rgb<u8>) -> RgbImage {
    let (width, height) = picture.dimensions();
    if width == 0 || height == 0 || size.0 == 0 || size.1 == 0 {
        return RgbImage::from_pixel(size.0, size.1, mat);
    }
    match fit {
        Fit::Crop => resize(picture, centred(picture.dimensions(), size), size),
        Fit::Smart => resize(picture, fullest(picture, size), size),
        Fit::Letterbox => {
            let inner = inscribed(picture.dimensions(), size);
            let inside = resize(picture, whole(picture), inner);
            if inner == size {
                return inside;
            }
            let mut framed = RgbImage::from_pixel(size.0, size.1, mat);
            let (left, top) = ((size.0 - inner.0) / 2, (size.1 - inner.1) / 2);
            framed
                .copy_from(&inside, left, top)
                .expect("it is no larger than what it is copied to");
            framed
        }
    }
}

/// Turns a frame clockwise by 0, 90, 180 or 270 degrees.
#[must_use]
pub fn turn(frame: RgbImage, degrees: u32) -> RgbImage {
    match degrees % 360 {
        90 => imageops::rotate90(&frame),
        180 => imageops::rotate180(&frame),
        270 => imageops::rotate270(&frame),
        _ => frame,
    }
}

/// All of it.
fn whole(picture: &RgbImage) -> Window {
    Window {
        left: 0.0,
        top: 0.0,
        width: f64::from(picture.width()),
        height: f64::from(picture.height()),
    }
}

/// The largest size of the picture's shape within `size`.
fn inscribed((width, height): (u32, u32), size: (u32, u32)) -> (u32, u32) {
    let scale = (f64::from(size.0) / f64::from(width)).min(f64::from(size.1) / f64::from(height));
    let side = |side: u32, most: u32| ((f64::from(side) * scale).round() as u32).clamp(1, most);
    (side(width, size.0), side(height, size.1))
}

/// The largest window of the shape of `size`, in the middle.
fn centred((width, height): (u32, u32), size: (u32, u32)) -> Window {
    let (width, height) = (f64::from(width), f64::from(height));
    let scale = (width / f64::from(size.0)).min(height / f64::from(size.1));
    let (inner_width, inner_height) = (
        (f64::from(size.0) * scale).min(width),
        (f64::from(size.1) * scale).min(height),
    );
    Window {
        left: (width - inner_width) / 2.0,
        top: (height - inner_height) / 2.0,
        width: inner_width,
        height: inner_height,
    }
}

/// Lines of pixels at which the busiest part is looked for.
const PROFILE: usize = 64;

/// The largest window of the shape of `size`, along its free way where the picture changes most: edges are what is
/// looked at. A little is taken off for the way from the middle, so that a plain picture stays centred.
fn fullest(picture: &RgbImage, size: (u32, u32)) -> Window {
    let window = centred(picture.dimensions(), size);
    let across = window.left > 0.0;
    let energy = profile(picture, across);
    let (width, height) = picture.dimensions();
    let (all, kept) = if across {
        (f64::from(width), window.width)
    } else {
        (f64::from(height), window.height)
    };
    let lines = energy.len();
    let span = ((kept / all * lines as f64).round() as usize).clamp(1, lines);
    let total: f64 = energy.iter().sum();
    let middle = (lines - span) as f64 / 2.0;
    let score = |start: usize| {
        let inside: f64 = energy[start..start + span].iter().sum();
        let away = (start as f64 - middle).abs() / lines as f64;
        inside - 0.1 * total * away
    };
    let middle_start = (lines - span) / 2;
    let best = (0..=lines - span).fold(middle_start, |best, start| {
        if score(start) > score(best) {
            start
        } else {
            best
        }
    });
    // The middle line stands for the exact middle, which may lie between two.
    let start = if best == middle_start {
        (all - kept) / 2.0
    } else {
        (best as f64 / lines as f64 * all).min(all - kept)
    };
    if across {
        Window {
            left: start,
            ..window
        }
    } else {
        Window {
            top: start,
            ..window
        }
    }
}

/// How much the picture changes in each of up to [`PROFILE`] columns, or rows: the sum of brightness steps.
fn profile(picture: &RgbImage, across: bool) -> Vec<f64> {
    let (width, height) = picture.dimensions();
    let side = |side: u32| side.min(PROFILE as u32);
    let (columns, rows) = (side(width), side(height));
    // Not the shape, only the lines matter here.
    let small = resize(picture, whole(picture), (columns, rows));
    // Rec. 601 brightness.
    let bright = |x: u32, y: u32| {
        let [r, g, b] = small.get_pixel(x, y).0.map(f64::from);
        0.299 * r + 0.587 * g + 0.114 * b
    };
    let mut sums = vec![0.0; if across { columns } else { rows } as usize];
    for y in 0..rows {
        for x in 0..columns {
            let here = bright(x, y);
            let right = bright((x + 1).min(columns - 1), y) - here;
            let below = bright(x, (y + 1).min(rows - 1)) - here;
            sums[if across { x } else { y } as usize] += right.hypot(below);
        }
    }
    sums
}

fn resize(picture: &RgbImage, window: Window, (width, height): (u32, u32)) -> RgbImage {
    // The kind of pixel is said here, not found out while it runs: the code for the others stays out of the program.
    let source =
        TypedImageRef::<U8x3>::from_buffer(picture.width(), picture.height(), picture.as_raw())
            .expect("a picture has three bytes a pixel");
    let mut scaled = RgbImage::new(width, height);
    let mut target = TypedImage::<U8x3>::from_buffer(width, height, &mut scaled)
        .expect("it has three bytes a pixel");
    // Small previews become smooth, large pictures stay sharp.
    let filter = if window.width < f64::from(width) {
        FilterType::Mitchell
    } else {
        FilterType::Lanczos3
    };
    // Whole 256ths of a pixel add up exactly, so that no rounding leads out of the picture.
    let parts = |v: f64| (v * 256.0).floor() / 256.0;
    let (left, top) = (parts(window.left), parts(window.top));
    let width_in = parts(window.width).max(1.0 / 256.0);
    let height_in = parts(window.height).max(1.0 / 256.0);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(filter))
        .crop(left, top, width_in, height_in);
    Resizer::new()
        .resize_typed(&source, &mut target, &options)
        .expect("the window lies within the picture");
    scaled
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAT: Rgb<u8> = Rgb([1, 2, 3]);
    const ALL: [Fit; 3] = [Fit::Crop, Fit::Letterbox, Fit::Smart];

    /// Grey, with a checkerboard in `x..x + 30`.
    fn busy_at(x: u32) -> RgbImage {
        RgbImage::from_fn(200, 100, |column, row| {
            let inside = (x..x + 30).contains(&column);
            Rgb([if inside && (column / 3 + row / 3) % 2 == 0 {
                250
            } else {
                90
            }; 3])
        })
    }

    fn contrast(image: &RgbImage) -> usize {
        image.pixels().filter(|pixel| pixel.0[0] > 180).count()
    }

    #[test]
    fn the_busy_part_is_kept() {
        for x in [0, 35, 135, 170] {
            let picture = busy_at(x);
            let smart = fit(&picture, (50, 100), Fit::Smart, MAT);
            let crop = fit(&picture, (50, 100), Fit::Crop, MAT);
            assert!(contrast(&smart) > 1200, "{x}: {}", contrast(&smart));
            assert!(contrast(&crop) < 300, "{x}: {}", contrast(&crop));
        }
        let turned = imageops::rotate90(&busy_at(170));
        assert!(contrast(&fit(&turned, (100, 50), Fit::Smart, MAT)) > 1200);
    }

    #[test]
    fn what_has_no_busy_part_stays_in_the_middle() {
        let ramp = RgbImage::from_fn(97, 40, |x, _| Rgb([2 * x as u8; 3]));
        for size in [(40, 40), (31, 40), (9, 90)] {
            assert_eq!(fullest(&ramp, size), centred((97, 40), size));
        }
    }

    #[test]
    fn a_letterbox_shows_all_of_it_between_bars() {
        let picture = RgbImage::from_fn(40, 20, |x, _| Rgb([if x < 20 { 200 } else { 50 }; 3]));
        let framed = fit(&picture, (60, 60), Fit::Letterbox, MAT);
        for (at, expected) in [
            ((30, 14), MAT.0),
            ((30, 45), MAT.0),
            ((2, 30), [200; 3]),
            ((57, 30), [50; 3]),
        ] {
            assert_eq!(framed.get_pixel(at.0, at.1).0, expected, "{at:?}");
        }
    }

    #[test]
    fn what_fits_is_not_touched() {
        let picture = busy_at(35);
        for how in ALL {
            assert_eq!(fit(&picture, (200, 100), how, MAT), picture);
        }
    }

    #[test]
    fn turning_is_clockwise() {
        let mut picture = RgbImage::new(3, 2);
        picture.put_pixel(0, 0, MAT);
        for (degrees, size, at) in [
            (0, (3, 2), (0, 0)),
            (90, (2, 3), (1, 0)),
            (180, (3, 2), (2, 1)),
            (270, (2, 3), (0, 2)),
        ] {
            let turned = turn(picture.clone(), degrees);
            assert_eq!(turned.dimensions(), size);
            assert_eq!(*turned.get_pixel(at.0, at.1), MAT, "{degrees}");
        }
    }

    proptest! {
        #[test]
        fn any_picture_fits_any_panel(from in (0_u32..90, 0_u32..90), to in (0_u32..90, 0_u32..90), how in 0_usize..3) {
            let picture = RgbImage::from_pixel(from.0, from.1, Rgb([200, 100, 50]));
            let fitted = fit(&picture, to, ALL[how], MAT);
            prop_assert_eq!(fitted.dimensions(), to);
            // Scaling makes no new colours out of one.
            for pixel in fitted.pixels() {
                prop_assert!(pixel.0 == [200, 100, 50] || *pixel == MAT);
            }
        }

        #[test]
        fn the_shape_is_kept(from in (1_u32..9000, 1_u32..9000), to in (1_u32..2000, 1_u32..2000)) {
            let window = centred(from, to);
            let shape = window.width * f64::from(to.1) / (window.height * f64::from(to.0));
            prop_assert!((shape - 1.0).abs() < 1e-9, "{window:?}");
            let (width, height) = inscribed(from, to);
            prop_assert!(width == to.0 || height == to.1);
            // No further from the true shape than half a pixel on one side.
            let exact = f64::from(from.0) / f64::from(from.1);
            let off = (f64::from(width) - exact * f64::from(height)).abs();
            prop_assert!(off <= 0.5 + exact * 0.5 + 1e-6 || width == 1 || height == 1);
        }
    }

    #[test]
    fn extreme_shapes_come_through() {
        let line = RgbImage::from_pixel(1, easel::LARGEST_SIDE, MAT);
        for how in ALL {
            assert_eq!(fit(&line, (800, 2), how, MAT).dimensions(), (800, 2));
        }
    }
}
