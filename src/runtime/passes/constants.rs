//! Makes `Constant` nodes initializers, joins those that are only joined, and removes `Identity`, so that a constant is found in one
//! place, by one name.
//!
//! ```text
//! Constant ─► Mul(x, ·)                   ─►   initializer ─► Mul(x, ·)
//! Constant, Constant ─► Concat ─► Op      ─►   initializer ─► Op
//! x ─► Identity ─► Op                     ─►   x ─► Op
//! ```

use std::collections::HashSet;

use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, TensorProto,
    attribute_proto::AttributeType,
    tensor_proto::{DataLocation, DataType},
};

use super::PassContext;
use super::graph::{Edits, View, float_tensor};

/// What is joined are scales and shapes, never weights.
const FEW: i64 = 16;

pub(super) fn run(model: &mut ModelProto, context: &mut PassContext) -> Result<(), String> {
    if let Some(graph) = &mut model.graph {
        gather(graph);
        join(graph, context)?;
        remove_identities(graph);
    }
    Ok(())
}

/// Makes constants whose bytes are in other files initializers, as which they are looked for: networks of more than 2 GiB are stored
/// so. Outputs of the graph stay, and are refused.
pub(in crate::runtime) fn gather_external(graph: &mut GraphProto) {
    let outputs: HashSet<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    let is_external = |node: &NodeProto| match (&node.attribute[..], &node.output[..]) {
        ([value], [output]) => {
            let tensor = value.t.as_ref().filter(|_| value.name == "value");
            let external = Some(DataLocation::External as i32);
            node.op_type == "Constant"
                && !outputs.contains(output.as_str())
                && tensor.is_some_and(|tensor| tensor.data_location == external)
        }
        _ => false,
    };
    let external: Vec<NodeProto> = graph
        .node
        .extract_if(.., |node| is_external(node))
        .collect();
    for mut node in external {
        graph.initializer.extend(tensor(&mut node));
    }
}

/// Makes constants initializers, but for outputs of the graph: those must be made by a node.
fn gather(graph: &mut GraphProto) {
    let outputs: Vec<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    let is_output = |node: &NodeProto| {
        node.output
            .iter()
            .any(|name| outputs.contains(&name.as_str()))
    };
    let mut nodes = Vec::with_capacity(graph.node.len());
    for mut node in std::mem::take(&mut graph.node) {
        if node.op_type == "Constant"
            && !is_output(&node)
            && let Some(tensor) = tensor(&mut node)
        {
            graph.initializer.push(tensor);
        } else {
            nodes.push(node);
        }
    }
    graph.node = nodes;
}

