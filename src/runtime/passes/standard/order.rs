//! Nodes in an order in which each stands behind those that make what it reads: the standard asks for it, not all tools keep to it.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{GraphProto, NodeProto};

/// Sorts the graph and those inside its nodes, and leaves out what need not be said: empty names at the end of lists, and that a
/// shape begins with the first size.
pub(super) fn sort(graph: &mut GraphProto) -> Result<(), String> {
    for node in &mut graph.node {
        for list in [&mut node.input, &mut node.output] {
            // An optional value that is left out has an empty name.
            while list.last().is_some_and(String::is_empty) {
                list.pop();
            }
        }
        if node.op_type == "Shape" {
            node.attribute.retain(|a| a.name != "start" || a.i != 0);
        }
        for attribute in &mut node.attribute {
            let mut graphs = attribute.g.iter_mut().chain(&mut attribute.graphs);
            graphs.try_for_each(sort)?;
        }
    }
    // What makes nothing is of no use to anyone.
    graph.node.retain(|node| !node.output.is_empty());
    graph.node = sorted(std::mem::take(&mut graph.node))?;
    Ok(())
}

/// The nodes so that each stands behind those whose outputs it reads, otherwise in their order.
pub(in crate::runtime::passes) fn sorted(nodes: Vec<NodeProto>) -> Result<Vec<NodeProto>, String> {
    let order = order(&nodes)?;
    if order.iter().enumerate().all(|(at, node)| at == *node) {
        return Ok(nodes);
    }
    let mut nodes: Vec<Option<NodeProto>> = nodes.into_iter().map(Some).collect();
    let taken = order.into_iter().filter_map(|index| nodes[index].take());
    Ok(taken.collect())
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    /// It waits for others.
    Open,
    Done,
}

/// Depth first, with a stack of our own: a file may chain any number of nodes.
fn order(nodes: &[NodeProto]) -> Result<Vec<usize>, String> {
    let mut makers: HashMap<&str, usize> = HashMap::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let outputs = node.output.iter().filter(|name| !name.is_empty());
        makers.extend(outputs.map(|name| (name.as_str(), index)));
    }
    // Those that a node waits for, the first of them last.
    let open = |index: usize| {
        let mut before = Vec::new();
        reads(&nodes[index], &mut |name| before.extend(makers.get(name)));
        before.reverse();
        (index, before)
    };
    let mut state = vec![State::New; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    for start in 0..nodes.len() {
        let mut stack = Vec::new();
        if state[start] == State::New {
            state[start] = State::Open;
            stack.push(open(start));
        }
        while let Some((index, before)) = stack.last_mut() {
            let index = *index;
            match before.pop().map(|other: usize| (other, state[other])) {
                None => {
                    state[index] = State::Done;
                    order.push(index);
                    stack.pop();
                }
                Some((_, State::Done)) => {}
                Some((other, State::Open)) => {
                    return Err(format!("node `{}` waits for itself", label(&nodes[other])));
                }
                Some((other, State::New)) => {
                    state[other] = State::Open;
                    stack.push(open(other));
                }
            }
        }
    }
    Ok(order)
}

/// Calls `found` with each value that the node reads, also inside its branches and loops, but for those that are made there.
fn reads<'n>(node: &'n NodeProto, found: &mut dyn FnMut(&'n str)) {
    node.input.iter().for_each(|name| found(name));
    for attribute in &node.attribute {
        for graph in attribute.g.iter().chain(&attribute.graphs) {
            let inputs = graph.input.iter().map(|input| input.name.as_str());
            let constants = graph.initializer.iter().map(|tensor| tensor.name.as_str());
            let made = graph.node.iter().flat_map(|node| &node.output);
            let mut own: HashSet<&str> = inputs.chain(constants).collect();
            own.extend(made.map(String::as_str));
            let mut outer = |name: &'n str| {
                if !own.contains(name) {
                    found(name);
                }
            };
            graph.output.iter().for_each(|output| outer(&output.name));
            graph.node.iter().for_each(|node| reads(node, &mut outer));
        }
    }
}

/// How messages call the node.
pub(super) fn label(node: &NodeProto) -> &str {
    let output = || node.output.iter().find(|name| !name.is_empty());
    match node.name.as_str() {
        "" => output().map_or(&node.op_type, String::as_str),
        name => name,
    }
}
