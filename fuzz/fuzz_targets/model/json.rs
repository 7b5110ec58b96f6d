//! Changes to the small files that leave them JSON.

use serde_json::{Value, json};

use crate::{Changes, Decisions, Whole};

const TOKENIZER: &str = "tokenizer/tokenizer.json";

pub(crate) fn change(decisions: &mut Decisions<'_>, whole: &Whole, changes: &mut Changes) {
    let files: Vec<&'static str> = whole
        .files
        .keys()
        .copied()
        .filter(|file| file.ends_with("json"))
        .collect();
    let file = decisions.pick(&files);
    edit(whole, changes, file, &mut |value| {
        change_value(decisions, value)
    });
}

/// Parses the file as it is by now, if that can be, and writes it again.
fn edit(
    whole: &Whole,
    changes: &mut Changes,
    file: &'static str,
    change: &mut dyn FnMut(&mut Value),
) {
    let bytes = changes.get(file).unwrap_or(&whole.files[file]);
    let Ok(mut value) = serde_json::from_slice(bytes) else {
        return;
    };
    change(&mut value);
    changes.insert(file, value.to_string().into_bytes());
}

/// Some value within is replaced, or gets one more or less.
fn change_value(decisions: &mut Decisions<'_>, value: &mut Value) {
    descend(decisions, value, 6);
}

fn descend(decisions: &mut Decisions<'_>, value: &mut Value, levels: usize) {
    if levels > 0 && decisions.byte() % 4 != 0 {
        let inner = match &mut *value {
            Value::Object(map) if !map.is_empty() => {
                let at = decisions.below(map.len());
                map.values_mut().nth(at)
            }
            Value::Array(list) if !list.is_empty() => {
                let at = decisions.below(list.len());
                list.get_mut(at)
            }
            _ => None,
        };
        if let Some(inner) = inner {
            return descend(decisions, inner, levels - 1);
        }
    }
    match value {
        Value::Object(map) => match decisions.byte() % 3 {
            0 => {
                let key = map.keys().nth(decisions.below(map.len().max(1))).cloned();
                map.retain(|name, _| Some(name) != key.as_ref());
            }
            1 => {
                map.insert("unknown".into(), simple(decisions));
            }
            _ => *value = simple(decisions),
        },
        Value::Array(list) => match decisions.byte() % 4 {
            0 => {
                list.pop();
            }
            1 => list.push(simple(decisions)),
            2 => list.extend_from_within(..),
            _ => *value = simple(decisions),
        },
        value => *value = simple(decisions),
    }
}

fn simple(decisions: &mut Decisions<'_>) -> Value {
    match decisions.byte() % 20 {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(1_000_000_000_000_u64),
        4 => json!(u64::MAX),
        5 => json!(i64::MIN),
        6 => json!(1e308),
        7 => json!(-1e-320),
        8 => json!(0.5),
        9 => json!("text"),
        10 => json!("a\n\u{202e}"),
        11 => json!([]),
        12 => json!({}),
        13 => json!([1, 2, 3]),
        14 => json!([[0.5, 0.5, 0.5]]),
        15 => json!("<|endoftext|>"),
        16 => {
            let names = [
                "EulerDiscreteScheduler",
                "EulerAncestralDiscreteScheduler",
                "DPMSolverMultistepScheduler",
                "LCMScheduler",
                "FlowMatchEulerDiscreteScheduler",
                "PNDMScheduler",
                "DDPMScheduler",
                "v_prediction",
                "sample",
                "linear",
                "squaredcos_cap_v2",
                "trailing",
                "leading",
                "linspace",
                "euler",
                "dpm++2m",
                "lcm",
                "AutoencoderTiny",
                "CLIPTokenizerFast",
                "PreTrainedTokenizerFast",
            ];
            json!(decisions.pick(&names))
        }
        _ => json!(decisions.byte()),
    }
}

pub(crate) fn change_tokenizer(
    decisions: &mut Decisions<'_>,
    whole: &Whole,
    changes: &mut Changes,
) {
    if decisions.byte() % 2 == 0 {
        edit(whole, changes, "model_index.json", &mut |value| {
            if value.is_object() {
                value["tokenizer"] = json!(["transformers", "CLIPTokenizerFast"]);
            }
        });
    }
    edit(whole, changes, TOKENIZER, &mut |value| {
        if !value.is_object() {
            return;
        }
        match decisions.byte() % 6 {
            0 => value["normalizer"] = part(decisions, 0),
            1 => value["pre_tokenizer"] = part(decisions, 0),
            2 => value["post_processor"] = part(decisions, 0),
            3 => value["decoder"] = part(decisions, 0),
            4 => change_value(decisions, &mut value["model"]),
            _ => value["added_tokens"] = tokens(decisions),
        }
    });
}

