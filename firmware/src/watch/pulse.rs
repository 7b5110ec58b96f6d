//! Whether all threads that should get on do. A thread of the daemon is started with [`Pulse::spawn`] and shows by its
//! [`Beat`] that it gets on; one that has panicked or hangs is found by [`Pulse::check`], and the daemon is started again
//! (`serve/watchdog.rs`). One that merely takes long is not.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Watches over threads. Clones are one; threads of one that nobody asks are not watched.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<Threads>);

#[derive(Debug, Default)]
struct Threads {
    watched: Mutex<Vec<Watched>>,
    /// One has panicked.
    changed: Condvar,
}

#[derive(Debug)]
struct Watched {
    name: &'static str,
    member: Arc<Member>,
    /// As last seen, and when that was new.
    ticks: u64,
    moved: Duration,
}

#[derive(Default)]
struct Member {
    ticks: AtomicU64,
    /// Something else that goes up while it gets on.
    counted: OnceLock<Box<dyn Fn() -> u64 + Send + Sync>>,
    state: AtomicU8,
    /// Milliseconds.
    patience: AtomicU64,
    /// What it said last.
    words: OnceLock<String>,
}

const RESTS: u8 = 0;
const WORKS: u8 = 1;
/// It has ended as it should.
const OVER: u8 = 2;
const PANICKED: u8 = 3;
const LOST: u8 = 4;

/// With this a thread shows that it gets on. Cheap enough for each layer of a network; clones count as one. The default one is seen
/// by nobody.
#[derive(Debug, Clone, Default)]
pub struct Beat(Arc<Member>);

/// A thread that does not get on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// Which.
    pub name: &'static str,
    /// Why not.
    pub cause: Cause,
}

/// Why a thread does not get on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It has shown no progress for so long.
    Hangs(Duration),
    /// It has panicked, with these words.
    Panicked(String),
    /// It has ended, and somebody still needs it.
    Ended,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        match &self.cause {
            Cause::Hangs(since) => write!(f, "{name}: no progress for {} s", since.as_secs()),
            Cause::Panicked(words) => write!(f, "{name}: has panicked: {words}"),
            Cause::Ended => write!(f, "{name}: has ended"),
        }
    }
}

impl std::error::Error for Stuck {}

/// What a panic said, on one line.
pub(crate) fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no reason given")
        .replace(char::is_control, " ")
}

impl Pulse {
    /// Watches one more thread, which rests until it says otherwise. While it works, `patience` is the longest time between two
    /// ticks.
    #[must_use]
    pub fn watch(&self, name: &'static str, patience: Duration) -> Beat {
        let beat = Beat::default();
        beat.set_patience(patience);
        self.0.lock().push(Watched {
            name,
            member: Arc::clone(&beat.0),
            ticks: 0,
            moved: Duration::ZERO,
        });
        beat
    }

    /// Starts a thread that is watched. It may return when it was told to end; a panic of it is found by the next check. The
    /// beat that comes back is the thread's own.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn spawn(
        &self,
        name: &'static str,
        patience: Duration,
        run: impl FnOnce(&Beat) + Send + 'static,
    ) -> io::Result<(Beat, JoinHandle<()>)> {
        let beat = self.watch(name, patience);
        let its_own = beat.clone();
        let threads = Arc::clone(&self.0);
        let thread = std::thread::Builder::new().name(name.to_owned());
        let started = thread.spawn(move || {
            let ended = catch_unwind(AssertUnwindSafe(|| run(&beat)));
            let state = match ended {
                Ok(()) => OVER,
                Err(panic) => {
                    // The first word counts.
                    let _ = beat.0.words.set(words_of(&*panic));
                    PANICKED
                }
            };
            beat.0.state.store(state, Relaxed);
            // Between a look at the states and the wait for the next, nobody may pass.
            drop(threads.lock());
            threads.changed.notify_all();
        })?;
        Ok((its_own, started))
    }

    /// Looks at all of them, at a moment of a clock that never goes back. To be called more often than the shortest patience.
    ///
    /// # Errors
    /// The first that does not get on. One that hangs may get on yet: then this is right again.
    pub fn check(&self, now: Duration) -> Result<(), Stuck> {
        let mut watched = self.0.lock();
        // One that is over may still be missed by whoever has its beat.
        watched.retain(|watched| {
            let is_over = watched.member.state.load(Relaxed) == OVER;
            !is_over || Arc::strong_count(&watched.member) > 1
        });
        // All are looked at, so that each one's time is right.
        let stuck: Vec<Stuck> = watched
            .iter_mut()
            .filter_map(|watched| watched.look(now))
            .collect();
        stuck.into_iter().next().map_or(Ok(()), Err)
    }

    /// Waits so long, or until one has panicked.
    pub fn wait(&self, time: Duration) {
        let all_well = |watched: &mut Vec<Watched>| {
            let states = watched
                .iter()
                .map(|watched| watched.member.state.load(Relaxed));
            !states.into_iter().any(|state| state > OVER)
        };
        let waited = self
            .0
            .changed
            .wait_timeout_while(self.0.lock(), time, all_well);
        drop(waited);
    }
}

