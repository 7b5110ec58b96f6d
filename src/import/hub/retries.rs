//! Tries again, after pauses that grow, as long as it makes sense.

use std::thread;
use std::time::{Duration, Instant};

use super::super::ImportError;
use super::settings::Patience;
use crate::text::message;

/// Between two looks at whether to stop.
const BEAT: Duration = Duration::from_millis(100);

/// How often something was tried without success.
pub(super) struct Retries {
    patience: Patience,
    failed: u32,
}

impl Retries {
    pub(super) fn new(patience: Patience) -> Self {
        Self {
            patience,
            failed: 0,
        }
    }

    /// Something came: what was before does not count.
    pub(super) fn progressed(&mut self) {
        self.failed = 0;
    }

    /// Waits before the next try, as long as the server asks for, or twice as long as the last time. `beat` may end it.
    ///
    /// # Errors
    /// That there is no patience left, with the `problem`.
    pub(super) fn pause(
        &mut self,
        what: &str,
        problem: &str,
        asked: Option<Duration>,
        beat: &mut dyn FnMut() -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        self.failed += 1;
        if self.failed >= self.patience.tries {
            return Err(ImportError::Failed(message(&format!(
                "{what}: {problem}, after {} tries: try again later",
                self.failed
            ))));
        }
        let ours = self.patience.pause * 2_u32.pow((self.failed - 1).min(6));
        let until = Instant::now() + ours.max(asked.unwrap_or_default());
        loop {
            beat()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(BEAT));
        }
    }
}