fn tokens(decisions: &mut Decisions<'_>) -> Value {
    let texts = [
        "",
        "t",
        "tr",
        " ",
        "\n",
        "<|endoftext|>",
        "<|startoftext|>",
        "tree",
        "\u{0}",
    ];
    let count = decisions.below(4);
    let mut flag = || decisions.byte() % 2 == 0;
    let tokens = (0..count).map(|_| {
        let flags = [flag(), flag(), flag(), flag(), flag()];
        json!({"single_word": flags[0], "lstrip": flags[1], "rstrip": flags[2], "normalized": flags[3], "special": flags[4]})
    });
    let mut tokens: Vec<Value> = tokens.collect();
    for token in &mut tokens {
        token["id"] = if decisions.byte() % 4 == 0 {
            simple(decisions)
        } else {
            json!(53 + decisions.byte() % 4)
        };
        token["content"] = json!(decisions.pick(&texts));
    }
    Value::Array(tokens)
}

/// A normalizer, pre-tokenizer, post-processor or decoder: they share names.
pub(crate) fn part(decisions: &mut Decisions<'_>, depth: usize) -> Value {
    let patterns = [
        "a", "t", "", " ", "[\\s]", "(a+)+$", "(x+x+)+y", "\\p{L}+", "(", "a{99999}", "(?=t)", ".",
        "\\b", "(.)\\1",
    ];
    let pattern = if decisions.byte() % 2 == 0 {
        json!({"String": decisions.pick(&patterns)})
    } else {
        json!({"Regex": decisions.pick(&patterns)})
    };
    let texts = ["", "aa", "tree", " ", "\u{0}", "▁"];
    let content = decisions.pick(&texts);
    let flag = decisions.byte() % 2 == 0;
    match decisions.byte() % 24 {
        0..=3 if depth < 4 => {
            let count = decisions.below(6);
            let parts: Vec<Value> = (0..count).map(|_| part(decisions, depth + 1)).collect();
            let key = decisions.pick(&["normalizers", "pretokenizers", "processors", "decoders"]);
            json!({"type": "Sequence", key: parts})
        }
        4..=7 => json!({"type": "Replace", "pattern": pattern, "content": content}),
        8 => {
            let behavior = decisions.pick(&[
                "Removed",
                "Isolated",
                "MergedWithPrevious",
                "MergedWithNext",
                "Contiguous",
                "x",
            ]);
            json!({"type": "Split", "pattern": pattern, "behavior": behavior, "invert": flag})
        }
        9 => json!({"type": "Prepend", "prepend": content}),
        10 => {
            json!({"type": "Strip", "strip_left": flag, "strip_right": true, "content": "a", "start": decisions.byte(), "stop": decisions.byte()})
        }
        11 => {
            json!({"type": "ByteLevel", "add_prefix_space": flag, "trim_offsets": true, "use_regex": flag})
        }
        12 => {
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": decisions.pick(&["always", "first", "never"]), "split": flag})
        }
        13 => {
            json!({"type": "BertNormalizer", "clean_text": flag, "handle_chinese_chars": true, "strip_accents": flag, "lowercase": true})
        }
        14 => json!({"type": "Digits", "individual_digits": flag}),
        15 => {
            json!({"type": "Precompiled", "precompiled_charsmap": decisions.pick(&["", "AAAA", "//////8=", "ALQCAACEAAAAAACAAQ=="])})
        }
        16 => json!({"type": "FixedLength", "length": decisions.byte()}),
        17 => json!({"type": "CharDelimiterSplit", "delimiter": "t"}),
        18 => {
            json!({"type": "RobertaProcessing", "sep": [content, decisions.byte()], "cls": ["<|startoftext|>", 53], "trim_offsets": flag, "add_prefix_space": flag})
        }
        19 => {
            json!({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {}})
        }
        20 => {
            json!({"type": decisions.pick(&["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "Whitespace", "UnicodeScripts"])})
        }
        21 => {
            json!({"type": decisions.pick(&["WordPiece", "CTC", "BPEDecoder", "Fuse", "ByteFallback"]), "prefix": content, "suffix": content, "cleanup": flag})
        }
        22 => simple(decisions),
        _ => json!({"type": content}),
    }
}
