//! A network, and what it was last loaded as.

use easel_kernels::heap;

use super::{
    Needs, Network, Plan, Precision, Prepared, Residency, RuntimeError, Sections, Wanted, Workers,
};
use crate::component::Component;

/// A network that is loaded when it is needed, and stays until it is needed otherwise or told to leave.
pub(crate) struct LazyNetwork {
    network: Network,
    wanted: Wanted,
    precision: Precision,
    residency: Residency,
    limit: Option<usize>,
    loaded: Option<Loaded>,
    warning: Option<String>,
    /// Whether it was found that the network is not to be cut into sections.
    in_one: bool,
}

struct Loaded {
    /// Of the inputs.
    shapes: Vec<Vec<usize>>,
    /// The network, or the head of its sections.
    plan: Plan,
    sections: Option<Sections>,
}

impl LazyNetwork {
    pub(crate) fn new(network: Network, outputs: Vec<String>, precision: Precision) -> Self {
        Self {
            network,
            wanted: Wanted {
                outputs,
                skip_layers: 0,
                absent: Vec::new(),
                known: Vec::new(),
            },
            precision,
            residency: Residency::Whole,
            limit: None,
            loaded: None,
            warning: None,
            in_one: false,
        }
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    pub(crate) fn component(&self) -> &Component {
        self.network.component()
    }

    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// From now on other outputs are wanted.
    pub(crate) fn want(&mut self, wanted: Wanted) {
        if self.wanted != wanted {
            self.wanted = wanted;
            self.unload();
        }
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
            .prepare(workers, shapes, &self.wanted, self.precision)
    }

    /// The network for inputs of these shapes, loaded if it is not.
    pub(crate) fn load(
        &mut self,
        workers: &Workers,
        shapes: &[Vec<usize>],
    ) -> Result<&Plan, RuntimeError> {
        let is_there = |loaded: &Loaded| loaded.sections.is_none() && loaded.shapes == shapes;
        if !self.loaded.as_ref().is_some_and(is_there) {
            self.unload(); // never two at once in memory
            let plan = self.prepare(workers, shapes)?;
            let (plan, warning) = plan.load(workers, self.residency, self.limit)?;
            self.warning = warning;
            self.loaded = Some(Loaded {
                shapes: shapes.to_vec(),
                plan,
                sections: None,
            });
        }
        Ok(&self.loaded.as_ref().expect("loaded above").plan)
    }

    /// The network in sections for an input of this shape, not loaded; `None` if it is not to be cut.
    pub(crate) fn sections(
        &self,
        workers: &Workers,
        shape: &[usize],
    ) -> Result<Option<Sections>, RuntimeError> {
        if self.in_one {
            return Ok(None);
        }
        self.network.sections(workers, shape, self.precision)
    }

    /// The network in sections, and its head loaded if it is not. `None` if it is not to be cut.
    pub(crate) fn load_sections(
        &mut self,
        workers: &Workers,
        shape: &[usize],
    ) -> Result<Option<(&Plan, &Sections)>, RuntimeError> {
        let is_there = |loaded: &Loaded| loaded.sections.is_some() && loaded.shapes == [shape];
        if !self.loaded.as_ref().is_some_and(is_there) {
            let Some(mut sections) = self.sections(workers, shape)? else {
                self.in_one = true;
                return Ok(None);
            };
            self.unload();
            let head = sections.load_head(workers, self.residency, self.limit)?;
            let (plan, warning) = head;
            self.warning = warning;
            self.loaded = Some(Loaded {
                shapes: vec![shape.to_vec()],
                plan,
                sections: Some(sections),
            });
        }
        let loaded = self.loaded.as_ref().expect("loaded above");
        Ok(loaded
            .sections
            .as_ref()
            .map(|sections| (&loaded.plan, sections)))
    }

    /// How its weights are there.
    pub(crate) fn residency(&self) -> Residency {
        self.residency
    }

    /// Bytes that the process may take while the network runs.
    pub(crate) fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// What the user should know about how it was loaded, once.
    pub(crate) fn take_warning(&mut self) -> Option<String> {
        self.warning.take()
    }

    /// How its weights are to be there, and how many bytes the process may take while it runs.
    pub(crate) fn set_memory(&mut self, residency: Residency, limit: Option<usize>) {
        if (self.residency, self.limit) != (residency, limit) {
            (self.residency, self.limit) = (residency, limit);
            self.unload();
        }
    }

    /// Frees the network until it is needed again.
    pub(crate) fn unload(&mut self) {
        if self.loaded.take().is_some() {
            heap::trim();
        }
    }
}
