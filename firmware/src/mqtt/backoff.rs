//! When to try again.

use std::time::Duration;

/// How long to wait between two attempts to connect.
#[derive(Debug, Clone)]
pub struct Pace {
    /// After the first failure.
    pub first: Duration,
    /// However often it failed.
    pub longest: Duration,
    /// At least, when only a person can help: a wrong password, a foreign certificate.
    pub slow: Duration,
    /// A connection that lasted this long makes the past forgotten.
    pub stable: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(120),
            slow: Duration::from_secs(30),
            stable: Duration::from_secs(60),
        }
    }
}

/// Doubles from one failure to the next, with a random part so that a house full of boards does not come back at once.
#[derive(Debug)]
pub(super) struct Backoff {
    pace: Pace,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, failures: 0 }
    }

    /// A connection lasted for `time`.
    pub(super) fn lasted(&mut self, time: Duration) {
        if time >= self.pace.stable {
            self.failures = 0;
        }
    }

    /// The time to wait after one more failure; `random` is within 0 and 1.
    pub(super) fn next(&mut self, slow: bool, random: f64) -> Duration {
        let doubled = self.pace.first.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        let least = if slow { self.pace.slow } else { Duration::ZERO };
        let wait = doubled.max(least).min(self.pace.longest.max(least));
        // Half of it for sure, half by chance ("equal jitter").
        wait.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_a_limit_and_forgets_after_a_stable_time() {
        let mut backoff = Backoff::new(Pace::default());
        let mut last = Duration::ZERO;
        for _ in 0..100 {
            let wait = backoff.next(false, 1.0);
            assert!(wait >= last && wait <= Duration::from_secs(120));
            last = wait;
        }
        assert_eq!(last, Duration::from_secs(120));
        backoff.lasted(Duration::from_secs(59));
        assert_eq!(backoff.next(false, 1.0), Duration::from_secs(120));
        backoff.lasted(Duration::from_secs(60));
        assert_eq!(backoff.next(false, 1.0), Duration::from_secs(1));
        assert_eq!(backoff.next(false, 0.0), Duration::from_secs(1));
    }

    #[test]
    fn what_needs_a_person_is_slow_at_once() {
        let mut backoff = Backoff::new(Pace::default());
        assert_eq!(backoff.next(true, 0.0), Duration::from_secs(15));
        assert_eq!(backoff.next(false, 1.0), Duration::from_secs(2));
    }
}
