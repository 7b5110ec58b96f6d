//! Pictures that others made: PNG, JPEG and WebP, within bounds.
//!
//! What a picture is, its first bytes say, not its name. It is turned as its EXIF orientation asks, laid over white where it is
//! transparent, and brought to 8 bits a channel. Of an animation the first picture is taken. Colour profiles are not looked at: colours
//! are taken for sRGB, as diffusers does.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::{Path, PathBuf};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::Picture;
use crate::files::open_file;
use crate::text::message;

/// Pixels of a side.
const LONGEST_SIDE: u32 = 16_384;
/// Bytes of a picture as it is decoded: 44 megapixels of a photo, 16 of a PNG with transparency in 16 bits.
const MOST_BYTES: u64 = 128 << 20;
/// Bytes that a decoder may take beside the picture.
const DECODER_BYTES: u64 = 2 * MOST_BYTES;

/// Why bytes are no picture that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnreadablePicture {
    /// The file system does not give it.
    #[error("cannot be read: {0}")]
    File(String),
    /// Nothing is there.
    #[error("is empty: give a PNG, JPEG or WebP picture")]
    Empty,
    /// Another format, or none.
    #[error("is {0}: give a PNG, JPEG or WebP picture")]
    Format(&'static str),
    /// Found before anything was decoded.
    #[error(
        "{width}x{height} pixels: too large to be read (at most {LONGEST_SIDE} a side, and {} MiB in memory): make it smaller", MOST_BYTES >> 20
    )]
    TooLarge {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Cut short or broken.
    #[error("is a damaged {format}: {problem}")]
    Damaged {
        /// What its first bytes say.
        format: &'static str,
        /// What the decoder says.
        problem: String,
    },
}

/// A file that is no picture that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct PictureFileError {
    path: PathBuf,
    problem: UnreadablePicture,
}

impl Picture {
    /// Reads a PNG, JPEG or WebP file.
    ///
    /// # Errors
    /// [`PictureFileError`] with what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, PictureFileError> {
        let read = || {
            let file = open_file(path);
            let file: File = file.map_err(|error| UnreadablePicture::File(error.to_string()))?;
            decode(BufReader::new(file))
        };
        read().map_err(|problem| PictureFileError {
            path: path.to_owned(),
            problem,
        })
    }

    /// The picture in the bytes of a PNG, JPEG or WebP file.
    ///
    /// # Errors
    /// [`UnreadablePicture`] with what is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Self, UnreadablePicture> {
        decode(Cursor::new(bytes))
    }
}

fn decode(mut source: impl BufRead + Seek) -> Result<Picture, UnreadablePicture> {
    let start = source.fill_buf();
    let start = start.map_err(|error| UnreadablePicture::File(error.to_string()))?;
    let name = format_name(start)?;
    let format = match name {
        "PNG" => ImageFormat::Png,
        "JPEG" => ImageFormat::Jpeg,
        "WebP" => ImageFormat::WebP,
        other => return Err(UnreadablePicture::Format(other)),
    };
    let damaged = |error: image::ImageError| UnreadablePicture::Damaged {
        format: name,
        problem: message(&error.to_string()),
    };
    let mut reader = ImageReader::with_format(source, format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODER_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    let bytes = decoder.total_bytes();
    if width == 0 || height == 0 {
        return Err(UnreadablePicture::Damaged {
            format: name,
            problem: format!("it has {width}x{height} pixels"),
        });
    }
    if width.max(height) > LONGEST_SIDE || bytes > MOST_BYTES {
        return Err(UnreadablePicture::TooLarge { width, height });
    }
    // A picture whose notes are damaged is a picture nevertheless.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    image.apply_orientation(orientation);
    Ok(over_white(image))
}

/// What the first bytes say.
fn format_name(start: &[u8]) -> Result<&'static str, UnreadablePicture> {
    // Of ISO media files the kind stands behind the length and the word.
    let brand = start.get(4..12).unwrap_or_default();
    Ok(match start {
        [] => return Err(UnreadablePicture::Empty),
        [0x89, b'P', b'N', b'G', ..] => "PNG",
        [0xff, 0xd8, 0xff, ..] => "JPEG",
        _ if start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP") => "WebP",
        _ if start.starts_with(b"GIF8") => "a GIF",
        _ if start.starts_with(b"BM") => "a BMP",
        _ if start.starts_with(b"II*\0") || start.starts_with(b"MM\0*") => "a TIFF",
        _ if brand == b"ftypavif" => "an AVIF",
        _ if brand.starts_with(b"ftyphe") || brand == b"ftypmif1" => "an HEIC",
        _ if start.starts_with(b"<svg") || start.starts_with(b"<?xml") => "an SVG",
        _ => "no picture that is known",
    })
}

/// 8 bits a channel, without transparency.
fn over_white(image: DynamicImage) -> Picture {
    let (width, height) = (image.width(), image.height());
    let rgb = if image.color().has_alpha() {
        let rgba = image.into_rgba8();
        let pixels = rgba.pixels().flat_map(|pixel| {
            let [red, green, blue, alpha] = pixel.0.map(u32::from);
            [red, green, blue].map(|colour| {
                let sum = colour * alpha + 255 * (255 - alpha);
                ((sum + 127) / 255) as u8
            })
        });
        pixels.collect()
    } else {
        image.into_rgb8().into_raw()
    };
    Picture { width, height, rgb }
}

#[cfg(test)]
mod tests;
