use super::*;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn after(text: &str, now: &str, count: usize) -> Vec<String> {
    let at: At = text.parse().expect(text);
    let mut now: ZonedDateTime = now.parse().expect("a time and its zone");
    let mut found = Vec::new();
    for _ in 0..count {
        let zone = now.time_zone().clone();
        now = at
            .next(&now)
            .expect("it comes again")
            .to_zoned_datetime(zone);
        found.push(now.strftime("%a %Y-%m-%d %H:%M%:z").to_string());
    }
    found
}

#[test]
fn the_three_ways_to_write_times() {
    let now = "2026-11-27T17:00[UTC]"; // a Friday
    assert_eq!(
        after("07:30", now, 2),
        ["Sat 2026-11-28 07:30+00:00", "Sun 2026-11-29 07:30+00:00"]
    );
    assert_eq!(
        after("Mon-Fri 18:00", now, 2),
        ["Fri 2026-11-27 18:00+00:00", "Mon 2026-11-30 18:00+00:00"]
    );
    let quarters = [
        "Fri 2026-11-27 20:30+00:00",
        "Fri 2026-11-27 20:45+00:00",
        "Sat 2026-11-28 08:00+00:00",
    ];
    assert_eq!(
        after("*/15 8-20 * * *", "2026-11-27T20:15[UTC]", 3),
        quarters
    );
    // Not the very same moment again.
    assert_eq!(after("17:00", now, 1), ["Sat 2026-11-28 17:00+00:00"]);
    assert_eq!(
        after("17:00", "2026-11-27T16:59:59.999[UTC]", 1),
        ["Fri 2026-11-27 17:00+00:00"]
    );
}

#[test]
fn fields_as_crontab_has_them() {
    let now = "2026-01-01T00:00[UTC]";
    for (text, next) in [
        ("0 0 29 feb *", "Tue 2028-02-29 00:00+00:00"),
        ("0 12 1,15 * *", "Thu 2026-01-01 12:00+00:00"),
        ("5 4 * * sun", "Sun 2026-01-04 04:05+00:00"),
        ("5 4 * * 0", "Sun 2026-01-04 04:05+00:00"),
        ("5 4 * * 7", "Sun 2026-01-04 04:05+00:00"),
        ("0 0 * Jun-Aug/2 *", "Mon 2026-06-01 00:00+00:00"),
        ("30/10 5 * * *", "Thu 2026-01-01 05:30+00:00"),
        // Either kind of day, where both are given; both at once, where one has a star (`*/5`: Sunday and Friday).
        ("0 9 13 * Fri", "Fri 2026-01-02 09:00+00:00"),
        ("0 9 13 * */5", "Fri 2026-02-13 09:00+00:00"),
        ("0 0 31 2 mon", "Mon 2026-02-02 00:00+00:00"),
    ] {
        assert_eq!(after(text, now, 1), [next], "{text}");
    }
    assert_eq!(
        after("0 0 29 2 */7", now, 2),
        ["Sun 2032-02-29 00:00+00:00", "Sun 2060-02-29 00:00+00:00"]
    );
}

#[test]
fn the_longest_wait_is_found() {
    // 2100 has no leap day: from 2088-02-29, a Sunday, forty years.
    assert_eq!(
        after("0 0 29 2 */7", "2088-03-01T00:00[UTC]", 1),
        ["Sun 2128-02-29 00:00+00:00"]
    );
}

