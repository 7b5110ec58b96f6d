//! What the system asks of the daemon.

use super::house::{Event, log};
use crate::watch::Pulse;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, IsTerminal as _};
use std::sync::mpsc::Sender;
use std::time::Duration;

/// After so long a stop ends, even if the house itself hangs.
const LAST_RESORT: Duration = Duration::from_millis(4500);

/// Tells the house of signals, from a thread of its own, which `pulse` watches, until the process ends.
///
/// # Errors
/// What the system says.
pub(super) fn listen(events: Sender<Event>, pulse: &Pulse) -> io::Result<()> {
    // On a terminal, SIGHUP says that it was closed: nobody looks after the process any more.
    let on_terminal = io::stdin().is_terminal();
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let hear = move |_: &_| {
        for signal in signals.forever() {
            let event = match signal {
                SIGHUP if !on_terminal => Event::ReadAgain,
                _ => {
                    end_in_any_case();
                    Event::Stop
                }
            };
            if events.send(event).is_err() {
                return;
            }
        }
    };
    // It rests all its life: nothing that it does can take long.
    pulse.spawn("signals", Duration::MAX, hear).map(drop)
}

/// Nothing is lost by it: whatever must last is on the disk before it is said.
fn end_in_any_case() {
    let end = || {
        std::thread::sleep(LAST_RESORT);
        log("stop: not all has ended in time: it is left behind");
        std::process::exit(1);
    };
    // Without a thread the service manager ends it, a little later.
    let _ = std::thread::Builder::new().spawn(end);
}
