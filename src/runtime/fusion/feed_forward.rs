//! `EaselLinear (gate or activation) ─► EaselLinear` becomes one node, where what lies between is large.

use tract_core::internal::*;

use super::super::ops::{FeedForward, HIDDEN, Linear, Node};

/// The pair that begins at this node, if it is one and nobody else reads its middle.
pub(super) fn pair(model: &TypedModel, node: usize) -> TractResult<Option<TypedModelPatch>> {
    let node = model.node(node);
    let Some(Node(first)) = node.op_as::<Node<Linear>>() else {
        return Ok(None);
    };
    let hidden = &node.outputs[0].fact.shape;
    let numbers = hidden
        .as_concrete()
        .map_or(0, |dims| dims.iter().product::<usize>());
    let widens = first.product.gated || first.activation.is_some();
    let is_output = model.output_outlets()?.contains(&node.id.into());
    let [reader] = &node.outputs[0].successors[..] else {
        return Ok(None);
    };
    if !widens || first.residual || is_output || numbers * size_of::<f32>() <= HIDDEN {
        return Ok(None);
    }
    let reader = model.node(reader.node);
    let Some(Node(second)) = reader.op_as::<Node<Linear>>() else {
        return Ok(None);
    };
    if reader.inputs[0].node != node.id {
        return Ok(None); // it is added to another product
    }
    let op = FeedForward {
        first: first.clone(),
        second: second.clone(),
        hidden: HIDDEN,
    };
    let mut patch = TypedModelPatch::new("feed-forward");
    let inputs: TVec<OutletId> = [node.inputs[0]]
        .into_iter()
        .chain(reader.inputs[1..].iter().copied())
        .collect();
    let inputs = patch.taps(model, &inputs)?;
    let output = patch.wire_node(&reader.name, Node(op), &inputs)?;
    patch.shunt_outside(model, reader.id.into(), output[0])?;
    Ok(Some(patch))
}
