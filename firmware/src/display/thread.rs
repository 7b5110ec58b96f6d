//! The display's thread: whoever has something to show leaves it here and goes on.

use super::panel::{Manner, Panel};
use super::presenter::{PanelHealth, Presenter, Wishes};
use super::screen::Screen;
use super::screens::Frame;
use crate::watch::{Beat, Pulse};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Painting goes first. Not the last of all: with every core at work the panel would stand still for seconds.
const NICE: i32 = 10;

/// A frame takes so long at most: paper's refresh in the cold, with all that is before and after it; any other panel.
const PAPER_PATIENCE: Duration = Duration::from_secs(180);
const LIGHT_PATIENCE: Duration = Duration::from_secs(60);

/// How screens come to a panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    /// Degrees clockwise that they are turned, as [`PanelSettings::rotation`](super::PanelSettings::rotation).
    pub rotation: u32,
    /// How they are laid out.
    pub frame: Frame,
}

/// Where the display takes its time from.
pub trait Clock: Send + 'static {
    /// Now.
    fn now(&self) -> Instant;

    /// Processor time that the calling thread has taken so far.
    fn spent(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn spent(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Duration::from_secs(seconds)
            + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
    }
}

/// A panel at work. Dropped, it stops by itself.
pub struct Display {
    shared: Arc<Shared>,
    /// Only what is worth a refresh.
    lasting_only: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    wishes: Wishes,
    /// Screens that were replaced here, before the thread saw them.
    dropped: u64,
    health: PanelHealth,
    stop: bool,
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Plain data, whole at every moment, whatever became of the one who held it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Display {
    /// Starts the thread that draws on `panel`, watched by `pulse`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        panel: Box<dyn Panel>,
        look: Look,
        clock: impl Clock,
        pulse: &Pulse,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let lasting_only = matches!(panel.manner(), Manner::Paper { .. });
        let patience = if lasting_only {
            PAPER_PATIENCE
        } else {
            LIGHT_PATIENCE
        };
        let theirs = Arc::clone(&shared);
        pulse.spawn("display", patience, move |beat| {
            let ending = Ending(&theirs);
            go_last();
            serve(&theirs, Presenter::new(panel, look, clock), beat);
            drop(ending);
        })?;
        Ok(Self {
            shared,
            lasting_only,
        })
    }

    /// Shows `screen` as soon as the panel and the painting allow, unless something newer comes before. Returns at once.
    ///
    /// A panel that wears shows finished pictures, errors and set-up only; the rest is left out.
    pub fn show(&self, screen: Screen) {
        let mut state = self.shared.lock();
        if self.lasting_only && !screen.is_lasting() {
            return;
        }
        if state.wishes.screen.replace(screen).is_some() {
            state.dropped += 1;
        }
        self.shared.changed.notify_all();
    }

    /// Turns the light off, and on again with the newest screen. Returns at once.
    pub fn set_dark(&self, dark: bool) {
        self.shared.lock().wishes.dark = Some(dark);
        self.shared.changed.notify_all();
    }

    /// Sets how bright the light is, 0 to 1. Returns at once.
    pub fn set_brightness(&self, brightness: f32) {
        self.shared.lock().wishes.brightness = Some(brightness.clamp(0.0, 1.0));
        self.shared.changed.notify_all();
    }

    /// Turns what is shown, degrees clockwise. Returns at once.
    pub fn set_rotation(&self, rotation: u32) {
        self.shared.lock().wishes.rotation = Some(rotation);
        self.shared.changed.notify_all();
    }

    /// How the panel does.
    #[must_use]
    pub fn health(&self) -> PanelHealth {
        let state = self.shared.lock();
        let mut health = state.health.clone();
        health.dropped += state.dropped;
        health
    }

    /// Shows that the board shuts down, unless the panel is dark or keeps its picture by itself, and ends the thread.
    /// Waits for that no longer than `within`; whether it came to it. A panel that hangs is left behind.
    #[must_use]
    pub fn stop(self, within: Duration) -> bool {
        let mut state = self.shared.lock();
        state.stop = true;
        self.shared.changed.notify_all();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, within, |state| !state.ended);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.ended
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
    }
}

