//! The small files of a model, and what may stand where a file should.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::micro::{self, DECODER, TEXT_ENCODER, UNET};
use crate::outsiders::pipe;
use crate::watch::{Case, Right};

const EVERY_FILE: [&str; 11] = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "unet/config.json",
    "vae_decoder/config.json",
    "text_encoder/config.json",
    "easel.json",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
    UNET,
    TEXT_ENCODER,
    DECODER,
];

/// What is no file, or no file of a sensible size.
pub(crate) fn no_files() -> Vec<Case> {
    type Change = fn(&Path);
    let changes: &[(&str, Right, Change)] = &[
        ("a pipe", Right::Refused, |path| pipe(path)),
        ("a link to a pipe", Right::Refused, |path| {
            pipe(&path.with_extension("pipe"));
            symlink(path.with_extension("pipe"), path).expect("a link");
        }),
        ("a device without end", Right::Refused, |path| {
            symlink("/dev/zero", path).expect("a link");
        }),
        ("the terminal", Right::Refused, |path| {
            symlink("/dev/tty", path).expect("a link")
        }),
        ("the process' input", Right::Refused, |path| {
            symlink("/dev/stdin", path).expect("a link")
        }),
        ("an empty device", Right::Refused, |path| {
            symlink("/dev/null", path).expect("a link")
        }),
        ("a folder", Right::Refused, |path| {
            fs::create_dir(path).expect("a folder")
        }),
        ("a link to itself", Right::Refused, |path| {
            symlink(path, path).expect("a link")
        }),
        ("a link to nothing", Right::Either, |path| {
            symlink("nothing", path).expect("a link")
        }),
        ("20 GiB of nothing", Right::Refused, |path| {
            sparse(path, 20 << 30)
        }),
        ("a GiB of nothing", Right::Refused, |path| {
            sparse(path, 1 << 30)
        }),
        ("8 EiB less a byte", Right::Refused, |path| {
            // Where the file system takes no such size, the file stays empty, which is refused as well.
            let file = File::create(path).expect("a file");
            let _ = file
                .set_len(i64::MAX as u64)
                .or_else(|_| file.set_len(1 << 43));
        }),
        ("empty", Right::Refused, |path| sparse(path, 0)),
        ("one byte", Right::Refused, |path| {
            fs::write(path, "\0").expect("written")
        }),
        ("a page of an error", Right::Refused, |path| {
            fs::write(path, "<html>404 Not Found</html>").expect("written");
        }),
        ("a pointer of Git LFS", Right::Refused, |path| {
            let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n";
            fs::write(path, pointer).expect("written");
        }),
        ("unreadable bytes", Right::Refused, |path| {
            fs::write(path, [0xff; 4096]).expect("written");
        }),
        ("missing", Right::Either, |_| {}),
    ];
    let mut cases = Vec::new();
    for file in EVERY_FILE {
        for (what, right, change) in changes {
            // Where a file may be missing, a link to nothing is as good.
            cases.push(
                Case::new(format!("{file} is {what}"), *right, move |folder| {
                    micro::write(folder);
                    let path = folder.join(file);
                    fs::remove_file(&path).expect("it is there");
                    change(&path);
                })
                .saying(if *right == Right::Refused {
                    std::slice::from_ref(&file)
                } else {
                    &[]
                }),
            );
        }
    }
    for (what, files) in [
        ("nothing", &[][..]),
        ("a file of a name alone", &["README.md"][..]),
    ] {
        cases.push(Case::new(
            format!("a folder of {what}"),
            Right::Refused,
            move |folder| {
                for file in files {
                    micro::put(folder, file, "text");
                }
            },
        ));
    }
    cases
}

fn sparse(path: &Path, size: u64) {
    let file = File::create(path).expect("a file");
    file.set_len(size).expect("a sparse file");
}

