//! Flux's transformer: diffusers' `FluxTransformer2DModel`.
//!
//! ```text
//! picture ─► x_embedder ───────┐                  ┌► one stream ─► single blocks ─► the picture's tokens ─► norm ─► proj_out
//! text ─► context_embedder ────┴► double blocks ──┘
//! ```
//! Text and picture see each other in each block; positions turn queries and keys (arXiv 2104.09864).

use tract_onnx::pb::tensor_proto::DataType;

use super::super::error::ImportError;
use super::super::graph::{Axis, BATCH, Graph, Value, named};
use super::adaln::{
    Heads, continuous, embedded, feed_forward, gated, modulated, normed, parted, pooled, scalar,
    text, told,
};

const PICTURE: Axis = named("packed_height_width");
/// Numbers that say where a token is.
const IDS: usize = 3;
const THETA: f64 = 10_000.0;
const TO: [&str; 3] = ["to_q", "to_k", "to_v"];
const ADDED: [&str; 3] = ["add_q_proj", "add_k_proj", "add_v_proj"];

/// What the blocks share.
struct Blocks {
    heads: usize,
    /// The step, behind its SiLU.
    step: Value,
    /// By what angles each token's features are turned: `[1, tokens, 1, width]`.
    cos: Value,
    sin: Value,
}

pub(super) fn build(graph: &mut Graph<'_>) -> Result<(), ImportError> {
    let heads = graph.count_of("num_attention_heads", 1..=1024, 24)?;
    let [_, channels] = graph.weight_of("x_embedder.weight")?;
    let picture = graph.input(
        "hidden_states",
        DataType::Float,
        &[BATCH, PICTURE, Axis::Fixed(channels)],
    );
    let [_, features] = graph.weight_of("context_embedder.weight")?;
    let text = text(graph, features);
    let step = step(graph)?;
    let (cos, sin) = rotation(graph)?;
    let blocks = Blocks {
        heads,
        step,
        cos,
        sin,
    };

    let mut x = graph.linear("x_embedder", &picture)?;
    let mut context = graph.linear("context_embedder", &text)?;
    for number in 0..graph.count("transformer_blocks") {
        (context, x) =
            blocks.double(graph, &format!("transformer_blocks.{number}"), &context, &x)?;
    }
    let words = graph.sizes(&context, 1, 2);
    let mut all = Value {
        channels: x.channels,
        ..graph.concat(&[&context, &x], 1)
    };
    for number in 0..graph.count("single_transformer_blocks") {
        all = blocks.single(graph, &format!("single_transformer_blocks.{number}"), &all)?;
    }
    let (_, x) = parted(graph, &all, &words);
    let x = continuous(graph, "norm_out", &x, &blocks.step)?;
    let out = graph.linear("proj_out", &x)?;
    graph.output(
        &out,
        "out_hidden_states",
        &[BATCH, PICTURE, Axis::Fixed(out.channels)],
    );
    Ok(())
}

/// The step, the guidance where it is asked for, and the text as a whole, behind SiLU.
fn step(graph: &mut Graph<'_>) -> Result<Value, ImportError> {
    let at = "time_text_embed";
    let pooled = pooled(graph, &format!("{at}.text_embedder.linear_1"))?;
    let timestep = scalar(graph, "timestep");
    // Flux counts from 0 to 1.
    let timestep = graph.multiply(&timestep, 1000.0);
    let mut step = embedded(graph, &format!("{at}.timestep_embedder"), &timestep)?;
    if graph.has(&format!("{at}.guidance_embedder.linear_1.weight")) {
        let guidance = scalar(graph, "guidance");
        let guidance = graph.multiply(&guidance, 1000.0);
        let guidance = embedded(graph, &format!("{at}.guidance_embedder"), &guidance)?;
        step = graph.add(&step, &guidance);
    }
    let text = super::timesteps::embedding(graph, &format!("{at}.text_embedder"), &pooled, None)?;
    let step = graph.add(&step, &text);
    Ok(graph.silu(&step))
}

