//! In which order nodes run, where it matters to memory.
//!
//! tract's usual order computes what every block takes of the text before the first block, and keeps it. Its plain one, from the
//! output back, first goes down a residual block's long way, while the block's input waits for the short one:
//!
//! ```text
//! x ─┬─► EaselGroupNorm ─► … ─► + ─►
//!    └─► EaselConv2d ───────────┘
//! ```
//!
//! Here the short way comes first, unless that makes more of x than there was. Then x is the norm's alone, which works in place.

use tract_core::internal::*;

use super::ops::{Conv2d, GroupNorm, Node};

/// The model, ready to run.
pub(super) fn plan(model: TypedModel) -> TractResult<Arc<TypedRunnableModel>> {
    let before = short_ways(&model)?;
    let outputs = model.output_outlets()?.to_vec();
    let options = RunOptions {
        skip_order_opt_ram: true,
        ..RunOptions::default()
    };
    #[expect(
        deprecated,
        reason = "the only way to say that a node waits for another that it does not read"
    )]
    let plan = SimplePlan::build_with_outputs_and_deps(model, &outputs, &before, &options)?;
    Ok(Arc::new(plan))
}

/// Norms, each with a convolution that is to run before it.
fn short_ways(model: &TypedModel) -> TractResult<Vec<(usize, usize)>> {
    let mut found = Vec::new();
    for norm in &model.nodes {
        if !norm.op_is::<Node<GroupNorm>>() {
            continue;
        }
        let x = norm.inputs[0];
        let volume =
            |outlet| -> TractResult<TDim> { Ok(model.outlet_fact(outlet)?.shape.volume()) };
        for reader in model.outlet_successors(x) {
            let reader = model.node(reader.node);
            // It reads nothing else: nothing that waits for the norm.
            if reader.op_is::<Node<Conv2d>>()
                && reader.inputs[..] == [x]
                && volume(reader.id.into())?.to_usize()? <= volume(x)?.to_usize()?
            {
                found.push((norm.id, reader.id));
            }
        }
    }
    Ok(found)
}
