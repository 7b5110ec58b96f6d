//! One evaluation of the denoiser: named inputs in, predictions out.

use std::path::Path;

use tract_core::prelude::Tensor;

use crate::component::Component;
use crate::inputs::{Extents, Inputs, Offer};
use crate::memory::{Alternative, Alternatives};
use crate::runtime::{Feed, LazyNetwork, Needs, Network, Precision, RuntimeError, Workers, values};
use crate::watched::CancelToken;

/// Rows of a pass that guidance asks for: with the prompt, and without.
const MOST_ROWS: usize = 2;

pub(crate) struct Denoiser {
    network: LazyNetwork,
    feed: Feed,
}

impl Denoiser {
    /// `offers`: what the network can be told; of these it has to ask for `needed`.
    pub(crate) fn open(
        model_dir: &Path,
        component: &Component,
        offers: &[Offer],
        needed: &[&str],
        cancel: &CancelToken,
    ) -> Result<Self, RuntimeError> {
        let network = Network::open(model_dir, component, cancel)?;
        let feed = Feed::of(&network, offers, MOST_ROWS)?;
        if let Some(name) = needed.iter().find(|name| !feed.takes(name)) {
            return Err(network.refusal(format!(
                "has no input `{name}`: it is of a kind that easel does not paint with"
            )));
        }
        Ok(Self {
            network: LazyNetwork::new(network, Vec::new(), Precision::Activations8),
            feed,
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

    /// What the network needs for a picture of this extent and so many rows a pass.
    pub(crate) fn needs(
        &self,
        workers: &Workers,
        extents: &Extents,
        rows: usize,
    ) -> Result<Needs, RuntimeError> {
        self.network.needs(workers, &self.shapes(extents, rows)?)
    }

    /// How so many rows can be computed: at once, or, with fewer tensors in memory, one after the other.
    pub(crate) fn alternatives<'a, E: From<RuntimeError> + 'a>(
        &'a self,
        workers: &'a Workers,
        extents: Extents,
        rows: usize,
    ) -> Alternatives<'a, E> {
        let fixed = self.feed.batch().is_some();
        let number = move |number: usize| {
            let (rows, passes) = match number {
                0 => (rows, 1),
                1 if rows > 1 && !fixed => (1, rows),
                _ => return Ok(None),
            };
            let needs = self.needs(workers, &extents, rows)?;
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
        self.feed.shapes(network, extents, rows)
    }

    /// Tokens of text that the file is fixed to.
    pub(crate) fn fixed_tokens(&self) -> Option<usize> {
        self.feed.fixed_tokens(self.network.network())
    }

    /// What the model predicts, f32 `[1, c, h, w]`, for each of `rows`, of which there are 1 to [`batch`](Self::batch). Each is told
    /// what is `common` to them, too.
    pub(crate) fn predict(
        &mut self,
        workers: &Workers,
        extents: &Extents,
        common: &Inputs,
        rows: &[&Inputs],
    ) -> Result<Vec<Vec<f32>>, RuntimeError> {
        debug_assert!((1..=self.batch()).contains(&rows.len()));
        let shapes = self.shapes(extents, rows.len())?;
        let network = self.network.network();
        let inputs: Vec<Tensor> = self.feed.tensors(network, &shapes, common, rows)?;
        let batch = self.feed.batch().unwrap_or(rows.len());
        let output = self.network.load(workers, &shapes)?.run(workers, inputs)?;
        let [channels, height, width] = extents.latents;
        if output.shape() != [batch, channels, height, width] {
            return Err(self.network.network().error(format!(
                "prediction is {:?}, the latents are {:?}",
                output.shape(),
                [1, channels, height, width]
            )));
        }
        let each = values(&output).chunks(channels * height * width);
        Ok(each.take(rows.len()).map(<[f32]>::to_vec).collect())
    }
}

#[cfg(test)]
mod tests;
