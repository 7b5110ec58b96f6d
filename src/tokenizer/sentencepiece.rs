//! `spiece.model`, SentencePiece's own file. transformers' slow `T5Tokenizer` gives it to that library, whose steps are [`Pieces`]; the
//! fast one converts it to what a `tokenizer.json` says, which is [`ModelFile::converted`].
//!
//! It is a protocol buffer, `ModelProto` of `sentencepiece_model.proto`:
//!
//! | field | what |
//! |---|---|
//! | 1, repeated | a piece: 1 its text, 2 its score (f32), 3 its type |
//! | 2 | how it was trained: 3 the kind of model, 40 the id of what is unknown |
//! | 3 | how a text is normalized: 2 a [table](super::charsmap), 3 whether a space goes before it, 4 whether spaces are made one |

use prost::encoding::{DecodeContext, decode_key, skip_field};
use prost::{DecodeError, Message};
use serde_json::json;
use tokenizers::Model as _;
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::Sequence;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::{AddedToken, NormalizerWrapper};

use super::bounded::MOST_WORDS;
use super::charsmap::Charsmap;
use super::error::{Problem, TokenizerError};
use super::json::checked;
use super::model::unigram;
use super::whole::WholeTokens;

/// Stands for a space.
const SPACE: char = '\u{2581}';
#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<Piece>,
    #[prost(message, optional, tag = "2")]
    trainer: Option<Trainer>,
    #[prost(message, optional, tag = "3")]
    normalizer: Option<Normalizer>,
}

#[derive(Clone, PartialEq, Message)]
struct Piece {
    #[prost(string, tag = "1")]
    piece: String,
    #[prost(float, tag = "2")]
    score: f32,
    /// 1 unless said.
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
}

/// A piece that is found whole, never made of text: `</s>`.
const CONTROL: i32 = 3;
/// The same, made by the one who trained the model.
const USER_DEFINED: i32 = 4;

#[derive(Clone, PartialEq, Message)]
struct Trainer {
    #[prost(int32, optional, tag = "3")]
    model_type: Option<i32>,
    #[prost(int32, optional, tag = "40")]
    unknown: Option<i32>,
}

/// The kind of model.
const UNIGRAM: i32 = 1;

#[derive(Clone, PartialEq, Message)]
struct Normalizer {
    #[prost(bytes = "vec", tag = "2")]
    charsmap: Vec<u8>,
    /// True unless said.
    #[prost(bool, optional, tag = "3")]
    begins_with_space: Option<bool>,
    /// True unless said.
    #[prost(bool, optional, tag = "4")]
    joins_spaces: Option<bool>,
}

/// A file that was read.
pub(super) struct ModelFile {
    model: Unigram,
    /// What is found whole.
    tokens: Vec<AddedToken>,
    table: Option<Charsmap>,
    normalizer: Normalizer,
}

