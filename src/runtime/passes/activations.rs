//! Finds activation functions that are spelled out, and the gated GELU of transformers.
//!
//! ```text
//! x · Sigmoid(x)                                                  ─►   EaselActivation silu
//! x · Sigmoid(1.702 · x)                                          ─►   EaselActivation quick_gelu
//! ½ · x · (1 + Erf(x / √2)), Gelu(x)                              ─►   EaselActivation gelu
//! ½ · x · (1 + Tanh(√(2/π) · (x + 0.044715 · x³))), Gelu(x)       ─►   EaselActivation gelu_tanh
//!
//! x ─┬► first half  ─────────► Mul                                ─►   EaselGeGlu
//!    └► second half ─► gelu ───┘
//! ```
//!
//! Halves are of the last axis, by `Split` or by two `Slice`s. Where those compute their bounds from the size *n* of the axis,
//! it is as (n + 1) / 2, which is half of it because the operator takes no odd one.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

use super::PassContext;
use super::graph::{self, Edits, View, int_attribute, other, text_attribute};
use crate::runtime::ops;

const ACTIVATION: &str = "EaselActivation";

pub(super) fn run(model: &mut ModelProto, _context: &mut PassContext) -> Result<(), String> {
    if let Some(graph) = &mut model.graph {
        activations(graph);
        gated(graph);
    }
    Ok(())
}

fn activations(graph: &mut GraphProto) {
    let view = View::new(graph);
    let mut edits = Edits::default();
    for node in &graph.node {
        if let Some((kind, x, output)) = activation(&view, node) {
            let mut made = ops::node(ACTIVATION, &[x], output);
            made.attribute = vec![text_attribute("kind", kind)];
            edits.replace(output, vec![made]);
        }
    }
    edits.apply(graph);
}

/// The kind, input and output of the activation that this node is the heart of.
fn activation<'g>(
    view: &View<'g>,
    node: &'g NodeProto,
) -> Option<(&'static str, &'g str, &'g str)> {
    let x = node.input.first()?.as_str();
    match node.op_type.as_str() {
        "Sigmoid" => silu_of(view, node)
            .map(|output| ("silu", x, output))
            .or_else(|| quick_gelu(view, node)),
        "Erf" => {
            let x = scaled(view, x, FRAC_1_SQRT_2)?;
            Some(("gelu", x, gelu_tail(view, node, x)?))
        }
        "Tanh" => {
            let x = tanh_argument(view, x)?;
            Some(("gelu_tanh", x, gelu_tail(view, node, x)?))
        }
        "Gelu" => {
            let tanh = node
                .attribute
                .iter()
                .any(|a| a.name == "approximate" && a.s == b"tanh");
            Some((if tanh { "gelu_tanh" } else { "gelu" }, x, &node.output[0]))
        }
        _ => None,
    }
}

/// The output of `x · Sigmoid(x)`, if nothing else reads the sigmoid.
pub(super) fn silu_of<'g>(view: &View<'g>, sigmoid: &'g NodeProto) -> Option<&'g str> {
    let product = view.element_reader(&sigmoid.output[0], "Mul")?;
    let x = other(product, &sigmoid.output[0])?;
    (x == sigmoid.input[0]).then(|| product.output[0].as_str())
}

fn quick_gelu<'g>(
    view: &View<'g>,
    sigmoid: &'g NodeProto,
) -> Option<(&'static str, &'g str, &'g str)> {
    let x = scaled(view, &sigmoid.input[0], 1.702)?;
    let product = view.element_reader(&sigmoid.output[0], "Mul")?;
    let same = other(product, &sigmoid.output[0])? == x;
    same.then(|| ("quick_gelu", x, product.output[0].as_str()))
}

/// x of `x · factor` or `x / (1 / factor)`.
fn scaled<'g>(view: &View<'g>, value: &str, factor: f32) -> Option<&'g str> {
    let node = view.maker(value)?;
    match node.op_type.as_str() {
        "Mul" => view.beside(node, factor),
        "Div" => view.beside(node, factor.recip()),
        _ => None,
    }
}

/// x of √(2/π) · (x + 0.044715 · x³).
fn tanh_argument<'g>(view: &View<'g>, value: &str) -> Option<&'g str> {
    let sum = view.made_by(scaled(view, value, FRAC_2_PI.sqrt())?, "Add")?;
    sum.input.iter().find_map(|x| {
        let cube = scaled(view, other(sum, x)?, 0.044_715)?;
        is_cube(view, cube, x).then_some(x.as_str())
    })
}

fn is_cube(view: &View<'_>, value: &str, x: &str) -> bool {
    let of = |node: &NodeProto| {
        let [a, b] = &node.input[..] else {
            return false;
        };
        match node.op_type.as_str() {
            "Pow" => a == x && view.is(b, 3.0),
            "Mul" => other(node, x).is_some_and(|square| {
                let square = view.maker(square);
                square.is_some_and(|s| match &s.input[..] {
                    [c, d] => {
                        c == x
                            && (s.op_type == "Mul" && d == x
                                || s.op_type == "Pow" && view.is(d, 2.0))
                    }
                    _ => false,
                })
            }),
            _ => false,
        }
    };
    view.maker(value).is_some_and(of)
}

