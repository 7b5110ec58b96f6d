//! Networks without inputs that a picture does not have: the residuals of a ControlNet, the tokens of a prompt picture.
//!
//! What is not told counts as zeros, and what zeros change nothing of goes, so that the network computes what it did before it was
//! exported with such inputs:
//!
//! ```text
//! Add(x, 0) ─► x        Mul(x, 0) ─► 0        a transposition, reshaping or cast of 0 ─► 0
//! ```

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

use super::ops::{CHANNELS_FIRST, CHANNELS_LAST};
use super::passes::drop_unread;

/// What is still zeros behind them.
const KEEPS_ZEROS: [&str; 11] = [
    CHANNELS_FIRST,
    CHANNELS_LAST,
    "Cast",
    "Expand",
    "Flatten",
    "Identity",
    "Neg",
    "Reshape",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];

/// Takes the inputs named `absent` out of a network that the passes have been over.
pub(super) fn leave_out(model: &mut ModelProto, absent: &[String]) -> Result<(), String> {
    let Some(graph) = model.graph.as_mut().filter(|_| !absent.is_empty()) else {
        return Ok(());
    };
    let mut zeros: HashSet<String> = absent.iter().cloned().collect();
    // What another value is the same as.
    let mut same: HashMap<String, String> = HashMap::new();
    for node in &mut graph.node {
        for name in &mut node.input {
            if let Some(other) = same.get(name) {
                name.clone_from(other);
            }
        }
        let is_zero: Vec<bool> = node.input.iter().map(|name| zeros.contains(name)).collect();
        let [output] = &node.output[..] else { continue };
        match (node.op_type.as_str(), &is_zero[..]) {
            ("Mul", [true, _] | [_, true]) | ("Add" | "Sub", [true, true]) => {
                zeros.insert(output.clone());
            }
            ("Add", [true, false]) => {
                same.insert(output.clone(), node.input[1].clone());
            }
            ("Add" | "Sub", [false, true]) => {
                same.insert(output.clone(), node.input[0].clone());
            }
            (op, [true, ..]) if KEEPS_ZEROS.contains(&op) => {
                zeros.insert(output.clone());
            }
            _ => {}
        }
    }
    keep_outputs(graph, &same);
    drop_unread(graph);
    let read = graph.node.iter().flat_map(|node| &node.input);
    let read: HashSet<&String> = read.collect();
    if let Some(name) = absent.iter().find(|name| read.contains(name)) {
        return Err(format!(
            "cannot do without its input `{name}`: it was exported in a way that needs it, or is to be told it"
        ));
    }
    graph.input.retain(|input| !absent.contains(&input.name));
    Ok(())
}

/// An output of the graph is made by a node, under its own name.
fn keep_outputs(graph: &mut GraphProto, same: &HashMap<String, String>) {
    for output in &graph.output {
        let Some(other) = same.get(&output.name) else {
            continue;
        };
        let made = |node: &&mut NodeProto| node.output.contains(&output.name);
        if let Some(node) = graph.node.iter_mut().find(made) {
            node.op_type = "Identity".into();
            node.input = vec![other.clone()];
            node.attribute.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::passes::testing::{evaluate, kinds, model, random};
    use super::*;

    fn without(text: &str, absent: &[&str]) -> Result<ModelProto, String> {
        let mut model = model(text, vec![], &["y"]);
        let absent: Vec<String> = absent.iter().map(|name| (*name).to_owned()).collect();
        leave_out(&mut model, &absent).map(|()| model)
    }

    #[test]
    fn what_is_added_to_a_skip_goes_and_the_rest_computes_the_same() {
        let text = "\
            a = Sigmoid(x)
            skip = Add(a, residual)
            turned = Transpose(other) perm=0,2,1
            more = Add(turned, skip)
            y = Tanh(more)";
        let model = without(text, &["residual", "other"]).expect("it can do without");
        let graph = model.graph.as_ref().expect("it has one");
        assert_eq!(kinds(graph), ["Sigmoid", "Tanh"]);
        assert_eq!(graph.input.len(), 1);
        evaluate(&model, &[random(&[1, 2, 2], 3)]);
    }

    #[test]
    fn what_is_scaled_by_nothing_goes_with_all_that_it_was_made_of() {
        let text = "\
            tokens = Tanh(picture)
            seen = Softmax(tokens) axis=-1
            scaled = Mul(seen, scale)
            y = Add(x, scaled)";
        let model = without(text, &["picture", "scale"]).expect("it can do without");
        let graph = model.graph.as_ref().expect("it has one");
        assert_eq!(kinds(graph), ["Identity"]);
        assert_eq!(graph.node[0].input, ["x"]);
        let problem = without(text, &["picture"]).expect_err("it is scaled by something");
        assert!(problem.contains("input `picture`"), "{problem}");
    }
}
