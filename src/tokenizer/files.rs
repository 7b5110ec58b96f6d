//! From the files of a model directory to a [`Tokenizer`].

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::{AddedToken, ModelWrapper};

use super::bounded::{MOST_IDS, Words};
use super::clip::SlowClip;
use super::error::Problem;
use super::json::{self, Around, MOST_TOKENS, checked};
use super::sentencepiece::ModelFile;
use super::{Dialect, Frame, Tokenizer, TokenizerError};
use crate::files::{SETTINGS, TOKENIZER, read_file};

const CLIP_LENGTH: usize = 77;
const T5_LENGTH: usize = 512;
/// Of every T5.
const EXTRA_IDS: usize = 100;
/// transformers writes 1e30 for "not set"; no CLIP comes near this.
const ABSURD_LENGTH: f64 = 4096.0;
/// CLIP's merges.txt lists more than CLIP uses: the slow tokenizer takes the header and this many lines.
const CLIP_MERGES: usize = 49_152 - 256 - 2;

pub(super) fn load(
    model_dir: &Path,
    folder: &str,
    encoder: &str,
) -> Result<Tokenizer, TokenizerError> {
    let dir = model_dir.join(folder);
    let config = Config::read(model_dir, folder, encoder)?;
    let Described {
        mut inner,
        file,
        framed,
        pieces,
    } = vocabulary(&dir, &config)?;
    let mut added = config.added.clone();
    if !config.has_decoder {
        let from_file = inner.get_added_tokens_decoder();
        added.extend(from_file.into_iter().map(|(id, token)| (token, id)));
    }
    let id_of = |role: &'static str, token: &AddedToken| {
        let text = &token.content;
        let known = added
            .iter()
            .find(|(added, _)| added.content == *text)
            .map(|(_, id)| *id);
        known
            .or_else(|| inner.token_to_id(text))
            .ok_or_else(|| TokenizerError::UnknownToken {
                path: dir.clone(),
                role,
                token: text.clone(),
            })
    };
    let bos = config.bos.as_ref();
    let frame = Frame {
        bos: bos.map(|bos| id_of("bos", bos)).transpose()?,
        eos: id_of("eos", &config.eos)?,
        pad: id_of("pad", &config.pad)?,
    };
    let unknown = id_of("unk", &config.unk)?;
    let mut special = vec![
        (config.eos.clone(), frame.eos),
        (config.pad.clone(), frame.pad),
        (config.unk.clone(), unknown),
    ];
    special.extend(config.bos.clone().zip(frame.bos));
    for token in &config.additional {
        special.push((token.clone(), id_of("additional", token)?));
    }

    let dialect = if config.class == Class::SlowClip {
        added.extend(special);
        let ModelWrapper::BPE(bpe) = inner.get_model() else {
            return Err(TokenizerError::Unsupported {
                path: file,
                what: "a model other than BPE in CLIPTokenizer".to_owned(),
                supported: "BPE",
            });
        };
        if bpe.end_of_word_suffix.as_deref() != Some("</w>") {
            return Err(TokenizerError::malformed(
                &file,
                "CLIP's BPE ends words with \"</w>\", this one does not",
            ));
        }
        if let Some((token, _)) = added.iter().find(|(token, _)| token.single_word) {
            return Err(TokenizerError::Unsupported {
                path: dir,
                what: format!("\"single_word\" of the token {:?}", token.content),
                supported: "added tokens that are found anywhere",
            });
        }
        // Stripping beside a token, the other option, changes nothing: cleaning strips too.
        let added = added
            .into_iter()
            .map(|(token, id)| (token.content, id))
            .collect();
        Dialect::SlowClip(Box::new(SlowClip::new(bpe.clone(), added, unknown)))
    } else {
        // As transformers does: special tokens that the file does not list are special all the same.
        let tokens: Vec<AddedToken> = special.iter().map(|(token, _)| token.clone()).collect();
        inner.add_special_tokens(&tokens);
        if let Some(framed) = framed {
            check_framing(framed, frame, &file)?;
        }
        match pieces {
            Some(model) => Dialect::SlowT5(Box::new(model.pieces(frame.eos, &special))),
            None => Dialect::Fast,
        }
    };
    Ok(Tokenizer {
        inner,
        dialect,
        frame,
        max_length: config.max_length,
    })
}

/// The tokenizer that the files describe.
struct Described {
    inner: tokenizers::Tokenizer,
    /// The file that says most of it.
    file: PathBuf,
    /// What its post-processor puts around a text, if there may be one.
    framed: Option<Option<Around>>,
    /// SentencePiece's own file, if that is to be read as the library does.
    pieces: Option<ModelFile>,
}

