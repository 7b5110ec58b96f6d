//! What a prompt asks for: which number and which colour belong to which thing, and what is behind them.

use super::matching::Word;
use super::{Meaning, Relation};

/// Things, and what is behind them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scene {
    pub(super) things: Vec<Thing>,
    pub(super) ground: Option<usize>,
    pub(super) place: Option<usize>,
    pub(super) style: Option<usize>,
    /// Words that put things as the model cannot, such as "above".
    pub(super) apart: Vec<String>,
    /// It is not said in the order of the training's captions: things, a word between each two, then what is behind them.
    pub(super) is_reordered: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Thing {
    pub(super) index: usize,
    /// `None`: it is not said.
    pub(super) count: Option<u32>,
    pub(super) is_many: bool,
    pub(super) size: Option<usize>,
    pub(super) tint: Option<usize>,
}

impl Thing {
    pub(super) fn of(index: usize) -> Self {
        Self {
            index,
            ..Self::default()
        }
    }
}

/// What was read before a thing, for it.
#[derive(Default)]
struct Pending {
    count: Option<u32>,
    size: Option<usize>,
    colour: Option<usize>,
    relation: Option<(Relation, String)>,
    /// A preposition was last: what follows may be a background.
    is_behind: bool,
    /// The word "background" came without a colour.
    wants_ground: bool,
}

impl Pending {
    fn is_after_and(&self) -> bool {
        matches!(self.relation, Some((Relation::And, _)))
    }
}

impl Scene {
    pub(super) fn of(words: &[Word]) -> Self {
        let mut scene = Self::default();
        let mut pending = Pending::default();
        for (at, word) in words.iter().enumerate() {
            let next = Next::behind(words, at);
            if word.after_break {
                pending.is_behind = false;
            }
            match word.meaning {
                Meaning::Thing(index) => scene.add(index, word.is_many, &mut pending),
                Meaning::Count(count) => match scene.things.last_mut() {
                    // As in Japanese: "cats, two of them".
                    Some(thing) if next == Next::Else && thing.count.is_none() => {
                        thing.count = Some(count)
                    }
                    _ => pending.count = Some(count),
                },
                Meaning::Size(size) => match scene.things.last_mut() {
                    // As in Spanish: "cat little".
                    Some(thing) if next == Next::Else => thing.size = thing.size.or(Some(size)),
                    _ => pending.size = Some(size),
                },
                Meaning::Colour(colour) => scene.colour(colour, next, &mut pending),
                Meaning::Background => {
                    pending.wants_ground = scene.ground.is_none();
                    pending.relation = None;
                }
                Meaning::Place(place) => scene.place = scene.place.or(Some(place)),
                Meaning::Style(style) => scene.style = scene.style.or(Some(style)),
                Meaning::Relation(relation) => {
                    // What was said of something that is not known is not for the next.
                    let is_behind = relation == Relation::Apart;
                    let before = pending.relation.take();
                    let stronger =
                        before.filter(|(before, _)| *before != Relation::And && is_behind);
                    pending = Pending {
                        relation: stronger.or(Some((relation, word.typed.clone()))),
                        is_behind,
                        wants_ground: pending.wants_ground,
                        ..Pending::default()
                    };
                }
                Meaning::Function => {}
                Meaning::Other(_) => {}
            }
        }
        scene
    }

    fn add(&mut self, index: usize, is_many: bool, pending: &mut Pending) {
        let before = std::mem::take(pending);
        let thing = Thing {
            index,
            count: before.count,
            is_many,
            size: before.size,
            tint: before.colour,
        };
        pending.wants_ground = before.wants_ground;
        let is_joined = before.relation.is_some() || self.things.is_empty();
        self.is_reordered |= !is_joined || self.ground.is_some() || before.wants_ground;
        match before.relation {
            // Things are painted from left to right.
            Some((Relation::Right, _)) if !self.things.is_empty() => {
                self.things.insert(self.things.len() - 1, thing);
            }
            Some((Relation::Apart, word)) if !self.things.is_empty() => {
                self.apart.push(word);
                self.things.push(thing);
            }
            _ => self.things.push(thing),
        }
    }

    fn colour(&mut self, colour: usize, next: Next, pending: &mut Pending) {
        match next {
            Next::Background => {
                // "With a blue background" is none of the captions.
                self.is_reordered |= pending.is_after_and();
                self.ground = self.ground.or(Some(colour));
            }
            Next::Noun if !pending.wants_ground => pending.colour = Some(colour),
            _ if pending.is_behind || pending.wants_ground || pending.is_after_and() => {
                self.is_reordered |= pending.wants_ground || pending.is_after_and();
                self.ground = self.ground.or(Some(colour));
                pending.wants_ground = false;
                pending.relation = None;
            }
            _ => match self.things.last_mut() {
                // As in French: "cat red".
                Some(thing) if thing.tint.is_none() => thing.tint = Some(colour),
                _ => self.ground = self.ground.or(Some(colour)),
            },
        }
    }
}

/// What a word is followed by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Background,
    /// A thing, or more that is said of one.
    Noun,
    Else,
}

impl Next {
    fn behind(words: &[Word], at: usize) -> Self {
        let behind = words[at + 1..].iter();
        let mut behind = behind.take_while(|word| !word.after_break);
        match behind
            .find(|word| word.meaning != Meaning::Function)
            .map(|word| word.meaning)
        {
            Some(Meaning::Background) => Self::Background,
            Some(
                Meaning::Thing(_)
                | Meaning::Colour(_)
                | Meaning::Size(_)
                | Meaning::Count(_)
                | Meaning::Other(_),
            ) => Self::Noun,
            _ => Self::Else,
        }
    }
}
