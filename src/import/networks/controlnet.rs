//! ControlNet (arXiv 2302.05543), diffusers' `ControlNetModel`: the first half of a U-Net that sees a hint picture, too.
//!
//! ```text
//! sample ─► conv_in ─┬► Add ─► down ─► … ─► middle ─► conv 1×1 ─► · scale ─► mid_block_res_sample
//! hint ─► convs ─────┘    └─ each output ─► conv 1×1 ─► · scale ─► down_block_res_sample_0 …
//! ```

use serde_json::json;
use tract_onnx::pb::tensor_proto::DataType;

use super::super::error::ImportError;
use super::super::graph::{Axis, BATCH, Graph, Value, named};
use super::only;
use super::unet_blocks::{Blocks, Level, at_level, block_classes};

pub(super) fn build(graph: &mut Graph<'_>) -> Result<(), ImportError> {
    only(
        graph,
        &[
            ("controlnet_conditioning_channel_order", &[json!("rgb")]),
            ("encoder_hid_dim", &[]),
            ("encoder_hid_dim_type", &[]),
            ("global_pool_conditions", &[json!(false)]),
            ("only_cross_attention", &[json!(false)]),
        ],
    )?;
    let down = block_classes(graph, "down_block_types")?;
    let [_, channels, ..] = graph.weight_of::<4>("conv_in.weight")?;
    let sample = graph.input("sample", DataType::Float, &at_level(0, channels));
    let blocks = Blocks::told(graph, down.len(), 0)?;
    let hint = hint(graph)?;
    let scale = graph.input("conditioning_scale", DataType::Float, &[]);

    let x = graph.conv("conv_in", &sample)?;
    let x = graph.add(&x, &hint);
    let mut outputs = vec![Level {
        depth: 0,
        value: x.clone(),
    }];
    let x = blocks.all_down(graph, &down, x, &mut outputs)?;
    let deepest = outputs.last().map_or(0, |level| level.depth);
    let middle = blocks.middle(graph, x)?;
    for (number, Level { depth, value }) in outputs.iter().enumerate() {
        let name = format!("down_block_res_sample_{number}");
        residual(
            graph,
            &format!("controlnet_down_blocks.{number}"),
            value,
            &scale,
            &name,
            *depth,
        )?;
    }
    residual(
        graph,
        "controlnet_mid_block",
        &middle,
        &scale,
        "mid_block_res_sample",
        deepest,
    )
}

/// The hint picture at the latents' size.
fn hint(graph: &mut Graph<'_>) -> Result<Value, ImportError> {
    let at = "controlnet_cond_embedding";
    let [_, channels, ..] = graph.weight_of::<4>(&format!("{at}.conv_in.weight"))?;
    // Called otherwise than the latents' axes, which are other numbers.
    let axes = [
        BATCH,
        Axis::Fixed(channels),
        named("image_height"),
        named("image_width"),
    ];
    let picture = graph.input("controlnet_cond", DataType::Float, &axes);
    let mut x = graph.conv(&format!("{at}.conv_in"), &picture)?;
    x = graph.silu(&x);
    for number in 0..graph.count(&format!("{at}.blocks")) {
        // Every other one halves it.
        let stride = if number % 2 == 0 { 1 } else { 2 };
        x = graph.conv_strided(&format!("{at}.blocks.{number}"), &x, stride)?;
        x = graph.silu(&x);
    }
    graph.conv(&format!("{at}.conv_out"), &x)
}

fn residual(
    graph: &mut Graph<'_>,
    layer: &str,
    x: &Value,
    scale: &Value,
    name: &str,
    depth: usize,
) -> Result<(), ImportError> {
    let x = graph.conv(layer, x)?;
    let x = graph.node("Mul", &[&x.name, &scale.name], &[], x.channels);
    graph.output(&x, name, &at_level(depth, x.channels));
    Ok(())
}
