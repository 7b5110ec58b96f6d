use tract_core::prelude::Tensor;
use tract_onnx::pb::TensorProto;

use super::super::graph::float_tensor;
use super::super::testing::{at_opset, integers, kinds, model, random, run_pass, same_after};
use super::*;

fn constants() -> Vec<TensorProto> {
    vec![
        float_tensor("s", &[], &[0.35]),
        float_tensor("zero", &[], &[0.0]),
        float_tensor("one", &[1], &[1.0]),
        float_tensor("vector", &[8], &[0.5; 8]),
        integers("last", &[-1]),
        integers("max", &[i64::MAX]),
        integers("square", &[4, 5, 7]),
    ]
}

fn network(text: &str) -> ModelProto {
    // Inputs in the order q, k, v.
    let text = format!("q_ = Neg(q)\nk_ = Neg(k)\nv_ = Neg(v)\n{text}");
    model(&text, constants(), &["y"])
}

const BSHD: [[usize; 4]; 3] = [[2, 5, 3, 8], [2, 7, 3, 8], [2, 7, 3, 8]];
const BHSD: [[usize; 4]; 3] = [[2, 3, 5, 8], [2, 3, 7, 8], [2, 3, 7, 8]];

fn inputs(shapes: &[[usize; 4]; 3]) -> Vec<Tensor> {
    let shapes = shapes.iter().zip(1..);
    shapes.map(|(shape, seed)| random(shape, seed)).collect()
}

/// Checks that it computes the same; the kinds of nodes beside the three that lead to the operands, and what they say of
/// the layouts.
fn after(text: &str, inputs: &[Tensor]) -> String {
    let found = same_after(run, network(text), inputs);
    let mut model = network(text);
    let graph = run_pass(&mut model, run);
    let attention = graph
        .node
        .iter()
        .find(|node| node.op_type == "EaselAttention");
    let texts = attention
        .iter()
        .flat_map(|node| &node.attribute)
        .filter(|a| !a.s.is_empty());
    let layouts: Vec<_> = texts
        .map(|a| String::from_utf8_lossy(&a.s).into_owned())
        .collect();
    [&found[3..], &layouts].concat().join(" ")
}

#[test]
fn as_torch_writes_it() {
    let text = "q4 = Transpose(q_) perm=0,2,1,3
        k4 = Transpose(k_) perm=0,2,3,1
        v4 = Transpose(v_) perm=0,2,1,3
        shape = Shape(q4)
        size = Slice(shape, last, max)
        float = Cast(size) to=1
        root = Sqrt(float)
        scale = Div(one, root)
        a = Sqrt(scale)
        b = Sqrt(scale)
        qs = Mul(q4, a)
        ks = Mul(k4, b)
        scores = MatMul(qs, ks)
        weights = Softmax(scores) axis=-1
        result = MatMul(weights, v4)
        y = Transpose(result) perm=0,2,1,3";
    let found = after(text, &inputs(&BSHD));
    assert_eq!(
        found,
        "Transpose Shape Slice Cast Sqrt Div Sqrt Sqrt EaselAttention bshd bshd bshd bshd"
    );
}

#[test]
fn heads_in_place_and_factors_everywhere() {
    for scores in [
        "scores = MatMul(q_, k4)",
        "t = MatMul(q_, k4)\nscores = Mul(t, s)",
        "t = MatMul(q_, k4)\nscores = Mul(s, t)",
        "qs = Mul(s, q_)\nscores = MatMul(qs, k4)",
        "ks = Mul(k4, s)\nscores = MatMul(q_, ks)",
    ] {
        let text = format!(
            "k4 = Transpose(k_) perm=0,1,3,2\n{scores}\nweights = Softmax(scores)\ny = MatMul(weights, v_)"
        );
        assert_eq!(
            after(&text, &inputs(&BHSD)),
            "EaselAttention bhsd bhsd bhsd bhsd",
            "{scores}"
        );
    }
    let text = "k4 = Transpose(k_) perm=0,1,3,2\nt = MatMul(q_, k4)\nscores = Div(t, s)
                weights = Softmax(scores)\ny = MatMul(weights, v_)";
    assert_eq!(
        after(text, &inputs(&BHSD)),
        "Reciprocal EaselAttention bhsd bhsd bhsd bhsd"
    );
}

#[test]
fn heads_in_the_batch() {
    let text = "kt = Transpose(k_) perm=0,2,1\nt = MatMul(q_, kt)\nscores = Mul(t, s)
                weights = Softmax(scores) axis=2\ny = MatMul(weights, v_)";
    let inputs = [[4, 5, 8], [4, 7, 8], [4, 7, 6]].map(|shape| random(&shape, 1));
    assert_eq!(after(text, &inputs), "EaselAttention bsd bsd bsd bsd");
}

