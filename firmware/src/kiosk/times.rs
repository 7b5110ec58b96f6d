//! Whether a time of `at` has passed.

use super::night::{NightMode, night};
use super::settings::KioskSettings;
use crate::watch::Moment;
use jiff::{SignedDuration, Timestamp, ZonedDateTime};
use std::time::Duration;

/// Watches the wall clock for the times of `at`, and for being set.
#[derive(Debug, Default)]
pub(super) struct Times {
    seen: Option<Seen>,
}

/// The clocks as they were at the last look.
#[derive(Debug)]
struct Seen {
    monotonic: Duration,
    wall: ZonedDateTime,
    /// When `at` has its next time.
    next: Option<Timestamp>,
}

/// A wall clock that moves against the other one by more was set.
const MOST_DRIFT: SignedDuration = SignedDuration::from_secs(90);

impl Times {
    /// Whether a time has passed since the last look, outside of the night. Not if the clock was set meanwhile: what a jump
    /// goes over has not happened.
    pub(super) fn have_passed(
        &mut self,
        now: &Moment,
        settings: &KioskSettings,
        mode: NightMode,
    ) -> bool {
        let seen = self.seen.take();
        let Some(wall) = &now.wall else {
            return false;
        };
        let mut next = match seen.filter(|seen| seen.goes_on_to(now.monotonic, wall)) {
            Some(seen) => seen.next,
            None => settings.next_at(wall),
        };
        let mut has_passed = false;
        while let Some(at) = next.filter(|&at| at <= wall.timestamp()) {
            let then = at.to_zoned_datetime(wall.time_zone().clone());
            has_passed |= night(mode, false, settings.quiet_at(&then)).kiosk;
            next = settings.next_at(&then);
        }
        self.seen = Some(Seen {
            monotonic: now.monotonic,
            wall: wall.clone(),
            next,
        });
        has_passed
    }

    /// When the next one is, as known at the last look.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.seen.as_ref()?.next
    }
}

impl Seen {
    /// Whether both clocks went on alike, in the same zone.
    fn goes_on_to(&self, monotonic: Duration, wall: &ZonedDateTime) -> bool {
        let by_wall = wall.timestamp().duration_since(self.wall.timestamp());
        let by_other = SignedDuration::try_from(monotonic.saturating_sub(self.monotonic));
        let drift = by_other.map(|by_other| (by_wall - by_other).abs());
        drift.is_ok_and(|drift| drift <= MOST_DRIFT) && wall.time_zone() == self.wall.time_zone()
    }
}
