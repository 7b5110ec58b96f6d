//! The models that cut words into tokens: CLIP's, byte pairs (Sennrich et al., arXiv 1508.07909), and T5's, Unigram (Kudo, arXiv
//! 1804.10959), the likeliest way to cut a text into known pieces.

use serde::Deserialize;
use tokenizers::ModelWrapper;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::models::unigram::Unigram;

use super::bounded::{Few, MOST_WORDS, Vocabulary, Words};
use super::error::Problem;

/// Bytes of a piece.
const LONGEST_PIECE: usize = 256;

/// As `tokenizer.json` has it, of either kind.
#[derive(Deserialize)]
pub(super) struct Model {
    r#type: Option<String>,
    dropout: Option<f32>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    fuse_unk: bool,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    #[serde(default)]
    vocab: Vocabulary,
    unk_id: Option<usize>,
    #[serde(default)]
    merges: Few<Merge, MOST_WORDS>,
}

/// `"a b"` or `["a", "b"]`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Line(String),
    Pair(String, String),
}

/// The model of a file.
pub(super) fn model(mut model: Model) -> Result<ModelWrapper, Problem> {
    let kind = model.r#type.take();
    match (kind.as_deref(), std::mem::take(&mut model.vocab)) {
        (Some("BPE") | None, Vocabulary::Words(words)) => Ok(bpe(model, words)?.into()),
        (Some("Unigram") | None, Vocabulary::Pieces(pieces)) => {
            let unknown = model.unk_id.unwrap_or(usize::MAX);
            Ok(unigram(pieces, unknown, model.byte_fallback)?.into())
        }
        (Some(kind @ ("BPE" | "Unigram")), _) => Err(Problem::Malformed(format!(
            "\"vocab\" is none of the model {kind}"
        ))),
        (kind, _) => {
            let kind = crate::text::excerpt(kind.unwrap_or_default());
            Err(Problem::Unsupported(format!("the model {kind:?}")))
        }
    }
}

fn bpe(model: Model, words: Words) -> Result<BPE, Problem> {
    if model.dropout.is_some_and(|dropout| dropout != 0.0) {
        return Err(Problem::Unsupported("\"dropout\"".into()));
    }
    let prefix = model.continuing_subword_prefix;
    if prefix.is_some_and(|prefix| !prefix.is_empty()) {
        let what = "\"continuing_subword_prefix\"";
        return Err(Problem::Unsupported(what.into()));
    }
    let merges = model.merges.0.into_iter().map(|merge| match merge {
        Merge::Pair(left, right) => Ok((left, right)),
        Merge::Line(line) => match line.split_once(' ') {
            Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
            None => Err(Problem::Malformed(format!(
                "a merge of {:?} alone",
                crate::text::excerpt(&line)
            ))),
        },
    });
    let merges = merges.collect::<Result<Vec<_>, _>>()?;
    let mut builder = BPE::builder()
        .fuse_unk(model.fuse_unk)
        .byte_fallback(model.byte_fallback)
        .ignore_merges(model.ignore_merges);
    if let Some(unknown) = model.unk_token {
        if !words.0.contains_key(&unknown) {
            let unknown = crate::text::excerpt(&unknown);
            let problem = format!("\"unk_token\" {unknown:?} is not in the vocabulary");
            return Err(Problem::Malformed(problem));
        }
        builder = builder.unk_token(unknown);
    }
    if let Some(suffix) = model.end_of_word_suffix {
        builder = builder.end_of_word_suffix(suffix);
    }
    let vocabulary: Vocab = words.0.into_iter().collect();
    let built = builder.vocab_and_merges(vocabulary, merges).build();
    built.map_err(|error| Problem::Malformed(crate::text::one_line(&error.to_string())))
}

/// A model of pieces and the logarithms of their probabilities; a piece's id is its place. `unknown`: the id of what no piece is.
pub(super) fn unigram(
    pieces: Vec<(String, f64)>,
    unknown: usize,
    byte_fallback: bool,
) -> Result<Unigram, Problem> {
    for (piece, score) in &pieces {
        if piece.is_empty() || piece.len() > LONGEST_PIECE || !score.is_finite() {
            let piece = crate::text::excerpt(piece);
            return Err(Problem::Malformed(format!(
                "the piece {piece:?} with the score {score}: pieces have 1 to {LONGEST_PIECE} bytes and a finite score"
            )));
        }
    }
    if unknown >= pieces.len() {
        let count = pieces.len();
        return Err(Problem::Malformed(format!(
            "\"unk_id\" {unknown} of {count} pieces"
        )));
    }
    Unigram::from(pieces, Some(unknown), byte_fallback)
        .map_err(|error| Problem::Malformed(crate::text::one_line(&error.to_string())))
}
