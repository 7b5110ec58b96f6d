//! Times at which something happens: `07:30`, `Mon-Fri 18:00`, or the five fields of cron.

use super::days::{Days, day_of};
use super::hours::TimeOfDay;
use super::local::{instant, second_instant};
use jiff::civil::{Date, Time};
use jiff::{Timestamp, ZonedDateTime};
use serde::Deserialize;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Times that come again: sets of minutes, hours, days of the month, months and days of the week, as crontab(5) means them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct At {
    minutes: u64,
    hours: u64,
    month_days: u64,
    months: u64,
    days: Days,
    /// Either kind of day is enough: both were given, as crontab(5) has it.
    either: bool,
}

/// Text that means no times.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: {problem}")]
pub struct WrongAt {
    text: String,
    problem: String,
}

const MINUTES: RangeInclusive<u8> = 0..=59;
const HOURS: RangeInclusive<u8> = 0..=23;
const MONTH_DAYS: RangeInclusive<u8> = 1..=31;
const MONTHS: RangeInclusive<u8> = 1..=12;
/// 0 and 7 are both Sunday.
const WEEK_DAYS: RangeInclusive<u8> = 0..=7;
const MONTH_NAMES: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
/// The most days that each month may have.
const MONTH_LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// The 29th of February on one day of the week comes at least this often, even where a century has no leap day: days.
const HORIZON: usize = 41 * 366;

impl FromStr for At {
    type Err = WrongAt;

    /// Reads `HH:MM` (every day), `DAYS HH:MM` (as [`Days::parse`] reads them) or `MINUTE HOUR DAY MONTH WEEKDAY`, where each
    /// field is `*` or a list of numbers and ranges, with `/STEP`; months and days of the week may be English names of three letters.
    ///
    /// # Errors
    /// Any other text, and a date that never comes.
    fn from_str(text: &str) -> Result<Self, WrongAt> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let read = match words[..] {
            [time] => daily(Days::DAILY, time),
            [days, time] => Days::parse(days)
                .map_err(|error| error.to_string())
                .and_then(|days| daily(days, time)),
            [minute, hour, day, month, week_day] => cron(minute, hour, day, month, week_day),
            _ => {
                let forms = "write \"07:30\", \"Mon-Fri 18:00\" or five fields as cron has them";
                Err(forms.to_owned())
            }
        };
        read.map_err(|problem| WrongAt {
            text: text.to_owned(),
            problem,
        })
    }
}

impl TryFrom<String> for At {
    type Error = WrongAt;

    fn try_from(text: String) -> Result<Self, WrongAt> {
        text.parse()
    }
}

fn daily(days: Days, time: &str) -> Result<At, String> {
    let time: TimeOfDay = time
        .parse()
        .map_err(|error: super::hours::WrongTime| error.to_string())?;
    Ok(At {
        minutes: bit(time.minute()),
        hours: bit(time.hour()),
        month_days: all(&MONTH_DAYS),
        months: all(&MONTHS),
        days,
        either: false,
    })
}

fn cron(minute: &str, hour: &str, day: &str, month: &str, week_day: &str) -> Result<At, String> {
    let month_name = |name: &str| {
        let name = name.to_ascii_lowercase();
        let found = MONTH_NAMES.iter().position(|&month| month == name)?;
        u8::try_from(found + 1).ok()
    };
    // Monday is 0 of ours, and 1 of theirs.
    let day_name = |name: &str| Some(day_of(name).filter(|_| name.len() == 3)? + 1);
    let week_days = field("day of the week", week_day, WEEK_DAYS, day_name)?;
    let days = WEEK_DAYS
        .filter(|day| week_days & bit(*day) != 0)
        .fold(Days::NONE, |days, day| days.and(Days::only(day + 6)));
    let at = At {
        minutes: field("minute", minute, MINUTES, |_| None)?,
        hours: field("hour", hour, HOURS, |_| None)?,
        month_days: field("day of the month", day, MONTH_DAYS, |_| None)?,
        months: field("month", month, MONTHS, month_name)?,
        days,
        either: !day.starts_with('*') && !week_day.starts_with('*'),
    };
    let comes = MONTHS.zip(MONTH_LENGTHS).any(|(month, length)| {
        at.months & bit(month) != 0 && at.month_days & ((2 << length) - 1) != 0
    });
    if at.either || comes {
        return Ok(at);
    }
    Err("this date never comes: correct day and month".to_owned())
}

