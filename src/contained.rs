//! The last net under files from outside: what panics on them becomes an error of one line, here and in no other place.
//!
//! What easel knows to be wrong it refuses before; this is for what nobody has thought of. tract's code is large, and a damaged file
//! may make it index beyond an end.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::watched::CancelToken;

/// Stacks of a thread that makes graphs, the first that can be had: tract and the readers of files recurse, the deeper the deeper a
/// file is, and a process whose memory is limited (`ulimit -d`) has no room for a large one.
const STACKS: [usize; 3] = [64 << 20, 8 << 20, 2 << 20];

/// How often a thread that waits looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The slowest board makes the largest graph in less.
const LONGEST: Duration = Duration::from_secs(120);

/// Nets that are held out now, in the whole process: kernels panic on other threads than the one that waits for them.
static NETS: AtomicUsize = AtomicUsize::new(0);

/// Where the last panic over a net was.
static LAST: Mutex<Option<String>> = Mutex::new(None);

thread_local! {
    /// Whether this thread's panics are somebody's to report.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Makes panics one line: those that become an error are not printed at all, others as one line on standard error.
///
/// For a program's `main`. A library that is used by others leaves their hook alone.
pub fn report_panics_in_one_line() {
    std::panic::set_hook(Box::new(|info| {
        let line = line(info);
        if CAUGHT.get() || NETS.load(Ordering::Relaxed) > 0 {
            *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
        } else {
            eprintln!("easel: {line}: this is a fault of easel's: please report it");
        }
    }));
}

/// What panicked, and where, without line breaks.
fn line(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map(|place| {
        let file = place.file().rsplit(['/', '\\']).next().unwrap_or_default();
        format!(" ({file}:{})", place.line())
    });
    let mut text = text(info.payload());
    text.push_str(&place.unwrap_or_default());
    text
}

fn text(payload: &dyn Any) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    let text = text.unwrap_or_else(|| "something unnamed".into());
    let text: String = text.chars().take(160).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Does something; what panicked in it, if it did.
pub(crate) fn catch<R>(what: impl FnOnce() -> R) -> Result<R, String> {
    NETS.fetch_add(1, Ordering::Relaxed);
    let before = CAUGHT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(what));
    CAUGHT.set(before);
    NETS.fetch_sub(1, Ordering::Relaxed);
    result.map_err(|payload| {
        let last = LAST.lock().unwrap_or_else(PoisonError::into_inner).take();
        last.unwrap_or_else(|| text(&*payload))
    })
}

/// Why something did not come to its end.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// Somebody cancelled. It may go on by itself for a while, and its result is dropped.
    Cancelled,
    /// It took longer than anything of its kind does.
    TooLong,
    /// It panicked.
    Panicked(String),
}

/// Whether a thread that nobody waits for any more still makes a graph.
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// Does something on a thread with a large stack. Cancelling does not wait for it.
pub(crate) fn on_own_thread<R: Send + 'static>(
    cancel: &CancelToken,
    what: impl FnOnce() -> R + Send + 'static,
) -> Result<R, Stopped> {
    // A fuzzer makes thousands of graphs a second, and has a stack of its own.
    if cfg!(fuzzing) {
        return catch(what).map_err(Stopped::Panicked);
    }
    // One at a time: whoever cancels again and again would fill the memory.
    let begun = Instant::now();
    while LEFT.load(Ordering::Acquire) > 0 {
        if cancel.is_cancelled() {
            return Err(Stopped::Cancelled);
        }
        if begun.elapsed() > LONGEST {
            return Err(Stopped::TooLong);
        }
        thread::sleep(LOOK_EVERY);
    }
    let (done, result) = sync_channel(1);
    // Kept out here, for the next try if a thread with such a stack is not to be had.
    let work = Arc::new(Mutex::new(Some((what, done))));
    let start = |stack| {
        let work = work.clone();
        let thread = thread::Builder::new().name("graph".into());
        thread.stack_size(stack).spawn(move || {
            let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some((what, done)) = work {
                // Nobody may wait for it any more.
                let _ = done.send(catch(what));
            }
        })
    };
    let [large, medium, small] = STACKS;
    let started = start(large)
        .or_else(|_| start(medium))
        .or_else(|_| start(small));
    let thread = match started {
        Ok(thread) => thread,
        Err(error) => return Err(Stopped::Panicked(format!("no thread: {error}"))),
    };
    loop {
        match result.recv_timeout(LOOK_EVERY) {
            Ok(result) => {
                // So that its stack is gone before anything else needs the memory.
                if let Err(payload) = thread.join() {
                    resume_unwind(payload);
                }
                return result.map_err(Stopped::Panicked);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Stopped::Panicked("its thread ended".into()));
            }
        }
        let stopped = if cancel.is_cancelled() {
            Stopped::Cancelled
        } else if begun.elapsed() > LONGEST {
            Stopped::TooLong
        } else {
            continue;
        };
        leave(thread);
        return Err(stopped);
    }
}

/// Waits for a thread that is not wanted any more, somewhere else.
fn leave(thread: thread::JoinHandle<()>) {
    LEFT.fetch_add(1, Ordering::AcqRel);
    let waits = thread::Builder::new()
        .name("graph left".into())
        .stack_size(64 << 10)
        .spawn(move || {
            let _ = thread.join();
            LEFT.fetch_sub(1, Ordering::AcqRel);
        });
    if waits.is_err() {
        LEFT.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panics_becomes_one_line() {
        let caught = catch(|| -> () { panic!("a\nb {}", 7) }).expect_err("it panics");
        assert!(
            caught.starts_with("a b 7") && !caught.contains('\n'),
            "{caught}"
        );
        assert_eq!(catch(|| 7), Ok(7));
    }

    #[test]
    fn a_deep_recursion_has_room_and_who_cancels_does_not_wait() {
        fn deep(n: usize) -> usize {
            let room = std::hint::black_box([n; 16]);
            if n == 0 {
                0
            } else {
                1 + deep(n - 1) + room[3] - n
            }
        }
        let cancel = CancelToken::new();
        let found = on_own_thread(&cancel, || deep(100_000)).expect("it comes to its end");
        assert_eq!(found, 100_000);
        let wait = || on_own_thread(&cancel, || -> () { panic!("no") });
        assert!(matches!(wait(), Err(Stopped::Panicked(text)) if text.starts_with("no")));

        cancel.cancel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let stopped = on_own_thread(&cancel, move || {
            let _ = ended.recv();
        });
        assert!(matches!(stopped, Err(Stopped::Cancelled)));
        drop(end);
        // The next one waits until that thread is gone.
        let found = on_own_thread(&CancelToken::new(), || 7);
        assert!(matches!(found, Ok(7)));
    }
}
