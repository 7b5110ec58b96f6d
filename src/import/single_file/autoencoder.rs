//! The autoencoder as its authors name its layers.
//!
//! ```text
//! encoder.down.L.block.J, .downsample    → encoder.down_blocks.L.resnets.J, .downsamplers.0
//! encoder.mid.block_1, attn_1, block_2   → encoder.mid_block.resnets.0, attentions.0, resnets.1
//! decoder.up.L.block.J, .upsample        → decoder.up_blocks.(counted from the other end).resnets.J, .upsamplers.0
//! ```

use serde_json::json;

use super::super::error::ImportError;
use super::super::weights::Weights;
use super::source::Source;
use super::untold;
use crate::config::Config;

/// Layers of a residual block.
const RESIDUAL: [(&str, &str); 5] = [
    ("norm1", "norm1"),
    ("conv1", "conv1"),
    ("norm2", "norm2"),
    ("conv2", "conv2"),
    ("nin_shortcut", "conv_shortcut"),
];
/// Layers of the attention in the middle; all but the first are convolutions of one pixel, where diffusers has linear layers.
const ATTENTION: [(&str, &str); 5] = [
    ("norm", "group_norm"),
    ("q", "to_q"),
    ("k", "to_k"),
    ("v", "to_v"),
    ("proj_out", "to_out.0"),
];
const NORM_GROUPS: usize = 32;

/// An autoencoder whose layers have diffusers' names.
pub(super) struct Autoencoder {
    pub(super) weights: Weights,
}

impl Autoencoder {
    /// Takes all weights.
    pub(super) fn read(mut source: Source) -> Result<Self, ImportError> {
        for half in ["encoder", "decoder"] {
            source.take(&format!("{half}.conv_in"), &format!("{half}.conv_in"))?;
            source.take(
                &format!("{half}.norm_out"),
                &format!("{half}.conv_norm_out"),
            )?;
            source.take(&format!("{half}.conv_out"), &format!("{half}.conv_out"))?;
            middle(&mut source, half)?;
        }
        for level in 0..source.count("encoder.down") {
            let (at, new) = (
                format!("encoder.down.{level}"),
                format!("encoder.down_blocks.{level}"),
            );
            residual_blocks(&mut source, &at, &new)?;
            source.take(
                &format!("{at}.downsample"),
                &format!("{new}.downsamplers.0"),
            )?;
        }
        let levels = source.count("decoder.up");
        for level in 0..levels {
            let (at, new) = (
                format!("decoder.up.{level}"),
                format!("decoder.up_blocks.{}", levels - 1 - level),
            );
            residual_blocks(&mut source, &at, &new)?;
            source.take(&format!("{at}.upsample"), &format!("{new}.upsamplers.0"))?;
        }
        for layer in ["quant_conv", "post_quant_conv"] {
            source.take(layer, layer)?;
        }
        // What it was trained with.
        source.drop_under("loss");
        source.drop_under("model_ema");
        Ok(Self {
            weights: source.finish("autoencoder")?,
        })
    }

    fn side(&self, name: &str, axis: usize) -> usize {
        let shape = self.weights.get(name).map(|weight| weight.shape());
        shape
            .and_then(|shape| shape.get(axis).copied())
            .unwrap_or(0)
    }

    /// What diffusers would save: `side` is the width of pictures, `scaling` what latents are multiplied by for the U-Net.
    pub(super) fn config(&self, side: usize, scaling: f64) -> Result<Config, ImportError> {
        let first = |level: usize, block: usize| {
            format!("decoder.up_blocks.{level}.resnets.{block}.conv1.weight")
        };
        let counted = |name: &dyn Fn(usize) -> String| {
            let there = (0..).take_while(|number| self.weights.contains_key(&name(*number)));
            there.count()
        };
        let levels = counted(&|level| first(level, 0));
        let blocks = counted(&|block| first(0, block));
        let channels: Vec<usize> = (0..levels)
            .rev()
            .map(|level| self.side(&first(level, 0), 0))
            .collect();
        if channels
            .iter()
            .any(|count| !count.is_multiple_of(NORM_GROUPS))
        {
            return Err(untold("the autoencoder", "how its channels are normalized"));
        }
        let all = json!({
            "_class_name": "AutoencoderKL",
            "act_fn": "silu",
            "block_out_channels": channels,
            "down_block_types": vec!["DownEncoderBlock2D"; levels],
            "in_channels": 3,
            "latent_channels": self.side("decoder.conv_in.weight", 1),
            "layers_per_block": blocks.saturating_sub(1),
            "norm_num_groups": NORM_GROUPS,
            "out_channels": self.side("decoder.conv_out.weight", 0),
            "sample_size": side,
            "scaling_factor": scaling,
            "up_block_types": vec!["UpDecoderBlock2D"; levels],
        });
        Ok(all.as_object().cloned().unwrap_or_default().into())
    }
}

fn residual_blocks(source: &mut Source, at: &str, new: &str) -> Result<(), ImportError> {
    for number in 0..source.count(&format!("{at}.block")) {
        let (at, new) = (
            format!("{at}.block.{number}"),
            format!("{new}.resnets.{number}"),
        );
        source.take_parts(&at, &new, &RESIDUAL)?;
    }
    Ok(())
}

fn middle(source: &mut Source, half: &str) -> Result<(), ImportError> {
    let (at, new) = (format!("{half}.mid"), format!("{half}.mid_block"));
    for (old, number) in [("block_1", 0), ("block_2", 1)] {
        source.take_parts(
            &format!("{at}.{old}"),
            &format!("{new}.resnets.{number}"),
            &RESIDUAL,
        )?;
    }
    let (at, new) = (format!("{at}.attn_1"), format!("{new}.attentions.0"));
    for (old, part) in ATTENTION {
        for kind in ["weight", "bias"] {
            let Some(mut weight) = source.remove(&format!("{at}.{old}.{kind}")) else {
                continue;
            };
            if let [out, input, 1, 1] = *weight.shape() {
                weight = weight.shaped(&[out, input])?;
            }
            source.put(format!("{new}.{part}.{kind}"), weight)?;
        }
    }
    Ok(())
}
