use tract_onnx::pb::attribute_proto::AttributeType;

use super::super::super::graph::{check, float_attribute, float_tensor};
use super::super::super::testing::{evaluate, kinds, model, random};
use super::super::standardize;
use super::*;

/// A function of the nodes of `text`.
fn function(name: &str, inputs: &[&str], outputs: &[&str], text: &str) -> FunctionProto {
    let body = if text.is_empty() {
        vec![]
    } else {
        model(text, vec![], &[]).graph.expect("it has one").node
    };
    FunctionProto {
        name: Some(name.to_owned()),
        domain: Some("local".to_owned()),
        input: inputs.iter().copied().map(String::from).collect(),
        output: outputs.iter().copied().map(String::from).collect(),
        node: local(body),
        ..FunctionProto::default()
    }
}

/// Nodes whose kind begins with `f` are calls.
fn local(mut nodes: Vec<NodeProto>) -> Vec<NodeProto> {
    for node in &mut nodes {
        if node.op_type.starts_with('f') {
            node.domain = "local".to_owned();
        }
    }
    nodes
}

fn network(text: &str, functions: Vec<FunctionProto>) -> ModelProto {
    let constants = vec![float_tensor("two", &[], &[2.0])];
    let mut model = model(text, constants, &["y"]);
    let graph = model.graph.as_mut().expect("it has one");
    graph.node = local(std::mem::take(&mut graph.node));
    model.functions = functions;
    model
}

/// Checks that the network computes what the one of `plain` does; gives its kinds of nodes.
fn same(text: &str, functions: Vec<FunctionProto>, plain: &str) -> Vec<String> {
    let inputs = [random(&[2, 3], 1)];
    let expected = evaluate(&network(plain, vec![]), &inputs);
    let mut model = network(text, functions);
    standardize(&mut model).expect("it can be written out");
    let graph = model.graph.as_ref().expect("it has one");
    check(graph).expect("still a graph");
    let found = evaluate(&model, &inputs);
    found
        .close_enough(&expected, false)
        .expect("the same numbers");
    kinds(graph).into_iter().map(String::from).collect()
}

fn silu() -> FunctionProto {
    function("fsilu", &["x"], &["y"], "s = Sigmoid(x)\ny = Mul(x, s)")
}

#[test]
fn a_call_becomes_the_body_in_names_of_its_own() {
    let plain = "a = Sigmoid(x)\nb = Mul(x, a)\nc = Sigmoid(b)\ny = Mul(b, c)";
    // `s` and `x` are names of the graph too.
    let found = same("s = fsilu(x)\ny = fsilu(s)", vec![silu()], plain);
    assert_eq!(found, ["Sigmoid", "Mul", "Sigmoid", "Mul"]);
}

#[test]
fn functions_call_others_that_stand_behind_them() {
    let outer = function("ftwice", &["a"], &["b"], "b = fsilu(s)\ns = fsilu(a)");
    let plain = "a = Sigmoid(x)\nb = Mul(x, a)\nc = Sigmoid(b)\ny = Mul(b, c)";
    same("y = ftwice(x)", vec![outer, silu()], plain);
}

#[test]
fn several_outputs_and_those_left_out() {
    let both = function("fboth", &["x"], &["n", "a", "x"], "n = Neg(x)\na = Abs(x)");
    same(
        "n, a = fboth(x)\ny = Add(n, a)",
        vec![both.clone()],
        "n = Neg(x)\na = Abs(x)\ny = Add(n, a)",
    );
    // What is handed through is the input.
    same(
        ", a, same = fboth(x)\ny = Sub(a, same)",
        vec![both],
        "a = Abs(x)\ny = Sub(a, x)",
    );
}

#[test]
fn inputs_that_are_left_out_are_left_out_inside() {
    let clip = function(
        "fclip",
        &["x", "low", "high"],
        &["y"],
        "y = Clip(x, low, high)",
    );
    same(
        "y = fclip(x, , two)",
        vec![clip.clone()],
        "y = Clip(x, , two)",
    );
    same("y = fclip(x)", vec![clip], "y = Clip(x)");
}

