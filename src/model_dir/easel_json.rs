//! `easel.json`: what a model's makers say to easel.

use std::path::Path;

use super::{ModelDirError, read_if_there};
use crate::config::{self, Config};
use crate::lexicon::Lexicon;
use crate::preview::PreviewFactors;
use crate::request::LARGEST_SIDE;

/// What `easel.json` may say.
const EASEL_KEYS: [&str; 16] = [
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
    // What is painted behind things when a prompt does not say.
    "backgrounds",
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
    /// Widths and heights that the model was trained on, pixels; none: it does not say.
    pub(super) trained_sizes: Vec<(u32, u32)>,
    /// A file beside it.
    lexicon: Option<String>,
    /// What is behind things in prompts that do not say.
    backgrounds: Vec<String>,
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
            trained_sizes: trained_sizes(&all)?,
            lexicon: lexicon_name(&all)?,
            backgrounds: backgrounds(&all)?,
            all,
        })
    }

    /// The lexicon of the model in this folder, where it has one.
    pub(super) fn lexicon(&self, folder: &Path) -> Result<Option<Lexicon>, ModelDirError> {
        let read = |name: &String| {
            let path = folder.join(name);
            let read = Lexicon::read(&path, &self.backgrounds);
            read.map_err(|problem| ModelDirError::new(path, problem))
        };
        self.lexicon.as_ref().map(read).transpose()
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

/// Of sizes, and of backgrounds.
const MOST_LISTED: usize = 64;

fn trained_sizes(easel: &Config) -> Result<Vec<(u32, u32)>, String> {
    let key = "sizes";
    let Some(value) = easel.get(key) else {
        return Ok(Vec::new());
    };
    let wanted = "a list of sizes, such as [[512, 512], [768, 512]]";
    let list = value
        .as_array()
        .filter(|list| (1..=MOST_LISTED).contains(&list.len()));
    let list = list.ok_or_else(|| config::bad(key, value, wanted))?;
    let size = |value: &serde_json::Value| {
        let sides: Option<Vec<u64>> = value
            .as_array()?
            .iter()
            .map(serde_json::Value::as_u64)
            .collect();
        let side = |side: u64| {
            u32::try_from(side)
                .ok()
                .filter(|side| (1..=LARGEST_SIDE).contains(side))
        };
        match sides?[..] {
            [width, height] => side(width).zip(side(height)),
            _ => None,
        }
    };
    let sizes = list
        .iter()
        .map(|value| size(value).ok_or_else(|| config::bad(key, value, wanted)));
    sizes.collect()
}

/// The name of a file in the same folder: what a model says leads nowhere else.
fn lexicon_name(easel: &Config) -> Result<Option<String>, String> {
    let Some(name) = easel.text("lexicon")? else {
        return Ok(None);
    };
    let is_beside =
        name.ends_with(".json") && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    match is_beside && name.len() <= 100 {
        true => Ok(Some(name.to_owned())),
        false => Err("`lexicon`: give the name of a .json file beside easel.json".into()),
    }
}

fn backgrounds(easel: &Config) -> Result<Vec<String>, String> {
    let key = "backgrounds";
    let Some(value) = easel.get(key) else {
        return Ok(Vec::new());
    };
    if easel.get("lexicon").is_none() {
        return Err(format!(
            "`{key}` counts with a `lexicon` alone: name one, or remove it"
        ));
    }
    let wanted = "a list of names, such as [\"blue\", \"white\"]";
    let list = value.as_array().filter(|list| list.len() <= MOST_LISTED);
    let list = list.ok_or_else(|| config::bad(key, value, wanted))?;
    let names = list.iter().map(|name| name.as_str().map(str::to_owned));
    names
        .collect::<Option<_>>()
        .ok_or_else(|| config::bad(key, value, wanted))
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
