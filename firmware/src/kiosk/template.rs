//! Texts with slots: `a {colour} {thing}`.

use serde::Deserialize;
use std::str::FromStr;

/// A text with slots in braces.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Slot(String),
}

/// A text whose braces are not slots.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?}: a brace opens or closes no slot: write slots as {{name}}, of letters, digits, dashes and underscores"
)]
pub struct WrongTemplate(String);

impl FromStr for Template {
    type Err = WrongTemplate;

    fn from_str(text: &str) -> Result<Self, WrongTemplate> {
        let wrong = || WrongTemplate(text.to_owned());
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(wrong)?;
            if before.contains('}') || !is_name(name) {
                return Err(wrong());
            }
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Slot(name.to_owned()));
            rest = after;
        }
        if rest.contains('}') {
            return Err(wrong());
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self {
            text: text.to_owned(),
            pieces,
        })
    }
}

impl TryFrom<String> for Template {
    type Error = WrongTemplate;

    fn try_from(text: String) -> Result<Self, WrongTemplate> {
        text.parse()
    }
}

/// Whether a slot may be called so.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    !name.is_empty() && name.chars().all(plain)
}

impl Template {
    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names of its slots, in order.
    pub fn slots(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Slot(name) => Some(name.as_str()),
        })
    }

    /// The text, with what `fill` says for each slot, from left to right.
    pub fn fill<'t>(&'t self, mut fill: impl FnMut(&'t str) -> &'t str) -> String {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Slot(name) => fill(name),
        });
        pieces.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slots_are_filled_in_order() {
        let template: Template = "a {colour} {thing}, {colour}".parse().expect("it is right");
        assert_eq!(
            template.slots().collect::<Vec<_>>(),
            ["colour", "thing", "colour"]
        );
        let mut words = ["red", "cat", "blue"].into_iter();
        assert_eq!(
            template.fill(|_| words.next().expect("three slots")),
            "a red cat, blue"
        );
        assert_eq!(
            "no slot".parse::<Template>().expect("right").fill(|_| "x"),
            "no slot"
        );
        for wrong in [
            "{", "}", "a {b", "a} b", "{}", "{a b}", "{{a}}", "{a}}", "} {a}",
        ] {
            assert!(wrong.parse::<Template>().is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_comes_back(text in "\\PC{0,30}|[a{} ]{0,12}") {
            if let Ok(template) = text.parse::<Template>() {
                let names: Vec<String> = template.slots().map(|name| format!("{{{name}}}")).collect();
                let mut names = names.iter();
                prop_assert_eq!(template.fill(|_| names.next().expect("one a slot")), text);
            }
        }
    }
}
