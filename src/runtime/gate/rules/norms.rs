//! Normalization, and the ways between numbers and their bytes.

use tract_onnx::pb::tensor_proto::DataType;

use super::super::attributes;
use super::super::node::{Node, side};
use super::super::value::{Value, broadcast};

type Outputs = Result<Vec<Value>, String>;

/// `x` again, if each of these inputs has so many elements.
fn with_rows(node: &Node<'_>, inputs: std::ops::Range<usize>, count: usize) -> Outputs {
    let x = node.input(0)?;
    attributes::float(node.proto, "epsilon")?;
    for input in inputs {
        let row = &node.input(input)?.shape;
        if row[..] != [count] {
            return Err(format!("has factors {row:?} for {count} channels"));
        }
    }
    Ok(vec![Value::new(x.element, x.shape.clone())])
}

fn channels(x: &Value) -> Result<usize, String> {
    let channels = x.shape.get(1).copied().filter(|_| !x.shape.contains(&0));
    channels.ok_or_else(|| format!("works on channels, not on {:?}", x.shape))
}

pub(super) fn batch(node: &Node<'_>) -> Outputs {
    with_rows(node, 1..5, channels(node.input(0)?)?)
}

pub(super) fn instance(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    if x.rank() < 3 {
        return Err(format!("works on images, not on {:?}", x.shape));
    }
    with_rows(node, 1..3, channels(x)?)
}

pub(super) fn group(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let channels = channels(x)?;
    let groups = side(
        node.int("num_groups")?.ok_or("has no num_groups")?,
        "num_groups",
    )?;
    if groups == 0 || !channels.is_multiple_of(groups) {
        return Err(format!("puts {channels} channels into {groups} groups"));
    }
    // Before version 21 there was a factor for each group.
    let rows = node.input(1)?.shape.first().copied();
    let count = if rows == Some(groups) {
        groups
    } else {
        channels
    };
    with_rows(node, 1..3, count)
}

pub(super) fn layer(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    attributes::float(node.proto, "epsilon")?;
    let from = node.axis("axis", -1, x.rank())?;
    if x.shape.contains(&0) {
        return Err(format!("normalizes nothing: {:?}", x.shape));
    }
    for input in [1, 2] {
        if let Some(row) = node.optional(input)
            && broadcast([&x.shape[from..], &row.shape])? != x.shape[from..]
        {
            return Err(format!("has factors {:?} for {:?}", row.shape, x.shape));
        }
    }
    Ok(vec![Value::new(x.element, x.shape.clone())])
}

/// Checks that a scale and a zero point go with a value.
fn scaled(node: &Node<'_>) -> Result<(), String> {
    let (x, scale) = (node.input(0)?, node.input(1)?);
    if node.int_or("block_size", 0)? != 0 {
        return Err("has scales for blocks, which easel does not know: quantize by channel".into());
    }
    let count = scale.volume()?;
    if count != 1 {
        let axis = node.axis("axis", 1, x.rank())?;
        if scale.rank() != 1 || count != x.shape[axis] {
            return Err(format!(
                "has scales {:?} for axis {axis} of {:?}",
                scale.shape, x.shape
            ));
        }
    }
    // What is made, or what there is: the zero point is of that type.
    let bytes = match node.proto.op_type.as_str() {
        "DequantizeLinear" => x.element,
        _ => node
            .optional(2)
            .map_or(DataType::Uint8, |zero| zero.element),
    };
    let known = matches!(
        bytes,
        DataType::Int8 | DataType::Uint8 | DataType::Int16 | DataType::Uint16 | DataType::Int32
    );
    if !known || node.optional(2).is_some_and(|zero| zero.element != bytes) {
        return Err("has a zero point of another type than its whole numbers".into());
    }
    if let Some(zero) = node.optional(2)
        && zero.volume()? != count
    {
        return Err(format!(
            "has {:?} zero points for {:?} scales",
            zero.shape, scale.shape
        ));
    }
    Ok(())
}

pub(super) fn quantize(node: &Node<'_>) -> Outputs {
    scaled(node)?;
    let element = node
        .optional(2)
        .map_or(DataType::Uint8, |zero| zero.element);
    Ok(vec![Value::new(element, node.input(0)?.shape.clone())])
}

pub(super) fn dequantize(node: &Node<'_>) -> Outputs {
    scaled(node)?;
    let element = node.input(1)?.element;
    Ok(vec![Value::new(element, node.input(0)?.shape.clone())])
}

pub(super) fn dynamic_quantize(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    Ok(vec![
        Value::new(DataType::Uint8, x.shape.clone()),
        Value::new(DataType::Float, vec![]),
        Value::new(DataType::Uint8, vec![]),
    ])
}