impl ModelFile {
    /// Reads a file's bytes. Behind its pieces come `extra_ids` tokens `<extra_id_N>`, the highest first: marks of gaps, which T5 was
    /// trained to fill.
    pub(super) fn parse(bytes: &[u8], extra_ids: usize) -> Result<Self, Problem> {
        let damaged = |error: DecodeError| {
            let error = crate::text::one_line(&error.to_string());
            Problem::Malformed(format!("is no SentencePiece model: {error}"))
        };
        // A piece may take two bytes here, and many in memory.
        let count = count_pieces(bytes).map_err(damaged)?;
        if count + extra_ids > MOST_WORDS {
            let problem = format!("{count} pieces: at most {MOST_WORDS} are taken");
            return Err(Problem::Malformed(problem));
        }
        let model = ModelProto::decode(bytes).map_err(damaged)?;
        let trainer = model.trainer.unwrap_or_default();
        if trainer.model_type.is_some_and(|kind| kind != UNIGRAM) {
            let what = "a SentencePiece model other than Unigram";
            return Err(Problem::Unsupported(what.into()));
        }
        let normalizer = model.normalizer;
        let unknown = usize::try_from(trainer.unknown.unwrap_or_default()).unwrap_or(usize::MAX);
        let mut tokens = Vec::new();
        for piece in &model.pieces {
            if let Some(kind @ (CONTROL | USER_DEFINED)) = piece.kind {
                let token =
                    AddedToken::from(piece.piece.clone(), kind == CONTROL).normalized(false);
                tokens.push(checked(token).map_err(Problem::Malformed)?);
            }
        }
        let pieces = model.pieces.into_iter();
        let pieces = pieces.map(|piece| (piece.piece, f64::from(piece.score)));
        let extra = (0..extra_ids).rev().map(|number| (extra_id(number), 0.0));
        let model = unigram(pieces.chain(extra).collect(), unknown, false)?;
        tokens.extend((0..extra_ids).map(|number| AddedToken::from(extra_id(number), true)));
        let normalizer = normalizer.unwrap_or_default();
        let table = match &normalizer.charsmap[..] {
            [] => None,
            table => Some(Charsmap::parse(table).map_err(Problem::Malformed)?),
        };
        Ok(Self {
            model,
            tokens,
            table,
            normalizer,
        })
    }

    /// As transformers' `T5TokenizerFast` has it.
    pub(super) fn converted(&self) -> Result<tokenizers::Tokenizer, Problem> {
        let mut inner = tokenizers::Tokenizer::new(self.model.clone());
        inner.add_tokens(&self.tokens);
        let mut steps = Vec::new();
        if let Some(table) = &self.table {
            let table = table.normalizer().map_err(Problem::Malformed)?;
            steps.push(NormalizerWrapper::Precompiled(table));
        }
        for step in [
            json!({"type": "Strip", "strip_left": false, "strip_right": true}),
            json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": SPACE}),
        ] {
            steps.push(serde_json::from_value(step)?);
        }
        inner.with_normalizer(Some(Sequence::new(steps)));
        inner.with_pre_tokenizer(Some(Metaspace::new(SPACE, PrependScheme::Always, true)));
        Ok(inner)
    }

    /// As the library itself has it; `end`: the id that ends a text, `special`: more that is found whole.
    pub(super) fn pieces(self, end: u32, special: &[(AddedToken, u32)]) -> Pieces {
        let id = |token: &AddedToken| self.model.token_to_id(&token.content);
        let known = self
            .tokens
            .iter()
            .filter_map(|token| Some((token.content.clone(), id(token)?)));
        let special = special
            .iter()
            .map(|(token, id)| (token.content.clone(), *id));
        Pieces {
            tokens: WholeTokens::of(known.chain(special).collect()),
            file: self,
            end,
        }
    }
}

/// transformers' slow `T5Tokenizer` (4.57), step by step.
///
/// 1. Tokens that are found whole are cut out of the text, the longest first.
/// 2. In what is left the longest beginning that the table knows is replaced, again and again; spaces are made one, and go at both ends.
/// 3. A mark stands for each space, and one before the text; the likeliest pieces are found in all of it.
/// 4. An end that the text has itself is its end.
pub(super) struct Pieces {
    file: ModelFile,
    tokens: WholeTokens,
    end: u32,
}

impl Pieces {
    /// Ids of `text`, without an end.
    pub(super) fn ids(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = self.tokens.ids(text, |text, ids| self.find(text, ids))?;
        if ids.last() == Some(&self.end) {
            ids.pop();
        }
        Ok(ids)
    }

    fn find(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), TokenizerError> {
        let text = self.normalized(text);
        if !text.is_empty() {
            let tokens = self.file.model.tokenize(&text);
            let tokens = tokens.map_err(TokenizerError::encode)?;
            ids.extend(tokens.iter().map(|token| token.id));
        }
        Ok(())
    }

