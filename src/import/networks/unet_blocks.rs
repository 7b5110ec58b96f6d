//! The blocks of U-Nets, of which a ControlNet has the first half, and what they are told: the step and the text.

use serde_json::{Value as Json, json};
use tract_onnx::pb::tensor_proto::DataType;

use super::super::error::{ImportError, quoted};
use super::super::graph::{Axis, BATCH, Graph, Value, named};
use super::image_prompt::ImagePrompt;
use super::resnet::{self, Norm};
use super::timesteps::{Waves, embedding};
use super::transformer::{self, Seen};
use super::{only, unknown};

/// Levels of a U-Net; the largest published have four.
const MOST_LEVELS: usize = 16;
/// Of SDXL: height and width of the original, top and left of the crop, height and width aimed at.
const TIME_IDS: usize = 6;

/// What the blocks of a U-Net share.
pub(super) struct Blocks {
    pub(super) norm: Norm,
    /// Of attention, level by level from the outermost one.
    heads: Vec<usize>,
    seen: Seen,
    /// What step it is, behind its SiLU.
    step: Value,
}

/// What a block gives, and how many times it was halved.
pub(super) struct Level {
    pub(super) depth: usize,
    pub(super) value: Value,
}

/// A picture of latents that was halved so many times.
pub(super) fn at_level(depth: usize, channels: usize) -> [Axis; 4] {
    let side = |name: &'static str| match depth {
        0 => named(name),
        depth => Axis::Named(format!("{name}_{depth}").into()),
    };
    [BATCH, Axis::Fixed(channels), side("height"), side("width")]
}

/// The classes of blocks that a configuration lists.
pub(super) fn block_classes<'w>(graph: &Graph<'w>, key: &str) -> Result<Vec<&'w str>, ImportError> {
    let list = graph.config().get(key).and_then(Json::as_array);
    let list = list.filter(|list| (1..=MOST_LEVELS).contains(&list.len()));
    let classes = list.and_then(|list| list.iter().map(Json::as_str).collect());
    classes.ok_or_else(|| {
        graph.misconfigured(format_args!(
            "`{key}` is not the list of blocks that it should be"
        ))
    })
}

impl Blocks {
    /// Of a U-Net with so many levels; makes its inputs but for the picture.
    pub(super) fn told(
        graph: &mut Graph<'_>,
        levels: usize,
        image_tokens: usize,
    ) -> Result<Self, ImportError> {
        only(
            graph,
            &[
                ("act_fn", &[json!("silu"), json!("swish")]),
                ("addition_embed_type", &[json!("text_time")]),
                ("attention_type", &[json!("default")]),
                ("class_embed_type", &[]),
                ("downsample_padding", &[json!(1)]),
                ("mid_block_scale_factor", &[json!(1), json!(1.0)]),
                ("num_class_embeds", &[]),
                ("resnet_time_scale_shift", &[json!("default")]),
            ],
        )?;
        let groups = graph.count_of("norm_num_groups", 1..=4096, 32)?;
        let epsilon = graph.number_of("norm_eps", 0.0..=1.0, 1e-5)?;
        let heads = heads(graph, levels)?;
        let timestep = graph.input("timestep", DataType::Float, &[]);
        let width = text_width(graph)?;
        let axes = [BATCH, named("sequence_length"), Axis::Fixed(width)];
        let text = graph.input("encoder_hidden_states", DataType::Float, &axes);
        let step = step(graph, &timestep)?;
        let picture = ImagePrompt::told(graph, image_tokens)?;
        Ok(Self {
            norm: Norm { groups, epsilon },
            heads,
            seen: Seen { text, picture },
            step,
        })
    }

    /// The way down; every output is put behind those in `outputs`.
    pub(super) fn all_down(
        &self,
        graph: &mut Graph<'_>,
        classes: &[&str],
        mut x: Value,
        outputs: &mut Vec<Level>,
    ) -> Result<Value, ImportError> {
        let mut depth = 0;
        for (level, class) in classes.iter().enumerate() {
            let at = format!("down_blocks.{level}");
            let attends = attends(graph, class, "CrossAttnDownBlock2D", "DownBlock2D")?;
            for number in 0..graph.count(&format!("{at}.resnets")) {
                x = self.layer(graph, &at, number, level, attends, &x)?;
                outputs.push(Level {
                    depth,
                    value: x.clone(),
                });
            }
            let halves = format!("{at}.downsamplers.0.conv");
            if graph.has(&format!("{halves}.weight")) {
                x = graph.conv_strided(&halves, &x, 2)?;
                depth += 1;
                outputs.push(Level {
                    depth,
                    value: x.clone(),
                });
            }
        }
        Ok(x)
    }

    pub(super) fn middle(&self, graph: &mut Graph<'_>, x: Value) -> Result<Value, ImportError> {
        // Nothing said is the usual one, `null` is none.
        let attends = match graph.config().given("mid_block_type").map(Json::as_str) {
            None | Some(Some("UNetMidBlock2DCrossAttn")) => true,
            Some(Some("UNetMidBlock2D")) => false,
            Some(None) => return Ok(x),
            Some(Some(other)) => {
                return Err(graph.misconfigured(unknown(&format!("the block {}", quoted(other)))));
            }
        };
        let (at, level) = ("mid_block", self.heads.len() - 1);
        let mut x = resnet::block(
            graph,
            &format!("{at}.resnets.0"),
            &x,
            Some(&self.step),
            self.norm,
        )?;
        for number in 1..graph.count(&format!("{at}.resnets")) {
            if attends {
                let at = format!("{at}.attentions.{}", number - 1);
                x = transformer::model(
                    graph,
                    &at,
                    &x,
                    &self.seen,
                    self.heads[level],
                    self.norm.groups,
                )?;
            }
            x = resnet::block(
                graph,
                &format!("{at}.resnets.{number}"),
                &x,
                Some(&self.step),
                self.norm,
            )?;
        }
        Ok(x)
    }

