//! Group, layer and RMS normalization.
//!
//! All are exact about means far from 0: deviations are summed from a number near the mean, never squares from 0, and the
//! mean is taken off before anything is scaled.

mod group;
mod moments;
mod rows;
#[cfg(test)]
mod tests;

pub use group::{GroupNorm, moments};
pub use moments::Moments;
pub use rows::RowNorm;