/// A set of numbers: `*`, `N`, `N-M`, any of these with `/STEP`, or several with commas. `N/STEP` goes on to the end.
fn field(
    what: &str,
    text: &str,
    range: RangeInclusive<u8>,
    name: impl Fn(&str) -> Option<u8>,
) -> Result<u64, String> {
    let (least, most) = (*range.start(), *range.end());
    let wrong = |item: &str| {
        format!("{what} {item:?}: give {least} to {most}, *, ranges as 1-5, steps as */15")
    };
    let number = |digits: &str| {
        let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        let number = if plain {
            digits.parse().ok()
        } else {
            name(digits)
        };
        number.filter(|number| range.contains(number))
    };
    let mut set = 0;
    for item in text.split(',') {
        let (span, step) = match item.split_once('/') {
            Some((span, step)) => {
                let plain =
                    (1..=2).contains(&step.len()) && step.bytes().all(|b| b.is_ascii_digit());
                let step = Some(step)
                    .filter(|_| plain)
                    .and_then(|step| step.parse().ok());
                let step = step.filter(|&step: &u8| step > 0);
                (span, Some(step.ok_or_else(|| wrong(item))?))
            }
            None => (item, None),
        };
        let (first, last) = match span.split_once('-') {
            _ if span == "*" => (least, most),
            Some((first, last)) => (
                number(first).ok_or_else(|| wrong(item))?,
                number(last).ok_or_else(|| wrong(item))?,
            ),
            None => {
                let first = number(span).ok_or_else(|| wrong(item))?;
                (first, if step.is_some() { most } else { first })
            }
        };
        if first > last {
            return Err(format!(
                "{what} {item:?}: the range is the wrong way round: write two, with a comma"
            ));
        }
        set |= (first..=last)
            .step_by(usize::from(step.unwrap_or(1)))
            .fold(0, |set, number| set | bit(number));
    }
    Ok(set)
}

fn bit(number: u8) -> u64 {
    1 << number
}

fn all(range: &RangeInclusive<u8>) -> u64 {
    range.clone().fold(0, |set, number| set | bit(number))
}

fn has(set: u64, number: i8) -> bool {
    set & bit(number.unsigned_abs()) != 0
}

impl At {
    /// The first of these times after `after`, in its zone.
    ///
    /// A time that clocks skip in spring is when they jump. One that they show twice in autumn is the first of the two, unless
    /// it is to happen at every hour: then it is both. As cron does, so that nothing is left out and nothing is done twice.
    #[must_use]
    pub fn next(&self, after: &ZonedDateTime) -> Option<Timestamp> {
        let first = after.date().yesterday().ok()?;
        let mut days = first.series(jiff::Span::new().days(1)).take(HORIZON);
        let mut on = |day: Date| self.on(day, after);
        let found = days.by_ref().find_map(&mut on)?;
        // Where clocks jump over midnight, the next day's first time may be as early.
        let next = days.next().and_then(on);
        Some(next.map_or(found, |next| next.min(found)))
    }

    /// The first time of one day that comes after `after`.
    fn on(&self, day: Date, after: &ZonedDateTime) -> Option<Timestamp> {
        if !self.includes(day) {
            return None;
        }
        let zone = after.time_zone();
        let hours = (0..24).filter(|&hour| has(self.hours, hour));
        let times = hours.flat_map(|hour| {
            let minutes = (0..60).filter(|&minute| has(self.minutes, minute));
            minutes.filter_map(move |minute| Time::new(hour, minute, 0, 0).ok())
        });
        let instants = times.flat_map(|time| {
            let civil = day.to_datetime(time);
            let again = (self.hours == all(&HOURS)).then(|| second_instant(zone, civil));
            [instant(zone, civil), again.flatten()]
        });
        instants
            .flatten()
            .filter(|&at| at > after.timestamp())
            .min()
    }

    fn includes(&self, day: Date) -> bool {
        let of_month = has(self.month_days, day.day());
        let of_week = self.days.contains(day.weekday());
        let right = if self.either {
            of_month || of_week
        } else {
            of_month && of_week
        };
        right && has(self.months, day.month())
    }
}

#[cfg(test)]
mod tests;