/// The value of a `Constant`, taken out of it; `None` for the sparse ones and those of text.
fn tensor(node: &mut NodeProto) -> Option<TensorProto> {
    let [output] = &node.output[..] else {
        return None;
    };
    let [value] = &mut node.attribute[..] else {
        return None;
    };
    let integers = |dims: &[i64], values: &[i64]| TensorProto {
        dims: dims.to_vec(),
        data_type: DataType::Int64 as i32,
        raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..TensorProto::default()
    };
    let kind = AttributeType::try_from(value.r#type).ok()?;
    let tensor = match (value.name.as_str(), kind) {
        ("value", AttributeType::Tensor) => value.t.take()?,
        ("value_float", _) => float_tensor("", &[], &[value.f]),
        ("value_floats", _) => float_tensor("", &[value.floats.len() as i64], &value.floats),
        ("value_int", _) => integers(&[], &[value.i]),
        ("value_ints", _) => integers(&[value.ints.len() as i64], &value.ints),
        _ => return None,
    };
    Some(TensorProto {
        name: output.clone(),
        ..tensor
    })
}

/// Makes a `Concat` of short lists of floats an initializer: the scales of a `Resize`, as exporters that fold nothing write them.
fn join(graph: &mut GraphProto, context: &mut PassContext) -> Result<(), String> {
    let mut edits = Edits::default();
    let view = View::new(graph);
    for node in graph.node.iter().filter(|node| node.op_type == "Concat") {
        let lists = node.input.iter().map(|name| view.constant(name));
        let short =
            |list: &&TensorProto| matches!(list.dims[..], [count] if (1..=FEW).contains(&count));
        let lists: Option<Vec<_>> = lists.map(|list| list.filter(short)).collect();
        let (Some(lists), false) = (lists, view.is_output(&node.output[0])) else {
            continue;
        };
        let mut joined = Some(Vec::new());
        for list in lists {
            let list = context.tensors.floats(list)?;
            joined = joined
                .zip(list)
                .map(|(joined, list)| [joined, list].concat());
        }
        if let Some(joined) = joined {
            let name = format!("{}/joined", node.output[0]);
            edits.constant(float_tensor(&name, &[joined.len() as i64], &joined));
            edits.rename(&node.output[0], &name);
        }
    }
    edits.apply(graph);
    Ok(())
}

fn remove_identities(graph: &mut GraphProto) {
    let mut edits = Edits::default();
    let view = View::new(graph);
    for node in graph.node.iter().filter(|node| node.op_type == "Identity") {
        if let ([input], [output]) = (&node.input[..], &node.output[..])
            && !view.is_output(output)
        {
            edits.rename(output, input);
        }
    }
    edits.apply(graph);
}

#[cfg(test)]
mod tests {
    use super::super::graph::{check, int_attribute};
    use super::super::testing::{integers, kinds, model, run_pass};
    use super::*;

    #[test]
    fn constants_become_initializers_and_identities_go() {
        let mut model = model(
            "one = Constant() value_float=1.5
             list = Constant() value_ints=2,3
             same = Identity(x)
             again = Identity(same)
             shape = Identity(list)
             scaled = Mul(again, one)
             shaped = Reshape(scaled, shape)
             kept = Identity(shaped)",
            vec![],
            &["kept", "shaped"],
        );
        let graph = run_pass(&mut model, run);
        assert_eq!(kinds(graph), ["Mul", "Reshape", "Identity"]);
        assert_eq!(graph.node[0].input, ["x", "one"]);
        assert_eq!(graph.node[1].input, ["scaled", "list"]);
        let view = View::new(graph);
        assert_eq!(view.number("one"), Some(1.5));
        assert_eq!(view.integers("list"), Some(vec![2, 3]));
    }

    #[test]
    fn a_constant_in_another_file_is_an_initializer_there() {
        let mut model = model(
            "a = Constant()\nb = Constant()\ny = Add(x, a)",
            vec![],
            &["y", "b"],
        );
        let graph = model.graph.as_mut().expect("it has one");
        for node in &mut graph.node[..2] {
            let mut value = int_attribute("value", 0);
            value.r#type = AttributeType::Tensor as i32;
            value.t = Some(TensorProto {
                data_location: Some(DataLocation::External as i32),
                ..float_tensor("", &[4], &[])
            });
            node.attribute = vec![value];
        }
        gather_external(graph);
        assert_eq!(kinds(graph), ["Constant", "Add"]);
        let [a] = &graph.initializer[..] else {
            panic!("one is an output, the other not")
        };
        assert_eq!((a.name.as_str(), &a.dims[..]), ("a", &[4][..]));
        check(graph).expect("still a graph");
    }

    #[test]
    fn lists_that_are_joined_are_one_and_computed_ones_stay() {
        let mut model = model(
            "scales = Concat(one, two) axis=0
             twice = Resize(x, , scales)
             mixed = Concat(one, y) axis=0
             last = Resize(twice, , mixed)",
            vec![
                float_tensor("one", &[2], &[1.0; 2]),
                float_tensor("two", &[2], &[2.0; 2]),
            ],
            &["last"],
        );
        let graph = run_pass(&mut model, run);
        assert_eq!(kinds(graph), ["Resize", "Concat", "Resize"]);
        let view = View::new(graph);
        let scales = view.constant(&graph.node[0].input[2]).expect("it is one");
        assert_eq!(
            super::super::graph::floats(scales),
            Some(vec![1.0, 1.0, 2.0, 2.0])
        );
    }

    #[test]
    fn tensors_keep_their_shape_and_text_stays() {
        let mut model = model(
            "y = Constant()\nz = Constant() value_string=a\nw = Foo(y, z)",
            vec![],
            &["w"],
        );
        let graph = model.graph.as_mut().expect("it has one");
        let mut value = int_attribute("value", 0);
        value.r#type = AttributeType::Tensor as i32;
        value.t = Some(integers("", &[7, 8]));
        graph.node[0].attribute = vec![value];
        let graph = run_pass(&mut model, run);
        assert_eq!(kinds(graph), ["Constant", "Foo"]);
        assert_eq!(graph.initializer[0].dims, [2]);
        check(graph).expect("still a graph");
    }
}
