use super::*;
use crate::board::Section as _;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ZonedDateTime};
use proptest::prelude::*;

const LIST: &str = "[[playlists]]\nname = 'p'\norder = 'sequential'\nprompts = ['a', 'b', 'c']\n";

fn settings(text: &str) -> KioskSettings {
    let settings: KioskSettings =
        toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    settings
        .check()
        .unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
    settings
}

fn kiosk(text: &str) -> Kiosk {
    let settings = settings(&format!("enabled = true\n{text}"));
    Kiosk::new(settings, Vec::new(), KioskState::default(), 1)
}

/// A house with nothing but two clocks, the kiosk, and a painter that takes its time.
struct House {
    kiosk: Kiosk,
    start: Timestamp,
    zone: TimeZone,
    elapsed: Duration,
    painting: Duration,
    /// Until when something is painted.
    busy_until: Duration,
    has_clock: bool,
}

impl House {
    /// Each picture takes a minute.
    fn new(kiosk: Kiosk, start: &str) -> Self {
        let start: ZonedDateTime = start.parse().expect("a time and its zone");
        Self {
            kiosk,
            start: start.timestamp(),
            zone: start.time_zone().clone(),
            elapsed: Duration::ZERO,
            painting: Duration::from_secs(60),
            busy_until: Duration::ZERO,
            has_clock: true,
        }
    }

    fn wall(&self) -> ZonedDateTime {
        let elapsed = SignedDuration::try_from(self.elapsed).expect("in range");
        (self.start + elapsed).to_zoned_datetime(self.zone.clone())
    }

    fn now(&self) -> Moment {
        Moment {
            monotonic: self.elapsed,
            wall: Some(self.wall()).filter(|_| self.has_clock),
        }
    }

