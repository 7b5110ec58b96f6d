//! A model directory as diffusers and optimum write it: what its JSON files say.

mod easel_json;
mod index;
mod parts;
mod recognise;
mod vae;

use std::path::{Path, PathBuf};

use crate::component::Component;
use crate::config::Config;
use crate::family::{self, ChooseFamily, Defaults, Family};
use crate::files::{SETTINGS, read_text};
use crate::inputs::PATCH;
use crate::latents::Latents;
use crate::lexicon::Lexicon;
use crate::preview::PreviewFactors;
use crate::request::{LARGEST_SIDE, RequestError};
use crate::scheduler::{self, Run, SchedulerConfig, SchedulerError, SchedulerKind};
use crate::text::message;
use easel_json::EaselJson;
use vae::Vae;

pub use parts::ModelParts;
pub use recognise::not_a_model;

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
    /// Widths and heights that it was trained on, pixels; none: it does not say.
    pub trained_sizes: Vec<(u32, u32)>,
}

/// What the JSON files say of the size of pictures and latents: enough to run the networks one by one.
#[derive(Debug)]
pub(crate) struct Geometry {
    /// Width and height of a picture, pixels, unless told otherwise.
    pub(crate) size: (u32, u32),
    /// Pixels per latent, each way.
    pub(crate) factor: u32,
    /// Channels of the latents.
    pub(crate) channels: usize,
    pub(crate) beside: BesideLatents,
    /// Latents that every denoiser of this kind halves evenly on its way down are multiples of this each way.
    pub(crate) even_latents: usize,
}

/// What a denoiser is told behind the channels of the latents, of a model that was made for pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum BesideLatents {
    #[default]
    Nothing,
    /// A mask, and the latents of the picture without what is painted anew: of models for inpainting.
    Masked,
    /// The latents of the picture to change, not scaled: of InstructPix2Pix.
    Picture,
}

impl BesideLatents {
    /// By how many channels the denoiser takes, and how many latents have; `None` for what easel does not know.
    fn of(taken: usize, latents: usize) -> Option<Self> {
        match taken.checked_sub(latents)? {
            0 => Some(Self::Nothing),
            more if more == latents + 1 => Some(Self::Masked),
            more if more == latents => Some(Self::Picture),
            _ => None,
        }
    }

    /// Channels of it, beside so many of the latents.
    pub(crate) fn channels(self, latents: usize) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Masked => latents + 1,
            Self::Picture => latents,
        }
    }
}

/// Everything the JSON files say that painting needs.
#[derive(Debug)]
pub(crate) struct ModelDir {
    pub(crate) family: Box<dyn Family>,
    pub(crate) defaults: ModelDefaults,
    pub(crate) scheduler: SchedulerConfig,
    /// Latents from the sampler, divided by this, then shifted, are what the decoder takes.
    pub(crate) scaling_factor: f32,
    pub(crate) shift_factor: f32,
    pub(crate) preview: Option<PreviewFactors>,
    /// See [`Geometry::even_latents`].
    pub(crate) even_latents: usize,
    pub(crate) beside: BesideLatents,
    /// What it knows of what people type.
    pub(crate) lexicon: Option<Lexicon>,
}

const SCHEDULER: &str = "scheduler/scheduler_config.json";
/// Of the latents. The largest known have 128.
const MOST_CHANNELS: u32 = 256;
/// Channels of Stable Diffusion's latents.
const CHANNELS: u32 = 4;
/// Levels of Stable Diffusion's U-Net.
const LEVELS: usize = 4;

/// The denoiser's configuration, and where it is.
struct DenoiserFile {
    config: Config,
    name: String,
}

impl DenoiserFile {
    fn read(path: &Path) -> Result<Self, ModelDirError> {
        check_is_model(path)?;
        recognise::check_networks(path)
            .map_err(|(path, problem)| ModelDirError::foreign(path, problem))?;
        let name = format!("{}/config.json", Component::denoiser_in(path));
        // diffusers' own ONNX exports have none.
        let config = read_if_there(&path.join(&name))?.unwrap_or_default();
        Ok(Self { config, name })
    }
}

/// The files of a model directory, read.
struct Files {
    denoiser: Config,
    denoiser_file: String,
    vae: Vae,
    easel: EaselJson,
}

impl Files {
    /// Of a model of this family, if easel knows it.
    fn read(
        path: &Path,
        denoiser: DenoiserFile,
        family: Option<&dyn Family>,
    ) -> Result<Self, ModelDirError> {
        let vae = match family.is_some_and(Family::paints_pixels) {
            true => Vae::none(),
            false => Vae::read(path)?,
        };
        Ok(Self {
            denoiser: denoiser.config,
            denoiser_file: denoiser.name,
            vae,
            easel: EaselJson::read(&path.join("easel.json"))?,
        })
    }

