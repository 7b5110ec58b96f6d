//! T5's encoder (arXiv 1910.10683, 2002.05202), as transformers has it: `T5EncoderModel`.
//!
//! ```text
//! input_ids ─► tokens ─► [ RMS norm ─► attention ─► Add ─► RMS norm ─► gated feed-forward ─► Add ] × layers ─► RMS norm
//! ```
//! Scores are not scaled, and what is added to them says how far a key is from its query.

use serde_json::json;
use tract_onnx::pb::tensor_proto::DataType;

use super::super::error::{ImportError, quoted};
use super::super::graph::{Attribute, Axis, BATCH, Graph, Value, named};
use super::{only, unknown};

const TEXT: Axis = named("sequence_length");

/// `masked`: tokens of the text alone are attended to; otherwise the padding, too, as the family was trained.
pub(super) fn build(graph: &mut Graph<'_>, masked: bool) -> Result<(), ImportError> {
    only(
        graph,
        &[("is_encoder_decoder", &[json!(true), json!(false)])],
    )?;
    let heads = graph.count_of("num_heads", 1..=1024, 8)?;
    let epsilon = graph.number_of("layer_norm_epsilon", 0.0..=1.0, 1e-6)?;
    let activate: fn(&mut Graph<'_>, &Value) -> Value =
        match graph.text_of("feed_forward_proj", "relu")? {
            "gated-gelu" => |graph, x| graph.gelu_tanh(x),
            other => {
                return Err(graph
                    .misconfigured(unknown(&format!("`feed_forward_proj`: {}", quoted(other)))));
            }
        };

    let ids = graph.input("input_ids", DataType::Int64, &[BATCH, TEXT]);
    // One table under two names.
    let tables = ["shared", "encoder.embed_tokens"];
    let there = tables
        .into_iter()
        .find(|name| graph.has(&format!("{name}.weight")));
    let mut x = graph.embedding(there.unwrap_or(tables[0]), &ids.name)?;
    graph.ignore_under(&tables);
    let mut bias = distances(graph, &ids)?;
    if masked {
        let mask = graph.input("attention_mask", DataType::Int64, &[BATCH, TEXT]);
        let mask = hidden(graph, &mask, f32::MIN);
        let mask = graph.unsqueeze(&mask, &[1, 2]);
        bias = graph.add(&bias, &mask);
    }
    for number in 0..graph.count("encoder.block") {
        let at = format!("encoder.block.{number}.layer");
        let normed = graph.rms_norm(&format!("{at}.0.layer_norm"), &x, epsilon)?;
        let of = |graph: &mut Graph<'_>, part: &str, x: &Value| {
            graph.linear(&format!("{at}.0.SelfAttention.{part}"), x)
        };
        let (query, key, value) = (
            of(graph, "q", &normed)?,
            of(graph, "k", &normed)?,
            of(graph, "v", &normed)?,
        );
        let mixed = graph.scaled_attention([&query, &key, &value], heads, None, Some(&bias))?;
        let mixed = of(graph, "o", &mixed)?;
        x = graph.add(&x, &mixed);

        let normed = graph.rms_norm(&format!("{at}.1.layer_norm"), &x, epsilon)?;
        let of = |graph: &mut Graph<'_>, part: &str, x: &Value| {
            graph.linear(&format!("{at}.1.DenseReluDense.{part}"), x)
        };
        let gate = of(graph, "wi_0", &normed)?;
        let gate = activate(graph, &gate);
        let wide = of(graph, "wi_1", &normed)?;
        let gated = graph.node("Mul", &[&gate.name, &wide.name], &[], gate.channels);
        let narrow = of(graph, "wo", &gated)?;
        x = graph.add(&x, &narrow);
    }
    let x = graph.rms_norm("encoder.final_layer_norm", &x, epsilon)?;
    graph.output(
        &x,
        "last_hidden_state",
        &[BATCH, TEXT, Axis::Fixed(x.channels)],
    );
    Ok(())
}

/// What is added to scores where a mask of 0 and 1 hides a key.
pub(super) fn hidden(graph: &mut Graph<'_>, mask: &Value, least: f32) -> Value {
    let mask = graph.cast(mask, DataType::Float);
    let one = graph.floats(&[], &[1.0]);
    let hidden = graph.node("Sub", &[&one, &mask.name], &[], 0);
    graph.multiply(&hidden, least)
}

/// What is added to the scores of each head, by how far a key is from its query: `[1, heads, n, n]`. The first layer's is all layers'.
fn distances(graph: &mut Graph<'_>, ids: &Value) -> Result<Value, ImportError> {
    let table = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias";
    let [buckets, heads] = graph.weight_of(&format!("{table}.weight"))?;
    let most = graph.count_of("relative_attention_max_distance", 2..=65_536, 128)?;
    if buckets < 4 || buckets % 2 != 0 || most <= buckets / 4 {
        return Err(
            graph.misconfigured("`relative_attention_max_distance` does not fit the weights")
        );
    }
    // Of keys before the query, then the query's own place, then those behind.
    let most = most as i64;
    let all: Vec<i64> = (-most..=most)
        .map(|distance| bucket(distance, buckets as i64, most))
        .collect();
    let all = graph.integers(&all);
    let (zero, one) = (graph.integer(0), graph.integer(1));
    let length = graph.size(ids, 1);
    let places = graph.node("Range", &[&zero, &length.name, &one], &[], 0);
    let (keys, queries) = (
        graph.unsqueeze(&places, &[0]),
        graph.unsqueeze(&places, &[1]),
    );
    let distance = graph.node("Sub", &[&keys.name, &queries.name], &[], 0);
    let (least, largest) = (graph.integer(-most), graph.integer(most));
    let distance = graph.node("Max", &[&distance.name, &least], &[], 0);
    let distance = graph.node("Min", &[&distance.name, &largest], &[], 0);
    let place = graph.node("Add", &[&distance.name, &largest], &[], 0);
    let bucket = graph.node(
        "Gather",
        &[&all, &place.name],
        &[Attribute::Int("axis", 0)],
        0,
    );
    let bias = graph.embedding(table, &bucket.name)?;
    let bias = graph.transpose(&bias, &[2, 0, 1]);
    let bias = graph.unsqueeze(&bias, &[0]);
    Ok(Value {
        channels: heads,
        ..bias
    })
}

/// The row of the table for a key so far behind its query: near ones have their own, far ones share them by the logarithm.
fn bucket(distance: i64, buckets: i64, most: i64) -> i64 {
    let half = buckets / 2;
    let exact = half / 2;
    let (side, far) = (if distance > 0 { half } else { 0 }, distance.abs());
    if far < exact {
        return side + far;
    }
    // In f32, as torch has it: at the edges of buckets, that decides.
    let share = (far as f32 / exact as f32).ln() / (most as f64 / exact as f64).ln() as f32;
    let shared = exact + (share * (half - exact) as f32) as i64;
    side + shared.min(half - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_keys_share_rows_of_the_table() {
        // As transformers' `T5Attention._relative_position_bucket` has them.
        let found: Vec<_> = [
            -200, -128, -64, -20, -11, -8, -7, -1, 0, 1, 7, 8, 15, 16, 127, 300,
        ]
        .map(|distance| bucket(distance, 32, 128))
        .to_vec();
        assert_eq!(
            found,
            [15, 15, 14, 10, 8, 8, 7, 1, 0, 17, 23, 24, 25, 26, 31, 31]
        );
    }
}
