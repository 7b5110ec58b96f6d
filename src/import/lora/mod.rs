//! LoRA (arXiv 2106.09685) and LoHa (arXiv 2108.06098): small matrices whose product is added to a checkpoint's weights, before those
//! are rounded.
//!
//! Trainers name the layers in their own ways ([`keys`]). Which layer is meant is found among those that the checkpoint has.

mod change;
mod keys;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use self::change::Parts;
use self::keys::{Layer, Role};
use super::checkpoint::{Network, read_config};
use super::error::{ImportError, quoted};
use super::safetensors::{SafeTensors, Tensor};
use super::single_file::{authors_names, open_weights};
use super::weights::Weights;
use crate::config::Config;

/// Names in a message.
const FEW: usize = 3;
/// What trainers may strengthen a change by; far beyond what is of use.
const LARGEST_ALPHA: f32 = 1e6;

/// Adds a file's changes, so many times as strong, to the weights of networks. Gives how many weights are changed.
pub(super) fn apply(
    path: &Path,
    scale: f32,
    networks: &mut BTreeMap<String, Network>,
) -> Result<usize, ImportError> {
    let applied = open_weights(path).and_then(|file| add(path, &file, scale, networks));
    applied.map_err(|error| error.of(path))
}

fn add(
    path: &Path,
    file: &SafeTensors,
    scale: f32,
    networks: &mut BTreeMap<String, Network>,
) -> Result<usize, ImportError> {
    let layers = layers(file)?;
    let known: BTreeMap<String, Names> = networks
        .iter()
        .map(|(name, network)| (name.clone(), Names::of(&network.weights)))
        .collect();
    let stated = Stated::read(path, file)?;
    let (mut changes, mut strangers) = (Vec::new(), Vec::new());
    for (name, parts) in layers {
        let layer = keys::layer(&name, |network| known.contains_key(network));
        let weight = known
            .get(layer.network)
            .and_then(|names| names.find(&layer));
        match weight {
            Some(weight) => {
                let network = layer.network.to_owned();
                changes.push((name, network, weight, parts));
            }
            None => strangers.push(name),
        }
    }
    if !strangers.is_empty() {
        let few: Vec<_> = strangers
            .iter()
            .take(FEW)
            .map(|name| quoted(name))
            .collect();
        let (some, all) = (strangers.len(), strangers.len() + changes.len());
        return Err(ImportError::Bad(format!(
            "{some} of its {all} layers are none of the checkpoint's: {}{}: take one that was made for this kind of model",
            few.join(", "),
            if some > FEW { " …" } else { "" }
        )));
    }
    if changes.is_empty() {
        return Err(ImportError::Bad(
            "changes nothing: it is no LoRA, or an empty one".into(),
        ));
    }
    let count = changes.len();
    for (layer, network, weight, parts) in changes {
        let alpha = stated.alpha(&network);
        let weight = networks
            .get_mut(&network)
            .and_then(|network| network.weights.get_mut(&weight));
        let Some(weight) = weight else {
            continue;
        };
        let change = parts.change(weight, alpha, scale);
        let change =
            change.map_err(|problem| ImportError::Bad(format!("{}: {problem}", quoted(&layer))))?;
        weight.change(Arc::new(change));
    }
    Ok(count)
}

/// The tensors of each layer in a file.
fn layers(file: &SafeTensors) -> Result<BTreeMap<String, Parts>, ImportError> {
    let mut layers: BTreeMap<String, Parts> = BTreeMap::new();
    for name in file.names() {
        let (layer, role) = keys::parse(name).map_err(ImportError::Bad)?;
        let parts = layers.entry(layer.to_owned()).or_default();
        let Some(tensor) = file.get(name) else {
            continue;
        };
        if parts.set(role, tensor).is_some() {
            return Err(ImportError::Bad(format!("{} is there twice", quoted(name))));
        }
    }
    Ok(layers)
}

