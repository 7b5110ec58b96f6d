//! `EaselLayerNorm ─► Mul ─► Add` becomes one node, where factors and summands are a row for each picture.
//!
//! A diffusion transformer tells its norms the time so (adaLN, arXiv 2212.09748). A norm that several such pairs read is computed for
//! each: that is quicker than to write it once and read it again.

use tract_core::internal::*;
use tract_core::ops::math::{Add, Mul};

use super::super::ops::{LayerNorm, Node, images};
use super::{beside, is_binary};

/// The norm that ends in this node, if it is the sum of one.
pub(super) fn modulated(model: &TypedModel, node: usize) -> TractResult<Option<TypedModelPatch>> {
    let sum = model.node(node);
    if !is_binary::<Add>(sum) {
        return Ok(None);
    }
    for &scaled in &sum.inputs {
        let product = model.node(scaled.node);
        let read_once =
            product.outputs[0].successors.len() == 1 && !model.outputs.contains(&scaled);
        let Some(shift) = beside(sum, product).filter(|_| is_binary::<Mul>(product) && read_once)
        else {
            continue;
        };
        for &normalized in &product.inputs {
            let norm = model.node(normalized.node);
            let (Some(Node(op)), Some(scale)) =
                (norm.op_as::<Node<LayerNorm>>(), beside(product, norm))
            else {
                continue;
            };
            let mut shapes = Vec::new();
            for outlet in [norm.id.into(), sum.id.into(), scale, shift] {
                shapes.push(&model.outlet_fact(outlet)?.shape);
            }
            let (Some(x), Some(factors)) = (shapes[0].as_concrete(), shapes[2].as_concrete())
            else {
                continue;
            };
            let fits =
                shapes[0] == shapes[1] && shapes[2] == shapes[3] && images(x, factors).is_some();
            if !fits || !is_all(model, norm.inputs[1], 1.0)? || !is_all(model, norm.inputs[2], 0.0)?
            {
                continue;
            }
            let mut patch = TypedModelPatch::new("modulation");
            let inputs = patch.taps(model, &[norm.inputs[0], scale, shift])?;
            let output = patch.wire_node(&sum.name, Node(op.clone()), &inputs)?;
            patch.shunt_outside(model, sum.id.into(), output[0])?;
            return Ok(Some(patch));
        }
    }
    Ok(None)
}

/// Whether it is a constant of this number alone.
fn is_all(model: &TypedModel, outlet: OutletId, number: f32) -> TractResult<bool> {
    let Some(tensor) = &model.outlet_fact(outlet)?.konst else {
        return Ok(false);
    };
    let values = tensor.try_as_plain_ram()?;
    Ok(values
        .as_slice::<f32>()?
        .iter()
        .all(|value| *value == number))
}
