//! A checkpoint as diffusers saves one: a folder a network, each with `config.json` and its weights.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::error::{ImportError, quoted};
use super::safetensors::SafeTensors;
use super::weights::{Weights, take_all};
use crate::config::Config;
use crate::files::{SETTINGS, read_text};

/// Files of weights of one network: the largest published ones are in a tenth of it.
const MOST_FILES: usize = 256;

/// A checkpoint, whichever kind of file it came in. Its weights are not read yet.
pub(crate) struct Checkpoint {
    /// What the model says that it was made of.
    pub(crate) name: String,
    /// `model_index.json`.
    pub(crate) index: Config,
    /// The networks by the folders that diffusers keeps them in: `unet`, `vae`, `text_encoder` …
    pub(crate) networks: BTreeMap<String, Network>,
    /// `scheduler_config.json`.
    pub(crate) scheduler: Config,
    /// The tokenizers by their folders.
    pub(crate) tokenizers: BTreeMap<String, Tokenizer>,
    /// The checkpoint's own `easel.json`, if it has one.
    pub(crate) easel: Config,
}

/// A network: what it is built from.
pub(crate) struct Network {
    /// What to call it in messages: the folder or file that it came from.
    pub(crate) path: PathBuf,
    pub(crate) config: Config,
    pub(crate) weights: Weights,
}

/// Where a tokenizer's files come from.
pub(crate) enum Tokenizer {
    /// A folder of the checkpoint.
    Folder(PathBuf),
    /// Files that the importer has itself: name and content.
    Made(Vec<(String, Vec<u8>)>),
}

/// Networks that a pipeline may have, by their folders.
const NETWORKS: [&str; 6] = [
    "text_encoder",
    "text_encoder_2",
    "text_encoder_3",
    "unet",
    "transformer",
    "vae",
];
const TOKENIZERS: [&str; 3] = ["tokenizer", "tokenizer_2", "tokenizer_3"];

impl Checkpoint {
    /// Looks at a folder that diffusers saved.
    pub(crate) fn open(folder: &Path) -> Result<Self, ImportError> {
        let index = read_config(&folder.join("model_index.json"))?;
        let mut networks = BTreeMap::new();
        for name in NETWORKS {
            let Some(class) = class_of(&index, name) else {
                continue;
            };
            let mut network = Network::open(&folder.join(name))?;
            // As transformers writes it; some configurations are without.
            let config = &mut network.config;
            if config.get("_class_name").is_none() && config.get("architectures").is_none() {
                config.set("architectures", json!([class]));
            }
            networks.insert(name.to_owned(), network);
        }
        let tokenizers = TOKENIZERS
            .into_iter()
            .filter(|name| class_of(&index, name).is_some());
        let own = folder.join("easel.json");
        Ok(Self {
            name: name_of(folder),
            networks,
            scheduler: read_config(&folder.join("scheduler/scheduler_config.json"))?,
            tokenizers: tokenizers
                .map(|name| (name.to_owned(), Tokenizer::Folder(folder.join(name))))
                .collect(),
            easel: if own.exists() {
                read_config(&own)?
            } else {
                Config::default()
            },
            index,
        })
    }
}

impl Checkpoint {
    /// Whether the pipeline says that it is without a part that it has room for.
    pub(crate) fn is_without(&self, name: &str) -> bool {
        self.index
            .get(name)
            .is_some_and(|part| part.get(1).is_some_and(Value::is_null))
    }
}

impl Network {
    /// Looks at a folder with one network.
    pub(crate) fn open(folder: &Path) -> Result<Self, ImportError> {
        let config = read_config(&folder.join("config.json"))?;
        let mut weights = read_weights(folder)?;
        rename_old_attention(&mut weights)?;
        Ok(Self {
            path: folder.to_owned(),
            config,
            weights,
        })
    }
}

/// Autoencoders that were saved before 2023 call the layers of their attention otherwise, and some have convolutions of one pixel for
/// them.
pub(super) fn rename_old_attention(weights: &mut Weights) -> Result<(), ImportError> {
    const NAMES: [(&str, &str); 4] = [
        ("query", "to_q"),
        ("key", "to_k"),
        ("value", "to_v"),
        ("proj_attn", "to_out.0"),
    ];
    let middles = ["encoder.mid_block", "decoder.mid_block"];
    for at in middles.map(|middle| format!("{middle}.attentions.0")) {
        for (old, new) in NAMES {
            for kind in ["weight", "bias"] {
                let Some(weight) = weights.remove(&format!("{at}.{old}.{kind}")) else {
                    continue;
                };
                let weight = match *weight.shape() {
                    [out, input, 1, 1] => weight.shaped(&[out, input])?,
                    _ => weight,
                };
                weights.insert(format!("{at}.{new}.{kind}"), weight);
            }
        }
    }
    Ok(())
}

/// The class of a pipeline's part. `[null, null]` says that there is room for it, but it is not there.
fn class_of<'i>(index: &'i Config, name: &str) -> Option<&'i str> {
    index.get(name)?.get(1)?.as_str()
}