impl Parts {
    /// Puts a tensor in its place; gives what was there.
    fn set(&mut self, role: Role, tensor: Tensor) -> Option<Tensor> {
        let place = match role {
            Role::Alpha => &mut self.alpha,
            Role::Down => &mut self.down,
            Role::Mid => &mut self.mid,
            Role::Up => &mut self.up,
            Role::Hadamard(number) => &mut self.hadamard[number],
        };
        place.replace(tensor)
    }
}

/// The layers of a network, by each name that they have.
struct Names {
    /// diffusers' name of a weight.
    dotted: BTreeMap<String, String>,
    /// The same, by names with underscores for dots, as diffusers and as the authors spell them.
    underscored: BTreeMap<String, String>,
}

impl Names {
    fn of(weights: &Weights) -> Self {
        let (mut dotted, mut underscored) = (BTreeMap::new(), BTreeMap::new());
        for (name, weight) in weights {
            let Some(layer) = name.strip_suffix(".weight") else {
                continue;
            };
            if weight.shape().len() < 2 {
                continue;
            }
            dotted.insert(layer.to_owned(), name.clone());
            underscored.insert(layer.replace('.', "_"), name.clone());
        }
        for (theirs, layer) in authors_names(weights) {
            if let Some(name) = dotted.get(&layer) {
                underscored
                    .entry(theirs.replace('.', "_"))
                    .or_insert_with(|| name.clone());
            }
        }
        Self {
            dotted,
            underscored,
        }
    }

    /// The weight that is meant.
    fn find(&self, layer: &Layer<'_>) -> Option<String> {
        let names = if layer.underscored {
            &self.underscored
        } else {
            &self.dotted
        };
        names.get(&layer.name).cloned()
    }
}

/// How strong changes are, where that is not said beside each: what PEFT and diffusers keep of a training.
struct Stated {
    /// By network; of the one for all.
    alphas: BTreeMap<String, f32>,
    all: Option<f32>,
}

impl Stated {
    fn read(path: &Path, file: &SafeTensors) -> Result<Self, ImportError> {
        let mut stated = Self {
            alphas: BTreeMap::new(),
            all: None,
        };
        if let Some(text) = file.metadata().get("lora_adapter_metadata") {
            // Keys of all networks in one: `unet.lora_alpha`.
            let config = Config::parse(text).map_err(ImportError::Bad)?;
            for (key, _) in config.entries() {
                if let Some(network) = key.strip_suffix(".lora_alpha") {
                    refuse_unknown(&config, &format!("{network}."))?;
                    let alpha = config.number(key, -LARGEST_ALPHA..=LARGEST_ALPHA);
                    let alpha = alpha.map_err(ImportError::Bad)?;
                    stated
                        .alphas
                        .extend(alpha.map(|alpha| (network.to_owned(), alpha)));
                }
            }
        }
        let beside = path.with_file_name("adapter_config.json");
        if file.names().any(|name| name.starts_with(keys::PEFT)) && beside.exists() {
            let config = read_config(&beside)?;
            let bad = |problem| ImportError::bad(&beside, problem);
            refuse_unknown(&config, "").map_err(|error| bad(error.to_string()))?;
            let alpha = config.number("lora_alpha", -LARGEST_ALPHA..=LARGEST_ALPHA);
            stated.all = alpha.map_err(bad)?;
        }
        Ok(stated)
    }

    fn alpha(&self, network: &str) -> Option<f32> {
        self.alphas.get(network).copied().or(self.all)
    }
}

/// Refuses trainings that are more than a product of two matrices.
fn refuse_unknown(config: &Config, prefix: &str) -> Result<(), ImportError> {
    for key in [
        "use_dora",
        "use_rslora",
        "alpha_pattern",
        "lora_bias",
        "fan_in_fan_out",
    ] {
        let value = config.get(&format!("{prefix}{key}"));
        let plain = match value {
            None | Some(Value::Bool(false)) => true,
            Some(Value::Object(pattern)) => pattern.is_empty(),
            Some(_) => false,
        };
        if !plain {
            return Err(ImportError::Bad(format!(
                "was trained with `{key}`, which is not known here: merge it with diffusers on a PC (fuse_lora), and import that"
            )));
        }
    }
    Ok(())
}
