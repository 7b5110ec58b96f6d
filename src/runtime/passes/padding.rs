//! Takes the zeros around an image into the convolution that reads it.
//!
//! ```text
//! Pad(x, pads) ─► Conv(·, W) pads = p      ─►      Conv(x, W) pads = p + pads
//! ```
//!
//! Encoders pad below and on the right alone before they halve an image, which exporters write as an operator of its own. The amounts
//! are constants, but tracers compute them in a dozen small nodes.

use std::collections::{HashMap, HashSet};

use tract_core::prelude::Tensor;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use tract_onnx::prelude::{Framework as _, InferenceModelExt as _, IntoRunnable as _};

use super::PassContext;
use super::graph::{Edits, View, by_name, ints, ints_attribute};

/// Numbers in a constant that amounts are computed from.
const FEW: i64 = 32;
/// Nodes that they are computed with.
const MOST_NODES: usize = 64;

pub(super) fn run(model: &mut ModelProto, _context: &mut PassContext) -> Result<(), String> {
    let Some(graph) = &model.graph else {
        return Ok(());
    };
    let mut edits = Edits::default();
    let view = View::new(graph);
    for node in graph.node.iter().filter(|node| node.op_type == "Conv") {
        let padded = node.input.first().and_then(|x| view.made_by(x, "Pad"));
        let Some(pad) = padded.filter(|pad| is_zeros(&view, pad)) else {
            continue;
        };
        let around = pad
            .input
            .get(1)
            .and_then(|amounts| known(model, graph, amounts));
        let Some(pads) = around.and_then(|around| sum(node, &around)) else {
            continue;
        };
        let mut conv = node.clone();
        conv.input[0].clone_from(&pad.input[0]);
        conv.attribute.retain(|attribute| attribute.name != "pads");
        conv.attribute.push(ints_attribute("pads", &pads));
        edits.replace(&node.output[0], vec![conv]);
    }
    if let Some(graph) = &mut model.graph {
        edits.apply(graph);
    }
    Ok(())
}

/// Whether a `Pad` adds zeros to all axes that it names.
fn is_zeros(view: &View<'_>, pad: &NodeProto) -> bool {
    let constant = pad
        .attribute
        .iter()
        .all(|a| a.name != "mode" || a.s == b"constant");
    let given = |at: usize| pad.input.get(at).filter(|name| !name.is_empty());
    let value = given(2).map(|name| view.constant(name));
    let zero = value.is_none_or(|value| {
        value.is_some_and(|value| {
            let bytes = value.raw_data.iter().all(|byte| *byte == 0);
            bytes && value.float_data.iter().all(|float| *float == 0.0)
        })
    });
    constant && zero && given(3).is_none()
}

/// A convolution's `pads` with those of the four axes, begin before end, added.
fn sum(conv: &NodeProto, around: &[i64]) -> Option<[i64; 4]> {
    let own = ints(conv, "pads").unwrap_or(&[0; 4]);
    let plain = |a: &tract_onnx::pb::AttributeProto| a.name != "auto_pad" || a.s == b"NOTSET";
    match (own, around) {
        (&[a, b, c, d], &[0, 0, top, left, 0, 0, bottom, right])
            if conv.attribute.iter().all(plain) && around.iter().all(|n| (0..=16).contains(n)) =>
        {
            Some([a + top, b + left, c + bottom, d + right])
        }
        _ => None,
    }
}

