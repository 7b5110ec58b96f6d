//! Checkpoints in one file, as people share them: U-Net, autoencoder and text encoders under the names that their authors gave them.
//!
//! ```text
//! model.diffusion_model.…                              ─► unet
//! first_stage_model.…                                  ─► vae
//! cond_stage_model.transformer.…                       ─► text_encoder     Stable Diffusion 1.x
//! cond_stage_model.model.…                (OpenCLIP)   ─► text_encoder     Stable Diffusion 2.x
//! conditioner.embedders.0.transformer.…                ─► text_encoder     SDXL
//! conditioner.embedders.1.model.…         (OpenCLIP)   ─► text_encoder_2   SDXL
//! ```
//!
//! What comes out is what diffusers would have saved. Configurations are found from names and shapes; what those cannot tell is what
//! all published models have in common, or comes from the folder that is given beside the file.

mod authors_names;
mod autoencoder;
mod recognise;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod text;
mod tokenizer;
mod unet;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

pub(super) use self::authors_names::authors_names;
use self::autoencoder::Autoencoder;
pub(super) use self::recognise::open as open_weights;
use self::recognise::{AUTOENCODER, UNET};
use self::settings::Folder;
pub use self::settings::{Configuration, Prediction};
use self::source::Source;
use self::text::TextEncoder;
use self::tokenizer::Padding;
use self::unet::Unet;
use super::checkpoint::{Checkpoint, Network, Tokenizer, rename_old_attention};
use super::error::ImportError;
use super::safetensors::SafeTensors;
use super::weights::take_all;
use crate::config::Config;

/// Which of the models it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    V1,
    V2,
    Xl,
}

/// A text encoder of a family: its folder, its prefix, whether OpenCLIP named its layers.
type Encoder = (&'static str, &'static str, bool);

impl Family {
    fn of(unet: &Unet) -> Self {
        match unet.told() {
            Some(_) => Self::Xl,
            None if unet.is_linear() => Self::V2,
            None => Self::V1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::V1 => "Stable Diffusion 1.x",
            Self::V2 => "Stable Diffusion 2.x",
            Self::Xl => "SDXL",
        }
    }

    fn encoders(self) -> &'static [Encoder] {
        match self {
            Self::V1 => &[("text_encoder", "cond_stage_model.transformer.", false)],
            Self::V2 => &[("text_encoder", "cond_stage_model.model.", true)],
            Self::Xl => &[
                (
                    "text_encoder",
                    "conditioner.embedders.0.transformer.",
                    false,
                ),
                ("text_encoder_2", "conditioner.embedders.1.model.", true),
            ],
        }
    }

    /// Width of latents that it was trained with.
    fn side(self, prediction: Prediction) -> usize {
        match (self, prediction) {
            (Self::V1, _) | (Self::V2, Prediction::Epsilon) => 64,
            (Self::V2, Prediction::Velocity) => 96,
            (Self::Xl, _) => 128,
        }
    }

    /// What latents are multiplied by for the U-Net.
    fn scaling(self) -> f64 {
        match self {
            Self::V1 | Self::V2 => 0.18215,
            Self::Xl => 0.13025,
        }
    }
}

/// Looks at a file with a whole checkpoint. What it does not say, and was not said beside it, is in the list: a line each.
pub(super) fn open(
    path: &Path,
    configuration: Option<&Configuration>,
) -> Result<(Checkpoint, Vec<String>), ImportError> {
    let opened = Opened::read(path, configuration);
    opened.map_err(|error| error.of(path))
}

/// A file, and what was said beside it.
struct Opened<'c> {
    path: &'c Path,
    file: SafeTensors,
    folder: Folder<'c>,
    family: Family,
    networks: BTreeMap<String, Network>,
}

impl<'c> Opened<'c> {
    fn read(
        path: &'c Path,
        configuration: Option<&'c Configuration>,
    ) -> Result<(Checkpoint, Vec<String>), ImportError> {
        let file = recognise::open(path)?;
        recognise::check(&file).map_err(|problem| ImportError::bad(path, problem))?;
        let folder = Folder::of(configuration)?;
        let unet = Unet::read(Source::under(&file, UNET))?;
        let mut opened = Self {
            path,
            family: Family::of(&unet),
            file,
            folder,
            networks: BTreeMap::new(),
        };
        let mut assumed = Vec::new();
        let prediction = opened.prediction(&unet, configuration, &mut assumed)?;
        let tokenizers = opened.text_encoders()?;
        let index = opened.index(&unet)?;
        let scheduler = opened.scheduler(&unet, prediction)?;
        let side = opened.family.side(prediction);
        opened.autoencoder(side)?;
        opened.unet(unet, side)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let checkpoint = Checkpoint {
            name: name.into_owned(),
            index,
            networks: opened.networks,
            scheduler,
            tokenizers,
            easel: Config::default(),
        };
        Ok((checkpoint, assumed))
    }

