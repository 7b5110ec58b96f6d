//! What time it is: how long the process has lived, and what the clock on the wall says, if it can be believed.

use jiff::ZonedDateTime;
use jiff::tz::TimeZone;
use std::time::{Duration, Instant};

/// The year before which a clock has not been set: boards without a battery start in 1970 or when their image was made.
pub const FIRST_CREDIBLE_YEAR: i16 = 2024;

/// One moment, on both clocks.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Since some fixed point; never goes back, whatever is done to the wall clock.
    pub monotonic: Duration,
    /// Local time; `None` until the clock is set.
    pub wall: Option<ZonedDateTime>,
}

impl Moment {
    /// Both clocks; a wall clock that was never set is left out.
    #[must_use]
    pub fn new(monotonic: Duration, wall: ZonedDateTime) -> Self {
        Self {
            monotonic,
            wall: Some(wall).filter(is_set),
        }
    }
}

/// Whether a clock that says `wall` has been set at all.
#[must_use]
pub fn is_set(wall: &ZonedDateTime) -> bool {
    wall.year() >= FIRST_CREDIBLE_YEAR
}

/// Where moments come from.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    zone: Option<TimeZone>,
}

impl Clock {
    /// Counts from now. Without a zone, the system's, whenever it is changed.
    #[must_use]
    pub fn new(zone: Option<TimeZone>) -> Self {
        Self {
            start: Instant::now(),
            zone,
        }
    }

    /// From now on, local time is that of another zone.
    pub fn set_zone(&mut self, zone: Option<TimeZone>) {
        self.zone = zone;
    }

    /// What both clocks say.
    #[must_use]
    pub fn now(&self) -> Moment {
        let zone = self.zone.clone().unwrap_or_else(TimeZone::system);
        Moment::new(
            self.start.elapsed(),
            jiff::Timestamp::now().to_zoned_datetime(zone),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn a_clock_that_was_never_set_is_not_believed() {
        for (year, set) in [(1970, false), (2023, false), (2024, true), (2031, true)] {
            let wall = date(year, 6, 1)
                .to_zoned_datetime(TimeZone::UTC)
                .expect("it is a date");
            let moment = Moment::new(Duration::from_secs(3), wall.clone());
            assert_eq!(moment.wall, set.then_some(wall), "{year}");
            assert_eq!(moment.monotonic, Duration::from_secs(3));
        }
    }

    #[test]
    fn the_zone_is_the_one_given() {
        let zone = TimeZone::get("Pacific/Auckland").expect("it is in the database");
        let clock = Clock::new(Some(zone.clone()));
        let (first, second) = (clock.now(), clock.now());
        assert!(first.monotonic <= second.monotonic);
        let wall = first.wall.expect("this machine has a clock");
        assert_eq!(wall.time_zone(), &zone);
    }
}
