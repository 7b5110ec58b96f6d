//! Stable Diffusion 3's transformer (arXiv 2403.03206): diffusers' `SD3Transformer2DModel`.
//!
//! ```text
//! latents ─► patches + positions ─┐
//! text ─► context_embedder ───────┴► joint blocks ─► norm ─► proj_out ─► patches as latents
//! ```
//! Picture and text see each other in each block; in 3.5, the picture sees itself once more in some.

use tract_onnx::pb::tensor_proto::DataType;

use super::super::error::ImportError;
use super::super::graph::{Graph, Value};
use super::adaln::{
    Heads, continuous, embedded, feed_forward, gated, grid, latents, modulated, normed, parted,
    patches, pooled, positions, scalar, text, told, unpatched,
};

const TO: [&str; 3] = ["to_q", "to_k", "to_v"];
const ADDED: [&str; 3] = ["add_q_proj", "add_k_proj", "add_v_proj"];

pub(super) fn build(graph: &mut Graph<'_>) -> Result<(), ImportError> {
    let heads = graph.count_of("num_attention_heads", 1..=1024, 18)?;
    let [_, channels, side, _] = graph.weight_of("pos_embed.proj.weight")?;
    let sample = graph.input("hidden_states", DataType::Float, &latents(channels));
    let [_, features] = graph.weight_of("context_embedder.weight")?;
    let text = text(graph, features);
    let step = step(graph)?;

    let (rows, columns) = grid(graph, &sample, side);
    let x = patches(graph, "pos_embed.proj", &sample)?;
    let places = places(graph, (&rows, &columns))?;
    let mut x = graph.add(&x, &places);
    let mut context = Some(graph.linear("context_embedder", &text)?);
    for number in 0..graph.count("transformer_blocks") {
        let Some(words) = context else {
            return Err(graph.problem("goes on behind the block that ends the text"));
        };
        (context, x) = block(
            graph,
            &format!("transformer_blocks.{number}"),
            &words,
            &x,
            heads,
            &step,
        )?;
    }
    let x = continuous(graph, "norm_out", &x, &step)?;
    let out = graph.linear("proj_out", &x)?;
    let out = unpatched(graph, &out, (&rows, &columns), side)?;
    graph.output(&out, "out_hidden_states", &latents(out.channels));
    Ok(())
}

/// The step and the text as a whole, behind SiLU.
fn step(graph: &mut Graph<'_>) -> Result<Value, ImportError> {
    let at = "time_text_embed";
    let pooled = pooled(graph, &format!("{at}.text_embedder.linear_1"))?;
    let timestep = scalar(graph, "timestep");
    let step = embedded(graph, &format!("{at}.timestep_embedder"), &timestep)?;
    let text = super::timesteps::embedding(graph, &format!("{at}.text_embedder"), &pooled, None)?;
    let step = graph.add(&step, &text);
    Ok(graph.silu(&step))
}

/// Positions of the patches, which lie in the middle of a table of all. What it says of a column is the same in each row, and the other
/// way round: so two lists are kept of it, not 906 MB (3.5), of which a picture of 1024×1024 pixels reads a thirty-sixth.
fn places(graph: &mut Graph<'_>, (rows, columns): (&Value, &Value)) -> Result<Value, ImportError> {
    let (across, down, side) = lists(graph)?;
    let mut middle = |list: &Value, count: &Value| {
        let (side, two, axis) = (
            graph.integers(&[side as i64]),
            graph.integers(&[2]),
            graph.integers(&[0]),
        );
        let left = graph.node("Sub", &[&side, &count.name], &[], 0);
        let first = graph.node("Div", &[&left.name, &two], &[], 0);
        let end = graph.node("Add", &[&first.name, &count.name], &[], 0);
        graph.node(
            "Slice",
            &[&list.name, &first.name, &end.name, &axis],
            &[],
            list.channels,
        )
    };
    let (across, down) = (middle(&across, columns), middle(&down, rows));
    Ok(positions(graph, &across, &down, (rows, columns)))
}

