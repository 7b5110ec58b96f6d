//! The fields of a request as people, templates and files write them: one place for how each is read and for its bounds.
//!
//! Node-RED, Home Assistant and shells send numbers as `4`, `4.0` or `"4"`; all of them are the number 4.

use easel::LARGEST_SIDE;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Denoising steps.
pub(crate) const STEPS: &str = "give 1 to 1000";
/// Guidance scale.
pub(crate) const GUIDANCE: &str = "give 0 to 50";
/// The source of all randomness.
pub(crate) const SEED: &str = "give a whole number from 0 to 2^64-1, or none for a random one";
/// Layers of the text encoders to leave out.
pub(crate) const CLIP_SKIP: &str = "give 0 to 64";

/// What is said of a number that is no share.
pub(crate) fn up_to(most: f64) -> String {
    format!("give 0 to {most}")
}

/// Width and height.
pub(crate) const SIZE: &str = "give \"WIDTHxHEIGHT\" or [WIDTH,HEIGHT] in pixels, each 1 to 8192";

/// Whole numbers up to this one have no other beside them that a 64-bit float could not tell from them.
const EXACT: f64 = (1_u64 << 53) as f64;

/// A number as it was written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "a number")]
pub(crate) enum Number {
    /// `4`
    Whole(u64),
    /// `4.0`, `-1`, `nan`
    Real(f64),
    /// `"4"`
    Text(String),
}

impl Number {
    /// What JSON has for a number; `None`: something else.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => number
                .as_u64()
                .map(Self::Whole)
                .or_else(|| number.as_f64().map(Self::Real)),
            Value::String(text) => Some(Self::Text(text.clone())),
            _ => None,
        }
    }

    /// What was meant, if that is a whole number that is not negative. Text is read exactly up to 2^64-1; a float says
    /// no more than 2^53.
    pub(crate) fn whole(&self) -> Option<u64> {
        let real = match self {
            Self::Whole(whole) => return Some(*whole),
            Self::Real(real) => *real,
            Self::Text(text) => {
                let text = text.trim();
                let digits = match text.split_once('.') {
                    Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
                    _ => text,
                };
                match digits.parse() {
                    Ok(whole) => return Some(whole),
                    Err(_) => text.parse().ok()?,
                }
            }
        };
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, not negative and exact, as just seen"
        )]
        (real.fract() == 0.0 && (0.0..=EXACT).contains(&real)).then_some(real as u64)
    }

    /// What was meant, if it is a number at all.
    pub(crate) fn real(&self) -> Option<f64> {
        let real = match self {
            Self::Whole(whole) => *whole as f64,
            Self::Real(real) => *real,
            Self::Text(text) => text.trim().parse().ok()?,
        };
        real.is_finite().then_some(real)
    }

    /// A whole number between two.
    pub(crate) fn between(&self, least: u64, most: u64) -> Option<u64> {
        self.whole().filter(|whole| (least..=most).contains(whole))
    }

    /// Denoising steps.
    pub(crate) fn steps(&self) -> Option<usize> {
        self.between(1, 1000)
            .and_then(|steps| usize::try_from(steps).ok())
    }

    /// Guidance scale.
    pub(crate) fn guidance(&self) -> Option<f32> {
        self.share(50.0)
    }

    /// A number from 0 to `most`.
    pub(crate) fn share(&self, most: f64) -> Option<f32> {
        let share = self.real().filter(|share| (0.0..=most).contains(share));
        #[allow(
            clippy::cast_possible_truncation,
            reason = "a share needs no more digits"
        )]
        share.map(|share| share as f32)
    }

    /// Layers of the text encoders to leave out.
    pub(crate) fn clip_skip(&self) -> Option<usize> {
        self.between(0, 64)
            .and_then(|layers| usize::try_from(layers).ok())
    }

    /// One side of a picture, pixels.
    fn side(&self) -> Option<u32> {
        self.between(1, LARGEST_SIDE.into())
            .and_then(|side| u32::try_from(side).ok())
    }
}

/// Width and height as they were written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "a size: \"WIDTHxHEIGHT\" or [WIDTH, HEIGHT]")]
pub(crate) enum Size {
    /// `[128, 128]`
    Sides([Number; 2]),
    /// `"128x128"`; a template that renders a list gives `"[128, 128]"`.
    Text(String),
}

impl Size {
    /// What JSON has for a size; `None`: something else.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Array(sides) => match sides.as_slice() {
                [width, height] => Some(Self::Sides([Number::of(width)?, Number::of(height)?])),
                _ => None,
            },
            _ => None,
        }
    }

    /// Width and height, pixels.
    pub(crate) fn pixels(&self) -> Option<(u32, u32)> {
        let [width, height] = match self {
            Self::Sides(sides) => sides.clone(),
            Self::Text(text) => {
                let text = text.trim();
                let list = text
                    .strip_prefix('[')
                    .and_then(|text| text.strip_suffix(']'));
                let sides = match list {
                    Some(list) => list.split_once(','),
                    None => text.split_once(['x', 'X', '×']),
                };
                let (width, height) = sides?;
                [width, height].map(|side| Number::Text(side.to_owned()))
            }
        };
        width.side().zip(height.side())
    }
}

