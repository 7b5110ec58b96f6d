//! The U-Net of Stable Diffusion and SDXL: diffusers' `UNet2DConditionModel` (arXiv 2112.10752, 2307.01952).
//!
//! ```text
//! sample ─► conv_in ─► down ─► down ─► … ─► middle ─► … ─► up ─► up ─► norm ─► conv_out ─► out_sample
//!               └─────── each output, beside the residual of a ControlNet ──► up ────┘
//! ```

use serde_json::json;
use tract_onnx::pb::tensor_proto::DataType;

use super::super::error::ImportError;
use super::super::graph::{Axis, Graph, Value};
use super::resnet::{self, Norm};
use super::timesteps::{Waves, embedding};
use super::{only, transformer, unknown};
use crate::config::Config;

const BATCH: Axis = Axis::Named("batch_size");
/// Levels of a U-Net; the largest published have four.
const MOST_LEVELS: usize = 16;
/// Of SDXL: height and width of the original, top and left of the crop, height and width aimed at.
const TIME_IDS: usize = 6;

/// What the blocks of a U-Net share.
struct Blocks {
    norm: Norm,
    /// Of attention, level by level from the outermost one.
    heads: Vec<usize>,
    text: Value,
    /// What step it is, behind its SiLU.
    step: Value,
}

pub(super) fn build(graph: &mut Graph<'_>, config: &Config) -> Result<(), ImportError> {
    refuse_unknown(graph, config)?;
    let bad =
        |graph: &Graph<'_>, problem: String| graph.problem(format_args!("config.json: {problem}"));
    let kinds = |graph: &Graph<'_>, key| kinds(config, key).map_err(|problem| bad(graph, problem));
    let (down, up) = (
        kinds(graph, "down_block_types")?,
        kinds(graph, "up_block_types")?,
    );
    let groups = config
        .count("norm_num_groups", 1..=4096)
        .map_err(|p| bad(graph, p))?
        .unwrap_or(32) as usize;
    let epsilon = config
        .number("norm_eps", 0.0..=1.0)
        .map_err(|p| bad(graph, p))?
        .unwrap_or(1e-5);
    let heads = heads(config, down.len()).map_err(|p| bad(graph, p))?;

    let [_, channels, ..] = graph.weight_of::<4>("conv_in.weight")?;
    let picture = [
        BATCH,
        Axis::Fixed(channels),
        Axis::Named("height"),
        Axis::Named("width"),
    ];
    let sample = graph.input("sample", DataType::Float, &picture);
    let timestep = graph.input("timestep", DataType::Float, &[]);
    let width = text_width(graph)?;
    let text = graph.input(
        "encoder_hidden_states",
        DataType::Float,
        &[BATCH, Axis::Named("sequence_length"), Axis::Fixed(width)],
    );
    let step = step(graph, config, &timestep)?;
    let blocks = Blocks {
        norm: Norm { groups, epsilon },
        heads,
        text,
        step,
    };

    let mut x = graph.conv("conv_in", &sample)?;
    let mut skipped = vec![x.clone()];
    for (level, kind) in down.iter().enumerate() {
        x = blocks.down(graph, level, kind, x, &mut skipped)?;
    }
    let skipped = with_residuals(graph, &skipped);
    x = blocks.middle(graph, config, x)?;
    let residual = graph.input(
        "mid_block_additional_residual",
        DataType::Float,
        &residual_axes(x.channels),
    );
    x = graph.add(&x, &residual);
    let mut skipped = skipped;
    for (number, kind) in up.iter().enumerate() {
        let level = up.len() - 1 - number;
        x = blocks.up(graph, number, level, kind, x, &mut skipped)?;
    }
    let x = graph.group_norm("conv_norm_out", &x, groups, epsilon)?;
    let x = graph.silu(&x);
    let out = graph.conv("conv_out", &x)?;
    let picture = [
        BATCH,
        Axis::Fixed(out.channels),
        Axis::Named("height"),
        Axis::Named("width"),
    ];
    graph.output(&out, "out_sample", &picture);
    Ok(())
}

