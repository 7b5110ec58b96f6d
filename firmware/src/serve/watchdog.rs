//! What happens to a daemon whose threads do not all get on: it ends, so that whatever supervises it starts it again.
//!
//! A thread of its own asks the [`Pulse`]. While all is well it feeds the service manager's watchdog, if there is one. When a thread
//! has panicked or hangs, it tells the house, which says so on the broker, puts the job at work back and ends the process with exit
//! code 1 and a line that names the thread. A house that does not come to it in time is not waited for.

use super::house::log;
use crate::watch::{Notifier, Pulse, Stuck};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks, at most. Shorter than the shortest patience of a thread.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The house has so long to say goodbye.
const GRACE: Duration = Duration::from_secs(15);

/// Begins to look, until the process ends. `tell` is called once.
///
/// # Errors
/// The system gives no thread.
pub(super) fn start(
    pulse: Pulse,
    notifier: Arc<Notifier>,
    tell: impl FnOnce(Stuck) + Send + 'static,
) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("watchdog".to_owned());
    thread
        .spawn(move || {
            let stuck = look(&pulse, &notifier);
            let line = farewell(&stuck);
            tell(stuck);
            std::thread::sleep(GRACE);
            log(&line);
            std::process::exit(1);
        })
        .map(drop)
}

/// What is said of it, at last.
pub(super) fn farewell(stuck: &Stuck) -> String {
    format!("{stuck}: the program ends, so that it is started again")
}

/// Returns when a thread does not get on.
fn look(pulse: &Pulse, notifier: &Notifier) -> Stuck {
    let feed_every = notifier.feed_every();
    let every = feed_every.map_or(LOOK_EVERY, |feed| (feed / 2).min(LOOK_EVERY));
    let mut clock = Unhurried::default();
    let mut fed: Option<Instant> = None;
    let mut failed = false;
    loop {
        let begun = Instant::now();
        pulse.wait(every);
        if let Err(stuck) = pulse.check(clock.after(begun.elapsed(), every)) {
            return stuck;
        }
        let is_due =
            feed_every.is_some_and(|feed| fed.is_none_or(|fed| fed.elapsed() + every >= feed));
        if is_due {
            match notifier.feed() {
                Ok(()) => {
                    fed = Some(Instant::now());
                    failed = false;
                }
                Err(error) if !failed => {
                    failed = true;
                    log(&format!(
                        "service manager: its watchdog is not fed: {error}"
                    ));
                }
                Err(_) => {}
            }
        }
    }
}

/// A clock that stands still with the process: threads that were stopped together (SIGSTOP, a debugger, a machine that was out
/// of breath) have not hung.
#[derive(Debug, Default)]
struct Unhurried(Duration);

impl Unhurried {
    /// After a wait that took so long, and should have taken `wanted`.
    fn after(&mut self, took: Duration, wanted: Duration) -> Duration {
        self.0 += took.min(2 * wanted);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Cause;

    #[test]
    fn a_process_that_was_stopped_has_not_hung() {
        let pulse = Pulse::default();
        let beat = pulse.watch("painter", Duration::from_secs(60));
        beat.work();
        let mut clock = Unhurried::default();
        let second = Duration::from_secs;
        for (took, well) in [(5, true), (3600, true), (5, true), (45, true), (10, true)] {
            let checked = pulse.check(clock.after(second(took), second(5)));
            assert_eq!(checked.is_ok(), well, "{took}");
        }
        for _ in 0..5 {
            clock.after(second(10), second(5));
        }
        let stuck = pulse.check(clock.after(second(1), second(5)));
        assert!(stuck.is_err(), "it is not unhurried for ever");
    }

    #[test]
    fn the_last_line_names_the_thread() {
        let stuck = Stuck {
            name: "display",
            cause: Cause::Hangs(Duration::from_secs(61)),
        };
        let line = "display: no progress for 61 s: the program ends, so that it is started again";
        assert_eq!(farewell(&stuck), line);
    }
}