    fn geometry(&self, path: &Path) -> Result<Geometry, ModelDirError> {
        let in_denoiser = |problem| ModelDirError::new(path.join(&self.denoiser_file), problem);
        let taken = self.denoiser.count("in_channels", 1..=MOST_CHANNELS);
        let taken = taken.map_err(in_denoiser)?.unwrap_or(CHANNELS) as usize;
        let is_transformer = self
            .denoiser_file
            .starts_with(Component::TRANSFORMER.name());
        let shape = match is_transformer {
            true => self.of_transformer(taken),
            false => self.of_unet(taken),
        };
        let Shape {
            channels,
            beside,
            even_latents,
            usual_sample,
        } = shape.map_err(in_denoiser)?;
        let Some(beside) = beside else {
            let problem = recognise::channels_problem(taken, channels);
            return Err(ModelDirError::foreign(
                path.join(&self.denoiser_file),
                problem,
            ));
        };
        let [rows, columns] = sample_size(&self.denoiser, usual_sample).map_err(in_denoiser)?;
        let (width, height) = self.easel.size;
        let side = |asked: Option<u32>, latents: u32| {
            asked.unwrap_or(latents.saturating_mul(self.vae.factor))
        };
        let size = (side(width, columns), side(height, rows));
        let geometry = Geometry {
            size,
            factor: self.vae.factor,
            channels,
            beside,
            even_latents,
        };
        for size in &self.easel.trained_sizes {
            if let Err(error) = geometry.check_size(*size) {
                let problem = format!("`sizes`: {error}");
                return Err(ModelDirError::new(path.join("easel.json"), problem));
            }
        }
        if let Err(error) = geometry.check_size(size) {
            return Err(match (width, height) {
                (None, None) => in_denoiser(format!("`sample_size`: {error}")),
                _ => {
                    let problem = format!("`defaults`: {error}");
                    ModelDirError::new(path.join("easel.json"), problem)
                }
            });
        }
        Ok(geometry)
    }

    /// Of a U-Net, which takes so many channels.
    fn of_unet(&self, taken: usize) -> Result<Shape, String> {
        let made = self.denoiser.count("out_channels", 1..=MOST_CHANNELS)?;
        let channels = made.map_or(taken, |made| made as usize);
        let levels = self
            .denoiser
            .counts("block_out_channels", 1..=8, 1..=1 << 20)?;
        let levels = levels.map_or(LEVELS, |blocks| blocks.len());
        Ok(Shape {
            channels,
            beside: BesideLatents::of(taken, channels),
            // Each level but the last halves them.
            even_latents: 1 << (levels - 1),
            usual_sample: 64,
        })
    }

    /// Of a transformer, which takes so many channels: those of the latents, or of whole patches of them, packed as tokens.
    fn of_transformer(&self, taken: usize) -> Result<Shape, String> {
        let patch = self.denoiser.count("patch_size", 1..=64)?;
        let patch = patch.map_or(PATCH, |patch| patch as usize);
        let packed = PATCH * PATCH;
        let is_packed = patch == 1;
        let channels = match self.vae.channels {
            Some(channels) => channels,
            None if is_packed => taken / packed,
            None => taken,
        };
        let expected = if is_packed {
            channels * packed
        } else {
            channels
        };
        Ok(Shape {
            channels,
            beside: (taken == expected).then_some(BesideLatents::Nothing),
            even_latents: if is_packed { PATCH } else { patch },
            usual_sample: 128,
        })
    }
}

/// What a denoiser's configuration says of the latents.
struct Shape {
    channels: usize,
    /// `None`: what easel does not know.
    beside: Option<BesideLatents>,
    even_latents: usize,
    /// Rows and columns of latents where it does not say.
    usual_sample: u32,
}

impl Geometry {
    /// Of the model in this directory, be it of a kind that easel cannot paint with.
    pub(crate) fn read(path: &Path) -> Result<Self, ModelDirError> {
        let denoiser = DenoiserFile::read(path)?;
        let family = known_family(path, &denoiser);
        Files::read(path, denoiser, family.as_deref())?.geometry(path)
    }

    /// Whether a picture of this size, pixels, can be asked for.
    fn check_size(&self, size: (u32, u32)) -> Result<(), RequestError> {
        check_size(size, self.factor)
    }

    /// Latents of a picture of `size`, the model's default unless given; all zero.
    pub(crate) fn latents(&self, size: Option<(u32, u32)>) -> Result<Latents, RequestError> {
        blank_latents(size.unwrap_or(self.size), self.factor, self.channels)
    }
}

