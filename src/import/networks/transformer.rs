//! The transformer within U-Nets (diffusers' `Transformer2DModel`): a picture's pixels look at each other and at the text.

use super::super::error::ImportError;
use super::super::graph::{Graph, Value};
use super::image_prompt::ImagePrompt;

/// What a picture is painted of.
pub(super) struct Seen {
    pub(super) text: Value,
    pub(super) picture: Option<ImagePrompt>,
}

/// ```text
/// x ─┬► norm ─► in ─► tokens ─► blocks ─► pixels ─► out ─┬► Add
///    └───────────────────────────────────────────────────┘
/// ```
/// `groups` are the norm's.
pub(super) fn model(
    graph: &mut Graph<'_>,
    at: &str,
    x: &Value,
    seen: &Seen,
    heads: usize,
    groups: usize,
) -> Result<Value, ImportError> {
    let normed = graph.group_norm(&format!("{at}.norm"), x, groups, 1e-6)?;
    let (inwards, outwards) = (format!("{at}.proj_in"), format!("{at}.proj_out"));
    let linear = graph.weight(&format!("{inwards}.weight"))?.shape().len() == 2;
    let mut tokens = if linear {
        let tokens = graph.tokens(&normed);
        graph.linear(&inwards, &tokens)?
    } else {
        let inner = graph.conv(&inwards, &normed)?;
        graph.tokens(&inner)
    };
    let blocks = format!("{at}.transformer_blocks");
    for number in 0..graph.count(&blocks) {
        tokens = block(graph, &format!("{blocks}.{number}"), &tokens, seen, heads)?;
    }
    let out = if linear {
        let tokens = graph.linear(&outwards, &tokens)?;
        graph.pixels(&tokens, x)
    } else {
        let pixels = graph.pixels(&tokens, x);
        graph.conv(&outwards, &pixels)?
    };
    Ok(graph.add(&out, x))
}

fn block(
    graph: &mut Graph<'_>,
    at: &str,
    x: &Value,
    seen: &Seen,
    heads: usize,
) -> Result<Value, ImportError> {
    let normed = graph.layer_norm(&format!("{at}.norm1"), x, 1e-5)?;
    let own = attention(graph, &format!("{at}.attn1"), &normed, &normed, heads, None)?;
    let x = graph.add(&own, x);
    let normed = graph.layer_norm(&format!("{at}.norm2"), &x, 1e-5)?;
    let told = prompted(graph, &format!("{at}.attn2"), &normed, seen, heads)?;
    let x = graph.add(&told, &x);
    let normed = graph.layer_norm(&format!("{at}.norm3"), &x, 1e-5)?;
    let fed = feed_forward(graph, &format!("{at}.ff"), &normed)?;
    Ok(graph.add(&fed, &x))
}

/// Attention to the text, and to a picture where there is one.
fn prompted(
    graph: &mut Graph<'_>,
    at: &str,
    x: &Value,
    seen: &Seen,
    heads: usize,
) -> Result<Value, ImportError> {
    let Some(picture) = &seen.picture else {
        return attention(graph, at, x, &seen.text, heads, None);
    };
    let query = graph.linear(&format!("{at}.to_q"), x)?;
    let key = graph.linear(&format!("{at}.to_k"), &seen.text)?;
    let value = graph.linear(&format!("{at}.to_v"), &seen.text)?;
    let mixed = graph.attention(&query, &key, &value, heads, None)?;
    let mixed = picture.beside(graph, at, &query, &mixed, heads)?;
    graph.linear(&format!("{at}.to_out.0"), &mixed)
}

/// Attention of `x` to `others` (diffusers' `Attention`). `mask` is added to the scores.
pub(super) fn attention(
    graph: &mut Graph<'_>,
    at: &str,
    x: &Value,
    others: &Value,
    heads: usize,
    mask: Option<&Value>,
) -> Result<Value, ImportError> {
    let query = graph.linear(&format!("{at}.to_q"), x)?;
    let key = graph.linear(&format!("{at}.to_k"), others)?;
    let value = graph.linear(&format!("{at}.to_v"), others)?;
    let mixed = graph.attention(&query, &key, &value, heads, mask)?;
    graph.linear(&format!("{at}.to_out.0"), &mixed)
}

/// GEGLU (arXiv 2002.05202): one half times the GELU of the other.
fn feed_forward(graph: &mut Graph<'_>, at: &str, x: &Value) -> Result<Value, ImportError> {
    let both = graph.linear(&format!("{at}.net.0.proj"), x)?;
    let halves = graph.split(&both, 2, -1);
    let (hidden, gate) = (&halves[0], graph.gelu(&halves[1]));
    let gated = graph.node("Mul", &[&hidden.name, &gate.name], &[], hidden.channels);
    graph.linear(&format!("{at}.net.2"), &gated)
}
