//! CLIP's text encoders in checkpoints: as transformers names their layers, and as OpenCLIP does.

use serde_json::json;

use super::super::error::ImportError;
use super::super::weights::Weights;
use super::source::Source;
use super::untold;
use crate::config::Config;

/// Numbers of a head, in every published one.
const HEAD_WIDTH: usize = 64;
/// Layers of Stable Diffusion 2's encoder, which was trained to use all but the last. Files that were made of diffusers' checkpoints
/// are without it.
const UNUSED_LAST_OF: usize = 24;
/// What transformers puts before its layers.
const MODEL: &str = "text_model";
/// OpenCLIP's layers by transformers' names.
const OPEN_CLIP: [(&str, &str); 5] = [
    ("ln_1", "layer_norm1"),
    ("ln_2", "layer_norm2"),
    ("attn.out_proj", "self_attn.out_proj"),
    ("mlp.c_fc", "mlp.fc1"),
    ("mlp.c_proj", "mlp.fc2"),
];

/// A text encoder whose layers have transformers' names.
pub(super) struct TextEncoder {
    pub(super) weights: Weights,
    layers: usize,
    activation: &'static str,
}

impl TextEncoder {
    /// Takes all weights of one with transformers' names.
    pub(super) fn read(mut source: Source) -> Result<Self, ImportError> {
        // Some files were saved by a transformers without that part of the name.
        for part in ["embeddings", "encoder", "final_layer_norm"] {
            source.take(&format!("{MODEL}.{part}"), &format!("{MODEL}.{part}"))?;
            source.take(part, &format!("{MODEL}.{part}"))?;
        }
        // Counted, not learned; and of the text as a whole, which is not asked for.
        source.weights.remove("text_model.embeddings.position_ids");
        source.drop(&["logit_scale", "text_projection", "text_projection.weight"]);
        let weights = source.finish("text encoder")?;
        let layers = (0..)
            .take_while(|number| {
                let name = format!("{MODEL}.encoder.layers.{number}.layer_norm1.weight");
                weights.contains_key(&name)
            })
            .count();
        Ok(Self {
            weights,
            layers,
            activation: "quick_gelu",
        })
    }

    /// Takes all weights of one with OpenCLIP's names; of one that is `projected`, what makes a vector of the text as a whole, too.
    pub(super) fn read_open_clip(mut source: Source, projected: bool) -> Result<Self, ImportError> {
        let blocks = "transformer.resblocks";
        let mut layers = source.count(blocks);
        if !projected && layers == UNUSED_LAST_OF {
            layers -= 1;
            source.drop_under(&format!("{blocks}.{layers}"));
        }
        for number in 0..layers {
            let (at, new) = (
                format!("{blocks}.{number}"),
                format!("{MODEL}.encoder.layers.{number}"),
            );
            source.take_parts(&at, &new, &OPEN_CLIP)?;
            split_attention(&mut source, &at, &new)?;
        }
        source.take("ln_final", &format!("{MODEL}.final_layer_norm"))?;
        source.take(
            "token_embedding",
            &format!("{MODEL}.embeddings.token_embedding"),
        )?;
        if let Some(weight) = source.remove("positional_embedding") {
            source.put(
                format!("{MODEL}.embeddings.position_embedding.weight"),
                weight,
            )?;
        }
        if let Some(weight) = source.remove("text_projection").filter(|_| projected) {
            source.put("text_projection.weight".into(), weight.transposed()?)?;
        } else if projected && let Some(weight) = source.remove("text_projection.weight") {
            source.put("text_projection.weight".into(), weight)?;
        }
        source.drop(&["logit_scale", "attn_mask", "text_projection.weight"]);
        Ok(Self {
            weights: source.finish("text encoder")?,
            layers,
            activation: "gelu",
        })
    }

    fn side(&self, name: &str, axis: usize) -> Option<usize> {
        self.weights.get(name)?.shape().get(axis).copied()
    }

    /// Tokens that it knows.
    pub(super) fn vocabulary(&self) -> usize {
        self.side("text_model.embeddings.token_embedding.weight", 0)
            .unwrap_or(0)
    }

    /// Numbers of the vector of the text as a whole.
    pub(super) fn pooled(&self) -> Option<usize> {
        self.side("text_projection.weight", 0)
    }

    /// What transformers would save.
    pub(super) fn config(&self) -> Result<Config, ImportError> {
        let width = self.side("text_model.embeddings.token_embedding.weight", 1);
        let width = width.filter(|width| *width > 0 && width.is_multiple_of(HEAD_WIDTH));
        let width =
            width.ok_or_else(|| untold("a text encoder", "how many heads its attention has"))?;
        let class = match self.pooled() {
            Some(_) => "CLIPTextModelWithProjection",
            None => "CLIPTextModel",
        };
        let all = json!({
            "architectures": [class],
            "bos_token_id": 0,
            // As published: the token with the largest number ends the text.
            "eos_token_id": 2,
            "hidden_act": self.activation,
            "hidden_size": width,
            "intermediate_size": self.side("text_model.encoder.layers.0.mlp.fc1.weight", 0),
            "layer_norm_eps": 1e-5,
            "max_position_embeddings": self.side("text_model.embeddings.position_embedding.weight", 0),
            "model_type": "clip_text_model",
            "num_attention_heads": width / HEAD_WIDTH,
            "num_hidden_layers": self.layers,
            "pad_token_id": 1,
            "projection_dim": self.pooled().unwrap_or(width),
            "vocab_size": self.vocabulary(),
        });
        Ok(all.as_object().cloned().unwrap_or_default().into())
    }
}

/// Queries, keys and values, which OpenCLIP has in one layer.
fn split_attention(source: &mut Source, at: &str, new: &str) -> Result<(), ImportError> {
    for kind in ["weight", "bias"] {
        let Some(all) = source.remove(&format!("{at}.attn.in_proj_{kind}")) else {
            continue;
        };
        let (rows, _) = all.rows();
        let width = rows / 3;
        if width * 3 != rows {
            return Err(ImportError::Bad(format!(
                "{at}.attn.in_proj_{kind} has {rows} rows, which are no three parts"
            )));
        }
        for (number, part) in ["q_proj", "k_proj", "v_proj"].into_iter().enumerate() {
            let part = format!("{new}.self_attn.{part}.{kind}");
            let rows = number * width..(number + 1) * width;
            source.put(part, all.clone().part(rows)?)?;
        }
    }
    Ok(())
}
