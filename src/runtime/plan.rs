//! A network at work.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tract_core::prelude::{Tensor, TypedRunnableModel};

use super::ops::scratch::ScratchCache;
use super::{RuntimeError, Workers, chain, unforeseen};
use crate::contained::catch;

/// A network built for concrete shapes.
pub(crate) struct Plan {
    pub(super) path: PathBuf,
    pub(super) model: Arc<TypedRunnableModel>,
    /// By a node's number: see [`Footprint`](super::footprint::Footprint).
    pub(super) takes: Vec<usize>,
    pub(super) scratch: Mutex<ScratchCache>,
}

impl Plan {
    /// Runs the network: one tensor per input in declared order in, the first output as f32 out.
    pub(crate) fn run(
        &self,
        workers: &Workers,
        inputs: Vec<Tensor>,
    ) -> Result<Tensor, RuntimeError> {
        let mut outputs = self.run_all(workers, inputs)?;
        Ok(outputs.swap_remove(0))
    }

    /// [`run`](Self::run) with all outputs, of which there is one at least.
    pub(crate) fn run_all(
        &self,
        workers: &Workers,
        inputs: Vec<Tensor>,
    ) -> Result<Vec<Tensor>, RuntimeError> {
        let outputs = catch(|| workers.run(&self.model, &self.takes, &self.scratch, inputs));
        let outputs = outputs.map_err(|panic| unforeseen(&panic));
        let outputs = outputs.and_then(|outputs| outputs.map_err(|error| chain(&error)));
        let outputs = outputs.map_err(|problem| RuntimeError::new(&self.path, problem))?;
        if outputs.iter().all(is_finite) {
            return Ok(outputs);
        }
        Err(RuntimeError::new(
            &self.path,
            "gives values that are no numbers: the model or its quantization is damaged; copy or export it again",
        ))
    }

    /// Frees the scratch memory that is kept from one run to the next.
    pub(crate) fn free_scratch(&self) {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        scratch.clear();
    }
}

/// Whether a tensor of floats has neither NaN nor infinities. In pieces, so that a vector at once is looked at.
fn is_finite(tensor: &Tensor) -> bool {
    let plain = tensor.try_as_plain_ram();
    let values = plain
        .as_ref()
        .ok()
        .and_then(|plain| plain.as_slice::<f32>().ok());
    let mut pieces = values.unwrap_or_default().chunks(1 << 12);
    pieces.all(|piece| {
        piece
            .iter()
            .fold(true, |all, value| all & value.is_finite())
    })
}
