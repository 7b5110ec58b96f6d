//! Numbers of a model's JSON files: each has bounds, and what is outside them is named by its key.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::text::excerpt;

/// An object of a JSON file. `null` is Python's `None`, and as good as nothing.
#[derive(Debug, Default)]
pub(crate) struct Config(Map<String, Value>);

impl From<Map<String, Value>> for Config {
    fn from(entries: Map<String, Value>) -> Self {
        Self(entries)
    }
}

impl Config {
    /// Reads an object. Python's `NaN` and `Infinity` are understood, to be refused by name where a number is asked for.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let quoted = quote_infinities(text);
        let parsed = serde_json::from_str(&quoted).map(Self);
        parsed.map_err(|error| {
            format!("not what it should hold ({error}): copy or export the model again")
        })
    }

    /// As text, without some of its keys.
    pub(crate) fn to_json(&self, without: &[&str]) -> String {
        let mut all = self.0.clone();
        all.retain(|key, _| !without.contains(&key.as_str()));
        format!("{:#}", Value::Object(all))
    }

    /// Says something of a key.
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.0.insert(key.to_owned(), value);
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// What is said of a key, be it `null`.
    pub(crate) fn given(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// The first key that is none of these.
    pub(crate) fn unknown(&self, known: &[&str]) -> Option<String> {
        let mut keys = self.0.keys();
        let unknown = keys.find(|key| !known.contains(&key.as_str()));
        unknown.map(|key| excerpt(key))
    }

    /// An object within it.
    pub(crate) fn object(&self, key: &str) -> Result<Option<Self>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(Self(object.clone()))),
            Some(other) => Err(bad(key, other, "an object")),
        }
    }

    /// A whole number.
    pub(crate) fn count(
        &self,
        key: &str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<u32>, String> {
        self.get(key)
            .map(|value| count(key, value, &range))
            .transpose()
    }

    /// Whole numbers: so many at least and at most.
    pub(crate) fn counts(
        &self,
        key: &str,
        length: RangeInclusive<usize>,
        range: RangeInclusive<u32>,
    ) -> Result<Option<Vec<u32>>, String> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let list = value.as_array().filter(|list| length.contains(&list.len()));
        let list = list.ok_or_else(|| {
            let (least, most) = length.into_inner();
            bad(key, value, &format!("a list of {least} to {most} numbers"))
        })?;
        let counts = list.iter().map(|value| count(key, value, &range));
        counts.collect::<Result<_, _>>().map(Some)
    }

    /// A number.
    pub(crate) fn number(
        &self,
        key: &str,
        range: RangeInclusive<f32>,
    ) -> Result<Option<f32>, String> {
        self.get(key)
            .map(|value| number(key, value, &range))
            .transpose()
    }

    /// Text.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>, String> {
        self.get(key)
            .map(|value| value.as_str().ok_or_else(|| bad(key, value, "text")))
            .transpose()
    }
}

fn count(key: &str, value: &Value, range: &RangeInclusive<u32>) -> Result<u32, String> {
    // Some writers put a point behind whole numbers, too.
    let whole = value.as_f64().filter(|number| number.fract() == 0.0);
    whole
        .filter(|number| (f64::from(*range.start())..=f64::from(*range.end())).contains(number))
        .map(|number| number as u32)
        .ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            bad(
                key,
                value,
                &format!("a whole number from {least} to {most}"),
            )
        })
}

/// A number within the range, which NaN and infinities are not.
pub(crate) fn number(key: &str, value: &Value, range: &RangeInclusive<f32>) -> Result<f32, String> {
    let number = value.as_f64().map(|number| number as f32);
    number
        .filter(|number| range.contains(number))
        .ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            bad(key, value, &format!("a number from {least} to {most}"))
        })
}

/// What to say of a value that cannot be.
pub(crate) fn bad(key: &str, value: &Value, expected: &str) -> String {
    let value = excerpt(&value.to_string());
    format!("`{key}` is {value}, but must be {expected}")
}

/// Puts quotes around the three numbers that Python's `json` writes and JSON lacks.
pub(crate) fn quote_infinities(text: &str) -> Cow<'_, str> {
    const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    if !WORDS.iter().any(|word| text.contains(word)) {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::with_capacity(text.len() + 8);
    let (mut rest, mut in_string) = (text, false);
    while let Some(c) = rest.chars().next() {
        let word = WORDS.iter().find(|word| rest.starts_with(**word));
        let taken = match (in_string, c, word) {
            (false, _, Some(word)) => {
                quoted.extend(["\"", word, "\""]);
                rest = &rest[word.len()..];
                continue;
            }
            (true, '\\', _) => rest.chars().take(2).map(char::len_utf8).sum(),
            (_, '"', _) => {
                in_string = !in_string;
                1
            }
            _ => c.len_utf8(),
        };
        quoted.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    Cow::Owned(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_infinities_are_quoted_outside_strings_only() {
        let text = r#"{"a": -Infinity, "b": [NaN,Infinity], "c": "NaN \" -Infinity\\", "d": NaN}"#;
        let expected =
            r#"{"a": "-Infinity", "b": ["NaN","Infinity"], "c": "NaN \" -Infinity\\", "d": "NaN"}"#;
        assert_eq!(quote_infinities(text), expected);
        assert_eq!(quote_infinities("\"NaN\\"), "\"NaN\\");
    }

    #[test]
    fn a_number_outside_its_bounds_is_named() {
        let text = r#"{"a": 4.0, "b": 1000000000000, "c": NaN, "d": 1e39, "e": [1, 2], "f": null, "g": -1, "h": "4"}"#;
        let config = Config::parse(text).expect("an object");
        assert_eq!(config.count("a", 1..=4), Ok(Some(4)));
        assert_eq!(config.count("f", 1..=4), Ok(None));
        assert_eq!(config.count("z", 1..=4), Ok(None));
        assert_eq!(config.counts("e", 1..=2, 0..=2), Ok(Some(vec![1, 2])));
        assert_eq!(config.number("a", 0.0..=5.0), Ok(Some(4.0)));
        let said = config.count("b", 1..=256).expect_err("too large");
        assert_eq!(
            said,
            "`b` is 1000000000000, but must be a whole number from 1 to 256"
        );
        for key in ["c", "d", "g", "h", "e"] {
            let said = config.number(key, 0.0..=10.0).expect_err(key);
            assert!(said.starts_with(&format!("`{key}` is ")), "{said}");
            assert!(config.count(key, 0..=10).is_err(), "{key}");
        }
        assert!(config.counts("e", 3..=3, 0..=2).is_err());
        assert!(config.counts("e", 2..=2, 0..=1).is_err());
        assert_eq!(
            config.unknown(&["a", "b", "c", "d", "e", "f", "g"]),
            Some("h".into())
        );
    }
}
