//! `tokenizer.json`, as far as the tokenizers of CLIP and T5 have need of it.
//!
//! The `tokenizers` crate reads many kinds, some of which take a text and make it as large as they like, or never end: a file is
//! somebody's download, so it is read here, by a list of what is known, with bounds, and the crate gets what is on the list.
//!
//! | part | known |
//! |---|---|
//! | normalizer | Unicode's forms, lower case, stripping; one `Precompiled`, [checked](super::charsmap); `Replace` of white space, or of text by text that is no longer |
//! | pre-tokenizer | white space; one `ByteLevel`; one `Metaspace`; `Split` by text, or by a [simple](super::pattern::is_simple) pattern |
//! | model | BPE, with nothing before the parts of a word; Unigram |
//! | post-processor | what puts one token after the text and, maybe, one before it |
//! | decoder | not read: nothing is decoded |

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use tokenizers::normalizers::Sequence;
use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper};

use super::bounded::Few;
use super::charsmap::Charsmap;
use super::error::Problem;
use super::model::{Model, model};
use super::pattern::is_simple;

/// Bytes of a token that is found in the text whole.
const LONGEST_TOKEN: usize = 256;
/// Such tokens.
pub(super) const MOST_TOKENS: usize = 1024;
/// Normalizers, pre-tokenizers, and parts of lists that have a few.
const FEW: usize = 16;
/// What SentencePiece writes for a space.
const SPACE: &str = "\u{2581}";

/// A `tokenizer.json` that was read.
pub(super) struct Parsed {
    /// Without a post-processor, whose place is known: [`frame`](Self::frame).
    pub(super) inner: tokenizers::Tokenizer,
    /// What the post-processor puts around a text.
    pub(super) frame: Option<Around>,
}

/// Tokens around a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Around {
    pub(super) before: Option<u32>,
    pub(super) after: u32,
}

/// Reads a file's bytes.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Problem::Malformed(format!("byte {} is no UTF-8 text", error.valid_up_to()))
    })?;
    let file: File = serde_json::from_str(text)?;
    let mut inner = tokenizers::Tokenizer::new(model(file.model)?);
    if let Some(normalizer) = &file.normalizer {
        inner.with_normalizer(Some(Sequence::new(normalizers(normalizer)?)));
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
    model: Model,
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
    precompiled_charsmap: Option<String>,
    replacement: Option<String>,
    prepend_scheme: Option<String>,
    split: Option<bool>,
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

/// What normalizes, none of which makes a text grow with each that is added.
fn normalizers(step: &Step) -> Result<Vec<NormalizerWrapper>, Problem> {
    let mut steps = Vec::new();
    let mut has_table = false;
    each_of(
        step,
        "normalizer",
        &|step| &step.normalizers.0,
        &mut |step| {
            let kind = &step.r#type;
            let step = match kind.as_str() {
                "NFC" | "NFD" | "NFKC" | "NFKD" | "Lowercase" | "StripAccents" => {
                    json!({"type": kind})
                }
                "Strip" => json!({
                    "type": kind, "strip_left": step.strip_left, "strip_right": step.strip_right,
                }),
                "Replace" => replace(step)?,
                // It makes a character many bytes.
                "Precompiled" if !std::mem::replace(&mut has_table, true) => {
                    let table = step.precompiled_charsmap.as_deref().unwrap_or_default();
                    let table = STANDARD.decode(table);
                    let table = table.map_err(|_| {
                        let problem = "\"precompiled_charsmap\" of \"Precompiled\" is no base64";
                        Problem::Malformed(problem.into())
                    })?;
                    if !table.is_empty() {
                        let table = Charsmap::parse(&table).and_then(|table| table.normalizer());
                        let table = table.map_err(Problem::Malformed)?;
                        steps.push(NormalizerWrapper::Precompiled(table));
                    }
                    return Ok(());
                }
                "Precompiled" => return Err("a second \"Precompiled\"".to_owned().into()),
                _ => return Err(unknown("normalizer", kind).into()),
            };
            steps.push(serde_json::from_value(step)?);
            Ok(())
        },
    )?;
    Ok(steps)
}

/// What replaces text by text.
fn replace(step: &Step) -> Result<Value, String> {
    let content = step.content.as_deref().unwrap_or_default();
    let pattern =
        match &step.pattern {
            Some(Pattern::Regex(pattern))
                if (&**pattern, content) == (r"\s+", " ")
                    || (&**pattern, content) == (" {2,}", SPACE) =>
            {
                json!({"Regex": pattern})
            }
            Some(Pattern::String(text)) if !text.is_empty() && content.len() <= text.len() => {
                json!({"String": text})
            }
            _ => return Err(
                "a \"Replace\" that is none of white space by a space, or of text by longer text"
                    .to_owned(),
            ),
        };
    Ok(json!({"type": step.r#type, "pattern": pattern, "content": content}))
}

/// What splits a text into words.
fn pre_tokenizers(step: &Step) -> Result<Vec<Value>, Problem> {
    let mut steps = Vec::new();
    let (mut as_bytes, mut marks_spaces) = (false, false);
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
            "ByteLevel" => return Err("a second \"ByteLevel\"".to_owned().into()),
            "Metaspace" if !std::mem::replace(&mut marks_spaces, true) => metaspace(step)?,
            "Metaspace" => return Err("a second \"Metaspace\"".to_owned().into()),
            "Split" => {
                let pattern = match &step.pattern {
                    Some(Pattern::Regex(pattern)) if is_simple(pattern) => json!({"Regex": pattern}),
                    Some(Pattern::String(text)) if !text.is_empty() => json!({"String": text}),
                    _ => return Err("a \"Split\" whose pattern looks around, counts or refers back".to_owned().into()),
                };
                let behavior = step.behavior.as_deref().unwrap_or_default();
                json!({"type": kind, "pattern": pattern, "behavior": behavior, "invert": step.invert})
            }
            _ => return Err(unknown("pre-tokenizer", kind).into()),
        });
            Ok(())
        },
    )?;
    Ok(steps)
}

