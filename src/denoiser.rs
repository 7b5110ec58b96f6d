//! One evaluation of the denoiser: named inputs in, prediction out.

use std::path::Path;

use tract_core::prelude::Tensor;

use crate::latents::Latents;
use crate::model_dir::{LCM, ModelDefaults, channels_problem};
use crate::runtime::{InputSpec, Needs, Network, Plan, Precision, RuntimeError, Slot, Workers};
use crate::text_encoder::{TextEmbedding, TextShape, values};

/// Noisy latents.
const SAMPLE: &str = "sample";
const TIMESTEP: &str = "timestep";
/// The text, token by token.
const TEXT: &str = "encoder_hidden_states";
/// The text as a whole: Stable Diffusion XL's.
const POOLED: &str = "text_embeds";
/// Stable Diffusion XL's: height and width of the picture as it was found, where it was cut (top, left), height and width that
/// it is to have, in pixels (*micro-conditioning*, arXiv 2307.01952, section 2.2).
const SIZES: &str = "time_ids";

/// What every denoiser asks for.
const NEEDED: [&str; 3] = [SAMPLE, TIMESTEP, TEXT];
/// What a denoiser can be told; those that ask for more are refused by its name.
const KNOWN: [&str; 5] = [SAMPLE, TIMESTEP, TEXT, POOLED, SIZES];

/// Tokens, or features of a token.
const LARGEST_AXIS: usize = 1 << 16;

pub(crate) struct Denoiser {
    slot: Slot,
    /// What the file is fixed to.
    batch: Option<usize>,
    /// Pixels per latent, each way.
    factor: usize,
    /// Features of the text as a whole, if the network asks for it.
    pooled: Option<usize>,
}

impl Denoiser {
    /// Of the model's latents.
    pub(crate) fn open(model_dir: &Path, model: &ModelDefaults) -> Result<Self, RuntimeError> {
        let network = Network::open(model_dir, "unet")?;
        for input in network.inputs() {
            if input.name == "timestep_cond" {
                return Err(network.refusal(LCM));
            }
            if !KNOWN.contains(&input.name.as_str()) {
                return Err(network.error(format!(
                    "asks for input `{}`, easel can feed {KNOWN:?}: this is not a Stable Diffusion type model",
                    input.name
                )));
            }
        }
        for name in NEEDED {
            if network.inputs().iter().all(|input| input.name != name) {
                return Err(network.error(format!(
                    "has no input `{name}`: this is not a Stable Diffusion type model"
                )));
            }
        }
        let batched = network.inputs().iter().filter(|i| i.name != TIMESTEP);
        let declared = batched.filter_map(|input| input.dims.first().copied().flatten());
        let batch = declared.max();
        if batch.is_some_and(|batch| batch > 2) {
            return Err(network.error(format!(
                "is fixed to batches of {}, easel feeds 1, or 2 for guidance: export it with a dynamic batch axis",
                batch.unwrap_or_default()
            )));
        }
        let channels = network.inputs().iter().find(|input| input.name == SAMPLE);
        let channels = channels.and_then(|input| *input.dims.get(1)?);
        if let Some(found) = channels.filter(|found| *found != model.latent_channels) {
            return Err(network.refusal(channels_problem(found, model.latent_channels)));
        }
        let named = |name: &str| network.inputs().iter().find(|input| input.name == name);
        let pooled = match named(POOLED).map(|input| &input.dims[..]) {
            None => None,
            Some(&[_, Some(width)]) if width <= LARGEST_AXIS => Some(width),
            Some(_) => {
                return Err(network.error(format!(
                    "does not declare a usable width of input `{POOLED}`: export it with that axis fixed"
                )));
            }
        };
        Ok(Self {
            slot: Slot::new(network, None, Precision::Usual),
            batch,
            factor: model.vae_factor as usize,
            pooled,
        })
    }

    /// Features of the text as a whole, if the network asks for it.
    pub(crate) fn pooled(&self) -> Option<usize> {
        self.pooled
    }

    /// An error if the network asks for what no text encoder of ours gives.
    pub(crate) fn refuse_pooled(&self) -> Result<(), RuntimeError> {
        if self.pooled.is_none() {
            return Ok(());
        }
        Err(self.slot.network().refusal(format!(
            "asks for input `{POOLED}`: this is Stable Diffusion XL, whose two text encoders easel does not have yet; `easel bench` and `easel plan --component unet` take the network alone"
        )))
    }

    /// What Stable Diffusion XL is told of a picture of its own: it is whole, and as large as it is to be.
    fn sizes(&self, latents: &Latents) -> [f32; 6] {
        let [height, width] = [latents.height, latents.width].map(|n| (n * self.factor) as f32);
        [height, width, 0.0, 0.0, height, width]
    }

    /// The most embeddings that one pass takes: 2, both halves of guidance, unless the file is fixed to 1.
    pub(crate) fn batch(&self) -> usize {
        self.batch.unwrap_or(2)
    }

