use std::io::Cursor;

use image::{DynamicImage, ImageBuffer, Luma, LumaA, Rgb, Rgba};
use proptest::prelude::*;

use super::*;

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).expect("it is encoded");
    bytes.into_inner()
}

/// 5×3, no two pixels alike.
fn colours() -> DynamicImage {
    let pixel = |x: u32, y: u32| Rgb([40 * x as u8, 80 * y as u8, 100]);
    DynamicImage::ImageRgb8(ImageBuffer::from_fn(5, 3, pixel))
}

#[test]
fn lossless_formats_come_back_to_the_bit_whatever_their_name() {
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let picture = Picture::decode(&encoded(&colours(), format)).expect("it is one");
        assert_eq!((picture.width, picture.height), (5, 3));
        assert_eq!(picture.rgb, colours().into_rgb8().into_raw(), "{format:?}");
    }
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("it-says.jpg");
    std::fs::write(&path, encoded(&colours(), ImageFormat::Png)).expect("it is written");
    let picture = Picture::read(&path).expect("the name does not matter");
    assert_eq!(picture.rgb, colours().into_rgb8().into_raw());
}

#[test]
fn grey_sixteen_bits_and_transparency_become_plain_colours() {
    let grey = DynamicImage::ImageLuma8(ImageBuffer::from_pixel(2, 1, Luma([77])));
    let deep = DynamicImage::ImageRgb16(ImageBuffer::from_pixel(1, 1, Rgb([0, 257 * 77, 65_535])));
    let clear = DynamicImage::ImageRgba8(ImageBuffer::from_pixel(1, 1, Rgba([9, 9, 9, 0])));
    let half = DynamicImage::ImageLumaA8(ImageBuffer::from_pixel(1, 1, LumaA([0, 51])));
    for (image, wanted) in [
        (grey, [77, 77, 77]),
        (deep, [0, 77, 255]),
        (clear, [255, 255, 255]),
        (half, [204, 204, 204]),
    ] {
        let picture = Picture::decode(&encoded(&image, ImageFormat::Png)).expect("it is one");
        assert_eq!(picture.rgb[..3], wanted, "{:?}", image.color());
    }
}

/// A JPEG whose EXIF says that it was taken with the camera turned.
fn turned(orientation: u8) -> Vec<u8> {
    let plain = encoded(&colours(), ImageFormat::Jpeg);
    // TIFF, little-endian: one entry, tag 0x0112, one 16-bit number (Exif 2.32, 4.6.2).
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let length = u16::try_from(exif.len() + 2).expect("it is short");
    let (start, rest) = plain.split_at(2);
    [start, &[0xff, 0xe1], &length.to_be_bytes(), &exif, rest].concat()
}

#[test]
fn a_photo_stands_as_its_camera_stood() {
    let upright = Picture::decode(&turned(1)).expect("it is one");
    let quarter = Picture::decode(&turned(6)).expect("it is one");
    assert_eq!((upright.width, upright.height), (5, 3));
    assert_eq!((quarter.width, quarter.height), (3, 5));
    // Clockwise: what was at the lower left is at the upper left now.
    let at = |picture: &Picture, x: u32, y: u32| {
        let at = 3 * (y * picture.width + x) as usize;
        picture.rgb[at..at + 3].to_vec()
    };
    assert_eq!(at(&quarter, 0, 0), at(&upright, 0, 2));
    assert_eq!(at(&quarter, 2, 4), at(&upright, 4, 0));
}

#[test]
fn what_is_no_picture_is_called_by_its_name() {
    let problem = |bytes: &[u8]| Picture::decode(bytes).expect_err("it is none").to_string();
    assert!(problem(b"").contains("is empty"));
    assert!(problem(b"GIF89a").contains("is a GIF: give a PNG"));
    assert!(problem(b"\0\0\0\x18ftypheic").contains("is an HEIC"));
    assert!(problem(b"hello").contains("is no picture that is known"));
    let png = encoded(&colours(), ImageFormat::Png);
    for end in [8, 20, png.len() / 2, png.len() - 20] {
        assert!(problem(&png[..end]).contains("is a damaged PNG: "), "{end}");
    }
}

/// A PNG that says it is so large, and has nothing else.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let sum = crc32fast::hash(&header).to_be_bytes();
    let data = [
        &[0, 0, 0, 0][..],
        b"IDAT",
        &crc32fast::hash(b"IDAT").to_be_bytes(),
    ]
    .concat();
    [b"\x89PNG\r\n\x1a\n\0\0\0\x0d", &header[..], &sum, &data].concat()
}

#[test]
fn a_bomb_is_refused_before_it_is_decoded() {
    for (width, height) in [(60_000, 60_000), (16_385, 1), (8192, 8192)] {
        let found = Picture::decode(&bomb(width, height));
        assert_eq!(found, Err(UnreadablePicture::TooLarge { width, height }));
    }
    assert!(Picture::decode(&bomb(0, 9)).is_err());
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let found = Picture::read(dir.path()).expect_err("a folder");
    assert!(found.to_string().contains("is a directory"), "{found}");
    let found = Picture::read(&dir.path().join("none.png")).expect_err("nothing");
    assert!(found.to_string().contains("cannot be read"), "{found}");
}

proptest! {
    #[test]
    fn damaged_bytes_are_an_error_or_a_picture(
        format in 0..3_usize,
        flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8),
        end in any::<usize>(),
    ) {
        let format = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP][format];
        let mut bytes = encoded(&colours(), format);
        for (at, value) in flips {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(end % (bytes.len() + 1));
        if let Ok(picture) = Picture::decode(&bytes) {
            prop_assert!(picture.is_whole());
        }
    }
}
