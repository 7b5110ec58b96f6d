//! A network that runs in every step, with both halves of guidance at once or one after the other.

use std::path::PathBuf;

use tract_core::prelude::Tensor;

use crate::component::Component;
use crate::inputs::{Extents, Inputs, KnownInput, Offer};
use crate::memory::{Alternative, Alternatives};
use crate::runtime::{Feed, LazyNetwork, Needs, Network, Precision, RuntimeError, Workers};

/// Rows of a pass that guidance asks for: with the prompt, and without.
pub(super) const MOST_ROWS: usize = 2;

/// What runs in every step.
pub(crate) struct StepNetwork {
    network: LazyNetwork,
    feed: Feed,
    /// An input whose axes behind the batch no file declares, and these.
    told: Option<(&'static str, Vec<usize>)>,
}

impl StepNetwork {
    /// `offers`: what the network can be told; of these it has to ask for `needed`. `outputs`: those that are wanted; none: all.
    pub(super) fn of(
        network: Network,
        offers: &[Offer],
        needed: &[&str],
        outputs: Vec<String>,
    ) -> Result<Self, RuntimeError> {
        let feed = Feed::of(&network, offers, MOST_ROWS)?;
        if let Some(name) = needed.iter().find(|name| !feed.takes(name)) {
            return Err(network.refusal(format!(
                "has no input `{name}`: it is of a kind that easel does not paint with"
            )));
        }
        Ok(Self {
            network: LazyNetwork::new(network, outputs, Precision::Activations8),
            feed,
            told: None,
        })
    }

    /// The network, for those who decide about its memory.
    pub(crate) fn network(&self) -> &LazyNetwork {
        &self.network
    }

    /// The network, for those who decide about its memory.
    pub(crate) fn network_mut(&mut self) -> &mut LazyNetwork {
        &mut self.network
    }

    /// The most rows that one pass takes: 2, both halves of guidance, unless the file is fixed to 1.
    pub(crate) fn batch(&self) -> usize {
        self.feed.batch().unwrap_or(MOST_ROWS)
    }

    /// Whether the network asks for this.
    pub(crate) fn takes(&self, name: &str) -> bool {
        self.feed.takes(name)
    }

    /// The last axis of an input as the file declares it, of one that says how wide it is.
    pub(crate) fn width(&self, name: &str) -> Option<usize> {
        let mut inputs = self.network.network().inputs().iter();
        let input = inputs.find(|input| input.name == name)?;
        input.dims.last().copied().flatten()
    }

    /// Axis `number` of an input as the file declares it.
    pub(crate) fn declared(&self, name: &str, number: usize) -> Option<usize> {
        let mut inputs = self.network.network().inputs().iter();
        let input = inputs.find(|input| input.name == name)?;
        input.dims.get(number).copied().flatten()
    }

    /// From now on the network is not told these, and computes as if it had no such inputs.
    pub(crate) fn leave_out(&mut self, absent: Vec<String>) {
        let mut wanted = self.network.wanted().clone();
        wanted.absent = absent;
        self.network.want(wanted);
    }

    /// From now on these are constants of the network; those that it does not ask for do not matter.
    pub(crate) fn settle(&mut self, known: Vec<KnownInput>) {
        let mut wanted = self.network.wanted().clone();
        wanted.known = known;
        wanted.known.retain(|known| self.feed.takes(known.name));
        self.network.want(wanted);
    }

    /// From now on the input of this name has these axes behind that of the batch.
    pub(crate) fn reshape(&mut self, name: &'static str, dims: Vec<usize>) {
        self.told = Some((name, dims));
    }

    /// What the network needs for a picture of this extent and so many rows a pass.
    pub(crate) fn needs(
        &self,
        workers: &Workers,
        extents: &Extents,
        rows: usize,
    ) -> Result<Needs, RuntimeError> {
        self.network.needs(workers, &self.shapes(extents, rows)?)
    }

