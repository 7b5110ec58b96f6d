//! Text to token ids, as diffusers does it.
//!
//! # Which implementation is the reference
//!
//! A diffusers pipeline loads the class that `model_index.json` names, and transformers' two CLIP
//! tokenizers do not agree: on 37 of our 200 golden prompts they give different ids. So easel follows
//! the name:
//!
//! * `CLIPTokenizer`, the slow one, in every published Stable Diffusion 1.x and 2.x. Its text cleaning
//!   is ours (the private module `clip`), checked against transformers 4.57 *without* `ftfy`. With that
//!   package installed transformers repairs mojibake and straightens quotes first; a reference must not
//!   depend on what else is installed.
//! * `CLIPTokenizerFast`, `PreTrainedTokenizerFast`: `tokenizer.json` means what it says; without one,
//!   the pipeline that transformers would build from `vocab.json` and `merges.txt`.
//!
//! They differ thus: the slow one drops control, format and unassigned characters (so a ZWJ emoji
//! family falls apart differently), sets each CJK ideograph apart, and finds contractions and special tokens again after
//! cleaning and lower-casing (`<|ENDOFTEXT|>`); the fast one does none of this. Which characters are
//! unassigned depends on the Unicode version: Python's there, 16 here, so emoji newer than one's Python
//! differ.
//!
//! # Long prompts
//!
//! [`Tokenizer::encode`] does not cut at `max_length` but goes on in another [`Chunk`], up to
//! [`MAX_CHUNKS`]. The text encoder runs on each chunk by itself and concatenates the embeddings along
//! the sequence axis: `[1, chunks · max_length, dim]`. Both halves of guidance need equally many chunks:
//! [`Tokenizer::lengthen`].

mod bounded;
mod clip;
mod error;
mod files;
mod json;
mod pattern;

use std::path::Path;

use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::{Decoder, Model};

use crate::prompt;
pub use error::TokenizerError;

/// The most chunks that [`Tokenizer::encode`] makes of a prompt; the rest is cut with a warning.
pub const MAX_CHUNKS: usize = 8;

/// What one run of the text encoder sees; both vectors have the tokenizer's `max_length` entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// BOS, up to `max_length - 2` tokens, EOS, padding.
    pub ids: Vec<u32>,
    /// Per position, finite and positive; 1 on BOS, EOS and padding. [`crate::prompt`] says how they act.
    pub weights: Vec<f32>,
    /// Positions before the padding.
    pub length: usize,
}

impl Chunk {
    /// Whether some position is weighted, so that the embeddings need touching at all.
    #[must_use]
    pub fn is_weighted(&self) -> bool {
        self.weights.iter().any(|weight| *weight != 1.0)
    }
}

/// A prompt as the text encoder takes it: at least one chunk.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenIds {
    chunks: Vec<Chunk>,
    warning: Option<String>,
}

impl TokenIds {
    /// The chunks in reading order, 1 to [`MAX_CHUNKS`].
    #[must_use]
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Present when the prompt was cut: one line that says after which words.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

/// Reads a `tokenizer.json`, for fuzzers.
pub(crate) fn parse(bytes: &[u8]) -> Result<tokenizers::Tokenizer, ()> {
    json::parse(bytes).map(|parsed| parsed.inner).map_err(drop)
}

/// Where text becomes words: the two behaviours of the module documentation.
enum Dialect {
    Slow(Box<clip::SlowClip>),
    Fast,
}

/// Ids of the tokens that frame a chunk.
#[derive(Clone, Copy)]
struct Frame {
    bos: u32,
    eos: u32,
    pad: u32,
}

/// A CLIP-type tokenizer, loaded from a diffusers model directory.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    dialect: Dialect,
    frame: Frame,
    max_length: usize,
}

impl Tokenizer {
    /// Loads `tokenizer/tokenizer.json`, else `tokenizer/vocab.json` + `tokenizer/merges.txt`.
    ///
    /// `model_index.json` names the class (without it, `tokenizer_config.json`); `tokenizer_config.json`
    /// and `special_tokens_map.json` give the special tokens, with CLIP's as default. The maximal length
    /// is `model_max_length`, or `max_position_embeddings` of `text_encoder/config.json` when that is
    /// smaller or the former is absent or absurd, or 77.
    ///
    /// # Errors
    /// A file that is missing, unreadable or malformed, a special token outside the vocabulary, a class
    /// or option that is not supported: each names the file.
    pub fn load(model_dir: &Path) -> Result<Self, TokenizerError> {
        Self::load_from(model_dir, "tokenizer", "text_encoder")
    }

