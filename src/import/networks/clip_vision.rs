//! CLIP's image encoder (arXiv 2103.00020), as IP-Adapters use it: transformers' `CLIPVisionModelWithProjection`.
//!
//! ```text
//! pixel_values ─► patches, and one token of its own ─► + positions ─► norm ─► layers ─┬► [its token ─► norm ─► projection]
//!                                                                                     └► all tokens before the last layer
//! ```
//! The plain adapter takes the first, "Plus" the second.

use tract_onnx::pb::tensor_proto::DataType;

use super::super::error::ImportError;
use super::super::graph::{Attribute, Axis, BATCH, Graph, Stored, Value};
use super::clip_layers::Layers;

pub(super) fn build(graph: &mut Graph<'_>, plus: bool) -> Result<(), ImportError> {
    graph.ignore("vision_model.embeddings.position_ids");
    let side = graph.count_of("image_size", 1..=4096, 224)?;
    let layers = Layers::of(graph)?;
    let [_, channels, ..] =
        graph.weight_of::<4>("vision_model.embeddings.patch_embedding.weight")?;
    let axes = [
        BATCH,
        Axis::Fixed(channels),
        Axis::Fixed(side),
        Axis::Fixed(side),
    ];
    let pixels = graph.input("pixel_values", DataType::Float, &axes);
    let (x, tokens) = embeddings(graph, &pixels, side)?;
    let mut x = graph.layer_norm("vision_model.pre_layrnorm", &x, layers.epsilon)?;
    let at = "vision_model.encoder.layers";
    let all = graph.count(at);
    for number in 0..all.saturating_sub(usize::from(plus)) {
        x = layers.layer(graph, &format!("{at}.{number}"), &x, None)?;
    }
    let name = "image_embeds";
    if plus {
        graph.ignore_under(&[
            &format!("{at}.{}", all.saturating_sub(1)),
            "vision_model.post_layernorm",
            "visual_projection",
        ]);
        graph.output(
            &x,
            name,
            &[BATCH, Axis::Fixed(tokens), Axis::Fixed(x.channels)],
        );
        return Ok(());
    }
    let first = graph.integer(0);
    let own = graph.node(
        "Gather",
        &[&x.name, &first],
        &[Attribute::Int("axis", 1)],
        x.channels,
    );
    let own = graph.layer_norm("vision_model.post_layernorm", &own, layers.epsilon)?;
    let projected = graph.linear("visual_projection", &own)?;
    graph.output(&projected, name, &[BATCH, Axis::Fixed(projected.channels)]);
    Ok(())
}

/// The tokens of patches behind the picture's own, with their positions; how many there are.
fn embeddings(
    graph: &mut Graph<'_>,
    pixels: &Value,
    side: usize,
) -> Result<(Value, usize), ImportError> {
    let at = "vision_model.embeddings";
    let patch = format!("{at}.patch_embedding");
    let [_, _, stride, _] = graph.weight_of(&format!("{patch}.weight"))?;
    let patches = graph.conv_padded(&patch, pixels, stride as i64, [0; 4])?;
    let patches = graph.tokens(&patches);
    let [positions, width] = graph.weight_of(&format!("{at}.position_embedding.weight"))?;
    let tokens = (side / stride).pow(2) + 1;
    if tokens != positions {
        return Err(graph.misconfigured(format_args!(
            "`image_size` makes {tokens} tokens, the weights have {positions} positions"
        )));
    }
    let own = graph.parameter(
        &format!("{at}.class_embedding"),
        Stored::Shaped(vec![1, 1, width]),
        None,
    );
    let own = graph.for_each(
        &Value {
            name: own,
            channels: width,
        },
        pixels,
    );
    let all = Value {
        channels: width,
        ..graph.concat(&[&own, &patches], 1)
    };
    let numbers: Vec<i64> = (0..positions as i64).collect();
    let numbers = graph.integers(&numbers);
    let places = graph.embedding(&format!("{at}.position_embedding"), &numbers)?;
    Ok((graph.add(&all, &places), tokens))
}
