//! How fast the board may paint, by how hot it is.

use super::settings::LimitSettings;
use std::time::Duration;

/// How fast the painter may go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Without rest.
    Full,
    /// With a rest after each step.
    Slow {
        /// The rest, as a multiple of the time that the step took.
        rest: f32,
    },
    /// Not at all, until it is told otherwise.
    Pause,
}

/// The rest where slowing begins, and where it would become a pause: a fifth less work, and a quarter of it.
const LEAST_REST: f32 = 0.25;
const MOST_REST: f32 = 3.0;
/// However long the step was: longer gaps only let the board cool and heat again.
const LONGEST_REST: Duration = Duration::from_secs(60);

impl Pace {
    /// How long to rest after a step that took so long. A pause has no length: ask for the pace again meanwhile.
    #[must_use]
    pub fn rest_after(self, step: Duration) -> Duration {
        match self {
            Self::Full | Self::Pause => Duration::ZERO,
            Self::Slow { rest } => {
                let rest = Duration::try_from_secs_f32(step.as_secs_f32() * rest);
                rest.map_or(LONGEST_REST, |rest| rest.min(LONGEST_REST))
            }
        }
    }
}

/// Turns temperatures into a pace.
///
/// Three ranges, and a limit that was crossed upwards counts until the board is [`LimitSettings::hysteresis_k`] below it, so that the
/// pace does not flap. In the middle range the rest grows with the temperature: a board that can settle there does, without
/// ever pausing.
#[derive(Debug)]
pub struct Governor {
    limits: LimitSettings,
    range: Range,
    celsius: Option<f32>,
    /// When a temperature was last read.
    read: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Range {
    Cool,
    Warm,
    Hot,
}

/// Sensors that answer with something else have not measured it.
const CREDIBLE: std::ops::RangeInclusive<f32> = -40.0..=150.0;
/// A sensor that has not answered for longer has failed. The processor still protects itself.
const PATIENCE: Duration = Duration::from_secs(60);

impl Governor {
    /// Begins cool.
    #[must_use]
    pub fn new(limits: LimitSettings) -> Self {
        Self {
            limits,
            range: Range::Cool,
            celsius: None,
            read: Duration::ZERO,
        }
    }

    /// From now on, other limits count.
    pub fn set_limits(&mut self, limits: LimitSettings) {
        self.limits = limits;
    }

    /// Takes a reading, in °C, at a moment of a clock that never goes back. Without one, the last counts for a minute.
    pub fn observe(&mut self, now: Duration, celsius: Option<f32>) -> Pace {
        if let Some(celsius) = celsius.filter(|celsius| CREDIBLE.contains(celsius)) {
            self.celsius = Some(celsius);
            self.read = now;
            self.range = self.range_at(celsius);
        } else if now.saturating_sub(self.read) > PATIENCE {
            self.celsius = None;
            self.range = Range::Cool;
        }
        self.pace()
    }

    fn range_at(&self, celsius: f32) -> Range {
        let limits = &self.limits;
        let in_range = |range: Range, limit: f32| {
            let kept = self.range >= range;
            celsius >= limit - if kept { limits.hysteresis_k } else { 0.0 }
        };
        if in_range(Range::Hot, limits.pause_above_c) {
            Range::Hot
        } else if in_range(Range::Warm, limits.slow_above_c) {
            Range::Warm
        } else {
            Range::Cool
        }
    }

    /// As at the last reading.
    #[must_use]
    pub fn pace(&self) -> Pace {
        match self.range {
            Range::Cool => Pace::Full,
            Range::Warm => {
                let (slow, pause) = (self.limits.slow_above_c, self.limits.pause_above_c);
                let share = (self.celsius.unwrap_or(slow) - slow) / (pause - slow);
                let rest = LEAST_REST + share.clamp(0.0, 1.0) * (MOST_REST - LEAST_REST);
                Pace::Slow { rest }
            }
            Range::Hot => Pace::Pause,
        }
    }

