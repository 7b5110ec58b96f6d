//! Attributes of a node, with their types.

use tract_onnx::pb::{
    AttributeProto, GraphProto, NodeProto, TensorProto, attribute_proto::AttributeType,
};

/// The attribute, if the node has it; an error if it is of another type.
fn find<'n>(
    node: &'n NodeProto,
    name: &str,
    kind: AttributeType,
) -> Result<Option<&'n AttributeProto>, String> {
    let found = node.attribute.iter().find(|a| a.name == name);
    if found.is_some_and(|a| a.r#type != kind as i32) {
        return Err(format!("attribute `{name}` is of the wrong type"));
    }
    Ok(found)
}

pub(super) fn int(node: &NodeProto, name: &str) -> Result<Option<i64>, String> {
    Ok(find(node, name, AttributeType::Int)?.map(|a| a.i))
}

pub(super) fn ints<'n>(node: &'n NodeProto, name: &str) -> Result<Option<&'n [i64]>, String> {
    Ok(find(node, name, AttributeType::Ints)?.map(|a| &a.ints[..]))
}

pub(super) fn float(node: &NodeProto, name: &str) -> Result<Option<f32>, String> {
    Ok(find(node, name, AttributeType::Float)?.map(|a| a.f))
}

pub(super) fn text<'n>(node: &'n NodeProto, name: &str) -> Result<Option<&'n str>, String> {
    let Some(found) = find(node, name, AttributeType::String)? else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&found.s);
    text.map(Some)
        .map_err(|_| format!("attribute `{name}` is no text"))
}

pub(super) fn tensor<'n>(
    node: &'n NodeProto,
    name: &str,
) -> Result<Option<&'n TensorProto>, String> {
    let found = find(node, name, AttributeType::Tensor)?;
    found
        .map(|a| {
            a.t.as_ref()
                .ok_or_else(|| format!("attribute `{name}` is empty"))
        })
        .transpose()
}

pub(super) fn graph<'n>(node: &'n NodeProto, name: &str) -> Result<&'n GraphProto, String> {
    let found = find(node, name, AttributeType::Graph)?;
    found
        .and_then(|a| a.g.as_ref())
        .ok_or_else(|| format!("has no `{name}`"))
}
