//! The U-Net as its authors name its layers: one list of numbered parts each way, whatever they are.
//!
//! ```text
//! input_blocks.0            conv_in
//! input_blocks.N.0          a residual block, in_layers …       → down_blocks.L.resnets.J
//! input_blocks.N.0.op       halves, and ends level L            → down_blocks.L.downsamplers.0.conv
//! input_blocks.N.1          the transformer behind a block      → down_blocks.L.attentions.J
//! middle_block.M            either                              → mid_block.resnets.J, mid_block.attentions.J
//! output_blocks.N.0, .1     as on the way down                  → up_blocks.L.resnets.J, up_blocks.L.attentions.J
//! output_blocks.N.1 or .2   doubles (`conv`), and ends level L  → up_blocks.L.upsamplers.0.conv
//! ```

use serde_json::{Map, Value, json};

use super::super::error::ImportError;
use super::super::weights::Weights;
use super::source::Source;
use super::untold;
use crate::config::Config;

/// Layers outside blocks.
pub(super) const OUTSIDE: [(&str, &str); 8] = [
    ("time_embed.0", "time_embedding.linear_1"),
    ("time_embed.2", "time_embedding.linear_2"),
    ("time_embed.cond_proj", "time_embedding.cond_proj"),
    ("label_emb.0.0", "add_embedding.linear_1"),
    ("label_emb.0.2", "add_embedding.linear_2"),
    ("input_blocks.0.0", "conv_in"),
    ("out.0", "conv_norm_out"),
    ("out.2", "conv_out"),
];
/// Layers of a residual block.
pub(super) const RESIDUAL: [(&str, &str); 6] = [
    ("in_layers.0", "norm1"),
    ("in_layers.2", "conv1"),
    ("emb_layers.1", "time_emb_proj"),
    ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
    ("skip_connection", "conv_shortcut"),
];
/// Heads of attention in Stable Diffusion 1.x, on every level.
const HEADS: usize = 8;
/// Numbers of a head in Stable Diffusion 2.x and XL.
const HEAD_WIDTH: usize = 64;
/// Of every published one.
const NORM_GROUPS: usize = 32;
/// Of SDXL: height and width of the original, top and left of the crop, height and width aimed at.
const TIME_IDS: usize = 6;

/// Residual blocks of one size, and the depth of the transformer behind each, if they have any.
#[derive(Default)]
struct Level {
    blocks: usize,
    depths: Vec<usize>,
}

/// A U-Net whose layers have diffusers' names.
pub(super) struct Unet {
    pub(super) weights: Weights,
    down: Vec<Level>,
    middle: Option<Level>,
    up: Vec<Level>,
}

impl Unet {
    /// Takes all weights.
    pub(super) fn read(mut source: Source) -> Result<Self, ImportError> {
        for (old, new) in OUTSIDE {
            source.take(old, new)?;
        }
        let mut down = vec![Level::default()];
        // The first of them was taken above.
        for number in source.numbers("input_blocks", 1) {
            let at = format!("input_blocks.{number}");
            let block = format!("down_blocks.{}", down.len() - 1);
            if source.has_any(&format!("{at}.0.op")) {
                source.take(
                    &format!("{at}.0.op"),
                    &format!("{block}.downsamplers.0.conv"),
                )?;
                down.push(Level::default());
            } else if let Some(level) = down.last_mut() {
                level.take(&mut source, &at, &block)?;
            }
        }
        let mut middle = Level::default();
        for number in source.numbers("middle_block", 0) {
            middle.take_part(&mut source, &format!("middle_block.{number}"), "mid_block")?;
        }
        let mut up = vec![Level::default()];
        for number in source.numbers("output_blocks", 0) {
            let at = format!("output_blocks.{number}");
            let block = format!("up_blocks.{}", up.len() - 1);
            let Some(level) = up.last_mut() else {
                continue;
            };
            level.take(&mut source, &at, &block)?;
            for doubling in [1, 2].map(|part| format!("{at}.{part}.conv")) {
                if source.has_any(&doubling) {
                    source.take(&doubling, &format!("{block}.upsamplers.0.conv"))?;
                    up.push(Level::default());
                    break;
                }
            }
        }
        Ok(Self {
            weights: source.finish("U-Net")?,
            down,
            middle: Some(middle).filter(|level| level.blocks > 0),
            up,
        })
    }

