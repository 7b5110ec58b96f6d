//! What a model directory is made of: which networks of a checkpoint, and what `easel.json` says of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::checkpoint::{Checkpoint, Network};
use super::error::ImportError;
use super::ip_adapter::{image_tokens, is_plus};
use super::networks::Kind;
use super::output::Folder;
use super::request::{Precision, Request};
use crate::config::Config;
use crate::model_dir::ModelDirError;

/// A network to be written.
pub(super) struct Part<'c> {
    /// Its folder in the model directory; the directory itself where there is nothing else.
    pub(super) folder: &'static str,
    pub(super) network: &'c Network,
    pub(super) kind: Kind,
}

impl Part<'_> {
    /// What to call it.
    pub(super) fn title(&self) -> &'static str {
        if self.kind == Kind::ControlNet {
            "controlnet"
        } else {
            self.folder
        }
    }
}

/// A pipeline's networks: folder in the model directory, folder in the checkpoint, kind.
type Layout = &'static [(&'static str, &'static str, Kind)];

const STABLE_DIFFUSION: Layout = &[
    (
        "text_encoder",
        "text_encoder",
        Kind::Text { by_layer: false },
    ),
    ("unet", "unet", Kind::Unet { image_tokens: 0 }),
    ("vae_decoder", "vae", Kind::Decoder),
    ("vae_encoder", "vae", Kind::Encoder),
];
const STABLE_DIFFUSION_XL: Layout = &[
    (
        "text_encoder",
        "text_encoder",
        Kind::Text { by_layer: true },
    ),
    (
        "text_encoder_2",
        "text_encoder_2",
        Kind::Text { by_layer: true },
    ),
    ("unet", "unet", Kind::Unet { image_tokens: 0 }),
    ("vae_decoder", "vae", Kind::Decoder),
    ("vae_encoder", "vae", Kind::Encoder),
];
const STABLE_DIFFUSION_3: Layout = &[
    (
        "text_encoder",
        "text_encoder",
        Kind::Text { by_layer: true },
    ),
    (
        "text_encoder_2",
        "text_encoder_2",
        Kind::Text { by_layer: true },
    ),
    (
        "text_encoder_3",
        "text_encoder_3",
        Kind::T5 { masked: false },
    ),
    ("transformer", "transformer", Kind::Transformer),
    ("vae_decoder", "vae", Kind::Decoder),
    ("vae_encoder", "vae", Kind::Encoder),
];
const FLUX: Layout = &[
    (
        "text_encoder",
        "text_encoder",
        Kind::Text { by_layer: false },
    ),
    (
        "text_encoder_2",
        "text_encoder_2",
        Kind::T5 { masked: false },
    ),
    ("transformer", "transformer", Kind::Transformer),
    ("vae_decoder", "vae", Kind::Decoder),
    ("vae_encoder", "vae", Kind::Encoder),
];
const PIXART: Layout = &[
    ("text_encoder", "text_encoder", Kind::T5 { masked: true }),
    ("transformer", "transformer", Kind::Transformer),
    ("vae_decoder", "vae", Kind::Decoder),
    ("vae_encoder", "vae", Kind::Encoder),
];

/// The layout of a pipeline's class.
fn layout(class: &str) -> Option<Layout> {
    match class {
        "LatentConsistencyModelPipeline" => Some(STABLE_DIFFUSION),
        _ if class.starts_with("PixArt") => Some(PIXART),
        _ if class.starts_with("Flux") => Some(FLUX),
        _ if class.starts_with("StableDiffusion3") => Some(STABLE_DIFFUSION_3),
        _ if class.starts_with("StableDiffusionXL") => Some(STABLE_DIFFUSION_XL),
        _ if class.starts_with("StableDiffusion") => Some(STABLE_DIFFUSION),
        _ => None,
    }
}

