//! Multistep SDE-DPM-Solver++: the solver of `dpm_solver.rs` on the reverse-time SDE, so that each
//! step decays twice as far and adds fresh noise (Lu et al. 2022, section 5).

use super::dpm_solver::{Stride, Weights, exp};

/// The weights of SDE-DPM-Solver++.
pub(super) fn sde(stride: &Stride) -> Weights {
    let Stride { from, to, h, .. } = *stride;
    let decay = 1.0 - exp(-2.0 * h);
    let base = Weights {
        sample: to.sigma / from.sigma * exp(-h),
        d0: to.alpha * decay,
        noise: to.sigma * decay.sqrt(),
        ..Weights::default()
    };
    match (stride.order, stride.heun) {
        (1, _) => base,
        (2, false) => Weights {
            d1: 0.5 * base.d0,
            ..base
        },
        (2, true) => Weights {
            d1: to.alpha * (decay / (-2.0 * h) + 1.0),
            ..base
        },
        _ => Weights {
            d1: to.alpha * (decay / (-2.0 * h) + 1.0),
            d2: to.alpha * ((decay - 2.0 * h) / ((2.0 * h) * (2.0 * h)) - 0.5),
            ..base
        },
    }
}