    /// The shape of a weight; 0 where it is not there, which building the network then says.
    fn side(&self, name: &str, axis: usize) -> usize {
        let shape = self.weights.get(name).map(|weight| weight.shape());
        shape
            .and_then(|shape| shape.get(axis).copied())
            .unwrap_or(0)
    }

    /// Channels of latents and what lies beside them.
    pub(super) fn channels(&self) -> usize {
        self.side("conv_in.weight", 1)
    }

    /// Numbers that it is told of the guidance, as models of few steps are.
    pub(super) fn guidance_width(&self) -> Option<usize> {
        Some(self.side("time_embedding.cond_proj.weight", 1)).filter(|width| *width > 0)
    }

    /// Whether what is before and behind a transformer are linear layers, as from Stable Diffusion 2 on.
    pub(super) fn is_linear(&self) -> bool {
        let mut weights = self.weights.iter();
        let first = weights.find(|(name, _)| name.ends_with(".proj_in.weight"));
        first.is_some_and(|(_, weight)| weight.shape().len() == 2)
    }

    /// What the text has for each token.
    pub(super) fn text_width(&self) -> Option<usize> {
        let mut weights = self.weights.iter();
        let first = weights.find(|(name, _)| name.ends_with(".attn2.to_k.weight"));
        first.and_then(|(_, weight)| weight.shape().get(1).copied())
    }

    /// Numbers that it is told of the text as a whole and of sizes.
    pub(super) fn told(&self) -> Option<usize> {
        Some(self.side("add_embedding.linear_1.weight", 1)).filter(|told| *told > 0)
    }

    /// Whether a model of Stable Diffusion 2 predicts velocity, which no name and no shape tells. How far the biases before the
    /// last attention are from each other does: in the published models that predict it more than 0.09, in the others less. It is a
    /// measure that programs of the community go by.
    pub(super) fn is_of_velocity(&self) -> Result<bool, ImportError> {
        const LEAST_DEVIATION: f32 = 0.09;
        let mut names = self.weights.iter().rev();
        let last = names.find(|(name, _)| {
            name.starts_with("up_blocks.") && name.ends_with(".transformer_blocks.0.norm1.bias")
        });
        let Some((_, bias)) = last else {
            return Ok(false);
        };
        let (rows, _) = bias.rows();
        let mut values = Vec::new();
        bias.read(0..rows, &mut values)?;
        let count = values.len().max(1) as f32;
        let mean = values.iter().sum::<f32>() / count;
        let squares = values.iter().map(|value| (value - mean).powi(2));
        Ok((squares.sum::<f32>() / count).sqrt() > LEAST_DEVIATION)
    }