    /// Why it is not as fast as it could be, in words for `state`.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let celsius = self.celsius?;
        let limits = &self.limits;
        match self.range {
            Range::Cool => None,
            Range::Warm => Some(format!(
                "{celsius:.0} °C: rests between steps, until it is below {:.0} °C",
                limits.slow_above_c - limits.hysteresis_k
            )),
            Range::Hot => Some(format!(
                "{celsius:.0} °C: waits until it is below {:.0} °C",
                limits.pause_above_c - limits.hysteresis_k
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn governor() -> Governor {
        Governor::new(LimitSettings::default())
    }

    fn second(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn limits_count_until_the_board_is_well_below_them() {
        let mut governor = governor();
        let steps = [
            (74.9, "full"),
            (75.0, "slow"),
            (71.0, "slow"),
            (70.9, "full"),
            (74.9, "full"),
            (81.9, "slow"),
            (82.0, "pause"),
            (78.0, "pause"),
            (77.9, "slow"),
            (81.9, "slow"),
            (90.0, "pause"),
            (60.0, "full"),
        ];
        for (i, (celsius, expected)) in steps.into_iter().enumerate() {
            let pace = governor.observe(second(i as u64), Some(celsius));
            let name = match pace {
                Pace::Full => "full",
                Pace::Slow { .. } => "slow",
                Pace::Pause => "pause",
            };
            assert_eq!(name, expected, "{celsius}");
            assert_eq!(governor.reason().is_some(), pace != Pace::Full);
        }
    }

    #[test]
    fn it_says_why() {
        let mut governor = governor();
        governor.observe(second(0), Some(77.6));
        assert_eq!(
            governor.reason().as_deref(),
            Some("78 °C: rests between steps, until it is below 71 °C")
        );
        governor.observe(second(1), Some(83.0));
        assert_eq!(
            governor.reason().as_deref(),
            Some("83 °C: waits until it is below 78 °C")
        );
    }

    #[test]
    fn a_rest_follows_the_step() {
        let rest = |celsius, step| {
            governor()
                .observe(second(0), Some(celsius))
                .rest_after(second(step))
        };
        assert_eq!(rest(60.0, 20), second(0));
        assert_eq!(rest(75.0, 20), second(5));
        assert!((rest(81.999, 2).as_secs_f32() - 6.0).abs() < 0.01);
        assert_eq!(rest(81.0, 3600), second(60));
        assert_eq!(rest(90.0, 20), second(0));
        for odd in [f32::NAN, f32::INFINITY, -1.0] {
            let pace = Pace::Slow { rest: odd };
            assert!(pace.rest_after(second(20)) <= second(60), "{odd}");
        }
    }

    #[test]
    fn a_sensor_that_fails_stops_nothing() {
        let mut governor = governor();
        assert_eq!(governor.observe(second(0), None), Pace::Full);
        assert_eq!(governor.observe(second(1), Some(90.0)), Pace::Pause);
        for broken in [None, Some(f32::NAN), Some(-273.15), Some(1e6)] {
            assert_eq!(
                governor.observe(second(61), broken),
                Pace::Pause,
                "{broken:?}"
            );
        }
        assert_eq!(governor.observe(second(62), None), Pace::Full);
        assert_eq!(governor.reason(), None);
    }

    /// A board as a body with one heat capacity: `painting_k` above the room when it always paints, after a time of `tau_s`.
    /// Gives the temperatures of two hours, second by second, and how often the kind of pace changed in the second one.
    fn heat(
        room: f32,
        painting_k: f32,
        tau_s: f32,
        step_s: u64,
        noise: &[f32],
    ) -> (Vec<f32>, usize) {
        let mut governor = governor();
        let (mut celsius, mut temperatures, mut changes) = (room, Vec::new(), 0);
        let (mut working, mut resting) = (step_s, 0_u64);
        let mut before = std::mem::discriminant(&Pace::Full);
        for now in 0..7200 {
            let sensor = celsius
                + noise
                    .get(now as usize % noise.len().max(1))
                    .copied()
                    .unwrap_or(0.0);
            let pace = governor.observe(second(now), Some(sensor));
            let kind = std::mem::discriminant(&pace);
            changes += usize::from(kind != before && now >= 3600);
            before = kind;
            let works = resting == 0 && pace != Pace::Pause;
            if works {
                working -= 1;
                if working == 0 {
                    working = step_s;
                    resting = pace.rest_after(second(step_s)).as_secs();
                }
            } else {
                resting = resting.saturating_sub(1);
            }
            let target = room + if works { painting_k } else { 0.0 };
            celsius += (target - celsius) / tau_s;
            temperatures.push(celsius);
        }
        (temperatures, changes)
    }

    #[test]
    fn a_cooled_board_paints_at_full_pace() {
        let (temperatures, changes) = heat(22.0, 50.0, 240.0, 4, &[]);
        assert!(temperatures.iter().all(|&celsius| celsius < 75.0));
        assert_eq!(changes, 0);
    }

    #[test]
    fn a_board_without_a_cooler_settles_and_never_pauses() {
        // Left alone it would reach 85, 95 and 102 °C.
        for (room, step) in [(25.0, 1), (35.0, 4), (42.0, 12)] {
            let (temperatures, changes) =
                heat(room, 60.0, 240.0, step, &[0.0, 0.6, -0.6, 0.3, -0.5]);
            let late = &temperatures[3600..];
            let hottest = late.iter().copied().fold(0.0, f32::max);
            assert!(hottest < 82.0, "room {room}: {hottest}");
            assert_eq!(changes, 0, "room {room}: the pace flaps");
        }
    }

    #[test]
    fn in_an_oven_it_pauses_now_and_then() {
        // A closed box in the sun: even a quarter of the work is too much.
        let (temperatures, changes) = heat(74.0, 60.0, 240.0, 10, &[0.0, 0.6, -0.6]);
        let hottest = temperatures.iter().copied().fold(0.0, f32::max);
        assert!(hottest < 85.0, "{hottest}");
        assert!((2..=60).contains(&changes), "{changes} changes in an hour");
    }

    proptest! {
        /// Whatever is read, the pace is what the limits say, but for the hysteresis.
        #[test]
        fn the_pace_is_within_the_limits(readings in prop::collection::vec(prop::option::of(-100.0_f32..200.0), 1..200)) {
            let mut governor = governor();
            for (i, reading) in readings.into_iter().enumerate() {
                let pace = governor.observe(second(i as u64), reading);
                if let Some(celsius) = reading.filter(|celsius| CREDIBLE.contains(celsius)) {
                    match pace {
                        Pace::Full => prop_assert!(celsius < 75.0),
                        Pace::Slow { rest } => prop_assert!((71.0..82.0).contains(&celsius) && (0.25..=3.0).contains(&rest)),
                        Pace::Pause => prop_assert!(celsius >= 78.0),
                    }
                }
            }
        }
    }
}
