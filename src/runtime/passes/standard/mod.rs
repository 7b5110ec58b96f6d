//! From networks as tools write them to networks as the passes know them: each node behind what it reads, no functions, and no
//! operators but the standard's. Looks at structure alone: the bytes of weights stay where they are.

mod contrib;
mod functions;
mod names;
mod order;
mod ranks;

use tract_onnx::pb::ModelProto;

pub(in crate::runtime) use contrib::check as check_operators;
pub(in crate::runtime) use names::name_nodes;
pub(super) use order::sorted;

/// Writes the network in the standard's operators, in order; or says in one line what it has that cannot be written so.
pub(in crate::runtime) fn standardize(model: &mut ModelProto) -> Result<(), String> {
    functions::inline(model)?;
    let version = super::graph::opset(model);
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    order::sort(graph)?;
    contrib::decompose(graph, version)
}

#[cfg(test)]
mod tests;