    /// What diffusers would save: `side` is the width of pictures' latents, `pooled` of the text as a whole.
    pub(super) fn config(&self, side: usize, pooled: Option<usize>) -> Result<Config, ImportError> {
        let channels: Vec<usize> = (0..self.down.len())
            .map(|level| self.side(&format!("down_blocks.{level}.resnets.0.conv1.weight"), 0))
            .collect();
        if channels
            .iter()
            .any(|count| !count.is_multiple_of(NORM_GROUPS))
        {
            return Err(untold("the U-Net", "how its channels are normalized"));
        }
        let linear = self.is_linear();
        let unit = if linear { HEAD_WIDTH } else { HEADS };
        if channels.iter().any(|count| !count.is_multiple_of(unit)) {
            return Err(untold("the U-Net", "how many heads its attention has"));
        }
        let heads = if linear {
            json!(
                channels
                    .iter()
                    .map(|count| count / HEAD_WIDTH)
                    .collect::<Vec<_>>()
            )
        } else {
            json!(HEADS)
        };
        let down = classes(&self.down, "CrossAttnDownBlock2D", "DownBlock2D")?;
        let up = classes(&self.up, "CrossAttnUpBlock2D", "UpBlock2D")?;
        let middle = self.middle.as_ref().map(|middle| {
            if middle.depths.is_empty() {
                "UNetMidBlock2D"
            } else {
                "UNetMidBlock2DCrossAttn"
            }
        });
        let blocks = self.down.iter().map(|level| json!(level.blocks));
        let mut all = Map::new();
        let mut set = |key: &str, value: Value| all.insert(key.to_owned(), value);
        set("_class_name", json!("UNet2DConditionModel"));
        set("act_fn", json!("silu"));
        set("attention_head_dim", heads);
        set("block_out_channels", json!(channels));
        set("cross_attention_dim", json!(self.text_width()));
        set("down_block_types", json!(down));
        set("flip_sin_to_cos", json!(true));
        set("freq_shift", json!(0));
        set("in_channels", json!(self.channels()));
        set("layers_per_block", same_or_list(blocks.collect()));
        set("mid_block_type", json!(middle));
        set("norm_eps", json!(1e-5));
        set("norm_num_groups", json!(NORM_GROUPS));
        set("out_channels", json!(self.side("conv_out.weight", 0)));
        set("sample_size", json!(side));
        set("time_cond_proj_dim", json!(self.guidance_width()));
        set("up_block_types", json!(up));
        set("use_linear_projection", json!(linear));
        let depths: Vec<Value> = self.down.iter().map(Level::depth).collect();
        let upwards: Vec<Value> = self.up.iter().map(Level::depth).collect();
        if !upwards.iter().rev().eq(&depths) {
            set("reverse_transformer_layers_per_block", json!(upwards));
        }
        set("transformer_layers_per_block", same_or_list(depths));
        if let Some(told) = self.told() {
            let sizes = pooled.and_then(|pooled| told.checked_sub(pooled));
            let width = sizes.filter(|sizes| *sizes > 0 && sizes.is_multiple_of(2 * TIME_IDS));
            let width = width.ok_or_else(|| {
                ImportError::Bad(format!(
                    "the U-Net is told {told} numbers beside the step, which fit none of the text encoders: SDXL's refiner and \
                     unCLIP are not painted with"
                ))
            })?;
            set("addition_embed_type", json!("text_time"));
            set("addition_time_embed_dim", json!(width / TIME_IDS));
            set("projection_class_embeddings_input_dim", json!(told));
        }
        Ok(all.into())
    }
}

impl Level {
    /// Takes a residual block, and the transformer behind it if there is one.
    fn take(&mut self, source: &mut Source, at: &str, block: &str) -> Result<(), ImportError> {
        self.take_part(source, &format!("{at}.0"), block)?;
        let behind = format!("{at}.1");
        if source.has_any(&format!("{behind}.transformer_blocks")) {
            self.take_part(source, &behind, block)?;
        }
        Ok(())
    }

    /// Takes either.
    fn take_part(&mut self, source: &mut Source, at: &str, block: &str) -> Result<(), ImportError> {
        if source.has_any(&format!("{at}.transformer_blocks")) {
            let number = self.depths.len();
            self.depths
                .push(source.count(&format!("{at}.transformer_blocks")));
            return source.take(at, &format!("{block}.attentions.{number}"));
        }
        self.blocks += 1;
        source.take_parts(
            at,
            &format!("{block}.resnets.{}", self.blocks - 1),
            &RESIDUAL,
        )
    }

    /// How deep its transformers are; 1 where there are none, as diffusers writes it.
    fn depth(&self) -> Value {
        match &self.depths[..] {
            [] => json!(1),
            depths => same_or_list(depths.iter().map(|depth| json!(depth)).collect()),
        }
    }
}

/// The classes of blocks.
fn classes<'c>(
    levels: &[Level],
    attending: &'c str,
    plain: &'c str,
) -> Result<Vec<&'c str>, ImportError> {
    let class = |level: &Level| {
        match level.depths.len() {
        0 => Ok(plain),
        count if count == level.blocks => Ok(attending),
        _ => Err(ImportError::Bad(
            "the U-Net has attention behind some blocks of a size and not behind others, which is not known here".into(),
        )),
    }
    };
    levels.iter().map(class).collect()
}

/// One value where all are the same.
fn same_or_list(values: Vec<Value>) -> Value {
    match values.first() {
        Some(first) if values.iter().all(|value| value == first) => first.clone(),
        _ => Value::Array(values),
    }
}
