use tract_onnx::pb::NodeProto;

use super::super::graph::check;
use super::super::testing::{evaluate, kinds, model, random};
use super::*;

#[test]
fn nodes_come_in_any_order_and_with_outputs_left_out() {
    let text = "y = Add(n, m)\nn, , = LayerNormalization(a, r)\nm, = Dropout(x)\na = Neg(b)\nb = Identity(x)\nr = Abs(q)";
    let mut model = model(&format!("{text}\nq = Slice(z, z)"), vec![], &["y"]);
    standardize(&mut model).expect("it is a network");
    let graph = model.graph.as_ref().expect("it has one");
    check(graph).expect("in order");
    assert_eq!(
        kinds(graph),
        [
            "Identity",
            "Neg",
            "Slice",
            "Abs",
            "LayerNormalization",
            "Dropout",
            "Add"
        ]
    );
    assert_eq!(graph.node[4].output, ["n"]);
}

#[test]
fn what_reads_itself_is_named() {
    let mut model = model(
        "a = Identity(b)\nb = Identity(a)\ny = Add(x, a)",
        vec![],
        &["y"],
    );
    assert_eq!(
        standardize(&mut model),
        Err("node `a` waits for itself".to_owned())
    );
}

#[test]
fn a_chain_of_any_length_is_sorted() {
    let chained = |at: usize| NodeProto {
        op_type: "Neg".to_owned(),
        input: vec![if at == 0 {
            "x".to_owned()
        } else {
            format!("v{}", at - 1)
        }],
        output: vec![format!("v{at}")],
        ..NodeProto::default()
    };
    let nodes: Vec<NodeProto> = (0..300_000).rev().map(chained).collect();
    let nodes = sorted(nodes).expect("no node waits for itself");
    assert!(
        nodes
            .iter()
            .enumerate()
            .all(|(at, node)| node.output[0] == format!("v{at}"))
    );
}

#[test]
fn nodes_may_have_any_name() {
    // tract appends to a node's name what it makes of it, and takes it for a key together with inputs and constants.
    let text =
        "n = Neg(x)\nn.cast = Abs(n)\na = Gelu(n.cast)\na.mul = Identity(a)\ny = Add(a.mul, n)";
    let mut model = model(text, vec![], &["y"]);
    let inputs = [random(&[2, 3], 1)];
    let expected = evaluate(&model, &inputs);
    for (at, node) in model
        .graph
        .iter_mut()
        .flat_map(|graph| &mut graph.node)
        .enumerate()
    {
        node.name = ["x", "y", "x", "", "y"][at].to_owned();
    }
    name_nodes(&mut model);
    let names: std::collections::HashSet<_> = model
        .graph
        .iter()
        .flat_map(|g| &g.node)
        .map(|n| &n.name)
        .collect();
    assert_eq!(names.len(), 5);
    evaluate(&model, &inputs)
        .close_enough(&expected, false)
        .expect("the same numbers");
}

/// As many nodes as large networks have, of which each stands before the one that it reads.
#[test]
fn thousands_of_nodes_take_no_time() {
    let mut text = String::from("y = Add(a0, x)\n");
    for at in 0..5000 {
        let (from, fused) = (at + 1, if at % 2 == 0 { "Neg" } else { "QuickGelu" });
        text += &format!("a{at} = {fused}(a{from})\n");
    }
    text += "a5000 = Neg(x)";
    let mut model = model(&text, vec![], &["y"]);
    let graph = model.graph.as_mut().expect("it has one");
    for node in &mut graph.node {
        if node.op_type == "QuickGelu" {
            node.domain = "com.microsoft".to_owned();
        }
    }
    let clock = std::time::Instant::now();
    standardize(&mut model).expect("it is a network");
    println!("{} µs", clock.elapsed().as_micros());
    assert!(clock.elapsed().as_secs() < 20);
    let graph = model.graph.as_ref().expect("it has one");
    check(graph).expect("in order");
    assert_eq!(graph.node.len(), 2 + 2500 + 3 * 2500);
}
