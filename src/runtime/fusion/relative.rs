//! Masks that only depend on how far a key is from its query become a row for each head.
//!
//! ```text
//! q, k, v, C [1, h, n, m] ─► EaselAttention             ─►   q, k, v, R [h, n + m − 1] ─► EaselAttention
//! C, mask ─► Add ─► EaselAttention                      ─►   mask, R ─► EaselAttention
//! ```
//!
//! C is a constant, such as T5's bias for a length is: all its diagonals are each of one number. Of 512 tokens and 64 heads it would
//! take 64 MiB, and as much again for each text that has a mask of its own.

use std::collections::HashMap;

use tract_core::internal::*;
use tract_core::ops::math::Add;

use super::super::ops::{Attention, Node};
use super::is_binary;

/// Rewrites all attention that has such a mask.
pub(super) fn run(model: &mut TypedModel) -> TractResult<()> {
    // All layers may have the same.
    let mut known: HashMap<OutletId, Option<OutletId>> = HashMap::new();
    for node in 0..model.nodes.len() {
        let Some(Parts { constant, rest }) = parts(model, model.node(node))? else {
            continue;
        };
        let rows = match known.get(&constant) {
            Some(rows) => *rows,
            None => {
                let tensor = model.outlet_fact(constant)?.konst.clone();
                let rows = tensor.map(|tensor| by_distance(&tensor)).transpose()?;
                let name = format!("{}/by_distance", model.node(constant.node).name);
                let rows = rows.flatten().map(|rows| model.add_const(name, rows));
                let rows = rows.transpose()?;
                known.insert(constant, rows);
                rows
            }
        };
        if let Some(rows) = rows {
            patched(model, model.node(node), rest, rows)?.apply(model)?;
        }
    }
    Ok(())
}

/// What an attention's mask is the sum of, if a constant is a part of it: that, and the rest.
struct Parts {
    constant: OutletId,
    rest: Option<OutletId>,
}

fn parts(model: &TypedModel, node: &TypedNode) -> TractResult<Option<Parts>> {
    let Some(Node(attention)) = node.op_as::<Node<Attention>>() else {
        return Ok(None);
    };
    if !attention.mask || attention.relative || attention.guarded {
        return Ok(None);
    }
    let facts = model.node_input_facts(node.id)?;
    let shapes = facts.iter().map(|fact| fact.shape.as_concrete());
    let Some(shapes) = shapes.collect::<Option<Vec<&[usize]>>>() else {
        return Ok(None);
    };
    let scores = attention.scores(&shapes)?;
    // Not one row for all queries.
    let is_square = |outlet: OutletId| -> TractResult<bool> {
        let fact = model.outlet_fact(outlet)?;
        let square =
            matches!(fact.shape.as_concrete(), Some(&[1, _, q, k]) if [q, k] == scores && q > 1);
        Ok(square && fact.konst.is_some())
    };
    let mask = node.inputs[3];
    if is_square(mask)? {
        return Ok(Some(Parts {
            constant: mask,
            rest: None,
        }));
    }
    let sum = model.node(mask.node);
    if let (true, &[a, b]) = (is_binary::<Add>(sum), &sum.inputs[..]) {
        for (constant, rest) in [(a, b), (b, a)] {
            if is_square(constant)? {
                let rest = Some(rest);
                return Ok(Some(Parts { constant, rest }));
            }
        }
    }
    Ok(None)
}

/// A number for each head and distance, if those are all there are in a constant `[1, heads, queries, keys]`.
fn by_distance(constant: &Tensor) -> TractResult<Option<Tensor>> {
    let &[_, heads, queries, keys] = constant.shape() else {
        return Ok(None);
    };
    let values = constant.try_as_plain_ram()?.as_slice::<f32>()?;
    let distances = queries + keys - 1;
    let mut rows: Vec<f32> = Vec::with_capacity(heads * distances);
    for head in values.chunks_exact(queries * keys) {
        // The first column from below, then the rest of the first row.
        let column = head.iter().step_by(keys).rev();
        rows.extend(column.chain(&head[1..keys]));
        let row = &rows[rows.len() - distances..];
        let alike = |(query, found): (usize, &[f32])| {
            let wanted = &row[queries - 1 - query..][..keys];
            found
                .iter()
                .zip(wanted)
                .all(|(a, b)| a.to_bits() == b.to_bits())
        };
        if !head.chunks_exact(keys).enumerate().all(alike) {
            return Ok(None);
        }
    }
    Ok(Some(Tensor::from_shape(&[heads, distances], &rows)?))
}

/// The attention with its mask in parts.
fn patched(
    model: &TypedModel,
    node: &TypedNode,
    rest: Option<OutletId>,
    rows: OutletId,
) -> TractResult<TypedModelPatch> {
    let Node(attention) = node.op_as::<Node<Attention>>().context("no attention")?;
    let mut attention = attention.clone();
    attention.mask = rest.is_some();
    attention.relative = true;
    let mut inputs: TVec<OutletId> = node.inputs[..3].into();
    inputs.extend(rest);
    inputs.push(rows);
    inputs.extend(node.inputs[4..].iter().copied());
    let mut patch = TypedModelPatch::new("relative");
    let inputs = patch.taps(model, &inputs)?;
    let output = patch.wire_node(&node.name, Node(attention), &inputs)?;
    patch.shunt_outside(model, node.id.into(), output[0])?;
    Ok(patch)
}
