//! CLIP's tokenizer, as transformers would save it. Checkpoints in one file come without.

use serde_json::{Map, Value, json};

use super::super::checkpoint::Tokenizer;

/// Pairs of tokens that are merged, first those that are merged first: two numbers of two bytes each, the low byte first. Made by
/// `build.rs`.
const MERGES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/clip-merges"));
/// Tokens of CLIP's vocabulary: 2 for each byte, the merged ones, and where a text begins and ends.
pub(super) const TOKENS: usize = 2 * 256 + MERGES.len() / 4 + 2;
const BEGIN: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";
/// Tokens of a text.
const LENGTH: usize = 77;

/// What fills a text up to its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    /// What ends it: OpenAI's encoders.
    End,
    /// "!", which is number 0: OpenCLIP's.
    Zero,
}

/// The tokenizer's files.
pub(super) fn clip(padding: Padding) -> Tokenizer {
    let (tokens, merges) = vocabulary();
    let ids: Map<String, Value> = tokens
        .into_iter()
        .enumerate()
        .map(|(id, token)| (token, json!(id)))
        .collect();
    let padding = match padding {
        Padding::End => END,
        Padding::Zero => "!",
    };
    let config = json!({
        "add_prefix_space": false,
        "bos_token": BEGIN,
        "do_lower_case": true,
        "eos_token": END,
        "errors": "replace",
        "model_max_length": LENGTH,
        "pad_token": padding,
        "tokenizer_class": "CLIPTokenizer",
        "unk_token": END,
    });
    Tokenizer::Made(vec![
        ("merges.txt".into(), merges.into_bytes()),
        (
            "tokenizer_config.json".into(),
            format!("{config:#}\n").into_bytes(),
        ),
        (
            "vocab.json".into(),
            Value::Object(ids).to_string().into_bytes(),
        ),
    ])
}

/// All tokens by their numbers, and `merges.txt`.
fn vocabulary() -> (Vec<String>, String) {
    let mut tokens: Vec<String> = symbols().map(String::from).collect();
    for symbol in symbols() {
        tokens.push(format!("{symbol}</w>"));
    }
    let mut text = String::from("#version: 0.2\n");
    let (pairs, _) = MERGES.as_chunks::<4>();
    for [a, b, c, d] in pairs {
        let left = usize::from(u16::from_le_bytes([*a, *b]));
        let right = usize::from(u16::from_le_bytes([*c, *d]));
        let (left, right) = (&tokens[left], &tokens[right]);
        text.extend([left, " ", right, "\n"]);
        let merged = [left.as_str(), right.as_str()].concat();
        tokens.push(merged);
    }
    tokens.extend([BEGIN.into(), END.into()]);
    (tokens, text)
}

/// What stands for bytes in the vocabulary: printable ones of Latin 1 for themselves, the others from U+0100 on.
fn symbols() -> impl Iterator<Item = char> {
    let is_printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let others = (0..=255).filter(move |byte| !is_printable(byte)).count() as u32;
    let printable = (0..=255).filter(is_printable).map(char::from);
    printable.chain((0x100..0x100 + others).filter_map(char::from_u32))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_vocabulary_is_clips() {
        let (tokens, merges) = vocabulary();
        assert_eq!((tokens.len(), TOKENS), (49408, 49408));
        assert_eq!(merges.lines().count(), 49152 - 256 - 2 + 1);
        // Of the file that OpenAI published with CLIP, up to the last merge that CLIP uses.
        let sum = Sha256::digest(merges.lines().skip(1).collect::<Vec<_>>().join("\n"));
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            sum,
            "f61f2adf497e6f5357c347aeb4646fabe82f341e946de5bdec5d2858e41bef4a"
        );
        // Numbers that are in every text about CLIP.
        for (token, id) in [
            ("!", 0),
            ("a</w>", 320),
            ("cat</w>", 2368),
            (BEGIN, 49406),
            (END, 49407),
        ] {
            assert_eq!(tokens[id], token);
        }
    }

    #[test]
    fn the_files_are_a_tokenizer() {
        let folder = tempfile::tempdir().expect("a folder");
        for (padding, pad) in [(Padding::End, 49407), (Padding::Zero, 0)] {
            let Tokenizer::Made(files) = clip(padding) else {
                panic!("made files");
            };
            let place = folder.path().join("tokenizer");
            std::fs::create_dir_all(&place).expect("room");
            for (name, bytes) in files {
                std::fs::write(place.join(name), bytes).expect("room");
            }
            let tokenizer = crate::tokenizer::Tokenizer::load(folder.path()).expect("a tokenizer");
            let ids = tokenizer.encode_plain("a photo of a cat").expect("ids");
            assert_eq!(ids[..7], [49406, 320, 1125, 539, 320, 2368, 49407]);
            assert_eq!((ids.len(), ids[76]), (77, pad));
        }
    }
}
