//! PixArt's transformer (arXiv 2310.00426, 2403.04692): diffusers' `PixArtTransformer2DModel`.
//!
//! ```text
//! latents ─► patches + positions ─► blocks ─► norm ─► proj_out ─► patches as latents
//! text ─► caption_projection ────────┘
//! ```
//! One layer tells all blocks the step; each adds a table of its own.

use serde_json::json;
use tract_onnx::pb::tensor_proto::DataType;

use super::super::error::ImportError;
use super::super::graph::{Axis, BATCH, Graph, Stored, Value};
use super::adaln::{
    TEXT, embedded, feed_forward, gated, grid, latents, modulated, normed, patches, positions,
    scalar, text, unpatched,
};
use super::timesteps::{Waves, embedding};
use super::{only, t5, transformer};

/// What is added to scores of tokens that are padding.
const HIDDEN: f32 = -10_000.0;

pub(super) fn build(graph: &mut Graph<'_>) -> Result<(), ImportError> {
    only(
        graph,
        &[
            ("activation_fn", &[json!("gelu-approximate")]),
            ("norm_elementwise_affine", &[json!(false)]),
            ("norm_type", &[json!("ada_norm_single")]),
        ],
    )?;
    let heads = graph.count_of("num_attention_heads", 1..=1024, 16)?;
    let [width, channels, side, _] = graph.weight_of("pos_embed.proj.weight")?;
    let sample = graph.input("hidden_states", DataType::Float, &latents(channels));
    let [_, features] = graph.weight_of("caption_projection.linear_1.weight")?;
    let text = text(graph, features);
    let mask = graph.input("encoder_attention_mask", DataType::Int64, &[BATCH, TEXT]);
    let mask = t5::hidden(graph, &mask, HIDDEN);
    let mask = graph.unsqueeze(&mask, &[1, 2]);

    let step = step(graph)?;
    let told = graph.silu(&step);
    let told = graph.linear_row("adaln_single.linear", &told)?;
    let told = graph.reshape(&told, &[0, 6, -1], width);
    let text = graph.linear("caption_projection.linear_1", &text)?;
    let text = graph.gelu_tanh(&text);
    let text = graph.linear("caption_projection.linear_2", &text)?;

    let (rows, columns) = grid(graph, &sample, side);
    let x = patches(graph, "pos_embed.proj", &sample)?;
    let places = places(graph, (&rows, &columns), side, width)?;
    let mut x = graph.add(&x, &places);
    graph.ignore("pos_embed.pos_embed");
    for number in 0..graph.count("transformer_blocks") {
        x = block(
            graph,
            &format!("transformer_blocks.{number}"),
            &x,
            &text,
            &mask,
            &told,
            heads,
        )?;
    }
    let step = graph.unsqueeze(&step, &[1]);
    let told = with_table(graph, "scale_shift_table", &step, 2)?;
    let plain = normed(graph, &x);
    let x = modulated(graph, &plain, &told[0], &told[1]);
    let out = graph.linear("proj_out", &x)?;
    let out = unpatched(graph, &out, (&rows, &columns), side)?;
    graph.output(&out, "out_hidden_states", &latents(out.channels));
    Ok(())
}

/// The step; of the 1024-pixel model the picture's size, too.
fn step(graph: &mut Graph<'_>) -> Result<Value, ImportError> {
    let at = "adaln_single.emb";
    let timestep = scalar(graph, "timestep");
    let step = embedded(graph, &format!("{at}.timestep_embedder"), &timestep)?;
    if !graph.has(&format!("{at}.resolution_embedder.linear_1.weight")) {
        return Ok(step);
    }
    let mut of = |name: &str, numbers: usize, layer: &str| {
        let layer = format!("{at}.{layer}");
        let [_, features] = graph.weight_of(&format!("{layer}.linear_1.weight"))?;
        let input = graph.input(name, DataType::Float, &[BATCH, Axis::Fixed(numbers)]);
        let each = graph.unsqueeze(&input, &[2]);
        let waves = Waves {
            features,
            cosines_first: true,
            shift: 0.0,
        }
        .of(graph, &each, 3);
        let embedded = embedding_of_each(graph, &layer, &waves)?;
        let width = numbers * embedded.channels;
        Ok::<_, ImportError>(graph.reshape(&embedded, &[0, width as i64], width))
    };
    let resolution = of("resolution", 2, "resolution_embedder")?;
    let aspect = of("aspect_ratio", 1, "aspect_ratio_embedder")?;
    let sizes = graph.concat(&[&resolution, &aspect], 1);
    Ok(graph.add(&step, &sizes))
}