impl ModelDir {
    /// Sizes of images that the denoiser works on, each half of the one before.
    pub(crate) fn levels(&self) -> usize {
        self.even_latents.trailing_zeros() as usize + 1
    }

    /// Reads `model_index.json`, the components' configurations and, if there is one, `easel.json`.
    /// `choose`: the family, by the index and the denoiser's configuration.
    pub(crate) fn read(path: &Path, choose: ChooseFamily) -> Result<Self, ModelDirError> {
        check_is_model(path)?;
        let index_file = path.join("model_index.json");
        let index = read_config(&index_file)?;
        let refuse = |problem| ModelDirError::foreign(index_file.clone(), problem);
        index::refuse_others(&index).map_err(refuse)?;
        let denoiser = DenoiserFile::read(path)?;
        let family = choose(&index, &denoiser.config).map_err(refuse)?;
        index::check_components(&index, &*family).map_err(refuse)?;
        let files = Files::read(path, denoiser, Some(&*family))?;
        let geometry = files.geometry(path)?;
        let text = read(&path.join(SCHEDULER))?;
        let (scheduler, kind) = read_scheduler(path, &text, files.easel.scheduler.as_deref())?;

        let usual = match is_distilled(&Config::parse(&text).unwrap_or_default()) {
            // Models that are told the guidance scale are distilled too, and the family knows what they take.
            true if !family.embeds_guidance() => DISTILLED,
            _ => family.defaults(),
        };
        let defaults = ModelDefaults {
            size: geometry.size,
            steps: files.easel.steps.unwrap_or(usual.steps),
            guidance: files.easel.guidance.unwrap_or(usual.guidance),
            scheduler: kind,
            vae_factor: geometry.factor,
            latent_channels: geometry.channels,
            trained_sizes: files.easel.trained_sizes.clone(),
        };
        let vae = &files.vae;
        let own = geometry.channels == family.preview().rows.len() && !vae.tiny;
        let preview = files.easel.preview(geometry.channels);
        let preview = preview.map_err(|p| ModelDirError::new(path.join("easel.json"), p))?;
        let (scaling_factor, shift_factor) = match vae.tiny {
            true => (1.0, 0.0),
            false => (family.scaling_factor(), family.shift_factor()),
        };
        Ok(Self {
            defaults,
            scheduler,
            scaling_factor: vae.scaling_factor.unwrap_or(scaling_factor),
            shift_factor: vae.shift_factor.unwrap_or(shift_factor),
            preview: preview.or_else(|| own.then(|| family.preview())),
            even_latents: geometry.even_latents,
            beside: geometry.beside,
            lexicon: files.easel.lexicon(path)?,
            family,
        })
    }
}

/// The family of a model directory, if it is one that easel paints with.
pub(crate) fn family_in(path: &Path) -> Option<Box<dyn Family>> {
    known_family(path, &DenoiserFile::read(path).ok()?)
}

fn known_family(path: &Path, denoiser: &DenoiserFile) -> Option<Box<dyn Family>> {
    let index = read_config(&path.join("model_index.json")).ok()?;
    index::refuse_others(&index).ok()?;
    family::of(&index, &denoiser.config).ok()
}

fn check_is_model(path: &Path) -> Result<(), ModelDirError> {
    let refuse = |problem| Err(ModelDirError::foreign(path.to_owned(), problem));
    not_a_model(path).map_or(Ok(()), refuse)
}

/// What models are painted with that were distilled to few steps, guidance within.
const DISTILLED: Defaults = Defaults {
    steps: 4,
    guidance: 1.0,
};

/// Whether a scheduler's configuration is that of a model distilled to few steps: SD-Turbo, SDXL-Turbo and SDXL-Lightning have Euler's
/// methods that begin at the end of the training's times; merged LCM- and TCD-LoRAs have schedulers of their own. A model that
/// was trained down to no signal at all also begins there, and is none.
fn is_distilled(scheduler: &Config) -> bool {
    let text = |key| scheduler.get(key).and_then(|value| value.as_str());
    let zero_snr = scheduler.get("rescale_betas_zero_snr");
    match text("_class_name") {
        Some("LCMScheduler" | "TCDScheduler") => true,
        Some("EulerDiscreteScheduler" | "EulerAncestralDiscreteScheduler") => {
            text("timestep_spacing") == Some("trailing")
                && text("prediction_type") != Some("v_prediction")
                && zero_snr.and_then(|value| value.as_bool()) != Some(true)
        }
        _ => false,
    }
}

