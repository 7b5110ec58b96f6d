//! Latents become the picture.

use std::path::Path;

use tract_core::prelude::Tensor;

use crate::latents::Latents;
use crate::picture::Picture;
use crate::runtime::{Network, Plan, Precision, RuntimeError, Workers};
use crate::text_encoder::values;

pub(crate) struct Autoencoder {
    network: Network,
    plan: Option<(Vec<usize>, Plan)>,
    factor: usize,
}

impl Autoencoder {
    pub(crate) fn open(model_dir: &Path, factor: u32) -> Result<Self, RuntimeError> {
        let network = Network::open(model_dir, "vae_decoder")?;
        if network.inputs().len() != 1 {
            return Err(network.error("takes more than latents: easel cannot feed it"));
        }
        Ok(Self {
            network,
            plan: None,
            factor: factor as usize,
        })
    }

    pub(crate) fn prepare(
        &mut self,
        workers: &Workers,
        latents: &Latents,
    ) -> Result<(), RuntimeError> {
        let shape = latents.shape().to_vec();
        if self.plan.as_ref().is_none_or(|(built, _)| *built != shape) {
            self.plan = None;
            let plan =
                self.network
                    .build(workers, std::slice::from_ref(&shape), None, Precision::Fine)?;
            self.plan = Some((shape, plan));
        }
        Ok(())
    }

    /// Decodes latents in the decoder's own scale.
    pub(crate) fn decode(
        &mut self,
        workers: &Workers,
        latents: &Latents,
    ) -> Result<Picture, RuntimeError> {
        self.prepare(workers, latents)?;
        let (_, plan) = self.plan.as_ref().expect("prepare() builds it");
        let input = Tensor::from_shape(&latents.shape(), &latents.data)
            .and_then(|t| Ok(t.cast_to_dt(self.network.inputs()[0].element)?.into_owned()))
            .map_err(|error| self.network.error(error.to_string()))?;
        let output = plan.run(workers, vec![input])?;
        let (height, width) = (latents.height * self.factor, latents.width * self.factor);
        if output.shape() != [1, 3, height, width] {
            return Err(self.network.error(format!(
                "picture is {:?}, expected [1, 3, {height}, {width}]: its config.json is of another decoder",
                output.shape()
            )));
        }
        Ok(Picture::from_planes(values(&output), height, width))
    }
}
