//! When the board paints and shows by itself.

use super::draw::Chance;
use super::night::{Night, NightMode, night};
use super::playlist::{Playlist, Position};
use super::settings::{KioskSettings, LONGEST_INTERVAL};
use super::style::Style;
use super::times::Times;
use crate::jobs::Order;
use crate::watch::Moment;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What the kiosk wants to happen now.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// A new picture.
    Paint(Order),
    /// The picture that is shown, a little different.
    Vary,
    /// One of the history. Where it has none, [`Kiosk::draw`] gives something to paint instead.
    ShowAgain,
}

/// What the kiosk must know after a restart: what people have set, and how far the playlists have come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KioskState {
    /// Whether the playlist plays; `None`: as configured.
    pub enabled: Option<bool>,
    /// Seconds between pictures; `None`: as configured.
    pub interval_s: Option<u64>,
    /// The style of all pictures; `None`: the playlist's.
    pub style: Option<String>,
    /// The night.
    pub night: NightMode,
    /// What chance comes from.
    pub seed: Option<u64>,
    /// By the playlists' names.
    pub positions: BTreeMap<String, Position>,
}

/// A setting that cannot be taken; nothing changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// Out of range.
    #[error("interval: {0}: give 0 to {LONGEST_INTERVAL} seconds")]
    Interval(u64),
    /// No playlist has it.
    #[error("style: {0:?} is in no playlist: give one of the styles, or none")]
    Style(String),
}

/// Decides what happens when nobody asks. It reads no clock and no file: the house calls [`poll`](Self::poll) when something
/// has happened and when [`next_due`](Self::next_due) is over.
#[derive(Debug)]
pub struct Kiosk {
    settings: KioskSettings,
    playlists: Vec<Playlist>,
    state: KioskState,
    unsaved: bool,
    rng: Chance,
    busy: bool,
    /// Since when the picture rests that the next one waits for; `None`: the next one waits for nothing.
    rest_from: Option<Duration>,
    /// A time of `at` has passed, and its picture is not yet painted.
    pending: bool,
    /// When a picture last came onto the panel, and when an old one did.
    shown: Option<Duration>,
    shown_again: Option<Duration>,
    awake_until: Duration,
    times: Times,
}

/// Where something is painted, or depends on the wall clock, which may be set.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

impl Kiosk {
    /// `playlists` are those of the file that the settings name; the settings' own come after them. `seed` is where chance
    /// comes from, unless the state has one.
    #[must_use]
    pub fn new(
        settings: KioskSettings,
        playlists: Vec<Playlist>,
        mut state: KioskState,
        seed: u64,
    ) -> Self {
        let unsaved = state.seed.is_none();
        state.seed.get_or_insert(seed);
        let mut kiosk = Self {
            settings: KioskSettings::default(),
            playlists: Vec::new(),
            state,
            unsaved,
            rng: Chance::new(seed),
            busy: false,
            rest_from: None,
            pending: false,
            shown: None,
            shown_again: None,
            awake_until: Duration::ZERO,
            times: Times::default(),
        };
        kiosk.configure(settings, playlists);
        kiosk
    }

    /// Takes a configuration that has changed, with the playlists of the file that it names. What people have set stays.
    pub fn configure(&mut self, settings: KioskSettings, playlists: Vec<Playlist>) {
        self.settings = settings;
        self.times = Times::default();
        self.set_playlists(playlists);
    }

    /// What should happen now. `busy` is whether something is painted or waits to be: as long as it is, nothing is wished, since
    /// people go before the playlist, and afterwards their picture rests like any other.
    pub fn poll(&mut self, now: &Moment, busy: bool) -> Option<Wish> {
        let passed = self
            .times
            .have_passed(now, &self.settings, self.state.night);
        self.pending |= passed && self.is_enabled();
        let was_busy = std::mem::replace(&mut self.busy, busy);
        if busy {
            return None;
        }
        if was_busy {
            self.rest_from = Some(now.monotonic);
            self.shown = Some(now.monotonic);
        }
        if !self.is_enabled() || !self.night(now).kiosk {
            self.pending = false;
            // After a night an old picture is not what has been waited for.
            self.shown_again = None;
            return None;
        }
        self.shown.get_or_insert(now.monotonic);
        self.shown_again.get_or_insert(now.monotonic);
        let is_due = |wait: Option<Duration>| wait == Some(Duration::ZERO);
        let paint = is_due(self.until_paint(now)) && self.playing(now).is_some();
        if is_due(self.until_again(now)) {
            if paint {
                // In its place.
                self.turn_taken(now);
            }
            return Some(self.show_again(now));
        }
        if !paint {
            return None;
        }
        if self.rng.chance(self.settings.show_again.probability) {
            self.turn_taken(now);
            return Some(self.show_again(now));
        }
        self.draw(now)
    }