/// Options that other pipelines' U-Nets have.
fn refuse_unknown(graph: &Graph<'_>, config: &Config) -> Result<(), ImportError> {
    let nothing = || vec![json!(false)];
    only(
        graph,
        config,
        &[
            ("act_fn", &[json!("silu"), json!("swish")]),
            ("addition_embed_type", &[json!("text_time")]),
            ("attention_type", &[json!("default")]),
            ("center_input_sample", &nothing()),
            ("class_embed_type", &[]),
            ("class_embeddings_concat", &nothing()),
            ("cross_attention_norm", &[]),
            ("downsample_padding", &[json!(1)]),
            ("dual_cross_attention", &nothing()),
            ("encoder_hid_dim", &[]),
            ("encoder_hid_dim_type", &[]),
            ("mid_block_only_cross_attention", &nothing()),
            ("mid_block_scale_factor", &[json!(1), json!(1.0)]),
            ("num_class_embeds", &[]),
            ("resnet_out_scale_factor", &[json!(1), json!(1.0)]),
            ("resnet_skip_time_act", &nothing()),
            ("resnet_time_scale_shift", &[json!("default")]),
            ("time_embedding_act_fn", &[]),
            ("time_embedding_type", &[json!("positional")]),
            ("timestep_post_act", &[]),
        ],
    )?;
    let plain = |value: &serde_json::Value| {
        value
            .as_array()
            .is_some_and(|list| list.iter().all(|one| one == false))
    };
    match config.get("only_cross_attention") {
        Some(value) if value != false && !plain(value) => {
            Err(graph.problem(unknown("config.json: `only_cross_attention`")))
        }
        _ => Ok(()),
    }
}

/// The names of the blocks' classes.
fn kinds(config: &Config, key: &str) -> Result<Vec<String>, String> {
    let list = config.get(key).and_then(|value| value.as_array());
    let list = list.filter(|list| (1..=MOST_LEVELS).contains(&list.len()));
    let names = list.and_then(|list| {
        list.iter()
            .map(|name| name.as_str().map(str::to_owned))
            .collect()
    });
    names.ok_or_else(|| format!("`{key}` is not the list of blocks that it should be"))
}

/// Heads of attention on each level. What configurations call the width of a head is how many there are.
fn heads(config: &Config, levels: usize) -> Result<Vec<usize>, String> {
    let key = "attention_head_dim";
    if config.get(key).is_some_and(serde_json::Value::is_array) {
        let heads = config
            .counts(key, levels..=levels, 1..=1024)?
            .unwrap_or_default();
        return Ok(heads.into_iter().map(|heads| heads as usize).collect());
    }
    let heads = config.count(key, 1..=1024)?.unwrap_or(8);
    Ok(vec![heads as usize; levels])
}

/// Features of the text that attention looks at: those of the first layer that does.
fn text_width(graph: &Graph<'_>) -> Result<usize, ImportError> {
    let name = graph.first_with(".attn2.to_k.weight");
    let name = name.ok_or_else(|| graph.problem(unknown("a U-Net that looks at no text")))?;
    let [_, width] = graph.weight_of(&name)?;
    Ok(width)
}