/// The scheduler's configuration, and the sampler that is taken unless the caller chooses: `asked` by `easel.json`, or the
/// configuration's own; `None` if that is one that easel lacks.
fn read_scheduler(
    path: &Path,
    text: &str,
    asked: Option<&str>,
) -> Result<(SchedulerConfig, Option<SchedulerKind>), ModelDirError> {
    let file = path.join(SCHEDULER);
    let fail = |error: &SchedulerError| {
        // Both name the file; once is enough, with its whole path.
        let text = error.to_string();
        let problem = text.strip_prefix("scheduler_config.json: ");
        ModelDirError::new(file.clone(), problem.unwrap_or(&text).to_owned())
    };
    let config = SchedulerConfig::from_json(text).map_err(|error| fail(&error))?;
    let Some(name) = asked else {
        return match config.default_kind() {
            Ok(kind) => Ok((config, Some(kind))),
            // A request may choose another.
            Err(SchedulerError::UnknownClass(_) | SchedulerError::Unsupported { .. }) => {
                Ok((config, None))
            }
            Err(error) => Err(fail(&error)),
        };
    };
    let kind = name.parse::<SchedulerKind>();
    let kind =
        kind.map_err(|error| ModelDirError::new(path.join("easel.json"), error.to_string()))?;
    match scheduler::build(kind, &config, &Run::new(2, (64, 64))) {
        Err(error @ SchedulerError::BadValue { .. }) => Err(fail(&error)),
        // Whether it suits the picture is for the request to find out.
        _ => Ok((config, Some(kind))),
    }
}

impl ModelDefaults {
    /// The size that the model was trained on whose shape is nearest to that of a panel or a picture; `None`: it does not say which.
    #[must_use]
    pub fn trained_size_like(&self, shape: (u32, u32)) -> Option<(u32, u32)> {
        let ratio =
            |(width, height): (u32, u32)| (f64::from(width.max(1)) / f64::from(height.max(1))).ln();
        let off = |size: &(u32, u32)| (ratio(*size) - ratio(shape)).abs();
        // Of equal shapes the usual size, or the one that is named first.
        let usual = self.trained_sizes.iter().filter(|size| **size == self.size);
        let all = usual.chain(&self.trained_sizes);
        all.min_by(|a, b| off(a).total_cmp(&off(b))).copied()
    }

    /// The size of pictures that are painted out of one of this shape: about as many pixels as usual.
    pub(crate) fn size_like(&self, (width, height): (u32, u32), even: u32) -> (u32, u32) {
        /// Longer ones are not what models were trained with.
        const LONGEST: f64 = 4.0;
        let (usual_width, usual_height) = self.size;
        if u64::from(width) * u64::from(usual_height) == u64::from(height) * u64::from(usual_width)
        {
            return self.size;
        }
        let area = f64::from(usual_width) * f64::from(usual_height);
        let ratio = f64::from(width) / f64::from(height);
        let across = (area * ratio.clamp(1.0 / LONGEST, LONGEST)).sqrt();
        let fits =
            |unit: u32| usual_width.is_multiple_of(unit) && usual_height.is_multiple_of(unit);
        // What the denoiser halves evenly, unless the usual size is none.
        let unit = self.vae_factor * even;
        let unit = if fits(unit) { unit } else { self.vae_factor };
        let side = |pixels: f64| {
            let units = (pixels / f64::from(unit)).round().max(1.0);
            (units as u32 * unit).min(LARGEST_SIDE / unit * unit)
        };
        (side(across), side(area / across))
    }

    /// Latents of a picture of `size`, the model's default unless given; all zero.
    pub(crate) fn latents(&self, size: Option<(u32, u32)>) -> Result<Latents, RequestError> {
        blank_latents(
            size.unwrap_or(self.size),
            self.vae_factor,
            self.latent_channels,
        )
    }
}

/// Whether a picture of this size, pixels, can be asked for.
fn check_size((width, height): (u32, u32), factor: u32) -> Result<(), RequestError> {
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

fn blank_latents(size: (u32, u32), factor: u32, channels: usize) -> Result<Latents, RequestError> {
    check_size(size, factor)?;
    let (width, height) = size;
    let (rows, columns) = ((height / factor) as usize, (width / factor) as usize);
    Ok(Latents::zeros(channels, rows, columns))
}

/// Rows and columns of latents that the denoiser was trained with.
fn sample_size(denoiser: &Config, usual: u32) -> Result<[u32; 2], String> {
    let key = "sample_size";
    match denoiser.get(key) {
        None | Some(serde_json::Value::Null) => Ok([usual; 2]),
        Some(value) if value.is_array() => {
            let sides = denoiser.counts(key, 2..=2, 1..=LARGEST_SIDE)?;
            Ok(sides.map_or([usual; 2], |sides| [sides[0], sides[1]]))
        }
        Some(_) => {
            let side = denoiser.count(key, 1..=LARGEST_SIDE)?;
            Ok([side.unwrap_or(usual); 2])
        }
    }
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