    /// The next picture of the playlist, now, whatever the hour: for a button. `None` if no playlist plays now.
    pub fn draw(&mut self, now: &Moment) -> Option<Wish> {
        let playlist = self.playing(now)?;
        let position = self.state.positions.get(&playlist.name);
        let seed = self.state.seed.unwrap_or_default();
        let start = Position::default();
        let (wish, next) = playlist.next(position.unwrap_or(&start), seed, self.style());
        let name = playlist.name.clone();
        self.state.positions.insert(name, next);
        self.unsaved = true;
        self.turn_taken(now);
        // Until the house says otherwise.
        self.busy = true;
        Some(wish)
    }

    /// How long [`poll`](Self::poll) and [`night`](Self::night) stay as they are, if nothing happens meanwhile; `None`: for
    /// ever. Never more than a minute while something is painted, or where something depends on the wall clock, which may be set.
    #[must_use]
    pub fn next_due(&self, now: &Moment) -> Option<Duration> {
        let mut waits = vec![self.until_night_changes(now)];
        if self.busy {
            waits.push(Some(LONGEST_SLEEP));
        } else if self.is_enabled() && self.night(now).kiosk {
            waits.push(match self.playing(now) {
                Some(_) => self.until_paint(now),
                None => self.until_one_plays(now),
            });
            waits.push(self.until_again(now));
        }
        let by_the_clock = !self.settings.quiet.is_empty()
            || !self.settings.at.is_empty()
            || self
                .playlists
                .iter()
                .any(|playlist| playlist.hours.is_some());
        waits.push(by_the_clock.then_some(LONGEST_SLEEP));
        waits.into_iter().flatten().min()
    }

    /// What may happen now.
    #[must_use]
    pub fn night(&self, now: &Moment) -> Night {
        let quiet = now
            .wall
            .as_ref()
            .and_then(|wall| self.settings.quiet_at(wall));
        night(self.state.night, now.monotonic < self.awake_until, quiet)
    }

    /// Somebody has pressed a button: the panel is lit for a while.
    pub fn wake(&mut self, now: &Moment) {
        self.awake_until = now.monotonic + Duration::from_secs(60 * self.settings.wake_min);
    }

    /// Sets the night, and ends what a button began.
    pub fn set_night(&mut self, mode: NightMode) {
        self.awake_until = Duration::ZERO;
        self.unsaved |= self.state.night != mode;
        self.state.night = mode;
    }

    /// Starts or stops the playlist. Started, it paints at once.
    pub fn set_enabled(&mut self, enabled: bool) {
        if enabled != self.is_enabled() {
            self.rest_from = None;
            self.pending = false;
        }
        self.unsaved |= self.state.enabled != Some(enabled);
        self.state.enabled = Some(enabled);
    }

    /// Sets the time between a picture and the next, in seconds.
    ///
    /// # Errors
    /// More than a week.
    pub fn set_interval(&mut self, seconds: u64) -> Result<(), SettingError> {
        if seconds > LONGEST_INTERVAL {
            return Err(SettingError::Interval(seconds));
        }
        self.unsaved |= self.state.interval_s != Some(seconds);
        self.state.interval_s = Some(seconds);
        Ok(())
    }

    /// Paints all that the playlist paints in one style; `None`: in the playlist's.
    ///
    /// # Errors
    /// A style that no playlist has.
    pub fn set_style(&mut self, name: Option<&str>) -> Result<(), SettingError> {
        if let Some(name) = name
            && !self.styles().contains(&name)
        {
            return Err(SettingError::Style(name.to_owned()));
        }
        self.unsaved |= self.state.style.as_deref() != name;
        self.state.style = name.map(str::to_owned);
        Ok(())
    }

    /// Takes what a file of playlists says now. Those of the same name go on where they were.
    pub fn set_playlists(&mut self, mut playlists: Vec<Playlist>) {
        for playlist in &self.settings.playlists {
            // Of two that are called the same, the file's.
            if playlists.iter().all(|other| other.name != playlist.name) {
                playlists.push(playlist.clone());
            }
        }
        self.playlists = playlists;
    }