#[test]
fn what_baddbmm_adds_is_nothing() {
    let text = "kt = Transpose(k_) perm=0,2,1\nt = MatMul(q_, kt)\nu = Mul(t, s)
                empty = ConstantOfShape(square)\nnothing = Mul(empty, zero)\nscores = Add(u, nothing)
                weights = Softmax(scores)\ny = MatMul(weights, v_)";
    let mut model = network(text);
    let graph = run_pass(&mut model, run);
    assert_eq!(kinds(graph)[3..], ["EaselAttention"]);
    assert_eq!(graph.node[3].input.len(), 4);
}

#[test]
fn masks_of_any_shape() {
    for shape in [
        &[2, 3, 5, 7][..],
        &[2, 1, 1, 7],
        &[1, 3, 5, 1],
        &[5, 7],
        &[7],
    ] {
        for sum in ["Add(t, m)", "Add(m, t)"] {
            let text = format!(
                "k4 = Transpose(k_) perm=0,1,3,2\nt = MatMul(q_, k4)\nm = Neg(mask)\nscores = {sum}
                 weights = Softmax(scores) axis=3\ny = MatMul(weights, v_)"
            );
            let inputs = [&inputs(&BHSD)[..], &[random(shape, 9)]].concat();
            let found = after(&text, &inputs);
            assert_eq!(found, "Neg EaselAttention bhsd bhsd bhsd bhsd", "{shape:?}");
        }
    }
}

#[test]
fn a_query_that_sees_nothing_gets_zeros_where_torch_gives_them() {
    let text =
        "k4 = Transpose(k_) perm=0,1,3,2\nt = MatMul(q_, k4)\nm = Neg(mask)\nscores = Add(t, m)
        weights = Softmax(scores) axis=3\nnan = IsNaN(weights)\nsafe = Where(nan, zero, weights)
        y = MatMul(safe, v_)";
    let mut mask = vec![0.0; 35];
    mask[7..14].fill(f32::INFINITY);
    mask[20] = f32::INFINITY;
    let mask = tract_core::prelude::tensor1(&mask)
        .into_shape(&[5, 7])
        .expect("35");
    let inputs = [&inputs(&BHSD)[..], &[mask]].concat();
    assert_eq!(
        after(text, &inputs),
        "Neg EaselAttention bhsd bhsd bhsd bhsd"
    );
}

#[test]
fn what_is_no_attention_stays() {
    let text = "k4 = Transpose(k_) perm=0,1,3,2\nscores = MatMul(q_, k4)\nweights = Softmax(scores)
                y = MatMul(weights, v_)";
    for (from, to) in [
        ("Softmax(scores)", "Softmax(scores) axis=2"),
        ("MatMul(q_, k4)", "MatMul(q_, k4)\nseen = Neg(scores)"),
        ("MatMul(q_, k4)", "Add(q_, q_)"),
        (
            "y = MatMul(weights, v_)",
            "z = MatMul(weights, v_)\nmean = ReduceMean(weights)\ny = Add(z, mean)",
        ),
    ] {
        let mut text = text.replace(from, to);
        if to.contains("seen") {
            text =
                text.replace("y = MatMul", "r = ReduceMean(seen)\nz = MatMul") + "\ny = Add(z, r)";
        }
        let shapes = if to.contains("Add(q_") {
            [[2, 3, 5, 7], BHSD[1], BHSD[2]]
        } else {
            BHSD
        };
        assert!(after(&text, &inputs(&shapes)).contains("Softmax"), "{text}");
    }
    // A factor for each feature, and keys that nobody transposed.
    let text = "k4 = Transpose(k_) perm=0,1,3,2\nqs = Mul(q_, vector)\nscores = MatMul(qs, k4)
                weights = Softmax(scores)\ny = MatMul(weights, v_)";
    assert!(after(text, &inputs(&BHSD)).starts_with("Mul EaselAttention"));
    let text = "scores = MatMul(q_, k_)\nweights = Softmax(scores)\ny = MatMul(weights, v_)";
    let shapes = [[2, 3, 5, 8], [2, 3, 8, 7], [2, 3, 7, 8]];
    assert!(after(text, &inputs(&shapes)).contains("Softmax"));
}

#[test]
fn softmax_of_old_opsets_is_over_all_that_follows() {
    let text = "k4 = Transpose(k_) perm=0,1,3,2\nscores = MatMul(q_, k4)\nweights = Softmax(scores)
                y = MatMul(weights, v_)";
    let mut model = at_opset(12, network(text));
    let graph = run_pass(&mut model, run);
    assert!(graph.node.iter().any(|node| node.op_type == "Softmax"));
    let mut model = at_opset(
        12,
        network(&text.replace("Softmax(scores)", "Softmax(scores) axis=3")),
    );
    let graph = run_pass(&mut model, run);
    assert!(
        graph
            .node
            .iter()
            .any(|node| node.op_type == "EaselAttention")
    );
}
