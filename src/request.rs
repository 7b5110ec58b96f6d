//! What to paint, checked before any work.

use std::path::PathBuf;

use crate::latents::Latents;
use crate::picture::Picture;
use crate::scheduler::SchedulerKind;

/// Bytes that a prompt may have. Long enough for any sentence that a text encoder can use a part of.
pub const LONGEST_PROMPT: usize = 64 * 1024;

/// One picture to paint. `None` means the model's own default.
#[derive(Debug, Clone)]
pub struct PaintRequest {
    /// What to paint; `(word:1.3)` and `[word]` weigh.
    pub prompt: String,
    /// What to keep out of the picture. No text and an empty one differ where they do in the family of models (Stable Diffusion XL).
    pub negative: Option<String>,
    /// Width and height, pixels; multiples of the autoencoder's factor. `None` with a picture to begin with: its shape, and about as many
    /// pixels as the model's default.
    pub size: Option<(u32, u32)>,
    /// Denoising steps, 1 to 1000.
    pub steps: Option<usize>,
    /// Guidance scale, 0 to 50 (Ho & Salimans 2022); up to 1 there is none, and one pass a step is enough. Of models that were distilled to
    /// follow one (Flux.1 dev, latent consistency models) it is a number that they are told, in one pass.
    pub guidance: Option<f32>,
    /// Guidance scale, 1 to 50, of a second pass without the prompt, for models that are told [`guidance`](Self::guidance); up to 1 there
    /// is none. `None`: 1.
    pub true_guidance: Option<f32>,
    /// Guidance rescale, 0 to 1 (Lin et al., arXiv 2305.08891, section 3.4).
    pub guidance_rescale: f32,
    /// How much of each jump of the sampler `tcd` is fresh noise, 0 to 1 (gamma of Zheng et al., arXiv 2402.19159); others have no use
    /// for it. `None`: 0.3.
    pub eta: Option<f32>,
    /// Layers of the text encoders to leave out, the last ones, 0 to 64 (*CLIP skip*, as diffusers counts: AUTOMATIC1111's 2 is 1).
    pub clip_skip: usize,
    /// Tokens of a text that T5 reads, padding included, 4 to 512: fewer take less time. `None`: as many as the family was trained with.
    pub text_tokens: Option<usize>,
    /// All randomness comes from this.
    pub seed: u64,
    /// Sampling method.
    pub scheduler: Option<SchedulerKind>,
    /// Initial noise, standard normal, instead of the seed's.
    pub latents: Option<Latents>,
    /// The picture to begin with; it is brought to the size that is painted.
    pub image: Option<Picture>,
    /// How much of `image` is given up, 0 to 1: the share of the steps that are taken, the last ones. `None`: 0.8, with a mask 1.
    pub strength: Option<f32>,
    /// How closely to keep to `image`, 1 to 50, for models that change pictures as they are told (InstructPix2Pix: Brooks et al., arXiv
    /// 2211.09800, section 3.2); others have no use for it. `None`: 1.5.
    pub image_guidance: Option<f32>,
    /// What of `image` is painted anew: white. Black stays; in between, half-white and more is painted.
    pub mask: Option<Picture>,
    /// Pictures for the model's ControlNets, in their order.
    pub controls: Vec<Control>,
    /// Whether the ControlNets have the say where the prompt has none (*guess mode*).
    pub control_guess: bool,
    /// A picture to paint like, of models with an IP-Adapter.
    pub ip_image: Option<Picture>,
    /// How much of `ip_image`, 0 to 2. `None`: 1.
    pub ip_scale: Option<f32>,
    /// Whether the pixels of `image` come back where the mask is black. Otherwise they went through the autoencoder.
    pub paste: bool,
}

/// A picture that a ControlNet follows, prepared as that network was trained: edges, a pose, a pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Control {
    /// It is brought to the size that is painted.
    pub picture: Picture,
    /// How much it counts, 0 to 2; 1 as trained.
    pub scale: f32,
    /// The share of the steps before it counts, 0 to 1.
    pub start: f32,
    /// The share of the steps after which it does not count, 0 to 1.
    pub end: f32,
}

impl Control {
    /// Counts as trained, in all steps.
    #[must_use]
    pub fn new(picture: Picture) -> Self {
        Self {
            picture,
            scale: 1.0,
            start: 0.0,
            end: 1.0,
        }
    }

    fn check(&self) -> Result<(), RequestError> {
        if !(0.0..=2.0).contains(&self.scale) {
            return Err(RequestError::ControlScale(self.scale));
        }
        let within = |share: f32| (0.0..=1.0).contains(&share);
        if !within(self.start) || !within(self.end) || self.start >= self.end {
            return Err(RequestError::ControlEnds(self.start, self.end));
        }
        match self.picture.is_whole() {
            true => Ok(()),
            false => Err(RequestError::Pixels("control")),
        }
    }
}

/// Of a picture without a mask (diffusers' `StableDiffusionImg2ImgPipeline`).
const STRENGTH: f32 = 0.8;