fn vocabulary(dir: &Path, config: &Config) -> Result<Described, TokenizerError> {
    let json = dir.join("tokenizer.json");
    let pieces = dir.join("spiece.model");
    let problem = |file: &Path, problem| match problem {
        Problem::Malformed(what) => TokenizerError::malformed(file, what),
        Problem::Unsupported(what) => TokenizerError::Unsupported {
            path: file.to_owned(),
            what,
            supported: "what the tokenizers of CLIP and T5 have: BPE or Unigram, and splitting and normalizing that end",
        },
    };
    // The slow class reads SentencePiece's own file; the fast one makes a `tokenizer.json` of it, if there is none.
    if (config.class == Class::SlowT5 || config.class == Class::FastT5 && !json.exists())
        && let Some(bytes) = read(&pieces, TOKENIZER)?
    {
        let model = ModelFile::parse(&bytes, config.extra_ids);
        let read = model.and_then(|model| Ok((model.converted()?, model)));
        let (inner, model) = read.map_err(|found| problem(&pieces, found))?;
        return Ok(Described {
            inner,
            file: pieces,
            framed: None,
            pieces: (config.class == Class::SlowT5).then_some(model),
        });
    }
    if let Some(text) = read(&json, TOKENIZER)? {
        let parsed = json::parse(&text).map_err(|found| problem(&json, found))?;
        return Ok(Described {
            inner: parsed.inner,
            file: json,
            framed: Some(parsed.frame),
            pieces: None,
        });
    }
    if config.class.is_t5() {
        return Err(TokenizerError::Missing {
            path: dir.to_owned(),
            files: "tokenizer.json and no spiece.model",
        });
    }
    Ok(Described {
        inner: from_clip_files(dir, config)?,
        file: json,
        framed: None,
        pieces: None,
    })
}

/// A fast tokenizer adds what its post-processor says; we add BOS, if there is one, and EOS, so it must say that.
fn check_framing(framed: Option<Around>, frame: Frame, file: &Path) -> Result<(), TokenizerError> {
    let wanted = Around {
        before: frame.bos,
        after: frame.eos,
    };
    if framed == Some(wanted) {
        return Ok(());
    }
    let before = match frame.bos {
        Some(_) => "those that add the BOS token before and the EOS token after",
        None => "those that add the EOS token after",
    };
    Err(TokenizerError::Unsupported {
        path: file.to_owned(),
        what: match framed {
            Some(Around { before, after }) => {
                let ids: Vec<u32> = before.into_iter().chain([after]).collect();
                format!("a post-processor that makes the ids {ids:?} of an empty text")
            }
            None => "a post-processor that does more than to put one token after a text and, maybe, one before it".into(),
        },
        supported: before,
    })
}

/// Which of the classes of transformers it is; see the documentation of [`super`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    SlowClip,
    FastClip,
    SlowT5,
    FastT5,
}

impl Class {
    fn is_t5(self) -> bool {
        self == Self::SlowT5 || self == Self::FastT5
    }
}

/// What the JSON files around the vocabulary say.
struct Config {
    class: Class,
    /// T5 has none.
    bos: Option<AddedToken>,
    eos: AddedToken,
    pad: AddedToken,
    unk: AddedToken,
    additional: Vec<AddedToken>,
    /// Tokens with ids that are cut out of the text whole.
    added: Vec<(AddedToken, u32)>,
    /// Whether `tokenizer_config.json` lists the added tokens, which then no other file does.
    has_decoder: bool,
    /// Of T5: tokens `<extra_id_N>` behind the pieces of its `spiece.model`.
    extra_ids: usize,
    max_length: usize,
}

