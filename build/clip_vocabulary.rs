//! CLIP's vocabulary, for checkpoints in one file, which come without it.
//!
//! It is in a crate whose table is 3 MB of text, of which CLIP uses a fifth, and hidden: what each token stands for is all that the
//! crate tells. A token's own merge is found from that: it is of the two tokens that the merges before it leave of its bytes.

use std::collections::HashMap;

use instant_clip_tokenizer::{Token, Tokenizer};

/// Tokens before the first that is merged: a byte each, within a word and at its end.
const BYTES: u16 = 256;
/// What the tokens at the end of a word have behind their bytes.
const END: &[u8] = b" ";

/// Each merge's two tokens, in order: numbers of two bytes, the low one first.
pub(crate) fn merges() -> Vec<u8> {
    let tokenizer = Tokenizer::new();
    let first = 2 * BYTES;
    let of_byte: HashMap<u8, u16> = (0..BYTES).map(|token| (byte(token), token)).collect();
    let mut ranks: HashMap<(u16, u16), u16> = HashMap::new();
    let mut table = Vec::new();
    for token in first..tokenizer.start_of_text().to_u16() {
        let (bytes, ends_word) = read(&tokenizer, token);
        let mut parts: Vec<u16> = bytes.iter().map(|byte| of_byte[byte]).collect();
        if let Some(last) = parts.last_mut().filter(|_| ends_word) {
            *last += BYTES;
        }
        // The merge that came first of those that fit, until none does.
        while let Some((at, merged)) = parts
            .windows(2)
            .enumerate()
            .filter_map(|(at, pair)| Some((at, *ranks.get(&(pair[0], pair[1]))?)))
            .min_by_key(|(_, merged)| *merged)
        {
            parts[at] = merged;
            parts.remove(at + 1);
        }
        let [left, right] = parts[..] else {
            panic!("token {token} of CLIP's vocabulary is not merged of two");
        };
        ranks.insert((left, right), token);
        table.extend(left.to_le_bytes());
        table.extend(right.to_le_bytes());
    }
    table
}

/// The byte of a token below [`BYTES`]: first the printable ones of Latin 1, then all others.
fn byte(token: u16) -> u8 {
    let is_printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let printable = (0..=255).filter(is_printable);
    let others = (0..=255).filter(|byte| !is_printable(byte));
    let mut all = printable.chain(others);
    all.nth(usize::from(token)).expect("a byte for each")
}

/// The bytes of a token, and whether it ends a word.
///
/// The crate tells only whole characters. Of a token that has a part of one, bytes before and behind make it whole.
fn read(tokenizer: &Tokenizer, token: u16) -> (Vec<u8>, bool) {
    let text = |before: &[u8], behind: &[u8]| {
        let number = |byte: &u8| (0..BYTES).find(|token| self::byte(*token) == *byte);
        let (before, behind) = (
            before.iter().filter_map(number),
            behind.iter().filter_map(number),
        );
        let tokens = before.chain([token]).chain(behind);
        let tokens = tokens.filter_map(|number| Token::from_u16(number, tokenizer));
        tokenizer.decode(tokens)
    };
    // Before continued bytes, a first one with room for all of them; behind a first byte, as many as it needs, from where those
    // begin that may follow it.
    let befores: [&[u8]; 4] = [&[], &[0xc2], &[0xe1], &[0xf1]];
    let behinds: [&[u8]; 10] = [
        &[],
        &[0x80],
        &[0x80, 0x80],
        &[0x80, 0x80, 0x80],
        &[0x90],
        &[0x90, 0x80],
        &[0x90, 0x80, 0x80],
        &[0xa0],
        &[0xa0, 0x80],
        &[0xa0, 0x80, 0x80],
    ];
    let mut tries = befores
        .iter()
        .flat_map(|before| behinds.map(|behind| (*before, behind)));
    let whole = |(before, behind): &(&[u8], &[u8])| {
        !text(before, behind).contains(char::REPLACEMENT_CHARACTER)
    };
    // One has the replacement character itself.
    let (before, behind) = tries.find(whole).unwrap_or_default();
    let whole = text(before, behind);
    let own = &whole.as_bytes()[before.len()..whole.len() - behind.len()];
    match own.strip_suffix(END) {
        Some(word) => (word.to_vec(), true),
        None => (own.to_vec(), false),
    }
}
