//! Named tensors: whatever is known of a picture is offered to networks by name, and each takes what it declares.
//!
//! An [`Offer`] says that something can be told and what shape it has; an [`Input`] tells it. Offers are compared with what a file
//! declares when it is opened, so that a network which asks for something else is refused by that name before any work.

use std::borrow::Cow;

/// What can be told, under which name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) name: Cow<'static, str>,
    pub(crate) rows: Rows,
    /// All axes but that of the batch.
    pub(crate) dims: Cow<'static, [Dim]>,
}

/// Whether each row of a batch has values of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// The first axis is the batch.
    Each,
    /// Values are the same for all rows. A file may declare an axis for the batch nevertheless.
    Shared,
}

/// How long an axis is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dim {
    /// Always so long.
    Exactly(usize),
    /// Channels of the latents.
    Channels,
    /// Channels of what the denoiser sees: those of the latents, and what a model for inpainting is told beside them.
    Sample,
    /// Rows of the latents.
    Height,
    /// Columns of the latents.
    Width,
    /// Rows of the latents, halved so often, rounded up.
    HalvedHeight(u32),
    /// Columns of the latents, halved so often, rounded up.
    HalvedWidth(u32),
    /// Rows of the picture.
    PixelHeight,
    /// Columns of the picture.
    PixelWidth,
    /// Patches of 2×2 latents.
    Patches,
    /// Channels of such a patch, all of its latents together.
    PatchChannels,
    /// Tokens of the text.
    Tokens,
    /// As the file declares: how wide an embedding is.
    Features,
}

/// Latents of a patch, each way.
pub(crate) const PATCH: usize = 2;

/// What a picture makes of the axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extents {
    /// Channels, rows and columns of the latents.
    pub(crate) latents: [usize; 3],
    /// Channels that the denoiser is told beside those of the latents.
    pub(crate) beside: usize,
    /// Pixels per latent, each way.
    pub(crate) factor: usize,
    pub(crate) tokens: usize,
}

impl Extents {
    /// Channels, rows and columns of what the denoiser sees.
    pub(crate) fn sample(&self) -> [usize; 3] {
        let [channels, height, width] = self.latents;
        [channels + self.beside, height, width]
    }

    /// `None`: the file says.
    pub(crate) fn of(&self, dim: Dim) -> Option<usize> {
        let [channels, height, width] = self.latents;
        Some(match dim {
            Dim::Exactly(length) => length,
            Dim::Channels => channels,
            Dim::Sample => channels + self.beside,
            Dim::Height => height,
            Dim::Width => width,
            Dim::HalvedHeight(times) => height.div_ceil(1 << times),
            Dim::HalvedWidth(times) => width.div_ceil(1 << times),
            Dim::PixelHeight => height * self.factor,
            Dim::PixelWidth => width * self.factor,
            Dim::Patches => (height / PATCH) * (width / PATCH),
            Dim::PatchChannels => channels * PATCH * PATCH,
            Dim::Tokens => self.tokens,
            Dim::Features => return None,
        })
    }
}

impl Offer {
    pub(crate) const fn each(name: &'static str, dims: &'static [Dim]) -> Self {
        Self {
            name: Cow::Borrowed(name),
            rows: Rows::Each,
            dims: Cow::Borrowed(dims),
        }
    }

    pub(crate) const fn shared(name: &'static str, dims: &'static [Dim]) -> Self {
        Self {
            name: Cow::Borrowed(name),
            rows: Rows::Shared,
            dims: Cow::Borrowed(dims),
        }
    }
}

/// A tensor of one row of the batch, without that axis. Whole numbers are told as floats too, and become what a file declares.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Input {
    pub(crate) name: Cow<'static, str>,
    pub(crate) dims: Vec<usize>,
    /// Row-major, as many as `dims` say.
    pub(crate) data: Vec<f32>,
}

/// An input whose values are settled before the network is built, and become a part of it: whatever is computed of them alone is
/// computed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownInput {
    pub(crate) name: &'static str,
    /// Row-major, all axes but that of the batch.
    pub(crate) values: Vec<i32>,
}

/// All that is told of one row of the batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Inputs(Vec<Input>);

impl Inputs {
    /// Adds a tensor; one of the same name is replaced.
    #[must_use]
    pub(crate) fn with(
        mut self,
        name: impl Into<Cow<'static, str>>,
        dims: &[usize],
        data: Vec<f32>,
    ) -> Self {
        let name = name.into();
        debug_assert_eq!(dims.iter().product::<usize>(), data.len(), "{name}");
        self.0.retain(|input| input.name != name);
        self.0.push(Input {
            name,
            dims: dims.to_vec(),
            data,
        });
        self
    }

    /// Adds values to those of a tensor of the same shape, or as one that is not there yet.
    pub(crate) fn add(&mut self, name: &str, dims: &[usize], values: impl Iterator<Item = f32>) {
        match self.0.iter_mut().find(|input| input.name == name) {
            Some(input) if input.dims == dims => {
                let pairs = input.data.iter_mut().zip(values);
                pairs.for_each(|(sum, value)| *sum += value);
            }
            _ => self.0.push(Input {
                name: Cow::Owned(name.to_owned()),
                dims: dims.to_vec(),
                data: values.collect(),
            }),
        }
    }

    /// Adds all of another.
    pub(crate) fn join(&mut self, other: Self) {
        for input in other.0 {
            self.0.retain(|own| own.name != input.name);
            self.0.push(input);
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|input| input.name != name);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Input> {
        self.0.iter().find(|input| input.name == name)
    }
}