impl PaintRequest {
    /// The model's defaults, seed 0.
    #[must_use]
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            negative: None,
            size: None,
            steps: None,
            guidance: None,
            true_guidance: None,
            guidance_rescale: 0.0,
            eta: None,
            clip_skip: 0,
            text_tokens: None,
            seed: 0,
            scheduler: None,
            latents: None,
            image: None,
            strength: None,
            image_guidance: None,
            mask: None,
            controls: Vec::new(),
            control_guess: false,
            ip_image: None,
            ip_scale: None,
            paste: true,
        }
    }

    /// The share of the steps that are taken.
    pub(crate) fn strength(&self) -> f32 {
        let usual = match (&self.image, &self.mask) {
            (Some(_), None) => STRENGTH,
            _ => 1.0,
        };
        self.strength.unwrap_or(usual)
    }

    /// Checks what can be checked without a model.
    pub(crate) fn check(&self) -> Result<(), RequestError> {
        if self.prompt.trim().is_empty() {
            return Err(RequestError::EmptyPrompt);
        }
        let negative = self.negative.as_ref();
        let negative = negative.map(|text| ("negative prompt", text));
        for (what, text) in std::iter::once(("prompt", &self.prompt)).chain(negative) {
            if text.len() > LONGEST_PROMPT {
                return Err(RequestError::LongPrompt {
                    what,
                    bytes: text.len(),
                });
            }
        }
        if let Some(steps) = self.steps
            && !(1..=1000).contains(&steps)
        {
            return Err(RequestError::Steps(steps));
        }
        if let Some(guidance) = self.guidance
            && !(0.0..=50.0).contains(&guidance)
        {
            return Err(RequestError::Guidance(guidance));
        }
        if let Some(guidance) = self.true_guidance
            && !(1.0..=50.0).contains(&guidance)
        {
            return Err(RequestError::TrueGuidance(guidance));
        }
        if let Some(tokens) = self.text_tokens
            && !TEXT_TOKENS.contains(&tokens)
        {
            return Err(RequestError::TextTokens(tokens));
        }
        if !(0.0..=1.0).contains(&self.guidance_rescale) {
            return Err(RequestError::Rescale(self.guidance_rescale));
        }
        if let Some(eta) = self.eta
            && !(0.0..=1.0).contains(&eta)
        {
            return Err(RequestError::Eta(eta));
        }
        if self.clip_skip > MOST_LAYERS {
            return Err(RequestError::ClipSkip(self.clip_skip));
        }
        if let Some(strength) = self.strength
            && !(0.0..=1.0).contains(&strength)
        {
            return Err(RequestError::Strength(strength));
        }
        if let Some(guidance) = self.image_guidance
            && !(1.0..=50.0).contains(&guidance)
        {
            return Err(RequestError::ImageGuidance(guidance));
        }
        if self.image.is_none() {
            if self.mask.is_some() {
                return Err(RequestError::NoImage("mask"));
            }
            if self.strength.is_some() {
                return Err(RequestError::NoImage("strength"));
            }
        }
        self.controls.iter().try_for_each(Control::check)?;
        if let Some(scale) = self.ip_scale {
            if self.ip_image.is_none() {
                return Err(RequestError::NoPromptPicture);
            }
            if !(0.0..=2.0).contains(&scale) {
                return Err(RequestError::ImageScale(scale));
            }
        }
        for (what, picture) in [
            ("image", &self.image),
            ("mask", &self.mask),
            ("prompt picture", &self.ip_image),
        ] {
            if let Some(picture) = picture
                && !picture.is_whole()
            {
                return Err(RequestError::Pixels(what));
            }
        }
        Ok(())
    }
}

