//! One evaluation of the denoiser: named inputs in, prediction out.

use std::path::Path;

use tract_core::prelude::Tensor;
use tract_linalg::multithread::Executor;

use crate::latents::Latents;
use crate::runtime::{InputSpec, Network, Plan, RuntimeError};
use crate::text_encoder::{TextEmbedding, values};

/// What a denoiser can be told; others ask for more (SDXL: pooled text, time ids), and are refused by name.
const KNOWN_INPUTS: [&str; 3] = ["sample", "timestep", "encoder_hidden_states"];

pub(crate) struct Denoiser {
    network: Network,
    plan: Option<(Vec<Vec<usize>>, Plan)>,
}

impl Denoiser {
    pub(crate) fn open(model_dir: &Path) -> Result<Self, RuntimeError> {
        let network = Network::open(model_dir, "unet")?;
        for input in network.inputs() {
            if !KNOWN_INPUTS.contains(&input.name.as_str()) {
                return Err(network.error(format!(
                    "asks for input `{}`, easel can feed {KNOWN_INPUTS:?}: this is not a Stable Diffusion 1.x or 2.x type model",
                    input.name
                )));
            }
        }
        Ok(Self {
            network,
            plan: None,
        })
    }

    /// Builds the network for these sizes, unless it stands already.
    pub(crate) fn prepare(
        &mut self,
        latents: &Latents,
        text: &TextEmbedding,
    ) -> Result<(), RuntimeError> {
        let shape = |input: &InputSpec| match input.name.as_str() {
            "sample" => latents.shape().to_vec(),
            "timestep" => vec![1; input.dims.len().min(1)],
            _ => vec![1, text.tokens, text.width],
        };
        let shapes: Vec<_> = self.network.inputs().iter().map(shape).collect();
        if self.plan.as_ref().is_none_or(|(built, _)| *built != shapes) {
            self.plan = None; // never two at once in memory
            let plan = self.network.build(&shapes, None)?;
            self.plan = Some((shapes, plan));
        }
        Ok(())
    }

    /// The model's prediction for noisy `latents` at `timestep`, f32 `[1, c, h, w]`.
    pub(crate) fn predict(
        &mut self,
        executor: &Executor,
        latents: &Latents,
        timestep: f32,
        text: &TextEmbedding,
    ) -> Result<Vec<f32>, RuntimeError> {
        self.prepare(latents, text)?;
        let (shapes, plan) = self.plan.as_ref().expect("prepare() builds it");
        let tensor = |(input, shape): (&InputSpec, &Vec<usize>)| {
            let data: &[f32] = match input.name.as_str() {
                "sample" => &latents.data,
                "timestep" => &[timestep],
                _ => &text.data,
            };
            let tensor = Tensor::from_shape(shape, data)?;
            Ok(tensor.cast_to_dt(input.element)?.into_owned())
        };
        let inputs = self.network.inputs().iter().zip(shapes).map(tensor);
        let inputs = inputs
            .collect::<Result<_, tract_core::prelude::TractError>>()
            .map_err(|error| self.network.error(error.to_string()))?;
        let output = plan.run(executor, inputs)?;
        if output.shape() != latents.shape() {
            return Err(self.network.error(format!(
                "prediction is {:?}, the latents are {:?}",
                output.shape(),
                latents.shape()
            )));
        }
        Ok(values(&output).to_vec())
    }
}
