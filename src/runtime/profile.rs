//! Where the time of a pass goes, by kind of node.

use std::collections::HashMap;
use std::time::Duration;

use tract_core::internal::*;

/// All nodes of one kind in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// The operator, with what tells its costs apart: `EaselConv2d 3x3 int8`.
    pub name: String,
    /// How many there are.
    pub nodes: usize,
    /// What they take together in a pass.
    pub time: Duration,
    /// Bytes that they write in a pass.
    pub written: u64,
    /// Multiply-accumulates of the products among them.
    pub products: u64,
}

/// Times of nodes, added up over passes.
#[derive(Debug, Default)]
pub(super) struct Profile {
    kinds: HashMap<String, Kind>,
    passes: u32,
}

impl Profile {
    /// A pass begins.
    pub(super) fn begin(&mut self) {
        self.passes += 1;
    }

    /// A node has run.
    pub(super) fn add(
        &mut self,
        model: &Arc<TypedRunnableModel>,
        node: &TypedNode,
        time: Duration,
        outputs: &[TValue],
    ) -> TractResult<()> {
        let name = node.op().name().into_owned();
        let kind = self.kinds.entry(name.clone()).or_insert(Kind {
            name,
            nodes: 0,
            time: Duration::ZERO,
            written: 0,
            products: 0,
        });
        kind.time += time;
        if self.passes == 1 {
            let bytes = |output: &TValue| (output.len() * output.datum_type().size_of()) as u64;
            kind.nodes += 1;
            kind.written += outputs.iter().map(bytes).sum::<u64>();
            kind.products += products(model, node)?;
        }
        Ok(())
    }

    /// The kinds, those that take longest first, with the time of one pass.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.kinds.values().cloned().collect();
        for kind in &mut kinds {
            kind.time /= self.passes.max(1);
        }
        kinds.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.name.cmp(&b.name)));
        kinds
    }
}

/// Multiply-accumulates of a node, by tract's own reckoning.
fn products(model: &Arc<TypedRunnableModel>, node: &TypedNode) -> TractResult<u64> {
    let facts = model.model().node_input_facts(node.id)?;
    let costs = node.op.cost(&facts)?;
    let multiply = costs
        .iter()
        .filter(|(cost, _)| matches!(cost, Cost::FMA(_)));
    multiply.map(|(_, count)| Ok(count.to_i64()? as u64)).sum()
}
