//! `vae_decoder/config.json`.

use std::path::Path;

use super::{MOST_CHANNELS, ModelDirError, read_if_there};
use crate::component::Component;
use crate::config::Config;
use crate::request::LARGEST_SIDE;
use crate::runtime::Network;
use crate::text::excerpt;

/// Far beyond what any autoencoder has, and within what f32 can be divided by.
const SCALES: std::ops::RangeInclusive<f32> = 1e-6..=1e6;

/// What painting needs to know of the autoencoder.
pub(super) struct Vae {
    /// `AutoencoderTiny`.
    pub(super) tiny: bool,
    /// Pixels per latent, each way.
    pub(super) factor: u32,
    /// `None`: the file does not say.
    pub(super) scaling_factor: Option<f32>,
    /// The same.
    pub(super) shift_factor: Option<f32>,
    /// Channels of the latents; `None`: the file does not say.
    pub(super) channels: Option<usize>,
}

impl Vae {
    /// Of a model whose latents are the picture: red, green and blue.
    pub(super) fn none() -> Self {
        Self {
            tiny: false,
            factor: 1,
            scaling_factor: None,
            shift_factor: None,
            channels: Some(3),
        }
    }

    pub(super) fn read(path: &Path) -> Result<Self, ModelDirError> {
        let file = path.join("vae_decoder/config.json");
        let fail = |problem: String| ModelDirError::new(file.clone(), problem);
        if let Some(config) = read_if_there(&file)? {
            return Self::of(&config).map_err(fail);
        }
        // As diffusers' own ONNX exports are, of Stable Diffusion 1.x and 2.x: the network says how much larger pictures are.
        let levels = Network::upsamplings(path, &Component::VAE_DECODER);
        let levels = levels.map_err(|error| {
            fail(format!(
                "is not there, and what it would say is unknown: {error}"
            ))
        })?;
        Ok(Self {
            tiny: false,
            factor: 1 << levels.min(5),
            scaling_factor: None,
            shift_factor: None,
            channels: None,
        })
    }

    fn of(config: &Config) -> Result<Self, String> {
        let tiny = match config.text("_class_name")? {
            None | Some("AutoencoderKL") => false,
            Some("AutoencoderTiny") => true,
            Some(class) => {
                let class = excerpt(class);
                return Err(format!(
                    "`{class}` is not known: AutoencoderKL and AutoencoderTiny are"
                ));
            }
        };
        let key = if tiny {
            "decoder_block_out_channels"
        } else {
            "block_out_channels"
        };
        let blocks = config.counts(key, 1..=6, 1..=1 << 16)?;
        let blocks = blocks.ok_or_else(|| format!("has no `{key}`"))?;
        // Of `AutoencoderTiny`: each level but the last enlarges so much.
        let step = config.count("upsampling_scaling_factor", 1..=LARGEST_SIDE)?;
        let step = step.filter(|_| tiny).unwrap_or(2);
        let factor = step.checked_pow(blocks.len() as u32 - 1);
        let factor = factor.filter(|factor| *factor <= LARGEST_SIDE);
        let factor = factor.ok_or_else(|| {
            format!("`upsampling_scaling_factor` {step} is no usable factor: a latent would be more than {LARGEST_SIDE} pixels wide")
        })?;
        let scaling_factor = config.number("scaling_factor", SCALES)?;
        let channels = config.count("latent_channels", 1..=MOST_CHANNELS)?;
        let shift_factor = config.number("shift_factor", -*SCALES.end()..=*SCALES.end())?;
        Ok(Self {
            factor,
            scaling_factor,
            shift_factor,
            channels: channels.map(|channels| channels as usize),
            tiny,
        })
    }
}
