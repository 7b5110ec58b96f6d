//! Token ids against transformers' on 200 prompts, and what happens with bad files and long prompts.
//!
//! The goldens are made by `python -m easel_export.goldens.tokenizer`.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use easel::tokenizer::{MAX_CHUNKS, Tokenizer, TokenizerError};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

const MAX_LENGTH: usize = 77;

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tokenizer")
}

#[derive(Clone, Copy, Debug)]
enum Layout {
    TokenizerJson,
    VocabAndMerges,
}

/// A model directory with nothing but the tokenizer; `kind` is `sd1` or `sd2`.
fn model(layout: Layout, kind: &str, class: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let index = json!({"tokenizer": ["transformers", class]});
    fs::write(dir.path().join("model_index.json"), index.to_string()).unwrap();
    let tokenizer = dir.path().join("tokenizer");
    fs::create_dir(&tokenizer).unwrap();
    let copy = |from: PathBuf, name: &str| fs::copy(from.join(name), tokenizer.join(name)).unwrap();
    match layout {
        Layout::TokenizerJson => {
            copy(goldens(), "tokenizer.json");
        }
        Layout::VocabAndMerges => {
            copy(goldens(), "vocab.json");
            copy(goldens(), "merges.txt");
        }
    }
    copy(goldens().join(kind), "tokenizer_config.json");
    copy(goldens().join(kind), "special_tokens_map.json");
    dir
}

