//! Finds attention, with the scaling and the transpositions around it.
//!
//! ```text
//! q ─► [Transpose] ─► [· s] ─────────────┐
//! k ─► [Transpose] ─► Transpose ─► [· s] ┴► MatMul ─► [· s] ─► [+ mask] ─► Softmax ─► MatMul ─► [Transpose]
//! v ─► [Transpose] ──────────────────────────────────────────────────────────────────────┘
//!                               ▼
//!              EaselAttention(q, k, v, [mask], s, …)
//! ```
//!
//! An operand is `[batch, heads, tokens, features]` ("bhsd"), or `[batch, tokens, heads, features]` ("bshd") where a
//! transposition of the two is taken in, or `[batch, tokens, features]` ("bsd") where heads were put into the batch. Factors
//! are constants or computed from a size; as they are scalars, it does not matter where they stand. Keys that no `Transpose`
//! made are left: they may be anything.

use tract_onnx::pb::{ModelProto, NodeProto};

use super::graph::{self, Edits, View, int_attribute, other, text_attribute};
use super::heads::HEADS;
use super::node;
use super::{PassContext, Values};
use crate::runtime::ops;

pub(super) fn run(model: &mut ModelProto, context: &mut PassContext) -> Result<(), String> {
    // Where weights are int8, the products of attention may be as coarse.
    let low_precision = context
        .weights
        .iter()
        .any(|weight| matches!(weight.values, Values::Int8 { .. }));
    let opset = graph::opset(model);
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let view = View::new(graph);
    let mut edits = Edits::default();
    for node in graph.node.iter().filter(|node| node.op_type == "Softmax") {
        if let Some(attention) = Attention::of(&view, node, opset) {
            attention.write(low_precision, &mut edits);
        }
    }
    edits.apply(graph);
    Ok(())
}

/// An attention, as found.
struct Attention<'g> {
    query: Operand<'g>,
    key: Operand<'g>,
    value: Operand<'g>,
    output: Operand<'g>,
    mask: Option<&'g str>,
    factors: Vec<Factor<'g>>,
    /// Whether a query that may see no key gets zeros.
    guarded: bool,
}

/// A value and the order of its axes.
struct Operand<'g> {
    value: &'g str,
    layout: &'static str,
}

/// A scalar that scores are multiplied with or divided by.
struct Factor<'g> {
    value: &'g str,
    divides: bool,
}

impl<'g> Attention<'g> {
    fn of(view: &View<'g>, softmax: &'g NodeProto, opset: i64) -> Option<Self> {
        let mut factors = Vec::new();
        let (product, mask) = masked_scores(view, softmax.input.first()?, &mut factors)?;
        let key = key(view, &product.input[1], &mut factors)?;
        let rank = if key.layout == "bsd" { 3 } else { 4 };
        // Before opset 13, all axes from this one on are one.
        let default = if opset < 13 { 1 } else { -1 };
        let axis = graph::int(softmax, "axis").unwrap_or(default);
        if axis != -1 && axis != rank - 1 {
            return None;
        }
        let (weights, guarded) = guarded(view, &softmax.output[0]);
        let last = view
            .reader(weights)
            .filter(|node| node.op_type == "MatMul")?;
        let values = other(last, weights).filter(|_| last.input[0] == weights)?;
        Some(Self {
            query: operand(view, &product.input[0], key.layout, &mut factors),
            value: heads(view, values, key.layout),
            output: output(view, &last.output[0], key.layout),
            key,
            mask,
            factors,
            guarded,
        })
    }

    fn write(self, low_precision: bool, edits: &mut Edits) {
        let output = self.output.value;
        let mut nodes = Vec::new();
        let mut inputs = vec![self.query.value, self.key.value, self.value.value];
        inputs.extend(self.mask);
        let mut inputs: Vec<String> = inputs.into_iter().map(String::from).collect();
        for (number, factor) in self.factors.iter().enumerate() {
            let mut name = factor.value.to_owned();
            if factor.divides {
                let inverse = format!("{output}/factor{number}");
                nodes.push(node("Reciprocal", &[&name], &inverse));
                name = inverse;
            }
            inputs.push(name);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let mut attention = ops::node("EaselAttention", &inputs, output);
        attention.attribute = vec![
            text_attribute("query", self.query.layout),
            text_attribute("key", self.key.layout),
            text_attribute("value", self.value.layout),
            text_attribute("output", self.output.layout),
            int_attribute("mask", i64::from(self.mask.is_some())),
            int_attribute("guarded", i64::from(self.guarded)),
            int_attribute("low_precision", i64::from(low_precision)),
        ];
        nodes.push(attention);
        edits.replace(output, nodes);
    }
}

/// The product of queries and keys, and what is added to it.
fn masked_scores<'g>(
    view: &View<'g>,
    scores: &'g str,
    factors: &mut Vec<Factor<'g>>,
) -> Option<(&'g NodeProto, Option<&'g str>)> {
    let Some(sum) = view.made_by(scores, "Add") else {
        return Some((product(view, scores, factors)?, None));
    };
    view.reader(scores)?;
    sum.input.iter().find_map(|scores| {
        let mut found = Vec::new();
        let product = product(view, scores, &mut found)?;
        let mask = other(sum, scores)?;
        factors.extend(found);
        Some((product, (!is_nothing(view, mask)).then_some(mask)))
    })
}

