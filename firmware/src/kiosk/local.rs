//! From what a clock on the wall shows to when that is.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// When clocks of this zone show `civil`. A time that they skip in spring is when they jump; one that they show twice in
/// autumn is the first of the two. `None` beyond the years that can be counted.
pub(super) fn instant(zone: &TimeZone, civil: DateTime) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(civil);
    // For a skipped time, this is read with the offset that comes after, and so lies before the jump.
    let earlier = ambiguous.earlier().ok()?;
    match ambiguous.offset() {
        AmbiguousOffset::Gap { .. } => {
            let jump = zone.following(earlier).next();
            Some(jump.map_or(earlier, |jump| jump.timestamp()))
        }
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => Some(earlier),
    }
}

/// When clocks show `civil` for the second time, if they do.
pub(super) fn second_instant(zone: &TimeZone, civil: DateTime) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(civil);
    match ambiguous.offset() {
        AmbiguousOffset::Fold { .. } => ambiguous.later().ok(),
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Gap { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(zone: &str, civil: &str) -> (String, Option<String>) {
        let zone = TimeZone::get(zone).expect("it is in the database");
        let civil: DateTime = civil.parse().expect("it is a time");
        (
            instant(&zone, civil).expect("it is in range").to_string(),
            second_instant(&zone, civil).map(|second| second.to_string()),
        )
    }

    #[test]
    fn skipped_and_repeated_times() {
        let once = |zone, civil, at: &str| {
            assert_eq!(utc(zone, civil), (at.to_owned(), None), "{civil}");
        };
        once("Europe/Berlin", "2026-03-29T01:59", "2026-03-29T00:59:00Z");
        once("Europe/Berlin", "2026-03-29T02:00", "2026-03-29T01:00:00Z");
        once("Europe/Berlin", "2026-03-29T02:59", "2026-03-29T01:00:00Z");
        once("Europe/Berlin", "2026-03-29T03:00", "2026-03-29T01:00:00Z");
        once("Europe/Berlin", "2026-10-25T03:00", "2026-10-25T02:00:00Z");
        // Half an hour only; a day that a country left out.
        once(
            "Australia/Lord_Howe",
            "2026-10-04T02:15",
            "2026-10-03T15:30:00Z",
        );
        once("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00:00Z");
        let twice = (
            "2026-10-25T00:30:00Z".to_owned(),
            Some("2026-10-25T01:30:00Z".to_owned()),
        );
        assert_eq!(utc("Europe/Berlin", "2026-10-25T02:30"), twice);
    }
}
