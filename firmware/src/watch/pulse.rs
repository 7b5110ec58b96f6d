//! Whether all threads that should get on do. The service manager's watchdog is fed only while they do, so a daemon that hangs is
//! started again, and one that merely takes long is not.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Watches over the threads that it has given a [`Beat`] to.
#[derive(Debug, Default)]
pub struct Pulse {
    watched: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    name: &'static str,
    patience: Duration,
    member: Arc<Member>,
    /// As last seen, and when that was new.
    ticks: u64,
    moved: Duration,
}

#[derive(Debug)]
struct Member {
    ticks: AtomicU64,
    state: AtomicU8,
}

const RESTS: u8 = 0;
const WORKS: u8 = 1;
const PANICKED: u8 = 2;

/// With this a thread shows that it gets on. Cheap enough for each layer of a network; clones count as one.
#[derive(Debug, Clone)]
pub struct Beat(Arc<Member>);

/// A thread that does not get on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stuck {
    /// Which.
    pub name: &'static str,
    /// For how long; `None`: it has panicked.
    pub since: Option<Duration>,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.since {
            Some(since) => write!(f, "{}: no progress for {} s", self.name, since.as_secs()),
            None => write!(f, "{}: has panicked", self.name),
        }
    }
}

impl std::error::Error for Stuck {}

impl Pulse {
    /// Watches one more thread, which rests until it says otherwise. While it works, `patience` is the longest time between two
    /// ticks.
    pub fn watch(&mut self, name: &'static str, patience: Duration) -> Beat {
        let member = Arc::new(Member {
            ticks: AtomicU64::new(0),
            state: AtomicU8::new(RESTS),
        });
        self.watched.push(Watched {
            name,
            patience,
            member: Arc::clone(&member),
            ticks: 0,
            moved: Duration::ZERO,
        });
        Beat(member)
    }

    /// Looks at all of them, at a moment of a clock that never goes back. To be called more often than the shortest patience.
    ///
    /// # Errors
    /// The first that does not get on. It may yet: then this is right again.
    pub fn check(&mut self, now: Duration) -> Result<(), Stuck> {
        // All are looked at, so that each one's time is right.
        let stuck: Vec<Stuck> = self
            .watched
            .iter_mut()
            .filter_map(|watched| watched.look(now))
            .collect();
        stuck.first().map_or(Ok(()), |&stuck| Err(stuck))
    }
}

impl Watched {
    fn look(&mut self, now: Duration) -> Option<Stuck> {
        let ticks = self.member.ticks.load(Relaxed);
        let state = self.member.state.load(Relaxed);
        if ticks != self.ticks || state == RESTS {
            self.ticks = ticks;
            self.moved = now;
        }
        let since = now.saturating_sub(self.moved);
        let since = match state {
            PANICKED => None,
            _ if since > self.patience => Some(since),
            _ => return None,
        };
        Some(Stuck {
            name: self.name,
            since,
        })
    }
}

impl Beat {
    /// It has got a little further.
    pub fn tick(&self) {
        self.0.ticks.fetch_add(1, Relaxed);
    }

    /// It begins to work: from now on it must tick.
    pub fn work(&self) {
        // First the tick: a look between the two must not find old ticks at work.
        self.tick();
        self.0.state.store(WORKS, Relaxed);
    }

    /// It waits for something to do, for however long.
    pub fn rest(&self) {
        self.0.state.store(RESTS, Relaxed);
    }
}