    /// [`load`](Self::load) of a model with several: from the folder `tokenizer`, for the text encoder in the folder `encoder`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_from(
        model_dir: &Path,
        tokenizer: &str,
        encoder: &str,
    ) -> Result<Self, TokenizerError> {
        files::load(model_dir, tokenizer, encoder)
    }

    /// Ids per chunk, BOS and EOS included; at least 3.
    #[must_use]
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Reads the weights in `prompt` ([`prompt::parse`]) and encodes it in chunks.
    ///
    /// Each weighted run is tokenized by itself. A prompt without weighting that fits into one chunk has
    /// the ids of [`Tokenizer::encode_plain`].
    ///
    /// # Errors
    /// Only if the `tokenizers` crate refuses the text.
    pub fn encode(&self, prompt: &str) -> Result<TokenIds, TokenizerError> {
        let (mut ids, mut weights) = (Vec::new(), Vec::new());
        for (text, weight) in prompt::parse(prompt) {
            ids.extend(self.ids(&text)?);
            weights.resize(ids.len(), weight);
        }
        let room = self.max_length - 2;
        let limit = MAX_CHUNKS * room;
        let warning = (ids.len() > limit).then(|| {
            format!(
                "the prompt has {} tokens and is cut to {limit}, after \"{}\"",
                ids.len(),
                self.last_words(&ids[..limit])
            )
        });
        ids.truncate(limit);
        weights.truncate(limit);
        let mut chunks: Vec<Chunk> = ids
            .chunks(room)
            .zip(weights.chunks(room))
            .map(|(ids, weights)| self.chunk(ids, weights))
            .collect();
        if chunks.is_empty() {
            chunks.push(self.chunk(&[], &[]));
        }
        Ok(TokenIds { chunks, warning })
    }

    /// `max_length` ids as `CLIPTokenizer(text, padding="max_length", truncation=True)` gives them: no
    /// weights are read, and what does not fit is cut.
    ///
    /// # Errors
    /// Only if the `tokenizers` crate refuses the text.
    pub fn encode_plain(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = self.ids(text)?;
        ids.truncate(self.max_length - 2);
        let weights = vec![1.0; ids.len()];
        Ok(self.chunk(&ids, &weights).ids)
    }

    /// Appends empty chunks until there are `chunks` of them, so that texts can share a batch or a built network.
    pub fn lengthen(&self, text: &mut TokenIds, chunks: usize) {
        if text.chunks.len() < chunks {
            text.chunks.resize_with(chunks, || self.chunk(&[], &[]));
        }
    }

    /// Ids of `text` alone: no BOS, EOS, padding or limit.
    fn ids(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        match &self.dialect {
            Dialect::Slow(clip) => clip.ids(text),
            Dialect::Fast => Ok(self
                .inner
                .encode_fast(text, false)
                .map_err(TokenizerError::encode)?
                .get_ids()
                .to_vec()),
        }
    }

    /// Frames at most `max_length - 2` ids.
    fn chunk(&self, ids: &[u32], weights: &[f32]) -> Chunk {
        let mut chunk = Chunk {
            ids: vec![self.frame.pad; self.max_length],
            weights: vec![1.0; self.max_length],
            length: ids.len() + 2,
        };
        chunk.ids[0] = self.frame.bos;
        chunk.ids[1..=ids.len()].copy_from_slice(ids);
        chunk.ids[ids.len() + 1] = self.frame.eos;
        chunk.weights[1..=weights.len()].copy_from_slice(weights);
        chunk
    }

    /// The last few words that `ids` stand for, for a message.
    fn last_words(&self, ids: &[u32]) -> String {
        const TOKENS: usize = 6;
        let tokens = ids[ids.len().saturating_sub(TOKENS)..]
            .iter()
            .filter_map(|id| self.inner.get_model().id_to_token(*id))
            .collect();
        let text = ByteLevel::default()
            .decode_chain(tokens)
            .unwrap_or_default();
        let text: String = text.concat().replace("</w>", " ");
        // A cut inside a character leaves half of it; nobody is helped by seeing that.
        text.replace('\u{fffd}', "").trim().to_owned()
    }
}