/// A request that cannot be painted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// Nothing but white space.
    #[error("prompt: is empty: say what to paint")]
    EmptyPrompt,
    /// The model has a lexicon, and nothing of the prompt is in it.
    #[error(
        "prompt: nothing in it is known to this model: it paints things such as {things}: try \"{example}\""
    )]
    NothingKnown {
        /// Some that it knows.
        things: String,
        /// A prompt.
        example: String,
    },
    /// Over [`LONGEST_PROMPT`].
    #[error("{what}: {bytes} bytes: at most {LONGEST_PROMPT} are taken; shorten it")]
    LongPrompt {
        /// Which text.
        what: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// Out of range.
    #[error("steps: {0}: give 1 to 1000")]
    Steps(usize),
    /// Out of range or not a number.
    #[error("guidance: {0}: give 0 to 50")]
    Guidance(f32),
    /// Out of range or not a number.
    #[error("true guidance: {0}: give 1 to 50")]
    TrueGuidance(f32),
    /// The model is not told the guidance: there is one kind of it.
    #[error("true guidance: this model has one kind of guidance: give it as `--guidance`")]
    NoTrueGuidance,
    /// Out of range.
    #[error("text tokens: {0}: give {least} to {most}", least = TEXT_TOKENS.start(), most = TEXT_TOKENS.end())]
    TextTokens(usize),
    /// The model's texts are as long as CLIP reads them.
    #[error(
        "text tokens: no text of this model is read by T5, which alone can be told how much: leave it out"
    )]
    NoTextTokens,
    /// Out of range or not a number.
    #[error("guidance rescale: {0}: give 0 to 1")]
    Rescale(f32),
    /// Out of range or not a number.
    #[error("eta: {0}: give 0 to 1")]
    Eta(f32),
    /// A network that the model does not have.
    #[error("component `{asked}`: is not in this model, which has {there}")]
    Component {
        /// What was asked for.
        asked: String,
        /// Names, with commas between them.
        there: String,
    },
    /// More layers than any text encoder has.
    #[error("clip skip: {0}: give 0 to {MOST_LAYERS}")]
    ClipSkip(usize),
    /// Out of range or not a number.
    #[error("strength: {0}: give 0 to 1")]
    Strength(f32),
    /// Out of range or not a number.
    #[error("image guidance: {0}: give 1 to 50")]
    ImageGuidance(f32),
    /// Something that says what to do with a picture, and there is none.
    #[error("{0}: there is no picture to begin with: give one (`--image`)")]
    NoImage(&'static str),
    /// A picture whose bytes do not fit its size.
    #[error("{0}: has no pixels, or not as many as its width and height say")]
    Pixels(&'static str),
    /// Out of range or not a number.
    #[error("control scale: {0}: give 0 to 2")]
    ControlScale(f32),
    /// Out of range, not numbers, or nothing between them.
    #[error(
        "control start and end: {0} and {1}: give shares of the steps, 0 to 1, the start first"
    )]
    ControlEnds(f32, f32),
    /// The denoiser takes nothing from a ControlNet.
    #[error(
        "control: this model's U-Net takes nothing from a ControlNet: `easel import` its checkpoint, which makes one that does"
    )]
    NoControl,
    /// More pictures than ControlNets.
    #[error(
        "control: {asked} pictures, and {there} ControlNets in the model: give the folder of each (`--controlnet`)"
    )]
    FewControlNets {
        /// Pictures.
        asked: usize,
        /// Networks.
        there: usize,
    },
    /// A folder that was given for a ControlNet.
    #[error(
        "controlnet: {}: has no model.onnx: give the folder of an imported ControlNet (`easel import CONTROLNET --out DIR`)", .0.display()
    )]
    NoControlNet(PathBuf),
    /// The model cannot paint like a picture.
    #[error(
        "prompt picture: this model has no IP-Adapter: take one that has, or import it with one (`easel import … --ip-adapter FILE`)"
    )]
    NoImageAdapter,
    /// A scale of no picture.
    #[error("prompt picture scale: there is no picture to paint like: give one (`--ip-image`)")]
    NoPromptPicture,
    /// Out of range or not a number.
    #[error("prompt picture scale: {0}: give 0 to 2")]
    ImageScale(f32),
    /// The scale is a part of the file.
    #[error(
        "prompt picture scale: this model was exported with a scale that cannot be changed: leave it out, or export the model again"
    )]
    FixedImageScale,
    /// The model cannot read pictures.
    #[error(
        "image: this model has no `vae_encoder`, so it cannot begin with a picture: take one that has, or import its checkpoint (`easel import`)"
    )]
    NoEncoder,
    /// A model that paints into pictures alone.
    #[error("{missing}: this model {kind}: give {advice}")]
    NeedsPicture {
        /// What is not there.
        missing: &'static str,
        /// What the model does.
        kind: &'static str,
        /// What helps.
        advice: &'static str,
    },
    /// Not a multiple of the autoencoder's factor, or out of range.
    #[error(
        "size: {width}x{height}: this model paints multiples of {factor} up to {LARGEST_SIDE} pixels each way"
    )]
    Size {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Pixels per latent.
        factor: u32,
    },
    /// A size that the autoencoder takes and the denoiser does not.
    #[error(
        "size: {width}x{height}: this model takes multiples of {multiple} pixels each way alone: choose such a size{advice}"
    )]
    UnevenSize {
        /// Pixels.
        width: usize,
        /// Pixels.
        height: usize,
        /// What works.
        multiple: usize,
        /// What else helps.
        advice: &'static str,
    },
    /// Initial latents of another shape.
    #[error("latents: shape is {found:?}, this picture needs {wanted:?}")]
    LatentsShape {
        /// As given.
        found: [usize; 4],
        /// For the size asked for.
        wanted: [usize; 4],
    },
}

/// Of a text that T5 reads. It was trained with 512.
const TEXT_TOKENS: std::ops::RangeInclusive<usize> = 4..=512;
/// Of a text encoder; the largest of those that are known has 32.
const MOST_LAYERS: usize = 64;
/// Pixels; beyond this no board has the memory.
pub const LARGEST_SIDE: u32 = 8192;