/// The networks of a checkpoint in the order in which they are written.
pub(super) fn parts(checkpoint: &Checkpoint) -> Result<Vec<Part<'_>>, ImportError> {
    let class = checkpoint
        .index
        .text("_class_name")
        .ok()
        .flatten()
        .unwrap_or_default();
    let layout = layout(class).ok_or_else(|| {
        let problem =
            super::networks::unknown(&format!("the pipeline {}", super::error::quoted(class)));
        ImportError::Bad(format!("model_index.json: {problem}"))
    })?;
    let mut parts = Vec::new();
    for (folder, origin, kind) in layout {
        if let Some(network) = checkpoint.networks.get(*origin) {
            parts.push(Part {
                folder,
                network,
                kind: *kind,
            });
        } else if !checkpoint.is_without(origin) {
            let name = &checkpoint.name;
            return Err(ImportError::Bad(format!(
                "{name}: has no {origin}: it is no whole checkpoint of {class}"
            )));
        }
    }
    if let (Some(network), Some(unet)) = (
        checkpoint.networks.get("image_encoder"),
        checkpoint.networks.get("unet"),
    ) {
        let plus = is_plus(unet);
        for part in parts
            .iter_mut()
            .filter(|part| plus && part.folder == "unet")
        {
            part.kind = Kind::Unet {
                image_tokens: image_tokens(network),
            };
        }
        parts.push(Part {
            folder: "image_encoder",
            network,
            kind: Kind::Image { plus },
        });
    }
    Ok(parts)
}

/// Names of the layers that stayed float, by network, as `easel.json` lists them.
pub(crate) type FloatLayers = BTreeMap<&'static str, Vec<String>>;

/// What is written into the model's `easel.json`: what the checkpoint's own says, but for what was asked.
pub(super) fn easel_json(
    name: &str,
    own: &Config,
    request: &Request,
    float: &FloatLayers,
) -> Config {
    let mut all = Map::new();
    all.insert("format".into(), json!(1));
    all.insert("precision".into(), json!(request.precision.name()));
    all.insert("source".into(), json!(name));
    let measured = ["check", "layers", "quantization", "exporter"];
    for (key, value) in own.entries() {
        if !measured.contains(&key.as_str()) {
            all.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    let mut defaults = match own.get("defaults") {
        Some(Value::Object(defaults)) => defaults.clone(),
        _ => Map::new(),
    };
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            defaults.insert(key.into(), value);
        }
    };
    set("width", request.size.map(|(width, _)| json!(width)));
    set("height", request.size.map(|(_, height)| json!(height)));
    set("steps", request.steps.map(|steps| json!(steps)));
    set("guidance", request.guidance.map(|guidance| json!(guidance)));
    set(
        "scheduler",
        request.scheduler.map(|kind| json!(kind.to_string())),
    );
    if !defaults.is_empty() {
        all.insert("defaults".into(), Value::Object(defaults));
    }
    all.insert(
        "exporter".into(),
        json!({"easel": env!("CARGO_PKG_VERSION")}),
    );
    if !float.is_empty() {
        let layers = |names: &Vec<String>| -> Value {
            names
                .iter()
                .map(|name| (name.clone(), json!({"stored": "float32"})))
                .collect::<Map<_, _>>()
                .into()
        };
        let networks = float
            .iter()
            .map(|(network, names)| ((*network).to_owned(), layers(names)));
        all.insert("layers".into(), Value::Object(networks.collect()));
    }
    Config::from(all)
}

/// What was written is no model that easel paints with.
pub(super) fn misfit(error: &ModelDirError, folder: &Folder) -> ImportError {
    // The directory has no name yet.
    let hidden = format!("{}/", folder.path().display());
    ImportError::Bad(error.to_string().replace(&hidden, ""))
}

impl Checkpoint {
    /// Takes another autoencoder for its own: one of the same latents.
    pub(super) fn replace_autoencoder(&mut self, other: Network) -> Result<(), ImportError> {
        let channels = |network: &Network| {
            network
                .config
                .count("latent_channels", 1..=1024)
                .ok()
                .flatten()
                .unwrap_or(4)
        };
        let Some(own) = self.networks.get("vae") else {
            return Err(ImportError::Bad(format!("{}: has no vae", self.name)));
        };
        let (there, given) = (channels(own), channels(&other));
        if there != given {
            return Err(ImportError::bad(
                &other.path,
                format_args!(
                    "is for latents of {given} channels, the model's have {there}: take the one made for this kind of model"
                ),
            ));
        }
        let class = other
            .config
            .text("_class_name")
            .ok()
            .flatten()
            .unwrap_or("AutoencoderKL")
            .to_owned();
        self.index.set("vae", json!(["diffusers", class]));
        self.networks.insert("vae".into(), other);
        Ok(())
    }
}

impl Precision {
    /// Bytes of a weight.
    pub(super) fn bytes(self) -> u64 {
        match self {
            Self::Int8 => 1,
            Self::Fp16 => 2,
            Self::Fp32 => 4,
        }
    }
}
