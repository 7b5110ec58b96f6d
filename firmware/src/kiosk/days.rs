//! Days of the week.

use jiff::civil::Weekday;
use serde::Deserialize;

/// Some days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Words")]
pub struct Days(u8);

/// Text that names no days.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no days: write Mon to Sun, a range as Mon-Fri, daily, weekdays or weekends, commas between them"
)]
pub struct WrongDays(String);

/// As a configuration writes them: one text or a list.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "days: a text such as \"Mon-Fri\", or a list of such"
)]
enum Words {
    One(String),
    Many(Vec<String>),
}

const NAMES: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

impl Days {
    /// All seven.
    pub const DAILY: Self = Self(0b111_1111);
    const WEEKDAYS: Self = Self(0b001_1111);
    const WEEKENDS: Self = Self(0b110_0000);
    /// None yet; what is parsed is never empty.
    pub(super) const NONE: Self = Self(0);

    /// Reads `daily`, `weekdays`, `weekends`, a day's English name or its first three letters, a range of days, or a list
    /// of these with commas. A range may go over the end of the week: `Fri-Mon`.
    ///
    /// # Errors
    /// Any other text.
    pub fn parse(text: &str) -> Result<Self, WrongDays> {
        let mut days = Self::NONE;
        for item in text.split(',') {
            days.0 |= one(item.trim())
                .ok_or_else(|| WrongDays(text.to_owned()))?
                .0;
        }
        Ok(days)
    }

    /// Whether `day` is one of them.
    #[must_use]
    pub fn contains(self, day: Weekday) -> bool {
        self.0 & Self::only(number(day)).0 != 0
    }

    /// One day, counted from Monday = 0.
    pub(super) fn only(number: u8) -> Self {
        Self(1 << (number % 7))
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Counted from Monday = 0.
fn number(day: Weekday) -> u8 {
    day.to_monday_zero_offset().unsigned_abs()
}

/// A day's number from its name, whole or its first three letters.
pub(super) fn day_of(name: &str) -> Option<u8> {
    let name = name.to_ascii_lowercase();
    let found = NAMES
        .iter()
        .position(|&day| name == day || Some(name.as_str()) == day.get(..3))?;
    u8::try_from(found).ok()
}

fn one(item: &str) -> Option<Days> {
    match item.to_ascii_lowercase().as_str() {
        "daily" => return Some(Days::DAILY),
        "weekdays" => return Some(Days::WEEKDAYS),
        "weekends" => return Some(Days::WEEKENDS),
        _ => {}
    }
    let Some((first, last)) = item.split_once('-') else {
        return day_of(item).map(Days::only);
    };
    let (first, last) = (day_of(first.trim())?, day_of(last.trim())?);
    let length = (last + 7 - first) % 7;
    Some((0..=length).fold(Days::NONE, |days, ahead| {
        days.and(Days::only(first + ahead))
    }))
}

impl TryFrom<Words> for Days {
    type Error = WrongDays;

    fn try_from(words: Words) -> Result<Self, WrongDays> {
        match words {
            Words::One(text) => Self::parse(&text),
            Words::Many(texts) if texts.is_empty() => Err(WrongDays(String::new())),
            Words::Many(texts) => texts
                .iter()
                .try_fold(Self::NONE, |days, text| Ok(days.and(Self::parse(text)?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn letters(days: Days) -> String {
        "MTWTFSS"
            .chars()
            .zip(0..)
            .map(|(letter, day)| if days.0 & 1 << day == 0 { '-' } else { letter })
            .collect()
    }

    #[test]
    fn days_are_read_as_people_write_them() {
        for (text, days) in [
            ("daily", "MTWTFSS"),
            ("weekdays", "MTWTF--"),
            ("Weekends", "-----SS"),
            ("Mon", "M------"),
            ("sunday", "------S"),
            ("Mon-Fri", "MTWTF--"),
            ("Fri-Mon", "M---FSS"),
            ("Tue-Tue", "-T-----"),
            ("Mon, Wed ,Sat-Sun", "M-W--SS"),
        ] {
            assert_eq!(letters(Days::parse(text).expect(text)), days, "{text}");
        }
        for wrong in [
            "",
            "Mo",
            "Mon-",
            "-",
            "Mon,,Tue",
            "Mon-Tue-Wed",
            "Montag",
            "7",
        ] {
            assert!(Days::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_configuration_may_list_them() {
        #[derive(Deserialize)]
        struct Has {
            days: Days,
        }
        let read = |text: &str| toml::from_str::<Has>(text).map(|has| letters(has.days));
        assert_eq!(read("days = 'weekends'").expect("right"), "-----SS");
        assert_eq!(read("days = ['Mon', 'Fri-Sun']").expect("right"), "M---FSS");
        for (wrong, says) in [
            ("days = 3", "Mon-Fri"),
            ("days = []", "names no days"),
            ("days = ['Mon', 'x']", "\"x\" names no days"),
        ] {
            let error = read(wrong).expect_err("it is wrong").to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "\\PC{0,40}") {
            let _ = Days::parse(&text);
        }

        #[test]
        fn a_range_holds_its_ends_and_what_lies_between(first in 0_usize..7, last in 0_usize..7) {
            let days = Days::parse(&format!("{}-{}", NAMES[first], &NAMES[last][..3])).expect("a range");
            let mut expected = vec![first];
            while expected.last() != Some(&last) {
                expected.push((expected[expected.len() - 1] + 1) % 7);
            }
            for day in 0..7 {
                let has = days.0 & 1 << day != 0;
                prop_assert_eq!(has, expected.contains(&day));
            }
        }
    }
}
