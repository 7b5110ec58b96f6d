//! Puts the bodies of a network's own functions in the place of their calls: exporters write modules and operators of their own so.
//!
//! ```text
//! silu(x) { s = Sigmoid(x); y = Mul(x, s) }        z = silu(a)   ─►   s/1 = Sigmoid(a); z = Mul(a, s/1)
//! ```

use crate::text::excerpt;
use std::collections::HashMap;

use prost::Message as _;
use tract_onnx::pb::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
};

use super::names::Names;

/// A network of more nodes is none for a board.
const MOST_NODES: usize = 1 << 16;
/// Weights are constants of the graph: what functions hold is small.
const MOST_BYTES: usize = 64 << 20;
/// Modules within modules are a dozen deep.
const DEEPEST: usize = 64;

/// Operators that are written in another way from this version of the standard on.
const CHANGED: [(&str, i64); 22] = [
    ("Slice", 10),
    ("Clip", 11),
    ("Pad", 11),
    ("Resize", 11),
    ("Hardmax", 13),
    ("LogSoftmax", 13),
    ("ReduceSum", 13),
    ("Softmax", 13),
    ("Split", 13),
    ("Squeeze", 13),
    ("Unsqueeze", 13),
    ("ReduceL1", 18),
    ("ReduceL2", 18),
    ("ReduceLogSum", 18),
    ("ReduceLogSumExp", 18),
    ("ReduceMax", 18),
    ("ReduceMean", 18),
    ("ReduceMin", 18),
    ("ReduceProd", 18),
    ("ReduceSumSquare", 18),
    ("DFT", 20),
    ("GroupNormalization", 21),
];

pub(super) fn inline(model: &mut ModelProto) -> Result<(), String> {
    let list = std::mem::take(&mut model.functions);
    let version = super::super::graph::opset(model);
    let Some(graph) = model.graph.as_mut().filter(|_| !list.is_empty()) else {
        return Ok(());
    };
    let known: Functions<'_> = list.iter().map(|f| (key_of(f), f)).collect();
    let mut costs = Costs {
        known: &known,
        found: HashMap::new(),
        version,
    };
    let cost = costs.of(&graph.node, 0)?;
    if cost.nodes > MOST_NODES || cost.bytes > MOST_BYTES {
        return Err(format!(
            "its functions make it a network of {} nodes and {} MiB, at most {MOST_NODES} and {} are taken: export it without functions",
            cost.nodes,
            cost.bytes >> 20,
            MOST_BYTES >> 20
        ));
    }
    let names = Names::of(graph);
    let mut writer = Writer {
        known: &known,
        names,
    };
    graph.node = writer.nodes(&graph.node, &mut Scope::default());
    Ok(())
}

/// Domain and name.
type Key<'m> = (&'m str, &'m str);
type Functions<'m> = HashMap<Key<'m>, &'m FunctionProto>;

fn key_of(function: &FunctionProto) -> Key<'_> {
    key(function.domain(), function.name())
}

fn key<'m>(domain: &'m str, name: &'m str) -> Key<'m> {
    (if domain == "ai.onnx" { "" } else { domain }, name)
}

fn called<'m>(known: &Functions<'m>, node: &NodeProto) -> Option<&'m FunctionProto> {
    known.get(&key(&node.domain, &node.op_type)).copied()
}

/// What a function becomes.
#[derive(Clone, Copy, Default)]
struct Cost {
    nodes: usize,
    bytes: usize,
    /// Functions that it calls within each other.
    deep: usize,
}

struct Costs<'m, 'f> {
    known: &'f Functions<'m>,
    /// `None` while a function's is looked for.
    found: HashMap<Key<'m>, Option<Cost>>,
    /// Of the standard's operators, as the graph uses them.
    version: i64,
}

