//! The layers that CLIP's text and image encoders have alike.

use super::super::error::{ImportError, quoted};
use super::super::graph::{Graph, Value};
use super::unknown;

/// What all layers share.
pub(super) struct Layers {
    heads: usize,
    pub(super) epsilon: f32,
    activate: fn(&mut Graph<'_>, &Value) -> Value,
}

impl Layers {
    /// As the configuration says.
    pub(super) fn of(graph: &Graph<'_>) -> Result<Self, ImportError> {
        Ok(Self {
            heads: graph.count_of("num_attention_heads", 1..=1024, 8)?,
            epsilon: graph.number_of("layer_norm_eps", 0.0..=1.0, 1e-5)?,
            activate: match graph.text_of("hidden_act", "quick_gelu")? {
                "quick_gelu" => |graph, x| graph.quick_gelu(x),
                "gelu" => |graph, x| graph.gelu(x),
                other => {
                    return Err(
                        graph.misconfigured(unknown(&format!("`hidden_act`: {}", quoted(other))))
                    );
                }
            },
        })
    }

    /// ```text
    /// x ─┬► norm ─► attention ─► Add ─┬► norm ─► two linear layers ─► Add
    ///    └──────────────────────┘     └───────────────────────────────┘
    /// ```
    /// `mask` is added to the scores.
    pub(super) fn layer(
        &self,
        graph: &mut Graph<'_>,
        at: &str,
        x: &Value,
        mask: Option<&Value>,
    ) -> Result<Value, ImportError> {
        let normed = graph.layer_norm(&format!("{at}.layer_norm1"), x, self.epsilon)?;
        let of = |graph: &mut Graph<'_>, part: &str, x: &Value| {
            graph.linear(&format!("{at}.self_attn.{part}"), x)
        };
        let (query, key, value) = (
            of(graph, "q_proj", &normed)?,
            of(graph, "k_proj", &normed)?,
            of(graph, "v_proj", &normed)?,
        );
        let mixed = graph.attention(&query, &key, &value, self.heads, mask)?;
        let mixed = of(graph, "out_proj", &mixed)?;
        let x = graph.add(x, &mixed);
        let normed = graph.layer_norm(&format!("{at}.layer_norm2"), &x, self.epsilon)?;
        let wide = graph.linear(&format!("{at}.mlp.fc1"), &normed)?;
        let wide = (self.activate)(graph, &wide);
        let narrow = graph.linear(&format!("{at}.mlp.fc2"), &wide)?;
        Ok(graph.add(&x, &narrow))
    }
}
