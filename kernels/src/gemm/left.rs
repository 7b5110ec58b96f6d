//! The left side of a product, as callers say it.

use std::ops::Range;

use super::epilogue::Place;
use super::rows::Window;
use super::weights::Panels;

/// The left side of a product.
#[derive(Debug, Clone, Copy)]
pub enum Left<'a> {
    /// Rows `[m, k]`, of which `rows_per_image` belong together.
    Matrix {
        /// m.
        rows: usize,
        /// Rows that share what [`Epilogue::per_image`] gives.
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

    pub(super) fn place<W>(&self, weights: &Panels<W>, row: usize, columns: Range<usize>) -> Place {
        Place {
            row,
            image: row / self.rows_per_image().max(1),
            n: weights.n,
            columns,
            gated: weights.gated,
        }
    }
}
