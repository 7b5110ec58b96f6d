//! Parts of a network by an input that stays the same in many runs: what is made of that input alone is computed once, the rest in each run.
//!
//! ```text
//! picture ─► conv ─► SiLU ─► … ─► conv ─┤├─► Add ─► …
//!                 before                 └┤   ▲ after
//! sample ─────────────────────► conv ─────────┘
//! ```
//!
//! The value that crosses takes the place, and the name, of the input in the rest. If several values cross, or none, nothing is worth
//! keeping: then the input itself crosses.

use std::collections::HashSet;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

use super::cut::named;
use super::passes::{drop_unread, each_read, node};

/// A part of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Part {
    #[default]
    Whole,
    /// From the input of this name to the value that crosses.
    Before(String),
    /// All the rest, which takes that value as the input of this name.
    After(String),
}

impl Part {
    /// Leaves this part of a network that the passes have been over.
    pub(super) fn leave(&self, model: &mut ModelProto) {
        let Some(graph) = &mut model.graph else {
            return;
        };
        match self {
            Self::Whole => return,
            Self::Before(input) => before(graph, input),
            Self::After(input) => after(graph, input),
        }
        drop_unread(graph);
    }
}

fn before(graph: &mut GraphProto, input: &str) {
    let mut crossing = crossing(graph, input);
    if crossing == input {
        // A network without nodes is none.
        crossing = format!("{input}/itself");
        graph.node = vec![node("Identity", &[input], &crossing)];
    }
    graph.input.retain(|declared| declared.name == input);
    graph.output = vec![named(crossing, DataType::Float)];
}

fn after(graph: &mut GraphProto, input: &str) {
    let crossing = crossing(graph, input);
    if crossing == input {
        return;
    }
    graph.node.retain(|node| !node.output.contains(&crossing));
    graph.node.insert(0, node("Identity", &[input], &crossing));
    // Whatever type and shape the input had, the value has others.
    let mut declared = graph.input.iter_mut();
    if let Some(declared) = declared.find(|value| value.name == input) {
        *declared = named(input.to_owned(), DataType::Float);
    }
}

/// The value made of `input` alone that all else is made from.
fn crossing(graph: &GraphProto, input: &str) -> String {
    let mut alone: HashSet<&str> = HashSet::from([input]);
    let constants = graph.initializer.iter();
    let constants: HashSet<&str> = constants.map(|tensor| tensor.name.as_str()).collect();
    let outputs = graph.output.iter().map(|output| output.name.as_str());
    let mut crossing: HashSet<&str> = HashSet::new();
    for node in &graph.node {
        let reads: Vec<&str> = reads(node)
            .into_iter()
            .filter(|name| !constants.contains(name))
            .collect();
        let (own, other): (Vec<&str>, Vec<&str>) =
            reads.into_iter().partition(|name| alone.contains(name));
        match (own.is_empty(), other.is_empty()) {
            (false, true) => alone.extend(node.output.iter().map(String::as_str)),
            _ => crossing.extend(own),
        }
    }
    crossing.extend(outputs.filter(|name| alone.contains(name)));
    let mut crossing = crossing.into_iter();
    match (crossing.next(), crossing.next()) {
        (Some(one), None) => one.to_owned(),
        _ => input.to_owned(),
    }
}

fn reads(node: &NodeProto) -> Vec<&str> {
    let mut reads = Vec::new();
    each_read(node, &mut |name| reads.push(name));
    reads
}

#[cfg(test)]
mod tests {
    use super::super::passes::testing::{evaluate, kinds, model, random};
    use super::*;

    fn part(text: &str, part: &Part) -> ModelProto {
        let mut model = model(text, vec![], &["y"]);
        part.leave(&mut model);
        model
    }

    fn kinds_of(model: &ModelProto) -> Vec<&str> {
        kinds(model.graph.as_ref().expect("it has one"))
    }

    /// The whole of `text` computes for `x` and `hint` what its two parts do, which are of these nodes.
    fn parts_compute_the_same(text: &str, before: &[&str], after: &[&str]) {
        let whole = part(text, &Part::Whole);
        let first = part(text, &Part::Before("hint".into()));
        let rest = part(text, &Part::After("hint".into()));
        assert_eq!(kinds_of(&first), before);
        assert_eq!(kinds_of(&rest), after);
        let (x, hint) = (random(&[1, 2, 3], 3), random(&[1, 2, 3], 5));
        let crossing = evaluate(&first, std::slice::from_ref(&hint));
        let found = evaluate(&rest, &[x.clone(), crossing]);
        let wanted = evaluate(&whole, &[x, hint]);
        let close = found.close_enough(&wanted, false);
        close.expect("what the whole network computes");
    }

    #[test]
    fn what_is_made_of_the_input_alone_is_one_part_and_the_rest_the_other() {
        let text = "\
            a = Sigmoid(x)
            b = Sigmoid(hint)
            c = Tanh(b)
            d = Add(a, c)
            y = Mul(d, c)";
        let rest = ["Identity", "Sigmoid", "Add", "Mul"];
        parts_compute_the_same(text, &["Sigmoid", "Tanh"], &rest);
    }

    #[test]
    fn where_two_values_cross_the_input_itself_does() {
        let text = "\
            b = Sigmoid(hint)
            c = Tanh(b)
            d = Add(x, b)
            y = Mul(d, c)";
        let all = ["Sigmoid", "Tanh", "Add", "Mul"];
        parts_compute_the_same(text, &["Identity"], &all);
        parts_compute_the_same("y = Add(x, hint)", &["Identity"], &["Add"]);
    }
}
