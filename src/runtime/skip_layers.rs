//! Leaves out the last layers of a text encoder.
//!
//! A layer adds twice to what runs through all of them, and a norm ends it:
//!
//! ```text
//! h ─┬──────────► Add ─┬────► Add ─► h' ─► … ─► norm ─► states of the tokens
//!    └► attention ─┘   └► mlp ─┘
//! ```
//!
//! So the state before the last n layers is 2n additions up, always on the side that the other one is made from, and the norm reads
//! that instead. Names of nodes say nothing: every exporter has its own.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

/// Additions of a layer.
const ADDITIONS: usize = 2;

/// Makes the norm that ends in `output` read what comes before the last `layers`, in a network that the passes have been over.
pub(super) fn skip(model: &mut ModelProto, output: &str, layers: usize) -> Result<(), String> {
    let graph = model.graph.as_mut().ok_or("has no graph")?;
    let norm = ending_norm(graph, output);
    let norm =
        norm.ok_or("ends in a way that easel does not know: its layers cannot be skipped")?;
    let states = states(graph, &graph.node[norm].input[0], layers);
    let Some(state) = states.get(layers) else {
        let there = states.len() - 1;
        return Err(format!(
            "has {there} layers that can be skipped, and {layers} are asked for"
        ));
    };
    graph.node[norm].input[0] = state.clone();
    Ok(())
}

/// The norm that makes `output`, be it that a `Cast` stands between.
fn ending_norm(graph: &GraphProto, output: &str) -> Option<usize> {
    let mut value = output;
    loop {
        let makes = |node: &NodeProto| node.output.iter().any(|made| made == value);
        let number = graph.node.iter().position(makes)?;
        let node = &graph.node[number];
        match node.op_type.as_str() {
            "EaselLayerNorm" => return Some(number),
            "Cast" | "Identity" => value = node.input.first()?,
            _ => return None,
        }
    }
}

/// What runs between layers, the last first: at most one more than `layers`.
fn states(graph: &GraphProto, last: &str, layers: usize) -> Vec<String> {
    let mut makers: HashMap<&str, &NodeProto> = HashMap::new();
    for node in &graph.node {
        makers.extend(node.output.iter().map(|made| (made.as_str(), node)));
    }
    let mut states = vec![last.to_owned()];
    let mut value = last;
    for addition in 1..=ADDITIONS * layers {
        let Some(before) = before_addition(&makers, value) else {
            break;
        };
        value = before;
        if addition % ADDITIONS == 0 {
            states.push(value.to_owned());
        }
    }
    states
}

/// Of the two that are added, the one that the other is made from.
fn before_addition<'g>(makers: &HashMap<&'g str, &'g NodeProto>, sum: &str) -> Option<&'g str> {
    let node = makers.get(sum).filter(|node| node.op_type == "Add")?;
    let [first, second] = &node.input[..] else {
        return None;
    };
    let comes_from = |value: &'g str, source: &str| {
        let (mut seen, mut stack) = (HashSet::new(), vec![value]);
        while let Some(value) = stack.pop() {
            if value == source {
                return true;
            }
            let reads = makers.get(value).map_or(&[][..], |node| &node.input);
            stack.extend(
                reads
                    .iter()
                    .map(String::as_str)
                    .filter(|read| seen.insert(*read)),
            );
        }
        false
    };
    match (comes_from(second, first), comes_from(first, second)) {
        (true, false) => Some(first),
        (false, true) => Some(second),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::ops::node;
    use super::*;

    /// A text encoder of so many layers, the additions written either way round.
    fn encoder(layers: usize) -> ModelProto {
        let mut nodes = vec![node("EaselEmbedding", &["ids"], "s0")];
        for layer in 0..layers {
            let [before, after] = [layer, layer + 1].map(|n| format!("s{n}"));
            let [a, m, mid] = ["a", "m", "mid"].map(|name| format!("{name}{layer}"));
            nodes.push(node("EaselAttention", &[&before], &a));
            nodes.push(node("Add", &[&before, &a], &mid));
            nodes.push(node("EaselLinear", &[&mid], &m));
            nodes.push(node("Add", &[&m, &mid], &after));
        }
        let last = format!("s{layers}");
        nodes.push(node("EaselLayerNorm", &[&last, "scale", "shift"], "normed"));
        nodes.push(node("Cast", &["normed"], "states"));
        let graph = GraphProto {
            node: nodes,
            ..GraphProto::default()
        };
        ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        }
    }

    fn read_by_the_norm(model: &ModelProto) -> &str {
        let mut nodes = model.graph.iter().flat_map(|graph| &graph.node);
        let norm = nodes.find(|node| node.op_type == "EaselLayerNorm");
        &norm.expect("there is one").input[0]
    }

    #[test]
    fn the_norm_reads_what_comes_before_the_layers_that_are_skipped() {
        for layers in 1..=3 {
            let mut model = encoder(3);
            skip(&mut model, "states", layers).expect("there are so many");
            assert_eq!(read_by_the_norm(&model), format!("s{}", 3 - layers));
        }
    }

    #[test]
    fn more_layers_than_there_are_and_other_networks_are_refused() {
        let error = skip(&mut encoder(3), "states", 4).expect_err("there are three");
        assert!(error.contains("3 layers"), "{error}");
        assert!(skip(&mut encoder(3), "s3", 1).is_err());
        assert!(skip(&mut ModelProto::default(), "states", 1).is_err());
    }
}