fn write(dir: &TempDir, name: &str, content: impl AsRef<[u8]>) {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// One golden: the prompt and a way to its ids, padded, by kind and class.
struct Golden(Value);

impl Golden {
    fn prompt(&self) -> &str {
        self.0["prompt"].as_str().unwrap()
    }

    fn ids(&self, kind: &str, fast: bool, pad: u32) -> Vec<u32> {
        let slow = self.0.get(kind).unwrap_or(&self.0["sd1"]);
        let quick = self.0.get(format!("{kind}_fast")).filter(|_| fast);
        let mut ids: Vec<u32> = serde_json::from_value(quick.unwrap_or(slow).clone()).unwrap();
        ids.resize(MAX_LENGTH, pad);
        ids
    }
}

fn all_goldens() -> Vec<Golden> {
    let text = fs::read_to_string(goldens().join("prompts.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(rows.len(), 200);
    rows.into_iter().map(Golden).collect()
}

#[test]
fn ids_equal_transformers() {
    let vocab = fs::read_to_string(goldens().join("vocab.json")).unwrap();
    let vocab: Value = serde_json::from_str(&vocab).unwrap();
    let eos = vocab["<|endoftext|>"].as_u64().unwrap() as u32;
    let mut wrong = Vec::new();
    for layout in [Layout::TokenizerJson, Layout::VocabAndMerges] {
        for (kind, pad) in [("sd1", eos), ("sd2", 0)] {
            for class in ["CLIPTokenizer", "CLIPTokenizerFast"] {
                let dir = model(layout, kind, class);
                let tokenizer = Tokenizer::load(dir.path()).unwrap();
                assert_eq!(tokenizer.max_length(), MAX_LENGTH);
                for golden in all_goldens() {
                    let ids = tokenizer.encode_plain(golden.prompt()).unwrap();
                    let expected = golden.ids(kind, class.ends_with("Fast"), pad);
                    if ids != expected {
                        wrong.push(format!(
                            "{layout:?} {kind} {class} {:?}\n  {ids:?}\n  {expected:?}",
                            golden.prompt()
                        ));
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of 1600 differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// A model directory with nothing but a tokenizer of T5, of this class, with this file of the goldens.
fn t5(class: &str, file: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let index = json!({"tokenizer": ["transformers", class]});
    write(&dir, "model_index.json", index.to_string());
    let folder = goldens().with_file_name("t5");
    let name = Path::new(file).file_name().unwrap().to_str().unwrap();
    let content = fs::read(folder.join(file)).unwrap();
    write(&dir, &format!("tokenizer/{name}"), content);
    write(
        &dir,
        "tokenizer/tokenizer_config.json",
        json!({"model_max_length": 120}).to_string(),
    );
    dir
}

#[test]
fn t5s_ids_equal_transformers() {
    let text = fs::read_to_string(goldens().with_file_name("t5/prompts.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(rows.len() >= 200);
    let mut wrong = Vec::new();
    for (class, file, forms) in [
        ("T5Tokenizer", "spiece.model", &["spiece"][..]),
        ("T5TokenizerFast", "spiece.model", &["new", "spiece"]),
        ("T5TokenizerFast", "new/tokenizer.json", &["new", "spiece"]),
        (
            "T5TokenizerFast",
            "old/tokenizer.json",
            &["old", "new", "spiece"],
        ),
    ] {
        let tokenizer = Tokenizer::load(t5(class, file).path()).unwrap();
        assert_eq!(tokenizer.max_length(), 120);
        for row in &rows {
            let prompt = row["prompt"].as_str().unwrap();
            let expected = forms.iter().find_map(|form| row.get(form)).unwrap();
            let mut expected: Vec<u32> = serde_json::from_value(expected.clone()).unwrap();
            expected.resize(120, 0);
            let ids = tokenizer.encode_plain(prompt).unwrap();
            if ids != expected {
                wrong.push(format!(
                    "{class} {file} {prompt:?}\n  {ids:?}\n  {expected:?}"
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_long_prompt_is_one_chunk_for_t5() {
    let tokenizer = Tokenizer::load(t5("T5Tokenizer", "spiece.model").path()).unwrap();
    let encoded = tokenizer
        .encode_within("a cat (and a dog:1.5)", 16)
        .unwrap();
    let [chunk] = encoded.chunks() else {
        panic!("one chunk")
    };
    assert_eq!((chunk.ids.len(), chunk.weights[0]), (16, 1.0));
    assert!(chunk.is_weighted() && chunk.ids[chunk.length - 1] == 1);
    assert!(chunk.ids[chunk.length..].iter().all(|id| *id == 0));
    assert!(
        chunk.weights[chunk.length - 1..]
            .iter()
            .all(|weight| *weight == 1.0)
    );
    let cut = tokenizer.encode_within(&"a house ".repeat(40), 16).unwrap();
    assert_eq!(cut.chunks()[0].length, 16);
    let warning = cut.warning().unwrap();
    assert!(
        warning.contains("cut to 15") && warning.contains("house"),
        "{warning}"
    );
}

static SLOW: LazyLock<Tokenizer> = LazyLock::new(|| {
    Tokenizer::load(model(Layout::VocabAndMerges, "sd1", "CLIPTokenizer").path()).unwrap()
});
static FAST: LazyLock<Tokenizer> = LazyLock::new(|| {
    Tokenizer::load(model(Layout::TokenizerJson, "sd2", "CLIPTokenizerFast").path()).unwrap()
});

#[test]
fn an_unweighted_prompt_is_encoded_plainly() {
    for golden in all_goldens() {
        let prompt = golden.prompt();
        if prompt.contains(['(', ')', '[', ']', '\\']) {
            continue;
        }
        let encoded = SLOW.encode(prompt).unwrap();
        assert!(encoded.chunks().iter().all(|chunk| !chunk.is_weighted()));
        // The first chunk of a long prompt is where the plain encoding is cut.
        assert_eq!(
            encoded.chunks()[0].ids,
            SLOW.encode_plain(prompt).unwrap(),
            "{prompt:?}"
        );
    }
}

#[test]
fn weights_lie_on_the_tokens_of_their_run() {
    let encoded = SLOW.encode("a (cat:1.5) [cat]").unwrap();
    let [chunk] = encoded.chunks() else {
        panic!("one chunk")
    };
    assert_eq!(chunk.ids, SLOW.encode_plain("a cat cat").unwrap());
    assert_eq!(chunk.weights[..3], [1.0, 1.0, 1.5]);
    assert!((chunk.weights[3] - 1.0 / 1.1).abs() < 1e-6);
    assert!(chunk.weights[4..].iter().all(|w| *w == 1.0));
    assert!(chunk.is_weighted());
}

#[test]
fn a_long_prompt_goes_on_in_further_chunks() {
    let room = MAX_LENGTH - 2;
    let words = |n: usize| "cat ".repeat(n);
    let cat = SLOW.encode_plain("cat").unwrap();
    let (bos, id, eos) = (cat[0], cat[1], cat[2]);
    for (count, chunks) in [
        (0, 1),
        (1, 1),
        (room, 1),
        (room + 1, 2),
        (2 * room, 2),
        (MAX_CHUNKS * room, MAX_CHUNKS),
    ] {
        let encoded = SLOW.encode(&words(count)).unwrap();
        assert_eq!(encoded.chunks().len(), chunks, "{count} words");
        assert_eq!(encoded.warning(), None, "{count} words");
        let cats = |ids: &[u32]| ids.iter().filter(|i| **i == id).count();
        assert_eq!(
            encoded.chunks().iter().map(|c| cats(&c.ids)).sum::<usize>(),
            count
        );
        for chunk in encoded.chunks() {
            assert_eq!(
                (chunk.ids.len(), chunk.weights.len()),
                (MAX_LENGTH, MAX_LENGTH)
            );
            assert_eq!((chunk.ids[0], chunk.ids[cats(&chunk.ids) + 1]), (bos, eos));
        }
    }
    let long = words(MAX_CHUNKS * room - 2) + "red apples and what nobody will see";
    let cut = SLOW.encode(&long).unwrap();
    assert_eq!(cut.chunks().len(), MAX_CHUNKS);
    let warning = cut.warning().unwrap();
    assert!(
        warning.contains("is cut to 600, after \"") && warning.contains("cat red"),
        "{warning}"
    );
    assert!(
        !warning.contains("nobody") && !warning.contains('\n'),
        "{warning}"
    );

    let mut short = SLOW.encode("cat").unwrap();
    SLOW.lengthen(&mut short, 3);
    assert_eq!(short.chunks().len(), 3);
    SLOW.lengthen(&mut short, 2);
    assert_eq!(short.chunks().len(), 3, "nothing is taken away");
    assert_eq!(short.chunks()[2].ids, SLOW.encode_plain("").unwrap());
}

#[test]
fn a_prompt_of_a_megabyte_is_encoded() {
    for unit in [
        "a",
        "a ",
        "(",
        "é",
        "漢",
        "\u{200d}",
        "!",
        "<|endoftext|>",
        "(a:1.2) ",
    ] {
        let prompt = unit.repeat((1 << 20) / unit.len());
        for tokenizer in [&*SLOW, &*FAST] {
            assert!(tokenizer.encode(&prompt).unwrap().chunks().len() <= MAX_CHUNKS);
        }
    }
}

#[test]
fn the_maximal_length_is_found() {
    let cases = [
        (Some(json!(77)), None, 77),
        (Some(json!(1e30)), None, 77),
        (None, None, 77),
        (None, Some(32), 32),
        (Some(json!(1e30)), Some(32), 32),
        (Some(json!(16)), Some(32), 16),
        (Some(json!(77)), Some(32), 32),
    ];
    for (config, positions, expected) in cases {
        let dir = model(Layout::TokenizerJson, "sd1", "CLIPTokenizer");
        let object = config
            .as_ref()
            .map_or(json!({}), |n| json!({"model_max_length": n}));
        write(&dir, "tokenizer/tokenizer_config.json", object.to_string());
        if let Some(positions) = positions {
            let object = json!({"max_position_embeddings": positions});
            write(&dir, "text_encoder/config.json", object.to_string());
        }
        let tokenizer = Tokenizer::load(dir.path()).unwrap();
        assert_eq!(tokenizer.max_length(), expected, "{config:?} {positions:?}");
        assert_eq!(tokenizer.encode_plain("a cat").unwrap().len(), expected);
    }
}

#[test]
fn a_bad_file_is_named_in_one_line() {
    let cases: &[(&str, &str, &str)] = &[
        ("tokenizer/tokenizer.json", "{", "tokenizer.json"),
        ("tokenizer/tokenizer.json", "{}", "tokenizer.json"),
        ("tokenizer/vocab.json", "{\"a\":", "vocab.json"),
        ("tokenizer/vocab.json", "{\"a\": -1}", "vocab.json"),
        ("tokenizer/vocab.json", "[1]", "vocab.json"),
        ("tokenizer/vocab.json", "{}", "merges.txt"),
        ("tokenizer/merges.txt", "#version\na b c\n", "line 2"),
        (
            "tokenizer/merges.txt",
            "#version\nnot there\n",
            "merges.txt",
        ),
        (
            "tokenizer/tokenizer_config.json",
            "nonsense",
            "tokenizer_config.json",
        ),
        (
            "tokenizer/tokenizer_config.json",
            "{\"pad_token\": 3}",
            "pad_token",
        ),
        (
            "tokenizer/tokenizer_config.json",
            "{\"model_max_length\": 2}",
            "model_max_length",
        ),
        (
            "tokenizer/tokenizer_config.json",
            "{\"padding_side\": \"left\"}",
            "padding_side",
        ),
        (
            "tokenizer/tokenizer_config.json",
            "{\"added_tokens_decoder\": {\"x\": {}}}",
            "added_tokens_decoder",
        ),
        (
            "tokenizer/special_tokens_map.json",
            "{\"bos_token\": \"<start>\"}",
            "bos token \"<start>\"",
        ),
        (
            "tokenizer/added_tokens.json",
            "{\"<x>\": \"y\"}",
            "added_tokens.json",
        ),
        (
            "model_index.json",
            "{\"tokenizer\": [\"transformers\", \"GPT2Tokenizer\"]}",
            "GPT2Tokenizer",
        ),
        ("model_index.json", "[]", "model_index.json"),
        ("text_encoder/config.json", "\u{0}", "config.json"),
    ];
    for (name, content, expected) in cases {
        let dir = model(Layout::VocabAndMerges, "sd1", "CLIPTokenizer");
        if *name == "tokenizer/tokenizer_config.json" {
            fs::remove_file(dir.path().join("tokenizer/special_tokens_map.json")).unwrap();
        }
        write(&dir, name, content);
        let message = Tokenizer::load(dir.path()).err().expect(name).to_string();
        assert!(
            message.contains(expected) && !message.contains('\n'),
            "{name} {content}: {message}"
        );
    }
}

#[test]
fn a_missing_tokenizer_is_said_so() {
    let empty = TempDir::new().unwrap();
    assert!(matches!(
        Tokenizer::load(empty.path()),
        Err(TokenizerError::Missing { .. })
    ));
    let half = model(Layout::VocabAndMerges, "sd1", "CLIPTokenizer");
    fs::remove_file(half.path().join("tokenizer/merges.txt")).unwrap();
    assert!(matches!(
        Tokenizer::load(half.path()),
        Err(TokenizerError::Missing { .. })
    ));
}

#[test]
fn a_fast_tokenizer_must_frame_its_text() {
    let dir = model(Layout::TokenizerJson, "sd1", "PreTrainedTokenizerFast");
    let path = dir.path().join("tokenizer/tokenizer.json");
    let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert!(Tokenizer::load(dir.path()).is_ok());
    file["post_processor"] = Value::Null;
    fs::write(&path, file.to_string()).unwrap();
    assert!(matches!(
        Tokenizer::load(dir.path()),
        Err(TokenizerError::Unsupported { .. })
    ));
}

/// The golden `tokenizer.json`, changed.
fn changed(class: &str, change: impl FnOnce(&mut Value)) -> Result<Tokenizer, TokenizerError> {
    let dir = model(Layout::TokenizerJson, "sd1", class);
    let path = dir.path().join("tokenizer/tokenizer.json");
    let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut file);
    fs::write(&path, file.to_string()).unwrap();
    Tokenizer::load(dir.path())
}

/// What would grow without bound, never end, or panic in the `tokenizers` crate.
#[test]
fn a_hostile_tokenizer_is_refused_in_one_line() {
    let replace = |pattern: Value, content: &str| json!({"type": "Replace", "pattern": pattern, "content": content});
    let sequence = |steps: Vec<Value>| json!({"type": "Sequence", "normalizers": steps});
    let mut nested = json!({"type": "NFC"});
    for _ in 0..60 {
        nested = sequence(vec![nested.clone(), nested]);
        if nested.to_string().len() > 100_000 {
            break;
        }
    }
    let mut deep = json!({"type": "NFC"});
    for _ in 0..100 {
        deep = sequence(vec![deep]);
    }
    let split = |pattern: &str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    let double = || replace(json!({"String": "a"}), "aa");
    let cases: Vec<(&str, Value, &str)> = vec![
        ("/normalizer", sequence(vec![double(); 10]), "\"Replace\""),
        (
            "/normalizer",
            sequence(vec![sequence(vec![double(); 8]); 8]),
            "\"Replace\"",
        ),
        (
            "/normalizer",
            replace(json!({"Regex": ""}), "a"),
            "\"Replace\"",
        ),
        (
            "/normalizer",
            replace(json!({"Regex": r"\s+"}), "much more"),
            "\"Replace\"",
        ),
        ("/normalizer", nested, "normalizer"),
        ("/normalizer", deep, "recursion"),
        (
            "/normalizer",
            json!({"type": "Precompiled", "precompiled_charsmap": "AA=="}),
            "Precompiled",
        ),
        (
            "/normalizer",
            json!({"type": "Prepend", "prepend": "x"}),
            "Prepend",
        ),
        ("/pre_tokenizer", split("(a|aa)+(?!b)"), "\"Split\""),
        ("/pre_tokenizer", split(r"(a*)*\1"), "\"Split\""),
        (
            "/pre_tokenizer",
            split("(?:(?:a{1000}){1000}){1000}"),
            "\"Split\"",
        ),
        (
            "/pre_tokenizer",
            json!({"type": "Sequence", "pretokenizers": vec![bytes; 3]}),
            "\"ByteLevel\"",
        ),
        (
            "/pre_tokenizer",
            json!({"type": "Metaspace", "replacement": "_"}),
            "Metaspace",
        ),
        ("/model/type", json!("Unigram"), "Unigram"),
        ("/model/type", json!("WordPiece"), "WordPiece"),
        ("/model/dropout", json!(0.5), "dropout"),
        (
            "/model/continuing_subword_prefix",
            json!("éé"),
            "continuing_subword_prefix",
        ),
        ("/model/unk_token", json!("none such"), "none such"),
        ("/model/vocab", json!({"a": u32::MAX}), "4294967295"),
        (
            "/model/vocab",
            json!({"a": 1_000_000_000_000_u64}),
            "1000000000000",
        ),
        ("/model/vocab", json!([["a", 0.5]]), "vocab"),
        ("/model/vocab", json!([["a", "b"]]), "\"b\""),
        ("/model/merges", json!(["no such"]), "vocabulary"),
        ("/model/merges", json!(["alone"]), "alone"),
        ("/added_tokens", json!([{"content": ""}]), "token"),
        (
            "/added_tokens",
            json!([{"content": "x".repeat(1 << 16)}]),
            "token",
        ),
        (
            "/added_tokens",
            json!(vec![json!({"content": "x"}); 5000]),
            "more than 1024",
        ),
        ("/post_processor", json!({"type": "Strange"}), "Strange"),
    ];
    for class in ["CLIPTokenizer", "CLIPTokenizerFast"] {
        for (place, value, says) in &cases {
            let loaded = changed(class, |file| {
                *file.pointer_mut(place).expect("it has it") = value.clone()
            });
            let said = loaded
                .err()
                .unwrap_or_else(|| panic!("{place} {says}"))
                .to_string();
            assert!(
                said.contains("tokenizer.json") && said.contains(says) && !said.contains('\n'),
                "{place}: {said}"
            );
        }
    }
}

/// The decoder is not read: a byte that is no text is told of, and a kind that nobody knows is not.
#[test]
fn a_decoder_is_nobodys_business_but_its_text() {
    let strange = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aaaa"});
    changed("CLIPTokenizer", |file| file["decoder"] = strange).unwrap();
    let dir = model(Layout::TokenizerJson, "sd1", "CLIPTokenizer");
    let path = dir.path().join("tokenizer/tokenizer.json");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes
        .windows(9)
        .position(|part| part == b"\"decoder\"")
        .unwrap();
    let at = at
        + bytes[at..]
            .windows(9)
            .position(|part| part == b"ByteLevel")
            .unwrap();
    bytes[at] = 0xff;
    fs::write(&path, bytes).unwrap();
    let said = Tokenizer::load(dir.path()).err().unwrap().to_string();
    assert!(said.contains("is no UTF-8 text"), "{said}");
}

/// What others have in their files and is harmless.
#[test]
fn what_is_on_the_list_is_read_as_before() {
    let plain = changed("CLIPTokenizerFast", |_| {}).unwrap();
    let same = changed("CLIPTokenizerFast", |file| {
        let normalizer = file["normalizer"].take();
        file["normalizer"] = json!({"type": "Sequence", "normalizers": [normalizer, {"type": "NFC"}]});
        let cls = file["post_processor"]["cls"].clone();
        let sep = file["post_processor"]["sep"].clone();
        let special = |token: &Value| json!({"id": token[0], "ids": [token[1]], "tokens": [token[0]]});
        file["post_processor"] = json!({
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": cls[0], "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": sep[0], "type_id": 0}},
            ],
            "pair": [],
            "special_tokens": {cls[0].as_str().unwrap(): special(&cls), sep[0].as_str().unwrap(): special(&sep)},
        });
        let merges = file["model"]["merges"].as_array_mut().unwrap();
        for merge in merges {
            let pair: Vec<Value> = match merge.as_str() {
                Some(line) => line.split(' ').map(Value::from).collect(),
                None => continue,
            };
            *merge = Value::from(pair);
        }
    })
    .unwrap();
    for golden in all_goldens() {
        let ids = |tokenizer: &Tokenizer| tokenizer.encode_plain(golden.prompt()).unwrap();
        assert_eq!(ids(&plain), ids(&same), "{:?}", golden.prompt());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_is_encoded(chars in prop::collection::vec(any::<char>(), 0..200)) {
        let prompt: String = chars.into_iter().collect();
        for tokenizer in [&*SLOW, &*FAST] {
            prop_assert_eq!(tokenizer.encode_plain(&prompt).unwrap().len(), MAX_LENGTH);
            for chunk in tokenizer.encode(&prompt).unwrap().chunks() {
                prop_assert_eq!(chunk.ids.len(), MAX_LENGTH);
                prop_assert!(chunk.weights.iter().all(|w| w.is_finite() && *w > 0.0));
            }
        }
    }

    /// Damage anywhere in any file is an error or is harmless; it is never a panic.
    #[test]
    fn damaged_files_do_not_panic(
        name in prop::sample::select(vec!["vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.json"]),
        fast: bool,
        place in 0.0..1.0f64,
        bytes in prop::collection::vec(any::<u8>(), 0..4),
        cut: bool,
    ) {
        let layout = if name == "tokenizer.json" { Layout::TokenizerJson } else { Layout::VocabAndMerges };
        let dir = model(layout, "sd1", if fast { "CLIPTokenizerFast" } else { "CLIPTokenizer" });
        let path = dir.path().join("tokenizer").join(name);
        let mut content = fs::read(&path).unwrap();
        let at = (place * content.len() as f64) as usize;
        let end = if cut { content.len() } else { (at + 1).min(content.len()) };
        content.splice(at..end, bytes);
        fs::write(&path, content).unwrap();
        if let Ok(tokenizer) = Tokenizer::load(dir.path()) {
            tokenizer.encode("a (red) cat").unwrap();
        }
    }
}
