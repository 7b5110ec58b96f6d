//! What is painted when nobody asks: prompts, styles, words, and the order in which they come.

use super::Wish;
use super::draw::{Chance, shuffled, weighted};
use super::hours::Hours;
use super::style::Style;
use super::template::{Template, is_name};
use crate::fields;
use crate::jobs::Order;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Prompts and styles, and how they are drawn.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Playlist {
    /// Its name, which also keeps its place through a restart.
    pub name: String,
    /// When it is played; always, if not said.
    pub hours: Option<Hours>,
    /// How prompts and styles are drawn.
    #[serde(default)]
    pub order: Drawing,
    /// What to paint.
    pub prompts: Vec<Prompt>,
    /// How to paint it: each says `{prompt}` once. Without any, the prompt as it is.
    #[serde(default)]
    pub styles: Vec<Style>,
    /// What fills the slots of prompts.
    #[serde(default)]
    pub words: BTreeMap<String, Vec<String>>,
    /// Where the seeds come from.
    #[serde(default)]
    pub seeds: Seeds,
    /// What to keep out of the pictures.
    pub negative: Option<String>,
    /// Denoising steps.
    #[serde(default, deserialize_with = "fields::steps")]
    pub steps: Option<usize>,
    /// Guidance scale.
    #[serde(default, deserialize_with = "fields::guidance")]
    pub guidance: Option<f32>,
    /// Width and height, pixels.
    #[serde(default, deserialize_with = "fields::size")]
    pub size: Option<(u32, u32)>,
}

/// How prompts and styles are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Drawing {
    /// Shuffled: each prompt comes once in a round, each style as often as the others.
    #[default]
    Random,
    /// As they are written, each prompt in each style.
    Sequential,
    /// By their weights, never the same prompt twice in a row.
    Weighted,
}

/// What to paint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawPrompt")]
pub struct Prompt {
    /// With slots that the words fill; `None`: the picture that is shown, a little different.
    pub text: Option<Template>,
    /// How often it comes, next to the others, if the order is weighted.
    pub weight: u32,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a prompt: a text, { text = \"...\", weight = 2 }, or { vary = true, weight = 2 }"
)]
enum RawPrompt {
    Text(String),
    Weighted {
        text: String,
        weight: u32,
    },
    Vary {
        #[serde(rename = "vary")]
        _vary: Yes,
        weight: Option<u32>,
    },
}

/// `true`: an entry that says no says nothing.
#[derive(Deserialize)]
#[serde(try_from = "bool")]
struct Yes;

impl TryFrom<bool> for Yes {
    type Error = &'static str;

    fn try_from(yes: bool) -> Result<Self, Self::Error> {
        yes.then_some(Self).ok_or("vary: write true, or remove it")
    }
}

impl TryFrom<RawPrompt> for Prompt {
    type Error = super::template::WrongTemplate;

    fn try_from(raw: RawPrompt) -> Result<Self, Self::Error> {
        let (text, weight) = match raw {
            RawPrompt::Text(text) => (text, 1),
            RawPrompt::Weighted { text, weight } => (text, weight),
            RawPrompt::Vary { weight, .. } => {
                let weight = weight.unwrap_or(1);
                return Ok(Self { text: None, weight });
            }
        };
        Ok(Self {
            text: Some(text.parse()?),
            weight,
        })
    }
}

/// Where the seeds of pictures come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawSeeds")]
pub enum Seeds {
    /// A new one for each picture.
    #[default]
    Random,
    /// These in turn.
    Listed(Vec<u64>),
    /// One more for each picture, from this one.
    Counted(u64),
}

const SEEDS: &str = "seeds: write \"random\", a list of numbers, or { from = 1 } to count up";

#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "seeds: write \"random\", a list of numbers, or { from = 1 } to count up"
)]
enum RawSeeds {
    Word(String),
    Listed(Vec<fields::Seed>),
    Counted { from: fields::Seed },
}