    /// The embedding that the network declares to take: tokens (`None`: any number) and width.
    pub(crate) fn text_shape(&self) -> Result<(Option<usize>, usize), RuntimeError> {
        let mut inputs = self.slot.network().inputs().iter();
        let text = inputs.find(|input| input.name == TEXT);
        match text.map(|input| &input.dims[..]) {
            // What a text encoder may sensibly give; a damaged file may declare anything.
            Some(&[_, tokens, Some(width)])
                if width <= LARGEST_AXIS && tokens.is_none_or(|n| n <= LARGEST_AXIS) =>
            {
                Ok((tokens, width))
            }
            _ => Err(self.slot.network().error(format!(
                "does not declare a usable width of input `{TEXT}`: export it with that axis fixed"
            ))),
        }
    }

    pub(crate) fn network(&self) -> &Network {
        self.slot.network()
    }

    /// The network, for those who decide about its memory.
    pub(crate) fn slot(&mut self) -> &mut Slot {
        &mut self.slot
    }

    /// What the network needs for these sizes and so many embeddings a pass.
    pub(crate) fn needs(
        &self,
        workers: &Workers,
        latents: &Latents,
        text: TextShape,
        texts: usize,
    ) -> Result<Needs, RuntimeError> {
        let shapes = self.shapes(latents, text, texts)?;
        self.slot.needs(workers, &shapes)
    }

    /// Loads the network for these sizes and so many embeddings a pass, unless it is there already.
    pub(crate) fn prepare(
        &mut self,
        workers: &Workers,
        latents: &Latents,
        text: TextShape,
        texts: usize,
    ) -> Result<&Plan, RuntimeError> {
        let shapes = self.shapes(latents, text, texts)?;
        self.slot.load(workers, &shapes)
    }

    /// Of the network's inputs.
    fn shapes(
        &self,
        latents: &Latents,
        text: TextShape,
        texts: usize,
    ) -> Result<Vec<Vec<usize>>, RuntimeError> {
        let network = self.slot.network();
        let mut inputs = network.inputs().iter();
        let declared = inputs.find(|input| input.name == TEXT);
        if let Some(tokens) = declared.and_then(|input| *input.dims.get(1)?)
            && tokens != text.tokens
        {
            return Err(network.error(format!(
                "is fixed to {tokens} tokens of text, this prompt has {}: shorten it, or export the network with dynamic axes",
                text.tokens
            )));
        }
        let batch = self.batch.unwrap_or(texts);
        let shape = |input: &InputSpec| match input.name.as_str() {
            SAMPLE => {
                let [_, channels, height, width] = latents.shape();
                vec![batch, channels, height, width]
            }
            // A scalar, or one for each of the batch; one by itself is broadcast.
            TIMESTEP => input.dims.iter().map(|n| n.unwrap_or(1)).collect(),
            POOLED => vec![batch, self.pooled.unwrap_or_default()],
            SIZES => vec![batch, self.sizes(latents).len()],
            _ => vec![batch, text.tokens, text.width],
        };
        Ok(network.inputs().iter().map(shape).collect())
    }

    /// What the model predicts for noisy `latents` at `timestep`: f32 `[1, c, h, w]` for each of `texts`, which are 1 to
    /// [`batch`](Self::batch) and equally long. A fixed batch that they do not fill repeats the last.
    pub(crate) fn predict(
        &mut self,
        workers: &Workers,
        latents: &Latents,
        timestep: f32,
        texts: &[&TextEmbedding],
    ) -> Result<Vec<Vec<f32>>, RuntimeError> {
        debug_assert!((1..=self.batch()).contains(&texts.len()));
        let shapes = self.shapes(latents, texts[0].shape(), texts.len())?;
        let batch = self.batch.unwrap_or(texts.len());
        let network = self.slot.network();
        // A batch that is not full repeats the last.
        let each = |of: fn(&TextEmbedding) -> &[f32]| -> Vec<f32> {
            let texts = (0..batch).map(|n| texts[n.min(texts.len() - 1)]);
            texts.flat_map(of).copied().collect()
        };
        let tensor = |(input, shape): (&InputSpec, &Vec<usize>)| {
            let data = match input.name.as_str() {
                SAMPLE => latents.data.repeat(batch),
                TIMESTEP => vec![timestep; shape.iter().product()],
                POOLED => each(|text| &text.pooled),
                SIZES => self.sizes(latents).repeat(batch),
                _ => each(|text| &text.data),
            };
            let tensor = Tensor::from_shape(shape, &data)?;
            Ok(tensor.cast_to_dt(input.element)?.into_owned())
        };
        let inputs = network.inputs().iter().zip(&shapes).map(tensor);
        let inputs = inputs
            .collect::<Result<_, tract_core::prelude::TractError>>()
            .map_err(|error| network.error(error.to_string()))?;
        let output = self.slot.load(workers, &shapes)?.run(workers, inputs)?;
        let [_, channels, height, width] = latents.shape();
        if output.shape() != [batch, channels, height, width] {
            return Err(self.slot.network().error(format!(
                "prediction is {:?}, the latents are {:?}",
                output.shape(),
                latents.shape()
            )));
        }
        let each = values(&output).chunks(latents.data.len());
        Ok(each.take(texts.len()).map(<[f32]>::to_vec).collect())
    }
}

#[cfg(test)]
mod tests;