    /// A block on the way up, the `number`-th one; it takes what `skipped` ends with.
    pub(super) fn up(
        &self,
        graph: &mut Graph<'_>,
        number: usize,
        level: usize,
        class: &str,
        mut x: Value,
        skipped: &mut Vec<Value>,
    ) -> Result<Value, ImportError> {
        let at = format!("up_blocks.{number}");
        let attends = attends(graph, class, "CrossAttnUpBlock2D", "UpBlock2D")?;
        for number in 0..graph.count(&format!("{at}.resnets")) {
            let skip = skipped.pop();
            let skip = skip.ok_or_else(|| graph.misconfigured("more blocks lead up than down"))?;
            let both = graph.concat(&[&x, &skip], 1);
            x = self.layer(graph, &at, number, level, attends, &both)?;
        }
        resnet::upsampled(graph, &at, x)
    }

    /// A residual block, and the transformer behind it on levels that attend.
    fn layer(
        &self,
        graph: &mut Graph<'_>,
        at: &str,
        number: usize,
        level: usize,
        attends: bool,
        x: &Value,
    ) -> Result<Value, ImportError> {
        let x = resnet::block(
            graph,
            &format!("{at}.resnets.{number}"),
            x,
            Some(&self.step),
            self.norm,
        )?;
        if !attends {
            return Ok(x);
        }
        let heads = self.heads.get(level);
        let heads = *heads.ok_or_else(|| graph.misconfigured("more blocks lead up than down"))?;
        transformer::model(
            graph,
            &format!("{at}.attentions.{number}"),
            &x,
            &self.seen,
            heads,
            self.norm.groups,
        )
    }
}

/// Whether a block is the one of its kind that looks at the text.
fn attends(
    graph: &Graph<'_>,
    class: &str,
    attending: &str,
    plain: &str,
) -> Result<bool, ImportError> {
    if class != attending && class != plain {
        return Err(graph.misconfigured(unknown(&format!("the block {}", quoted(class)))));
    }
    Ok(class == attending)
}

/// Heads of attention on each level. What configurations call the width of a head is how many there are.
fn heads(graph: &Graph<'_>, levels: usize) -> Result<Vec<usize>, ImportError> {
    let key = "attention_head_dim";
    if graph.config().get(key).is_some_and(Json::is_array) {
        let heads = graph.config().counts(key, levels..=levels, 1..=1024);
        let heads = heads.map_err(|problem| graph.misconfigured(problem))?;
        return Ok(heads
            .into_iter()
            .flatten()
            .map(|heads| heads as usize)
            .collect());
    }
    Ok(vec![graph.count_of(key, 1..=1024, 8)?; levels])
}

/// Features of the text that attention looks at: those of the first layer that does.
fn text_width(graph: &Graph<'_>) -> Result<usize, ImportError> {
    let name = graph.first_with(".attn2.to_k.weight");
    let name = name.ok_or_else(|| graph.problem(unknown("a U-Net that looks at no text")))?;
    let [_, width] = graph.weight_of(&name)?;
    Ok(width)
}

/// What step it is, with all that is told beside it.
fn step(graph: &mut Graph<'_>, timestep: &Value) -> Result<Value, ImportError> {
    let cosines_first = graph
        .config()
        .get("flip_sin_to_cos")
        .is_none_or(|value| value != false);
    let shift = graph.number_of("freq_shift", -1e3..=1e3, 0.0)?;
    let waves = |features| Waves {
        features,
        cosines_first,
        shift,
    };
    let [_, features] = graph.weight_of("time_embedding.linear_1.weight")?;
    let numbers = graph.reshape(timestep, &[1, 1], 1);
    let told = waves(features).of(graph, &numbers, 2);
    // The guidance of latent consistency models.
    let condition = "time_embedding.cond_proj.weight";
    let condition = if graph.has(condition) {
        let [_, width] = graph.weight_of(condition)?;
        Some(graph.input(
            "timestep_cond",
            DataType::Float,
            &[BATCH, Axis::Fixed(width)],
        ))
    } else {
        None
    };
    let mut step = embedding(graph, "time_embedding", &told, condition.as_ref())?;
    if graph.config().get("addition_embed_type").is_some() {
        let width = graph.count_of("addition_time_embed_dim", 2..=4096, 256)?;
        let [_, all] = graph.weight_of("add_embedding.linear_1.weight")?;
        let pooled = all
            .checked_sub(TIME_IDS * width)
            .filter(|pooled| *pooled > 0);
        let pooled = pooled.ok_or_else(|| {
            graph.problem(format_args!(
                "is told {all} numbers beside the step, not a text and {TIME_IDS} times {width}: SDXL's refiner is, which easel \
                 does not paint with"
            ))
        })?;
        let pooled = graph.input(
            "text_embeds",
            DataType::Float,
            &[BATCH, Axis::Fixed(pooled)],
        );
        let ids = graph.input("time_ids", DataType::Float, &[BATCH, Axis::Fixed(TIME_IDS)]);
        let ids = graph.unsqueeze(&ids, &[2]);
        let ids = waves(width).of(graph, &ids, 3);
        let ids = graph.reshape(&ids, &[0, (TIME_IDS * width) as i64], TIME_IDS * width);
        let told = graph.concat(&[&pooled, &ids], -1);
        let added = embedding(graph, "add_embedding", &told, None)?;
        step = graph.add(&step, &added);
    }
    Ok(graph.silu(&step))
}