#[test]
fn wrong_times_say_what_would_be_right() {
    for (text, says) in [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("* * * * * *", "five fields"),
        ("24:00", "00:00 to 23:59"),
        ("Mo 07:30", "Mon to Sun"),
        ("60 * * * *", "minute \"60\": give 0 to 59"),
        ("* 24 * * *", "hour \"24\""),
        ("* * 0 * *", "day of the month \"0\": give 1 to 31"),
        ("* * * 13 *", "month \"13\""),
        ("* * * * 8", "day of the week \"8\""),
        ("* * * * monday", "day of the week"),
        ("*/0 * * * *", "minute \"*/0\""),
        ("*/ * * * *", "minute"),
        ("1-2-3 * * * *", "minute"),
        (", * * * *", "minute"),
        ("** * * * *", "minute"),
        ("+1 * * * *", "minute"),
        ("50-10 * * * *", "wrong way round"),
        ("0 0 31 4,6 *", "never comes"),
        ("0 0 30 2 *", "never comes"),
        ("mon * * * *", "minute \"mon\""),
    ] {
        let error = text.parse::<At>().expect_err(text).to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn times_that_clocks_skip_happen_when_they_jump() {
    let spring = "2026-03-28T12:00[Europe/Berlin]";
    assert_eq!(
        after("02:30", spring, 2),
        ["Sun 2026-03-29 03:00+02:00", "Mon 2026-03-30 02:30+02:00"]
    );
    let night = "2026-03-29T01:30[Europe/Berlin]";
    assert_eq!(
        after("*/30 * * * *", night, 2),
        ["Sun 2026-03-29 03:00+02:00", "Sun 2026-03-29 03:30+02:00"]
    );
}

#[test]
fn times_that_clocks_show_twice_happen_once_unless_at_every_hour() {
    let autumn = "2026-10-25T01:59[Europe/Berlin]";
    assert_eq!(
        after("02:30", autumn, 2),
        ["Sun 2026-10-25 02:30+02:00", "Mon 2026-10-26 02:30+01:00"]
    );
    let both = [
        "Sun 2026-10-25 02:30+02:00",
        "Sun 2026-10-25 02:30+01:00",
        "Sun 2026-10-25 03:30+01:00",
    ];
    assert_eq!(after("30 * * * *", autumn, 3), both);
}

/// Numbers that a field means, and one of the ways to write them.
fn a_field(least: u8, most: u8) -> impl Strategy<Value = (BTreeSet<u8>, String)> {
    let item = (least..=most, least..=most, 1_u8..20, 0_u8..5).prop_map(
        move |(one, other, step, form)| {
            let (first, last) = (one.min(other), one.max(other));
            let every = |from: u8, to: u8, step: u8| {
                (from..=to)
                    .step_by(usize::from(step))
                    .collect::<BTreeSet<u8>>()
            };
            match form {
                0 => (every(first, first, 1), first.to_string()),
                1 => (every(first, last, 1), format!("{first}-{last}")),
                2 => (every(first, last, step), format!("{first}-{last}/{step}")),
                3 => (every(least, most, step), format!("*/{step}")),
                _ => (every(first, most, step), format!("{first}/{step}")),
            }
        },
    );
    let list = prop::collection::vec(item, 1..4).prop_map(|items| {
        let numbers = items
            .iter()
            .flat_map(|(numbers, _)| numbers.clone())
            .collect();
        let texts: Vec<String> = items.into_iter().map(|(_, text)| text).collect();
        (numbers, texts.join(","))
    });
    let star = Just(((least..=most).collect(), "*".to_owned()));
    prop_oneof![list, star]
}

/// The fields, naively.
#[derive(Debug)]
struct Fields {
    sets: Vec<BTreeSet<u8>>,
    text: String,
}

impl Fields {
    fn mean(&self, civil: jiff::civil::DateTime) -> bool {
        let has = |field: usize, number: i8| self.sets[field].contains(&number.unsigned_abs());
        let star = |field: usize| {
            self.text
                .split(' ')
                .nth(field)
                .is_some_and(|text| text.starts_with('*'))
        };
        let sunday_zero = civil.weekday().to_sunday_zero_offset();
        let of_week = has(4, sunday_zero) || sunday_zero == 0 && has(4, 7);
        let of_month = has(2, civil.day());
        let day = if star(2) || star(4) {
            of_month && of_week
        } else {
            of_month || of_week
        };
        day && has(0, civil.minute()) && has(1, civil.hour()) && has(3, civil.month())
    }

    fn at_every_hour(&self) -> bool {
        (0..24).all(|hour| self.sets[1].contains(&hour))
    }

    /// Walks from minute to minute, watching a clock on the wall.
    fn walk(&self, from: Timestamp, minutes: i64, zone: &TimeZone) -> Option<Timestamp> {
        let minute = |minute: i64| {
            Timestamp::from_second((from.as_second().div_euclid(60) + minute) * 60)
                .expect("in range")
        };
        let shown = |at: Timestamp| zone.to_datetime(at);
        // What it has shown already: a day before is more than clocks ever go back.
        let mut latest = shown(minute(-1440));
        for i in -1439..minutes {
            let now = shown(minute(i));
            let repeated = now <= latest;
            let skipped = std::iter::successors(Some(latest), |civil| {
                civil.checked_add(jiff::Span::new().minutes(1)).ok()
            })
            .skip(1)
            .take_while(|civil| *civil < now)
            .any(|civil| self.mean(civil));
            let happens = self.mean(now) && (!repeated || self.at_every_hour()) || skipped;
            if happens && minute(i) > from {
                return Some(minute(i));
            }
            latest = latest.max(now);
        }
        None
    }
}

fn fields() -> impl Strategy<Value = Fields> {
    // Most expressions leave days open, or little would happen within the walk.
    let open = |least: u8, most: u8| prop_oneof![3 => Just(((least..=most).collect::<BTreeSet<u8>>(), "*".to_owned())), 1 => a_field(least, most)];
    (
        a_field(0, 59),
        a_field(0, 23),
        open(1, 31),
        open(1, 12),
        open(0, 7),
    )
        .prop_map(|(a, b, c, d, e)| {
            let (sets, texts): (Vec<_>, Vec<_>) = [a, b, c, d, e].into_iter().unzip();
            Fields {
                sets,
                text: texts.join(" "),
            }
        })
}

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Havana",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "America/Santiago",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_breaks_it(text in "\\PC{0,40}|[0-9a-zA-Z*/,: -]{0,30}") {
        if let Ok(at) = text.parse::<At>() {
            let now = Timestamp::from_second(1_790_000_000).expect("in range").to_zoned_datetime(TimeZone::UTC);
            prop_assert!(at.next(&now).is_some(), "{} never comes", text);
        }
    }

    /// Against a walk through the minutes of twelve days, most of them around a change of the clocks of 2026.
    #[test]
    fn the_next_time_is_what_a_walk_finds(
        fields in fields(),
        zone in prop::sample::select(ZONES.to_vec()),
        change in prop::sample::select(vec![1_772_950_000_i64, 1_774_746_000, 1_775_300_000, 1_791_000_000, 1_792_890_000, 1_793_500_000, 1_788_600_000, 1_771_100_000]),
        seconds in -200_000_i64..200_000,
    ) {
        const WALKED: i64 = 12 * 1440;
        let zone = TimeZone::get(zone).expect("it is in the database");
        let from = Timestamp::from_second(change + seconds).expect("in range");
        let Ok(at) = fields.text.parse::<At>() else {
            prop_assert!(!(1..=12).any(|month: i8| fields.sets[3].contains(&month.unsigned_abs())
                && fields.sets[2].iter().any(|&day| u32::from(day) <= MONTH_LENGTHS[month as usize - 1])), "{} is refused", fields.text);
            return Ok(());
        };
        let last = Timestamp::from_second((from.as_second() / 60 + WALKED) * 60).expect("in range");
        let found = at.next(&from.to_zoned_datetime(zone.clone())).filter(|&next| next < last);
        prop_assert_eq!(found, fields.walk(from, WALKED, &zone), "{}", fields.text);
    }
}