/// A field of a file that may be left out. What is wrong with it is said by its name.
fn field<'de, D: Deserializer<'de>, R: Deserialize<'de>, T>(
    deserializer: D,
    read: impl Fn(&R) -> Option<T>,
    advice: &str,
) -> Result<Option<T>, D::Error> {
    let written = R::deserialize(deserializer)?;
    let read = read(&written).ok_or_else(|| serde::de::Error::custom(advice));
    read.map(Some)
}

/// `steps` of a file.
pub(crate) fn steps<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    field(from, Number::steps, &format!("steps: {STEPS}"))
}

/// `guidance` of a file.
pub(crate) fn guidance<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f32>, D::Error> {
    field(from, Number::guidance, &format!("guidance: {GUIDANCE}"))
}

/// `size` of a file.
pub(crate) fn size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<(u32, u32)>, D::Error> {
    field(from, Size::pixels, &format!("size: {SIZE}"))
}

/// A seed of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Number")]
pub(crate) struct Seed(pub(crate) u64);

impl TryFrom<Number> for Seed {
    type Error = String;

    fn try_from(number: Number) -> Result<Self, String> {
        let seed = number.whole().ok_or_else(|| format!("seed: {SEED}"));
        seed.map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(json: &str) -> Option<Number> {
        Number::of(&serde_json::from_str(json).expect(json))
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        for (json, whole) in [
            ("4", Some(4)),
            ("4.0", Some(4)),
            ("4e0", Some(4)),
            (r#""4""#, Some(4)),
            (r#"" 4 ""#, Some(4)),
            (r#""4.0""#, Some(4)),
            (r#""4.""#, Some(4)),
            (r#""1e3""#, Some(1000)),
            ("-0.0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            (r#""18446744073709551615""#, Some(u64::MAX)),
            (r#""18446744073709551615.0""#, Some(u64::MAX)),
            // 2^64, 2^53 + 2: no float says which number was meant.
            ("18446744073709551616", None),
            (r#""18446744073709551616""#, None),
            ("9007199254740994.0", None),
            ("9007199254740992.0", Some(1 << 53)),
            ("4.5", None),
            ("-1", None),
            (r#""-1""#, None),
            (r#""4.5""#, None),
            (r#""NaN""#, None),
            (r#""inf""#, None),
            (r#""""#, None),
            (r#""four""#, None),
            (r#""4 5""#, None),
            ("true", None),
            ("[4]", None),
        ] {
            assert_eq!(number(json).and_then(|n| n.whole()), whole, "{json}");
        }
    }

    #[test]
    fn a_real_number_is_finite() {
        for (json, real) in [
            ("3", Some(3.0)),
            ("2.5", Some(2.5)),
            (r#""3""#, Some(3.0)),
            (r#"" 2.5""#, Some(2.5)),
            ("-1", Some(-1.0)),
            (r#""NaN""#, None),
            (r#""-inf""#, None),
            (r#""1e999""#, None),
            ("null", None),
        ] {
            assert_eq!(number(json).and_then(|n| n.real()), real, "{json}");
        }
        assert_eq!(number("50.1").and_then(|n| n.guidance()), None);
        assert_eq!(number("1001").and_then(|n| n.steps()), None);
    }

    #[test]
    fn a_size_is_two_sides() {
        let size = |json: &str| {
            let value = serde_json::from_str(json).expect(json);
            Size::of(&value).and_then(|size| size.pixels())
        };
        for json in [
            "[128, 64]",
            "[128.0, 64.0]",
            r#"["128", "64"]"#,
            r#""128x64""#,
            r#"" 128 × 64.0 ""#,
            r#""[128, 64]""#,
        ] {
            assert_eq!(size(json), Some((128, 64)), "{json}");
        }
        for json in [
            "[128]",
            "[0, 64]",
            "[8193, 64]",
            "[128.5, 64]",
            r#""128""#,
            r#""128x""#,
            r#""-128x64""#,
            r#""infx64""#,
            "128",
            "{}",
        ] {
            assert_eq!(size(json), None, "{json}");
        }
    }

    proptest! {
        #[test]
        fn every_seed_is_read_as_text_and_as_a_number(seed: u64) {
            prop_assert_eq!(Number::Whole(seed).whole(), Some(seed));
            prop_assert_eq!(Number::Text(format!("{seed}.00")).whole(), Some(seed));
            let real = Number::Real(seed as f64).whole();
            prop_assert!(real.is_none_or(|real| real as f64 == seed as f64));
        }

        #[test]
        fn no_text_breaks_it(text in ".{0,20}") {
            let number = Number::Text(text.clone());
            prop_assert!(number.real().is_none_or(f64::is_finite));
            let _ = (number.whole(), Size::Text(text).pixels());
        }
    }
}
