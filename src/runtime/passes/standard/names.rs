//! Names of values and nodes.

use std::collections::HashSet;

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

/// The names that values of a graph have, and new ones beside them.
pub(super) struct Names {
    taken: HashSet<String>,
    /// Counts all names given, so that a file cannot make it try the same ones again.
    count: usize,
}

impl Names {
    pub(super) fn of(graph: &GraphProto) -> Self {
        let mut taken = HashSet::new();
        add(graph, &mut taken);
        Self { taken, count: 0 }
    }

    /// Takes the names of what these nodes make into account.
    pub(super) fn add(&mut self, nodes: &[NodeProto]) {
        add_nodes(nodes, &mut self.taken);
    }

    /// A name like `wish` that no value has.
    pub(super) fn fresh(&mut self, wish: &str) -> String {
        loop {
            let name = format!("{wish}/{}", self.count);
            self.count += 1;
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// Adds the names of the graph's values, and of those inside its nodes.
fn add(graph: &GraphProto, taken: &mut HashSet<String>) {
    taken.extend(graph.input.iter().map(|input| input.name.clone()));
    taken.extend(graph.initializer.iter().map(|tensor| tensor.name.clone()));
    add_nodes(&graph.node, taken);
}

fn add_nodes(nodes: &[NodeProto], taken: &mut HashSet<String>) {
    for node in nodes {
        taken.extend(node.output.iter().cloned());
        for attribute in &node.attribute {
            let graphs = attribute.g.iter().chain(&attribute.graphs);
            graphs.for_each(|graph| add(graph, taken));
        }
    }
}

/// Names each node after the first value that it makes. What a file calls nodes means nothing: names may be missing, equal, or equal to
/// those of values. tract takes them for keys, together with those of inputs and constants, and appends to them what it makes of
/// a node, `.cast` and the like.
pub(in crate::runtime) fn name_nodes(model: &mut ModelProto) {
    for node in model.graph.iter_mut().flat_map(|graph| &mut graph.node) {
        if let Some(value) = node.output.iter().find(|name| !name.is_empty()) {
            // No value ends so: neither is one taken, nor one that begins as another does and goes on with a dot.
            node.name = format!("{value}#");
        }
    }
}
