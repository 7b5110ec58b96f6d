//! (in the making)
use tract_core::internal::*;

pub(super) fn of(model: &TypedRunnableModel) -> TractResult<Vec<usize>> {
    let order = model.order_without_consts();
    let graph = model.model();
    let mut last = std::collections::HashMap::new();
    for (step, node) in order.iter().enumerate() {
        for input in &graph.nodes[*node].inputs {
            last.insert(*input, step);
        }
    }
    let size = |fact: &TypedFact| {
        fact.shape.as_concrete().map_or(0, |s| {
            s.iter().product::<usize>() * fact.datum_type.size_of()
        })
    };
    let mut alive = 0;
    let mut all = vec![];
    let mut ends: Vec<Vec<usize>> = vec![vec![]; order.len()];
    for (step, node) in order.iter().enumerate() {
        for (slot, output) in graph.nodes[*node].outputs.iter().enumerate() {
            let bytes = size(&output.fact);
            alive += bytes;
            if let Some(end) = last.get(&OutletId::new(*node, slot)) {
                ends[*end].push(bytes);
            }
        }
        all.push(alive + (8 << 20));
        alive -= ends[step].iter().sum::<usize>();
    }
    Ok(all)
}
