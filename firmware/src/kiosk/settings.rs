//! The `[kiosk]` of a board's configuration.

use super::at::At;
use super::days::Days;
use super::hours::{Hours, TimeOfDay};
use super::night::Quiet;
use super::playlist::{Playlist, check_all};
use crate::board::{Section, Wrong, within};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// What the board does by itself.
///
/// Serialized for its defaults: what is a list or a zone is printed as the files have it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct KioskSettings {
    /// Whether the playlist plays, until somebody says otherwise.
    pub enabled: bool,
    /// A file of playlists.
    pub playlist: Option<PathBuf>,
    /// Playlists, after those of the file.
    #[serde(skip_serializing)]
    pub playlists: Vec<Playlist>,
    /// The zone that all times are meant in; `None`: the system's.
    #[serde(skip_serializing)]
    pub timezone: Option<Zone>,
    /// Seconds between a picture and the next; `None`: ten minutes, or no interval where `at` has times.
    pub interval_s: Option<u64>,
    /// Times at which a picture is painted.
    #[serde(skip_serializing)]
    pub at: Vec<At>,
    /// When an old picture is shown.
    pub show_again: ShowAgain,
    /// When the board rests.
    #[serde(skip_serializing)]
    pub quiet: Vec<QuietHours>,
    /// Minutes that the panel is lit at night after a button was pressed.
    pub wake_min: u64,
}

/// When an old picture is shown.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShowAgain {
    /// Minutes after which one comes.
    pub every_min: Option<u64>,
    /// How often one comes instead of a new picture, 0 to 1.
    pub probability: f64,
}

/// Hours in which the board rests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// The days that they begin on.
    #[serde(default = "daily")]
    pub days: Days,
    /// When they begin.
    pub from: TimeOfDay,
    /// When they end; the next day, if that is not after `from`.
    pub to: TimeOfDay,
    /// Whether prompts of people are painted all the same, in the dark.
    #[serde(default = "yes")]
    pub paint: bool,
}

pub(super) fn daily() -> Days {
    Days::DAILY
}

fn yes() -> bool {
    true
}

/// A time zone, by its name in the IANA database.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Zone(pub TimeZone);

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        TimeZone::get(&name).map(Self).map_err(|_| {
            format!("{name:?} is no time zone: give a name as Europe/Berlin, or leave it out for the system's")
        })
    }
}

/// Where nothing else is said: seconds.
const DEFAULT_INTERVAL: u64 = 600;
/// Seconds: a week.
pub(crate) const LONGEST_INTERVAL: u64 = 7 * 24 * 3600;

impl Default for KioskSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            playlist: None,
            playlists: Vec::new(),
            timezone: None,
            interval_s: None,
            at: Vec::new(),
            show_again: ShowAgain::default(),
            quiet: Vec::new(),
            wake_min: 10,
        }
    }
}

impl Section for KioskSettings {
    const NAME: &str = "kiosk";
    const PATHS: &[&str] = &["playlist"];

    fn check(&self) -> Result<(), Wrong> {
        if let Some(interval) = self.interval_s {
            within("interval_s", interval, 0, LONGEST_INTERVAL)?;
        }
        if let Some(every) = self.show_again.every_min {
            within("show_again.every_min", every, 1, LONGEST_INTERVAL / 60)?;
        }
        let probability = self.show_again.probability;
        within("show_again.probability", probability, 0.0, 1.0)?;
        within("wake_min", self.wake_min, 1, 24 * 60)?;
        check_all(&self.playlists).map_err(|problem| Wrong::new("playlists", problem))
    }
}

impl KioskSettings {
    /// Between the end of one picture and the next; `None`: only at the times of `at`.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        let default = Some(DEFAULT_INTERVAL).filter(|_| self.at.is_empty());
        self.interval_s.or(default).map(Duration::from_secs)
    }

    /// The quiet hours that are now; where several are, one that forbids painting goes before.
    pub(super) fn quiet_at(&self, now: &ZonedDateTime) -> Option<Quiet> {
        let mut quiet = self.quiet.iter().filter(|quiet| quiet.hours().contain(now));
        let first = quiet.next()?.paint;
        let paint = quiet.fold(first, |paint, quiet| paint && quiet.paint);
        Some(Quiet { paint })
    }

    /// When some quiet hours begin or end next.
    pub(super) fn quiet_change(&self, now: &ZonedDateTime) -> Option<Timestamp> {
        let changes = self.quiet.iter();
        changes
            .filter_map(|quiet| quiet.hours().next_change(now))
            .min()
    }

    /// When `at` has its next time.
    pub(super) fn next_at(&self, after: &ZonedDateTime) -> Option<Timestamp> {
        self.at.iter().filter_map(|at| at.next(after)).min()
    }
}

