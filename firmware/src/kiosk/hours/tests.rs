use super::*;
use jiff::ToSpan;
use proptest::prelude::*;

fn hours(days: &str, from: &str, to: &str) -> Hours {
    Hours {
        days: Days::parse(days).expect("days"),
        from: from.parse().expect("a time"),
        to: to.parse().expect("a time"),
    }
}

fn at(text: &str) -> ZonedDateTime {
    text.parse().expect("a time and its zone")
}

#[test]
fn times_of_day() {
    for (text, hour, minute) in [("00:00", 0, 0), ("7:05", 7, 5), ("23:59", 23, 59)] {
        let time: TimeOfDay = text.parse().expect(text);
        assert_eq!((time.hour(), time.minute()), (hour, minute));
    }
    for wrong in [
        "", ":", "7", "24:00", "07:60", "7:5", "07:00:00", "+7:00", "-1:00", "07:0a", " 7:00",
        "007:00", "٧:00",
    ] {
        assert!(wrong.parse::<TimeOfDay>().is_err(), "{wrong:?}");
    }
}

/// Minutes of the week of 2026-11-23, a Monday, in UTC, as ranges.
fn week(hours: &Hours) -> Vec<(String, String)> {
    let start = at("2026-11-23T00:00[UTC]");
    let minute = |minute: i64| start.checked_add(minute.minutes()).expect("in range");
    let name = |minute: ZonedDateTime| minute.strftime("%a %H:%M").to_string();
    let within: Vec<i64> = (0..7 * 24 * 60)
        .filter(|&i| hours.contain(&minute(i)))
        .collect();
    let ranges = within.chunk_by(|one, next| one + 1 == *next);
    ranges
        .map(|range| {
            (
                name(minute(range[0])),
                name(minute(range[range.len() - 1] + 1)),
            )
        })
        .collect()
}

#[test]
fn a_night_begins_on_its_day_and_ends_on_the_next() {
    let range = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    assert_eq!(
        week(&hours("Fri", "22:30", "07:00")),
        [range("Fri 22:30", "Sat 07:00")]
    );
    let over_the_week = [
        range("Mon 00:00", "Mon 07:00"),
        range("Sun 22:30", "Mon 00:00"),
    ];
    assert_eq!(week(&hours("Sun", "22:30", "07:00")), over_the_week);
    assert_eq!(
        week(&hours("Wed", "12:00", "13:00")),
        [range("Wed 12:00", "Wed 13:00")]
    );
    // The same time twice is a whole day, and days join.
    assert_eq!(
        week(&hours("Wed", "06:00", "06:00")),
        [range("Wed 06:00", "Thu 06:00")]
    );
    assert_eq!(
        week(&hours("weekends", "00:00", "00:00")),
        [range("Sat 00:00", "Mon 00:00")]
    );
}

#[test]
fn a_change_is_foretold() {
    let night = hours("daily", "22:30", "07:00");
    let next = |night: &Hours, now: &str| night.next_change(&at(now)).map(|at| at.to_string());
    let (noon, dark) = ("2026-11-25T12:00[UTC]", "2026-11-25T23:00[UTC]");
    assert_eq!(next(&night, noon), Some("2026-11-25T22:30:00Z".into()));
    assert_eq!(next(&night, dark), Some("2026-11-26T07:00:00Z".into()));
    // The very second of a change is already after it.
    assert_eq!(
        next(&night, "2026-11-25T22:30[UTC]"),
        Some("2026-11-26T07:00:00Z".into())
    );
    // A week away, and never.
    assert_eq!(
        next(&hours("Wed", "11:00", "12:00"), noon),
        Some("2026-12-02T11:00:00Z".into())
    );
    assert_eq!(next(&hours("daily", "00:00", "00:00"), noon), None);
    let weekend = hours("weekends", "00:00", "00:00");
    assert_eq!(
        next(&weekend, "2026-11-28T01:00[UTC]"),
        Some("2026-11-30T00:00:00Z".into())
    );
}