/// What the table says of each column, of each row, and how many there are.
fn lists(graph: &mut Graph<'_>) -> Result<(Value, Value, usize), ImportError> {
    let name = "pos_embed.pos_embed";
    let table = graph.weight(name)?.clone();
    let [one, places, width] = graph.weight_of(name)?;
    let side = places.isqrt();
    if one != 1 || side == 0 || side * side != places || width % 2 != 0 {
        return Err(graph.problem("its table of positions is of no square"));
    }
    let table = table.rows_of(places, width);
    let half = width / 2;
    let (mut across, mut down) = (Vec::new(), Vec::new());
    let mut row = Vec::new();
    for number in 0..side {
        table.read(number * side..(number + 1) * side, &mut row)?;
        let halves = || row.chunks_exact(width).map(|place| place.split_at(half));
        if number == 0 {
            across.extend(halves().flat_map(|(first, _)| first));
        }
        let (_, own) = row[..width].split_at(half);
        let separable = across
            .chunks_exact(half)
            .zip(halves())
            .all(|(column, (first, second))| column == first && own == second);
        if !separable {
            return Err(graph.problem(super::unknown("a table of positions that was trained")));
        }
        down.extend_from_slice(own);
    }
    graph.ignore(name);
    let mut list = |values: &[f32]| Value {
        name: graph.floats(&[side, half], values),
        channels: half,
    };
    Ok((list(&across), list(&down), side))
}

/// A block: the text, unless it ends here, and the picture.
fn block(
    graph: &mut Graph<'_>,
    at: &str,
    context: &Value,
    x: &Value,
    heads: usize,
    step: &Value,
) -> Result<(Option<Value>, Value), ImportError> {
    let twice = graph.has(&format!("{at}.attn2.to_q.weight"));
    let last = !graph.has(&format!("{at}.ff_context.net.2.weight"));
    // Shift, scale, gate: of attention, of the feed-forward, of the picture's second attention.
    let here = told(
        graph,
        &format!("{at}.norm1.linear"),
        step,
        if twice { 9 } else { 6 },
    )?;
    let plain = normed(graph, x);
    let own = modulated(graph, &plain, &here[0], &here[1]);
    let there = if last {
        Vec::new()
    } else {
        told(graph, &format!("{at}.norm1_context.linear"), step, 6)?
    };
    let words = if last {
        continuous(graph, &format!("{at}.norm1_context"), context, step)?
    } else {
        let plain = normed(graph, context);
        modulated(graph, &plain, &there[0], &there[1])
    };
    let attn = format!("{at}.attn");
    let of_picture = Heads::of(graph, &attn, &own, heads, TO, ["norm_q", "norm_k"])?;
    let of_text = Heads::of(
        graph,
        &attn,
        &words,
        heads,
        ADDED,
        ["norm_added_q", "norm_added_k"],
    )?;
    let all = Heads::joined(graph, &of_picture, &of_text);
    let seen = all.attend(graph, heads);
    let count = graph.sizes(x, 1, 2);
    let (of_picture, of_text) = parted(graph, &seen, &count);
    let of_picture = graph.linear(&format!("{attn}.to_out.0"), &of_picture)?;
    let mut x = gated(graph, x, &here[2], &of_picture);
    if twice {
        let attn = format!("{at}.attn2");
        let own = modulated(graph, &plain, &here[6], &here[7]);
        let own = Heads::of(graph, &attn, &own, heads, TO, ["norm_q", "norm_k"])?;
        let seen = own.attend(graph, heads);
        let seen = graph.linear(&format!("{attn}.to_out.0"), &seen)?;
        x = gated(graph, &x, &here[8], &seen);
    }
    let x = fed(graph, &format!("{at}.ff"), &x, &here)?;
    if last {
        return Ok((None, x));
    }
    let of_text = graph.linear(&format!("{attn}.to_add_out"), &of_text)?;
    let context = gated(graph, context, &there[2], &of_text);
    let context = fed(graph, &format!("{at}.ff_context"), &context, &there)?;
    Ok((Some(context), x))
}

/// The feed-forward of a block, told its shift, scale and gate.
fn fed(
    graph: &mut Graph<'_>,
    layer: &str,
    x: &Value,
    told: &[Value],
) -> Result<Value, ImportError> {
    let plain = normed(graph, x);
    let y = modulated(graph, &plain, &told[3], &told[4]);
    let y = feed_forward(graph, layer, &y)?;
    Ok(gated(graph, x, &told[5], &y))
}
