//! Latents: the small multi-channel picture that the denoiser works on.

pub(crate) mod npy;

use std::path::Path;

use crate::files::write_atomically;
pub use npy::NpyError;

/// Latents, f32, `[1, channels, height, width]` row-major; height and width are the picture's divided
/// by the autoencoder's factor.
#[derive(Debug, Clone, PartialEq)]
pub struct Latents {
    /// Channels of the latent space: 4 for Stable Diffusion 1.x and 2.x.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `channels · height · width` values.
    pub data: Vec<f32>,
}

impl Latents {
    /// Latents of the shape, all zero.
    #[must_use]
    pub fn zeros(channels: usize, height: usize, width: usize) -> Self {
        Self {
            channels,
            height,
            width,
            data: vec![0.0; channels * height * width],
        }
    }

    /// `[1, channels, height, width]`.
    #[must_use]
    pub fn shape(&self) -> [usize; 4] {
        [1, self.channels, self.height, self.width]
    }

    /// Whether every value is a number.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.data.iter().all(|value| value.is_finite())
    }

    /// Reads a NumPy file: little-endian f32, C order, `[1, c, h, w]`.
    ///
    /// # Errors
    /// [`NpyError`] when the file cannot be read or holds something else.
    pub fn read_npy(path: impl AsRef<Path>) -> Result<Self, NpyError> {
        let path = path.as_ref();
        npy::read(path).map_err(|problem| NpyError::new(path, problem))
    }

    /// Writes a NumPy file that [`read_npy`](Self::read_npy) and `numpy.load` read.
    ///
    /// # Errors
    /// [`NpyError`] when the file cannot be written; nothing is left behind.
    pub fn write_npy(&self, path: impl AsRef<Path>) -> Result<(), NpyError> {
        let path = path.as_ref();
        write_atomically(path, &npy::encode(self))
            .map_err(|error| NpyError::new(path, format!("cannot be written: {error}")))
    }
}
