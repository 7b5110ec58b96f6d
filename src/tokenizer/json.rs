//! `tokenizer.json`, as far as a CLIP tokenizer has need of it.
//!
//! The `tokenizers` crate reads many kinds, some of which take a text and make it as large as they like, or never end: a file is
//! somebody's download, so it is read here, by a list of what is known, with bounds, and the crate gets what is on the list.
//!
//! | part | known |
//! |---|---|
//! | normalizer | Unicode's forms, lower case, stripping; `Replace` of white space, or of text by text that is no longer |
//! | pre-tokenizer | white space; one `ByteLevel`; `Split` by text, or by a [simple](super::pattern::is_simple) pattern |
//! | model | BPE, with nothing before the parts of a word |
//! | post-processor | what puts one token before the text and one after it |
//! | decoder | not read: nothing is decoded |

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper};

use super::bounded::{Few, MOST_WORDS, Words};
use super::pattern::is_simple;

/// Bytes of a token that is found in the text whole.
const LONGEST_TOKEN: usize = 256;
/// Such tokens.
pub(super) const MOST_TOKENS: usize = 1024;
/// Normalizers, pre-tokenizers, and parts of lists that have a few.
const FEW: usize = 16;

/// A `tokenizer.json` that was read.
pub(super) struct Parsed {
    /// Without a post-processor, whose place is known: [`frame`](Self::frame).
    pub(super) inner: tokenizers::Tokenizer,
    /// What the post-processor puts before and after a text.
    pub(super) frame: Option<[u32; 2]>,
}

/// Why a file cannot be used.
pub(super) enum Problem {
    /// It is not what it should be.
    Malformed(String),
    /// It asks for what easel does not have.
    Unsupported(String),
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Reads a file's bytes.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Problem::Malformed(format!("byte {} is no UTF-8 text", error.valid_up_to()))
    })?;
    let file: File = serde_json::from_str(text)?;
    let mut inner = tokenizers::Tokenizer::new(bpe(file.model)?);
    if let Some(normalizer) = &file.normalizer {
        let steps = normalizers(normalizer)?;
        let steps = json!({"type": "Sequence", "normalizers": steps});
        inner.with_normalizer(Some(serde_json::from_value::<NormalizerWrapper>(steps)?));
    }
    if let Some(splitter) = &file.pre_tokenizer {
        let steps = pre_tokenizers(splitter)?;
        let steps = json!({"type": "Sequence", "pretokenizers": steps});
        inner.with_pre_tokenizer(Some(serde_json::from_value::<PreTokenizerWrapper>(steps)?));
    }
    let tokens = file.added_tokens.0.into_iter().map(Added::check);
    inner.add_tokens(&tokens.collect::<Result<Vec<_>, _>>()?);
    let frame = match &file.post_processor {
        Some(processor) => frame(processor)?,
        None => None,
    };
    Ok(Parsed { inner, frame })
}

#[derive(Deserialize)]
struct File {
    normalizer: Option<Step>,
    pre_tokenizer: Option<Step>,
    post_processor: Option<Step>,
    model: Bpe,
    #[serde(default)]
    added_tokens: Few<Added, MOST_TOKENS>,
}

/// A normalizer, a pre-tokenizer or a post-processor, with all that those on the list can say.
#[derive(Deserialize)]
struct Step {
    r#type: String,
    #[serde(default)]
    normalizers: Few<Step, FEW>,
    #[serde(default)]
    pretokenizers: Few<Step, FEW>,
    #[serde(default)]
    processors: Few<Step, FEW>,
    pattern: Option<Pattern>,
    content: Option<String>,
    behavior: Option<String>,
    #[serde(default)]
    invert: bool,
    #[serde(default = "yes")]
    strip_left: bool,
    #[serde(default = "yes")]
    strip_right: bool,
    add_prefix_space: Option<bool>,
    use_regex: Option<bool>,
    sep: Option<(String, u32)>,
    cls: Option<(String, u32)>,
    #[serde(default)]
    single: Few<Piece, FEW>,
    #[serde(default)]
    special_tokens: HashMap<String, Special>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
enum Pattern {
    String(String),
    Regex(String),
}

/// A piece of a template.
#[derive(Deserialize)]
enum Piece {
    SpecialToken { id: String },
    Sequence { id: String },
}

#[derive(Deserialize)]
struct Special {
    ids: Few<u32, FEW>,
}

#[derive(Deserialize)]
struct Added {
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    normalized: Option<bool>,
    #[serde(default)]
    special: bool,
}

impl Added {
    fn check(self) -> Result<AddedToken, Problem> {
        let token = AddedToken::from(self.content, self.special)
            .single_word(self.single_word)
            .lstrip(self.lstrip)
            .rstrip(self.rstrip)
            .normalized(self.normalized.unwrap_or(!self.special));
        checked(token).map_err(Problem::Malformed)
    }
}

/// A token that can be found in a text: not nothing, and not too long.
pub(super) fn checked(token: AddedToken) -> Result<AddedToken, String> {
    let length = token.content.len();
    if token.content.trim().is_empty() || length > LONGEST_TOKEN {
        return Err(format!(
            "a token of {length} bytes: those that are found whole have 1 to {LONGEST_TOKEN}, not white space alone"
        ));
    }
    Ok(token)
}

#[derive(Deserialize)]
struct Bpe {
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
    vocab: Words,
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

fn bpe(model: Bpe) -> Result<BPE, Problem> {
    if let Some(kind) = model.r#type.filter(|kind| kind != "BPE") {
        return Err(Problem::Unsupported(format!("the model {kind:?}")));
    }
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
        if !model.vocab.0.contains_key(&unknown) {
            let unknown = crate::text::excerpt(&unknown);
            let problem = format!("\"unk_token\" {unknown:?} is not in the vocabulary");
            return Err(Problem::Malformed(problem));
        }
        builder = builder.unk_token(unknown);
    }
    if let Some(suffix) = model.end_of_word_suffix {
        builder = builder.end_of_word_suffix(suffix);
    }
    let vocabulary: Vocab = model.vocab.0.into_iter().collect();
    let built = builder.vocab_and_merges(vocabulary, merges).build();
    built.map_err(|error| Problem::Malformed(crate::text::one_line(&error.to_string())))
}

