//! Token ids become the embedding that the denoiser attends to.

use std::path::{Path, PathBuf};

use tract_core::prelude::Tensor;

use crate::component::Component;
use crate::config::Config;
use crate::files::{SETTINGS, read_text};
use crate::inputs::{Dim, Extents, Inputs, Offer};
use crate::runtime::{
    Feed, LazyNetwork, Needs, Network, OutputSpec, Precision, RuntimeError, Workers, values,
};
use crate::tokenizer::{Chunk, TokenIds};
use crate::watched::CancelToken;

/// A prompt as a text encoder sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextEmbedding {
    /// Token positions: the text encoder's length times the number of chunks.
    pub(crate) tokens: usize,
    /// Features of one token.
    pub(crate) width: usize,
    /// `[tokens, width]`.
    pub(crate) data: Vec<f32>,
    /// The text as a whole, of its first chunk; empty unless the family asks for it.
    pub(crate) pooled: Vec<f32>,
    /// Positions of the first chunk before its padding.
    pub(crate) length: usize,
}

impl TextEmbedding {
    /// 1 for each token of the first chunk that is no padding, 0 for the others.
    pub(crate) fn mask(&self) -> Vec<f32> {
        let mut mask = vec![0.0; self.tokens];
        mask[..self.length].fill(1.0);
        mask
    }

    /// Zeros of the same size: no token counts.
    pub(crate) fn zeroes_alike(&self) -> Self {
        Self {
            length: 0,
            data: vec![0.0; self.data.len()],
            pooled: vec![0.0; self.pooled.len()],
            ..*self
        }
    }
}

/// Which of the states between its layers a text encoder gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// The last, behind the final norm.
    Last,
    /// The last but one, as it is.
    Penultimate,
}

const IDS: &str = "input_ids";
/// 1 for each token that counts. diffusers lets padding count too, unless the encoder's configuration says `use_attention_mask`, or the
/// family masks it.
const MASK: &str = "attention_mask";
/// 0, 1, 2 …
const POSITIONS: &str = "position_ids";
/// What a text encoder can be told.
pub(crate) static OFFERS: [Offer; 3] = [
    Offer::each(IDS, &[Dim::Tokens]),
    Offer::each(MASK, &[Dim::Tokens]),
    Offer::each(POSITIONS, &[Dim::Tokens]),
];

/// What the outputs are called by diffusers and optimum.
const LAST: &str = "last_hidden_state";
const STATE: &str = "hidden_states.";

pub(crate) struct TextEncoder {
    network: LazyNetwork,
    feed: Feed,
    /// What its ids are called in the file.
    ids: String,
    /// Whether padding does not count.
    masks_padding: bool,
    hidden: Hidden,
    pooled: bool,
    /// Most texts in a pass.
    most: usize,
}

/// What is taken of a text encoder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) hidden: Hidden,
    /// The output that has the text as a whole, if that is wanted.
    pub(crate) pooled: Option<&'static str>,
    /// Whether padding does not count, whatever the encoder's configuration says.
    pub(crate) masked: bool,
    /// Most texts in a pass.
    pub(crate) most: usize,
}

impl TextEncoder {
    pub(crate) fn open(
        model_dir: &Path,
        component: &Component,
        taken: Taken,
        cancel: &CancelToken,
    ) -> Result<Self, RuntimeError> {
        let Taken { hidden, pooled, .. } = taken;
        let network = Network::open(model_dir, component, cancel)?;
        let mut offers = OFFERS.to_vec();
        let mut ids = IDS.to_owned();
        if let [only] = network.inputs()
            && offers.iter().all(|offer| offer.name != only.name)
        {
            // Whatever it is called: there is nothing else to tell.
            ids.clone_from(&only.name);
            offers[0].name = ids.clone().into();
        }
        let feed = Feed::of(&network, &offers, taken.most)?;
        let mut outputs = vec![hidden_output(&network, hidden, 0)?];
        if let Some(pooled) = pooled {
            let mut found = network.outputs().iter();
            if !found.any(|output| output.name == pooled) {
                return Err(network.error(format!(
                    "has no output `{pooled}`, which the denoiser asks for: import its checkpoint (`easel import`)"
                )));
            }
            outputs.push(pooled.to_owned());
        }
        Ok(Self {
            network: LazyNetwork::new(network, outputs, Precision::Activations8),
            feed,
            ids,
            masks_padding: taken.masked || masks_padding(model_dir, component),
            hidden,
            pooled: pooled.is_some(),
            most: taken.most,
        })
    }

