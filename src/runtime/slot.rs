//! A network, and what it was last loaded as.

use easel_kernels::heap::{self, Style};

use super::{Needs, Network, Plan, Precision, Prepared, Residency, RuntimeError, Workers};

/// A network that is loaded when it is needed, and stays until it is needed otherwise or told to leave.
pub(crate) struct Slot {
    network: Network,
    /// The output that is wanted; `None`: the first.
    output: Option<&'static str>,
    precision: Precision,
    residency: Residency,
    style: Style,
    loaded: Option<(Vec<Vec<usize>>, Plan)>,
}

impl Slot {
    pub(crate) fn new(
        network: Network,
        output: Option<&'static str>,
        precision: Precision,
    ) -> Self {
        Self {
            network,
            output,
            precision,
            residency: Residency::Whole,
            style: Style::Fast,
            loaded: None,
        }
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// What the network needs for inputs of these shapes.
    pub(crate) fn needs(
        &self,
        workers: &Workers,
        shapes: &[Vec<usize>],
    ) -> Result<Needs, RuntimeError> {
        self.prepare(workers, shapes)?.needs()
    }

    fn prepare(&self, workers: &Workers, shapes: &[Vec<usize>]) -> Result<Prepared, RuntimeError> {
        self.network
            .prepare(workers, shapes, self.output, self.precision)
    }

    /// The network for inputs of these shapes, loaded if it is not.
    pub(crate) fn load(
        &mut self,
        workers: &Workers,
        shapes: &[Vec<usize>],
    ) -> Result<&Plan, RuntimeError> {
        if self
            .loaded
            .as_ref()
            .is_none_or(|(built, _)| built != shapes)
        {
            self.unload(); // never two at once in memory
            heap::set(self.style);
            let plan = self.prepare(workers, shapes)?;
            let plan = plan.load(workers, self.residency, self.style)?;
            self.loaded = Some((shapes.to_vec(), plan));
        }
        heap::set(self.style);
        Ok(&self.loaded.as_ref().expect("loaded above").1)
    }

    /// What the user should know about how it was loaded, once.
    pub(crate) fn take_warning(&mut self) -> Option<String> {
        self.loaded.as_mut()?.1.warning.take()
    }

    /// How its weights are to be there, and how it takes memory for its tensors.
    pub(crate) fn set_memory(&mut self, residency: Residency, style: Style) {
        if (self.residency, self.style) != (residency, style) {
            (self.residency, self.style) = (residency, style);
            self.unload();
        }
    }

    /// Lets go of the network until it is needed again.
    pub(crate) fn unload(&mut self) {
        if self.loaded.take().is_some() {
            heap::trim();
        }
    }
}