/// What a folder is called.
pub(crate) fn name_of(folder: &Path) -> String {
    let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = absolute.file_name();
    name.map_or_else(
        || "model".into(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Reads a file of settings.
pub(crate) fn read_config(path: &Path) -> Result<Config, ImportError> {
    let text = read_text(path, SETTINGS).map_err(|error| ImportError::unreadable(path, &error))?;
    Config::parse(&text).map_err(|problem| ImportError::bad(path, problem))
}

/// All weights of a network's folder: one file, or several that an index names. Where a repository has its weights twice, the
/// full ones are taken.
fn read_weights(folder: &Path) -> Result<Weights, ImportError> {
    let mut weights = Weights::new();
    // diffusers' name, then transformers'; the whole ones, then the halved.
    for stem in ["diffusion_pytorch_model", "model"] {
        for variant in ["", ".fp16", ".bf16"] {
            let index = match variant {
                "" => format!("{stem}.safetensors.index.json"),
                variant => format!("{stem}.safetensors.index{variant}.json"),
            };
            let index = folder.join(index);
            if index.exists() {
                for name in names(&index)? {
                    take_all(&mut weights, &SafeTensors::open(&folder.join(name))?)?;
                }
                return Ok(weights);
            }
            let file = folder.join(format!("{stem}{variant}.safetensors"));
            if file.exists() {
                take_all(&mut weights, &SafeTensors::open(&file)?)?;
                return Ok(weights);
            }
        }
    }
    let problem = "has no weights in the safetensors format, which alone is read: convert them with diffusers \
                   (save_pretrained writes it)";
    Err(ImportError::bad(folder, problem))
}

/// The files that an index of weights names.
fn names(index: &Path) -> Result<BTreeSet<String>, ImportError> {
    let text = read_text(index, 4 * SETTINGS);
    let text = text.map_err(|error| ImportError::unreadable(index, &error))?;
    let all = Config::parse(&text).map_err(|problem| ImportError::bad(index, problem))?;
    let bad = |problem: String| ImportError::bad(index, problem);
    let map = all.object("weight_map").map_err(bad)?.unwrap_or_default();
    let mut names = BTreeSet::new();
    for (_, file) in map.entries() {
        let name = file.as_str().unwrap_or_default();
        // A plain name: what is elsewhere is none of the checkpoint's.
        let plain = Path::new(name)
            .file_name()
            .is_some_and(|plain| plain == name);
        if !plain {
            let name = quoted(name);
            return Err(ImportError::bad(
                index,
                format_args!("{name} is no file beside it"),
            ));
        }
        names.insert(name.to_owned());
    }
    if names.is_empty() || names.len() > MOST_FILES {
        return Err(ImportError::bad(
            index,
            "names no weights, or far too many files",
        ));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::testing::{Stored, write_safetensors};

    #[test]
    fn old_names_of_attention_are_understood() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = "decoder.mid_block.attentions.0";
        let matrix = Stored::of(&[2, 2, 1, 1], &[1.0, 2.0, 3.0, 4.0]);
        let tensors = [
            (format!("{at}.query.weight"), matrix.clone()),
            (format!("{at}.proj_attn.weight"), matrix),
            (format!("{at}.key.bias"), Stored::of(&[2], &[5.0, 6.0])),
        ];
        write_safetensors(
            &folder.path().join("diffusion_pytorch_model.safetensors"),
            &tensors,
        );
        std::fs::write(folder.path().join("config.json"), "{}").expect("room");
        let network = Network::open(folder.path()).expect("a network");
        let found: Vec<_> = network
            .weights
            .iter()
            .map(|(name, weight)| (name.as_str(), weight.shape()))
            .collect();
        let names =
            ["to_k.bias", "to_out.0.weight", "to_q.weight"].map(|name| format!("{at}.{name}"));
        let shapes: [&[usize]; 3] = [&[2], &[2, 2], &[2, 2]];
        assert_eq!(
            found,
            names
                .iter()
                .map(String::as_str)
                .zip(shapes)
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn an_index_of_weights_leads_nowhere_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = folder.path().join("unet");
        std::fs::create_dir(&inside).expect("room");
        std::fs::write(inside.join("config.json"), "{}").expect("room");
        let index = inside.join("diffusion_pytorch_model.safetensors.index.json");
        for name in [
            "../other.safetensors",
            "/etc/passwd",
            "a/b.safetensors",
            "",
            "..",
        ] {
            let text = json!({"weight_map": {"w": name}}).to_string();
            std::fs::write(&index, text).expect("room");
            let error = Network::open(&inside).err().expect("an error").to_string();
            assert!(error.contains("is no file beside it"), "{name}: {error}");
        }
        std::fs::write(&index, r#"{"weight_map": {}}"#).expect("room");
        assert!(Network::open(&inside).is_err());
    }

    #[test]
    fn parts_that_are_in_several_files_are_one_network() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("config.json"), "{}").expect("room");
        for (number, name) in ["a", "b"].iter().enumerate() {
            let file = folder.path().join(format!("model-{number}.safetensors"));
            write_safetensors(&file, &[((*name).to_owned(), Stored::of(&[1], &[1.0]))]);
        }
        let map = json!({"weight_map": {"a": "model-0.safetensors", "b": "model-1.safetensors"}});
        std::fs::write(
            folder.path().join("model.safetensors.index.json"),
            map.to_string(),
        )
        .expect("room");
        let network = Network::open(folder.path()).expect("a network");
        assert_eq!(network.weights.len(), 2);
        // The same weight in both.
        write_safetensors(
            &folder.path().join("model-1.safetensors"),
            &[("a".into(), Stored::of(&[1], &[1.0]))],
        );
        let error = Network::open(folder.path())
            .err()
            .expect("an error")
            .to_string();
        assert!(error.contains("`a` is in another file, too"), "{error}");
    }

    #[test]
    fn weights_of_another_format_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("config.json"), "{}").expect("room");
        std::fs::write(folder.path().join("pytorch_model.bin"), "pickled").expect("room");
        let error = Network::open(folder.path())
            .err()
            .expect("an error")
            .to_string();
        assert!(
            error.contains("has no weights in the safetensors format"),
            "{error}"
        );
    }
}