impl QuietHours {
    fn hours(&self) -> Hours {
        Hours {
            days: self.days,
            from: self.from,
            to: self.to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<KioskSettings, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.to_string())
    }

    #[test]
    fn a_whole_section_is_read() {
        let settings = read(
            r#"
            enabled = true
            timezone = "America/New_York"
            interval_s = 0
            at = ["07:30", "Mon-Fri 18:00", "*/15 8-20 * * *"]
            wake_min = 5
            [show_again]
            every_min = 30
            probability = 0.25
            [[quiet]]
            days = ["Mon", "Tue-Thu"]
            from = "22:30"
            to = "07:00"
            paint = false
            [[quiet]]
            from = "13:00"
            to = "14:00"
            [[playlists]]
            name = "a"
            hours = { from = "8:00", to = "12:00" }
            prompts = ["a cat"]
            "#,
        );
        let settings = settings.expect("it is right");
        settings.check().expect("it is right");
        assert_eq!(settings.interval(), Some(Duration::ZERO));
        assert_eq!(
            settings.quiet[0].days,
            Days::parse("Mon-Thu").expect("days")
        );
        assert_eq!(
            (settings.quiet[0].paint, settings.quiet[1].paint),
            (false, true)
        );
        assert_eq!(settings.quiet[1].days, Days::DAILY);
        let hours = settings.playlists[0].hours.expect("it has some");
        assert_eq!(hours.days, Days::DAILY);
    }

    #[test]
    fn what_is_not_said() {
        let settings = KioskSettings::default();
        settings.check().expect("it is right");
        assert!(!settings.enabled && settings.playlists.is_empty());
        assert_eq!(settings.interval(), Some(Duration::from_secs(600)));
        assert_eq!(read("at = ['8:00']").expect("right").interval(), None);
    }

    #[test]
    fn wrong_values_are_named() {
        for (text, says) in [
            ("timezone = 'Mars/Olympus'", "no time zone"),
            ("at = ['25:00']", "00:00 to 23:59"),
            ("at = '07:00'", "expected a sequence"),
            ("[[quiet]]\nfrom = '22:00'", "missing field `to`"),
            (
                "[[quiet]]\nfrom = '22:00'\nto = '7:00'\nday = 'Mon'",
                "unknown field `day`",
            ),
            ("[[playlists]]\nname = 'a'\nprompts = ['{a']", "a brace"),
            (
                "[[playlists]]\nname = 'a'\nprompts = ['a']\nseeds = 'some'",
                "seeds: write \"random\"",
            ),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(says), "{error}");
        }
        for (text, key) in [
            ("interval_s = 604801", "interval_s"),
            ("show_again.every_min = 0", "show_again.every_min"),
            ("show_again.probability = 1.5", "show_again.probability"),
            ("show_again.probability = nan", "show_again.probability"),
            ("wake_min = 0", "wake_min"),
            (
                "[[playlists]]\nname = 'a'\nprompts = []",
                "prompts: is empty",
            ),
        ] {
            let wrong = read(text).expect(text).check().expect_err(text);
            assert!(format!("{wrong:?}").contains(key), "{wrong:?}");
        }
    }

    #[test]
    fn the_strictest_of_several_quiet_hours_counts() {
        let settings = read(
            "[[quiet]]\nfrom = '20:00'\nto = '8:00'\n[[quiet]]\nfrom = '0:00'\nto = '6:00'\npaint = false",
        );
        let settings = settings.expect("it is right");
        let at = |hour: &str| -> ZonedDateTime {
            format!("2026-11-25T{hour}:00[Europe/Berlin]")
                .parse()
                .expect("a time")
        };
        let paint = |hour| settings.quiet_at(&at(hour)).map(|quiet| quiet.paint);
        assert_eq!(
            (paint("12"), paint("21"), paint("03"), paint("07")),
            (None, Some(true), Some(false), Some(true))
        );
        let change = settings.quiet_change(&at("21")).expect("it changes");
        assert_eq!(
            change,
            at("21")
                .tomorrow()
                .expect("in range")
                .start_of_day()
                .expect("in range")
                .timestamp()
        );
    }
}
