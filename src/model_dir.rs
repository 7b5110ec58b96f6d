//! A model directory as diffusers and optimum write it: what its JSON files say.

mod recognise;

use std::path::{Path, PathBuf};

use crate::config::{self, Config};
use crate::files::{SETTINGS, read_text};
use crate::request::{LARGEST_SIDE, RequestError};
use crate::runtime::Network;
use crate::scheduler::{self, SchedulerConfig, SchedulerError, SchedulerKind};
use crate::text::{excerpt, message};

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
            problem: message(&problem),
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

/// Of the latents. The largest known have 128.
const MOST_CHANNELS: u32 = 256;
/// Far beyond what any autoencoder has, and within what f32 can be divided by.
const SCALES: std::ops::RangeInclusive<f32> = 1e-6..=1e6;

/// What `easel.json` may say.
const EASEL_KEYS: [&str; 15] = [
    "format",
    "defaults",
    "latent_rgb_factors",
    "latent_rgb_bias",
    // What the exporter notes, for people.
    "calibration_prompts",
    "check",
    "exporter",
    "layers",
    "precision",
    "quantization",
    "size_multiple",
    "source",
    // What the model was trained on and knows.
    "sizes",
    "vocabulary",
    "lexicon",
];
const DEFAULTS_KEYS: [&str; 5] = ["width", "height", "steps", "guidance", "scheduler"];

/// Channels of Stable Diffusion's latents.
const CHANNELS: u32 = 4;
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
        let index = read_config(&path.join("model_index.json"))?;
        check_components(&index).map_err(|p| refuse("model_index.json", p))?;
        recognise::check_networks(path)
            .map_err(|(path, problem)| ModelDirError::foreign(path, problem))?;

        let scheduler_file = "scheduler/scheduler_config.json";
        let text = read(&path.join(scheduler_file))?;
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
        let unet = read_if_there(&path.join(unet_file))?.unwrap_or_default();
        let in_unet = |problem| fail(unet_file, problem);
        // Of latent consistency models: features of the embedded guidance.
        if unet.get("time_cond_proj_dim").is_some() {
            return Err(refuse(unet_file, LCM.to_owned()));
        }
        let channels = unet.count("in_channels", 1..=MOST_CHANNELS);
        let channels = channels.map_err(in_unet)?.unwrap_or(CHANNELS) as usize;
        let latents = unet.count("out_channels", 1..=MOST_CHANNELS);
        let latents = latents.map_err(in_unet)?.map(|latents| latents as usize);
        if let Some(latents) = latents.filter(|latents| *latents != channels) {
            return Err(refuse(unet_file, channels_problem(channels, latents)));
        }
        let [rows, columns] = sample_size(&unet).map_err(in_unet)?;
        let levels = unet.counts("block_out_channels", 1..=8, 1..=1 << 20);
        let levels = levels
            .map_err(in_unet)?
            .map_or(LEVELS, |blocks| blocks.len());
        let vae = Vae::read(path)?;

        let easel_file = path.join("easel.json");
        let easel = if is_there(&easel_file) {
            read_config(&easel_file)?
        } else {
            Config::default()
        };
        let in_easel = |problem| fail("easel.json", problem);
        let asked = easel_defaults(&easel).map_err(in_easel)?;
        let kind = match asked.text("scheduler").map_err(in_easel)? {
            None => match scheduler.default_kind() {
                Ok(kind) => Some(kind),
                // A request may choose another.
                Err(SchedulerError::UnknownClass(_) | SchedulerError::Unsupported { .. }) => None,
                Err(error) => return Err(scheduler_error(&error)),
            },
            Some(name) => {
                let kind = name.parse::<SchedulerKind>();
                let kind = kind.map_err(|error| in_easel(error.to_string()))?;
                match scheduler::build(kind, &scheduler, 2, (64, 64)) {
                    Err(error @ SchedulerError::BadValue { .. }) => {
                        return Err(scheduler_error(&error));
                    }
                    // Whether it suits the picture is for the request to find out.
                    _ => Some(kind),
                }
            }
        };
        let side = |key, latents: u32| {
            let asked = asked.count(key, 1..=LARGEST_SIDE).map_err(in_easel)?;
            Ok(asked.unwrap_or(latents.saturating_mul(vae.factor)))
        };
        let steps = asked.count("steps", 1..=1000).map_err(in_easel)?;
        let guidance = asked.number("guidance", 0.0..=50.0).map_err(in_easel)?;
        let defaults = ModelDefaults {
            size: (side("width", columns)?, side("height", rows)?),
            steps: steps.unwrap_or(20) as usize,
            guidance: guidance.unwrap_or(7.5),
            scheduler: kind,
            vae_factor: vae.factor,
            latent_channels: channels,
        };
        if let Err(error) = defaults.check_size(defaults.size) {
            let asks = ["width", "height"].map(|key| asked.get(key).is_some());
            return Err(match asks.contains(&true) {
                true => in_easel(format!("`defaults`: {error}")),
                false => in_unet(format!("`sample_size`: {error}")),
            });
        }
        let preview = match preview_factors(&easel, channels).map_err(in_easel)? {
            None if channels == CHANNELS as usize && !vae.tiny => {
                Some(PreviewFactors::stable_diffusion())
            }
            factors => factors,
        };
        Ok(Self {
            defaults,
            scheduler,
            scaling_factor: vae.scaling_factor,
            shift_factor: vae.shift_factor,
            preview,
            // Each level but the last halves them.
            even_latents: 1 << (levels - 1),
        })
    }
}

