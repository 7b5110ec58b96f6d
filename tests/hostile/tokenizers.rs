//! `tokenizer.json` with parts that grow, nest, or are of a kind that nobody knows.

use serde_json::{Value, json};

use super::files::with;
use super::micro;
use super::values::wrong_values;
use super::watch::{Case, Right};

pub(crate) fn tokenizers() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &str, right, key: &str, value: Value| {
        for class in [
            "CLIPTokenizer",
            "CLIPTokenizerFast",
            "PreTrainedTokenizerFast",
        ] {
            let mut whole = micro::tokenizer();
            whole[key] = value.clone();
            let text = whole.to_string();
            cases.push(Case::new(
                format!("{class}: {key}: {name}"),
                right,
                move |folder| {
                    micro::write(folder);
                    micro::put(folder, "tokenizer/tokenizer.json", &text);
                    let (_, mut index) = micro::configurations().swap_remove(0);
                    index["tokenizer"][1] = json!(class);
                    micro::put(folder, "model_index.json", index.to_string());
                },
            ));
        }
    };
    let replace = |from: &str, to: &str| json!({"type": "Replace", "pattern": {"String": from}, "content": to});
    let sequence = |list: Vec<Value>| json!({"type": "Sequence", "normalizers": list});
    for levels in [5, 12, 24, 40, 64] {
        let growing = (0..levels).map(|_| replace("a", "aa")).collect();
        add(
            &format!("{levels} doublings"),
            Right::Either,
            "normalizer",
            sequence(growing),
        );
        let growing = (0..levels)
            .map(|_| replace("e", &"e".repeat(1000)))
            .collect();
        add(
            &format!("{levels} times a thousand"),
            Right::Either,
            "normalizer",
            sequence(growing),
        );
        let empty = (0..levels)
            .map(|_| json!({"type": "Replace", "pattern": {"Regex": ""}, "content": "ab"}))
            .collect();
        add(
            &format!("{levels} between letters"),
            Right::Either,
            "normalizer",
            sequence(empty),
        );
        let prepends = (0..levels)
            .map(|_| json!({"type": "Prepend", "prepend": "x".repeat(100_000)}))
            .collect();
        add(
            &format!("{levels} long prefixes"),
            Right::Either,
            "normalizer",
            sequence(prepends),
        );
        let mut nested = replace("a", "aa");
        for _ in 0..levels {
            nested = sequence(vec![nested.clone(), replace("a", "aa")]);
        }
        add(
            &format!("{levels} levels"),
            Right::Either,
            "normalizer",
            nested,
        );
    }
    let mut nested = json!({"type": "NFC"});
    for _ in 0..100 {
        nested = sequence(vec![nested]);
    }
    add("100 levels of nothing", Right::Either, "normalizer", nested);
    for pattern in [
        "(a+)+$",
        "(a|a)*b",
        "(?:(?:a*)*)*c",
        "((.*)*)*x",
        "(x+x+)+y",
        "[",
        "(?P<n>",
        "\\",
        "(?<=a+)b",
        "a{1000000000}",
        "(a{1000}){1000}",
        "\\p{Nonsense}",
        "(.)\\1",
        "(?R)",
        "(?<a>\\g<a>)",
        "",
    ] {
        let regex = json!({"Regex": pattern});
        let change = json!({"type": "Replace", "pattern": regex, "content": "z"});
        add(
            &format!("the pattern {pattern}"),
            Right::Either,
            "normalizer",
            change,
        );
        let split =
            json!({"type": "Split", "pattern": regex, "behavior": "Isolated", "invert": false});
        add(
            &format!("the pattern {pattern}"),
            Right::Either,
            "pre_tokenizer",
            split,
        );
    }
    for kind in [
        "Nonsense",
        "",
        "Precompiled",
        "Sequence",
        "Strip",
        "BertNormalizer",
        "ByteLevel",
        "Metaspace",
        "Digits",
        "Punctuation",
        "UnicodeScripts",
        "Whitespace",
        "FixedLength",
        "Fuse",
        "WordPiece",
        "CTC",
        "BPEDecoder",
        "TemplateProcessing",
        "RobertaProcessing",
        "BertProcessing",
        "Unigram",
        "WordLevel",
        "BPE",
    ] {
        for key in [
            "normalizer",
            "pre_tokenizer",
            "post_processor",
            "decoder",
            "model",
        ] {
            add(
                &format!("a bare {kind}"),
                Right::Either,
                key,
                json!({"type": kind}),
            );
        }
    }
    for value in wrong_values() {
        for key in [
            "normalizer",
            "pre_tokenizer",
            "post_processor",
            "decoder",
            "model",
            "added_tokens",
            "truncation",
            "padding",
        ] {
            let name: String = value.to_string().chars().take(40).collect();
            add(&name, Right::Either, key, value.clone());
        }
    }
    let truncation = |length: Value, stride: Value| json!({"direction": "Right", "max_length": length, "strategy": "LongestFirst", "stride": stride});
    add(
        "of nothing",
        Right::Either,
        "truncation",
        truncation(json!(0), json!(0)),
    );
    add(
        "of less than its stride",
        Right::Either,
        "truncation",
        truncation(json!(3), json!(1000)),
    );
    add(
        "of all",
        Right::Either,
        "truncation",
        truncation(json!(u64::MAX), json!(u64::MAX)),
    );
    let padding = |length: Value| json!({"strategy": {"Fixed": length}, "direction": "Right", "pad_to_multiple_of": 0, "pad_id": 0, "pad_type_id": 0, "pad_token": "a"});
    add(
        "to 10^12",
        Right::Either,
        "padding",
        padding(json!(1_000_000_000_000_u64)),
    );
    let model = |change: &dyn Fn(&mut Value)| {
        let mut model = micro::tokenizer()["model"].take();
        change(&mut model);
        model
    };
    type Change = fn(&mut Value);
    let models: &[(&str, Change)] = &[
        ("ids of 2^32 - 1", |m| m["vocab"]["t"] = json!(u32::MAX)),
        ("ids beyond 32 bits", |m| {
            m["vocab"]["t"] = json!(1_u64 << 40)
        }),
        ("ids beyond the table", |m| {
            m["vocab"]["t</w>"] = json!(5000)
        }),
        ("negative ids", |m| m["vocab"]["t"] = json!(-1)),
        ("all of one id", |m| {
            let vocab = m["vocab"].as_object_mut().expect("it is one");
            vocab.values_mut().for_each(|id| *id = json!(7));
        }),
        ("no vocabulary", |m| m["vocab"] = json!({})),
        ("merges of unknown letters", |m| {
            m["merges"] = json!(["ж ж"])
        }),
        ("merges of one part", |m| m["merges"] = json!(["tr"])),
        ("merges of three parts", |m| m["merges"] = json!(["t r e"])),
        ("merges of nothing", |m| m["merges"] = json!([" ", ""])),
        ("merges into nobody", |m| m["merges"] = json!(["a b"])),
        ("a million merges", |m| {
            m["merges"] = json!(vec!["t r"; 1_000_000])
        }),
        ("merges as pairs", |m| {
            m["merges"] = json!([["t", "r"], ["a"]])
        }),
        ("dropout of all", |m| m["dropout"] = json!(1.0)),
        ("dropout of 2", |m| m["dropout"] = json!(2.0)),
        ("dropout of -1", |m| m["dropout"] = json!(-1.0)),
        ("a suffix of a megabyte", |m| {
            m["end_of_word_suffix"] = json!("x".repeat(1 << 20))
        }),
        ("an empty suffix", |m| m["end_of_word_suffix"] = json!("")),
        ("a prefix", |m| m["continuing_subword_prefix"] = json!("##")),
        ("an unknown token that is not there", |m| {
            m["unk_token"] = json!("nobody")
        }),
        ("no unknown token", |m| m["unk_token"] = json!(null)),
        ("bytes for what is not there", |m| {
            m["byte_fallback"] = json!(true)
        }),
        ("a byte that is none", |m| m["type"] = json!("B\u{fffd}E")),
    ];
    for (what, change) in models {
        add(what, Right::Either, "model", model(change));
    }
    let token = |id: Value, content: &str| json!({"id": id, "content": content, "single_word": true, "lstrip": true, "rstrip": true, "normalized": true, "special": false});
    for (what, tokens) in [
        (
            "empty ones",
            json!([token(json!(53), ""), token(json!(54), "")]),
        ),
        (
            "of vast ids",
            json!([token(json!(u32::MAX), "a"), token(json!(u64::MAX), "b")]),
        ),
        (
            "of a megabyte",
            json!([token(json!(60), &"t".repeat(1 << 20))]),
        ),
        (
            "of letters",
            json!([
                token(json!(60), "t"),
                token(json!(61), "r"),
                token(json!(62), " ")
            ]),
        ),
        ("a hundred thousand", {
            let tokens = (0..100_000).map(|n| token(json!(n), &format!("token{n}")));
            Value::Array(tokens.collect())
        }),
        (
            "one twice",
            json!([token(json!(60), "tree"), token(json!(61), "tree")]),
        ),
        ("control characters", json!([token(json!(60), "\0\u{7}\n")])),
    ] {
        add(what, Right::Either, "added_tokens", tokens);
    }
    cases.extend(bytes());
    cases
}

/// `tokenizer.json` with a wrong byte, in the names of its parts above all.
fn bytes() -> Vec<Case> {
    let mut cases = Vec::new();
    let text = micro::tokenizer().to_string().into_bytes();
    let mut random = super::language::fastrand(7);
    let mut places: Vec<usize> = (0..500).map(|_| random() as usize % text.len()).collect();
    let named = text
        .windows(7)
        .enumerate()
        .filter(|(_, window)| *window == b"\"type\":");
    places.extend(named.map(|(at, _)| at + 9));
    for (number, at) in places.into_iter().enumerate() {
        let mut changed = text.clone();
        changed[at] = [0xff, 0xc3, 0, b'"', b'}', b'9'][number % 6];
        let name = format!("byte {at} of tokenizer.json is {:#x}", changed[at]);
        cases.push(with(
            name,
            Right::Either,
            "tokenizer/tokenizer.json",
            changed,
        ));
    }
    cases
}
