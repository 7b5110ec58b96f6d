//! The autoencoder of Stable Diffusion, SDXL, SD3 and Flux: diffusers' `AutoencoderKL` (arXiv 2112.10752).
//!
//! ```text
//! sample ─► conv_in ─► down ─► … ─► middle ─► norm ─► conv_out ─► [quant_conv] ─► mean and log variance
//! latents ─► [post_quant_conv] ─► conv_in ─► middle ─► up ─► … ─► norm ─► conv_out ─► sample
//! ```

use serde_json::json;
use tract_onnx::pb::tensor_proto::DataType;

use super::super::error::{ImportError, quoted};
use super::super::graph::{Axis, BATCH, Graph, Value, named};
use super::resnet::{self, Norm};
use super::unet_blocks::block_classes;
use super::{only, transformer, unknown};

const EPSILON: f32 = 1e-6;

pub(super) fn picture(channels: usize) -> [Axis; 4] {
    [
        BATCH,
        Axis::Fixed(channels),
        named("height"),
        named("width"),
    ]
}

pub(super) fn latents(channels: usize) -> [Axis; 4] {
    [
        BATCH,
        Axis::Fixed(channels),
        named("latent_height"),
        named("latent_width"),
    ]
}

pub(super) fn decoder(graph: &mut Graph<'_>) -> Result<(), ImportError> {
    let norm = norm(graph)?;
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

pub(super) fn encoder(graph: &mut Graph<'_>) -> Result<(), ImportError> {
    let norm = norm(graph)?;
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

fn norm(graph: &Graph<'_>) -> Result<Norm, ImportError> {
    only(graph, &[("act_fn", &[json!("silu"), json!("swish")])])?;
    for (key, plain) in [
        ("down_block_types", "DownEncoderBlock2D"),
        ("up_block_types", "UpDecoderBlock2D"),
    ] {
        if graph.config().get(key).is_some() {
            let classes = block_classes(graph, key)?;
            if let Some(other) = classes.into_iter().find(|class| *class != plain) {
                return Err(graph.misconfigured(unknown(&format!("the block {}", quoted(other)))));
            }
        }
    }
    let groups = graph.count_of("norm_num_groups", 1..=4096, 32)?;
    Ok(Norm {
        groups,
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
            let seen = transformer::attention(graph, &attention, &tokens, &tokens, 1, None)?;
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
