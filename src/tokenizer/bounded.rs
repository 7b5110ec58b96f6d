//! Parts of JSON that are read no further than a bound, whatever a file has.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Words of a vocabulary, and merges. CLIP's has 49 408.
pub(super) const MOST_WORDS: usize = 1 << 18;
/// Ids of tokens. Text encoders have tables with a row for each.
pub(super) const MOST_IDS: u32 = 1 << 20;

/// A list of at most `MOST`.
pub(super) struct Few<T, const MOST: usize>(pub(super) Vec<T>);

impl<T, const MOST: usize> Default for Few<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: DeserializeOwned, const MOST: usize> Deserialize<'de> for Few<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: DeserializeOwned, const MOST: usize> Visitor<'de> for List<T, MOST> {
            type Value = Few<T, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MOST}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    if items.len() == MOST {
                        return Err(A::Error::custom(format!("a list of more than {MOST}")));
                    }
                    items.push(item);
                }
                Ok(Few(items))
            }
        }
        deserializer.deserialize_seq(List(PhantomData))
    }
}

/// Words and their ids.
#[derive(Default)]
pub(super) struct Words(pub(super) HashMap<String, u32>);

/// A vocabulary of either kind of model.
pub(super) enum Vocabulary {
    /// Of BPE.
    Words(Words),
    /// Of Unigram: pieces and their scores.
    Pieces(Vec<(String, f64)>),
}

impl Default for Vocabulary {
    fn default() -> Self {
        Self::Words(Words::default())
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Vocabulary::deserialize(deserializer)? {
            Vocabulary::Words(words) => Ok(words),
            Vocabulary::Pieces(_) => Err(D::Error::custom("a list, no words with their ids")),
        }
    }
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Vocabulary;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "words with their ids, as BPE has them, or a list of pieces with their scores, as Unigram has them"
                )
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocabulary, A::Error> {
                let mut words = HashMap::new();
                while let Some((word, id)) = map.next_entry::<String, u32>()? {
                    if id >= MOST_IDS {
                        let word = crate::text::excerpt(&word);
                        return Err(A::Error::custom(format!(
                            "the id {id} of {word:?} is beyond {MOST_IDS}"
                        )));
                    }
                    words.insert(word, id);
                    if words.len() > MOST_WORDS {
                        return Err(A::Error::custom(format!("more than {MOST_WORDS} words")));
                    }
                }
                Ok(Vocabulary::Words(Words(words)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vocabulary, A::Error> {
                let list = serde::de::value::SeqAccessDeserializer::new(list);
                let pieces = Few::<(String, f64), MOST_WORDS>::deserialize(list)?;
                Ok(Vocabulary::Pieces(pieces.0))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