/// Cosines and sines of the angles of all tokens, the text's before the picture's: a third of the features, more or less, for each of
/// the numbers that say where a token is. Two neighbours have the same.
fn rotation(graph: &mut Graph<'_>) -> Result<(Value, Value), ImportError> {
    let widths = graph.config().counts("axes_dims_rope", IDS..=IDS, 2..=4096);
    let widths = widths.map_err(|problem| graph.misconfigured(problem))?;
    let widths = widths.unwrap_or_else(|| vec![16, 56, 56]);
    let image = graph.input("img_ids", DataType::Int64, &[PICTURE, Axis::Fixed(IDS)]);
    let words = graph.input(
        "txt_ids",
        DataType::Int64,
        &[super::adaln::TEXT, Axis::Fixed(IDS)],
    );
    let ids = graph.concat(&[&words, &image], 0);
    let ids = graph.cast(&ids, DataType::Float);
    let axis = graph.integers(&[1]);
    let mut angles = Vec::new();
    for (number, width) in widths.iter().enumerate() {
        let (from, to) = (
            graph.integers(&[number as i64]),
            graph.integers(&[number as i64 + 1]),
        );
        let places = graph.node("Slice", &[&ids.name, &from, &to, &axis], &[], 1);
        let frequency =
            |feature: u32| THETA.powf(-f64::from(feature / 2 * 2) / f64::from(*width)) as f32;
        let frequencies: Vec<f32> = (0..*width).map(frequency).collect();
        let frequencies = graph.floats(&[1, frequencies.len()], &frequencies);
        angles.push(graph.node("Mul", &[&places.name, &frequencies], &[], *width as usize));
    }
    let angles = graph.concat(&angles.iter().collect::<Vec<_>>(), 1);
    let angles = graph.unsqueeze(&angles, &[0, 2]);
    let mut of = |op| graph.node(op, &[&angles.name], &[], angles.channels);
    Ok((of("Cos"), of("Sin")))
}

impl Blocks {
    /// Two streams with weights of their own.
    fn double(
        &self,
        graph: &mut Graph<'_>,
        at: &str,
        context: &Value,
        x: &Value,
    ) -> Result<(Value, Value), ImportError> {
        // Shift, scale, gate of attention, then of the feed-forward.
        let here = told(graph, &format!("{at}.norm1.linear"), &self.step, 6)?;
        let there = told(graph, &format!("{at}.norm1_context.linear"), &self.step, 6)?;
        let attn = format!("{at}.attn");
        let mut heads = |x: &Value, told: &[Value], layers, norms| {
            let normed = normed(graph, x);
            let x = modulated(graph, &normed, &told[0], &told[1]);
            Heads::of(graph, &attn, &x, self.heads, layers, norms)
        };
        let of_text = heads(context, &there, ADDED, ["norm_added_q", "norm_added_k"])?;
        let of_picture = heads(x, &here, TO, ["norm_q", "norm_k"])?;
        let all = Heads::joined(graph, &of_text, &of_picture);
        let seen = self.turned(graph, all).attend(graph, self.heads);
        let words = graph.sizes(context, 1, 2);
        let (of_text, of_picture) = parted(graph, &seen, &words);
        let of_picture = graph.linear(&format!("{attn}.to_out.0"), &of_picture)?;
        let of_text = graph.linear(&format!("{attn}.to_add_out"), &of_text)?;
        let mut fed = |x: &Value, seen: &Value, told: &[Value], layer: &str| {
            let x = gated(graph, x, &told[2], seen);
            let normed = normed(graph, &x);
            let y = modulated(graph, &normed, &told[3], &told[4]);
            let y = feed_forward(graph, &format!("{at}.{layer}"), &y)?;
            Ok::<_, ImportError>(gated(graph, &x, &told[5], &y))
        };
        let x = fed(x, &of_picture, &here, "ff")?;
        let context = fed(context, &of_text, &there, "ff_context")?;
        Ok((context, x))
    }

    /// One stream; attention and feed-forward side by side.
    fn single(&self, graph: &mut Graph<'_>, at: &str, x: &Value) -> Result<Value, ImportError> {
        let told = told(graph, &format!("{at}.norm.linear"), &self.step, 3)?;
        let plain = normed(graph, x);
        let y = modulated(graph, &plain, &told[0], &told[1]);
        let wide = graph.linear(&format!("{at}.proj_mlp"), &y)?;
        let wide = graph.gelu_tanh(&wide);
        let heads = Heads::of(
            graph,
            &format!("{at}.attn"),
            &y,
            self.heads,
            TO,
            ["norm_q", "norm_k"],
        )?;
        let seen = self.turned(graph, heads).attend(graph, self.heads);
        let both = graph.concat(&[&seen, &wide], 2);
        let y = graph.linear(&format!("{at}.proj_out"), &both)?;
        Ok(gated(graph, x, &told[2], &y))
    }

    fn turned(&self, graph: &mut Graph<'_>, heads: Heads) -> Heads {
        let query = graph.rotated(&heads.query, &self.cos, &self.sin);
        let key = graph.rotated(&heads.key, &self.cos, &self.sin);
        Heads {
            query,
            key,
            value: heads.value,
        }
    }
}
