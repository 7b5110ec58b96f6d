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
//! T5's two differ where letters have marks. `T5Tokenizer`, of PixArt, is SentencePiece with `spiece.model`; `T5TokenizerFast` is
//! `tokenizer.json`, or what transformers makes of `spiece.model` where that alone is there.
//!
//! # Long prompts
//!
//! [`Tokenizer::encode`] does not cut at `max_length` but goes on in another [`Chunk`], up to
//! [`MAX_CHUNKS`]. The text encoder runs on each chunk by itself and concatenates the embeddings along
//! the sequence axis: `[1, chunks · max_length, dim]`. Both halves of guidance need equally many chunks:
//! [`Tokenizer::lengthen`]. An encoder that was trained with texts of any length, as T5, gets one chunk:
//! [`Tokenizer::encode_within`].

mod bounded;
mod charsmap;
mod clip;
mod error;
mod files;
mod json;
mod model;
mod pattern;
mod sentencepiece;
mod whole;

use std::path::Path;

use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::{Decoder, Model};

use crate::prompt;
pub use error::TokenizerError;

/// The most chunks that [`Tokenizer::encode`] makes of a prompt; the rest is cut with a warning.
pub const MAX_CHUNKS: usize = 8;
/// The most positions of a chunk that [`Tokenizer::encode_within`] makes.
pub const LONGEST_CHUNK: usize = 4096;

/// What one run of the text encoder sees; both vectors have one length, the tokenizer's `max_length` unless another is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// BOS if the encoder has one, tokens, EOS, padding.
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
    #[cfg(test)]
    pub(crate) fn of(chunks: Vec<Chunk>) -> Self {
        let warning = None;
        Self { chunks, warning }
    }

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

/// Where text becomes words: the behaviours of the module documentation.
enum Dialect {
    SlowClip(Box<clip::SlowClip>),
    SlowT5(Box<sentencepiece::Pieces>),
    Fast,
}

/// Ids of the tokens that frame a chunk.
#[derive(Clone, Copy)]
struct Frame {
    bos: Option<u32>,
    eos: u32,
    pad: u32,
}

impl Frame {
    /// Positions that BOS and EOS take.
    fn length(&self) -> usize {
        usize::from(self.bos.is_some()) + 1
    }
}

/// A tokenizer of CLIP's or T5's type, loaded from a diffusers model directory.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    dialect: Dialect,
    frame: Frame,
    max_length: usize,
}

impl Tokenizer {
    /// Loads `tokenizer/tokenizer.json`, else `tokenizer/vocab.json` + `tokenizer/merges.txt`, of T5 `tokenizer/spiece.model`.
    ///
    /// `model_index.json` names the class (without it, `tokenizer_config.json`); `tokenizer_config.json`
    /// and `special_tokens_map.json` give the special tokens, with CLIP's or T5's as default. The maximal length
    /// is `model_max_length`, or `max_position_embeddings` of `text_encoder/config.json` when that is
    /// smaller or the former is absent or absurd, or 77, of T5 512.
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
        self.encode_in(prompt, self.max_length, MAX_CHUNKS)
    }

    /// As [`encode`](Self::encode), in one chunk of `length` positions, 3 to [`LONGEST_CHUNK`]: what does not fit is cut with a warning.
    ///
    /// # Errors
    /// Only if the `tokenizers` crate refuses the text.
    ///
    /// # Panics
    /// If `length` is none of these.
    pub fn encode_within(&self, prompt: &str, length: usize) -> Result<TokenIds, TokenizerError> {
        assert!((3..=LONGEST_CHUNK).contains(&length), "{length} positions");
        self.encode_in(prompt, length, 1)
    }

    fn encode_in(
        &self,
        prompt: &str,
        length: usize,
        most_chunks: usize,
    ) -> Result<TokenIds, TokenizerError> {
        let (mut ids, mut weights) = (Vec::new(), Vec::new());
        for (text, weight) in prompt::parse(prompt) {
            ids.extend(self.ids(&text)?);
            weights.resize(ids.len(), weight);
        }
        let room = length - self.frame.length();
        let limit = most_chunks * room;
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
            .map(|(ids, weights)| self.chunk(ids, weights, length))
            .collect();
        if chunks.is_empty() {
            chunks.push(self.chunk(&[], &[], length));
        }
        Ok(TokenIds { chunks, warning })
    }

    /// `max_length` ids as transformers' `tokenizer(text, padding="max_length", truncation=True)` gives them: no
    /// weights are read, and what does not fit is cut.
    ///
    /// # Errors
    /// Only if the `tokenizers` crate refuses the text.
    pub fn encode_plain(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = self.ids(text)?;
        ids.truncate(self.max_length - self.frame.length());
        let weights = vec![1.0; ids.len()];
        Ok(self.chunk(&ids, &weights, self.max_length).ids)
    }

    /// Appends empty chunks until there are `chunks` of them, so that texts can share a batch or a built network.
    pub fn lengthen(&self, text: &mut TokenIds, chunks: usize) {
        if text.chunks.len() < chunks {
            let empty = self.chunk(&[], &[], self.max_length);
            text.chunks.resize(chunks, empty);
        }
    }

    /// Ids of `text` alone: no BOS, EOS, padding or limit.
    fn ids(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        match &self.dialect {
            Dialect::SlowClip(clip) => clip.ids(text),
            Dialect::SlowT5(pieces) => pieces.ids(text),
            Dialect::Fast => Ok(self
                .inner
                .encode_fast(text, false)
                .map_err(TokenizerError::encode)?
                .get_ids()
                .to_vec()),
        }
    }

    /// Frames ids that fit `length` positions.
    fn chunk(&self, ids: &[u32], weights: &[f32], length: usize) -> Chunk {
        let Frame { bos, eos, pad } = self.frame;
        let start = usize::from(bos.is_some());
        let mut framed: Vec<u32> = bos.into_iter().chain(ids.iter().copied()).collect();
        framed.push(eos);
        let used = framed.len();
        framed.resize(length, pad);
        let mut chunk = Chunk {
            ids: framed,
            weights: vec![1.0; length],
            length: used,
        };
        chunk.weights[start..start + weights.len()].copy_from_slice(weights);
        chunk
    }

    /// The last few words that `ids` stand for, for a message.
    fn last_words(&self, ids: &[u32]) -> String {
        const TOKENS: usize = 6;
        let tokens = ids[ids.len().saturating_sub(TOKENS)..]
            .iter()
            .filter_map(|id| self.inner.get_model().id_to_token(*id))
            .collect();
        let text = match self.frame.bos {
            Some(_) => ByteLevel::default()
                .decode_chain(tokens)
                .unwrap_or_default(),
            None => tokens,
        };
        let text = text.concat().replace("</w>", " ").replace('\u{2581}', " ");
        // A cut inside a character leaves half of it; nobody is helped by seeing that.
        text.replace('\u{fffd}', "").trim().to_owned()
    }
}
