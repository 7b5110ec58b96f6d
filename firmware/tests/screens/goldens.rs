//! Every screen at four sizes, compared with what it was.

use super::scenes;
use easel_firmware::display::{Fit, Frame, draw};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, GenericImage as _, ImageEncoder as _, Rgb, RgbImage, imageops};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

pub(crate) const SIZES: [(u32, u32); 4] = [(240, 240), (320, 240), (480, 800), (800, 480)];
/// Levels of 255: processors round the last bit of a filter's sum in their own ways.
const TOLERANCE: u8 = 2;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/display")
}

fn blessing() -> bool {
    std::env::var_os("EASEL_BLESS").is_some_and(|value| value == "1")
}

fn read(file: &Path) -> RgbImage {
    let image = image::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    image.into_rgb8()
}

fn write(file: &Path, image: &RgbImage) {
    let out = BufWriter::new(File::create(file).expect("the folder is there"));
    PngEncoder::new_with_quality(out, CompressionType::Best, FilterType::Adaptive)
        .write_image(
            image,
            image.width(),
            image.height(),
            ExtendedColorType::Rgb8,
        )
        .expect("the disk has room");
}

/// The largest difference of two images of one size.
fn difference(one: &RgbImage, other: &RgbImage) -> u8 {
    assert_eq!(one.dimensions(), other.dimensions());
    let pairs = one.iter().zip(other.iter());
    pairs
        .map(|(one, other)| one.abs_diff(*other))
        .max()
        .unwrap_or(0)
}

/// All screens of one size.
fn drawn(size: (u32, u32), frame: Frame) -> Vec<(&'static str, RgbImage)> {
    let scenes = scenes::all().into_iter();
    scenes
        .map(|(name, screen)| (name, draw(&screen, size, frame)))
        .collect()
}

#[test]
fn screens_look_as_they_did() {
    let mut sets: Vec<_> = SIZES.into_iter().map(|size| (size, false)).collect();
    sets.push(((240, 240), true));
    for (size, round) in sets {
        for (name, image) in drawn(
            size,
            Frame {
                fit: Fit::Smart,
                round,
            },
        ) {
            let shape = if round { "-round" } else { "" };
            let file = folder().join(format!("{name}-{}x{}{shape}.png", size.0, size.1));
            if blessing() {
                write(&file, &image);
            }
            let off = difference(&image, &read(&file));
            assert!(
                off <= TOLERANCE,
                "{}: differs by {off} levels: look at it, then EASEL_BLESS=1",
                file.display()
            );
        }
    }
    if blessing() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images/screens.png");
        write(&docs, &contact_sheet());
    }
}

#[test]
fn a_difference_is_found() {
    let image = RgbImage::from_pixel(3, 3, Rgb([9; 3]));
    let mut other = image.clone();
    other.put_pixel(1, 2, Rgb([9, 20, 9]));
    assert_eq!(
        (difference(&image, &image), difference(&image, &other)),
        (0, 11)
    );
}

/// A row for each shape of panel, on paper, at half the size.
fn contact_sheet() -> RgbImage {
    const GAP: u32 = 24;
    let names = [
        "idle",
        "caption",
        "first-steps",
        "painting",
        "picture",
        "labelled",
        "error",
        "set-up",
        "shutting-down",
        "scripts",
    ];
    let rows: Vec<(Vec<RgbImage>, u32)> =
        [((800, 480), false), ((240, 240), false), ((240, 240), true)]
            .into_iter()
            .flat_map(|(size, round)| {
                let all = drawn(
                    size,
                    Frame {
                        fit: Fit::Smart,
                        round,
                    },
                );
                let find = |name: &str| {
                    all.iter()
                        .find(|(n, _)| *n == name)
                        .map(|(_, image)| image.clone())
                };
                let images: Vec<RgbImage> = names
                    .iter()
                    .filter_map(|name| find(name))
                    .map(|image| if round { disc(image) } else { image })
                    .collect();
                let per_row = if size.0 > 400 { 2 } else { 5 };
                images
                    .chunks(per_row)
                    .map(|row| (row.to_vec(), size.1))
                    .collect::<Vec<_>>()
            })
            .collect();
    let width = GAP + 2 * (800 + GAP);
    let height = GAP + rows.iter().map(|(_, height)| height + GAP).sum::<u32>();
    let mut sheet = RgbImage::from_pixel(width, height, PAPER);
    let mut y = GAP;
    for (row, row_height) in rows {
        let used: u32 = row.iter().map(RgbImage::width).sum();
        let space = (width - used) / (row.len() as u32 + 1);
        let mut x = space;
        for image in row {
            sheet.copy_from(&image, x, y).expect("it fits");
            x += image.width() + space;
        }
        y += row_height + GAP;
    }
    imageops::resize(
        &sheet,
        width * 3 / 5,
        height * 3 / 5,
        imageops::FilterType::Lanczos3,
    )
}

const PAPER: Rgb<u8> = Rgb([0xF4, 0xF2, 0xEE]);

/// What a round panel shows of it.
fn disc(mut image: RgbImage) -> RgbImage {
    let radius = f64::from(image.width()) / 2.0;
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        if (f64::from(x) + 0.5 - radius).hypot(f64::from(y) + 0.5 - radius) > radius {
            *pixel = PAPER;
        }
    }
    image
}
