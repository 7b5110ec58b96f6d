//! Hours of the day on some days of the week.

use super::days::Days;
use super::local::instant;
use jiff::civil::Time;
use jiff::{Span, Timestamp, ZonedDateTime};
use serde::Deserialize;
use std::str::FromStr;

/// A time of day, to the minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct TimeOfDay(Time);

/// Text that is no time of day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time of day: write 00:00 to 23:59")]
pub struct WrongTime(String);

impl FromStr for TimeOfDay {
    type Err = WrongTime;

    /// Reads `HH:MM`; the hour may have one digit.
    fn from_str(text: &str) -> Result<Self, WrongTime> {
        let number = |digits: &str| -> Option<i8> {
            let plain =
                (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse().ok())?
        };
        let time = text.split_once(':').and_then(|(hour, minute)| {
            let minute = Some(minute).filter(|minute| minute.len() == 2)?;
            Time::new(number(hour)?, number(minute)?, 0, 0).ok()
        });
        time.map(Self).ok_or_else(|| WrongTime(text.to_owned()))
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = WrongTime;

    fn try_from(text: String) -> Result<Self, WrongTime> {
        text.parse()
    }
}

impl TimeOfDay {
    pub(super) fn hour(self) -> u8 {
        self.0.hour().unsigned_abs()
    }

    pub(super) fn minute(self) -> u8 {
        self.0.minute().unsigned_abs()
    }
}

/// From one time of day to another, on some days. The days are those it begins on; where `to` is not after `from`, it ends on
/// the day after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// The days that it begins on.
    #[serde(default = "super::settings::daily")]
    pub days: Days,
    /// The first minute.
    pub from: TimeOfDay,
    /// The first minute after it.
    pub to: TimeOfDay,
}

impl Hours {
    /// Whether `now` is within.
    #[must_use]
    pub fn contain(&self, now: &ZonedDateTime) -> bool {
        let now_is = now.timestamp();
        self.around(now, -2, 0)
            .any(|(start, end)| (start..end).contains(&now_is))
    }

    /// When [`contain`](Self::contain) is next other than now.
    #[must_use]
    pub fn next_change(&self, now: &ZonedDateTime) -> Option<Timestamp> {
        let within = self.contain(now);
        let edges = self
            .around(now, -2, 9)
            .flat_map(|(start, end)| [start, end]);
        let mut edges: Vec<_> = edges.filter(|&edge| edge > now.timestamp()).collect();
        edges.sort_unstable();
        // One day's end may be the next day's start, and no change.
        edges
            .into_iter()
            .find(|edge| self.contain(&edge.to_zoned_datetime(now.time_zone().clone())) != within)
    }

    /// Those that begin `first` to `last` days after today.
    fn around(
        &self,
        now: &ZonedDateTime,
        first: i64,
        last: i64,
    ) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let zone = now.time_zone();
        let today = now.date();
        (first..=last).filter_map(move |ahead| {
            let day = today.checked_add(Span::new().days(ahead)).ok()?;
            let end = if self.to > self.from {
                day
            } else {
                day.tomorrow().ok()?
            };
            let start = instant(zone, day.to_datetime(self.from.0))?;
            let end = instant(zone, end.to_datetime(self.to.0))?;
            self.days.contains(day.weekday()).then_some((start, end))
        })
    }
}

#[cfg(test)]
mod tests;
