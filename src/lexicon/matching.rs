//! Words of a prompt and what they mean.

use super::parts::{Part, is_unspaced, parts};
use super::spelling::{allowed, distance};
use super::{Entry, Lexicon, Meaning, without};
use crate::text::excerpt;

/// Parts of a prompt that are read: more than any model of this kind takes.
const MOST_PARTS: usize = 300;
/// Parts by which the language is told.
const LANGUAGE_PARTS: usize = 60;
/// Words that are looked for among all words, in case they are misspelt.
const MOST_UNKNOWN: usize = 12;

/// A word of a prompt.
#[derive(Debug, Clone)]
pub(super) struct Word {
    /// As it was typed, of bounded length.
    pub(super) typed: String,
    pub(super) meaning: Meaning,
    /// It is something else, or misspelt.
    pub(super) is_near: bool,
    pub(super) is_many: bool,
    pub(super) is_trained: bool,
    pub(super) after_break: bool,
}

impl Lexicon {
    /// The words of a text, in order.
    pub(super) fn words_of(&self, text: &str) -> Vec<Word> {
        let parts = parts(text, MOST_PARTS);
        let language = self.language_of(&parts[..parts.len().min(LANGUAGE_PARTS)]);
        let (mut words, mut unknown) = (Vec::new(), 0);
        let mut at = 0;
        while at < parts.len() {
            let (length, found) = match self.longest_match(&parts[at..], language) {
                Some((length, entry)) => (length, Some(entry)),
                None => (self.unknown_length(&parts[at..], language), None),
            };
            let (first, last) = (&parts[at], &parts[at + length - 1]);
            let mut word = Word {
                typed: excerpt(&text[first.at.start..last.at.end]),
                meaning: Meaning::Other(None),
                is_near: false,
                is_many: false,
                is_trained: false,
                after_break: first.after_break,
            };
            if let Some(entry) = found {
                (word.meaning, word.is_near) = (entry.meaning, entry.is_near);
                (word.is_many, word.is_trained) = (entry.is_many, entry.is_trained);
            } else if unknown < MOST_UNKNOWN {
                unknown += 1;
                if let Some(meant) = self
                    .meant_by(&first.folded, language)
                    .filter(|_| length == 1)
                {
                    (word.meaning, word.is_near, word.is_many) =
                        (meant.meaning, true, meant.is_many);
                } else {
                    word.meaning = Meaning::Other(self.nearest_name(&first.folded));
                }
            }
            words.push(word);
            at += length;
        }
        words
    }

    /// The language that knows most of the text; the model's own where others know no more.
    fn language_of(&self, parts: &[Part]) -> usize {
        let known_in = |language: usize| {
            let (mut known, mut at) = (0, 0);
            while at < parts.len() {
                match self.match_in(&parts[at..], language) {
                    Some((length, _)) => {
                        let letters = |part: &Part| part.folded.chars().count();
                        known += parts[at..at + length].iter().map(letters).sum::<usize>();
                        at += length;
                    }
                    None => at += 1,
                }
            }
            known
        };
        let others = (0..self.languages.len())
            .rev()
            .filter(|language| *language != self.own);
        let all = others.chain([self.own]);
        all.max_by_key(|language| known_in(*language))
            .unwrap_or(self.own)
    }

    /// The longest word at the start that the language or the model's own has.
    fn longest_match(&self, parts: &[Part], language: usize) -> Option<(usize, Entry)> {
        let number = parts.first()?.folded.parse::<u32>().ok();
        if let Some(number) = number {
            let entry = Entry {
                language,
                meaning: Meaning::Count(number.clamp(1, 1000)),
                is_near: false,
                is_many: false,
                is_trained: (1..=self.counts.len() as u32).contains(&number),
            };
            return Some((1, entry));
        }
        let mine = self.match_in(parts, language);
        let own = self.match_in(parts, self.own);
        match (mine, own) {
            (Some(mine), Some(own)) if own.0 > mine.0 => Some(own),
            (mine, own) => mine.or(own),
        }
    }

