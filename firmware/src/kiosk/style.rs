//! Ways to paint: what is added to a prompt.

use super::template::{Template, WrongTemplate};
use serde::Deserialize;

/// A way to paint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawStyle")]
pub struct Style {
    /// What people choose it by.
    pub name: String,
    /// Has the slot `{prompt}`, once.
    pub text: Template,
    /// How often it comes, next to the others, if the order is weighted.
    pub weight: u32,
}

/// A text that is no style.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongStyle {
    /// Its braces.
    #[error(transparent)]
    Template(#[from] WrongTemplate),
    /// Its slots.
    #[error("style {0:?}: write {{prompt}} once, where the prompt goes, and no other slot")]
    Slots(String),
}

#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a style: a text such as \"{prompt}, watercolour\", or { text = \"...\", name = \"...\", weight = 2 }"
)]
enum RawStyle {
    Text(String),
    Full {
        text: String,
        name: Option<String>,
        weight: Option<u32>,
    },
}

const SLOT: &str = "prompt";
/// The style that adds nothing.
const PLAIN: &str = "plain";

impl TryFrom<RawStyle> for Style {
    type Error = WrongStyle;

    fn try_from(raw: RawStyle) -> Result<Self, WrongStyle> {
        let (text, name, weight) = match raw {
            RawStyle::Text(text) => (text, None, None),
            RawStyle::Full { text, name, weight } => (text, name, weight),
        };
        let template: Template = text.parse()?;
        if !template.slots().eq([SLOT]) {
            return Err(WrongStyle::Slots(text));
        }
        Ok(Self {
            name: name.unwrap_or_else(|| name_of(&template)),
            text: template,
            weight: weight.unwrap_or(1),
        })
    }
}

/// What it adds, without the commas around: `{prompt}, watercolour` is "watercolour".
fn name_of(template: &Template) -> String {
    let added = template.fill(|_| " ");
    let added = added.split_whitespace().collect::<Vec<_>>().join(" ");
    match added.trim_matches(|c: char| !c.is_alphanumeric()) {
        "" => PLAIN.to_owned(),
        name => name.to_owned(),
    }
}

impl Style {
    /// The prompt in this style.
    #[must_use]
    pub fn apply(&self, prompt: &str) -> String {
        self.text.fill(|_| prompt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Has {
        style: Style,
    }

    fn style(text: &str) -> Result<Style, String> {
        let read = toml::from_str::<Has>(&format!("style = {text}"));
        read.map(|has| has.style).map_err(|error| error.to_string())
    }

    #[test]
    fn a_style_is_named_after_what_it_adds() {
        for (text, name, applied) in [
            (
                "'{prompt}, watercolour'",
                "watercolour",
                "a cat, watercolour",
            ),
            (
                "'an etching of {prompt}'",
                "an etching of",
                "an etching of a cat",
            ),
            ("'{prompt}'", "plain", "a cat"),
            (
                "'oil: {prompt}, thick'",
                "oil: , thick",
                "oil: a cat, thick",
            ),
            (
                "{ text = '{prompt} at night', name = 'night', weight = 3 }",
                "night",
                "a cat at night",
            ),
        ] {
            let style = style(text).expect(text);
            assert_eq!(
                (style.name.as_str(), style.apply("a cat").as_str()),
                (name, applied)
            );
        }
        // Braces of a prompt are not slots.
        assert_eq!(
            style("'{prompt}, b'").expect("right").apply("{prompt}"),
            "{prompt}, b"
        );
    }

    #[test]
    fn wrong_styles_say_what_would_be_right() {
        for (text, says) in [
            ("'no slot'", "write {prompt} once"),
            ("'{prompt} {prompt}'", "write {prompt} once"),
            ("'{prompt} {colour}'", "no other slot"),
            ("'{prompt'", "a brace"),
            ("7", "{prompt}, watercolour"),
            ("{ text = '{prompt}', wieght = 2 }", "a style"),
        ] {
            let error = style(text).expect_err(text);
            assert!(error.contains(says), "{error}");
        }
    }
}
