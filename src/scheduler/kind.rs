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
    /// `unipc`: the unified predictor-corrector, Zhao et al. 2023.
    Unipc,
    /// `deis`: the exponential integrator of Zhang and Chen 2023.
    Deis,
    /// `heun`: Heun's method, Karras et al. 2022; two evaluations a step.
    Heun,
    /// `lms`: the linear multistep method of k-diffusion.
    Lms,
    /// `kdpm2`: DPM-Solver-2 as Karras et al. 2022 have it; two evaluations a step.
    Kdpm2,
    /// `kdpm2-ancestral`: the same with fresh noise after every step.
    Kdpm2Ancestral,
    /// `dpmpp-2s`: singlestep DPM-Solver++, Lu et al. 2022.
    Dpmpp2s,
    /// `dpmpp-2s-sde`: singlestep SDE-DPM-Solver++.
    Dpmpp2sSde,
    /// `tcd`: trajectory consistency distillation, Zheng et al. 2024.
    Tcd,
    /// `pndm`: pseudo numerical methods, Liu et al. 2022 (PLMS).
    Pndm,
    /// `flow-euler`: Euler's method for flow-matching models (SD3, Flux).
    FlowEuler,
}

impl SchedulerKind {
    /// Every kind, in the order in which help texts list them.
    pub const ALL: [Self; 19] = [
        Self::Ddpm,
        Self::Ddim,
        Self::Euler,
        Self::EulerAncestral,
        Self::Dpmpp2m,
        Self::Dpmpp2mKarras,
        Self::DpmppSde,
        Self::Lcm,
        Self::Unipc,
        Self::Deis,
        Self::Heun,
        Self::Lms,
        Self::Kdpm2,
        Self::Kdpm2Ancestral,
        Self::Dpmpp2s,
        Self::Dpmpp2sSde,
        Self::Tcd,
        Self::Pndm,
        Self::FlowEuler,
    ];

    /// Whether it can sample flow-matching models, and whether noise-predicting ones.
    pub(super) const fn samples_flows(self) -> (bool, bool) {
        match self {
            Self::FlowEuler => (true, false),
            Self::Dpmpp2m
            | Self::DpmppSde
            | Self::Unipc
            | Self::Deis
            | Self::Dpmpp2s
            | Self::Dpmpp2sSde => (true, true),
            _ => (false, true),
        }
    }

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
            Self::Unipc => "unipc",
            Self::Deis => "deis",
            Self::Heun => "heun",
            Self::Lms => "lms",
            Self::Kdpm2 => "kdpm2",
            Self::Kdpm2Ancestral => "kdpm2-ancestral",
            Self::Dpmpp2s => "dpmpp-2s",
            Self::Dpmpp2sSde => "dpmpp-2s-sde",
            Self::Tcd => "tcd",
            Self::Pndm => "pndm",
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
