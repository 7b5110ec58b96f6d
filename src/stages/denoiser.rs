//! One evaluation of the denoiser: named inputs in, predictions out.

use std::path::Path;

use super::control::{self, Place};
use super::step_network::StepNetwork;
use crate::component::Component;
use crate::inputs::{Extents, Inputs, Offer};
use crate::runtime::{Network, RuntimeError, Workers, values};
use crate::watched::CancelToken;

pub(crate) struct Denoiser {
    step: StepNetwork,
    /// What a ControlNet may add to, and under which names.
    residuals: Vec<(Place, String)>,
}

impl Denoiser {
    /// `offers`: what the network can be told, beside what [ControlNets](control) give; of these it has to ask for `needed`. `levels`: how
    /// often it halves latents, and one more.
    pub(crate) fn open(
        model_dir: &Path,
        component: &Component,
        offers: &[Offer],
        needed: &[&str],
        levels: usize,
        cancel: &CancelToken,
    ) -> Result<Self, RuntimeError> {
        let network = Network::open(model_dir, component, cancel)?;
        let names = network.inputs().iter().map(|input| input.name.as_str());
        let residuals = control::places(names);
        let mut offers = offers.to_vec();
        offers
            .extend(control::offers(&residuals, levels).map_err(|problem| network.error(problem))?);
        Ok(Self {
            step: StepNetwork::of(network, &offers, needed, Vec::new())?,
            residuals,
        })
    }

    /// The network, for those who plan and feed it.
    pub(crate) fn step(&self) -> &StepNetwork {
        &self.step
    }

    /// The network, for those who plan and feed it.
    pub(crate) fn step_mut(&mut self) -> &mut StepNetwork {
        &mut self.step
    }

    /// What a ControlNet may add to, and under which names.
    pub(crate) fn residuals(&self) -> &[(Place, String)] {
        &self.residuals
    }

    /// What the model predicts, as `read` makes it of the output for a row and its shape, for each of `rows`, of which there are 1 to
    /// [`batch`](StepNetwork::batch). Each is told what is `common` to them, too.
    pub(crate) fn predict(
        &mut self,
        workers: &Workers,
        extents: &Extents,
        common: &[&Inputs],
        rows: Vec<Inputs>,
        read: impl Fn(&[f32], &[usize]) -> Option<Vec<f32>>,
    ) -> Result<Vec<Vec<f32>>, RuntimeError> {
        let count = rows.len();
        let (outputs, batch) = self.step.run(workers, extents, common, rows)?;
        let output = &outputs[0];
        let wrong = || {
            let latents = [1].into_iter().chain(extents.latents);
            self.step.network().network().error(format!(
                "prediction is {:?}, the latents are {:?}",
                output.shape(),
                latents.collect::<Vec<_>>()
            ))
        };
        let (first, shape) = output.shape().split_first().ok_or_else(wrong)?;
        let length: usize = shape.iter().product();
        if *first != batch || length == 0 {
            return Err(wrong());
        }
        let each = values(output).chunks(length).take(count);
        each.map(|row| read(row, shape).ok_or_else(wrong)).collect()
    }
}

#[cfg(test)]
mod tests;
