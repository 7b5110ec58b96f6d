//! Large values that are put side by side, such as the two streams of joint attention: by an operator of ours, which copies on all threads.

use tract_core::internal::*;
use tract_core::ops::array::TypedConcat;

use crate::runtime::ops::{Concat, Node};

/// Numbers below which tract's own operator is as good.
const LEAST: usize = 1 << 15;

pub(super) fn run(model: &mut TypedModel) -> TractResult<()> {
    for node in 0..model.nodes.len() {
        if let Some(patch) = joined(model, node)? {
            patch.apply(model)?;
        }
    }
    Ok(())
}

fn joined(model: &TypedModel, node: usize) -> TractResult<Option<TypedModelPatch>> {
    let node = model.node(node);
    let Some(concat) = node.op_as::<TypedConcat>() else {
        return Ok(None);
    };
    let fact = &node.outputs[0].fact;
    let Some(shape) = fact.shape.as_concrete() else {
        return Ok(None);
    };
    if fact.datum_type != f32::datum_type() || shape.iter().product::<usize>() < LEAST {
        return Ok(None);
    }
    let behind = shape.len() - 1 - concat.axis;
    let operator = Node(Concat { behind });
    TypedModelPatch::replace_single_op(model, node, &node.inputs, operator).map(Some)
}