impl Config {
    fn read(model_dir: &Path, folder: &str, encoder: &str) -> Result<Self, TokenizerError> {
        let dir = &model_dir.join(folder);
        let index = read_object(&model_dir.join("model_index.json"))?;
        let config_file = dir.join("tokenizer_config.json");
        let mut config = read_object(&config_file)?;
        let class = class_of(model_dir, folder, &index, &config)?;
        for side in ["padding_side", "truncation_side"] {
            if config.get(side).is_some_and(|value| value != "right") {
                return Err(TokenizerError::Unsupported {
                    path: config_file,
                    what: format!("\"{side}\" {}", config[side]),
                    supported: "\"right\"",
                });
            }
        }
        let has_decoder = config.get("added_tokens_decoder").is_some();
        let mut added = Vec::new();
        if has_decoder {
            let bad = || {
                TokenizerError::malformed(
                    &config_file,
                    "\"added_tokens_decoder\" maps no ids to tokens",
                )
            };
            for (id, token) in config["added_tokens_decoder"].as_object().ok_or_else(bad)? {
                let id = id.parse().ok().filter(|id| *id < MOST_IDS);
                let id = id.ok_or_else(bad)?;
                added.push((added_token(token).ok_or_else(bad)?, id));
            }
        } else {
            // Directories from before that key: the map overrides the config, as for the "!" with which
            // Stable Diffusion 2.x pads.
            config.extend(read_object(&dir.join("special_tokens_map.json"))?);
            let file = dir.join("added_tokens.json");
            for (token, id) in read_object(&file)? {
                let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
                let id = id.filter(|id| *id < MOST_IDS);
                let id = id.ok_or_else(|| {
                    TokenizerError::malformed(&file, format!("{token:?} has no id"))
                })?;
                let token = checked(AddedToken::from(token, false))
                    .map_err(|what| TokenizerError::malformed(&file, what))?;
                added.push((token, id));
            }
        }
        if added.len() > MOST_TOKENS {
            let what = format!(
                "{} added tokens: at most {MOST_TOKENS} are taken",
                added.len()
            );
            return Err(TokenizerError::malformed(&config_file, what));
        }
        let special = |key: &str, default: &str| match config.get(key) {
            None | Some(Value::Null) => Ok(AddedToken::from(default, true)),
            Some(value) => added_token(value).ok_or_else(|| {
                TokenizerError::malformed(&config_file, format!("\"{key}\" is not a token"))
            }),
        };
        let additional = match config.get("additional_special_tokens") {
            Some(Value::Array(tokens)) => {
                let tokens = tokens.iter().filter_map(added_token);
                tokens.take(MOST_TOKENS).collect()
            }
            _ => Vec::new(),
        };
        let (bos, eos, pad, unk) = match class {
            Class::SlowT5 | Class::FastT5 => (None, "</s>", "<pad>", "<unk>"),
            Class::SlowClip | Class::FastClip => (
                Some(special("bos_token", "<|startoftext|>")?),
                "<|endoftext|>",
                "<|endoftext|>",
                "<|endoftext|>",
            ),
        };
        let extra_ids = config.get("extra_ids").map_or(Some(EXTRA_IDS), |count| {
            usize::try_from(count.as_u64()?).ok()
        });
        let extra_ids = extra_ids.filter(|count| *count <= MOST_TOKENS);
        Ok(Self {
            class,
            bos,
            eos: special("eos_token", eos)?,
            pad: special("pad_token", pad)?,
            unk: special("unk_token", unk)?,
            additional,
            added,
            has_decoder,
            extra_ids: extra_ids.ok_or_else(|| {
                let problem = format!("\"extra_ids\" is not a number up to {MOST_TOKENS}");
                TokenizerError::malformed(&config_file, problem)
            })?,
            max_length: max_length(&model_dir.join(encoder), &config_file, &config, class)?,
        })
    }
}

type Object = serde_json::Map<String, Value>;

fn class_of(
    model_dir: &Path,
    folder: &str,
    index: &Object,
    config: &Object,
) -> Result<Class, TokenizerError> {
    let (path, class) = match (index.get(folder), config.get("tokenizer_class")) {
        // `["transformers", "CLIPTokenizer"]`
        (Some(entry), _) => (
            model_dir.join("model_index.json"),
            entry.get(1).unwrap_or(entry),
        ),
        (None, Some(class)) => (model_dir.join(folder).join("tokenizer_config.json"), class),
        (None, None) => return Ok(Class::SlowClip),
    };
    match class.as_str() {
        Some("CLIPTokenizer") => Ok(Class::SlowClip),
        Some("CLIPTokenizerFast" | "PreTrainedTokenizerFast") => Ok(Class::FastClip),
        Some("T5Tokenizer") => Ok(Class::SlowT5),
        Some("T5TokenizerFast") => Ok(Class::FastT5),
        _ => Err(TokenizerError::Unsupported {
            path,
            what: format!("the tokenizer class {class}"),
            supported: "CLIPTokenizer, CLIPTokenizerFast, PreTrainedTokenizerFast, T5Tokenizer and T5TokenizerFast",
        }),
    }
}