impl Drop for Beat {
    /// A thread that ends is not waited for; one that panics is missed, unless what catches it lets it work or rest again.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.state.store(PANICKED, Relaxed);
        } else if Arc::strong_count(&self.0) <= 2 && self.0.state.load(Relaxed) == WORKS {
            // The last one of the thread; the other is the watcher's.
            self.rest();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Notifier;
    use std::os::unix::net::UnixDatagram;

    fn second(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    fn stuck(name: &'static str, seconds: u64) -> Result<(), Stuck> {
        Err(Stuck {
            name,
            since: Some(second(seconds)),
        })
    }

    #[test]
    fn who_works_must_tick_and_who_rests_need_not() {
        let mut pulse = Pulse::default();
        let painter = pulse.watch("painter", second(10));
        let display = pulse.watch("display", second(5));
        assert_eq!(pulse.check(second(1000)), Ok(()), "all rest");
        painter.work();
        display.work();
        assert_eq!(pulse.check(second(1001)), Ok(()));
        display.tick();
        assert_eq!(pulse.check(second(1006)), Ok(()));
        painter.tick();
        assert_eq!(pulse.check(second(1012)), stuck("display", 6));
        display.rest();
        assert_eq!(pulse.check(second(1020)), Ok(()));
        assert_eq!(pulse.check(second(1023)), stuck("painter", 11));
        // What seemed stuck got on after all.
        painter.clone().tick();
        assert_eq!(pulse.check(second(1024)), Ok(()));
        assert_eq!(
            stuck("painter", 11).map_err(|stuck| stuck.to_string()),
            Err("painter: no progress for 11 s".into())
        );
    }

    #[test]
    fn a_long_rest_is_no_part_of_the_work_after_it() {
        let mut pulse = Pulse::default();
        let painter = pulse.watch("painter", second(10));
        painter.work();
        painter.rest();
        assert_eq!(pulse.check(second(1)), Ok(()));
        // No look for an hour.
        painter.work();
        assert_eq!(pulse.check(second(3600)), Ok(()));
        assert_eq!(pulse.check(second(3610)), Ok(()));
        assert_eq!(pulse.check(second(3611)), stuck("painter", 11));
    }

    #[test]
    fn a_thread_that_panics_is_missed_and_one_that_ends_is_not() {
        let mut pulse = Pulse::default();
        let (ends, panics) = (
            pulse.watch("ends", second(5)),
            pulse.watch("panics", second(5)),
        );
        let again = panics.clone();
        let run = |beat: Beat, panics: bool| {
            let thread = std::thread::Builder::new().name("tested".into());
            let thread = thread.spawn(move || {
                beat.work();
                assert!(!panics, "as it should");
            });
            let _ = thread.expect("a thread can be had").join();
        };
        run(ends, false);
        assert_eq!(pulse.check(second(1)), Ok(()));
        assert_eq!(pulse.check(second(100)), Ok(()));
        run(panics, true);
        assert_eq!(
            pulse.check(second(101)),
            Err(Stuck {
                name: "panics",
                since: None
            })
        );
        // Whoever has caught it may start again.
        again.rest();
        assert_eq!(pulse.check(second(102)), Ok(()));
    }

    #[test]
    fn a_service_manager_is_fed_while_all_get_on() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("notify");
        let ear = UnixDatagram::bind(&path).expect("it can be bound");
        ear.set_nonblocking(true).expect("it can be set");
        let variable = |name: &str| match name {
            "NOTIFY_SOCKET" => Some(path.clone().into()),
            "WATCHDOG_USEC" => Some("20000000".into()),
            _ => None,
        };
        let notifier = Notifier::new(variable, 1).expect("the socket is there");
        let every = notifier.feed_every().expect("there is a watchdog");
        let mut pulse = Pulse::default();
        let painter = pulse.watch("painter", second(30));
        painter.work();
        let mut meals = Vec::new();
        for look in 1..=12 {
            let now = every * look;
            // It hangs in the middle of a picture, 55 seconds after the start.
            if now < second(55) {
                painter.tick();
            }
            if pulse.check(now).is_ok() {
                notifier.feed().expect("it is heard");
            }
            let mut bytes = [0; 64];
            if let Ok(length) = ear.recv(&mut bytes) {
                assert_eq!(&bytes[..length], b"WATCHDOG=1");
                meals.push(now.as_secs());
            }
        }
        // Seen last at 50, it is waited for until 80; then the manager waits its own twenty seconds.
        assert_eq!(meals, [10, 20, 30, 40, 50, 60, 70, 80]);
    }
}