/// Whether it is quiet at each of the local times; `+01:00` and the like tell repeated ones apart.
fn in_berlin(hours: &Hours, times: &[(&str, bool)]) {
    for (time, within) in times {
        let now = at(&format!("{time}[Europe/Berlin]"));
        assert_eq!(hours.contain(&now), *within, "{time}");
    }
}

#[test]
fn clocks_that_jump_forward_skip_no_edge() {
    // On 2026-03-29 02:00 becomes 03:00 in Berlin.
    let begins = hours("Sun", "02:30", "06:00");
    in_berlin(
        &begins,
        &[
            ("2026-03-29T01:59+01:00", false),
            ("2026-03-29T03:00+02:00", true),
            ("2026-03-29T06:00+02:00", false),
        ],
    );
    let ends = hours("Sat", "22:00", "02:30");
    in_berlin(
        &ends,
        &[
            ("2026-03-29T01:59+01:00", true),
            ("2026-03-29T03:00+02:00", false),
        ],
    );
    let skipped = hours("Sun", "02:10", "02:50");
    in_berlin(
        &skipped,
        &[
            ("2026-03-29T01:59+01:00", false),
            ("2026-03-29T03:00+02:00", false),
        ],
    );
    let over = hours("Sat", "22:30", "07:00");
    in_berlin(
        &over,
        &[
            ("2026-03-29T03:00+02:00", true),
            ("2026-03-29T06:59+02:00", true),
            ("2026-03-29T07:00+02:00", false),
        ],
    );
    assert_eq!(
        begins
            .next_change(&at("2026-03-29T00:00+01:00[Europe/Berlin]"))
            .expect("it begins")
            .to_string(),
        "2026-03-29T01:00:00Z"
    );
}

#[test]
fn clocks_that_go_back_change_nothing_twice() {
    // On 2026-10-25 03:00 becomes 02:00 in Berlin.
    let begins = hours("Sun", "02:30", "03:15");
    in_berlin(
        &begins,
        &[
            ("2026-10-25T02:29+02:00", false),
            ("2026-10-25T02:30+02:00", true),
            ("2026-10-25T02:00+01:00", true),
            ("2026-10-25T02:29+01:00", true),
            ("2026-10-25T03:14+01:00", true),
            ("2026-10-25T03:15+01:00", false),
        ],
    );
    let ends = hours("Sat", "22:00", "02:30");
    in_berlin(
        &ends,
        &[
            ("2026-10-25T02:29+02:00", true),
            ("2026-10-25T02:30+02:00", false),
            ("2026-10-25T02:00+01:00", false),
        ],
    );
}

proptest! {
    #[test]
    fn no_text_breaks_it(text in "\\PC{0,12}|[0-9]{0,3}:?[0-9]{0,3}") {
        if let Ok(time) = text.parse::<TimeOfDay>() {
            prop_assert!(time.hour() < 24 && time.minute() < 60);
        }
    }

    /// Against a walk through the minutes.
    #[test]
    fn a_foretold_change_is_the_first(
        day in 0_u8..7, more in 0_u8..7, from in 0_u16..1440, to in 0_u16..1440,
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana"]),
        // Around the changes of 2026.
        start in prop::sample::select(vec![1_774_600_000_i64, 1_793_000_000, 1_772_900_000, 1_775_000_000, 1_791_000_000]),
        later in 0_i64..4 * 1440,
    ) {
        let time = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60).parse().expect("a time");
        let hours = Hours { days: Days::only(day).and(Days::only(more)), from: time(from), to: time(to) };
        let zone = jiff::tz::TimeZone::get(zone).expect("it is in the database");
        let minute = |minute: i64| Timestamp::from_second((start / 60 + later + minute) * 60).expect("in range").to_zoned_datetime(zone.clone());
        let now = minute(0);
        let walked = (1..9 * 1440).map(minute).find(|then| hours.contain(then) != hours.contain(&now));
        prop_assert_eq!(hours.next_change(&now), walked.map(|then| then.timestamp()));
    }
}
