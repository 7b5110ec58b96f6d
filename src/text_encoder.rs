//! Token ids become the embedding that the denoiser attends to.

use std::path::Path;

use tract_core::prelude::{Datum as _, Tensor};

use crate::runtime::{Network, Plan, Precision, RuntimeError, Workers};
use crate::tokenizer::TokenIds;

/// A prompt as the denoiser sees it: f32 `[1, tokens, width]`.
#[derive(Debug, Clone, PartialEq)]
pub struct TextEmbedding {
    /// Token positions: the text encoder's length times the number of chunks.
    pub tokens: usize,
    /// Features of one token.
    pub width: usize,
    /// `tokens · width` values.
    pub data: Vec<f32>,
}

pub(crate) struct TextEncoder {
    network: Network,
    plan: Option<(usize, Plan)>,
}

impl TextEncoder {
    pub(crate) fn open(model_dir: &Path) -> Result<Self, RuntimeError> {
        let network = Network::open(model_dir, "text_encoder")?;
        match network.inputs() {
            [ids] if ids.name == "input_ids" => Ok(Self {
                network,
                plan: None,
            }),
            inputs => {
                let names: Vec<_> = inputs.iter().map(|i| i.name.as_str()).collect();
                Err(network.error(format!(
                    "inputs are {names:?}: easel feeds a text encoder `input_ids` alone"
                )))
            }
        }
    }

    /// Encodes each chunk by itself and joins them along the token axis; a position's weight scales its
    /// embedding, after which the chunk's mean is restored, so that weighing one word up
    /// weighs the others down a little instead of brightening everything.
    pub(crate) fn encode(
        &mut self,
        workers: &Workers,
        prompt: &TokenIds,
    ) -> Result<TextEmbedding, RuntimeError> {
        let mut joined = TextEmbedding {
            tokens: 0,
            width: 0,
            data: Vec::new(),
        };
        for chunk in prompt.chunks() {
            let length = chunk.ids.len();
            if self.plan.as_ref().is_none_or(|(built, _)| *built != length) {
                let output = "last_hidden_state";
                let output = self.network.has_output(output)?.then_some(output);
                self.plan = Some((
                    length,
                    self.network
                        .build(workers, &[vec![1, length]], output, Precision::Usual)?,
                ));
            }
            let (_, plan) = self.plan.as_ref().expect("built above");
            let ids: Vec<i64> = chunk.ids.iter().map(|id| i64::from(*id)).collect();
            let ids = Tensor::from_shape(&[1, length], &ids)
                .and_then(|ids| {
                    Ok(ids
                        .cast_to_dt(self.network.inputs()[0].element)?
                        .into_owned())
                })
                .map_err(|error| self.network.error(error.to_string()))?;
            let output = plan.run(workers, vec![ids])?;
            let &[1, tokens, width] = output.shape() else {
                return Err(self.network.error(format!(
                    "output is {:?}: expected [1, {length}, width]",
                    output.shape()
                )));
            };
            let mut data = values(&output).to_vec();
            weigh(&mut data, &chunk.weights, width);
            joined.tokens += tokens;
            joined.width = width;
            joined.data.extend(data);
        }
        Ok(joined)
    }
}

/// The tensor's values, which are f32: [`Plan::run`] sees to it.
pub(crate) fn values(tensor: &Tensor) -> &[f32] {
    debug_assert_eq!(tensor.datum_type(), f32::datum_type());
    tensor
        .try_as_plain_ram()
        .and_then(|plain| plain.as_slice::<f32>())
        .expect("Plan::run() gives plain f32 tensors")
}

fn weigh(data: &mut [f32], weights: &[f32], width: usize) {
    if weights.iter().all(|weight| *weight == 1.0) {
        return;
    }
    let mean = |data: &[f32]| data.iter().map(|v| f64::from(*v)).sum::<f64>();
    let before = mean(data);
    for (position, weight) in data.chunks_mut(width).zip(weights) {
        position.iter_mut().for_each(|v| *v *= weight);
    }
    let ratio = before / mean(data);
    if ratio.is_finite() {
        data.iter_mut().for_each(|v| *v *= ratio as f32);
    }
}
