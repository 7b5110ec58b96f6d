//! The residual block of U-Nets and autoencoders (diffusers' `ResnetBlock2D`), and what halves and doubles pictures between them.

use super::super::error::ImportError;
use super::super::graph::{Graph, Value};

/// How a network normalizes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Norm {
    pub(super) groups: usize,
    pub(super) epsilon: f32,
}

/// ```text
/// x ─┬► norm ─► SiLU ─► conv ─► + step ─► norm ─► SiLU ─► conv ─┬► Add
///    └► [conv 1×1] ─────────────────────────────────────────────┘
/// ```
/// `step` is what step it is, `[batch, features]`, behind its SiLU.
pub(super) fn block(
    graph: &mut Graph<'_>,
    at: &str,
    x: &Value,
    step: Option<&Value>,
    norm: Norm,
) -> Result<Value, ImportError> {
    let h = graph.group_norm(&format!("{at}.norm1"), x, norm.groups, norm.epsilon)?;
    let h = graph.silu(&h);
    let mut h = graph.conv(&format!("{at}.conv1"), &h)?;
    if let Some(step) = step {
        let step = graph.linear_row(&format!("{at}.time_emb_proj"), step)?;
        let step = graph.unsqueeze(&step, &[2, 3]);
        if step.channels != h.channels {
            return Err(graph.problem(super::unknown(&format!("how {at} takes in the step"))));
        }
        h = graph.add(&h, &step);
    }
    let h = graph.group_norm(&format!("{at}.norm2"), &h, norm.groups, norm.epsilon)?;
    let h = graph.silu(&h);
    let h = graph.conv(&format!("{at}.conv2"), &h)?;
    let shortcut = format!("{at}.conv_shortcut");
    if graph.has(&format!("{shortcut}.weight")) {
        let x = graph.conv(&shortcut, x)?;
        return Ok(graph.add(&x, &h));
    }
    Ok(graph.add(x, &h))
}

/// Doubles a picture's sides, if the block does that.
pub(super) fn upsampled(graph: &mut Graph<'_>, at: &str, x: Value) -> Result<Value, ImportError> {
    let conv = format!("{at}.upsamplers.0.conv");
    if !graph.has(&format!("{conv}.weight")) {
        return Ok(x);
    }
    let large = graph.enlarge(&x);
    graph.conv(&conv, &large)
}