    /// Lets so much time pass, sleeping as `next_due` says, and tells what happened when.
    fn run(&mut self, time: Duration) -> Vec<String> {
        let end = self.elapsed + time;
        let mut happened = Vec::new();
        let mut looks = 0;
        while self.elapsed < end {
            let now = self.now();
            let busy = now.monotonic < self.busy_until;
            let at = now.wall.as_ref().map_or_else(
                || format!("{}s", self.elapsed.as_secs()),
                |wall| wall.strftime("%a %H:%M").to_string(),
            );
            match self.kiosk.poll(&now, busy) {
                Some(Wish::Paint(order)) => {
                    happened.push(format!("{at} {}", order.prompt));
                    self.busy_until = self.elapsed + self.painting;
                }
                Some(Wish::ShowAgain) => happened.push(format!("{at} again")),
                Some(Wish::Vary) | None => {}
            }
            let wait = self.kiosk.next_due(&now).unwrap_or(time);
            let finished = self.busy_until.saturating_sub(self.elapsed);
            let wait = if finished.is_zero() {
                wait
            } else {
                wait.min(finished)
            };
            self.elapsed += wait;
            looks += 1;
            assert!(looks < 100_000, "it spins at {at}");
        }
        self.elapsed = end;
        happened
    }
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

#[test]
fn a_picture_rests_before_the_next() {
    let mut house = House::new(
        kiosk(&format!("interval_s = 600\n{LIST}")),
        "2026-11-25T12:00[UTC]",
    );
    assert_eq!(
        house.run(minutes(30)),
        ["Wed 12:00 a", "Wed 12:11 b", "Wed 12:22 c"]
    );
    // A prompt of somebody: busy from 12:30 to 12:40, and then it rests as well.
    house.busy_until = house.elapsed + minutes(10);
    assert_eq!(house.run(minutes(30)), ["Wed 12:50 a"]);
}

#[test]
fn nothing_happens_where_nothing_is_to_be_played() {
    let nothing_to_play = kiosk("interval_s = 0");
    let mut switched_off = kiosk(&format!("interval_s = 0\n{LIST}"));
    switched_off.set_enabled(false);
    let now = Moment {
        monotonic: minutes(5),
        wall: None,
    };
    for mut kiosk in [nothing_to_play, switched_off] {
        assert_eq!(kiosk.poll(&now, false), None);
        assert_eq!(kiosk.next_due(&now), None);
    }
}

#[test]
fn switching_it_on_paints_at_once() {
    let mut house = House::new(kiosk(LIST), "2026-11-25T12:00[UTC]");
    house.kiosk.set_enabled(false);
    assert!(house.run(minutes(30)).is_empty());
    house.kiosk.set_enabled(true);
    assert_eq!(house.run(minutes(5)), ["Wed 12:30 a"]);
    // Once more is no other thing.
    house.kiosk.set_enabled(true);
    assert_eq!(house.run(minutes(11)), ["Wed 12:41 b"]);
}

#[test]
fn times_and_what_they_wait_for() {
    let text = format!("at = ['12:10', 'Wed 12:20', '*/2 13 * * *']\n{LIST}");
    let mut house = House::new(kiosk(&text), "2026-11-25T12:00[UTC]");
    house.painting = minutes(5);
    assert_eq!(house.run(minutes(55)), ["Wed 12:10 a", "Wed 12:20 b"]);
    // While one is painted, two more times pass; they are made up for once.
    let hour = ["Wed 13:00 c", "Wed 13:05 a", "Wed 13:10 b", "Wed 13:15 c"];
    assert_eq!(house.run(minutes(25)), hour);
    // One that passes while it is off is left out.
    house.kiosk.set_enabled(false);
    house.run(minutes(39));
    house.kiosk.set_enabled(true);
    assert_eq!(house.run(minutes(30)), [] as [&str; 0]);
}

#[test]
fn nothing_is_painted_at_night_and_much_in_the_morning_is_one() {
    let text = format!(
        "interval_s = 3600\nat = ['03:00', '07:00']\n[[quiet]]\nfrom = '22:30'\nto = '07:00'\n{LIST}"
    );
    let mut house = House::new(kiosk(&text), "2026-11-25T20:40[Europe/Berlin]");
    let expected = [
        "Wed 20:40 a",
        "Wed 21:41 b",
        "Thu 07:00 c",
        "Thu 08:01 a",
        "Thu 09:02 b",
    ];
    assert_eq!(house.run(minutes(13 * 60)), expected);
}

#[test]
fn a_night_without_interval_catches_up_with_nothing() {
    let text = format!("at = ['03:00', '08:00']\n[[quiet]]\nfrom = '22:30'\nto = '07:00'\n{LIST}");
    let mut house = House::new(kiosk(&text), "2026-11-25T20:40[Europe/Berlin]");
    assert_eq!(house.run(minutes(13 * 60)), ["Thu 08:00 a"]);
    // With the night switched off, three o'clock is as good as any time; with it on, none is.
    house.kiosk.set_night(NightMode::Off);
    assert_eq!(house.run(minutes(24 * 60)), ["Fri 03:00 b", "Fri 08:00 c"]);
    house.kiosk.set_night(NightMode::On);
    assert!(house.run(minutes(24 * 60)).is_empty());
}

#[test]
fn the_panel_is_told_of_the_night_to_the_second() {
    let text =
        "interval_s = 3600\nwake_min = 3\n[[quiet]]\nfrom = '22:30'\nto = '07:00'\npaint = false";
    let mut kiosk = kiosk(text);
    let start: ZonedDateTime = "2026-11-25T22:29:20[Europe/Berlin]"
        .parse()
        .expect("a time");
    let at = |seconds: u64| {
        let later = SignedDuration::from_secs(i64::try_from(seconds).expect("small"));
        let wall = start.checked_add(later).expect("in range");
        Moment {
            monotonic: Duration::from_secs(seconds),
            wall: Some(wall),
        }
    };
    assert_eq!(kiosk.next_due(&at(0)), Some(Duration::from_secs(40)));
    assert!(!kiosk.night(&at(39)).dark && kiosk.night(&at(40)).dark);
    assert!(!kiosk.night(&at(40)).prompts);
    kiosk.wake(&at(50));
    assert!(
        !kiosk.night(&at(51)).dark && kiosk.night(&at(51)).prompts && !kiosk.night(&at(51)).kiosk
    );
    assert_eq!(kiosk.next_due(&at(200)), Some(Duration::from_secs(30)));
    assert!(!kiosk.night(&at(229)).dark && kiosk.night(&at(230)).dark);
    // Setting the night ends it.
    kiosk.wake(&at(240));
    kiosk.set_night(NightMode::On);
    assert!(kiosk.night(&at(241)).dark);
}

#[test]
fn without_a_clock_intervals_go_on_and_hours_wait() {
    let text = format!(
        "interval_s = 600\nat = ['12:05']\n[[quiet]]\nfrom = '00:00'\nto = '00:00'\n[[playlists]]\nname = 'm'\nhours = {{ from = '06:00', to = '12:00' }}\nprompts = ['morning']\n{LIST}"
    );
    let mut house = House::new(kiosk(&text), "2026-11-25T12:00[UTC]");
    house.has_clock = false;
    assert_eq!(house.run(minutes(15)), ["0s a", "660s b"]);
    assert!(!house.kiosk.night(&house.now()).dark);
    // The clock is set: it is within the quiet hours, which are all day.
    house.has_clock = true;
    assert!(house.run(minutes(60)).is_empty());
    assert!(house.kiosk.night(&house.now()).dark);
}

#[test]
fn a_clock_that_is_set_brings_no_burst() {
    let mut house = House::new(
        kiosk(&format!("at = ['*/10 * * * *']\n{LIST}")),
        "2026-11-25T12:05[UTC]",
    );
    assert_eq!(house.run(minutes(6)), ["Wed 12:10 a"]);
    // A day ahead, then back.
    house.start += SignedDuration::from_hours(24);
    assert_eq!(house.run(minutes(10)), ["Thu 12:20 b"]);
    house.start -= SignedDuration::from_hours(24);
    assert_eq!(house.run(minutes(10)), ["Wed 12:30 c"]);
    // Small steps let nothing happen twice.
    house.start -= SignedDuration::from_secs(80);
    assert_eq!(house.run(minutes(12)), ["Wed 12:40 a"]);
}

#[test]
fn playlists_have_their_hours() {
    let text = format!(
        "interval_s = 540\n[[playlists]]\nname = 'm'\nhours = {{ from = '12:00', to = '12:15' }}\nprompts = ['x']\n{}",
        LIST.replace(
            "prompts",
            "hours = { from = '12:20', to = '12:30' }\nprompts"
        )
    );
    let mut house = House::new(kiosk(&text), "2026-11-25T11:55[UTC]");
    // Between the two nothing is played.
    assert_eq!(
        house.run(minutes(60)),
        ["Wed 12:00 x", "Wed 12:10 x", "Wed 12:20 a"]
    );
}

#[test]
fn old_pictures_come_between_new_ones_and_in_place_of_them() {
    let between = format!("at = ['13:00']\n[show_again]\nevery_min = 20\n{LIST}");
    let mut house = House::new(kiosk(&between), "2026-11-25T12:00[UTC]");
    let expected = ["Wed 12:20 again", "Wed 12:40 again", "Wed 13:00 again"];
    assert_eq!(house.run(minutes(61))[..3], expected);
    let instead = format!("interval_s = 540\n[show_again]\nevery_min = 25\n{LIST}");
    let mut house = House::new(kiosk(&instead), "2026-11-25T12:00[UTC]");
    let expected = [
        "Wed 12:00 a",
        "Wed 12:10 b",
        "Wed 12:20 c",
        "Wed 12:30 again",
        "Wed 12:39 a",
        "Wed 12:49 b",
        "Wed 12:59 again",
    ];
    assert_eq!(house.run(minutes(60)), expected);
}

#[test]
fn what_was_waited_for_is_a_new_picture() {
    let text = format!(
        "interval_s = 3600\nshow_again.every_min = 10\n[[quiet]]\nfrom = '22:00'\nto = '07:00'\n{LIST}"
    );
    let mut house = House::new(kiosk(&text), "2026-11-25T21:55[UTC]");
    assert_eq!(
        house.run(minutes(10 * 60))[..3],
        ["Wed 21:55 a", "Thu 07:00 b", "Thu 07:11 again"]
    );
    house.kiosk.set_enabled(false);
    assert!(house.run(minutes(100)).is_empty());
    house.kiosk.set_enabled(true);
    assert_eq!(house.run(minutes(1)), ["Thu 09:35 c"]);
}

#[test]
fn a_changed_configuration_is_taken_over() {
    let mut house = House::new(
        kiosk(&format!("at = ['12:10']\n{LIST}")),
        "2026-11-25T12:00[UTC]",
    );
    assert!(house.run(minutes(5)).is_empty());
    let changed = settings(&format!(
        "enabled = true\nat = ['12:07']\n{}",
        LIST.replace("'a'", "'x'")
    ));
    house.kiosk.configure(changed, Vec::new());
    assert_eq!(house.run(minutes(10)), ["Wed 12:07 x"]);
    house.kiosk.set_enabled(false);
    house.kiosk.configure(
        settings(&format!("enabled = true\ninterval_s = 0\n{LIST}")),
        Vec::new(),
    );
    assert!(house.run(minutes(10)).is_empty(), "what was set stays");
}

#[test]
fn chance_decides_between_old_and_new() {
    let text = format!("interval_s = 60\nshow_again.probability = 0.3\n{LIST}");
    let mut house = House::new(kiosk(&text), "2026-11-25T12:00[UTC]");
    house.painting = Duration::from_secs(1);
    let happened = house.run(minutes(1000));
    let again = happened
        .iter()
        .filter(|what| what.ends_with("again"))
        .count();
    let share = again as f64 / happened.len() as f64;
    assert!((0.25..0.35).contains(&share), "{share}");
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let text = format!("interval_s = 60\n{LIST}").replace("sequential", "random");
    let mut kiosk = kiosk(&text);
    let now = Moment {
        monotonic: Duration::ZERO,
        wall: None,
    };
    let mut other = None;
    let mut drawn = Vec::new();
    for i in 0..20 {
        if i == 7 {
            kiosk.set_interval(30).expect("it is in range");
            kiosk.set_night(NightMode::On);
            let json = serde_json::to_string(kiosk.unsaved().expect("it has changed"))
                .expect("plain data");
            let state: KioskState = serde_json::from_str(&json).expect("it was written here");
            // Another seed: the state's own goes before it.
            other = Some(Kiosk::new(settings(&text), Vec::new(), state, 77));
        }
        let Some(Wish::Paint(order)) = kiosk.draw(&now) else {
            panic!("it plays")
        };
        if let Some(other) = &mut other {
            assert_eq!(other.draw(&now), Some(Wish::Paint(order.clone())));
            assert_eq!(
                (other.interval(), other.night_mode()),
                (Some(Duration::from_secs(30)), NightMode::On)
            );
        }
        drawn.push(order.prompt);
    }
    assert!(kiosk.unsaved().is_some());
    assert!(kiosk.unsaved().is_none());
    kiosk.set_night(NightMode::On);
    assert!(kiosk.unsaved().is_none(), "nothing has changed");
    let from_nothing: KioskState = serde_json::from_str("{}").expect("all has a default");
    assert_eq!(from_nothing, KioskState::default());
}

fn prompt(wish: Option<Wish>) -> Option<String> {
    match wish? {
        Wish::Paint(order) => Some(order.prompt),
        Wish::Vary | Wish::ShowAgain => None,
    }
}

#[test]
fn styles_are_chosen_for_all_playlists() {
    let text = "[[playlists]]\nname = 'p'\nprompts = ['a']\nstyles = ['{prompt}, ink']\n";
    let mut kiosk = kiosk(text);
    let file =
        "[[playlists]]\nname = 'f'\nprompts = ['b']\nstyles = ['{prompt}, ink', '{prompt}, oil']\n";
    let read = |text: &str| crate::kiosk::parse_playlists(text).expect(text);
    kiosk.set_playlists(read(file));
    assert_eq!(kiosk.styles(), ["ink", "oil"]);
    let now = Moment {
        monotonic: Duration::ZERO,
        wall: None,
    };
    kiosk.set_style(Some("oil")).expect("there is one");
    assert_eq!(prompt(kiosk.draw(&now)), Some("b, oil".into()));
    assert_eq!(
        kiosk.set_style(Some("lead")),
        Err(SettingError::Style("lead".into()))
    );
    assert_eq!(kiosk.style().map(|style| style.name.as_str()), Some("oil"));
    // A file that no longer has it: as if it had not been chosen, until it comes back.
    kiosk.set_playlists(read(&file.replace(", '{prompt}, oil'", "")));
    assert_eq!(prompt(kiosk.draw(&now)), Some("b, ink".into()));
    kiosk.set_playlists(Vec::new());
    assert_eq!(prompt(kiosk.draw(&now)), Some("a, ink".into()));
    kiosk.set_style(None).expect("none is always there");
    assert!(
        kiosk
            .set_interval(604_801)
            .is_err_and(|error| error.to_string().contains("604800"))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever is configured and whatever the clock: it never spins, never wishes while it is busy or at night, and a wait
    /// that it names is not too long.
    #[test]
    fn a_wait_is_never_too_long(
        interval in prop::option::of(0_u64..4000), at in prop::option::of(0_u8..24), every in prop::option::of(1_u64..90),
        quiet in prop::option::of((0_u8..24, 0_u8..24)), hours in prop::option::of((0_u8..24, 0_u8..24)), start in 0_i64..10_000_000,
    ) {
        let mut text = String::new();
        let mut add = |line: String| { text.push_str(&line); text.push('\n'); };
        if let Some(interval) = interval { add(format!("interval_s = {interval}")); }
        if let Some(at) = at { add(format!("at = ['7 {at} * * *', '*/45 * * * *']")); }
        if let Some(every) = every { add(format!("show_again.every_min = {every}")); }
        if let Some((from, to)) = quiet { add(format!("[[quiet]]\nfrom = '{from}:30'\nto = '{to}:00'")); }
        add("[[playlists]]\nname = 'p'\nprompts = ['a', 'b']".to_owned());
        if let Some((from, to)) = hours { add(format!("hours = {{ from = '{from}:10', to = '{to}:50' }}")); }
        let mut by_wait = House::new(kiosk(&text), "2026-03-01T00:00[Europe/Berlin]");
        by_wait.start += SignedDuration::from_secs(start);
        by_wait.painting = Duration::from_secs(37);
        let slept = by_wait.run(minutes(26 * 60));
        // Looked at every second instead, the same happens.
        let mut by_second = House::new(kiosk(&text), "2026-03-01T00:00[Europe/Berlin]");
        by_second.start += SignedDuration::from_secs(start);
        let mut looked = Vec::new();
        while by_second.elapsed < minutes(26 * 60) {
            let now = by_second.now();
            let busy = now.monotonic < by_second.busy_until;
            let wish = by_second.kiosk.poll(&now, busy);
            prop_assert!(wish.is_none() || !busy && by_second.kiosk.night(&now).kiosk);
            let at = by_second.wall().strftime("%a %H:%M").to_string();
            match wish {
                Some(Wish::Paint(order)) => {
                    looked.push(format!("{at} {}", order.prompt));
                    by_second.busy_until = by_second.elapsed + Duration::from_secs(37);
                }
                Some(Wish::ShowAgain) => looked.push(format!("{at} again")),
                Some(Wish::Vary) | None => {}
            }
            by_second.elapsed += Duration::from_secs(1);
        }
        prop_assert_eq!(slept, looked);
    }
}
