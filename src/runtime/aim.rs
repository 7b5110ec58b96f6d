//! What a network is built for.

use tract_core::prelude::DatumType;

use super::gate;
use super::part::Part;
use crate::inputs::KnownInput;

/// What is wanted of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// By name, in the order in which they are given; none: all outputs.
    pub(crate) outputs: Vec<String>,
    /// Layers before the first of them that are left out.
    pub(crate) skip_layers: usize,
    /// Inputs that the network is not told.
    pub(crate) absent: Vec<String>,
    /// Inputs that are settled when it is built.
    pub(crate) known: Vec<KnownInput>,
}

impl Wanted {
    /// Whether the network is told this input when it runs.
    pub(crate) fn is_told(&self, input: &str) -> bool {
        let is_known = self.known.iter().any(|known| known.name == input);
        !is_known && self.absent.iter().all(|absent| absent != input)
    }
}

/// What a network is built for.
#[derive(Debug)]
pub(super) struct Aim {
    /// Type and shape of each.
    pub(super) inputs: Vec<(DatumType, Vec<usize>)>,
    /// Those that are constants, with their types and shapes.
    pub(super) known: Vec<(KnownInput, DatumType, Vec<usize>)>,
    pub(super) wanted: Wanted,
    pub(super) part: Part,
    /// See [`fusion::run`].
    pub(super) pixels16: Option<usize>,
    pub(super) limits: gate::Limits,
}
