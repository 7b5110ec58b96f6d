//! Moves the transposition that brings the tokens of a head together behind what works on tokens one by one, so that attention finds
//! it and takes it in.
//!
//! ```text
//! text    ─► Transpose 0 2 1 3 ─► EaselLayerNorm ─┐
//! picture ─► Transpose 0 2 1 3 ─► EaselLayerNorm ─┴► Concat 2 ─► MatMul
//!                               ▼
//! text    ─► EaselLayerNorm ─┐
//! picture ─► EaselLayerNorm ─┴► Concat 1 ─► Transpose 0 2 1 3 ─► MatMul
//! ```
//!
//! Each value that such a transposition makes has a *twin*, what it was before; nodes that can work on twins do. A value is made of its
//! twin where somebody asks for it.

use std::collections::HashMap;

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

use super::PassContext;
use super::graph::{self, Edits, int_attribute, ints_attribute};
use super::node;

/// The transposition between `[batch, heads, tokens, features]` and `[batch, tokens, heads, features]`, either way.
pub(super) const HEADS: [i64; 4] = [0, 2, 1, 3];

pub(super) fn run(model: &mut ModelProto, _context: &mut PassContext) -> Result<(), String> {
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let mut edits = Edits::default();
    move_down(graph, &mut edits);
    edits.apply(graph);
    Ok(())
}

fn move_down(graph: &GraphProto, edits: &mut Edits) {
    let mut twins: HashMap<&str, String> = HashMap::new();
    for old in &graph.node {
        let [output] = &old.output[..] else { continue };
        if old.op_type == "Transpose" && graph::ints(old, "perm") == Some(&HEADS) {
            twins.insert(output, old.input[0].clone());
            continue;
        }
        let twin = format!("{output}/tokens_first");
        let Some(moved) = on_twins(old, &twins, &twin) else {
            continue;
        };
        let mut back = node("Transpose", &[&twin], output);
        back.attribute = vec![ints_attribute("perm", &HEADS)];
        edits.replace(output, vec![moved, back]);
        twins.insert(output, twin);
    }
}

/// What makes `twin`, the twin of what the node makes.
fn on_twins(old: &NodeProto, twins: &HashMap<&str, String>, twin: &str) -> Option<NodeProto> {
    let of = |name: &String| twins.get(name.as_str()).cloned();
    let mut new = NodeProto {
        name: twin.to_owned(),
        output: vec![twin.to_owned()],
        ..old.clone()
    };
    match old.op_type.as_str() {
        // Its factors are rows.
        "EaselLayerNorm" => new.input[0] = of(&old.input[0])?,
        "EaselRotary" => {
            new.input[0] = of(&old.input[0])?;
            // Its table is of the axes as they were.
            new.attribute.push(int_attribute("swapped", 1));
            if let Some(axes) = graph::ints(old, "axes") {
                let &[batch, heads, tokens] = axes else {
                    return None;
                };
                new.attribute.retain(|attribute| attribute.name != "axes");
                new.attribute
                    .push(ints_attribute("axes", &[batch, tokens, heads]));
            }
        }
        "Concat" => {
            new.input = old.input.iter().map(of).collect::<Option<_>>()?;
            let axis = graph::int(old, "axis")?;
            let place = usize::try_from(if axis < 0 { axis + 4 } else { axis }).ok()?;
            let axis = new.attribute.iter_mut().find(|a| a.name == "axis")?;
            axis.i = *HEADS.get(place)?;
        }
        _ => return None,
    }
    Some(new)
}

#[cfg(test)]
mod tests {
    use super::super::graph::float_tensor;
    use super::super::testing::{model, random, same_after};
    use super::*;

    fn after(text: &str, outputs: &[&str]) -> Vec<String> {
        let constants = vec![
            float_tensor("scale", &[6], &[0.5, 1.0, 1.5, 2.0, 2.5, 3.0]),
            float_tensor("shift", &[1], &[0.25]),
        ];
        let inputs = [random(&[2, 5, 3, 6], 1), random(&[2, 4, 3, 6], 2)];
        same_after(run, model(text, constants, outputs), &inputs)
    }

    const BOTH: &str = "a = Transpose(x) perm=0,2,1,3\nb = Transpose(z) perm=0,2,1,3";

    #[test]
    fn joint_attention_meets_before_its_heads() {
        let text = format!(
            "{BOTH}
             c = EaselLayerNorm(a, scale, shift) epsilon=1e-6 centered=0
             d = EaselLayerNorm(b, scale, shift) epsilon=1e-6
             y = Concat(c, d) axis=2"
        );
        let expected = ["EaselLayerNorm", "EaselLayerNorm", "Concat", "Transpose"];
        assert_eq!(after(&text, &["y"]), expected);
        let text = text.replace("axis=2", "axis=-2");
        assert_eq!(after(&text, &["y"]), expected);
    }

    #[test]
    fn a_value_that_others_read_stays() {
        let text = format!("{BOTH}\nc = Concat(a, b) axis=2\nd = Neg(c)\ny = Concat(c, d) axis=1");
        assert_eq!(
            after(&text, &["y"]),
            ["Concat", "Transpose", "Neg", "Concat"]
        );
        let text = "a = Transpose(x) perm=0,2,1,3\nc = Neg(a)\ny = Concat(a, c) axis=2";
        let text = format!("{text}\nw = Neg(z)");
        assert_eq!(
            after(&text, &["y", "w"])[..3],
            ["Transpose", "Neg", "Concat"]
        );
    }
}