    fn add(&mut self, name: &str, config: Config, weights: super::weights::Weights) {
        let network = Network {
            path: self.path.to_owned(),
            config,
            weights,
        };
        self.networks.insert(name.to_owned(), network);
    }

    /// Adds a part that the file lacks from the folder beside it.
    fn add_missing(&mut self, name: &str) -> Result<(), ImportError> {
        let Some(network) = self.folder.network(name)? else {
            return Err(ImportError::Bad(format!(
                "has no {name}: take a file with all parts, or name a folder of diffusers that has it with --config"
            )));
        };
        self.networks.insert(name.to_owned(), network);
        Ok(())
    }

    /// The configuration that is there, or else the one that is found.
    fn config(
        &self,
        name: &str,
        found: impl FnOnce() -> Result<Config, ImportError>,
    ) -> Result<Config, ImportError> {
        let said = self.folder.config(&format!("{name}/config.json"))?;
        said.map_or_else(found, Ok)
    }

    /// Adds the text encoders; gives their tokenizers.
    fn text_encoders(&mut self) -> Result<BTreeMap<String, Tokenizer>, ImportError> {
        let mut tokenizers = BTreeMap::new();
        for (name, prefix, is_open_clip) in self.family.encoders() {
            let source = Source::under(&self.file, prefix);
            let mut vocabulary = None;
            if source.is_empty() {
                self.add_missing(name)?;
            } else {
                let encoder = if *is_open_clip {
                    TextEncoder::read_open_clip(source, self.family == Family::Xl)?
                } else {
                    TextEncoder::read(source)?
                };
                vocabulary = Some(encoder.vocabulary());
                let config = self.config(name, || encoder.config())?;
                self.add(name, config, encoder.weights);
            }
            let tokenizer = name.replace("text_encoder", "tokenizer");
            let made = match self.folder.tokenizer(&tokenizer) {
                Some(folder) => folder,
                None if vocabulary.is_none_or(|count| count >= tokenizer::TOKENS) => {
                    tokenizer::clip(if *is_open_clip {
                        Padding::Zero
                    } else {
                        Padding::End
                    })
                }
                None => {
                    let count = vocabulary.unwrap_or_default();
                    return Err(ImportError::Bad(format!(
                        "has a text encoder for {count} tokens, not CLIP's {}: name a folder that has its tokenizer with --config",
                        tokenizer::TOKENS
                    )));
                }
            };
            tokenizers.insert(tokenizer, made);
        }
        Ok(tokenizers)
    }

    fn autoencoder(&mut self, side: usize) -> Result<(), ImportError> {
        let source = Source::under(&self.file, AUTOENCODER);
        if source.is_empty() {
            return self.add_missing("vae");
        }
        let read = Autoencoder::read(source)?;
        let scaling = self.family.scaling();
        let config = self.config("vae", || read.config(8 * side, scaling))?;
        self.add("vae", config, read.weights);
        Ok(())
    }

    fn unet(&mut self, unet: Unet, side: usize) -> Result<(), ImportError> {
        let second = self.networks.get("text_encoder_2");
        let pooled = second.and_then(|second| second.weights.get("text_projection.weight"));
        let pooled = pooled.and_then(|weight| weight.shape().first().copied());
        let config = self.config("unet", || unet.config(side, pooled))?;
        self.add("unet", config, unet.weights);
        Ok(())
    }

    /// What the U-Net was trained to predict.
    fn prediction(
        &self,
        unet: &Unet,
        configuration: Option<&Configuration>,
        assumed: &mut Vec<String>,
    ) -> Result<Prediction, ImportError> {
        if let Some(Configuration::Prediction(prediction)) = configuration {
            return Ok(*prediction);
        }
        let said = self.file.metadata().get("modelspec.prediction_type");
        if let Some(prediction) = said.and_then(|said| Prediction::of(said)) {
            return Ok(prediction);
        }
        // A mark that trainers put beside the weights.
        if self.file.get("v_pred").is_some() {
            return Ok(Prediction::Velocity);
        }
        if self.family != Family::V2 {
            return Ok(Prediction::Epsilon);
        }
        let found = if unet.is_of_velocity()? {
            Prediction::Velocity
        } else {
            Prediction::Epsilon
        };
        assumed.push(format!(
            "taken for a {} model that predicts {}, as its weights look: if pictures are only noise, import it again with --config {}",
            self.family.name(),
            found.name(),
            match found {
                Prediction::Epsilon => Prediction::Velocity.name(),
                Prediction::Velocity => Prediction::Epsilon.name(),
            }
        ));
        Ok(found)
    }

