//! What diffusion transformers are made of: norms that are told the step (adaLN, arXiv 2212.09748), patches, joint attention.

use tract_onnx::pb::tensor_proto::DataType;

use super::super::error::ImportError;
use super::super::graph::{Attribute, Axis, BATCH, Graph, Value, named};
use super::timesteps::{Waves, embedding};

pub(super) const EPSILON: f32 = 1e-6;
/// Features of a number before the layers that embed it.
const WAVES: usize = 256;
pub(super) const TEXT: Axis = named("sequence_length");

/// Numbers `[batch]`, embedded (diffusers' `Timesteps` and `TimestepEmbedding`).
pub(super) fn embedded(
    graph: &mut Graph<'_>,
    at: &str,
    numbers: &Value,
) -> Result<Value, ImportError> {
    let numbers = graph.unsqueeze(numbers, &[1]);
    let waves = Waves {
        features: WAVES,
        cosines_first: true,
        shift: 0.0,
    }
    .of(graph, &numbers, 2);
    embedding(graph, at, &waves, None)
}

/// Latents as the denoiser is given them, and as it gives them.
pub(super) fn latents(channels: usize) -> [Axis; 4] {
    [
        BATCH,
        Axis::Fixed(channels),
        named("height"),
        named("width"),
    ]
}

/// An input of one number a picture.
pub(super) fn scalar(graph: &mut Graph<'_>, name: &str) -> Value {
    graph.input(name, DataType::Float, &[BATCH])
}

/// The text, token by token, of so many features.
pub(super) fn text(graph: &mut Graph<'_>, features: usize) -> Value {
    graph.input(
        "encoder_hidden_states",
        DataType::Float,
        &[BATCH, TEXT, Axis::Fixed(features)],
    )
}

/// The text as a whole.
pub(super) fn pooled(graph: &mut Graph<'_>, layer: &str) -> Result<Value, ImportError> {
    let [_, features] = graph.weight_of(&format!("{layer}.weight"))?;
    Ok(graph.input(
        "pooled_projections",
        DataType::Float,
        &[BATCH, Axis::Fixed(features)],
    ))
}

/// A linear layer of the step behind SiLU, in `parts` rows of one token each: `[b, 1, c]`.
pub(super) fn told(
    graph: &mut Graph<'_>,
    layer: &str,
    step: &Value,
    parts: usize,
) -> Result<Vec<Value>, ImportError> {
    let all = graph.linear_row(layer, step)?;
    let parts = graph.split(&all, parts, 1);
    Ok(parts
        .iter()
        .map(|part| graph.unsqueeze(part, &[1]))
        .collect())
}

/// Normalizes tokens, without factors of its own.
pub(super) fn normed(graph: &mut Graph<'_>, x: &Value) -> Value {
    let (ones, zeros) = (vec![1.0; x.channels], vec![0.0; x.channels]);
    let shape = [x.channels];
    let (ones, zeros) = (graph.floats(&shape, &ones), graph.floats(&shape, &zeros));
    let attributes = [
        Attribute::Int("axis", -1),
        Attribute::Float("epsilon", EPSILON),
    ];
    graph.node(
        "LayerNormalization",
        &[&x.name, &ones, &zeros],
        &attributes,
        x.channels,
    )
}

/// x·(1 + scale) + shift.
pub(super) fn modulated(graph: &mut Graph<'_>, x: &Value, shift: &Value, scale: &Value) -> Value {
    let scale = graph.plus(scale, 1.0);
    let scaled = graph.node("Mul", &[&x.name, &scale.name], &[], x.channels);
    graph.add(&scaled, shift)
}

/// x + gate·y.
pub(super) fn gated(graph: &mut Graph<'_>, x: &Value, gate: &Value, y: &Value) -> Value {
    let y = graph.node("Mul", &[&gate.name, &y.name], &[], x.channels);
    graph.add(x, &y)
}

/// Norm, told the scale and then the shift (diffusers' `AdaLayerNormContinuous`).
pub(super) fn continuous(
    graph: &mut Graph<'_>,
    at: &str,
    x: &Value,
    step: &Value,
) -> Result<Value, ImportError> {
    let told = told(graph, &format!("{at}.linear"), step, 2)?;
    let normed = normed(graph, x);
    Ok(modulated(graph, &normed, &told[1], &told[0]))
}

/// Two layers with GELU between, by its approximation.
pub(super) fn feed_forward(
    graph: &mut Graph<'_>,
    at: &str,
    x: &Value,
) -> Result<Value, ImportError> {
    let wide = graph.linear(&format!("{at}.net.0.proj"), x)?;
    let wide = graph.gelu_tanh(&wide);
    graph.linear(&format!("{at}.net.2"), &wide)
}

/// Queries, keys and values of one stream, their heads apart: `[b, tokens, heads, width]`. Queries and keys are normalized where there are
/// weights for it.
pub(super) struct Heads {
    pub(super) query: Value,
    pub(super) key: Value,
    pub(super) value: Value,
}

