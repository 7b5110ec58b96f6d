//! The U-Net of Stable Diffusion and SDXL: diffusers' `UNet2DConditionModel` (arXiv 2112.10752, 2307.01952).
//!
//! ```text
//! sample ─► conv_in ─► down ─► down ─► … ─► middle ─► … ─► up ─► up ─► norm ─► conv_out ─► out_sample
//!               └─────── each output, beside the residual of a ControlNet ──► up ────┘
//! ```

use serde_json::{Value as Json, json};
use tract_onnx::pb::tensor_proto::DataType;

use super::super::error::ImportError;
use super::super::graph::{Graph, Value};
use super::unet_blocks::{Blocks, Level, at_level, block_classes};
use super::{only, unknown};

/// `image_tokens`: vectors of a prompt picture, where an adapter looks at each of its patches.
pub(super) fn build(graph: &mut Graph<'_>, image_tokens: usize) -> Result<(), ImportError> {
    refuse_unknown(graph)?;
    let (down, up) = (
        block_classes(graph, "down_block_types")?,
        block_classes(graph, "up_block_types")?,
    );
    let [_, channels, ..] = graph.weight_of::<4>("conv_in.weight")?;
    let sample = graph.input("sample", DataType::Float, &at_level(0, channels));
    let blocks = Blocks::told(graph, down.len(), image_tokens)?;

    let x = graph.conv("conv_in", &sample)?;
    let mut skipped = vec![Level {
        depth: 0,
        value: x.clone(),
    }];
    let mut x = blocks.all_down(graph, &down, x, &mut skipped)?;
    let deepest = skipped.last().map_or(0, |level| level.depth);
    let mut skipped = with_residuals(graph, skipped);
    x = blocks.middle(graph, x)?;
    let axes = at_level(deepest, x.channels);
    let residual = graph.input("mid_block_additional_residual", DataType::Float, &axes);
    x = graph.add(&x, &residual);
    for (number, class) in up.iter().enumerate() {
        let level = up.len() - 1 - number;
        x = blocks.up(graph, number, level, class, x, &mut skipped)?;
    }
    let x = graph.group_norm("conv_norm_out", &x, blocks.norm.groups, blocks.norm.epsilon)?;
    let x = graph.silu(&x);
    let out = graph.conv("conv_out", &x)?;
    graph.output(&out, "out_sample", &at_level(0, out.channels));
    Ok(())
}

/// Options that other pipelines' U-Nets have.
fn refuse_unknown(graph: &Graph<'_>) -> Result<(), ImportError> {
    only(
        graph,
        &[
            ("center_input_sample", &[json!(false)]),
            ("class_embeddings_concat", &[json!(false)]),
            ("cross_attention_norm", &[]),
            ("dual_cross_attention", &[json!(false)]),
            ("encoder_hid_dim", &[]),
            ("encoder_hid_dim_type", &[]),
            ("mid_block_only_cross_attention", &[json!(false)]),
            ("resnet_out_scale_factor", &[json!(1), json!(1.0)]),
            ("resnet_skip_time_act", &[json!(false)]),
            ("time_embedding_act_fn", &[]),
            ("time_embedding_type", &[json!("positional")]),
            ("timestep_post_act", &[]),
        ],
    )?;
    let plain = |value: &Json| match value {
        Json::Array(list) => list.iter().all(|one| one == false),
        one => one == false,
    };
    match graph.config().get("only_cross_attention") {
        Some(value) if !plain(value) => Err(graph.misconfigured(unknown("`only_cross_attention`"))),
        _ => Ok(()),
    }
}

/// Each output of the way down beside a ControlNet's residual, so that one file serves with and without.
fn with_residuals(graph: &mut Graph<'_>, skipped: Vec<Level>) -> Vec<Value> {
    let mut sums = Vec::new();
    for (number, Level { depth, value }) in skipped.into_iter().enumerate() {
        let name = format!("down_block_additional_residual_{number}");
        let residual = graph.input(&name, DataType::Float, &at_level(depth, value.channels));
        sums.push(graph.add(&value, &residual));
    }
    sums
}
