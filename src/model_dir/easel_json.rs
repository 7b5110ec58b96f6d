//! `easel.json`: what a model's makers say to easel.

use std::path::Path;

use super::{ModelDirError, read_if_there};
use crate::config::{self, Config};
use crate::preview::PreviewFactors;
use crate::request::LARGEST_SIDE;

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

/// What it says; without the file, nothing.
pub(super) struct EaselJson {
    /// Width and height, pixels.
    pub(super) size: (Option<u32>, Option<u32>),
    pub(super) steps: Option<usize>,
    pub(super) guidance: Option<f32>,
    /// Name of a sampler, not yet looked at.
    pub(super) scheduler: Option<String>,
    all: Config,
}

impl EaselJson {
    pub(super) fn read(path: &Path) -> Result<Self, ModelDirError> {
        let all = read_if_there(path)?.unwrap_or_default();
        Self::of(all).map_err(|problem| ModelDirError::new(path.to_owned(), problem))
    }

    fn of(all: Config) -> Result<Self, String> {
        let defaults = checked_defaults(&all)?;
        let side = |key| defaults.count(key, 1..=LARGEST_SIDE);
        let steps = defaults.count("steps", 1..=1000)?;
        Ok(Self {
            size: (side("width")?, side("height")?),
            steps: steps.map(|steps| steps as usize),
            guidance: defaults.number("guidance", 0.0..=50.0)?,
            scheduler: defaults.text("scheduler")?.map(str::to_owned),
            all,
        })
    }

    /// The map from latents of so many channels to colours, where there is one.
    pub(super) fn preview(&self, channels: usize) -> Result<Option<PreviewFactors>, String> {
        preview_factors(&self.all, channels)
    }
}

/// Checks what `easel.json` says, and gives its `defaults`.
fn checked_defaults(easel: &Config) -> Result<Config, String> {
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
