//! IP-Adapters in their authors' own format: `image_proj`, what makes tokens of a picture, and `ip_adapter`, keys and values for each
//! attention to the text (arXiv 2308.06721). They become weights of the U-Net under the names that diffusers gives them there.

use std::path::{Path, PathBuf};

use super::checkpoint::{Checkpoint, Network, read_config};
use super::error::{ImportError, quoted};
use super::networks::PROJECTION;
use super::safetensors::SafeTensors;
use super::weights::{Weight, Weights};

/// Folder of the image encoder, in a model directory and where adapters are published.
const IMAGE_ENCODER: &str = "image_encoder";

impl Checkpoint {
    /// Gives the U-Net the layers of the adapter in `file`, and takes its image encoder: from `encoder`, or where it is published.
    pub(super) fn add_ip_adapter(
        &mut self,
        file: &Path,
        encoder: Option<&Path>,
    ) -> Result<(), ImportError> {
        let adapter = SafeTensors::open(file)?;
        let encoder = Network::open(&find_encoder(file, encoder)?)?;
        let Some(unet) = self.networks.get_mut("unet") else {
            return Err(ImportError::Bad(format!(
                "{}: has no U-Net that an IP-Adapter is for",
                self.name
            )));
        };
        let bad = |problem: String| ImportError::bad(file, problem);
        if adapter.get("image_proj.proj.weight").is_none()
            && adapter.get("image_proj.latents").is_none()
        {
            return Err(bad("is neither a plain IP-Adapter nor a Plus; Full, FaceID and others are not known here".into()));
        }
        let attended = attentions(&unet.weights);
        for name in adapter.names() {
            let Some(tensor) = adapter.get(name) else {
                continue;
            };
            let weight = Weight::new(tensor);
            let problem = || {
                bad(format!(
                    "{} is no weight of an adapter for this U-Net",
                    quoted(name)
                ))
            };
            if let Some(own) = name.strip_prefix("image_proj.") {
                for (name, weight) in projection(own, weight).ok_or_else(problem)?? {
                    unet.weights.insert(format!("{PROJECTION}.{name}"), weight);
                }
            } else if let Some(own) = name.strip_prefix("ip_adapter.") {
                // Attentions are counted from 1 on, those to the picture itself, too.
                let (number, part) = own.split_once('.').ok_or_else(problem)?;
                let number: usize = number.parse().map_err(|_| problem())?;
                let part = part.strip_suffix(".weight").ok_or_else(problem)?;
                let at = attended
                    .get(number / 2)
                    .filter(|_| number % 2 == 1)
                    .ok_or_else(problem)?;
                unet.weights
                    .insert(format!("{at}.processor.{part}.0.weight"), weight);
            }
        }
        let last = attended
            .last()
            .map(|at| format!("{at}.processor.to_k_ip.0.weight"));
        if last.is_none_or(|name| !unet.weights.contains_key(&name)) {
            return Err(bad(
                "is for a U-Net with fewer layers: take one that was made for this kind of model"
                    .into(),
            ));
        }
        self.networks.insert(IMAGE_ENCODER.into(), encoder);
        Ok(())
    }
}

/// Whether a U-Net has an adapter that looks at a picture's patches ("Plus").
pub(super) fn is_plus(unet: &Network) -> bool {
    unet.weights.contains_key(&format!("{PROJECTION}.latents"))
}

/// How many vectors an image encoder gives of a picture: one a patch, and one more.
pub(super) fn image_tokens(encoder: &Network) -> usize {
    let positions = encoder
        .weights
        .get("vision_model.embeddings.position_embedding.weight");
    positions.map_or(0, |positions| positions.rows().0)
}

/// The layers of attention to the text in the order in which adapters count them: down, up, and the middle last.
fn attentions(weights: &Weights) -> Vec<String> {
    let end = ".attn2.to_q.weight";
    let mut found: Vec<&str> = weights
        .keys()
        .filter_map(|name| name.strip_suffix(end))
        .collect();
    found.sort_by_key(|name| {
        let place = ["down_blocks.", "up_blocks."]
            .iter()
            .position(|start| name.starts_with(start));
        let numbers: Vec<usize> = name
            .split('.')
            .filter_map(|part| part.parse().ok())
            .collect();
        (place.unwrap_or(2), numbers)
    });
    found
        .into_iter()
        .map(|name| format!("{name}.attn2"))
        .collect()
}

