//! The files of a tokenizer, of any bytes: text becomes tokens, or the files are refused in one line.
//!
//! The input has the class' number, then the files one after the other with zero bytes between, then a prompt. The last of the files,
//! SentencePiece's, has zero bytes itself, and is what is behind the prompt.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use easel::tokenizer::Tokenizer;
use libfuzzer_sys::fuzz_target;

const FILES: [&str; 5] = [
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/special_tokens_map.json",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
];
const PIECES: &str = "tokenizer/spiece.model";
const CLASSES: [&str; 5] = [
    "CLIPTokenizer",
    "CLIPTokenizerFast",
    "PreTrainedTokenizerFast",
    "T5Tokenizer",
    "T5TokenizerFast",
];

/// In memory: a disk would be worn out.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = PathBuf::from(format!("/dev/shm/easel-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("tokenizer")).expect("memory");
    folder
});

fuzz_target!(|bytes: &[u8]| {
    let Some((class, bytes)) = bytes.split_first() else {
        return;
    };
    let class = CLASSES[usize::from(*class) % CLASSES.len()];
    let index = format!(r#"{{"tokenizer": ["transformers", "{class}"]}}"#);
    std::fs::write(FOLDER.join("model_index.json"), index).expect("memory");
    let mut parts = bytes.splitn(FILES.len() + 2, |&byte| byte == 0);
    for file in FILES {
        match parts.next() {
            // An empty part: no such file.
            None | Some([]) => drop(std::fs::remove_file(FOLDER.join(file))),
            Some(part) => std::fs::write(FOLDER.join(file), part).expect("memory"),
        }
    }
    let prompt = String::from_utf8_lossy(parts.next().unwrap_or(b"a tree"));
    match parts.next() {
        None | Some([]) => drop(std::fs::remove_file(FOLDER.join(PIECES))),
        Some(pieces) => std::fs::write(FOLDER.join(PIECES), pieces).expect("memory"),
    }
    let result = Tokenizer::load(&FOLDER).and_then(|tokenizer| tokenizer.encode(&prompt));
    if let Err(error) = result {
        let line = error.to_string();
        let is_line = line.len() < 1000 && !line.contains(char::is_control);
        assert!(is_line, "not one line: {line:?}");
    }
});