    /// `Normalizer::Normalize` of SentencePiece (`src/normalizer.cc`).
    fn normalized(&self, mut text: &str) -> String {
        let joins = self.file.normalizer.joins_spaces.unwrap_or(true);
        let begins = self.file.normalizer.begins_with_space.unwrap_or(true);
        let mut out = String::with_capacity(text.len() + 3);
        while let Some(c) = text.chars().next() {
            let known = self
                .file
                .table
                .as_ref()
                .and_then(|table| table.longest(text));
            let (length, becomes) = known.unwrap_or((c.len_utf8(), &text[..c.len_utf8()]));
            text = &text[length..];
            for c in becomes.chars() {
                let is_more = c == ' ' && (out.is_empty() || out.ends_with(SPACE));
                if !(joins && is_more) {
                    out.push(if c == ' ' { SPACE } else { c });
                }
            }
        }
        if joins {
            out.truncate(out.trim_end_matches(SPACE).len());
        }
        if begins && !out.is_empty() {
            out.insert(0, SPACE);
        }
        out
    }
}

fn count_pieces(mut bytes: &[u8]) -> Result<usize, DecodeError> {
    let mut count = 0;
    while !bytes.is_empty() {
        let (tag, kind) = decode_key(&mut bytes)?;
        count += usize::from(tag == 1);
        skip_field(kind, tag, &mut bytes, DecodeContext::default())?;
    }
    Ok(count)
}

fn extra_id(number: usize) -> String {
    format!("<extra_id_{number}>")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a`, `b`, `▁a` and what every model has.
    fn small() -> ModelProto {
        let piece = |(piece, score, kind): &(&str, f32, i32)| Piece {
            piece: (*piece).to_owned(),
            score: *score,
            kind: Some(*kind),
        };
        let pieces = [
            ("<pad>", 0.0, CONTROL),
            ("</s>", 0.0, CONTROL),
            ("<unk>", 0.0, 2),
            ("\u{2581}", -3.0, 1),
            ("a", -2.0, 1),
            ("b", -2.5, 1),
            ("\u{2581}a", -1.0, 1),
        ];
        ModelProto {
            pieces: pieces.iter().map(piece).collect(),
            trainer: Some(Trainer {
                model_type: Some(UNIGRAM),
                unknown: Some(2),
            }),
            normalizer: None,
        }
    }

    fn ids(model: &ModelProto, text: &str) -> Vec<u32> {
        let file = ModelFile::parse(&model.encode_to_vec(), 2).map_err(drop);
        let file = file.expect("it is whole");
        let inner = file.converted().map_err(drop).expect("it is known");
        let encoded = inner.encode_fast(text, false);
        let fast = encoded.expect("it is text").get_ids().to_vec();
        let slow = file.pieces(1, &[]).ids(text).expect("it is text");
        assert_eq!(fast, slow, "{text:?}");
        fast
    }

    /// Worked by hand: the likeliest pieces, spaces before words, extra ids behind.
    #[test]
    fn text_becomes_the_likeliest_pieces() {
        let model = small();
        assert_eq!(ids(&model, "a ab"), [6, 6, 5]);
        assert_eq!(ids(&model, "ba"), [3, 5, 4]);
        assert_eq!(ids(&model, "a  b "), [6, 3, 5]);
        assert_eq!(ids(&model, "z"), [3, 2]);
        assert_eq!(ids(&model, "a</s><extra_id_1><extra_id_0>"), [6, 1, 7, 8]);
        assert!(ids(&model, "").is_empty());
    }

    #[test]
    fn what_is_no_such_model_is_refused() {
        let mut others = vec![small(), small(), small()];
        others[0].trainer = Some(Trainer {
            model_type: Some(2),
            unknown: Some(2),
        });
        others[1].trainer = Some(Trainer {
            model_type: None,
            unknown: Some(70),
        });
        others[2].pieces[4].score = f32::NAN;
        for other in others {
            assert!(ModelFile::parse(&other.encode_to_vec(), 2).is_err());
        }
        assert!(ModelFile::parse(b"a tokenizer", 100).is_err());
        assert!(ModelFile::parse(b"", 0).is_err());
    }
}
