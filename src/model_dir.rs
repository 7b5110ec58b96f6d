//! A model directory as diffusers and optimum write it: what its JSON files say.

mod recognise;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::request::LARGEST_SIDE;
use crate::runtime::Network;
use crate::scheduler::{self, SchedulerConfig, SchedulerError, SchedulerKind, excerpt};

pub use recognise::not_a_model;
pub(crate) use recognise::{LCM, channels_problem};

/// A model directory that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct ModelDirError {
    path: PathBuf,
    problem: String,
    /// Whether it is whole, but none that easel takes.
    foreign: bool,
}

impl ModelDirError {
    fn new(path: PathBuf, problem: String) -> Self {
        Self {
            path,
            problem,
            foreign: false,
        }
    }

    fn foreign(path: PathBuf, problem: String) -> Self {
        Self {
            foreign: true,
            ..Self::new(path, problem)
        }
    }

    pub(crate) fn is_foreign(&self) -> bool {
        self.foreign
    }
}

/// What a model paints unless told otherwise.
#[derive(Debug, Clone)]
pub struct ModelDefaults {
    /// Width and height, pixels.
    pub size: (u32, u32),
    /// Denoising steps.
    pub steps: usize,
    /// Guidance scale.
    pub guidance: f32,
    /// Sampling method; `None`: the model's own is one that easel lacks, and another has to be chosen.
    pub scheduler: Option<SchedulerKind>,
    /// Pixels per latent, each way.
    pub vae_factor: u32,
    /// Channels of the latents.
    pub latent_channels: usize,
}

/// Everything the JSON files say that painting needs.
#[derive(Debug)]
pub(crate) struct ModelDir {
    pub(crate) defaults: ModelDefaults,
    pub(crate) scheduler: SchedulerConfig,
    /// Latents from the sampler, divided by this, then shifted, are what the decoder takes.
    pub(crate) scaling_factor: f32,
    pub(crate) shift_factor: f32,
    pub(crate) preview: Option<PreviewFactors>,
    /// Latents that every U-Net of this kind halves evenly on its way down are multiples of this each way.
    pub(crate) even_latents: usize,
}

/// The linear map from latents to colours, for previews.
#[derive(Debug, Clone)]
pub(crate) struct PreviewFactors {
    /// One row a channel: red, green, blue in [-1, 1].
    pub(crate) rows: Vec<[f32; 3]>,
    pub(crate) bias: [f32; 3],
}

#[derive(Deserialize, Default)]
struct UnetConfig {
    in_channels: Option<usize>,
    out_channels: Option<usize>,
    sample_size: Option<SampleSize>,
    block_out_channels: Option<Vec<usize>>,
    /// Of latent consistency models: features of the embedded guidance.
    time_cond_proj_dim: Option<usize>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(untagged)]
enum SampleSize {
    Square(u32),
    Sides([u32; 2]),
}

#[derive(Deserialize, Default)]
struct VaeConfig {
    #[serde(rename = "_class_name")]
    class: Option<String>,
    block_out_channels: Option<Vec<u32>>,
    decoder_block_out_channels: Option<Vec<u32>>,
    /// Of `AutoencoderTiny`: each level but the last enlarges so much.
    upsampling_scaling_factor: Option<u32>,
    scaling_factor: Option<f32>,
    shift_factor: Option<f32>,
}

#[derive(Deserialize, Default)]
struct EaselJson {
    format: Option<u32>,
    #[serde(default)]
    defaults: EaselDefaults,
    latent_rgb_factors: Option<Vec<[f32; 3]>>,
    latent_rgb_bias: Option<[f32; 3]>,
}

#[derive(Deserialize, Default)]
struct EaselDefaults {
    width: Option<u32>,
    height: Option<u32>,
    steps: Option<usize>,
    guidance: Option<f32>,
    scheduler: Option<String>,
}

/// Channels of Stable Diffusion's latents.
const CHANNELS: usize = 4;
/// Levels of Stable Diffusion's U-Net.
const LEVELS: usize = 4;
/// Of Stable Diffusion's autoencoder.
const SCALING_FACTOR: f32 = 0.18215;

