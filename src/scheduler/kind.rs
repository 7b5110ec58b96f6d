use std::fmt;
use std::str::FromStr;

use super::error::SchedulerError;
use crate::text::excerpt;

/// A sampling method, by the name that `--scheduler` takes. `docs/numerics.md` says which diffusers
/// class and options each one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchedulerKind {
    /// `ddpm`: ancestral sampling of Ho et al. 2020.
    Ddpm,
    /// `ddim`: Song et al. 2020, eta 0 (deterministic).
    Ddim,
    /// `euler`: Euler's method on the probability-flow ODE, Karras et al. 2022.
    Euler,
    /// `euler-ancestral`: Euler with fresh noise after every step.
    EulerAncestral,
    /// `dpmpp-2m`: multistep DPM-Solver++, Lu et al. 2022.
    Dpmpp2m,
    /// `dpmpp-2m-karras`: the same on the noise levels of Karras et al. 2022.
    Dpmpp2mKarras,
    /// `dpmpp-sde`: multistep SDE-DPM-Solver++.
    DpmppSde,
    /// `lcm`: latent consistency models, Luo et al. 2023.
    Lcm,
    /// `flow-euler`: Euler's method for flow-matching models (SD3, Flux).
    FlowEuler,
}

impl SchedulerKind {
    /// Every kind, in the order in which help texts list them.
    pub const ALL: [Self; 9] = [
        Self::Ddpm,
        Self::Ddim,
        Self::Euler,
        Self::EulerAncestral,
        Self::Dpmpp2m,
        Self::Dpmpp2mKarras,
        Self::DpmppSde,
        Self::Lcm,
        Self::FlowEuler,
    ];

    /// The name on the command line and in MQTT payloads.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ddpm => "ddpm",
            Self::Ddim => "ddim",
            Self::Euler => "euler",
            Self::EulerAncestral => "euler-ancestral",
            Self::Dpmpp2m => "dpmpp-2m",
            Self::Dpmpp2mKarras => "dpmpp-2m-karras",
            Self::DpmppSde => "dpmpp-sde",
            Self::Lcm => "lcm",
            Self::FlowEuler => "flow-euler",
        }
    }
}

impl fmt::Display for SchedulerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SchedulerKind {
    type Err = SchedulerError;

    fn from_str(name: &str) -> Result<Self, SchedulerError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| SchedulerError::UnknownName(excerpt(name)))
    }
}