impl<'m> Costs<'m, '_> {
    fn of(&mut self, nodes: &[NodeProto], depth: usize) -> Result<Cost, String> {
        let mut all = Cost::default();
        for node in nodes {
            all.nodes = all.nodes.saturating_add(1);
            let mut parts = Vec::new();
            match called(self.known, node) {
                Some(function) => {
                    let given = [node.input.len(), node.output.len()];
                    let takes = [function.input.len(), function.output.len()];
                    if given[0] > takes[0] || given[1] > takes[1] {
                        return Err(format!(
                            "node `{}` gives its function more than {takes:?} inputs and outputs",
                            excerpt(&node.name)
                        ));
                    }
                    parts.push(self.function(function, depth + 1)?);
                }
                None => all.bytes = all.bytes.saturating_add(node.encoded_len()),
            }
            for attribute in &node.attribute {
                for graph in attribute.g.iter().chain(&attribute.graphs) {
                    parts.push(self.of(&graph.node, depth)?);
                }
            }
            for part in parts {
                all.nodes = all.nodes.saturating_add(part.nodes);
                all.bytes = all.bytes.saturating_add(part.bytes);
                all.deep = all.deep.max(part.deep);
            }
        }
        Ok(all)
    }

    fn function(&mut self, function: &'m FunctionProto, depth: usize) -> Result<Cost, String> {
        let name = function.name();
        let too_deep = || {
            format!(
                "function `{name}` calls more than {DEEPEST} others within each other: export without functions"
            )
        };
        match self.found.get(&key_of(function)) {
            Some(Some(cost)) if cost.deep + depth > DEEPEST => return Err(too_deep()),
            Some(Some(cost)) => return Ok(*cost),
            Some(None) => return Err(format!("function `{name}` calls itself")),
            None if depth > DEEPEST => return Err(too_deep()),
            None => {}
        }
        self.found.insert(key_of(function), None);
        self.check_version(function)?;
        let mut cost = self.of(&function.node, depth)?;
        cost.deep += 1;
        self.found.insert(key_of(function), Some(cost));
        Ok(cost)
    }

    /// The function's nodes become some of the graph, and have to mean the same there.
    fn check_version(&self, function: &FunctionProto) -> Result<(), String> {
        let own =
            |opset: &&OperatorSetIdProto| opset.domain.is_empty() || opset.domain == "ai.onnx";
        let Some(opset) = function.opset_import.iter().find(own) else {
            return Ok(());
        };
        let (old, new) = (
            opset.version.min(self.version),
            opset.version.max(self.version),
        );
        let changed = |node: &&NodeProto| {
            let standard = matches!(node.domain.as_str(), "" | "ai.onnx");
            let differs =
                |(op, since): &(&str, i64)| *op == node.op_type && old < *since && *since <= new;
            standard && CHANGED.iter().any(differs)
        };
        match function.node.iter().find(changed) {
            Some(node) => Err(format!(
                "function `{}` uses {} of operator set {}, the network that of {}: export it with one",
                function.name(),
                node.op_type,
                opset.version,
                self.version
            )),
            None => Ok(()),
        }
    }
}

/// What the names of a function's values and attributes stand for in one call; outside of functions, themselves.
#[derive(Default)]
struct Scope {
    inside: bool,
    values: HashMap<String, String>,
    attributes: Vec<AttributeProto>,
}

struct Writer<'m, 'f> {
    known: &'f Functions<'m>,
    names: Names,
}

impl Writer<'_, '_> {
    /// The nodes in the names of the scope, calls written out.
    fn nodes(&mut self, nodes: &[NodeProto], scope: &mut Scope) -> Vec<NodeProto> {
        let mut out = Vec::with_capacity(nodes.len());
        for node in nodes {
            let node = self.node(node, scope);
            match called(self.known, &node) {
                Some(function) => self.call(function, node, &mut out),
                None => out.push(node),
            }
        }
        out
    }

    fn call(&mut self, function: &FunctionProto, node: NodeProto, out: &mut Vec<NodeProto>) {
        let mut scope = Scope {
            inside: true,
            values: HashMap::new(),
            attributes: node.attribute,
        };
        // Those that are left out at the end have no name, as those in between.
        let given = node
            .input
            .into_iter()
            .chain(std::iter::repeat(String::new()));
        scope
            .values
            .extend(function.input.iter().cloned().zip(given));
        let mut copies = Vec::new();
        for (inner, outer) in function.output.iter().zip(&node.output) {
            if outer.is_empty() {
                continue;
            }
            // What is handed through, or out twice, has a name already.
            if let Some(known) = scope.values.get(inner) {
                copies.push(super::super::node("Identity", &[known], outer));
            } else {
                scope.values.insert(inner.clone(), outer.clone());
            }
        }
        out.extend(self.nodes(&function.node, &mut scope));
        out.extend(copies);
    }

    fn node(&mut self, node: &NodeProto, scope: &mut Scope) -> NodeProto {
        let attributes = node.attribute.iter();
        NodeProto {
            input: node
                .input
                .iter()
                .map(|name| self.value(name, scope))
                .collect(),
            output: node
                .output
                .iter()
                .map(|name| self.value(name, scope))
                .collect(),
            attribute: attributes
                .filter_map(|a| self.attribute(a, scope))
                .collect(),
            ..node.clone()
        }
    }

    fn value(&mut self, name: &str, scope: &mut Scope) -> String {
        if name.is_empty() || !scope.inside {
            return name.to_owned();
        }
        let known = scope.values.entry(name.to_owned());
        known.or_insert_with(|| self.names.fresh(name)).clone()
    }

    /// `None` for one that the call leaves out.
    fn attribute(
        &mut self,
        attribute: &AttributeProto,
        scope: &mut Scope,
    ) -> Option<AttributeProto> {
        if !attribute.ref_attr_name.is_empty() {
            let mut given = scope.attributes.iter();
            let given = given.find(|given| given.name == attribute.ref_attr_name)?;
            return Some(AttributeProto {
                name: attribute.name.clone(),
                ..given.clone()
            });
        }
        let mut attribute = attribute.clone();
        for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
            self.graph(graph, scope);
        }
        Some(attribute)
    }

    /// A branch or loop.
    fn graph(&mut self, graph: &mut GraphProto, scope: &mut Scope) {
        let declared = graph.input.iter_mut().chain(&mut graph.output);
        for value in declared.chain(&mut graph.value_info) {
            value.name = self.value(&value.name, scope);
        }
        for tensor in &mut graph.initializer {
            tensor.name = self.value(&tensor.name, scope);
        }
        graph.node = self.nodes(&graph.node, scope);
    }
}

#[cfg(test)]
mod tests;
