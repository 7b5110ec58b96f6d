//! How far a download is, and how fast.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::{Progress, Watch};
use crate::import::ImportError;

/// What speed is measured over.
const WINDOW: Duration = Duration::from_secs(10);
/// Between two measures.
const STEP: Duration = Duration::from_millis(250);

/// Bytes of all files, and when they came.
pub(super) struct Meter {
    done: u64,
    total: u64,
    /// Bytes that came over the network.
    received: u64,
    measures: VecDeque<(Instant, u64)>,
}

impl Meter {
    pub(super) fn new(total: u64) -> Self {
        Self {
            done: 0,
            total,
            received: 0,
            measures: VecDeque::new(),
        }
    }

    /// Bytes that were there before.
    pub(super) fn found(&mut self, bytes: u64) {
        self.done += bytes;
    }

    /// Bytes that came.
    pub(super) fn came(&mut self, bytes: u64) {
        self.done += bytes;
        self.received += bytes;
    }

    /// Bytes that have to come again.
    pub(super) fn lost(&mut self, bytes: u64) {
        self.done = self.done.saturating_sub(bytes);
    }

    /// Tells how far it is.
    pub(super) fn tell(
        &mut self,
        file: &str,
        now: Instant,
        watch: &mut Watch<'_>,
    ) -> Result<(), ImportError> {
        let is_due = self
            .measures
            .back()
            .is_none_or(|(then, _)| now.duration_since(*then) >= STEP);
        if is_due {
            self.measures.push_back((now, self.received));
        }
        while self.measures.len() > 2
            && self
                .measures
                .front()
                .is_some_and(|(then, _)| now.duration_since(*then) > WINDOW)
        {
            self.measures.pop_front();
        }
        let progress = Progress {
            file,
            done: self.done,
            total: self.total,
            speed: self.speed(now),
        };
        match watch(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ImportError::Stopped),
        }
    }

    fn speed(&self, now: Instant) -> Option<u64> {
        let (then, received) = self.measures.front()?;
        let seconds = now.duration_since(*then).as_secs_f64();
        (seconds >= 1.0).then(|| ((self.received - received) as f64 / seconds) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_that_of_the_last_ten_seconds() {
        let begun = Instant::now();
        let mut meter = Meter::new(10_000);
        meter.found(500);
        let mut seen = Vec::new();
        for second in 0..20 {
            meter.came(if second < 5 { 10 } else { 100 });
            let now = begun + Duration::from_secs(second);
            let told = meter.tell("a", now, &mut |progress| {
                seen.push((progress.done, progress.speed));
                ControlFlow::Continue(())
            });
            told.expect("nobody ends it");
        }
        assert_eq!(seen.first(), Some(&(510, None)));
        assert_eq!(seen.last(), Some(&(500 + 50 + 1500, Some(100))));
        meter.lost(2000);
        let ended = meter.tell("a", begun + WINDOW * 3, &mut |progress| {
            assert_eq!((progress.done, progress.total), (50, 10_000));
            ControlFlow::Break(())
        });
        assert!(matches!(ended, Err(ImportError::Stopped)));
    }
}