/// What step it is, with all that is told beside it.
fn step(graph: &mut Graph<'_>, config: &Config, timestep: &Value) -> Result<Value, ImportError> {
    let bad =
        |graph: &Graph<'_>, problem: String| graph.problem(format_args!("config.json: {problem}"));
    let cosines_first = config
        .get("flip_sin_to_cos")
        .is_none_or(|value| value != false);
    let shift = config
        .number("freq_shift", -1e3..=1e3)
        .map_err(|p| bad(graph, p))?
        .unwrap_or(0.0);
    let waves = |features| Waves {
        features,
        cosines_first,
        shift,
    };
    let [_, features] = graph.weight_of("time_embedding.linear_1.weight")?;
    let numbers = graph.reshape(timestep, &[1, 1], 1);
    let told = waves(features).of(graph, &numbers, 2);
    // LCM's guidance.
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
    if config
        .text("addition_embed_type")
        .map_err(|p| bad(graph, p))?
        .is_some()
    {
        let width = config
            .count("addition_time_embed_dim", 2..=4096)
            .map_err(|p| bad(graph, p))?;
        let width = width
            .ok_or_else(|| bad(graph, "`addition_time_embed_dim` is missing".into()))?
            as usize;
        let [_, all] = graph.weight_of("add_embedding.linear_1.weight")?;
        let pooled = all
            .checked_sub(TIME_IDS * width)
            .ok_or_else(|| bad(graph, "`addition_time_embed_dim` is too large".into()))?;
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

fn residual_axes(channels: usize) -> [Axis; 4] {
    [
        BATCH,
        Axis::Fixed(channels),
        Axis::Named("residual_height"),
        Axis::Named("residual_width"),
    ]
}

/// Each output of the way down beside a ControlNet's residual, so that one file serves with and without.
fn with_residuals(graph: &mut Graph<'_>, skipped: &[Value]) -> Vec<Value> {
    let mut sums = Vec::new();
    for (number, x) in skipped.iter().enumerate() {
        let name = format!("down_block_additional_residual_{number}");
        let residual = graph.input(&name, DataType::Float, &residual_axes(x.channels));
        sums.push(graph.add(x, &residual));
    }
    sums
}

impl Blocks {
    fn down(
        &self,
        graph: &mut Graph<'_>,
        level: usize,
        kind: &str,
        mut x: Value,
        skipped: &mut Vec<Value>,
    ) -> Result<Value, ImportError> {
        let at = format!("down_blocks.{level}");
        let attends = attends(graph, kind, "CrossAttnDownBlock2D", "DownBlock2D")?;
        for number in 0..graph.count(&format!("{at}.resnets")) {
            x = self.layer(graph, &at, number, level, attends, &x)?;
            skipped.push(x.clone());
        }
        let halves = format!("{at}.downsamplers.0.conv");
        if graph.has(&format!("{halves}.weight")) {
            x = graph.conv_strided(&halves, &x, 2)?;
            skipped.push(x.clone());
        }
        Ok(x)
    }

    fn middle(
        &self,
        graph: &mut Graph<'_>,
        config: &Config,
        x: Value,
    ) -> Result<Value, ImportError> {
        // It may be left out (null), and is not where a configuration says nothing.
        let kind = config.given("mid_block_type");
        let kind = kind.map_or(Some("UNetMidBlock2DCrossAttn"), |kind| kind.as_str());
        let at = "mid_block";
        let attends = match kind {
            None => return Ok(x),
            Some("UNetMidBlock2DCrossAttn") => true,
            Some("UNetMidBlock2D") => false,
            Some(other) => {
                return Err(graph.problem(unknown(&format!("the block {}", super::quoted(other)))));
            }
        };
        let level = self.heads.len() - 1;
        let mut x = resnet::block(
            graph,
            "mid_block.resnets.0",
            &x,
            Some(&self.step),
            self.norm,
        )?;
        for number in 1..graph.count("mid_block.resnets") {
            if attends {
                x = transformer::model(
                    graph,
                    &format!("{at}.attentions.{}", number - 1),
                    &x,
                    &self.text,
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

    fn up(
        &self,
        graph: &mut Graph<'_>,
        number: usize,
        level: usize,
        kind: &str,
        mut x: Value,
        skipped: &mut Vec<Value>,
    ) -> Result<Value, ImportError> {
        let at = format!("up_blocks.{number}");
        let attends = attends(graph, kind, "CrossAttnUpBlock2D", "UpBlock2D")?;
        for number in 0..graph.count(&format!("{at}.resnets")) {
            let skip = skipped.pop().ok_or_else(|| {
                graph.problem("config.json: has more blocks on the way up than down")
            })?;
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
        let heads = *self
            .heads
            .get(level)
            .ok_or_else(|| graph.problem("config.json: has more blocks on the way up than down"))?;
        transformer::model(
            graph,
            &format!("{at}.attentions.{number}"),
            &x,
            &self.text,
            heads,
            self.norm.groups,
        )
    }
}

/// Whether a block is the one of its kind that looks at the text.
fn attends(
    graph: &Graph<'_>,
    kind: &str,
    attending: &str,
    plain: &str,
) -> Result<bool, ImportError> {
    if kind != attending && kind != plain {
        return Err(graph.problem(unknown(&format!("the block {}", super::quoted(kind)))));
    }
    Ok(kind == attending)
}
