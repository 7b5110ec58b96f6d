//! Latents as colours, for previews.

/// The linear map from latents to colours.
#[derive(Debug, Clone)]
pub(crate) struct PreviewFactors {
    /// One row a channel: red, green, blue in [-1, 1].
    pub(crate) rows: Vec<[f32; 3]>,
    pub(crate) bias: [f32; 3],
}
