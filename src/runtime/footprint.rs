//! What a network's tensors take while it runs, known from its shapes before it does.
//!
//! tract frees a value when its last reader has it, and a reader of ours may free it before it writes. What is freed stays in
//! the heap ([`easel_kernels::heap`]), with gaps; before a node that would not fit beside them they are given back.

use std::collections::HashMap;

use tract_core::internal::*;

use super::ops::{self, Scratch};

/// Bytes alive while each node runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Footprint {
    /// In order of execution.
    pub(super) bytes: Vec<usize>,
    /// By the node's number: bytes that it takes beyond what is there before it.
    pub(super) takes: Vec<usize>,
}

/// Of a model whose weights with the numbers for which `int8` is true are int8.
pub(super) fn of(
    model: &TypedRunnableModel,
    int8: &dyn Fn(usize) -> bool,
) -> TractResult<Footprint> {
    let (graph, order) = (model.model(), model.order_without_consts());
    let mut last_read: HashMap<OutletId, usize> = HashMap::new();
    for (step, node) in order.iter().enumerate() {
        let inputs = graph.nodes[*node].inputs.iter();
        last_read.extend(inputs.map(|input| (*input, step)));
    }
    let is_output = |outlet: &OutletId| model.model().outputs.contains(outlet);
    let is_const =
        |outlet: &OutletId| graph.nodes[outlet.node].op_is::<tract_core::ops::konst::Const>();
    let mut alive = 0;
    let mut leaving: Vec<usize> = vec![0; order.len()];
    let mut bytes = Vec::with_capacity(order.len());
    let mut takes = vec![0; graph.nodes.len()];
    for (step, number) in order.iter().enumerate() {
        let node = &graph.nodes[*number];
        let mut outputs = 0;
        for (slot, output) in node.outputs.iter().enumerate() {
            let outlet = OutletId::new(*number, slot);
            let size = size(&output.fact)?;
            outputs = size.saturating_add(outputs);
            match last_read.get(&outlet) {
                Some(end) if !is_output(&outlet) => {
                    leaving[*end] = size.saturating_add(leaving[*end]);
                }
                None if !is_output(&outlet) => leaving[step] = size.saturating_add(leaving[step]),
                _ => {}
            }
        }
        let Scratch {
            kept: keeps,
            own,
            replaces_input,
        } = ops::scratch(graph, node, int8)?;
        let first = node.inputs.first();
        let replaced = match first {
            Some(first)
                if replaces_input
                    && last_read[first] == step
                    && !is_output(first)
                    && !is_const(first)
                    && node.inputs.iter().filter(|input| *input == first).count() == 1 =>
            {
                size(graph.outlet_fact(*first)?)?
            }
            _ => 0,
        };
        // Before the input has left there is no output.
        takes[*number] = outputs.saturating_sub(replaced).saturating_add(own + keeps);
        // What others keep is given back where it is in the way.
        bytes.push(takes[*number].saturating_add(alive));
        alive = outputs.saturating_add(alive);
        alive = alive.saturating_sub(leaving[step]);
    }
    Ok(Footprint { bytes, takes })
}

fn size(fact: &TypedFact) -> TractResult<usize> {
    let shape = fact
        .shape
        .as_concrete()
        .context("a shape that is not known")?;
    // Saturating: in 32 bits a tensor of a large picture has no size.
    let bytes = fact.datum_type.size_of();
    Ok(shape
        .iter()
        .fold(bytes, |all, side| all.saturating_mul(*side)))
}