    fn match_in(&self, parts: &[Part], language: usize) -> Option<(usize, Entry)> {
        // A word does not go on behind a comma.
        let whole = parts
            .iter()
            .skip(1)
            .take_while(|part| !part.after_break)
            .count()
            + 1;
        let longest = self.longest.min(whole).min(parts.len());
        let mut keys = vec![String::new()];
        for part in &parts[..longest] {
            let before = keys.last().map_or("", String::as_str);
            let space = if before.is_empty() { "" } else { " " };
            keys.push(format!("{before}{space}{}", part.folded));
        }
        let of_language =
            |entries: &Vec<Entry>| entries.iter().find(|e| e.language == language).copied();
        for (length, key) in keys.iter().enumerate().skip(1).rev() {
            if let Some(entry) = self.words.get(key.as_str()).and_then(of_language) {
                return Some((length, entry));
            }
            if let Some(entry) = self.inflected(key, language) {
                return Some((length, entry));
            }
        }
        None
    }

    /// A word with another ending than those that are listed.
    fn inflected(&self, key: &str, language: usize) -> Option<Entry> {
        let endings = self.languages[language].endings.iter();
        let forms = endings.filter_map(|(ending, is_many)| Some((without(key, ending)?, *is_many)));
        for (stem, is_many) in [(key, false)].into_iter().chain(forms) {
            let mut found = self.stems.get(stem).into_iter().flatten();
            let mut found = found.by_ref().filter(|entry| entry.language == language);
            if let Some(entry) = found.next() {
                // A stem of two words is neither.
                let is_one = found.all(|other| other.meaning == entry.meaning);
                return is_one.then_some(Entry {
                    is_many: is_many && matches!(entry.meaning, Meaning::Thing(_)),
                    is_trained: false,
                    ..*entry
                });
            }
        }
        None
    }

    /// How many parts an unknown word has: those of scripts without spaces go on until something is known.
    fn unknown_length(&self, parts: &[Part], language: usize) -> usize {
        let mut length = 1;
        while let Some(part) = parts.get(length)
            && is_unspaced(&parts[0].folded)
            && is_unspaced(&part.folded)
            && !part.after_break
            && self.longest_match(&parts[length..], language).is_none()
        {
            length += 1;
        }
        length
    }

    /// The word that is meant by a misspelt one, if there is one that is nearer than all others.
    fn meant_by(&self, typed: &str, language: usize) -> Option<Entry> {
        let letters: Vec<char> = typed.chars().collect();
        let most = allowed(letters.len());
        if most == 0 || is_unspaced(typed) || letters.len() > 40 {
            return None;
        }
        let mut best: Option<(usize, Entry)> = None;
        let mut is_sure = true;
        for (key, entries) in &self.words {
            let entry = entries.iter().find(|entry| {
                (entry.language == language || entry.language == self.own)
                    && matches!(entry.meaning, Meaning::Thing(_) | Meaning::Colour(_))
            });
            let Some(entry) = entry.filter(|_| key.len().abs_diff(typed.len()) <= 4 * most) else {
                continue;
            };
            let name: Vec<char> = key.chars().collect();
            // A short word is near many: its length counts as well.
            let most = most.min(allowed(name.len()));
            let Some(distance) = distance(&letters, &name, most).filter(|d| *d > 0) else {
                continue;
            };
            match best {
                Some((least, _)) if least < distance => {}
                Some((least, same)) if least == distance => {
                    is_sure &= same.meaning == entry.meaning
                }
                _ => (best, is_sure) = (Some((distance, *entry)), true),
            }
        }
        best.map(|(_, entry)| entry).filter(|_| is_sure)
    }

    /// The thing whose name looks most like a word, if any does.
    fn nearest_name(&self, typed: &str) -> Option<usize> {
        let letters: Vec<char> = typed.chars().take(40).collect();
        let most = letters.len() / 3;
        let names = self
            .things
            .iter()
            .enumerate()
            .filter_map(|(index, (one, _))| {
                let name: Vec<char> = one.chars().collect();
                Some((distance(&letters, &name, most)?, index))
            });
        names.min().map(|(_, index)| index)
    }
}
