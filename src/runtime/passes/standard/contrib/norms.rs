//! Layer normalization of a sum.

use tract_onnx::pb::NodeProto;

use super::writer::{Writer, flag, input, needed, output};
use crate::runtime::passes::graph::{float, float_attribute, int_attribute};

/// What ONNX Runtime adds to variances unless told otherwise.
const EPSILON: f32 = 1e-12;

/// `LayerNormalization(x + skip + bias)`; the sum is the fourth output.
pub(super) fn skip_layer_norm(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let mut parts = [needed(node, 0)?.to_owned(), needed(node, 1)?.to_owned()];
    if let Some(bias) = input(node, 4) {
        // Beside the product that it belongs to, if there is one: then it is a part of that.
        let product = |value: &String| {
            let made = writer
                .maker(value)
                .is_some_and(|node| node.op_type == "MatMul");
            made && writer.is_read_once(value)
        };
        let at = usize::from(product(&parts[1]));
        parts[at] = writer.put("Add", &[&parts[at], bias], Vec::new());
    }
    let [x, skip] = &parts;
    let sum = match output(node, 3) {
        Some(sum) => {
            writer.put_as("Add", &[x, skip], Vec::new(), sum);
            sum.to_owned()
        }
        None => writer.put("Add", &[x, skip], Vec::new()),
    };
    normalized(
        writer,
        node,
        &sum,
        [needed(node, 2)?, input(node, 3).unwrap_or_default()],
    )
}

/// `LayerNormalization` of the sum of embeddings: of words, positions, and segments if there are any. The sum is the third output.
pub(super) fn embed_layer_norm(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let ids = needed(node, 0)?;
    let mut parts = vec![writer.put("Gather", &[needed(node, 2)?, ids], Vec::new())];
    let positions = needed(node, 3)?;
    parts.push(match input(node, 8) {
        Some(places) => writer.put("Gather", &[positions, places], Vec::new()),
        None => {
            let [one, zero, first] = [
                writer.integers(&[1]),
                writer.integers(&[0]),
                writer.integers(&[0]),
            ];
            let shape = writer.put("Shape", &[ids], Vec::new());
            let length = writer.put("Gather", &[&shape, &one], vec![int_attribute("axis", 0)]);
            writer.put("Slice", &[positions, &zero, &length, &first], Vec::new())
        }
    });
    if let (Some(segments), Some(table)) = (input(node, 1), input(node, 4)) {
        parts.push(writer.put("Gather", &[table, segments], Vec::new()));
    }
    if output(node, 1).is_some_and(|mask| !writer.is_idle(mask)) {
        return Err(
            "its mask of lengths is read: export the model again without ONNX Runtime's optimizer"
                .into(),
        );
    }
    let mut sum = parts.remove(0);
    for (at, part) in parts.iter().enumerate() {
        sum = match output(node, 2).filter(|_| at + 1 == parts.len()) {
            Some(name) => {
                writer.put_as("Add", &[&sum, part], Vec::new(), name);
                name.to_owned()
            }
            None => writer.put("Add", &[&sum, part], Vec::new()),
        };
    }
    normalized(writer, node, &sum, [needed(node, 5)?, needed(node, 6)?])
}

/// The norm of `sum` over its last axis, scaled and shifted, as the node's first output.
fn normalized(
    writer: &mut Writer,
    node: &NodeProto,
    sum: &str,
    [scale, shift]: [&str; 2],
) -> Result<(), String> {
    if flag(node, "simplified") {
        return Err(
            "of this kind it is not known: export the model again without ONNX Runtime's optimizer"
                .into(),
        );
    }
    let Some(result) = output(node, 0) else {
        return Ok(());
    };
    let inputs = [sum, scale, shift];
    let inputs = if shift.is_empty() {
        &inputs[..2]
    } else {
        &inputs[..]
    };
    let attributes = vec![
        int_attribute("axis", -1),
        float_attribute("epsilon", float(node, "epsilon").unwrap_or(EPSILON)),
    ];
    writer.put_as("LayerNormalization", inputs, attributes, result);
    Ok(())
}
