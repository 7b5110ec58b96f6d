//! Token ids become the embedding that the denoiser attends to.

use std::path::Path;

use tract_core::prelude::{Datum as _, Tensor};

use crate::runtime::{Needs, Network, Precision, RuntimeError, Slot, Workers};
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
    /// The text as a whole, for models that ask for it (Stable Diffusion XL); else empty.
    pub pooled: Vec<f32>,
}

/// How large a [`TextEmbedding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TextShape {
    pub(crate) tokens: usize,
    pub(crate) width: usize,
}

impl TextEmbedding {
    pub(crate) fn shape(&self) -> TextShape {
        TextShape {
            tokens: self.tokens,
            width: self.width,
        }
    }
}

pub(crate) struct TextEncoder {
    slot: Slot,
}

impl TextEncoder {
    pub(crate) fn open(model_dir: &Path) -> Result<Self, RuntimeError> {
        let network = Network::open(model_dir, "text_encoder")?;
        match network.inputs() {
            [ids] if ids.name == "input_ids" => {
                let output = "last_hidden_state";
                let output = network.has_output(output)?.then_some(output);
                Ok(Self {
                    slot: Slot::new(network, output, Precision::Usual),
                })
            }
            inputs => {
                let names: Vec<_> = inputs.iter().map(|i| i.name.as_str()).collect();
                Err(network.error(format!(
                    "inputs are {names:?}: easel feeds a text encoder `input_ids` alone"
                )))
            }
        }
    }

    pub(crate) fn network(&self) -> &Network {
        self.slot.network()
    }

    /// The network, for those who decide about its memory.
    pub(crate) fn slot(&mut self) -> &mut Slot {
        &mut self.slot
    }

    /// What the network needs for chunks of so many tokens.
    pub(crate) fn needs(&self, workers: &Workers, length: usize) -> Result<Needs, RuntimeError> {
        self.slot.needs(workers, &shapes(length))
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
            pooled: Vec::new(),
        };
        for chunk in prompt.chunks() {
            let length = chunk.ids.len();
            let element = self.slot.network().inputs()[0].element;
            let ids: Vec<i64> = chunk.ids.iter().map(|id| i64::from(*id)).collect();
            let ids = Tensor::from_shape(&[1, length], &ids)
                .and_then(|ids| Ok(ids.cast_to_dt(element)?.into_owned()))
                .map_err(|error| self.slot.network().error(error.to_string()))?;
            let plan = self.slot.load(workers, &shapes(length))?;
            let output = plan.run(workers, vec![ids])?;
            let &[1, tokens, width] = output.shape() else {
                return Err(self.slot.network().error(format!(
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

/// Of the network's inputs, for a chunk of so many tokens.
fn shapes(length: usize) -> [Vec<usize>; 1] {
    [vec![1, length]]
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