    /// `model_index.json`.
    fn index(&self, unet: &Unet) -> Result<Config, ImportError> {
        if let Some(index) = self.folder.config("model_index.json")? {
            return Ok(index);
        }
        let channels = unet.channels();
        let class = match (self.family, channels) {
            (Family::Xl, 4) => "StableDiffusionXLPipeline",
            (Family::Xl, 9) => "StableDiffusionXLInpaintPipeline",
            (_, 4) if unet.guidance_width().is_some() => "LatentConsistencyModelPipeline",
            (_, 4) => "StableDiffusionPipeline",
            (_, 8) => "StableDiffusionInstructPix2PixPipeline",
            (_, 9) => "StableDiffusionInpaintPipeline",
            _ => {
                return Err(ImportError::Bad(format!(
                    "has a U-Net of {channels} channels, which no pipeline of {} has that is known here: name its folder of diffusers \
                     with --config",
                    self.family.name()
                )));
            }
        };
        let mut index = Config::default();
        index.set("_class_name", json!(class));
        for (encoder, _, _) in self.family.encoders() {
            let class = match *encoder {
                "text_encoder_2" => "CLIPTextModelWithProjection",
                _ => "CLIPTextModel",
            };
            index.set(encoder, json!(["transformers", class]));
            let tokenizer = encoder.replace("text_encoder", "tokenizer");
            index.set(&tokenizer, json!(["transformers", "CLIPTokenizer"]));
        }
        index.set("unet", json!(["diffusers", "UNet2DConditionModel"]));
        index.set("vae", json!(["diffusers", "AutoencoderKL"]));
        if self.family == Family::Xl {
            index.set("force_zeros_for_empty_prompt", json!(true));
        }
        Ok(index)
    }

    /// `scheduler_config.json`: what the family's published models have.
    fn scheduler(&self, unet: &Unet, prediction: Prediction) -> Result<Config, ImportError> {
        if let Some(scheduler) = self.folder.config("scheduler/scheduler_config.json")? {
            return Ok(scheduler);
        }
        let mut all = Config::default();
        for (key, value) in [
            ("beta_start", json!(0.00085)),
            ("beta_end", json!(0.012)),
            ("beta_schedule", json!("scaled_linear")),
            ("num_train_timesteps", json!(1000)),
            ("prediction_type", json!(prediction.name())),
            ("steps_offset", json!(1)),
        ] {
            all.set(key, value);
        }
        let mut class = |name: &str, more: &[(&str, Value)]| {
            all.set("_class_name", json!(name));
            for (key, value) in more {
                all.set(key, value.clone());
            }
        };
        // A mark, too: trained with pure noise at the last of its steps (arXiv 2305.08891).
        let from_noise = self.file.get("ztsnr").is_some();
        match (self.family, prediction) {
            _ if unet.guidance_width().is_some() => class("LCMScheduler", &[]),
            (Family::Xl, _) if from_noise => class(
                "EulerDiscreteScheduler",
                &[
                    ("rescale_betas_zero_snr", json!(true)),
                    ("timestep_spacing", json!("trailing")),
                ],
            ),
            (Family::Xl, _) => class(
                "EulerDiscreteScheduler",
                &[("timestep_spacing", json!("leading"))],
            ),
            (Family::V1, Prediction::Epsilon) => class(
                "PNDMScheduler",
                &[
                    ("set_alpha_to_one", json!(false)),
                    ("skip_prk_steps", json!(true)),
                ],
            ),
            _ => class(
                "DDIMScheduler",
                &[
                    ("clip_sample", json!(false)),
                    ("set_alpha_to_one", json!(false)),
                ],
            ),
        }
        Ok(all)
    }
}

/// An autoencoder in a file of its own, under its authors' names or diffusers', in place of the one that a checkpoint has.
pub(super) fn autoencoder(path: &Path, own: &Network) -> Result<Network, ImportError> {
    let read = || -> Result<Network, ImportError> {
        let file = recognise::open(path)?;
        let has = |prefix: &str| file.names().any(|name| name.starts_with(prefix));
        let read = if has("decoder.up_blocks.") {
            let mut weights = super::weights::Weights::new();
            take_all(&mut weights, &file)?;
            rename_old_attention(&mut weights)?;
            Autoencoder { weights }
        } else {
            let prefix = if has(AUTOENCODER) { AUTOENCODER } else { "" };
            if !has(&format!("{prefix}decoder.up.")) {
                return Err(ImportError::Bad(
                    "is no autoencoder of Stable Diffusion: of a tiny one, take the folder that diffusers reads".into(),
                ));
            }
            Autoencoder::read(Source::under(&file, prefix))?
        };
        let mut config = read.config(512, Family::V1.scaling())?;
        // It is for the same latents.
        for key in ["scaling_factor", "shift_factor", "sample_size"] {
            if let Some(value) = own.config.get(key) {
                config.set(key, value.clone());
            }
        }
        Ok(Network {
            path: path.to_owned(),
            config,
            weights: read.weights,
        })
    };
    read().map_err(|error| error.of(path))
}

/// What shapes do not tell of a network that is like none of the published ones.
fn untold(network: &str, what: &str) -> ImportError {
    ImportError::Bad(format!(
        "{network} is of other sizes than the published ones, and the file does not say {what}: name a folder with diffusers' \
         config.json files with --config"
    ))
}
