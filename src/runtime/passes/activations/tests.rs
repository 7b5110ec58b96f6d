use super::super::graph::float_tensor;
use super::super::testing::{at_opset, integers, kinds, model, random, run_pass, same_after};
use std::f32::consts::SQRT_2;

use super::*;

fn network(text: &str) -> ModelProto {
    let number = |name: &str, value: f32| float_tensor(name, &[], &[value]);
    let constants = vec![
        number("half", 0.5),
        number("one", 1.0),
        number("two", 2.0),
        number("three", 3.0),
        number("root", SQRT_2),
        number("per_root", FRAC_1_SQRT_2),
        number("quick", 1.702),
        number("beta", FRAC_2_PI.sqrt()),
        number("kappa", 0.044_715),
        integers("i0", &[0]),
        integers("i1", &[1]),
        integers("i2", &[2]),
        integers("last", &[-1]),
        integers("four", &[4]),
        integers("eight", &[8]),
        integers("halves", &[4, 4]),
        integers("parts", &[3, 5]),
        integers("max", &[i64::MAX]),
    ];
    model(text, constants, &["y"])
}

/// The kinds of activations there are after the pass, and of nodes beside them; checked to compute the same.
fn after(text: &str) -> String {
    let model = network(text);
    let mut fused = model.clone();
    let graph = run_pass(&mut fused, run);
    let kinds = graph.node.iter().map(|node| match node.attribute.first() {
        Some(kind) if node.op_type == ACTIVATION => String::from_utf8_lossy(&kind.s).into_owned(),
        _ => node.op_type.clone(),
    });
    let kinds: Vec<_> = kinds.collect();
    same_after(run, model, &[random(&[3, 8], 1)]);
    kinds.join(" ")
}

#[test]
fn sigmoids() {
    assert_eq!(after("s = Sigmoid(x)\ny = Mul(x, s)"), "silu");
    assert_eq!(after("s = Sigmoid(x)\ny = Mul(s, x)"), "silu");
    assert_eq!(
        after("t = Mul(x, quick)\ns = Sigmoid(t)\ny = Mul(s, x)"),
        "quick_gelu"
    );
    assert_eq!(
        after("t = Mul(x, two)\ns = Sigmoid(t)\ny = Mul(s, x)"),
        "Mul Sigmoid Mul"
    );
    assert_eq!(
        after("s = Sigmoid(x)\nz = Mul(x, s)\ny = Add(z, s)"),
        "Sigmoid Mul Add"
    );
}

#[test]
fn erf_in_every_order() {
    for argument in [
        "t = Div(x, root)",
        "t = Mul(x, per_root)",
        "t = Mul(per_root, x)",
    ] {
        for sum in ["Add(e, one)", "Add(one, e)"] {
            for tail in [
                "u = Mul(x, a)\ny = Mul(u, half)",
                "u = Mul(half, x)\ny = Mul(u, a)",
                "u = Mul(a, half)\ny = Mul(x, u)",
                "u = Mul(a, x)\ny = Div(u, two)",
                "h = Mul(x, half)\ny = Mul(h, a)",
            ] {
                let text = format!("{argument}\ne = Erf(t)\na = {sum}\n{tail}");
                assert_eq!(after(&text), "gelu", "{text}");
            }
        }
    }
    let text = "t = Div(x, root)\ne = Erf(t)\na = Add(e, one)\nu = Mul(a, x)\ny = Mul(u, two)";
    assert_eq!(after(text), "Div Erf Add Mul Mul");
}

#[test]
fn tanh_in_every_order() {
    for cube in [
        "c = Pow(x, three)",
        "s = Mul(x, x)\nc = Mul(x, s)",
        "s = Pow(x, two)\nc = Mul(s, x)",
    ] {
        let text = format!(
            "{cube}\nk = Mul(kappa, c)\nz = Add(x, k)\nt = Mul(beta, z)\nh = Tanh(t)\na = Add(one, h)
             u = Mul(x, a)\ny = Mul(half, u)"
        );
        assert_eq!(after(&text), "gelu_tanh", "{text}");
    }
    assert_eq!(
        after("h = Tanh(x)\na = Add(one, h)\nu = Mul(x, a)\ny = Mul(half, u)"),
        "Tanh Add Mul Mul"
    );
}

#[test]
fn the_operator_of_opset_20() {
    for (attribute, kind) in [
        ("", "gelu"),
        ("approximate=none", "gelu"),
        ("approximate=tanh", "gelu_tanh"),
    ] {
        let mut model = at_opset(
            20,
            model(&format!("y = Gelu(x) {attribute}"), vec![], &["y"]),
        );
        let graph = run_pass(&mut model, run);
        assert_eq!(kinds(graph), [ACTIVATION]);
        assert_eq!(graph.node[0].attribute[0].s, kind.as_bytes());
    }
}

const GELU: &str = "t = Div(g, root)\ne = Erf(t)\na = Add(e, one)\nu = Mul(g, a)\nw = Mul(u, half)";

#[test]
fn gates() {
    let computed = "s = Shape(x)\nn = Gather(s, last)\nm = Add(n, i1)\nd = Div(m, i2)";
    for halves in [
        "h, g = Split(x) axis=-1".to_owned(),
        "h, g = Split(x, halves) axis=-1".to_owned(),
        "h = Slice(x, i0, four, last)\ng = Slice(x, four, max, last)".to_owned(),
        "h = Slice(x, i0, four, last, i1)\ng = Slice(x, four, eight, last, i1)".to_owned(),
        format!(
            "{computed}\nb = Mul(d, i1)\nc = Mul(d, i2)\nh = Slice(x, i0, b, last)\ng = Slice(x, b, c, last)"
        ),
        format!("{computed}\nc = Mul(d, i2)\nh = Slice(x, i0, d, last)\ng = Slice(x, d, c, last)"),
    ] {
        for product in ["y = Mul(h, w)", "y = Mul(w, h)"] {
            let text = format!("{halves}\n{GELU}\n{product}");
            assert_eq!(after(&text), "EaselGeGlu", "{text}");
        }
    }
}

#[test]
fn other_parts_are_no_gates() {
    for (halves, product, found) in [
        ("g, h = Split(x) axis=-1", "Mul(h, w)", "Split gelu Mul"),
        ("h, g = Split(x) axis=-1", "Add(h, w)", "Split gelu Add"),
        (
            "h = Slice(x, i0, four, last)\ng = Slice(x, i0, four, last)",
            "Mul(h, w)",
            "Slice Slice gelu Mul",
        ),
        (
            "g = Slice(x, i0, four, last)\nh = Slice(x, four, max, last)",
            "Mul(h, w)",
            "Slice Slice gelu Mul",
        ),
        (
            "h = Slice(x, i1, i2, last)\ng = Slice(x, i2, max, last)",
            "Mul(h, w)",
            "Slice Slice gelu Mul",
        ),
    ] {
        assert_eq!(
            after(&format!("{halves}\n{GELU}\ny = {product}")),
            found,
            "{halves}"
        );
    }
}