/// Whether it is zero for sure: the sum that `baddbmm` is told to take no part of.
fn is_nothing(view: &View<'_>, value: &str) -> bool {
    let product = view.made_by(value, "Mul");
    let nothing = product.and_then(|product| view.beside(product, 0.0));
    nothing.is_some_and(|other| view.made_by(other, "ConstantOfShape").is_some())
}

/// The `MatMul` behind factors; nobody else reads what is between.
fn product<'g>(
    view: &View<'g>,
    scores: &'g str,
    factors: &mut Vec<Factor<'g>>,
) -> Option<&'g NodeProto> {
    let scores = without_factors(view, scores, factors, true);
    view.reader(scores)?;
    view.made_by(scores, "MatMul")
}

/// The value that scalars are multiplied to. `alone`: only where nobody else reads the products.
fn without_factors<'g>(
    view: &View<'g>,
    mut value: &'g str,
    factors: &mut Vec<Factor<'g>>,
    alone: bool,
) -> &'g str {
    while let Some((factor, rest)) = view.maker(value).and_then(|node| factor(view, node)) {
        if alone && view.reader(value).is_none() {
            break;
        }
        factors.push(factor);
        value = rest;
    }
    value
}

/// The scalar that the node multiplies with, and what it multiplies.
fn factor<'g>(view: &View<'g>, node: &'g NodeProto) -> Option<(Factor<'g>, &'g str)> {
    let [a, b] = &node.input[..] else { return None };
    let divides = node.op_type == "Div";
    let (value, rest) = match node.op_type.as_str() {
        "Mul" | "Div" if view.is_single(b) => (b, a),
        "Mul" if view.is_single(a) => (a, b),
        _ => return None,
    };
    Some((Factor { value, divides }, rest))
}

/// Keys before they were transposed.
fn key<'g>(view: &View<'g>, value: &'g str, factors: &mut Vec<Factor<'g>>) -> Option<Operand<'g>> {
    let value = without_factors(view, value, factors, false);
    let transposed = view.made_by(value, "Transpose")?;
    let value = transposed.input[0].as_str();
    match graph::ints(transposed, "perm")? {
        [0, 2, 1] => Some(operand(view, value, "bsd", factors)),
        [0, 1, 3, 2] => Some(operand(view, value, "bhsd", factors)),
        [0, 2, 3, 1] => Some(Operand {
            value: without_factors(view, value, factors, false),
            layout: "bshd",
        }),
        _ => None,
    }
}

/// An operand, without factors and transpositions. `like`: the layout of keys, which has as many axes.
fn operand<'g>(
    view: &View<'g>,
    value: &'g str,
    like: &'static str,
    factors: &mut Vec<Factor<'g>>,
) -> Operand<'g> {
    let value = without_factors(view, value, factors, false);
    let found = heads(view, value, like);
    Operand {
        value: without_factors(view, found.value, factors, false),
        ..found
    }
}

/// An operand, without the transposition that brings heads together.
fn heads<'g>(view: &View<'g>, value: &'g str, like: &'static str) -> Operand<'g> {
    if like == "bsd" {
        return Operand {
            value,
            layout: "bsd",
        };
    }
    let transposed = view.made_by(value, "Transpose");
    match transposed.filter(|node| graph::ints(node, "perm") == Some(&HEADS)) {
        Some(transposed) => Operand {
            value: &transposed.input[0],
            layout: "bshd",
        },
        None => Operand {
            value,
            layout: "bhsd",
        },
    }
}

/// The result, behind the transposition that brings a token's heads together if that is all that happens to it.
fn output<'g>(view: &View<'g>, value: &'g str, like: &'static str) -> Operand<'g> {
    if like == "bsd" {
        return Operand {
            value,
            layout: "bsd",
        };
    }
    let reader = view
        .reader(value)
        .filter(|node| node.op_type == "Transpose");
    match reader.filter(|node| graph::ints(node, "perm") == Some(&HEADS)) {
        Some(transposed) => Operand {
            value: &transposed.output[0],
            layout: "bshd",
        },
        None => Operand {
            value,
            layout: "bhsd",
        },
    }
}

/// The weights behind `Where(IsNaN(·), 0, ·)`, which exporters put where a mask may leave no key, and whether that is there.
fn guarded<'g>(view: &View<'g>, weights: &'g str) -> (&'g str, bool) {
    let guard = || {
        let choice = view
            .readers(weights)
            .iter()
            .find(|node| node.op_type == "Where")?;
        let [condition, zero, same] = &choice.input[..] else {
            return None;
        };
        let asks = view.made_by(condition, "IsNaN")?.input[0] == weights;
        let alone = view.readers(weights).len() == 2
            && view.reader(condition).is_some()
            && !view.is_output(weights);
        (asks && alone && same == weights && view.number(zero) == Some(0.0))
            .then(|| choice.output[0].as_str())
    };
    guard().map_or((weights, false), |behind| (behind, true))
}

#[cfg(test)]
mod tests;
