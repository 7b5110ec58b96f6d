//! The left side of a product, as callers say it.

use super::rows::Window;

/// The left side of a product.
#[derive(Debug, Clone, Copy)]
pub enum Left<'a> {
    /// Rows `[m, k]`, of which `rows_per_image` belong together.
    Matrix {
        /// m.
        rows: usize,
        /// Rows that share what [`Epilogue::per_image`](super::Epilogue::per_image) gives.
        rows_per_image: usize,
    },
    /// Images `[n, height, width, channels]` that a convolution sees through this window.
    Images(&'a Window),
}

impl Left<'_> {
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Matrix { rows, .. } => *rows,
            Self::Images(window) => window.input[0] * self.rows_per_image(),
        }
    }

    pub(super) fn rows_per_image(&self) -> usize {
        match self {
            Self::Matrix { rows_per_image, .. } => *rows_per_image,
            Self::Images(window) => window.output().iter().product(),
        }
    }
}