impl TryFrom<RawSeeds> for Seeds {
    type Error = &'static str;

    fn try_from(raw: RawSeeds) -> Result<Self, Self::Error> {
        match raw {
            RawSeeds::Word(word) if word == "random" => Ok(Self::Random),
            RawSeeds::Word(_) => Err(SEEDS),
            RawSeeds::Listed(seeds) if seeds.is_empty() => Err(SEEDS),
            RawSeeds::Listed(seeds) => {
                Ok(Self::Listed(seeds.into_iter().map(|seed| seed.0).collect()))
            }
            RawSeeds::Counted { from } => Ok(Self::Counted(from.0)),
        }
    }
}

/// How far a playlist has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Pictures that were drawn from it.
    pub taken: u64,
    /// The prompt that was drawn last, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<usize>,
}

/// Prompts and words that one playlist may have: beyond this it is a data set.
const MOST: usize = 10_000;
/// Characters of one text.
const LONGEST: usize = 2_000;
/// Of a weight, so that sums stay small.
const HEAVIEST: u32 = 1_000_000;

// What is drawn for one picture is drawn apart.
const PROMPTS: u64 = 1;
const STYLES: u64 = 2;
const WORDS: u64 = 3;

impl Playlist {
    /// What comes next and how far the playlist has come then. `seed` is what all chance comes from; `style` goes before the
    /// playlist's own.
    #[must_use]
    pub fn next(&self, position: &Position, seed: u64, style: Option<&Style>) -> (Wish, Position) {
        let (prompts, styles) = (self.prompts.len().max(1), self.styles.len().max(1));
        let turn = position.taken;
        let rounds = turn / prompts as u64;
        let seed_of = |what: u64| seed.rotate_left(16) ^ what;
        let (prompt, own_style) = match self.order {
            Drawing::Sequential => {
                let prompt = remainder(turn, prompts);
                // Each round begins one style further, so that each prompt comes in each style.
                (prompt, remainder(prompt as u64 + rounds, styles))
            }
            Drawing::Random => (
                shuffled(seed_of(PROMPTS), prompts, turn),
                shuffled(seed_of(STYLES), styles, turn),
            ),
            Drawing::Weighted => {
                let weights: Vec<u32> = self.prompts.iter().map(|prompt| prompt.weight).collect();
                let of_styles: Vec<u32> = self.styles.iter().map(|style| style.weight).collect();
                let mut by_prompt = Chance::at(seed_of(PROMPTS), turn);
                let mut by_style = Chance::at(seed_of(STYLES), turn);
                (
                    weighted(&mut by_prompt, &weights, position.last),
                    weighted(&mut by_style, &of_styles, None),
                )
            }
        };
        let mut rng = Chance::at(seed_of(WORDS), turn);
        let word = |slot| {
            let words = self.words.get(slot).map_or(&[][..], Vec::as_slice);
            words.get(rng.index(words.len())).map_or("", String::as_str)
        };
        let next = Position {
            taken: turn.wrapping_add(1),
            last: Some(prompt),
        };
        let Some(text) = self
            .prompts
            .get(prompt)
            .and_then(|prompt| prompt.text.as_ref())
        else {
            return (Wish::Vary, next);
        };
        let text = text.fill(word);
        let style = style.or_else(|| self.styles.get(own_style));
        let order = Order {
            negative: self.negative.clone(),
            size: self.size,
            steps: self.steps,
            guidance: self.guidance,
            seed: self.seed(turn),
            ..Order::new(style.map_or(text.clone(), |style| style.apply(&text)))
        };
        (Wish::Paint(order), next)
    }