impl Threads {
    fn lock(&self) -> MutexGuard<'_, Vec<Watched>> {
        // Plain data, whole at every moment.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    fn look(&mut self, now: Duration) -> Option<Stuck> {
        let member = &self.member;
        let counted = member.counted.get().map_or(0, |count| count());
        let ticks = member.ticks.load(Relaxed).wrapping_add(counted);
        let state = member.state.load(Relaxed);
        if ticks != self.ticks || state == RESTS {
            self.ticks = ticks;
            self.moved = now;
        }
        let since = now.saturating_sub(self.moved);
        let patience = Duration::from_millis(member.patience.load(Relaxed));
        let cause = match state {
            PANICKED => Cause::Panicked(member.words.get().cloned().unwrap_or_default()),
            LOST => Cause::Ended,
            _ if since > patience => Cause::Hangs(since),
            _ => return None,
        };
        Some(Stuck {
            name: self.name,
            cause,
        })
    }
}

impl Beat {
    /// It has got a little further.
    pub fn tick(&self) {
        self.0.ticks.fetch_add(1, Relaxed);
    }

    /// What goes up while it gets on counts as ticks; the first that is given does.
    pub fn count(&self, count: impl Fn() -> u64 + Send + Sync + 'static) {
        let _ = self.0.counted.set(Box::new(count));
    }

    /// It begins to work: from now on it must tick.
    pub fn work(&self) {
        // First the tick: a look between the two must not find old ticks at work.
        self.tick();
        self.0.state.store(WORKS, Relaxed);
    }

    /// It begins to work on what may take so long between two ticks, from now on.
    pub fn work_for(&self, patience: Duration) {
        self.set_patience(patience);
        self.work();
    }

    /// It waits for something to do, for however long.
    pub fn rest(&self) {
        self.0.state.store(RESTS, Relaxed);
    }

    /// Somebody needs it and it is not there any more. What is known already of its end counts.
    pub fn lost(&self) {
        let is_there = |state| (state < PANICKED).then_some(LOST);
        let _ = self.0.state.fetch_update(Relaxed, Relaxed, is_there);
    }

    fn set_patience(&self, patience: Duration) {
        let ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        self.0.patience.store(ms, Relaxed);
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("ticks", &self.ticks)
            .field("state", &self.state)
            .finish_non_exhaustive()
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
        let cause = Cause::Hangs(second(seconds));
        Err(Stuck { name, cause })
    }

    #[test]
    fn who_works_must_tick_and_who_rests_need_not() {
        let pulse = Pulse::default();
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
        let pulse = Pulse::default();
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
    fn something_that_is_counted_is_as_good_as_ticks_and_patience_may_change() {
        let pulse = Pulse::default();
        let beat = pulse.watch("painter", second(10));
        let count = Arc::new(AtomicU64::new(0));
        beat.count({
            let count = Arc::clone(&count);
            move || count.load(Relaxed)
        });
        beat.work_for(second(20));
        assert_eq!(pulse.check(second(1)), Ok(()));
        assert_eq!(pulse.check(second(20)), Ok(()));
        count.store(7, Relaxed);
        assert_eq!(pulse.check(second(40)), Ok(()));
        assert_eq!(pulse.check(second(61)), stuck("painter", 21));
    }

    #[test]
    fn a_thread_that_panics_is_missed_and_one_that_ends_is_not() {
        let pulse = Pulse::default();
        let ends = pulse.spawn("ends", second(5), Beat::work);
        ends.expect("a thread").1.join().expect("it is caught");
        assert_eq!(pulse.check(second(1)), Ok(()));
        assert_eq!(pulse.check(second(100)), Ok(()));
        let panics = pulse.spawn("panics", second(5), |_| panic!("as it\nshould"));
        // It says so itself: nobody waits for the time to be over.
        pulse.wait(second(3600));
        let cause = Cause::Panicked("as it should".to_owned());
        let name = "panics";
        assert_eq!(pulse.check(second(101)), Err(Stuck { name, cause }));
        panics.expect("a thread").1.join().expect("it is caught");
    }

    #[test]
    fn one_that_is_needed_and_gone_is_missed() {
        let pulse = Pulse::default();
        let (beat, thread) = pulse.spawn("connection", second(5), |_| {}).expect("one");
        thread.join().expect("it ends");
        assert_eq!(pulse.check(second(0)), Ok(()));
        beat.lost();
        let name = "connection";
        let cause = Cause::Ended;
        assert_eq!(pulse.check(second(1)), Err(Stuck { name, cause }));
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
        let pulse = Pulse::default();
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