impl ModelDefaults {
    /// Whether a picture of this size, pixels, can be asked for.
    pub(crate) fn check_size(&self, (width, height): (u32, u32)) -> Result<(), RequestError> {
        let factor = self.vae_factor;
        let fits = |side: u32| (1..=LARGEST_SIDE).contains(&side) && side.is_multiple_of(factor);
        if fits(width) && fits(height) {
            return Ok(());
        }
        Err(RequestError::Size {
            width,
            height,
            factor,
        })
    }
}

/// What painting needs to know of the autoencoder.
struct Vae {
    /// `AutoencoderTiny`.
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
        if let Some(config) = read_if_there(&file)? {
            return Self::of(&config).map_err(fail);
        }
        // As diffusers' own ONNX exports are, of Stable Diffusion 1.x and 2.x: the network says how much larger pictures are.
        let levels = Network::upsamplings(path, "vae_decoder");
        let levels = levels.map_err(|error| {
            fail(format!(
                "is not there, and what it would say is unknown: {error}"
            ))
        })?;
        Ok(Self {
            tiny: false,
            factor: 1 << levels.min(5),
            scaling_factor: SCALING_FACTOR,
            shift_factor: 0.0,
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
        let shift_factor = config.number("shift_factor", -*SCALES.end()..=*SCALES.end())?;
        Ok(Self {
            factor,
            scaling_factor: scaling_factor.unwrap_or(if tiny { 1.0 } else { SCALING_FACTOR }),
            shift_factor: shift_factor.unwrap_or(0.0),
            tiny,
        })
    }
}

/// Rows and columns of latents that the U-Net was trained with.
fn sample_size(unet: &Config) -> Result<[u32; 2], String> {
    let key = "sample_size";
    match unet.get(key) {
        None => Ok([64, 64]),
        Some(value) if value.is_array() => {
            let sides = unet.counts(key, 2..=2, 1..=LARGEST_SIDE)?;
            Ok(sides.map_or([64, 64], |sides| [sides[0], sides[1]]))
        }
        Some(_) => {
            let side = unet.count(key, 1..=LARGEST_SIDE)?;
            Ok([side.unwrap_or(64); 2])
        }
    }
}

/// Checks what `easel.json` says, and gives its `defaults`.
fn easel_defaults(easel: &Config) -> Result<Config, String> {
    // First: what a newer one says may be meant otherwise.
    if easel.count("format", 1..=1).is_err() {
        return Err("was written by a newer easel: update easel, or export the model again".into());
    }
    let unknown = |key| format!("`{key}` is not known: correct or remove it, or update easel");
    if let Some(key) = easel.unknown(&EASEL_KEYS) {
        return Err(unknown(key));
    }
    let defaults = easel.object("defaults")?.unwrap_or_default();
    match defaults.unknown(&DEFAULTS_KEYS) {
        Some(key) => Err(unknown(format!("defaults.{key}"))),
        None => Ok(defaults),
    }
}

/// The map from latents of so many channels to colours, where `easel.json` has one.
fn preview_factors(easel: &Config, channels: usize) -> Result<Option<PreviewFactors>, String> {
    let colours = |key: &str, value: &serde_json::Value| {
        let three = value.as_array().filter(|row| row.len() == 3);
        let three = three.ok_or_else(|| config::bad(key, value, "three numbers"))?;
        let mut colours = [0.0; 3];
        for (colour, value) in colours.iter_mut().zip(three) {
            *colour = config::number(key, value, &(-1e3..=1e3))?;
        }
        Ok::<_, String>(colours)
    };
    let (key, bias) = ("latent_rgb_factors", "latent_rgb_bias");
    let Some(value) = easel.get(key) else {
        return Ok(None);
    };
    let rows = value.as_array();
    let rows = rows.ok_or_else(|| config::bad(key, value, "a list of rows"))?;
    if rows.len() != channels {
        let found = rows.len();
        return Err(format!("`{key}` has {found} rows for {channels} channels"));
    }
    let rows = rows.iter().map(|row| colours(key, row));
    let rows = rows.collect::<Result<_, _>>()?;
    let bias = easel.get(bias).map(|value| colours(bias, value));
    let bias = bias.transpose()?.unwrap_or_default();
    Ok(Some(PreviewFactors { rows, bias }))
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
fn check_components(index: &Config) -> Result<(), String> {
    let pipeline = index.get("_class_name").and_then(|class| class.as_str());
    let family = pipeline.and_then(recognise::family);
    for (name, value) in index.entries() {
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
fn read_if_there(path: &Path) -> Result<Option<Config>, ModelDirError> {
    is_there(path).then(|| read_config(path)).transpose()
}

/// Whether there is something of this name, be it a link that leads nowhere.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn read(path: &Path) -> Result<String, ModelDirError> {
    read_text(path, SETTINGS).map_err(|error| {
        let problem = format!("cannot be read: {error}: is this a complete model directory?");
        ModelDirError::new(path.to_owned(), problem)
    })
}

fn read_config(path: &Path) -> Result<Config, ModelDirError> {
    Config::parse(&read(path)?).map_err(|problem| match recognise::pointer_problem(path) {
        Some(problem) => ModelDirError::foreign(path.to_owned(), problem),
        None => ModelDirError::new(path.to_owned(), problem),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_with_a_strange_name_is_refused_in_one_line() {
        let index = serde_json::json!({ "a\nb": ["x", "C\u{7}".repeat(1000)] });
        let index = Config::parse(&index.to_string()).expect("it is one");
        let problem = check_components(&index).expect_err("it is not known");
        assert!(problem.contains("component `a b` (C "), "{problem}");
        assert!(
            !problem.contains(char::is_control) && problem.len() < 300,
            "{problem}"
        );
    }
}