    /// The network, for those who decide about its memory.
    pub(crate) fn network(&self) -> &LazyNetwork {
        &self.network
    }

    /// The network, for those who decide about its memory.
    pub(crate) fn network_mut(&mut self) -> &mut LazyNetwork {
        &mut self.network
    }

    /// From now on the last `layers` before those that are taken in any case are left out (*CLIP skip*).
    pub(crate) fn skip(&mut self, layers: usize) -> Result<(), RuntimeError> {
        let mut wanted = self.network.wanted().clone();
        match self.hidden {
            Hidden::Last => wanted.skip_layers = layers,
            Hidden::Penultimate => {
                wanted.outputs[0] = hidden_output(self.network.network(), self.hidden, layers)?;
            }
        }
        self.network.want(wanted);
        Ok(())
    }

    /// Where its embeddings may be kept, and all that they depend on beside the ids.
    pub(crate) fn keeps(&self, workers: &Workers) -> Option<(PathBuf, String)> {
        let (wanted, masks) = (self.network.wanted(), self.masks_padding);
        let wanted = format!("text {wanted:?} {masks}");
        self.network.network().keeps(workers, &wanted)
    }

    /// Of so many texts, those that go through the network together.
    pub(crate) fn together(&self, texts: usize) -> usize {
        match self.feed.batch() {
            Some(_) => 1,
            None => texts.min(self.most),
        }
    }

    /// What the network needs for chunks of so many tokens, of as many texts as go through it together.
    pub(crate) fn needs(
        &self,
        workers: &Workers,
        length: usize,
        texts: usize,
    ) -> Result<Needs, RuntimeError> {
        let shapes = self.shapes(length, self.together(texts))?;
        self.network.needs(workers, &shapes)
    }

    /// Of the network's inputs, for chunks of so many tokens.
    fn shapes(&self, length: usize, rows: usize) -> Result<Vec<Vec<usize>>, RuntimeError> {
        let network = self.network.network();
        if let Some(fixed) = self.feed.fixed_tokens(network)
            && fixed != length
        {
            return Err(network.error(format!(
                "is fixed to {fixed} tokens, this text has {length}: ask for as many (`--text-tokens`), or export the network with dynamic axes"
            )));
        }
        let extents = Extents {
            latents: [0; 3],
            beside: 0,
            factor: 0,
            tokens: length,
        };
        self.feed.shapes(network, &extents, rows)
    }

    /// Encodes each chunk by itself and joins them along the token axis; a position's weight scales its
    /// embedding, after which the chunk's mean is restored, so that weighing one word up
    /// weighs the others down a little instead of brightening everything.
    ///
    /// Texts of one chunk each go through the network together, where it takes that: weights that are read while it runs are read once.
    pub(crate) fn encode(
        &mut self,
        workers: &Workers,
        prompts: &[&TokenIds],
    ) -> Result<Vec<TextEmbedding>, RuntimeError> {
        let lengths = prompts.iter().map(|prompt| prompt.chunks()[0].ids.len());
        let is_one = |prompt: &&TokenIds| prompt.chunks().len() == 1;
        let alike = lengths.collect::<std::collections::HashSet<_>>().len() == 1;
        let fit = self.together(prompts.len()) == prompts.len();
        if alike && fit && prompts.iter().all(is_one) {
            let chunks: Vec<&Chunk> = prompts.iter().map(|prompt| &prompt.chunks()[0]).collect();
            return self.run(workers, &chunks);
        }
        let mut encoded = Vec::with_capacity(prompts.len());
        for prompt in prompts {
            let mut joined: Option<TextEmbedding> = None;
            for chunk in prompt.chunks() {
                for embedding in self.run(workers, &[chunk])? {
                    match &mut joined {
                        None => joined = Some(embedding),
                        Some(joined) => {
                            joined.tokens += embedding.tokens;
                            joined.data.extend(embedding.data);
                        }
                    }
                }
            }
            encoded.extend(joined);
        }
        Ok(encoded)
    }