fn max_length(
    encoder: &Path,
    config_file: &Path,
    config: &Object,
    class: Class,
) -> Result<usize, TokenizerError> {
    let positions_file = encoder.join("config.json");
    let positions = read_object(&positions_file)?;
    let sane =
        |object: &Object, key: &str, file: &Path| match object.get(key).and_then(Value::as_f64) {
            Some(length) if length < 3.0 => Err(TokenizerError::malformed(
                file,
                format!("\"{key}\" is {length}, but BOS, EOS and one token need 3"),
            )),
            Some(length) if length <= ABSURD_LENGTH => Ok(Some(length as usize)),
            _ => Ok(None),
        };
    let lengths = [
        sane(config, "model_max_length", config_file)?,
        sane(&positions, "max_position_embeddings", &positions_file)?,
    ];
    let usual = match class {
        Class::SlowT5 | Class::FastT5 => T5_LENGTH,
        Class::SlowClip | Class::FastClip => CLIP_LENGTH,
    };
    Ok(lengths.into_iter().flatten().min().unwrap_or(usual))
}

/// A token is written as a string or as `{"content": "…", "normalized": true, …}`.
fn added_token(value: &Value) -> Option<AddedToken> {
    let text = value.as_str().or_else(|| value.get("content")?.as_str())?;
    let flag = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or(false);
    let token = AddedToken::from(text, true)
        .normalized(flag("normalized"))
        .lstrip(flag("lstrip"))
        .rstrip(flag("rstrip"))
        .single_word(flag("single_word"));
    checked(token).ok()
}

/// Builds from `vocab.json` and `merges.txt` what transformers' converter would write as `tokenizer.json`.
fn from_clip_files(dir: &Path, config: &Config) -> Result<tokenizers::Tokenizer, TokenizerError> {
    let (vocab_file, merges_file) = (dir.join("vocab.json"), dir.join("merges.txt"));
    let whole = |file| read(file, TOKENIZER);
    let (Some(vocab), Some(merges)) = (whole(&vocab_file)?, whole(&merges_file)?) else {
        return Err(TokenizerError::Missing {
            path: dir.to_owned(),
            files: "tokenizer.json, and no vocab.json with merges.txt",
        });
    };
    let vocab: Words = serde_json::from_slice(&vocab)
        .map_err(|error| TokenizerError::malformed(&vocab_file, error))?;
    let merges = String::from_utf8(merges)
        .map_err(|error| TokenizerError::malformed(&merges_file, error))?;
    let merges = merges
        .trim()
        .split('\n')
        .enumerate()
        .skip(1)
        .take(CLIP_MERGES)
        .map(|(line, text)| {
            let mut parts = text.split_whitespace().map(str::to_owned);
            match (parts.next(), parts.next(), parts.next()) {
                (Some(left), Some(right), None) => Ok((left, right)),
                _ => Err(TokenizerError::malformed(
                    &merges_file,
                    format!("line {} is not two symbols", line + 1),
                )),
            }
        });
    let bpe = BPE::builder()
        .vocab_and_merges(
            vocab.0.into_iter().collect::<Vocab>(),
            merges.collect::<Result<Vec<_>, _>>()?,
        )
        .unk_token(config.unk.content.clone())
        .end_of_word_suffix("</w>".to_owned())
        .build()
        .map_err(|error| TokenizerError::malformed(&merges_file, error))?;
    let mut inner = tokenizers::Tokenizer::new(bpe);
    if config.class == Class::FastClip {
        let clip = "a constant that the tests load";
        let normalizer: tokenizers::NormalizerWrapper = serde_json::from_value(json!({
            "type": "Sequence",
            "normalizers": [
                {"type": "NFC"},
                {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                {"type": "Lowercase"},
            ],
        }))
        .expect(clip);
        let words = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
        let pre_tokenizer: tokenizers::PreTokenizerWrapper = serde_json::from_value(json!({
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": words}, "behavior": "Removed", "invert": true},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            ],
        }))
        .expect(clip);
        inner.with_normalizer(Some(normalizer));
        inner.with_pre_tokenizer(Some(pre_tokenizer));
    }
    Ok(inner)
}

/// The bytes of `path`, or nothing if there is no such file.
fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, TokenizerError> {
    match read_file(path, most) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TokenizerError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// The JSON object in `path`; an empty one if there is no such file.
fn read_object(path: &Path) -> Result<Object, TokenizerError> {
    let Some(bytes) = read(path, SETTINGS)? else {
        return Ok(Object::new());
    };
    serde_json::from_slice(&bytes).map_err(|error| TokenizerError::malformed(path, error))
}