/// The layers of an embedding for several numbers a picture.
fn embedding_of_each(graph: &mut Graph<'_>, at: &str, waves: &Value) -> Result<Value, ImportError> {
    let rows = graph.reshape(waves, &[-1, waves.channels as i64], waves.channels);
    let rows = embedding(graph, at, &rows, None)?;
    // As many rows a picture as there were.
    let batch = graph.sizes(waves, 0, 2);
    let width = graph.integers(&[rows.channels as i64]);
    let axis = [super::super::graph::Attribute::Int("axis", 0)];
    let shape = graph.node("Concat", &[&batch.name, &width], &axis, 0);
    Ok(graph.node("Reshape", &[&rows.name, &shape.name], &[], rows.channels))
}

/// A table of `parts` rows added to what is told, `[b, parts, c]` or `[b, 1, c]`, and its rows apart: `[b, 1, c]`.
fn with_table(
    graph: &mut Graph<'_>,
    name: &str,
    told: &Value,
    parts: usize,
) -> Result<Vec<Value>, ImportError> {
    let [rows, width] = graph.weight_of(name)?;
    if rows != parts || width != told.channels {
        return Err(graph.problem(format_args!(
            "`{name}` is {rows}×{width}, not {parts}×{}",
            told.channels
        )));
    }
    let table = graph.parameter(name, Stored::Shaped(vec![1, parts, width]), None);
    let all = graph.node("Add", &[&table, &told.name], &[], width);
    Ok(graph
        .split(&all, parts, 1)
        .into_iter()
        .map(|part| Value {
            channels: width,
            ..part
        })
        .collect())
}

fn block(
    graph: &mut Graph<'_>,
    at: &str,
    x: &Value,
    text: &Value,
    mask: &Value,
    told: &Value,
    heads: usize,
) -> Result<Value, ImportError> {
    // Shift, scale, gate of attention, then of the feed-forward.
    let told = with_table(graph, &format!("{at}.scale_shift_table"), told, 6)?;
    let plain = normed(graph, x);
    let y = modulated(graph, &plain, &told[0], &told[1]);
    let y = transformer::attention(graph, &format!("{at}.attn1"), &y, &y, heads, None)?;
    let x = gated(graph, x, &told[2], &y);
    let y = transformer::attention(graph, &format!("{at}.attn2"), &x, text, heads, Some(mask))?;
    let x = graph.add(&y, &x);
    let plain = normed(graph, &x);
    let y = modulated(graph, &plain, &told[3], &told[4]);
    let y = feed_forward(graph, &format!("{at}.ff"), &y)?;
    Ok(gated(graph, &x, &told[5], &y))
}

/// Sines and cosines of a patch's column, then of its row. A picture of any size spans the positions of one of the trained size.
fn places(
    graph: &mut Graph<'_>,
    (rows, columns): (&Value, &Value),
    side: usize,
    width: usize,
) -> Result<Value, ImportError> {
    let sample = graph.count_of("sample_size", 1..=65_536, 128)?;
    let scale = graph.number_of(
        "interpolation_scale",
        1e-3..=1e3,
        (sample / 64).max(1) as f32,
    )?;
    let step = (sample / side) as f32 / scale;
    let quarter = width / 4;
    let frequency = |number: usize| (1.0 / 10_000_f64.powf(number as f64 / quarter as f64)) as f32;
    let frequencies: Vec<f32> = (0..quarter).map(frequency).collect();
    let frequencies = graph.floats(&[1, quarter], &frequencies);
    let mut waves = |count: &Value| {
        let (zero, one) = (graph.integer(0), graph.integer(1));
        let end = graph.node("Squeeze", &[&count.name], &[], 0);
        let places = graph.node("Range", &[&zero, &end.name, &one], &[], 0);
        let places = graph.cast(&places, DataType::Float);
        let places = graph.multiply(&places, step);
        let count = graph.cast(count, DataType::Float);
        let places = graph.node("Div", &[&places.name, &count.name], &[], 0);
        let places = graph.unsqueeze(&places, &[1]);
        let angles = graph.node("Mul", &[&places.name, &frequencies], &[], quarter);
        let sines = graph.node("Sin", &[&angles.name], &[], quarter);
        let cosines = graph.node("Cos", &[&angles.name], &[], quarter);
        graph.concat(&[&sines, &cosines], 1)
    };
    let (across, down) = (waves(columns), waves(rows));
    Ok(positions(graph, &across, &down, (rows, columns)))
}
