//! What a model knows of what people type.
//!
//! A small model knows the words of its training and no others: it paints blots for the rest. Its *lexicon* (`docs/lexicon.md`) says
//! which words those are, and which mean the same: synonyms, plurals, other languages. A prompt is read in four steps:
//!
//! ```text
//! text ─► parts ─► matching (words: longest first, the language that knows most) ─► scene (which colour is whose) ─► wording
//! ```
//!
//! A prompt in the model's own words stays as it is, byte for byte. What is not known is left out and said, never replaced in silence.

mod file;
mod matching;
mod parts;
mod scene;
mod spelling;
mod wording;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use crate::files::read_text;
use file::{File, LanguageWords, Limits, split};
use parts::key;

/// A model's lexicon.
#[derive(Debug)]
pub(crate) struct Lexicon {
    /// One and many of each.
    things: Vec<(String, String)>,
    /// One, two …
    counts: Vec<String>,
    colours: Vec<Colour>,
    sizes: Vec<String>,
    /// Phrases.
    places: Vec<String>,
    styles: Vec<String>,
    /// Things in a picture, and of each when there are several.
    kinds: usize,
    together: usize,
    languages: Vec<Language>,
    /// The language of the training.
    own: usize,
    words: HashMap<Box<str>, Vec<Entry>>,
    /// Words without their endings.
    stems: HashMap<Box<str>, Vec<Entry>>,
    /// Parts of the longest word.
    longest: usize,
    /// What is painted behind things when a prompt does not say.
    usual_backgrounds: Vec<usize>,
}

#[derive(Debug)]
struct Colour {
    name: String,
    /// Whether things are painted in it.
    is_tint: bool,
    /// Whether it is painted behind things, and how that is said.
    background: Option<String>,
}

#[derive(Debug)]
struct Language {
    /// What words may have behind their stems, the shortest first; whether it makes them many.
    endings: Vec<(String, bool)>,
}

/// What a word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Meaning {
    Thing(usize),
    Colour(usize),
    Count(u32),
    Size(usize),
    Place(usize),
    Style(usize),
    /// The word "background".
    Background,
    Relation(Relation),
    /// Of no matter.
    Function,
    /// Something that the model does not know; the thing that is nearest.
    Other(Option<usize>),
}

/// How two things belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Relation {
    And,
    Left,
    Right,
    /// In another way, such as above: a preposition, which may also belong to a background.
    Apart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    language: usize,
    meaning: Meaning,
    /// The word means something else, for which this is painted.
    is_near: bool,
    is_many: bool,
    /// The model was trained with this very word.
    is_trained: bool,
}

/// A prompt as the model is to have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) text: String,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
}

impl Lexicon {
    /// Reads a lexicon; `usual`: the backgrounds of prompts that name none.
    pub(crate) fn read(path: &Path, usual: &[String]) -> Result<Self, String> {
        let text = read_text(path, file::LARGEST).map_err(|error| {
            format!("cannot be read: {error}: `lexicon` of easel.json names it")
        })?;
        Self::parse(&text, usual)
    }

    /// As [`read`](Self::read), of the file's text.
    pub(crate) fn parse(text: &str, usual: &[String]) -> Result<Self, String> {
        Self::of(&File::parse(text)?, usual)
    }

    fn of(file: &File, usual: &[String]) -> Result<Self, String> {
        let Limits { kinds, together } = file.limits;
        let pairs = |map: &BTreeMap<String, String>| -> Vec<(String, String)> {
            map.iter().map(|(a, b)| (a.clone(), b.clone())).collect()
        };
        let phrases = |map: &BTreeMap<String, String>| map.values().cloned().collect();
        let mut colours: Vec<Colour> = Vec::new();
        for name in file.backgrounds.keys().chain(&file.tints) {
            if !colours.iter().any(|colour| colour.name == *name) {
                colours.push(Colour {
                    name: name.clone(),
                    is_tint: file.tints.contains(name),
                    background: file.backgrounds.get(name).cloned(),
                });
            }
        }
        let usual = usual.iter().map(|name| {
            let known = colours
                .iter()
                .position(|colour| colour.name == *name && colour.background.is_some());
            known.ok_or_else(|| {
                let name = crate::text::excerpt(name);
                format!("`backgrounds` of easel.json has {name}, which is none here: correct it")
            })
        });
        let usual_backgrounds = usual.collect::<Result<_, _>>()?;
        let mut lexicon = Self {
            things: pairs(&file.things),
            counts: file.counts.clone(),
            colours,
            sizes: file.sizes.clone(),
            places: phrases(&file.places),
            styles: phrases(&file.styles),
            kinds,
            together,
            languages: Vec::new(),
            own: 0,
            words: HashMap::new(),
            stems: HashMap::new(),
            longest: 1,
            usual_backgrounds,
        };
        let trained: HashSet<String> = file.trained.iter().map(|word| key(word)).collect();
        for (code, words) in &file.languages {
            let is_own = *code == file.language;
            if is_own {
                lexicon.own = lexicon.languages.len();
            }
            lexicon
                .learn(words, file, is_own.then_some(&trained))
                .map_err(|problem| format!("language {}: {problem}", crate::text::excerpt(code)))?;
        }
        Ok(lexicon)
    }