type Renamed = Result<Vec<(String, Weight)>, ImportError>;

/// A weight of `image_proj` under diffusers' name.
fn projection(name: &str, weight: Weight) -> Option<Renamed> {
    let (layer, kind) = name.rsplit_once('.').unwrap_or(("", name));
    let one = |name: String| Some(Ok(vec![(name, weight.clone())]));
    match layer {
        "proj" => return one(format!("image_embeds.{kind}")),
        "norm" | "proj_in" | "proj_out" | "norm_out" => return one(name.to_owned()),
        "" if kind == "latents" => return one(name.to_owned()),
        _ => {}
    }
    // layers.3.0.to_q: the attention of the fourth layer; layers.3.1.0: the norm before its feed-forward.
    let [number, part, inner] = layer
        .strip_prefix("layers.")?
        .splitn(3, '.')
        .collect::<Vec<_>>()[..]
    else {
        return None;
    };
    let at = format!("layers.{}", number.parse::<usize>().ok()?);
    match (part, inner) {
        ("0", "norm1") => one(format!("{at}.ln0.{kind}")),
        ("0", "norm2") => one(format!("{at}.ln1.{kind}")),
        ("0", "to_q") => one(format!("{at}.attn.to_q.{kind}")),
        ("0", "to_out") => one(format!("{at}.attn.to_out.0.{kind}")),
        ("1", "0") => one(format!("{at}.ff.0.{kind}")),
        ("1", "1") => one(format!("{at}.ff.1.net.0.proj.{kind}")),
        ("1", "3") => one(format!("{at}.ff.1.net.2.{kind}")),
        ("0", "to_kv") => {
            let half = weight.rows().0 / 2;
            let parts = [("to_k", 0..half), ("to_v", half..2 * half)];
            let parts = parts.map(|(part, rows)| {
                Ok((
                    format!("{at}.attn.{part}.{kind}"),
                    weight.clone().part(rows)?,
                ))
            });
            Some(parts.into_iter().collect())
        }
        _ => None,
    }
}

/// The image encoder's folder: the one that is named, or where it is published: beside the adapter, or one for several.
fn find_encoder(file: &Path, encoder: Option<&Path>) -> Result<PathBuf, ImportError> {
    if let Some(folder) = encoder {
        return Ok(folder.to_owned());
    }
    let folder = file.parent().unwrap_or(Path::new("."));
    let places = [
        folder.join(IMAGE_ENCODER),
        folder.join("..").join(IMAGE_ENCODER),
        folder.join("../models").join(IMAGE_ENCODER),
    ];
    // There are two: an adapter is for one of them.
    let wanted = features(file)?;
    let fits = |place: &&PathBuf| {
        let config = read_config(&place.join("config.json"));
        config.is_ok_and(|config| {
            wanted.is_none_or(|(key, width)| config.count(key, 1..=65_536) == Ok(Some(width)))
        })
    };
    places.iter().find(fits).cloned().ok_or_else(|| {
        ImportError::bad(file, "no image encoder that it was made for lies beside it: name its folder with --image-encoder")
    })
}

/// Of the image encoder that an adapter is for: the key of its configuration, and what that is.
fn features(file: &Path) -> Result<Option<(&'static str, u32)>, ImportError> {
    let adapter = SafeTensors::open(file)?;
    let of = |name: &str| {
        adapter
            .get(name)
            .and_then(|tensor| tensor.shape().get(1).copied())
    };
    Ok(
        match (
            of("image_proj.proj_in.weight"),
            of("image_proj.proj.weight"),
        ) {
            (Some(width), _) => Some(("hidden_size", width as u32)),
            (None, Some(width)) => Some(("projection_dim", width as u32)),
            (None, None) => None,
        },
    )
}