    /// The seed of picture `turn`; `None`: a new one.
    fn seed(&self, turn: u64) -> Option<u64> {
        match &self.seeds {
            Seeds::Random => None,
            Seeds::Listed(seeds) => {
                // One further in each round, so that a prompt does not always meet the same seed.
                let round = (self.prompts.len() * self.styles.len().max(1)).max(1) as u64;
                let place = remainder(turn.wrapping_add(turn / round), seeds.len());
                seeds.get(place).copied()
            }
            Seeds::Counted(from) => Some(from.wrapping_add(turn)),
        }
    }

    /// Looks at all values.
    ///
    /// # Errors
    /// The first that is wrong: the key, what is wrong, what to write.
    pub fn check(&self) -> Result<(), String> {
        is_line("name", &self.name)?;
        if self.prompts.is_empty() {
            return Err("prompts: is empty: write at least one".to_owned());
        }
        if self.prompts.len() > MOST || self.styles.len() > MOST {
            return Err(format!(
                "prompts and styles: are more than {MOST}: write fewer"
            ));
        }
        let mut texts = self
            .prompts
            .iter()
            .filter_map(|prompt| prompt.text.as_ref())
            .peekable();
        if texts.peek().is_none() {
            return Err("prompts: vary needs a picture: write a text, too".to_owned());
        }
        for prompt in texts {
            is_line("prompts", prompt.text())?;
            for slot in prompt.slots() {
                if !self.words.contains_key(slot) {
                    let text = prompt.text();
                    return Err(format!(
                        "prompts: {text:?} has {{{slot}}}, which words does not: add words.{slot}"
                    ));
                }
            }
        }
        for style in &self.styles {
            is_line("styles", &style.name)?;
            is_line("styles", style.text.text())?;
        }
        self.check_words()?;
        check_weights("prompts", self.prompts.iter().map(|prompt| prompt.weight))?;
        check_weights("styles", self.styles.iter().map(|style| style.weight))?;
        match &self.negative {
            Some(negative) => is_text("negative", negative),
            None => Ok(()),
        }
    }

    fn check_words(&self) -> Result<(), String> {
        for (slot, words) in &self.words {
            if !is_name(slot) {
                return Err(format!(
                    "words: {slot:?}: name slots with letters and digits"
                ));
            }
            if words.is_empty() || words.len() > MOST {
                return Err(format!("words.{slot}: write 1 to {MOST}"));
            }
            for word in words {
                is_text(&format!("words.{slot}"), word)?;
            }
        }
        Ok(())
    }
}

/// Checks several, whose names must differ.
///
/// # Errors
/// The first that is wrong, by its name.
pub(super) fn check_all(playlists: &[Playlist]) -> Result<(), String> {
    for (i, playlist) in playlists.iter().enumerate() {
        let name = &playlist.name;
        playlist
            .check()
            .map_err(|problem| format!("{name:?}: {problem}"))?;
        if playlists[..i].iter().any(|before| &before.name == name) {
            return Err(format!("{name:?}: comes twice: rename one"));
        }
    }
    Ok(())
}

fn remainder(number: u64, of: usize) -> usize {
    usize::try_from(number % of.max(1) as u64).unwrap_or_default()
}

fn is_text(key: &str, text: &str) -> Result<(), String> {
    if text.chars().count() > LONGEST || text.chars().any(char::is_control) {
        return Err(format!(
            "{key}: write one line of at most {LONGEST} characters"
        ));
    }
    Ok(())
}

fn is_line(key: &str, text: &str) -> Result<(), String> {
    is_text(key, text)?;
    if text.trim().is_empty() {
        return Err(format!("{key}: has an empty text: write or remove it"));
    }
    Ok(())
}

fn check_weights(key: &str, weights: impl Iterator<Item = u32> + Clone) -> Result<(), String> {
    if let Some(weight) = weights.clone().find(|&weight| weight > HEAVIEST) {
        return Err(format!("{key}: weight {weight}: give 0 to {HEAVIEST}"));
    }
    let mut weights = weights.peekable();
    if weights.peek().is_some() && weights.all(|weight| weight == 0) {
        return Err(format!("{key}: all weigh 0: give one a weight"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