/// What marks spaces, and makes each a mark's three bytes.
fn metaspace(step: &Step) -> Result<Value, String> {
    if step.replacement.as_deref() != Some(SPACE) {
        return Err(format!("a \"Metaspace\" whose mark is not {SPACE:?}"));
    }
    let schemes = ["always", "first", "never"];
    let scheme = match (&step.prepend_scheme, step.add_prefix_space) {
        (Some(scheme), _) if schemes.contains(&&**scheme) => scheme,
        (Some(_), _) => return Err("an unknown \"prepend_scheme\"".to_owned()),
        (None, Some(false)) => "never",
        (None, _) => "always",
    };
    Ok(json!({
        "type": step.r#type,
        "replacement": SPACE,
        "prepend_scheme": scheme,
        "split": step.split.unwrap_or(true),
    }))
}

/// Goes through a step, or the steps of a sequence, and of those in it.
fn each_of<'a>(
    step: &'a Step,
    what: &str,
    inner: &impl Fn(&'a Step) -> &'a Vec<Step>,
    take: &mut impl FnMut(&'a Step) -> Result<(), Problem>,
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
            take(step)?;
        }
    }
    Ok(())
}

fn unknown(what: &str, kind: &str) -> String {
    format!("the {what} {:?}", crate::text::excerpt(kind))
}

/// What a post-processor puts around a text; `None` where that is not one token after it and, maybe, one before.
fn frame(step: &Step) -> Result<Option<Around>, Problem> {
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
                    found = cls.zip(sep).map(|((_, cls), (_, sep))| Around {
                        before: Some(*cls),
                        after: *sep,
                    });
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
                        ] if text == "A" => {
                            id(before).zip(id(after)).map(|(before, after)| Around {
                                before: Some(before),
                                after,
                            })
                        }
                        [
                            Piece::Sequence { id: text },
                            Piece::SpecialToken { id: after },
                        ] if text == "A" => id(after).map(|after| Around {
                            before: None,
                            after,
                        }),
                        _ => None,
                    };
                }
                kind => return Err(unknown("post-processor", kind).into()),
            }
            Ok(())
        },
    )?;
    Ok(found)
}