/// The output of ½ · x · (1 + node), multiplied in any order.
fn gelu_tail<'g>(view: &View<'g>, node: &'g NodeProto, x: &str) -> Option<&'g str> {
    let sum = view.element_reader(&node.output[0], "Add")?;
    view.beside(sum, 1.0)?;
    let mut value = sum.output[0].as_str();
    let (mut halved, mut times_x) = (false, false);
    while !(halved && times_x) {
        let product = view.element_readers(value);
        let [product] = product[..] else { return None };
        let factor = match product.op_type.as_str() {
            "Mul" => other(product, value)?,
            "Div" if !halved && product.input[0] == value && view.is(&product.input[1], 2.0) => {
                halved = true;
                value = &product.output[0];
                continue;
            }
            _ => return None,
        };
        if !times_x && factor == x {
            times_x = true;
        } else if !halved && view.is(factor, 0.5) {
            halved = true;
        } else if !halved && !times_x && scaled(view, factor, 0.5) == Some(x) {
            (halved, times_x) = (true, true);
        } else {
            return None;
        }
        value = &product.output[0];
    }
    Some(value)
}

fn gated(graph: &mut GraphProto) {
    let view = View::new(graph);
    let mut edits = Edits::default();
    for node in graph.node.iter().filter(|node| node.op_type == ACTIVATION) {
        if let Some((x, width, output)) = geglu(&view, node) {
            let mut made = ops::node("EaselGeGlu", &[x], output);
            made.attribute
                .extend(width.map(|width| int_attribute("width", width)));
            edits.replace(output, vec![made]);
        }
    }
    edits.apply(graph);
}

/// The input of gated GELU, the size of its halves if that is a constant, and the output.
fn geglu<'g>(view: &View<'g>, gelu: &'g NodeProto) -> Option<(&'g str, Option<i64>, &'g str)> {
    if !gelu
        .attribute
        .iter()
        .any(|a| a.name == "kind" && a.s == b"gelu")
    {
        return None;
    }
    let product = view
        .reader(&gelu.output[0])
        .filter(|node| node.op_type == "Mul")?;
    let (hidden, gate) = (other(product, &gelu.output[0])?, gelu.input[0].as_str());
    view.reader(hidden)?;
    view.reader(gate)?;
    let [first, second] = [view.maker(hidden)?, view.maker(gate)?];
    let width = match (first.op_type.as_str(), second.op_type.as_str()) {
        ("Split", "Split") if std::ptr::eq(first, second) => {
            let order = first.output.len() == 2 && first.output[0] == hidden;
            if order {
                split_in_half(view, first)?
            } else {
                return None;
            }
        }
        ("Slice", "Slice") if first.input[0] == second.input[0] => {
            sliced_in_half(view, first, second)?
        }
        _ => return None,
    };
    Some((&first.input[0], width, &product.output[0]))
}

/// The size of the halves, `Some(None)` if it is not given, for a `Split` of the last axis into two equal parts.
fn split_in_half(view: &View<'_>, split: &NodeProto) -> Option<Option<i64>> {
    let listed = split.input.get(1).filter(|name| !name.is_empty());
    let sizes = match (listed, graph::ints(split, "split")) {
        (Some(name), _) => Some(view.integers(name)?),
        (None, sizes) => sizes.map(<[i64]>::to_vec),
    };
    let width = match sizes.as_deref() {
        None => None,
        Some([a, b]) if a == b => Some(*a),
        Some(_) => return None,
    };
    (graph::int(split, "axis") == Some(-1)).then_some(width)
}

/// The same for two `Slice`s.
fn sliced_in_half(view: &View<'_>, first: &NodeProto, second: &NodeProto) -> Option<Option<i64>> {
    let last_axis = |slice: &NodeProto| {
        let step = slice
            .input
            .get(4)
            .is_none_or(|step| view.integers(step).as_deref() == Some(&[1]));
        step && slice
            .input
            .get(3)
            .is_some_and(|axes| view.integers(axes).as_deref() == Some(&[-1]))
    };
    let from_start = view.integers(&first.input[1]).as_deref() == Some(&[0]);
    if !(last_axis(first) && last_axis(second) && from_start) {
        return None;
    }
    let [middle, start, end] = [&first.input[2], &second.input[1], &second.input[2]];
    let number = |name: &str| {
        view.integers(name)
            .and_then(|values| values.first().copied())
    };
    let to_end = number(end).is_some_and(|end| end > i64::from(i32::MAX));
    if let (Some(middle), Some(start)) = (number(middle), number(start)) {
        let whole = to_end || number(end) == Some(2 * middle);
        return (middle == start && middle > 0 && whole).then_some(Some(middle));
    }
    // `(n + 1) / 2` times 1 and 2.
    let half = times(view, middle, 1.0);
    let whole = to_end || [half, middle].contains(&times(view, end, 2.0));
    (middle == start && whole && is_half(view, half, &first.input[0])).then_some(None)
}

/// x of `x · factor`, or the value itself.
fn times<'v>(view: &View<'v>, value: &'v str, factor: f32) -> &'v str {
    let product = view.made_by(value, "Mul");
    product
        .and_then(|product| view.beside(product, factor))
        .unwrap_or(value)
}

/// Whether it is `(n + 1) / 2` or `n / 2`, where n is the size of the last axis of x.
fn is_half(view: &View<'_>, value: &str, x: &str) -> bool {
    let size = || {
        let half = view.made_by(value, "Div")?;
        let more = view.beside(half, 2.0)?;
        let sum = view.made_by(more, "Add");
        let size = sum.and_then(|sum| view.beside(sum, 1.0)).unwrap_or(more);
        let gather = view.made_by(size, "Gather")?;
        let shape = view.made_by(&gather.input[0], "Shape")?;
        let last = view.number(&gather.input[1])? == -1.0;
        Some(last && shape.input[0] == x && shape.attribute.is_empty())
    };
    size() == Some(true)
}

#[cfg(test)]
mod tests;
