//! Time by two clocks, because a board without a battery does not know the date when it starts.

use std::time::{Duration, Instant, SystemTime};

/// 2024-01-01 00:00 UTC, seconds since 1970. easel is younger: a clock that says less has not been set.
const CLOCK_IS_SET: Duration = Duration::from_secs(1_704_067_200);

/// One moment by two clocks: the date, which may jump when the network sets it, and a clock that only runs.
///
/// While the program runs, times to live are counted by the second one. The date tells how much of them went by while
/// the program did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The date, as far as the board knows it.
    pub wall: SystemTime,
    /// Runs evenly from the start of the machine.
    pub steady: Instant,
}

impl Moment {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self {
            wall: SystemTime::now(),
            steady: Instant::now(),
        }
    }

    /// How long ago `earlier` was by the date; `None` when the dates cannot tell: one of them is from a clock that had
    /// not been set, or the clock was set back since.
    pub(super) fn since(&self, earlier: SystemTime) -> Option<Duration> {
        if !is_set(earlier) || !is_set(self.wall) {
            return None;
        }
        self.wall.duration_since(earlier).ok()
    }
}

/// Whether a date is from a clock that had been set.
pub(crate) fn is_set(wall: SystemTime) -> bool {
    wall.duration_since(SystemTime::UNIX_EPOCH)
        .is_ok_and(|since_1970| since_1970 >= CLOCK_IS_SET)
}

/// A date as milliseconds since 1970; what is before is 1970.
pub(super) mod unix_ms {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};
    use std::time::{Duration, SystemTime};

    pub(crate) fn serialize<S: Serializer>(
        wall: &SystemTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let since_1970 = wall
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        serializer.serialize_u64(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SystemTime, D::Error> {
        let ms = Duration::from_millis(u64::deserialize(deserializer)?);
        SystemTime::UNIX_EPOCH
            .checked_add(ms)
            .ok_or_else(|| D::Error::custom("a date that is out of range"))
    }
}

/// A duration as whole milliseconds.
pub(super) mod ms {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(crate) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// A duration that may be left out, as whole milliseconds.
pub(super) mod optional_ms {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    #[allow(clippy::ref_option, reason = "serde calls it with what the field is")]
    pub(crate) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::ms::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let ms = Option::<u64>::deserialize(deserializer)?;
        Ok(ms.map(Duration::from_millis))
    }
}
