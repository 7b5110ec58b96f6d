//! SentencePiece's table of what characters are replaced by (`precompiled_charsmap`), checked before it is believed.
//!
//! It is the length of a trie in bytes, that trie, and the texts that its leaves point into, each with a zero byte behind it. The trie
//! is a double array (Aoe 1989; the units are those of the library darts-clone): from unit `i` and byte `c` the way goes to unit
//! `i ^ offset ^ c`, which is right if it carries the label `c`. The crate that reads it believes every offset, so that a damaged file
//! would end in a panic, and one that means ill would make a letter a million of them.

use tokenizers::normalizers::Precompiled;

/// Bytes that one character may become. In Unicode's NFKC the longest is 33, of U+FDFA.
const LONGEST_REPLACEMENT: usize = 128;
/// Bytes of a table. T5's has 300 000.
const LARGEST: usize = 1 << 24;
/// Children of a unit lie within a block of so many, one for each byte.
const BLOCK: usize = 256;

/// A table that was checked.
pub(super) struct Charsmap {
    /// The trie, in whole blocks.
    units: Vec<u32>,
    /// What its leaves point into.
    texts: String,
}

impl Charsmap {
    /// Reads a table.
    pub(super) fn parse(table: &[u8]) -> Result<Self, String> {
        checked(table)
            .ok_or_else(|| "\"precompiled_charsmap\" of \"Precompiled\" is damaged".into())
    }

    /// As the crate `tokenizers` has it: it looks up letters with their marks first, then characters.
    pub(super) fn normalizer(&self) -> Result<Precompiled, String> {
        let bytes = self.units.iter().flat_map(|unit| unit.to_le_bytes());
        let length = u32::try_from(4 * self.units.len()).map_err(|error| error.to_string())?;
        let mut table = length.to_le_bytes().to_vec();
        table.extend(bytes);
        table.extend(self.texts.as_bytes());
        Precompiled::from(&table).map_err(|error| error.to_string())
    }

    /// The longest beginning of `text` that the table knows, in bytes, and what it becomes.
    pub(super) fn longest(&self, text: &str) -> Option<(usize, &str)> {
        let unit = |at: usize| self.units.get(at).copied().unwrap_or(0);
        let mut found = None;
        let mut at = offset(unit(0));
        for (read, &byte) in text.as_bytes().iter().enumerate() {
            at ^= usize::from(byte);
            let next = unit(at);
            if byte == 0 || label(next) != u32::from(byte) {
                break;
            }
            at ^= offset(next);
            if has_leaf(next) {
                let text = self.texts.get(value(unit(at))..)?;
                found = Some((read + 1, &text[..text.find('\0').unwrap_or(text.len())]));
            }
        }
        // A match that ends within a character is none.
        found.filter(|(length, _)| text.is_char_boundary(*length))
    }
}

/// `None` if some way through the table leads outside, or to a text that is too long.
fn checked(table: &[u8]) -> Option<Charsmap> {
    if table.len() > LARGEST {
        return None;
    }
    let (length, rest) = table.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    let (trie, texts) = rest.split_at_checked(length)?;
    let (units, remainder) = trie.as_chunks::<4>();
    if units.is_empty() || !remainder.is_empty() {
        return None;
    }
    let mut units: Vec<u32> = units.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
    // A unit of zeros carries no label: no way leads there.
    units.resize(units.len().next_multiple_of(BLOCK), 0);
    let texts = std::str::from_utf8(texts).ok()?;
    let ends_in_time = |start: usize| {
        let text = texts.get(start..)?;
        let end = text.find('\0').unwrap_or(text.len());
        (end <= LONGEST_REPLACEMENT).then_some(())
    };
    for (number, &unit) in units.iter().enumerate() {
        // The value of a leaf, where no way leads. The first one is read in any case.
        if is_value(unit) && number > 0 {
            continue;
        }
        let next = *units.get(number ^ offset(unit))?;
        if has_leaf(unit) {
            ends_in_time(value(next))?;
        }
    }
    Some(Charsmap {
        units,
        texts: texts.to_owned(),
    })
}

fn is_value(unit: u32) -> bool {
    unit >> 31 == 1
}

fn has_leaf(unit: u32) -> bool {
    unit >> 8 & 1 == 1
}

/// Where the text of a leaf begins.
fn value(unit: u32) -> usize {
    (unit & !(1 << 31)) as usize
}

/// The byte that leads to a unit; of a value none.
fn label(unit: u32) -> u32 {
    unit & (1 << 31 | 0xff)
}

/// How far a unit's children are from it, or its leaf.
fn offset(unit: u32) -> usize {
    ((unit >> 10) as usize) << ((unit & 1 << 9) >> 6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokenizers::{NormalizedString, Normalizer as _};

    /// `a` becomes `bc`: the root's child `a` is unit 97, its leaf unit 98.
    fn table(texts: &[u8]) -> Vec<u8> {
        let mut units = vec![0_u32; BLOCK];
        let to = |from: u32, to: u32| (from ^ to) << 10;
        units[97] = u32::from(b'a') | 1 << 8 | to(97, 98);
        units[98] = 1 << 31;
        let units = units.iter().flat_map(|unit| unit.to_le_bytes());
        let mut table = (4 * BLOCK as u32).to_le_bytes().to_vec();
        table.extend(units);
        table.extend(texts);
        table
    }

    fn normalized(table: &[u8], text: &str) -> Result<String, String> {
        let mut text = NormalizedString::from(text);
        Charsmap::parse(table)?
            .normalizer()?
            .normalize(&mut text)
            .map_err(|error| error.to_string())?;
        Ok(text.get().to_owned())
    }

    #[test]
    fn characters_are_replaced() {
        let changed = normalized(&table(b"bc\0"), "xay");
        assert_eq!(changed.as_deref(), Ok("xbcy"));
        let table = Charsmap::parse(&table(b"bc\0")).expect("it is whole");
        assert_eq!(table.longest("ay"), Some((1, "bc")));
        assert_eq!(table.longest("ya"), None);
    }

    #[test]
    fn no_way_leads_outside() {
        let good = table(b"bc\0");
        for wrong in [
            &good[..3],
            &good[..100],
            &[0; 8][..],
            // A text that is not there, and one that never ends.
            &table(b"")[..4 + 4 * 97],
            &table(&[b'x'; LONGEST_REPLACEMENT + 1]),
        ] {
            assert!(Charsmap::parse(wrong).is_err());
        }
        let mut away = good.clone();
        away[4 + 4 * 97 + 3] = 0x70;
        assert!(Charsmap::parse(&away).is_err());
        let mut beyond = good;
        beyond[4 + 4 * 98] = 200;
        assert!(Charsmap::parse(&beyond).is_err());
    }

    proptest! {
        /// Whatever is believed does not panic, and no text grows beyond the bound.
        #[test]
        fn damaged_tables_are_refused_or_harmless(
            damage in prop::collection::vec((0usize..1100, any::<u8>()), 1..8),
            text in ".{0,20}",
        ) {
            let mut table = table(b"bc\0d\xc3\xa9\0");
            for (place, byte) in damage {
                let place = place % table.len();
                table[place] = byte;
            }
            if let Ok(changed) = normalized(&table, &text) {
                prop_assert!(changed.len() <= LONGEST_REPLACEMENT * text.len());
            }
            if let Ok(table) = Charsmap::parse(&table) {
                table.longest(&text);
            }
        }
    }
}
