//! Pictures: what is painted, and what painting begins with.

mod parameters;
mod reading;
mod resizing;

use std::path::{Path, PathBuf};

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

use crate::files::write_atomically;
pub use parameters::Parameters;
pub use reading::{PictureFileError, UnreadablePicture};
pub(crate) use resizing::Filter;

/// A picture: RGB, 8 bits a channel, rows from the top, no padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width · height · 3` bytes.
    pub rgb: Vec<u8>,
}

/// A picture that could not be saved.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be written: {problem}", path.display())]
pub struct PictureError {
    path: PathBuf,
    problem: String,
}

impl Picture {
    /// From planes of one float each, `[3, height, width]` in [-1, 1]; what is outside is clamped.
    /// Rounds as diffusers' `VaeImageProcessor` does.
    pub(crate) fn from_planes(planes: &[f32], height: usize, width: usize) -> Self {
        let area = height * width;
        let to_byte = |v: f32| (v / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0;
        let rgb = (0..area)
            .flat_map(|at| [planes[at], planes[area + at], planes[2 * area + at]])
            .map(|v| to_byte(v).round_ties_even() as u8)
            .collect();
        Self {
            width: u32::try_from(width).expect("a request's width is a u32"),
            height: u32::try_from(height).expect("a request's height is a u32"),
            rgb,
        }
    }

    /// Whether there are as many bytes as pixels, and any.
    pub(crate) fn is_whole(&self) -> bool {
        let pixels = u64::from(self.width) * u64::from(self.height);
        pixels > 0 && self.rgb.len() as u64 == pixels * 3
    }

    /// Saves a PNG; the file appears whole or not at all.
    ///
    /// # Errors
    /// [`PictureError`] with what the file system says.
    pub fn write_png(&self, path: impl AsRef<Path>) -> Result<(), PictureError> {
        self.write(path.as_ref(), None)
    }

    /// As [`write_png`](Self::write_png), with what it was painted from in the file.
    ///
    /// # Errors
    /// As [`write_png`](Self::write_png).
    pub fn write_png_with(
        &self,
        path: impl AsRef<Path>,
        parameters: &Parameters<'_>,
    ) -> Result<(), PictureError> {
        self.write(path.as_ref(), Some(parameters))
    }

    fn write(&self, path: &Path, parameters: Option<&Parameters<'_>>) -> Result<(), PictureError> {
        let failed = |problem: String| PictureError {
            path: path.to_owned(),
            problem,
        };
        let png = self.png(parameters).map_err(failed)?;
        write_atomically(path, &png).map_err(|error| failed(error.to_string()))
    }

    /// The bytes of a PNG, perhaps with what it was painted from.
    ///
    /// # Errors
    /// Pixels that do not fit the size.
    pub fn png(&self, parameters: Option<&Parameters<'_>>) -> Result<Vec<u8>, String> {
        let (width, height) = (self.width, self.height);
        // The encoder panics on other lengths.
        if self.rgb.len() as u64 != u64::from(width) * u64::from(height) * 3 {
            return Err(format!("{} bytes are no {width}x{height}", self.rgb.len()));
        }
        let mut png = Vec::new();
        PngEncoder::new(&mut png)
            .write_image(&self.rgb, width, height, ExtendedColorType::Rgb8)
            .map_err(|error| error.to_string())?;
        if let Some(parameters) = parameters {
            parameters::put_into(&mut png, parameters);
        }
        Ok(png)
    }
}