impl ModelDir {
    /// Reads `model_index.json`, the components' configurations and, if there is one, `easel.json`.
    pub(crate) fn read(path: &Path) -> Result<Self, ModelDirError> {
        let fail = |file: &str, problem: String| ModelDirError::new(path.join(file), problem);
        let refuse = |file: &str, problem: String| ModelDirError::foreign(path.join(file), problem);
        if let Some(problem) = not_a_model(path) {
            let path = path.to_owned();
            return Err(ModelDirError::foreign(path, problem));
        }
        let index: serde_json::Map<String, serde_json::Value> =
            read_json(&path.join("model_index.json"))?;
        check_components(&index).map_err(|p| refuse("model_index.json", p))?;
        recognise::check_networks(path)
            .map_err(|(path, problem)| ModelDirError::foreign(path, problem))?;

        let scheduler_file = "scheduler/scheduler_config.json";
        let text = read_text(&path.join(scheduler_file))?;
        let scheduler_error = |error: &SchedulerError| {
            // Both name the file; once is enough, with its whole path.
            let text = error.to_string();
            let problem = text.strip_prefix("scheduler_config.json: ");
            fail(scheduler_file, problem.unwrap_or(&text).to_owned())
        };
        let scheduler =
            SchedulerConfig::from_json(&text).map_err(|error| scheduler_error(&error))?;

        let unet_file = "unet/config.json";
        // diffusers' own ONNX exports have none.
        let unet: UnetConfig = read_json_if_there(&path.join(unet_file))?.unwrap_or_default();
        if unet.time_cond_proj_dim.is_some() {
            return Err(refuse(unet_file, LCM.to_owned()));
        }
        let channels = unet.in_channels.unwrap_or(CHANNELS);
        if let Some(latents) = unet.out_channels.filter(|latents| *latents != channels) {
            return Err(refuse(unet_file, channels_problem(channels, latents)));
        }
        let vae = Vae::read(path)?;

        let easel_file = path.join("easel.json");
        let easel: EaselJson = if easel_file.exists() {
            read_json(&easel_file)?
        } else {
            EaselJson::default()
        };
        if easel.format.is_some_and(|format| format != 1) {
            return Err(fail(
                "easel.json",
                "was written by a newer easel: update easel, or export the model again".into(),
            ));
        }
        let kind = match &easel.defaults.scheduler {
            None => match scheduler.default_kind() {
                Ok(kind) => Some(kind),
                // A request may choose another.
                Err(SchedulerError::UnknownClass(_) | SchedulerError::Unsupported { .. }) => None,
                Err(error) => return Err(scheduler_error(&error)),
            },
            Some(name) => {
                let kind = name.parse::<SchedulerKind>();
                let kind = kind.map_err(|error| fail("easel.json", error.to_string()))?;
                match scheduler::build(kind, &scheduler, 2, (64, 64)) {
                    Err(error @ SchedulerError::BadValue { .. }) => {
                        return Err(scheduler_error(&error));
                    }
                    // Whether it suits the picture is for the request to find out.
                    _ => Some(kind),
                }
            }
        };
        let (rows, columns) = match unet.sample_size {
            None => (64, 64),
            Some(SampleSize::Square(side)) => (side, side),
            Some(SampleSize::Sides([rows, columns])) => (rows, columns),
        };
        let defaults = ModelDefaults {
            size: (
                easel
                    .defaults
                    .width
                    .unwrap_or(columns.saturating_mul(vae.factor)),
                easel
                    .defaults
                    .height
                    .unwrap_or(rows.saturating_mul(vae.factor)),
            ),
            steps: easel.defaults.steps.unwrap_or(20),
            guidance: easel.defaults.guidance.unwrap_or(7.5),
            scheduler: kind,
            vae_factor: vae.factor,
            latent_channels: channels,
        };
        let preview = match easel.latent_rgb_factors {
            Some(rows) if rows.len() == channels => Some(PreviewFactors {
                rows,
                bias: easel.latent_rgb_bias.unwrap_or_default(),
            }),
            Some(rows) => {
                let found = rows.len();
                let problem =
                    format!("latent_rgb_factors has {found} rows for {channels} channels");
                return Err(fail("easel.json", problem));
            }
            None => (channels == CHANNELS && !vae.tiny).then(PreviewFactors::stable_diffusion),
        };
        Ok(Self {
            defaults,
            scheduler,
            scaling_factor: vae.scaling_factor,
            shift_factor: vae.shift_factor,
            preview,
            // Each level but the last halves them.
            even_latents: 1
                << (unet
                    .block_out_channels
                    .map_or(LEVELS, |blocks| blocks.len())
                    .clamp(1, 8)
                    - 1),
        })
    }
}

/// What painting needs to know of the autoencoder.
struct Vae {
    tiny: bool,
    /// Pixels per latent, each way.
    factor: u32,
    scaling_factor: f32,
    shift_factor: f32,
}