#[test]
fn attributes_are_those_of_the_call() {
    let mut leaky = function("fleaky", &["x"], &["y"], "y = LeakyRelu(x)");
    leaky.attribute = vec!["slope".to_owned()];
    leaky.node[0].attribute = vec![AttributeProto {
        name: "alpha".to_owned(),
        r#type: AttributeType::Float as i32,
        ref_attr_name: "slope".to_owned(),
        ..AttributeProto::default()
    }];
    for (slope, plain) in [
        (Some(0.5), "y = LeakyRelu(x) alpha=0.5"),
        (None, "y = LeakyRelu(x)"),
    ] {
        let mut model = network("y = fleaky(x)", vec![leaky.clone()]);
        let graph = model.graph.as_mut().expect("it has one");
        graph.node[0].attribute = slope
            .map(|slope| float_attribute("slope", slope))
            .into_iter()
            .collect();
        standardize(&mut model).expect("it can be written out");
        let inputs = [random(&[2, 3], 1)];
        let expected = evaluate(&network(plain, vec![]), &inputs);
        let same = evaluate(&model, &inputs).close_enough(&expected, false);
        same.expect("the same numbers");
    }
}

#[test]
fn functions_without_end_are_refused_at_once() {
    let refused = |text: &str, functions| {
        let clock = std::time::Instant::now();
        let problem =
            standardize(&mut network(text, functions)).expect_err("it cannot be written out");
        assert!(clock.elapsed().as_secs() < 20);
        problem
    };
    let itself = function("f", &["x"], &["y"], "y = f(x)");
    assert_eq!(
        refused("y = f(x)", vec![itself]),
        "function `f` calls itself"
    );
    let each_other = vec![
        function("fa", &["x"], &["y"], "y = fb(x)"),
        function("fb", &["x"], &["y"], "y = fa(x)"),
    ];
    assert_eq!(
        refused("y = fa(x)", each_other),
        "function `fa` calls itself"
    );

    // Each calls the next one twice.
    let mut doubled = vec![function("f40", &["x"], &["y"], "y = Neg(x)")];
    doubled.extend((0..40).map(|at| {
        let next = at + 1;
        let text = format!("a = f{next}(x)\ny = f{next}(a)");
        function(&format!("f{at}"), &["x"], &["y"], &text)
    }));
    let problem = refused("y = f0(x)", doubled);
    assert!(
        problem.contains("at most 65536 and 64 are taken"),
        "{problem}"
    );

    let mut chain = vec![function("f100000", &["x"], &["y"], "y = Neg(x)")];
    chain.extend((0..100_000).map(|at| {
        function(
            &format!("f{at}"),
            &["x"],
            &["y"],
            &format!("y = f{}(x)", at + 1),
        )
    }));
    let problem = refused("y = f0(x)", chain);
    assert!(problem.contains("more than 64 others"), "{problem}");
}

#[test]
fn what_another_version_writes_otherwise_is_refused() {
    let mean = |version| {
        let mut mean = function("fmean", &["x"], &["y"], "y = ReduceMean(x) axes=-1,");
        mean.opset_import = vec![OperatorSetIdProto {
            version,
            ..OperatorSetIdProto::default()
        }];
        mean
    };
    // The network is of version 17.
    same("y = fmean(x)", vec![mean(13)], "y = ReduceMean(x) axes=-1,");
    let problem = standardize(&mut network("y = fmean(x)", vec![mean(18)]))
        .expect_err("it is another operator");
    assert_eq!(
        problem,
        "function `fmean` uses ReduceMean of operator set 18, the network that of 17: export it with one"
    );
}

#[test]
fn branches_inside_functions_read_what_is_around_them() {
    let mut choice = function("fchoice", &["x", "c"], &["y"], "n = Neg(x)\ny = If(c)");
    let branch = |name: &str, text: &str| {
        let graph = model(text, vec![], &["out"]).graph.expect("it has one");
        AttributeProto {
            name: name.to_owned(),
            r#type: AttributeType::Graph as i32,
            g: Some(GraphProto {
                input: vec![],
                node: local(graph.node),
                ..graph
            }),
            ..AttributeProto::default()
        }
    };
    choice.node[1].attribute = vec![
        branch("then_branch", "out = fsilu(n)"),
        branch("else_branch", "out = Identity(x)"),
    ];
    let mut model = network(
        "c = Equal(two, two)\ny = fchoice(x, c)",
        vec![choice, silu()],
    );
    standardize(&mut model).expect("it can be written out");
    let inputs = [random(&[2, 3], 1)];
    let expected = evaluate(
        &network("n = Neg(x)\ns = Sigmoid(n)\ny = Mul(n, s)", vec![]),
        &inputs,
    );
    evaluate(&model, &inputs)
        .close_enough(&expected, false)
        .expect("the same numbers");
}
