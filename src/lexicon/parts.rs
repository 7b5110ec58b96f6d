//! Text as words are looked up by: folded, in parts.
//!
//! Folding takes away case and marks (`Äpfel` → `apfel`), so that a word is found however it is written. Scripts without spaces between
//! words have a part for each character. `model-export/train/lexicon.py` folds alike.

use std::ops::Range;

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// A word, or a character of a script without spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// As it is looked up.
    pub(super) folded: String,
    /// Where it is in the text, bytes.
    pub(super) at: Range<usize>,
    /// Whether a comma, a full stop or the like is before it.
    pub(super) after_break: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    Digits,
    /// Characters that are parts of their own.
    Unspaced,
    Letters,
}

fn script_of(c: char) -> Option<Script> {
    match c {
        '0'..='9' => Some(Script::Digits),
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' => {
            Some(Script::Unspaced)
        }
        _ => c.is_alphanumeric().then_some(Script::Letters),
    }
}

/// Whether words of this script are written without spaces.
pub(super) fn is_unspaced(part: &str) -> bool {
    part.chars().next().and_then(script_of) == Some(Script::Unspaced)
}

/// The first `most` parts of a text.
pub(super) fn parts(text: &str, most: usize) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut after_break = false;
    let mut rest = text.char_indices().peekable();
    while let Some((start, c)) = rest.next() {
        let Some(script) = script_of(c) else {
            after_break |= matches!(
                c,
                ',' | '.' | ';' | ':' | '!' | '?' | '、' | '。' | '，' | '\n'
            );
            continue;
        };
        let mut end = start + c.len_utf8();
        while let Some((at, c)) = rest.next_if(|(_, c)| {
            is_combining_mark(*c) || (script != Script::Unspaced && script_of(*c) == Some(script))
        }) {
            end = at + c.len_utf8();
        }
        for folded in split(&fold(&text[start..end])) {
            if parts.len() == most {
                return parts;
            }
            parts.push(Part {
                folded,
                at: start..end,
                after_break: std::mem::take(&mut after_break),
            });
        }
    }
    parts
}

/// What a word of a lexicon is kept by: its parts with a space between.
pub(super) fn key(text: &str) -> String {
    split(&fold(text)).join(" ")
}

/// The parts of folded text: some characters are several when they are folded.
fn split(folded: &str) -> Vec<String> {
    let mut parts: Vec<(Script, String)> = Vec::new();
    let mut within = false;
    for c in folded.chars() {
        match (script_of(c), parts.last_mut()) {
            (None, Some((_, part))) if within && is_combining_mark(c) => part.push(c),
            (None, _) => within = false,
            (Some(script), Some((same, part)))
                if within && *same == script && script != Script::Unspaced =>
            {
                part.push(c);
            }
            (Some(script), _) => {
                parts.push((script, c.to_string()));
                within = true;
            }
        }
    }
    parts.into_iter().map(|(_, part)| part).collect()
}

fn fold(text: &str) -> String {
    // か and が are two letters.
    let is_voiced = |c: char| matches!(c, '\u{3099}' | '\u{309a}');
    let marked = text.chars().flat_map(char::to_lowercase).nfkd();
    let plain = marked.filter(|c| !is_combining_mark(*c) || is_voiced(*c));
    let plain: String = plain.nfc().flat_map(char::to_lowercase).collect();
    let mut folded = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            'ł' => folded.push('l'),
            'ø' => folded.push('o'),
            'đ' | 'ð' => folded.push('d'),
            'ı' => folded.push('i'),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'ß' => folded.push_str("ss"),
            'þ' => folded.push_str("th"),
            c => folded.push(c),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> Vec<String> {
        let parts = parts(text, 100);
        parts.into_iter().map(|part| part.folded).collect()
    }

    #[test]
    fn case_and_marks_do_not_matter() {
        for (text, expected) in [
            ("Äpfel", "apfel"),
            ("ÉTOILE", "etoile"),
            ("Fußball", "fussball"),
            ("łódź", "lodz"),
            ("ёлка", "елка"),
            ("ΓΆΤΑ", "γατα"),
            ("ağaç", "agac"),
            ("ＣＡＴ", "cat"),
        ] {
            assert_eq!(key(text), expected);
            assert_eq!(folded(text), [expected]);
        }
    }

    #[test]
    fn words_are_parts_and_so_are_characters_of_scripts_without_spaces() {
        assert_eq!(folded("l'arbre, 3cats"), ["l", "arbre", "3", "cats"]);
        assert_eq!(folded("青い背景に猫"), ["青", "い", "背", "景", "に", "猫"]);
        // Two letters that look alike without their marks.
        assert_eq!(folded("が"), ["が"]);
        assert_eq!(folded("고양이가 한 마리"), ["고양이가", "한", "마리"]);
        assert_eq!(key("hot-air  Balloon"), "hot air balloon");
    }

    #[test]
    fn parts_know_where_they_are() {
        let text = "Eine Kätzchen, (rot:1.2)";
        let parts = parts(text, 3);
        let shown: Vec<_> = parts
            .iter()
            .map(|p| (&text[p.at.clone()], p.after_break))
            .collect();
        assert_eq!(shown, [("Eine", false), ("Kätzchen", false), ("rot", true)]);
    }
}
