//! ONNX Runtime's operators on images whose channels lie in blocks, which a session's optimized model has at the highest level.
//!
//! ```text
//! ReorderInput ─► Conv(W in blocks) ─► ReorderOutput(channels)      ─►      Conv(W)
//! ```
//!
//! Only the weights have to be put back into order: what runs between the reorderings means the same without them. How large blocks
//! are depends on the machine that wrote the file, 8 or 16 channels, and is not said: channels that are added to fill one tell it.

use std::collections::HashMap;

use tract_onnx::pb::{
    GraphProto, NodeProto, StringStringEntryProto, TensorProto, tensor_proto::DataType,
};

use super::writer::{Writer, attributes_without, needed, result};
use crate::runtime::passes::graph::{
    by_name, float_tensor, floats, int, ints, ints_attribute, text_attribute,
};
use crate::weights::{BLOCKED, Blocked};

pub(super) const DOMAIN: &str = "com.microsoft.nchwc";

const ANEW: &str = "export the model again without ONNX Runtime's optimizer";

/// Puts the weights of all convolutions in blocks back into order, or notes how they lie where they are still in their file.
pub(super) fn restore_weights(graph: &mut GraphProto) -> Result<(), String> {
    let nodes = || graph.node.iter().filter(|node| node.domain == DOMAIN);
    let convolutions: Vec<&NodeProto> = nodes().filter(|node| node.op_type == "Conv").collect();
    if convolutions.is_empty() {
        return Ok(());
    }
    // Channels that leave the blocks, by the value that has them.
    let leaving = nodes().filter(|node| node.op_type == "ReorderOutput");
    let mut channels: HashMap<&str, i64> = HashMap::new();
    for node in leaving {
        if let (Some(value), Some(count)) = (node.input.first(), int(node, "channels")) {
            channels.insert(value, count);
        }
    }
    let constants: HashMap<&str, &TensorProto> = by_name(&graph.initializer);
    let mut found = Vec::new();
    for node in &convolutions {
        let weights = node
            .input
            .get(1)
            .and_then(|name| constants.get(name.as_str()));
        let weights = weights
            .ok_or_else(|| format!("a convolution in blocks without constant weights: {ANEW}"))?;
        let &[outputs, inputs, _, _] = &weights.dims[..] else {
            return Err(format!(
                "a convolution in blocks that is none of images: {ANEW}"
            ));
        };
        if int(node, "group").unwrap_or(1) != 1 {
            return Err(format!("a convolution in blocks and in groups: {ANEW}"));
        }
        let output = node
            .output
            .first()
            .and_then(|output| channels.get(output.as_str()));
        let bias = node.input.get(2).filter(|name| !name.is_empty());
        found.push((
            weights.name.clone(),
            bias.cloned(),
            outputs,
            inputs,
            output.copied(),
        ));
    }
    let fits = |block: i64| {
        let rounded = |count: i64| (count + block - 1) / block * block;
        found.iter().all(|(_, _, outputs, inputs, channels)| {
            let filled = outputs % block == 0 && (*inputs < block || inputs % block == 0);
            filled && channels.is_none_or(|count| rounded(count) == *outputs)
        })
    };
    let block = match (fits(8), fits(16)) {
        (true, false) => 8,
        (false, true) => 16,
        _ => return Err(format!("convolutions in blocks of unknown size: {ANEW}")),
    };
    let mut real: HashMap<String, i64> = HashMap::new();
    let mut weights = HashMap::new();
    for (name, bias, outputs, _, channels) in found {
        let outputs = channels.unwrap_or(outputs);
        real.extend(bias.map(|bias| (bias, outputs)));
        weights.insert(name, outputs);
    }
    for tensor in &mut graph.initializer {
        if let Some(outputs) = weights.get(&tensor.name) {
            tensor.dims[0] = *outputs;
            restore(tensor, block)?;
        } else if let Some(outputs) = real.get(&tensor.name)
            && tensor.dims[..] != [*outputs]
        {
            shorten(tensor, *outputs)?;
        }
    }
    Ok(())
}

fn restore(tensor: &mut TensorProto, block: usize) -> Result<(), String> {
    let layout = Blocked::new(block, &tensor.dims);
    let layout = layout.filter(|_| tensor.data_type == DataType::Float as i32);
    let layout = layout.ok_or_else(|| format!("weights in blocks that are none: {ANEW}"))?;
    if tensor.external_data.is_empty() {
        if tensor.raw_data.len() != layout.stored() {
            return Err(format!("weights in blocks that do not fill them: {ANEW}"));
        }
        tensor.raw_data = layout.unblocked(&tensor.raw_data);
    } else {
        tensor.external_data.push(StringStringEntryProto {
            key: BLOCKED.to_owned(),
            value: block.to_string(),
        });
    }
    Ok(())
}

/// Leaves the bias of channels out that only fill a block.
fn shorten(tensor: &mut TensorProto, count: i64) -> Result<(), String> {
    let values = floats(tensor).filter(|_| tensor.external_data.is_empty());
    let kept = values
        .as_deref()
        .and_then(|values| values.get(..usize::try_from(count).ok()?));
    let kept = kept.ok_or_else(|| format!("a bias in blocks that does not fill them: {ANEW}"))?;
    *tensor = float_tensor(&tensor.name, &[count], kept);
    Ok(())
}

/// `[n, h, w, c]` or `[n, c, h, w]` into blocks.
pub(super) fn reorder_input(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    reorder(writer, node, [0, 3, 1, 2])
}

/// And back.
pub(super) fn reorder_output(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    reorder(writer, node, [0, 2, 3, 1])
}

fn reorder(writer: &mut Writer, node: &NodeProto, axes: [i64; 4]) -> Result<(), String> {
    let (op, attributes) = match int(node, "channels_last") {
        Some(1) => ("Transpose", vec![ints_attribute("perm", &axes)]),
        _ => ("Identity", Vec::new()),
    };
    writer.put_as(op, &[needed(node, 0)?], attributes, result(node)?);
    Ok(())
}

/// The standard's operator of the same name.
pub(super) fn pool(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    writer.put_as(
        &node.op_type,
        &[needed(node, 0)?],
        node.attribute.clone(),
        result(node)?,
    );
    Ok(())
}

/// Images enlarged by whole factors.
pub(super) fn upsample(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let text = |name: &str| {
        let found = node.attribute.iter().find(|a| a.name == name);
        found.map(|a| String::from_utf8_lossy(&a.s).into_owned())
    };
    if text("mode").is_some_and(|mode| mode != "nearest") {
        return Err(format!("enlarged other than to the nearest pixel: {ANEW}"));
    }
    let scales: Vec<f32> = ints(node, "scales")
        .unwrap_or_default()
        .iter()
        .map(|s| *s as f32)
        .collect();
    let scales = writer.numbers(&scales);
    let mut attributes = attributes_without(
        node,
        &[
            "scales",
            "mode",
            "nearest_mode",
            "coordinate_transformation_mode",
        ],
    );
    attributes.extend([
        text_attribute("mode", "nearest"),
        text_attribute("nearest_mode", "floor"),
        text_attribute("coordinate_transformation_mode", "asymmetric"),
    ]);
    writer.put_as(
        "Resize",
        &[needed(node, 0)?, "", &scales],
        attributes,
        result(node)?,
    );
    Ok(())
}