impl Vae {
    fn read(path: &Path) -> Result<Self, ModelDirError> {
        let file = path.join("vae_decoder/config.json");
        let fail = |problem: String| ModelDirError::new(file.clone(), problem);
        let Some(config) = read_json_if_there::<VaeConfig>(&file)? else {
            // As diffusers' own ONNX exports are, of Stable Diffusion 1.x and 2.x: the network says how much larger pictures are.
            let levels = Network::upsamplings(path, "vae_decoder");
            let levels = levels.map_err(|error| {
                fail(format!(
                    "is not there, and what it would say is unknown: {error}"
                ))
            })?;
            return Ok(Self {
                tiny: false,
                factor: 1 << levels.min(5),
                scaling_factor: SCALING_FACTOR,
                shift_factor: 0.0,
            });
        };
        let tiny = match config.class.as_deref() {
            None | Some("AutoencoderKL") => false,
            Some("AutoencoderTiny") => true,
            Some(class) => {
                let class = excerpt(class);
                return Err(fail(format!(
                    "`{class}` is not known: AutoencoderKL and AutoencoderTiny are"
                )));
            }
        };
        let blocks = if tiny {
            config.decoder_block_out_channels
        } else {
            config.block_out_channels
        };
        let blocks = blocks.filter(|blocks| (1..=6).contains(&blocks.len()));
        let blocks = blocks.ok_or_else(|| fail("has no usable block_out_channels".into()))?;
        let step = config
            .upsampling_scaling_factor
            .filter(|_| tiny)
            .unwrap_or(2);
        let factor = u32::try_from(blocks.len() - 1)
            .ok()
            .and_then(|levels| step.checked_pow(levels))
            .filter(|factor| (1..=LARGEST_SIDE).contains(factor))
            .ok_or_else(|| {
                fail(format!(
                    "upsampling_scaling_factor {step} is no usable factor"
                ))
            })?;
        let usual = if tiny { 1.0 } else { SCALING_FACTOR };
        let scaling_factor = config.scaling_factor.unwrap_or(usual);
        if !scaling_factor.is_normal() {
            return Err(fail(format!("scaling_factor {scaling_factor} is no scale")));
        }
        Ok(Self {
            tiny,
            factor,
            scaling_factor,
            shift_factor: config.shift_factor.unwrap_or(0.0),
        })
    }
}

impl PreviewFactors {
    /// For Stable Diffusion 1.x and 2.x latents: the linear approximation that the community has
    /// settled on (first published on the Hugging Face forum, topic 23204).
    fn stable_diffusion() -> Self {
        Self {
            rows: vec![
                [0.298, 0.207, 0.208],
                [0.187, 0.286, 0.173],
                [-0.158, 0.189, 0.264],
                [-0.184, -0.271, -0.473],
            ],
            bias: [0.0; 3],
        }
    }
}

/// Refuses what would paint something else than the model means.
fn check_components(index: &serde_json::Map<String, serde_json::Value>) -> Result<(), String> {
    let pipeline = index.get("_class_name").and_then(|class| class.as_str());
    let family = pipeline.and_then(recognise::family);
    for (name, value) in index {
        // ["library", "Class"], or [null, null] for a component that is not used.
        let Some(class) = value.as_array().and_then(|pair| pair.get(1)?.as_str()) else {
            continue;
        };
        match name.as_str() {
            "unet" | "vae" | "vae_decoder" | "vae_encoder" | "text_encoder" | "tokenizer"
            | "scheduler" | "safety_checker" | "feature_extractor" | "image_encoder" => {}
            _ => {
                let (name, class) = (excerpt(name), excerpt(class));
                if let Some(family) = family {
                    return Err(format!(
                        "is a model of another family, {family}, with a `{name}` ({class}): easel paints Stable Diffusion 1.x and 2.x type models, take one of those"
                    ));
                }
                return Err(format!(
                    "component `{name}` ({class}) is not known: easel paints Stable Diffusion 1.x and 2.x type models"
                ));
            }
        }
    }
    Ok(())
}

/// `None` for a file that is not there.
fn read_json_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ModelDirError> {
    path.exists().then(|| read_json(path)).transpose()
}

fn read_text(path: &Path) -> Result<String, ModelDirError> {
    fs::read_to_string(path).map_err(|error| {
        let problem = format!("cannot be read: {error}: is this a complete model directory?");
        ModelDirError::new(path.to_owned(), problem)
    })
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ModelDirError> {
    let text = read_text(path)?;
    serde_json::from_str(&text).map_err(|error| match recognise::pointer_problem(path) {
        Some(problem) => ModelDirError::foreign(path.to_owned(), problem),
        None => {
            let problem =
                format!("not what it should hold ({error}): copy or export the model again");
            ModelDirError::new(path.to_owned(), problem)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_with_a_strange_name_is_refused_in_one_line() {
        let index = serde_json::json!({ "a\nb": ["x", "C\u{7}".repeat(1000)] });
        let index = index.as_object().expect("it is one");
        let problem = check_components(index).expect_err("it is not known");
        assert!(problem.contains("component `a b` (C "), "{problem}");
        assert!(
            !problem.contains(char::is_control) && problem.len() < 300,
            "{problem}"
        );
    }
}