    /// Takes in the words of a language; `trained`: of the training, if it was in this one.
    fn learn(
        &mut self,
        words: &LanguageWords,
        file: &File,
        trained: Option<&HashSet<String>>,
    ) -> Result<(), String> {
        let many: HashSet<String> = split(&words.many).map(key).collect();
        let mut endings: Vec<(String, bool)> = split(&words.endings)
            .map(key)
            .map(|ending| (ending.clone(), many.contains(&ending)))
            .collect();
        endings.sort_by_key(|(ending, _)| ending.chars().count());
        self.languages.push(Language { endings });

        let colours: Vec<String> = self.colours.iter().map(|c| c.name.clone()).collect();
        let things: Vec<String> = file.things.keys().cloned().collect();
        let places: Vec<String> = file.places.keys().cloned().collect();
        let styles: Vec<String> = file.styles.keys().cloned().collect();
        let (thing, colour) = (
            Meaning::Thing as fn(usize) -> Meaning,
            Meaning::Colour as fn(usize) -> Meaning,
        );
        type Kind<'a> = (
            &'a str,
            &'a BTreeMap<String, String>,
            &'a [String],
            fn(usize) -> Meaning,
        );
        let kinds: [Kind<'_>; 7] = [
            ("things", &words.things, &things, thing),
            ("plurals", &words.plurals, &things, thing),
            ("near", &words.near, &things, thing),
            ("colours", &words.colours, &colours, colour),
            ("sizes", &words.sizes, &file.sizes, Meaning::Size),
            ("places", &words.places, &places, Meaning::Place),
            ("styles", &words.styles, &styles, Meaning::Style),
        ];
        for (kind, map, names, meaning) in kinds {
            for (name, list) in map {
                let index = names.iter().position(|known| known == name);
                let index = index.ok_or_else(|| {
                    format!(
                        "`{kind}` has {}, which the model does not know",
                        crate::text::excerpt(name)
                    )
                })?;
                for word in split(list) {
                    self.put(word, meaning(index), trained, kind);
                }
            }
        }
        for (count, list) in &words.counts {
            let number = count
                .parse()
                .ok()
                .filter(|number| (1..=1000).contains(number));
            let number = number.ok_or_else(|| {
                format!(
                    "`counts` has {}: numbers from 1 to 1000 are taken",
                    crate::text::excerpt(count)
                )
            })?;
            split(list).for_each(|word| self.put(word, Meaning::Count(number), trained, "counts"));
        }
        for (list, meaning) in [
            (&words.background, Meaning::Background),
            (&words.and, Meaning::Relation(Relation::And)),
            (&words.left, Meaning::Relation(Relation::Left)),
            (&words.right, Meaning::Relation(Relation::Right)),
            (&words.apart, Meaning::Relation(Relation::Apart)),
            (&words.function, Meaning::Function),
        ] {
            split(list).for_each(|word| self.put(word, meaning, trained, "function"));
        }
        for (nearest, list) in &words.other {
            let nearest = things.iter().position(|name| name == nearest);
            split(list).for_each(|word| self.put(word, Meaning::Other(nearest), None, "other"));
        }
        Ok(())
    }

    fn put(&mut self, word: &str, meaning: Meaning, trained: Option<&HashSet<String>>, kind: &str) {
        let language = self.languages.len() - 1;
        let key = key(word);
        let is_trained = trained.is_some_and(|trained| match meaning {
            Meaning::Thing(index) => {
                let (one, many) = &self.things[index];
                kind != "near" && (key == parts::key(one) || key == parts::key(many))
            }
            // They say more than the training's captions: which thing is where.
            Meaning::Relation(Relation::Left | Relation::Right) => false,
            _ => key.split(' ').all(|part| trained.contains(part)),
        });
        let entry = Entry {
            language,
            meaning,
            is_near: kind == "near",
            is_many: kind == "plurals",
            is_trained,
        };
        if key.is_empty() {
            return;
        }
        self.longest = self.longest.max(key.split(' ').count());
        if matches!(
            meaning,
            Meaning::Thing(_) | Meaning::Colour(_) | Meaning::Size(_) | Meaning::Background
        ) {
            let stem = self.stem(&key, language);
            for stem in [key.as_str()].into_iter().chain(stem.as_deref()) {
                let there = self.stems.entry(stem.into()).or_default();
                if !there
                    .iter()
                    .any(|same| same.language == language && same.meaning == meaning)
                {
                    there.push(entry);
                }
            }
        }
        let there = self.words.entry(key.into()).or_default();
        // What was there first stays: names of things go before little words.
        if !there.iter().any(|same| same.language == language) {
            there.push(entry);
        }
    }

    /// A key without its longest ending, where enough is left to know it by.
    fn stem(&self, key: &str, language: usize) -> Option<String> {
        let endings = self.languages[language].endings.iter().rev();
        let mut stems = endings.filter_map(|(ending, _)| without(key, ending));
        stems.next().map(str::to_owned)
    }

    /// Some of the things, for people who have named none.
    pub(crate) fn examples(&self) -> (String, String) {
        let step = (self.things.len() / 6).max(1);
        let names = self.things.iter().step_by(step).take(6);
        let names: Vec<&str> = names.map(|(one, _)| one.as_str()).collect();
        let example = self.things.first().map_or_else(String::new, |_| {
            let thing = scene::Thing {
                count: Some(self.counts.len().min(2) as u32),
                ..scene::Thing::of(0)
            };
            let scene = scene::Scene {
                things: vec![thing],
                ground: self.usual_backgrounds.first().copied(),
                ..scene::Scene::default()
            };
            self.word(&scene)
        });
        (names.join(", "), example)
    }
}

/// What is left of the last part without an ending: three letters at least, of a script that writes syllables two.
fn without<'a>(key: &'a str, ending: &str) -> Option<&'a str> {
    let stem = key.strip_suffix(ending).filter(|_| !ending.is_empty())?;
    let last = stem.rsplit(' ').next().unwrap_or(stem);
    let least = if last.chars().any(|c| ('가'..='힣').contains(&c)) {
        1
    } else {
        3
    };
    (last.chars().count() >= least).then_some(stem)
}

#[cfg(test)]
mod tests;