    /// Encodes chunks of one length, together.
    fn run(
        &mut self,
        workers: &Workers,
        chunks: &[&Chunk],
    ) -> Result<Vec<TextEmbedding>, RuntimeError> {
        let length = chunks[0].ids.len();
        let rows = chunks.iter().map(|chunk| {
            let ids = chunk.ids.iter().map(|id| *id as f32).collect();
            let mut mask = vec![1.0; length];
            if self.masks_padding {
                mask[chunk.length..].fill(0.0);
            }
            Inputs::default()
                .with(self.ids.clone(), &[length], ids)
                .with(MASK, &[length], mask)
        });
        let rows: Vec<Inputs> = rows.collect();
        let positions = (0..length).map(|position| position as f32);
        let common = Inputs::default().with(POSITIONS, &[length], positions.collect());
        let shapes = self.shapes(length, rows.len())?;
        let wanted = self.network.wanted();
        let network = self.network.network();
        let inputs = self
            .feed
            .tensors(network, &shapes, wanted, &[&common], rows)?;
        let plan = self.network.load(workers, &shapes)?;
        let outputs = plan.run_all(workers, inputs)?;
        self.read(&outputs, chunks)
    }

    /// What the network gives, for each of `chunks`.
    fn read(
        &self,
        outputs: &[Tensor],
        chunks: &[&Chunk],
    ) -> Result<Vec<TextEmbedding>, RuntimeError> {
        let network = self.network.network();
        let (count, length) = (chunks.len(), chunks[0].ids.len());
        let &[rows, tokens, width] = outputs[0].shape() else {
            return Err(network.error(format!(
                "output is {:?}: expected [{count}, {length}, width]",
                outputs[0].shape()
            )));
        };
        let pooled = outputs.get(1).filter(|_| self.pooled);
        let fits = rows == count && tokens == length && tokens * width > 0;
        let pooled_fits =
            pooled.is_none_or(|pooled| matches!(pooled.shape(), [n, _] if *n == count));
        if !fits || !pooled_fits {
            return Err(network.error(format!(
                "its outputs are {:?} and {:?}: expected [{count}, {length}, width] and [{count}, width]",
                outputs[0].shape(),
                pooled.map(|pooled| pooled.shape().to_vec()).unwrap_or_default()
            )));
        }
        let states = values(&outputs[0]).chunks(tokens * width);
        let embeddings = states
            .zip(chunks)
            .enumerate()
            .map(|(row, (states, chunk))| {
                let mut data = states.to_vec();
                weigh(&mut data, &chunk.weights, width);
                let pooled = pooled.map(|pooled| {
                    let width = pooled.shape()[1];
                    values(pooled)[row * width..(row + 1) * width].to_vec()
                });
                TextEmbedding {
                    tokens,
                    width,
                    data,
                    pooled: pooled.unwrap_or_default(),
                    length: chunk.length,
                }
            });
        Ok(embeddings.collect())
    }
}

/// Whether the encoder's configuration says that padding does not count.
fn masks_padding(model_dir: &Path, component: &Component) -> bool {
    let file = model_dir.join(component.name()).join("config.json");
    let text = read_text(&file, SETTINGS).unwrap_or_default();
    let config = Config::parse(&text).unwrap_or_default();
    let masks = config.get("use_attention_mask");
    masks.and_then(|masks| masks.as_bool()).unwrap_or(false)
}

/// The output that has a state for each token.
fn hidden_output(network: &Network, hidden: Hidden, skip: usize) -> Result<String, RuntimeError> {
    let outputs = network.outputs();
    let has_tokens = |output: &&OutputSpec| output.rank.is_none_or(|rank| rank == 3);
    let states = outputs.iter().filter_map(|output| {
        let number = output.name.strip_prefix(STATE)?.parse::<usize>().ok()?;
        Some((number, output))
    });
    let found = match hidden {
        Hidden::Last => {
            let named = outputs.iter().find(|output| output.name == LAST);
            named.or_else(|| outputs.iter().find(has_tokens))
        }
        // Numbered from what the embedding gives to what the last layer does.
        Hidden::Penultimate => {
            let states: Vec<_> = states.collect();
            let last = states.iter().map(|(number, _)| *number).max().unwrap_or(0);
            if skip > 0 && skip >= last {
                return Err(network.refusal(format!(
                    "has {} layers that can be skipped, and {skip} are asked for",
                    last.saturating_sub(1)
                )));
            }
            let mut states = states.into_iter();
            let found = states.find(|(number, _)| number + 1 + skip == last);
            found.map(|(_, output)| output)
        }
    };
    found.map(|output| output.name.clone()).ok_or_else(|| {
        let names: Vec<&str> = outputs.iter().map(|output| &*output.name).collect();
        network.error(format!(
            "outputs are {names:?}: none has {}; import its checkpoint (`easel import`)",
            match hidden {
                Hidden::Last => "the states of the tokens",
                Hidden::Penultimate => "the states before the last layer (`hidden_states.N`)",
            }
        ))
    })
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