    /// The ways in which so many rows can be computed: at once, or, with fewer tensors in memory, one after the other. `beside`: bytes
    /// of tensors that are there beside those of the network, of the rows that a pass takes.
    pub(crate) fn alternatives<'a, E: From<RuntimeError> + 'a>(
        &'a self,
        workers: &'a Workers,
        extents: Extents,
        rows: usize,
        beside: impl Fn(usize) -> usize + 'a,
    ) -> Alternatives<'a, E> {
        let fixed = self.feed.batch().is_some();
        let number = move |number: usize| {
            let (rows, passes) = match number {
                // Rows that do not fit one pass go through it by themselves.
                0 if rows <= self.batch() => (rows, 1),
                0 => (1, rows),
                1 if rows > 1 && !fixed => (1, rows),
                _ => return Ok(None),
            };
            let mut needs = self.needs(workers, &extents, rows)?;
            let beside = beside(rows);
            for bytes in &mut needs.activations {
                *bytes = bytes.saturating_add(beside);
            }
            Ok(Some(Alternative::plain(needs, passes)))
        };
        Alternatives {
            component: self.network.component().clone(),
            number: Box::new(number),
        }
    }

    /// Loads the network for a picture of this extent and so many rows a pass, unless it is there already.
    pub(crate) fn prepare(
        &mut self,
        workers: &Workers,
        extents: &Extents,
        rows: usize,
    ) -> Result<(), RuntimeError> {
        let shapes = self.shapes(extents, rows)?;
        self.network.load(workers, &shapes).map(drop)
    }

    /// Of the network's inputs.
    fn shapes(&self, extents: &Extents, rows: usize) -> Result<Vec<Vec<usize>>, RuntimeError> {
        let network = self.network.network();
        if let Some(fixed) = self.fixed_tokens()
            && fixed != extents.tokens
        {
            return Err(network.error(format!(
                "is fixed to {fixed} tokens of text, this prompt has {}: shorten it, or export the network with dynamic axes",
                extents.tokens
            )));
        }
        let mut shapes = self.feed.shapes(network, extents, rows)?;
        if let Some((name, dims)) = &self.told {
            let inputs = network.inputs().iter().zip(&mut shapes);
            let named = inputs.filter(|(input, _)| input.name == *name);
            named.for_each(|(_, shape)| shape.extend(dims));
        }
        Ok(shapes)
    }

    /// The axes of an input but the batch's.
    pub(crate) fn dims(&self, extents: &Extents, name: &str) -> Vec<usize> {
        let names = self.network.network().inputs().iter();
        let shapes = self.shapes(extents, 1).unwrap_or_default();
        let mut found = names.zip(shapes).filter(|(input, _)| input.name == name);
        found
            .next()
            .map_or_else(Vec::new, |(_, shape)| shape[1..].to_vec())
    }

    /// Bytes of these inputs for a row.
    pub(crate) fn bytes_of(&self, extents: &Extents, names: &[&str]) -> usize {
        let inputs = self.network.network().inputs().iter();
        let shapes = self.shapes(extents, 1).unwrap_or_default();
        let asked = inputs
            .zip(shapes)
            .filter(|(input, _)| names.contains(&&*input.name));
        let sizes = asked.map(|(_, shape)| shape.iter().product::<usize>() * size_of::<f32>());
        sizes.sum()
    }

    /// Tokens of text that the file is fixed to.
    pub(crate) fn fixed_tokens(&self) -> Option<usize> {
        self.feed.fixed_tokens(self.network.network())
    }

    /// All outputs for `rows`, of which there are 1 to [`batch`](Self::batch); with the rows that the outputs have. Each is told what is
    /// `common` to them, too.
    pub(super) fn run(
        &mut self,
        workers: &Workers,
        extents: &Extents,
        common: &[&Inputs],
        rows: Vec<Inputs>,
    ) -> Result<(Vec<Tensor>, usize), RuntimeError> {
        debug_assert!((1..=self.batch()).contains(&rows.len()));
        let shapes = self.shapes(extents, rows.len())?;
        let batch = self.feed.batch().unwrap_or(rows.len());
        let wanted = self.network.wanted();
        let network = self.network.network();
        let inputs = self.feed.tensors(network, &shapes, wanted, common, rows)?;
        let plan = self.network.load(workers, &shapes)?;
        Ok((plan.run_all(workers, inputs)?, batch))
    }
}

/// A file beside which, or in which, a network lies.
pub(super) fn model_file(path: &std::path::Path, component: &Component) -> PathBuf {
    let inside = path.join("model.onnx");
    match inside.exists() {
        true => inside,
        false => path.join(component.name()).join("model.onnx"),
    }
}