/// JSON that is none, or none to be read.
pub(crate) fn no_json() -> Vec<Case> {
    let mut cases = Vec::new();
    let deep = |open: &str, close: &str, n: usize| format!("{}{}", open.repeat(n), close.repeat(n));
    let texts: Vec<(&str, Right, String)> = vec![
        (
            "brackets 100 000 deep",
            Right::Refused,
            deep("[", "]", 100_000),
        ),
        (
            "objects 100 000 deep",
            Right::Refused,
            deep("{\"a\":", "}", 100_000),
        ),
        (
            "a value 100 000 deep",
            Right::Refused,
            format!("{{\"_x\": {}}}", deep("[", "]", 100_000)),
        ),
        (
            "brackets 120 deep",
            Right::Either,
            format!("{{\"_x\": {}}}", deep("[", "]", 120)),
        ),
        ("open brackets", Right::Refused, "[".repeat(1_000_000)),
        (
            "20 MB of spaces",
            Right::Either,
            format!("{}{{}}", " ".repeat(20 << 20)),
        ),
        (
            "20 MB of text",
            Right::Either,
            format!("{{\"_x\": \"{}\"}}", "x".repeat(20 << 20)),
        ),
        ("a list", Right::Refused, "[1,2,3]".into()),
        ("a number", Right::Refused, "1e999".into()),
        ("null", Right::Refused, "null".into()),
        ("text", Right::Refused, "\"text\"".into()),
        ("two objects", Right::Refused, "{}{}".into()),
        (
            "a lone surrogate",
            Right::Refused,
            "{\"\\ud800\": 1}".into(),
        ),
        ("NaN", Right::Refused, "{\"_x\": NaN}".into()),
        ("a million keys", Right::Either, {
            let keys: Vec<String> = (0..1_000_000).map(|n| format!("\"k{n}\":0")).collect();
            format!("{{{}}}", keys.join(","))
        }),
        (
            "a vast number",
            Right::Either,
            format!("{{\"_x\": {}}}", "9".repeat(100_000)),
        ),
        ("a mark of byte order", Right::Either, "\u{feff}{}".into()),
    ];
    for file in EVERY_FILE.iter().filter(|file| file.ends_with("json")) {
        for (what, right, text) in &texts {
            // A tokenizer's own parser, and an empty object where all keys are optional.
            let case = with(format!("{file} is {what}"), *right, file, text.clone());
            cases.push(if *right == Right::Refused {
                case.saying(std::slice::from_ref(file))
            } else {
                case
            });
        }
        cases.push(with(
            format!("{file} is no UTF-8"),
            Right::Refused,
            file,
            b"{\"a\": \"\xff\xfe\"}",
        ));
    }
    cases
}

fn with(
    name: impl Into<String>,
    right: Right,
    file: &'static str,
    bytes: impl AsRef<[u8]> + 'static,
) -> Case {
    Case::new(name, right, move |folder| {
        micro::write(folder);
        micro::put(folder, file, &bytes);
    })
}

/// Values that no key has, and those that have a meaning that is not theirs.
fn wrong_values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1),
        json!(2),
        json!(3),
        json!(1000),
        json!(65_537),
        json!(4_294_967_296_u64),
        json!(1_000_000_000_000_u64),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(0.5),
        json!(1e30),
        json!(1e308),
        json!(-1e308),
        json!(1e-320),
        json!("4"),
        json!("nan"),
        json!("a\nb\u{202e}\u{7}"),
        json!("x".repeat(100_000)),
        json!([]),
        json!([0]),
        json!([1, 2, 3]),
        json!([-1, 1_000_000_000_000_u64]),
        json!(["a", null]),
        json!([[[[1]]]]),
        json!({}),
        json!({"type": "Sequence"}),
    ]
}

/// Every value of every small file, and keys that are not in them.
pub(crate) fn values() -> Vec<Case> {
    let mut cases = Vec::new();
    for (file, whole) in micro::configurations() {
        let mut places = Vec::new();
        find(&whole, &mut Vec::new(), &mut places);
        for extra in EXTRA_KEYS.iter().filter(|(of, _)| *of == file) {
            places.extend(extra.1.iter().map(|key| vec![(*key).to_owned()]));
        }
        for place in places {
            let shown = place.join(".");
            // One letter of the vocabulary is as good as another.
            if shown.contains("vocab.") && !shown.contains("vocab.a") && !shown.contains("vocab.<")
            {
                continue;
            }
            for wrong in wrong_values() {
                let mut changed = whole.clone();
                *reach(&mut changed, &place) = wrong.clone();
                let value: String = wrong.to_string().chars().take(40).collect();
                let name = format!("{file}: {shown} = {value}");
                cases.push(with(name, Right::Either, file, changed.to_string()));
            }
            let mut without = whole.clone();
            remove(&mut without, &place);
            let name = format!("{file}: without {shown}");
            cases.push(with(name, Right::Either, file, without.to_string()));
        }
        // The same key twice: the last says nothing of the first.
        let text = whole.to_string();
        let twice = format!("{}, {}", &text[..text.len() - 1], &text[1..]);
        cases.push(with(
            format!("{file}: all keys twice"),
            Right::Either,
            file,
            twice,
        ));
    }
    cases.extend(refused());
    cases
}

/// Keys that the micro model leaves out.
const EXTRA_KEYS: &[(&str, &[&str])] = &[
    (
        "scheduler/scheduler_config.json",
        &[
            "timestep_spacing",
            "trained_betas",
            "thresholding",
            "dynamic_thresholding_ratio",
            "sample_max_value",
            "clip_sample_range",
            "rescale_betas_zero_snr",
            "shift",
            "solver_order",
            "algorithm_type",
            "final_sigmas_type",
            "use_karras_sigmas",
            "sigma_min",
            "sigma_max",
            "original_inference_steps",
            "timestep_scaling",
        ],
    ),
    (
        "vae_decoder/config.json",
        &[
            "shift_factor",
            "upsampling_scaling_factor",
            "decoder_block_out_channels",
            "latent_channels",
        ],
    ),
    (
        "easel.json",
        &[
            "latent_rgb_factors",
            "latent_rgb_bias",
            "size_multiple",
            "precision",
        ],
    ),
    (
        "tokenizer/tokenizer_config.json",
        &[
            "added_tokens_decoder",
            "additional_special_tokens",
            "padding_side",
            "truncation_side",
        ],
    ),
    (
        "model_index.json",
        &["text_encoder_2", "safety_checker", "_diffusers_version"],
    ),
];