/// What normalizes, none of which makes a text grow with each that is added.
fn normalizers(step: &Step) -> Result<Vec<Value>, Problem> {
    let mut steps = Vec::new();
    each_of(
        step,
        "normalizer",
        &|step| &step.normalizers.0,
        &mut |step| {
            let kind = &step.r#type;
            steps.push(match kind.as_str() {
            "NFC" | "NFD" | "NFKC" | "NFKD" | "Lowercase" | "StripAccents" => json!({"type": kind}),
            "Strip" => json!({
                "type": kind, "strip_left": step.strip_left, "strip_right": step.strip_right,
            }),
            "Replace" => {
                let content = step.content.as_deref().unwrap_or_default();
                let pattern = match &step.pattern {
                    Some(Pattern::Regex(pattern)) if pattern == r"\s+" && content == " " => {
                        json!({"Regex": pattern})
                    }
                    Some(Pattern::String(text))
                        if !text.is_empty() && content.len() <= text.len() =>
                    {
                        json!({"String": text})
                    }
                    _ => return Err("a \"Replace\" that is none of white space by a space, or of text by longer text".to_owned()),
                };
                json!({"type": kind, "pattern": pattern, "content": content})
            }
            _ => return Err(unknown("normalizer", kind)),
        });
            Ok(())
        },
    )?;
    Ok(steps)
}

/// What splits a text into words.
fn pre_tokenizers(step: &Step) -> Result<Vec<Value>, Problem> {
    let mut steps = Vec::new();
    let mut as_bytes = false;
    each_of(
        step,
        "pre-tokenizer",
        &|step| &step.pretokenizers.0,
        &mut |step| {
            let kind = &step.r#type;
            steps.push(match kind.as_str() {
            "Whitespace" | "WhitespaceSplit" => json!({"type": kind}),
            // It makes two bytes of one that is not ASCII: twice, four.
            "ByteLevel" if !std::mem::replace(&mut as_bytes, true) => json!({
                "type": kind,
                "add_prefix_space": step.add_prefix_space.unwrap_or(true),
                "trim_offsets": true,
                "use_regex": step.use_regex.unwrap_or(true),
            }),
            "ByteLevel" => return Err("a second \"ByteLevel\"".to_owned()),
            "Split" => {
                let pattern = match &step.pattern {
                    Some(Pattern::Regex(pattern)) if is_simple(pattern) => json!({"Regex": pattern}),
                    Some(Pattern::String(text)) if !text.is_empty() => json!({"String": text}),
                    _ => return Err("a \"Split\" whose pattern looks around, counts or refers back".to_owned()),
                };
                let behavior = step.behavior.as_deref().unwrap_or_default();
                json!({"type": kind, "pattern": pattern, "behavior": behavior, "invert": step.invert})
            }
            _ => return Err(unknown("pre-tokenizer", kind)),
        });
            Ok(())
        },
    )?;
    Ok(steps)
}

/// Goes through a step, or the steps of a sequence, and of those in it.
fn each_of<'a>(
    step: &'a Step,
    what: &str,
    inner: &impl Fn(&'a Step) -> &'a Vec<Step>,
    take: &mut impl FnMut(&'a Step) -> Result<(), String>,
) -> Result<(), Problem> {
    let mut waiting = vec![step];
    let mut taken = 0;
    while let Some(step) = waiting.pop() {
        taken += 1;
        if taken > 2 * FEW {
            return Err(Problem::Unsupported(format!("a {what} of so many parts")));
        }
        if step.r#type == "Sequence" {
            waiting.extend(inner(step).iter().rev());
        } else {
            take(step).map_err(Problem::Unsupported)?;
        }
    }
    Ok(())
}

fn unknown(what: &str, kind: &str) -> String {
    format!("the {what} {:?}", crate::text::excerpt(kind))
}

/// What a post-processor puts before and after a text; `None` where that is not one token each.
fn frame(step: &Step) -> Result<Option<[u32; 2]>, Problem> {
    let mut found = None;
    each_of(
        step,
        "post-processor",
        &|step| &step.processors.0,
        &mut |step| {
            match step.r#type.as_str() {
                // It only moves offsets, which nobody asks for.
                "ByteLevel" => {}
                "RobertaProcessing" | "BertProcessing" => {
                    let (cls, sep) = (step.cls.as_ref(), step.sep.as_ref());
                    found = cls.zip(sep).map(|((_, cls), (_, sep))| [*cls, *sep]);
                }
                "TemplateProcessing" => {
                    let id = |name: &String| match &step.special_tokens.get(name)?.ids.0[..] {
                        [id] => Some(*id),
                        _ => None,
                    };
                    found = match &step.single.0[..] {
                        [
                            Piece::SpecialToken { id: before },
                            Piece::Sequence { id: text },
                            Piece::SpecialToken { id: after },
                        ] if text == "A" => id(before).zip(id(after)).map(|(a, b)| [a, b]),
                        _ => None,
                    };
                }
                kind => return Err(unknown("post-processor", kind)),
            }
            Ok(())
        },
    )?;
    Ok(found)
}
