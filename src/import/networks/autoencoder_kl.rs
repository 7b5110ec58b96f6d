//! The autoencoder of Stable Diffusion, SDXL, SD3 and Flux: diffusers' `AutoencoderKL` (arXiv 2112.10752).
//!
//! ```text
//! sample ─► conv_in ─► down ─► … ─► middle ─► norm ─► conv_out ─► [quant_conv] ─► mean and log variance
//! latents ─► [post_quant_conv] ─► conv_in ─► middle ─► up ─► … ─► norm ─► conv_out ─► sample
//! ```

use serde_json::json;
use tract_onnx::pb::tensor_proto::DataType;

use super::super::error::ImportError;
use super::super::graph::{Axis, Graph, Value};
use super::resnet::{self, Norm};
use super::{only, transformer, unknown};
use crate::config::Config;

pub(super) const BATCH: Axis = Axis::Named("batch_size");
const EPSILON: f32 = 1e-6;

pub(super) fn picture(channels: usize) -> [Axis; 4] {
    [
        BATCH,
        Axis::Fixed(channels),
        Axis::Named("height"),
        Axis::Named("width"),
    ]
}

pub(super) fn latents(channels: usize) -> [Axis; 4] {
    [
        BATCH,
        Axis::Fixed(channels),
        Axis::Named("latent_height"),
        Axis::Named("latent_width"),
    ]
}

pub(super) fn decoder(graph: &mut Graph<'_>, config: &Config) -> Result<(), ImportError> {
    let norm = norm(graph, config)?;
    graph.ignore_under(&["encoder", "quant_conv"]);
    let quantized = graph.has("post_quant_conv.weight");
    let first = if quantized {
        "post_quant_conv"
    } else {
        "decoder.conv_in"
    };
    let [_, channels, ..] = graph.weight_of::<4>(&format!("{first}.weight"))?;
    let mut x = graph.input("latent_sample", DataType::Float, &latents(channels));
    if quantized {
        x = graph.conv("post_quant_conv", &x)?;
    }
    x = graph.conv("decoder.conv_in", &x)?;
    x = middle(graph, "decoder.mid_block", x, norm)?;
    for level in 0..graph.count("decoder.up_blocks") {
        let at = format!("decoder.up_blocks.{level}");
        for number in 0..graph.count(&format!("{at}.resnets")) {
            x = resnet::block(graph, &format!("{at}.resnets.{number}"), &x, None, norm)?;
        }
        x = resnet::upsampled(graph, &at, x)?;
    }
    let x = ending(graph, "decoder", &x, norm)?;
    graph.output(&x, "sample", &picture(x.channels));
    Ok(())
}

pub(super) fn encoder(graph: &mut Graph<'_>, config: &Config) -> Result<(), ImportError> {
    let norm = norm(graph, config)?;
    graph.ignore_under(&["decoder", "post_quant_conv"]);
    let [_, channels, ..] = graph.weight_of::<4>("encoder.conv_in.weight")?;
    let sample = graph.input("sample", DataType::Float, &picture(channels));
    let mut x = graph.conv("encoder.conv_in", &sample)?;
    for level in 0..graph.count("encoder.down_blocks") {
        let at = format!("encoder.down_blocks.{level}");
        for number in 0..graph.count(&format!("{at}.resnets")) {
            x = resnet::block(graph, &format!("{at}.resnets.{number}"), &x, None, norm)?;
        }
        let halves = format!("{at}.downsamplers.0.conv");
        if graph.has(&format!("{halves}.weight")) {
            // A border below and on the right alone.
            x = graph.conv_padded(&halves, &x, 2, [0, 0, 1, 1])?;
        }
    }
    x = middle(graph, "encoder.mid_block", x, norm)?;
    x = ending(graph, "encoder", &x, norm)?;
    if graph.has("quant_conv.weight") {
        x = graph.conv("quant_conv", &x)?;
    }
    graph.output(&x, "latent_parameters", &latents(x.channels));
    Ok(())
}

fn norm(graph: &Graph<'_>, config: &Config) -> Result<Norm, ImportError> {
    only(
        graph,
        config,
        &[("act_fn", &[json!("silu"), json!("swish")])],
    )?;
    for (key, plain) in [
        ("down_block_types", "DownEncoderBlock2D"),
        ("up_block_types", "UpDecoderBlock2D"),
    ] {
        let kinds = config.get(key).and_then(|value| value.as_array());
        if let Some(kind) = kinds.into_iter().flatten().find(|kind| *kind != plain) {
            return Err(graph.problem(unknown(&format!(
                "the block {}",
                super::quoted(&kind.to_string())
            ))));
        }
    }
    let groups = config.count("norm_num_groups", 1..=4096);
    let groups = groups.map_err(|problem| graph.problem(format_args!("config.json: {problem}")))?;
    Ok(Norm {
        groups: groups.unwrap_or(32) as usize,
        epsilon: EPSILON,
    })
}

/// Two residual blocks with attention of all pixels between them.
fn middle(graph: &mut Graph<'_>, at: &str, x: Value, norm: Norm) -> Result<Value, ImportError> {
    let mut x = resnet::block(graph, &format!("{at}.resnets.0"), &x, None, norm)?;
    for number in 1..graph.count(&format!("{at}.resnets")) {
        let attention = format!("{at}.attentions.{}", number - 1);
        if graph.has(&format!("{attention}.to_q.weight")) {
            let normed = graph.group_norm(
                &format!("{attention}.group_norm"),
                &x,
                norm.groups,
                norm.epsilon,
            )?;
            let tokens = graph.tokens(&normed);
            let seen = transformer::attention(graph, &attention, &tokens, &tokens, 1)?;
            let seen = graph.pixels(&seen, &x);
            x = graph.add(&seen, &x);
        }
        x = resnet::block(graph, &format!("{at}.resnets.{number}"), &x, None, norm)?;
    }
    Ok(x)
}

fn ending(graph: &mut Graph<'_>, at: &str, x: &Value, norm: Norm) -> Result<Value, ImportError> {
    let x = graph.group_norm(&format!("{at}.conv_norm_out"), x, norm.groups, norm.epsilon)?;
    let x = graph.silu(&x);
    graph.conv(&format!("{at}.conv_out"), &x)
}