impl Heads {
    /// `layers`: those of query, key and value; `norms`: of query and key.
    pub(super) fn of(
        graph: &mut Graph<'_>,
        at: &str,
        x: &Value,
        heads: usize,
        layers: [&str; 3],
        norms: [&str; 2],
    ) -> Result<Self, ImportError> {
        let mut apart = |layer: &str| -> Result<Value, ImportError> {
            let all = graph.linear(&format!("{at}.{layer}"), x)?;
            graph.heads(&all, heads)
        };
        let (query, key, value) = (apart(layers[0])?, apart(layers[1])?, apart(layers[2])?);
        let mut normed = |norm: &str, x: Value| -> Result<Value, ImportError> {
            let norm = format!("{at}.{norm}");
            if graph.has(&format!("{norm}.weight")) {
                graph.rms_norm(&norm, &x, EPSILON)
            } else {
                Ok(x)
            }
        };
        Ok(Self {
            query: normed(norms[0], query)?,
            key: normed(norms[1], key)?,
            value,
        })
    }

    /// Tokens of two streams, one behind the other.
    pub(super) fn joined(graph: &mut Graph<'_>, first: &Self, second: &Self) -> Self {
        let mut join = |a: &Value, b: &Value| Value {
            channels: a.channels,
            ..graph.concat(&[a, b], 1)
        };
        Self {
            query: join(&first.query, &second.query),
            key: join(&first.key, &second.key),
            value: join(&first.value, &second.value),
        }
    }

    /// What they see of each other: `[b, tokens, features]`.
    pub(super) fn attend(&self, graph: &mut Graph<'_>, heads: usize) -> Value {
        let scale = Some(1.0 / (self.query.channels as f32).sqrt());
        graph.attend(&self.query, &self.key, &self.value, heads, scale, None)
    }
}

/// The first `count` tokens of a value, and those behind them.
pub(super) fn parted(graph: &mut Graph<'_>, x: &Value, count: &Value) -> (Value, Value) {
    let (zero, one, end) = (
        graph.integers(&[0]),
        graph.integers(&[1]),
        graph.integers(&[i64::MAX]),
    );
    let first = graph.node(
        "Slice",
        &[&x.name, &zero, &count.name, &one],
        &[],
        x.channels,
    );
    let second = graph.node(
        "Slice",
        &[&x.name, &count.name, &end, &one],
        &[],
        x.channels,
    );
    (first, second)
}

/// Patches of latents as tokens: `[b, tokens, features]`.
pub(super) fn patches(graph: &mut Graph<'_>, layer: &str, x: &Value) -> Result<Value, ImportError> {
    let [_, _, side, _] = graph.weight_of(&format!("{layer}.weight"))?;
    let patches = graph.conv_padded(layer, x, side as i64, [0; 4])?;
    Ok(graph.tokens(&patches))
}

/// How many patches of `side` latents each way latents have: rows, columns; each a list of one.
pub(super) fn grid(graph: &mut Graph<'_>, x: &Value, side: usize) -> (Value, Value) {
    let side = graph.integers(&[side as i64]);
    let mut count = |from| {
        let sizes = graph.sizes(x, from, from + 1);
        graph.node("Div", &[&sizes.name, &side], &[], 0)
    };
    (count(2), count(3))
}

/// Tokens of `side·side·channels` numbers as the latents that they are patches of.
pub(super) fn unpatched(
    graph: &mut Graph<'_>,
    tokens: &Value,
    (rows, columns): (&Value, &Value),
    side: usize,
) -> Result<Value, ImportError> {
    let channels = tokens.channels / (side * side);
    if side == 0 || channels * side * side != tokens.channels {
        return Err(graph.misconfigured("`patch_size` does not fit the weights"));
    }
    let (patch, depth) = (
        graph.integers(&[side as i64; 2]),
        graph.integers(&[channels as i64]),
    );
    let (batch, axis) = (graph.sizes(tokens, 0, 1), [Attribute::Int("axis", 0)]);
    let shape = graph.node(
        "Concat",
        &[&batch.name, &rows.name, &columns.name, &patch, &depth],
        &axis,
        0,
    );
    let apart = graph.node("Reshape", &[&tokens.name, &shape.name], &[], channels);
    let apart = graph.transpose(&apart, &[0, 5, 1, 3, 2, 4]);
    let side = graph.integers(&[side as i64]);
    let mut pixels = |count: &Value| graph.node("Mul", &[&count.name, &side], &[], 0);
    let (height, width) = (pixels(rows), pixels(columns));
    let shape = graph.node(
        "Concat",
        &[&batch.name, &depth, &height.name, &width.name],
        &axis,
        0,
    );
    Ok(graph.node("Reshape", &[&apart.name, &shape.name], &[], channels))
}

/// Positions of patches, of a table for their columns and one for their rows: `[1, patches, both widths]`.
pub(super) fn positions(
    graph: &mut Graph<'_>,
    across: &Value,
    down: &Value,
    (rows, columns): (&Value, &Value),
) -> Value {
    let (across, down) = (graph.unsqueeze(across, &[0]), graph.unsqueeze(down, &[1]));
    let axis = [Attribute::Int("axis", 0)];
    let mut spread = |x: &Value, width: usize| {
        let width = graph.integers(&[width as i64]);
        let shape = graph.node("Concat", &[&rows.name, &columns.name, &width], &axis, 0);
        graph.node("Expand", &[&x.name, &shape.name], &[], x.channels)
    };
    let (across, down) = (
        spread(&across, across.channels),
        spread(&down, down.channels),
    );
    let both = graph.concat(&[&across, &down], 2);
    graph.reshape(&both, &[1, -1, both.channels as i64], both.channels)
}
