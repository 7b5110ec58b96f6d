//! transformers' slow `CLIPTokenizer` (4.57, without `ftfy`), step by step.
//!
//! 1. The special tokens are cut out of the raw text, longest first.
//! 2. What is left is cleaned: characters of category C* except tab, line feed and carriage return go,
//!    as does U+FFFD; CJK ideographs get a space on either side; NFC; words are lower-cased (the whole
//!    mapping: `İ` becomes two characters, a final `Σ` becomes `ς`) and joined by single spaces.
//! 3. A regular expression finds contractions, runs of letters, single digits, runs of the rest.
//! 4. Each find, as CLIP's printable stand-ins for its UTF-8 bytes, goes through the BPE.

use std::sync::LazyLock;

use tokenizers::models::bpe::BPE;
use tokenizers::utils::SysRegex;
use tokenizers::{Model, NormalizedString};

use super::TokenizerError;
use super::whole::WholeTokens;

/// Words that the BPE never sees, even if they only appear through cleaning (`<|ENDOFTEXT|>`).
const WHOLE: [&str; 2] = ["<|startoftext|>", "<|endoftext|>"];

/// The literals fold case (`'ſ` is read as `'s`). Python's `regex` folds the last alternative too, but not
/// `\p{L}`, so U+0345, the one mark that folds to a letter, is found by neither and vanishes.
const WORDS: &str = r"(?i:<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}\u{345}]+";
const DROPPED: &str = r"[\p{C}\x{FFFD}--[\t\n\r]]+";

/// Compiled once: classes of Unicode take a millisecond each.
static EXPRESSIONS: LazyLock<[SysRegex; 2]> = LazyLock::new(|| {
    [WORDS, DROPPED]
        .map(|text| SysRegex::new(text).expect("the patterns are constants that a test compiles"))
});

pub(super) struct SlowClip {
    bpe: BPE,
    /// Those that are cut out first.
    added: WholeTokens,
    whole: [u32; 2],
    words: &'static SysRegex,
    dropped: &'static SysRegex,
    stand_ins: [char; 256],
}

impl SlowClip {
    /// `unknown` is the id of a word in [`WHOLE`] that the vocabulary lacks.
    pub(super) fn new(bpe: BPE, added: Vec<(String, u32)>, unknown: u32) -> Self {
        let added = WholeTokens::of(added);
        let whole = WHOLE.map(|word| {
            let known = added.id(word);
            known.or_else(|| bpe.token_to_id(word)).unwrap_or(unknown)
        });
        let [words, dropped] = &*EXPRESSIONS;
        Self {
            bpe,
            added,
            whole,
            words,
            dropped,
            stand_ins: stand_ins(),
        }
    }

    /// Ids of `text`, no BOS or EOS.
    pub(super) fn ids(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        self.added.ids(text, |text, ids| self.words_of(text, ids))
    }

    fn words_of(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), TokenizerError> {
        let text = self.clean(text);
        for (start, end) in self.words.find_iter(&text) {
            let word = &text[start..end];
            if let Some(special) = WHOLE.iter().position(|w| *w == word) {
                ids.push(self.whole[special]);
                continue;
            }
            let word: String = word
                .bytes()
                .map(|byte| self.stand_ins[usize::from(byte)])
                .collect();
            let tokens = self.bpe.tokenize(&word).map_err(TokenizerError::encode)?;
            ids.extend(tokens.iter().map(|token| token.id));
        }
        Ok(())
    }

    fn clean(&self, text: &str) -> String {
        let mut spaced = String::with_capacity(text.len());
        let mut kept = |piece: &str| {
            for c in piece.chars() {
                if is_ideograph(c) {
                    spaced.extend([' ', c, ' ']);
                } else {
                    spaced.push(c);
                }
            }
        };
        let mut from = 0;
        for (start, end) in self.dropped.find_iter(text) {
            kept(&text[from..start]);
            from = end;
        }
        kept(&text[from..]);
        let mut normalized = NormalizedString::from(spaced);
        normalized.nfc();
        let words: Vec<String> = normalized
            .get()
            .split_whitespace()
            .map(str::to_lowercase)
            .collect();
        words.join(" ")
    }
}

/// The blocks that BERT's tokenizer, and after it CLIP's, calls Chinese: no kana, no hangul.
fn is_ideograph(c: char) -> bool {
    matches!(u32::from(c),
        0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x2A6DF
        | 0x2A700..=0x2B73F | 0x2B740..=0x2B81F | 0x2B820..=0x2CEAF | 0x2F800..=0x2FA1F)
}

/// GPT-2's table: printable Latin-1 stands for itself, the 68 other bytes for U+0100 onwards.
fn stand_ins() -> [char; 256] {
    let mut others = '\u{100}'..;
    std::array::from_fn(|byte| match byte as u8 {
        printable @ (b'!'..=b'~' | 0xA1..=0xAC | 0xAE..) => char::from(printable),
        _ => others.next().expect("an open range of characters has 68"),
    })
}
