//! Waiting for one of several files, for a moment, or for the end.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// How often a device that is not there is looked for.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// A clock that starts at nothing.
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// What there is to do.
pub(super) enum Woken {
    /// Whoever asked for inputs does so no longer.
    Stop,
    /// These files, by place, have something to read or are gone; none: time is up.
    Ready(Vec<usize>),
}

/// Waits until a file has something, `timeout` is over (`None`: for ever), or `stopped` is closed.
pub(super) fn wait<'a>(
    stopped: impl AsFd,
    files: impl Iterator<Item = BorrowedFd<'a>>,
    timeout: Option<Duration>,
) -> Woken {
    let mut all = vec![PollFd::from_borrowed_fd(stopped.as_fd(), PollFlags::IN)];
    all.extend(files.map(|file| PollFd::from_borrowed_fd(file, PollFlags::IN)));
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match poll(&mut all, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        // Out of memory for a moment: neither spin nor give up.
        Err(_) => std::thread::sleep(LOOK_AGAIN),
    }
    let has = |file: &PollFd<'_>| !file.revents().is_empty();
    if all.first().is_some_and(has) {
        return Woken::Stop;
    }
    let ready = all.iter().skip(1).enumerate();
    Woken::Ready(
        ready
            .filter(|(_, file)| has(file))
            .map(|(place, _)| place)
            .collect(),
    )
}
