//! A network, and what it was last loaded as.

use easel_kernels::heap;

use super::{Needs, Network, Plan, Precision, Prepared, Residency, RuntimeError, Workers};

/// A network that is loaded when it is needed, and stays until it is needed otherwise or told to leave.
pub(crate) struct Slot {
    network: Network,
    /// The output that is wanted; `None`: the first.
    output: Option<&'static str>,
    precision: Precision,
    residency: Residency,
    limit: Option<usize>,
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
            limit: None,
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
            let plan = self.prepare(workers, shapes)?;
            let plan = plan.load(workers, self.residency, self.limit)?;
            self.loaded = Some((shapes.to_vec(), plan));
        }
        Ok(&self.loaded.as_ref().expect("loaded above").1)
    }

    /// What the user should know about how it was loaded, once.
    pub(crate) fn take_warning(&mut self) -> Option<String> {
        self.loaded.as_mut()?.1.warning.take()
    }

    /// How its weights are to be there, and how many bytes the process may take while it runs.
    pub(crate) fn set_memory(&mut self, residency: Residency, limit: Option<usize>) {
        if (self.residency, self.limit) != (residency, limit) {
            (self.residency, self.limit) = (residency, limit);
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