fn find(value: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    if !path.is_empty() {
        found.push(path.clone());
    }
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), value))
            .collect(),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(n, v)| (n.to_string(), v))
            .collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        path.push(key);
        find(child, path, found);
        path.pop();
    }
}

fn reach<'v>(value: &'v mut Value, path: &[String]) -> &'v mut Value {
    path.iter().fold(value, |value, key| match value {
        Value::Array(list) => &mut list[key.parse::<usize>().expect("a place")],
        value => &mut value[key],
    })
}

fn remove(value: &mut Value, path: &[String]) {
    let (last, before) = path.split_last().expect("it is not empty");
    match reach(value, before) {
        Value::Array(list) => {
            list.remove(last.parse().expect("a place"));
        }
        Value::Object(map) => {
            map.remove(last);
        }
        _ => {}
    }
}

/// Values that are known to be wrong.
fn refused() -> Vec<Case> {
    let mut cases = Vec::new();
    let vast = json!(1_000_000_000_000_u64);
    let of: Vec<(&'static str, &[&str], Vec<Value>)> = vec![
        (
            "unet/config.json",
            &["in_channels"],
            vec![
                json!(0),
                json!(-4),
                vast.clone(),
                json!(u64::MAX),
                json!("4"),
                json!(4.5),
            ],
        ),
        (
            "unet/config.json",
            &["sample_size"],
            vec![json!(-4), vast.clone(), json!([4]), json!("4")],
        ),
        (
            "vae_decoder/config.json",
            &["block_out_channels"],
            vec![
                json!([]),
                json!(4),
                json!([1, 1, 1, 1, 1, 1, 1]),
                json!([-1, 4]),
            ],
        ),
        (
            "vae_decoder/config.json",
            &["scaling_factor"],
            vec![json!(0), json!(1e-320), json!(1e308), json!("1")],
        ),
        (
            "vae_decoder/config.json",
            &["shift_factor"],
            vec![json!(1e308), json!("1")],
        ),
        (
            "easel.json",
            &["defaults", "width"],
            vec![json!(0), json!(7), vast.clone(), json!(u32::MAX), json!(-8)],
        ),
        (
            "easel.json",
            &["defaults", "steps"],
            vec![json!(0), vast.clone(), json!(u64::MAX), json!(-1)],
        ),
        (
            "easel.json",
            &["defaults", "guidance"],
            vec![json!(1e308), json!("a")],
        ),
        (
            "easel.json",
            &["defaults", "scheduler"],
            vec![json!("magic"), json!(1)],
        ),
        ("easel.json", &["format"], vec![json!(2), json!(-1)]),
        (
            "scheduler/scheduler_config.json",
            &["num_train_timesteps"],
            vec![json!(0), vast.clone(), json!(-1), json!("a")],
        ),
        (
            "scheduler/scheduler_config.json",
            &["beta_start"],
            vec![json!(1e308), json!("a"), json!([1])],
        ),
        (
            "scheduler/scheduler_config.json",
            &["beta_end"],
            vec![json!(2.0), json!(-1.0)],
        ),
        (
            "scheduler/scheduler_config.json",
            &["prediction_type"],
            vec![json!("magic"), json!(1)],
        ),
        (
            "tokenizer/tokenizer_config.json",
            &["model_max_length"],
            vec![json!(0), json!(-5), json!(2)],
        ),
        (
            "text_encoder/config.json",
            &["max_position_embeddings"],
            vec![json!(0), json!(-5)],
        ),
        (
            "tokenizer/tokenizer_config.json",
            &["bos_token"],
            vec![json!("nobody"), json!(1)],
        ),
    ];
    for (file, place, wrong) in of {
        let whole = micro::configurations()
            .into_iter()
            .find(|(name, _)| *name == file);
        let whole = whole.expect("a file of it").1;
        let place: Vec<String> = place.iter().map(|key| (*key).to_owned()).collect();
        for wrong in wrong {
            let mut changed = whole.clone();
            *reach(&mut changed, &place) = wrong.clone();
            let name = format!("{file}: {} = {wrong}, refused", place.join("."));
            cases.push(with(name, Right::Refused, file, changed.to_string()));
        }
    }
    cases
}

/// `tokenizer.json` with parts that grow, nest, or are of a kind that nobody knows.
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
    let mut random = crate::language::fastrand(7);
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
