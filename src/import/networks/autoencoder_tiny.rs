//! The small autoencoder that stands in for a large one: diffusers' `AutoencoderTiny` (TAESD, by Ollin Boer Bohan).
//!
//! Its layers are numbered one after the other. What each of them is, its weights say: `layers.3.conv.0` is a block,
//! `layers.5.weight` a convolution, and a number without weights an activation or an enlargement.

use serde_json::json;
use tract_onnx::pb::tensor_proto::DataType;

use super::super::error::ImportError;
use super::super::graph::{Graph, Value};
use super::autoencoder_kl::{latents, picture};
use super::only;

/// Larger latents are bent towards it.
const LARGEST_LATENT: f32 = 3.0;

pub(super) fn decoder(graph: &mut Graph<'_>) -> Result<(), ImportError> {
    let blocks = blocks(graph, "num_decoder_blocks", "decoder_block_out_channels")?;
    graph.ignore_under(&["encoder"]);
    let [_, channels, ..] = graph.weight_of::<4>("decoder.layers.0.weight")?;
    let x = graph.input("latent_sample", DataType::Float, &latents(channels));
    let x = graph.divide(&x, LARGEST_LATENT);
    let x = graph.node("Tanh", &[&x.name], &[], x.channels);
    let x = graph.multiply(&x, LARGEST_LATENT);
    let x = graph.conv("decoder.layers.0", &x)?;
    let mut x = relu(graph, &x);
    // Behind the first convolution and its activation.
    let mut number = 2;
    for (level, count) in blocks.iter().enumerate() {
        for _ in 0..*count {
            x = block(graph, &format!("decoder.layers.{number}"), &x)?;
            number += 1;
        }
        if level + 1 < blocks.len() {
            x = graph.enlarge(&x);
            number += 1;
        }
        x = graph.conv(&format!("decoder.layers.{number}"), &x)?;
        number += 1;
    }
    // From 0..1 to -1..1.
    let x = graph.multiply(&x, 2.0);
    let x = graph.plus(&x, -1.0);
    graph.output(&x, "sample", &picture(x.channels));
    Ok(())
}

pub(super) fn encoder(graph: &mut Graph<'_>) -> Result<(), ImportError> {
    let blocks = blocks(graph, "num_encoder_blocks", "encoder_block_out_channels")?;
    graph.ignore_under(&["decoder"]);
    let [_, channels, ..] = graph.weight_of::<4>("encoder.layers.0.weight")?;
    let x = graph.input("sample", DataType::Float, &picture(channels));
    // From -1..1 to 0..1.
    let x = graph.plus(&x, 1.0);
    let mut x = graph.divide(&x, 2.0);
    let mut number = 0;
    for (level, count) in blocks.iter().enumerate() {
        let stride = if level == 0 { 1 } else { 2 };
        x = graph.conv_strided(&format!("encoder.layers.{number}"), &x, stride)?;
        number += 1;
        for _ in 0..*count {
            x = block(graph, &format!("encoder.layers.{number}"), &x)?;
            number += 1;
        }
    }
    let x = graph.conv(&format!("encoder.layers.{number}"), &x)?;
    graph.output(&x, "latent_sample", &latents(x.channels));
    Ok(())
}

/// Blocks on each level.
fn blocks(graph: &Graph<'_>, key: &str, channels: &str) -> Result<Vec<u32>, ImportError> {
    only(
        graph,
        &[
            ("act_fn", &[json!("relu")]),
            ("upsample_fn", &[json!("nearest")]),
            ("upsampling_scaling_factor", &[json!(2)]),
        ],
    )?;
    let blocks = graph.config().counts(key, 1..=16, 0..=64);
    let blocks = blocks.map_err(|problem| graph.misconfigured(problem))?;
    blocks.ok_or_else(|| {
        graph.misconfigured(format_args!(
            "has no `{key}`, blocks for each of `{channels}`"
        ))
    })
}

/// ```text
/// x ─┬► conv ─► ReLU ─► conv ─► ReLU ─► conv ─┬► Add ─► ReLU
///    └► [conv 1×1] ───────────────────────────┘
/// ```
fn block(graph: &mut Graph<'_>, at: &str, x: &Value) -> Result<Value, ImportError> {
    let h = graph.conv(&format!("{at}.conv.0"), x)?;
    let h = relu(graph, &h);
    let h = graph.conv(&format!("{at}.conv.2"), &h)?;
    let h = relu(graph, &h);
    let h = graph.conv(&format!("{at}.conv.4"), &h)?;
    let skip = format!("{at}.skip");
    let beside = if graph.has(&format!("{skip}.weight")) {
        graph.conv(&skip, x)?
    } else {
        x.clone()
    };
    let sum = graph.add(&h, &beside);
    Ok(relu(graph, &sum))
}

fn relu(graph: &mut Graph<'_>, x: &Value) -> Value {
    graph.node("Relu", &[&x.name], &[], x.channels)
}