    /// Whether the playlist plays.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.state.enabled.unwrap_or(self.settings.enabled)
    }

    /// Between a picture and the next; `None`: only at the times of `at`.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        // A state that was read from a damaged file may say anything.
        let set = self.state.interval_s.map(|set| set.min(LONGEST_INTERVAL));
        set.map(Duration::from_secs)
            .or_else(|| self.settings.interval())
    }

    /// The names of all styles, each once.
    #[must_use]
    pub fn styles(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for style in self.all_styles() {
            if !names.contains(&style.name.as_str()) {
                names.push(&style.name);
            }
        }
        names
    }

    /// The style that was set, if some playlist still has it.
    #[must_use]
    pub fn style(&self) -> Option<&Style> {
        let name = self.state.style.as_deref()?;
        self.all_styles().find(|style| style.name == name)
    }

    /// What the night was set to.
    #[must_use]
    pub fn night_mode(&self) -> NightMode {
        self.state.night
    }

    /// The state, if it has changed since the last call: to be written.
    pub fn unsaved(&mut self) -> Option<&KioskState> {
        std::mem::take(&mut self.unsaved).then_some(&self.state)
    }

    fn all_styles(&self) -> impl Iterator<Item = &Style> {
        self.playlists.iter().flat_map(|playlist| &playlist.styles)
    }

    /// The first playlist whose hours are now. Without a clock, one that has no hours if there is one.
    fn playing(&self, now: &Moment) -> Option<&Playlist> {
        let mut playlists = self.playlists.iter();
        match &now.wall {
            Some(wall) => {
                playlists.find(|playlist| playlist.hours.is_none_or(|hours| hours.contain(wall)))
            }
            None => playlists
                .find(|playlist| playlist.hours.is_none())
                .or(self.playlists.first()),
        }
    }

    fn until_one_plays(&self, now: &Moment) -> Option<Duration> {
        let wall = now.wall.as_ref()?;
        let hours = self.playlists.iter().filter_map(|playlist| playlist.hours);
        let changes = hours.filter_map(|hours| hours.next_change(wall));
        until(now, changes.min()?)
    }

    fn turn_taken(&mut self, now: &Moment) {
        self.rest_from = Some(now.monotonic);
        self.pending = false;
    }

    fn show_again(&mut self, now: &Moment) -> Wish {
        self.shown = Some(now.monotonic);
        self.shown_again = Some(now.monotonic);
        Wish::ShowAgain
    }

    /// Until a picture is to be painted.
    fn until_paint(&self, now: &Moment) -> Option<Duration> {
        if self.pending {
            return Some(Duration::ZERO);
        }
        let rested = self.interval().map(|interval| {
            let end = self
                .rest_from
                .map_or(Duration::ZERO, |from| from + interval);
            end.saturating_sub(now.monotonic)
        });
        let at = self.times.next().and_then(|next| until(now, next));
        rested.into_iter().chain(at).min()
    }

    /// Until an old picture is to be shown: so long after the last old one, and after the picture that is shown has had its time.
    fn until_again(&self, now: &Moment) -> Option<Duration> {
        let every = Duration::from_secs(60 * self.settings.show_again.every_min?);
        let rest = self
            .interval()
            .map_or(every, |interval| interval.min(every));
        let start = |from: Option<Duration>| from.unwrap_or(now.monotonic);
        let end = (start(self.shown_again) + every).max(start(self.shown) + rest);
        Some(end.saturating_sub(now.monotonic))
    }

    fn until_night_changes(&self, now: &Moment) -> Option<Duration> {
        let awake = self.awake_until.checked_sub(now.monotonic);
        let awake = awake.filter(|left| !left.is_zero());
        let wall = now.wall.as_ref();
        let wall = wall.filter(|_| self.state.night == NightMode::Auto);
        let quiet = wall.and_then(|wall| until(now, self.settings.quiet_change(wall)?));
        awake.into_iter().chain(quiet).min()
    }
}

/// From `now` to `then`; `None` without a clock.
fn until(now: &Moment, then: Timestamp) -> Option<Duration> {
    let wait = then.duration_since(now.wall.as_ref()?.timestamp());
    Some(wait.try_into().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests;