/// Says that the thread is over, also when a driver panicked.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        if std::thread::panicking() {
            let advice = "restart the program";
            state.health.error = Some(format!("panel: its driver failed: {advice}"));
        }
        self.0.changed.notify_all();
    }
}

fn serve<C: Clock>(shared: &Shared, mut presenter: Presenter<C>, beat: &Beat) {
    let mut due = None;
    loop {
        beat.rest();
        let (wishes, stop) = wait(shared, due, &presenter);
        beat.work();
        if stop {
            presenter.finish();
            return;
        }
        presenter.wish(wishes);
        due = presenter.work();
        shared.lock().health = presenter.health().clone();
    }
}

/// Waits for a wish, for the end or for `due`.
fn wait<C: Clock>(
    shared: &Shared,
    due: Option<Instant>,
    presenter: &Presenter<C>,
) -> (Wishes, bool) {
    let mut state = shared.lock();
    loop {
        let Wishes {
            screen,
            dark,
            brightness,
            rotation,
        } = &state.wishes;
        let is_wished = screen.is_some() || dark.is_some() || brightness.is_some();
        if state.stop || is_wished || rotation.is_some() {
            break;
        }
        state = match due {
            None => shared
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(due) => {
                let left = due.saturating_duration_since(presenter.now());
                if left.is_zero() {
                    break;
                }
                let waited = shared.changed.wait_timeout(state, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
    (std::mem::take(&mut state.wishes), state.stop)
}

/// Lowers this thread's priority; where that is not allowed, it goes with the rest.
fn go_last() {
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::PanelError;
    use image::RgbImage;
    use std::sync::mpsc::{Receiver, Sender, channel};

    const SOON: Duration = Duration::from_secs(600); // a machine may stand still for minutes

    /// Says that a frame has come and waits until it may take it.
    struct Gate {
        came: Sender<RgbImage>,
        go: Receiver<Result<(), PanelError>>,
        manner: Manner,
    }

    impl Panel for Gate {
        fn size(&self) -> (u32, u32) {
            (64, 48)
        }

        fn manner(&self) -> Manner {
            self.manner
        }

        fn show(&mut self, frame: &RgbImage) -> Result<(), PanelError> {
            let _ = self.came.send(frame.clone());
            // A test that is over lets everything through.
            self.go.recv().unwrap_or(Ok(()))
        }

        fn set_dark(&mut self, _: bool) -> Result<(), PanelError> {
            Ok(())
        }
    }

    fn start(manner: Manner) -> (Display, Receiver<RgbImage>, Sender<Result<(), PanelError>>) {
        let (came, frames) = channel();
        let (let_go, go) = channel();
        let panel = Gate { came, go, manner };
        let display = Display::start(
            Box::new(panel),
            Look::default(),
            SystemClock,
            &Pulse::default(),
        );
        (display.expect("a thread"), frames, let_go)
    }

    const FAST: Manner = Manner::Light {
        frames_per_second: 1000.0,
    };

    fn caption(prompt: &str) -> Screen {
        Screen::Caption {
            prompt: prompt.to_owned(),
            heading: String::new(),
        }
    }

    fn drawn(screen: &Screen) -> RgbImage {
        super::super::draw(screen, (64, 48), Frame::default())
    }

    #[test]
    fn a_slow_panel_gets_the_last_of_many_screens() {
        let (display, frames, go) = start(FAST);
        display.show(caption("first"));
        assert_eq!(frames.recv_timeout(SOON), Ok(drawn(&caption("first"))));
        // The panel is busy with that one all the while.
        for number in 0..500 {
            display.show(caption(&number.to_string()));
        }
        go.send(Ok(())).expect("the panel waits");
        assert_eq!(frames.recv_timeout(SOON), Ok(drawn(&caption("499"))));
        assert_eq!(display.health().dropped, 499);
        drop(go);
        assert!(display.stop(SOON));
        assert_eq!(frames.recv_timeout(SOON), Ok(drawn(&Screen::ShuttingDown)));
        assert!(frames.recv_timeout(SOON).is_err(), "the thread has ended");
    }

    #[test]
    fn a_panel_that_hangs_stops_nobody() {
        let (display, frames, go) = start(FAST);
        display.show(caption("first"));
        frames.recv_timeout(SOON).expect("a frame");
        display.show(caption("second"));
        assert!(!display.stop(Duration::from_millis(1)));
        drop(go);
    }

    #[test]
    fn a_failure_is_told() {
        let (display, frames, go) = start(FAST);
        display.show(caption("first"));
        frames.recv_timeout(SOON).expect("a frame");
        go.send(Err(PanelError("no panel".to_owned())))
            .expect("the panel waits");
        // It is tried again by itself.
        assert_eq!(frames.recv_timeout(SOON), Ok(drawn(&caption("first"))));
        let health = display.health();
        assert_eq!(
            (health.error.as_deref(), health.failed),
            (Some("no panel"), 1)
        );
        drop(go);
        assert!(display.stop(SOON));
    }

    #[test]
    fn paper_gets_only_what_lasts() {
        let rest = Duration::ZERO;
        let (display, frames, go) = start(Manner::Paper { rest });
        drop(go);
        let error = Screen::Error {
            problem: "x".to_owned(),
            advice: String::new(),
        };
        display.show(error.clone());
        display.show(caption("no")); // neither shown nor in the way of the error
        assert_eq!(frames.recv_timeout(SOON), Ok(drawn(&error)));
        assert!(display.stop(SOON));
        assert!(frames.recv_timeout(SOON).is_err());
    }

    #[test]
    fn a_driver_that_panics_is_told() {
        struct Wild;
        impl Panel for Wild {
            fn size(&self) -> (u32, u32) {
                (8, 8)
            }
            fn manner(&self) -> Manner {
                FAST
            }
            fn show(&mut self, _: &RgbImage) -> Result<(), PanelError> {
                panic!("a test's panic")
            }
            fn set_dark(&mut self, _: bool) -> Result<(), PanelError> {
                Ok(())
            }
        }
        let pulse = Pulse::default();
        let display =
            Display::start(Box::new(Wild), Look::default(), SystemClock, &pulse).expect("a thread");
        display.show(caption("x"));
        let state = display.shared.lock();
        let ended = display
            .shared
            .changed
            .wait_timeout_while(state, SOON, |state| !state.ended);
        drop(ended);
        assert!(
            display
                .health()
                .error
                .is_some_and(|error| error.contains("driver"))
        );
        pulse.wait(SOON);
        let stuck = pulse.check(Duration::ZERO).expect_err("it has panicked");
        assert_eq!(stuck.to_string(), "display: has panicked: a test's panic");
    }

    #[test]
    fn a_panel_that_hangs_is_seen_and_one_that_waits_is_not() {
        let (came, frames) = channel();
        let (let_go, go) = channel();
        let (look, pulse) = (Look::default(), Pulse::default());
        let panel = Box::new(Gate {
            came,
            go,
            manner: FAST,
        });
        let display = Display::start(panel, look, SystemClock, &pulse).expect("a thread");
        let second = Duration::from_secs;
        assert_eq!(pulse.check(second(0)), Ok(()));
        assert_eq!(pulse.check(second(3600)), Ok(()), "it has nothing to do");
        display.show(caption("first"));
        frames.recv_timeout(SOON).expect("a frame");
        assert_eq!(pulse.check(second(3601)), Ok(()));
        assert_eq!(pulse.check(second(3660)), Ok(()));
        let stuck = pulse.check(second(3662)).expect_err("it hangs");
        assert_eq!(stuck.to_string(), "display: no progress for 61 s");
        drop(let_go);
        assert!(display.stop(SOON));
    }
}
