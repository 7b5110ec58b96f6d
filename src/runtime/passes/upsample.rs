//! `Resize` that repeats pixels becomes `EaselUpsample`, whatever words the exporter chose for it.
//!
//! By nearest neighbour and a whole factor *s*, pixel *i* is pixel ⌊*i*/*s*⌋ both for `asymmetric` with `floor` and for
//! `half_pixel` with rounding.

use std::collections::HashMap;

use tract_onnx::pb::{
    AttributeProto, ModelProto, NodeProto, TensorProto, attribute_proto::AttributeType,
};

use super::{PassContext, graph};
use crate::runtime::ops;

pub(super) fn run(model: &mut ModelProto, context: &mut PassContext) -> Result<(), String> {
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let constants = graph::by_name(&graph.initializer);
    for node in &mut graph.node {
        let Some(factor) = factor(&constants, node, context)? else {
            continue;
        };
        let mut made = ops::node("EaselUpsample", &[&node.input[0]], &node.output[0]);
        made.attribute.push(AttributeProto {
            name: "factor".into(),
            r#type: AttributeType::Ints as i32,
            ints: vec![factor],
            ..AttributeProto::default()
        });
        *node = made;
    }
    Ok(())
}

/// No network enlarges more at once.
const LARGEST: f32 = 64.0;

/// How many times each pixel is repeated each way, if that is what the node does.
fn factor(
    constants: &HashMap<&str, &TensorProto>,
    node: &NodeProto,
    context: &mut PassContext,
) -> Result<Option<i64>, String> {
    if node.op_type != "Resize" {
        return Ok(None);
    }
    let word = |name: &str, default: &'static str| {
        let found = node.attribute.iter().find(|a| a.name == name);
        found.map_or(default.to_owned(), |a| {
            String::from_utf8_lossy(&a.s).into_owned()
        })
    };
    let transform = word("coordinate_transformation_mode", "half_pixel");
    let rounding = word("nearest_mode", "round_prefer_floor");
    let repeats = match transform.as_str() {
        "asymmetric" => rounding == "floor",
        "half_pixel" | "pytorch_half_pixel" => rounding.starts_with("round_prefer"),
        _ => false,
    };
    let scales = node.input.get(2).filter(|name| !name.is_empty());
    let scales = scales.and_then(|name| constants.get(name.as_str()));
    let (true, "nearest", Some(scales)) = (repeats, word("mode", "nearest").as_str(), scales)
    else {
        return Ok(None);
    };
    Ok(match context.tensors.floats(scales)?.as_deref() {
        Some(&[1.0, 1.0, down, right])
            if down == right && (1.0..=LARGEST).contains(&down) && down.fract() == 0.0 =>
        {
            Some(down as i64)
        }
        _ => None,
    })
}
