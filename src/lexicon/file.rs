//! A lexicon's file, as `docs/lexicon.md` describes it: read and checked, before anything is made of it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::text::{excerpt, message};

/// Bytes of a file.
pub(crate) const LARGEST: u64 = 1 << 20;
const MOST_LANGUAGES: usize = 64;
const MOST_THINGS: usize = 4096;
/// Of colours, sizes and the like.
const MOST_OTHERS: usize = 64;
/// Of a language.
const MOST_ENDINGS: usize = 200;
/// Of all languages.
const MOST_WORDS: usize = 100_000;
/// Bytes.
const LONGEST_WORD: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) format: u32,
    /// The one that the model was trained in.
    pub(super) language: String,
    pub(super) limits: Limits,
    /// Name → plural.
    pub(super) things: BTreeMap<String, String>,
    /// One, two …
    pub(super) counts: Vec<String>,
    pub(super) tints: Vec<String>,
    /// Colour → phrase.
    pub(super) backgrounds: BTreeMap<String, String>,
    pub(super) sizes: Vec<String>,
    /// Name → phrase.
    pub(super) places: BTreeMap<String, String>,
    /// Name → phrase.
    pub(super) styles: BTreeMap<String, String>,
    /// Words of the training.
    pub(super) trained: Vec<String>,
    pub(super) languages: BTreeMap<String, LanguageWords>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    /// Of things in a picture.
    pub(super) kinds: usize,
    /// Of each, when there is more than one kind.
    pub(super) together: usize,
}

/// Words with `|` between, by what they mean.
type Words = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LanguageWords {
    pub(super) things: Words,
    #[serde(default)]
    pub(super) plurals: Words,
    /// Other things, for which these are painted.
    #[serde(default)]
    pub(super) near: Words,
    pub(super) colours: Words,
    pub(super) counts: Words,
    #[serde(default)]
    pub(super) sizes: Words,
    #[serde(default)]
    pub(super) places: Words,
    #[serde(default)]
    pub(super) styles: Words,
    pub(super) background: String,
    pub(super) and: String,
    #[serde(default)]
    pub(super) left: String,
    #[serde(default)]
    pub(super) right: String,
    #[serde(default)]
    pub(super) apart: String,
    pub(super) function: String,
    #[serde(default)]
    pub(super) endings: String,
    #[serde(default)]
    pub(super) many: String,
    /// What the model does not know, by the thing that is nearest; `""`: by none.
    #[serde(default)]
    pub(super) other: Words,
}

impl File {
    /// Reads and checks it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let made_again = "correct it, or make it again with model-export/train/lexicon.py";
        // First: what a newer one has may be more than is known here.
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let newer = serde_json::from_str::<Format>(text).is_ok_and(|file| file.format != 1);
        if newer {
            return Err("was written for a newer easel: update easel".into());
        }
        let file: Self = serde_json::from_str(text)
            .map_err(|error| message(&format!("is no lexicon ({error}): {made_again}")))?;
        file.check()
            .map_err(|problem| format!("{problem}: {made_again}"))?;
        Ok(file)
    }

    fn check(&self) -> Result<(), String> {
        if self.format != 1 {
            return Err(format!("`format` is {}, not 1", self.format));
        }
        within("things", self.things.len(), MOST_THINGS)?;
        within("languages", self.languages.len(), MOST_LANGUAGES)?;
        for (key, length) in [
            ("counts", self.counts.len()),
            ("backgrounds", self.backgrounds.len()),
            ("limits.kinds", self.limits.kinds),
            ("limits.together", self.limits.together),
        ] {
            within(key, length, MOST_OTHERS)?;
        }
        for (key, length) in [
            ("tints", self.tints.len()),
            ("sizes", self.sizes.len()),
            ("places", self.places.len()),
            ("styles", self.styles.len()),
        ] {
            within(key, length + 1, MOST_OTHERS)?;
        }
        if !self.languages.contains_key(&self.language) {
            let language = excerpt(&self.language);
            return Err(format!(
                "`language` is {language}, and `languages` has none such"
            ));
        }
        let lists = [&self.counts, &self.tints, &self.sizes, &self.trained];
        let maps = [&self.things, &self.backgrounds, &self.places, &self.styles];
        let pairs = maps.into_iter().flatten().flat_map(|(a, b)| [a, b]);
        let mut own = lists.into_iter().flatten().chain(pairs);
        if let Some(word) = own.find(|word| word.len() > LONGEST_WORD) {
            return Err(too_long(word));
        }
        let mut left = MOST_WORDS;
        for (code, language) in &self.languages {
            let mut words = language.all();
            if let Some(word) = words.find(|word| word.len() > LONGEST_WORD) {
                return Err(format!("{}: {}", excerpt(code), too_long(word)));
            }
            let endings = split(&language.endings).count();
            within("endings", endings + 1, MOST_ENDINGS)
                .map_err(|problem| format!("{}: {problem}", excerpt(code)))?;
            left = left
                .checked_sub(language.all().count())
                .ok_or_else(|| format!("has more than {MOST_WORDS} words"))?;
        }
        Ok(())
    }
}

fn within(key: &str, length: usize, most: usize) -> Result<(), String> {
    match (1..=most).contains(&length) {
        true => Ok(()),
        false => Err(format!("`{key}`: {length}: 1 to {most} are taken")),
    }
}

fn too_long(word: &str) -> String {
    format!(
        "a word of {} bytes: at most {LONGEST_WORD} are taken",
        word.len()
    )
}

impl LanguageWords {
    fn all(&self) -> impl Iterator<Item = &str> {
        let lists = [
            &self.background,
            &self.and,
            &self.left,
            &self.right,
            &self.apart,
            &self.function,
            &self.endings,
            &self.many,
        ];
        let maps = [
            &self.things,
            &self.plurals,
            &self.near,
            &self.colours,
            &self.counts,
            &self.sizes,
            &self.places,
            &self.styles,
            &self.other,
        ];
        let of_maps = maps.into_iter().flat_map(|map| map.values());
        lists
            .into_iter()
            .chain(of_maps)
            .flat_map(|list| split(list))
    }
}

/// The words of a list.
pub(super) fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split('|')
        .map(str::trim)
        .filter(|word| !word.is_empty())
}
