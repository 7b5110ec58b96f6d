//! The finished picture.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};

use crate::files::write_atomically;

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

    /// Saves a PNG; the file appears whole or not at all.
    ///
    /// # Errors
    /// [`PictureError`] with what the file system says.
    pub fn write_png(&self, path: impl AsRef<Path>) -> Result<(), PictureError> {
        let path = path.as_ref();
        let failed = |problem: String| PictureError {
            path: path.to_owned(),
            problem,
        };
        let mut png = Cursor::new(Vec::new());
        RgbImage::from_raw(self.width, self.height, self.rgb.clone())
            .ok_or_else(|| failed("pixels do not fit the size".into()))?
            .write_to(&mut png, ImageFormat::Png)
            .map_err(|error| failed(error.to_string()))?;
        write_atomically(path, png.get_ref()).map_err(|error| failed(error.to_string()))
    }
}