/// A short list of integers that depends on no input of the graph.
fn known(model: &ModelProto, graph: &GraphProto, value: &str) -> Option<Vec<i64>> {
    let makers = graph.node.iter().flat_map(|node| {
        let outputs = node.output.iter();
        outputs.map(move |name| (name.as_str(), node))
    });
    let makers: HashMap<&str, &NodeProto> = makers.collect();
    let constants = by_name(&graph.initializer);
    let mut part = GraphProto::default();
    let mut wanted = vec![value];
    let mut seen = HashSet::new();
    while let Some(name) = wanted.pop() {
        if name.is_empty() || !seen.insert(name) {
            continue;
        }
        if let Some(constant) = constants.get(name) {
            let few = constant
                .dims
                .iter()
                .try_fold(1_i64, |all, n| all.checked_mul(*n));
            part.initializer
                .push(few.filter(|few| *few <= FEW).map(|_| (*constant).clone())?);
        } else {
            let node = *makers.get(name)?;
            wanted.extend(node.input.iter().map(String::as_str));
            part.node.push(node.clone());
        }
        if part.node.len() > MOST_NODES {
            return None;
        }
    }
    part.node = super::sorted(part.node).ok()?;
    part.output = vec![ValueInfoProto {
        name: value.to_owned(),
        ..ValueInfoProto::default()
    }];
    let mut proto = ModelProto {
        ir_version: model.ir_version,
        opset_import: model.opset_import.clone(),
        graph: Some(part),
        ..ModelProto::default()
    };
    super::name_nodes(&mut proto);
    let onnx = tract_onnx::onnx().with_ignore_output_shapes(true);
    let run = || {
        let network = onnx.model_for_proto_model(&proto)?;
        let plan = network.into_optimized()?.into_runnable()?;
        let outputs = plan.run(Default::default())?;
        let integers = outputs[0].cast_to::<i64>()?.into_owned();
        tract_core::prelude::TractResult::Ok(integers)
    };
    let tensor: Tensor = run().ok()?;
    Some(
        tensor
            .try_as_plain_ram()
            .ok()?
            .as_slice::<i64>()
            .ok()?
            .to_vec(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::graph::float_tensor;
    use super::super::testing::{evaluate, integers, kinds, model, noise, random, run_pass};
    use super::*;

    /// As torch writes it: the pairs of the last axis first, turned around.
    const TRACED: &str = "\
        pairs = Concat(given, zeros) axis=0
        rows = Reshape(pairs, two_wide)
        turned = Slice(rows, last, first, axis, back)
        columns = Transpose(turned) perm=1,0
        pads = Reshape(columns, flat)
        padded = Pad(x, pads, zero)
        y = Conv(padded, w) strides=2,2 pads=0,0,0,0";

    fn network(text: &str, given: [i64; 4], zero: f32) -> ModelProto {
        let lists = [
            ("zeros", vec![0; 4]),
            ("given", given.to_vec()),
            ("two_wide", vec![-1, 2]),
            ("last", vec![-1]),
            ("first", vec![i64::MIN + 1]),
            ("axis", vec![0]),
            ("back", vec![-1]),
            ("flat", vec![-1]),
            ("known", vec![0, 0, 0, 0, 0, 0, 1, 1]),
        ];
        let mut constants: Vec<_> = lists
            .iter()
            .map(|(name, list)| integers(name, list))
            .collect();
        constants.push(float_tensor("zero", &[], &[zero]));
        constants.push(float_tensor("w", &[2, 3, 3, 3], &noise(54, 3)));
        model(text, constants, &["y"])
    }

    #[test]
    fn zeros_below_and_on_the_right_become_the_convolution_s() {
        let plain = "padded = Pad(x, known)\ny = Conv(padded, w) strides=2,2 pads=1,1,0,0";
        for text in [TRACED, plain] {
            let before = network(text, [0, 1, 0, 1], 0.0);
            let mut after = before.clone();
            assert_eq!(kinds(run_pass(&mut after, run)), ["Conv"]);
            let x = random(&[1, 3, 8, 6], 5);
            let [wanted, found] =
                [&before, &after].map(|model| evaluate(model, std::slice::from_ref(&x)));
            found.close_enough(&wanted, true).expect("the same");
        }
    }

    #[test]
    fn other_paddings_stay() {
        let stays = |text: &str, given, zero| {
            let mut model = network(text, given, zero);
            kinds(run_pass(&mut model, run)).contains(&"Pad")
        };
        assert!(stays(TRACED, [0, 1, 0, 1], 0.5));
        assert!(stays(TRACED, [0, -1, 0, 1], 0.0));
        assert!(stays(
            &TRACED.replace("zero)", "zero) mode=edge"),
            [0, 1, 0, 1],
            0.0
        ));
        assert!(stays(
            "padded = Pad(x, asked)\ny = Conv(padded, w)",
            [0; 4],
            0.0
        ));
    }
}
