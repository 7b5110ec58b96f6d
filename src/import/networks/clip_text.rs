//! CLIP's text encoder (arXiv 2103.00020), as transformers has it: `CLIPTextModel`, `CLIPTextModelWithProjection`.
//!
//! ```text
//! input_ids ─► token + position ─► layers ─► norm ─► last_hidden_state ─► of the end's token: pooled ─► [projection]
//! ```

use tract_onnx::pb::tensor_proto::DataType;

use super::super::error::ImportError;
use super::super::graph::{Attribute, Axis, BATCH, Graph, Value, named};
use super::clip_layers::Layers;

const TEXT: Axis = named("sequence_length");

pub(super) fn build(
    graph: &mut Graph<'_>,
    projected: bool,
    by_layer: bool,
) -> Result<(), ImportError> {
    let end = graph.count_of("eos_token_id", 0..=u32::MAX, 49407)?;
    let shared = Layers::of(graph)?;
    graph.ignore("text_model.embeddings.position_ids");

    let ids = graph.input("input_ids", DataType::Int64, &[BATCH, TEXT]);
    let mut x = embeddings(graph, &ids)?;
    let mask = causal_mask(graph, &ids)?;
    let mut states = vec![x.clone()];
    let layers = "text_model.encoder.layers";
    for number in 0..graph.count(layers) {
        x = shared.layer(graph, &format!("{layers}.{number}"), &x, Some(&mask))?;
        states.push(x.clone());
    }
    let last = graph.layer_norm("text_model.final_layer_norm", &x, shared.epsilon)?;
    let pooled = pooled(graph, &ids, &last, end);

    let tokens = [BATCH, TEXT, Axis::Fixed(last.channels)];
    if projected {
        let embedded = graph.linear("text_projection", &pooled)?;
        graph.output(
            &embedded,
            "text_embeds",
            &[BATCH, Axis::Fixed(embedded.channels)],
        );
    }
    graph.output(&last, "last_hidden_state", &tokens);
    if !projected {
        graph.output(
            &pooled,
            "pooler_output",
            &[BATCH, Axis::Fixed(pooled.channels)],
        );
    }
    if by_layer {
        for (number, state) in states.iter().enumerate() {
            graph.output(state, &format!("hidden_states.{number}"), &tokens);
        }
    }
    Ok(())
}

/// Tokens' and positions' rows.
fn embeddings(graph: &mut Graph<'_>, ids: &Value) -> Result<Value, ImportError> {
    let at = "text_model.embeddings";
    let [positions, _] = graph.weight_of(&format!("{at}.position_embedding.weight"))?;
    let tokens = graph.embedding(&format!("{at}.token_embedding"), &ids.name)?;
    let all: Vec<i64> = (0..positions as i64).collect();
    let all = graph.integers(&all);
    let (zero, length) = (graph.integers(&[0]), graph.sizes(ids, 1, 2));
    let numbers = graph.node("Slice", &[&all, &zero, &length.name], &[], 0);
    let positions = graph.embedding(&format!("{at}.position_embedding"), &numbers.name)?;
    Ok(graph.add(&tokens, &positions))
}

/// What is added to scores, so that no token sees those behind it: `[1, 1, n, n]`.
fn causal_mask(graph: &mut Graph<'_>, ids: &Value) -> Result<Value, ImportError> {
    let [most, _] = graph.weight_of("text_model.embeddings.position_embedding.weight")?;
    let cells = (0..most * most).map(|cell| {
        if cell % most > cell / most {
            f32::MIN
        } else {
            0.0
        }
    });
    let all = graph.floats(&[1, 1, most, most], &cells.collect::<Vec<_>>());
    let (start, length) = (graph.integers(&[0, 0]), graph.sizes(ids, 1, 2));
    let ends = graph.concat(&[&length, &length], 0);
    let axes = graph.integers(&[2, 3]);
    Ok(graph.node("Slice", &[&all, &start, &ends.name, &axes], &[], 0))
}

/// The state of the token that ends the text. Old configurations say that its number is 2, which it is not: there, it is the largest.
fn pooled(graph: &mut Graph<'_>, ids: &Value, last: &Value, end: usize) -> Value {
    let found = if end == 2 {
        graph.cast(ids, DataType::Int32)
    } else {
        let end = graph.integers(&[end as i64]);
        let equal = graph.node("Equal", &[&ids.name, &end], &[], 0);
        graph.cast(&equal, DataType::Int32)
    };
    let attributes = [
        Attribute::Int("axis", -1),
        Attribute::Int("keepdims", 0),
        Attribute::Int("select_last_index", 0),
    ];
    let place = graph.node("ArgMax", &[&found.name], &attributes, 0);
    // All texts one behind the other: the place within a text, and where the text begins.
    let (batch, length) = (graph.size(last, 0), graph.size(last, 1));
    let (zero, one) = (graph.integer(0), graph.integer(1));
    let texts = graph.node("Range", &[&zero, &batch.name, &one], &[], 0);
    let starts = graph.node("Mul", &[&texts.name, &length.name], &[], 0);
    let rows = graph.add(&place, &starts);
    let flat = graph.node("Flatten", &[&last.name], &[Attribute::Int("axis", 2)], 0);
    graph.node(
        "Gather",
        &[&flat.name, &rows.name],
        &[Attribute::Int("axis", 0)],
        last.channels,
    )
}
