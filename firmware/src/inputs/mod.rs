//! What is pressed, turned and touched.
//!
//! Two threads at most: one waits for the lines of GPIO chips, one for keyboards, remote controls and touch screens. Both
//! survive that a device goes away, and find it when it comes back. They end when the [`Inputs`] are dropped.

mod gesture;
mod keys;
mod lines;
mod settings;
mod wait;

pub use gesture::{Button, Finger, Press, Rotary, Touch};
pub use settings::{Action, InputKind, InputSettings, InputsSettings};

use crate::watch::{Beat, Pulse};
use std::io::{self, PipeReader, PipeWriter};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a hand did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gesture {
    /// A button, a key, or a finger that stayed.
    Press(Press),
    /// One detent: +1 is clockwise, −1 is not.
    Turn(i8),
    /// A finger went left.
    SwipeLeft,
    /// A finger went right.
    SwipeRight,
}

impl Gesture {
    /// As messages and configurations call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Press(Press::Short) => "short",
            Self::Press(Press::Long) => "long",
            Self::Turn(ahead) if ahead > 0 => "clockwise",
            Self::Turn(_) => "counterclockwise",
            Self::SwipeLeft => "swipe_left",
            Self::SwipeRight => "swipe_right",
        }
    }
}

impl From<Finger> for Gesture {
    fn from(finger: Finger) -> Self {
        match finger {
            Finger::Press(press) => Self::Press(press),
            Finger::Left => Self::SwipeLeft,
            Finger::Right => Self::SwipeRight,
        }
    }
}

/// What inputs tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputEvent {
    /// Somebody did something.
    Gesture {
        /// The input's name in the configuration.
        name: String,
        /// What.
        gesture: Gesture,
        /// What the configuration wants done.
        action: Option<Action>,
    },
    /// The device is not there, or no longer; it is looked for until it is. Told once each time.
    Lost {
        /// The input's name.
        name: String,
        /// One line: what the system says, and what to do.
        problem: String,
    },
    /// The device is there again.
    Found {
        /// The input's name.
        name: String,
    },
}

impl InputSettings {
    /// The event that a gesture on this input is.
    fn event(&self, gesture: impl Into<Gesture>) -> InputEvent {
        let gesture = gesture.into();
        let action = match gesture {
            Gesture::Press(Press::Short) => self.short,
            Gesture::Press(Press::Long) => self.long,
            Gesture::Turn(ahead) if ahead > 0 => self.clockwise,
            Gesture::Turn(_) => self.counterclockwise,
            Gesture::SwipeLeft => self.swipe_left,
            Gesture::SwipeRight => self.swipe_right,
        };
        let name = self.name.clone();
        InputEvent::Gesture {
            name,
            gesture,
            action,
        }
    }
}

/// Threads that wait for inputs. Dropped, they end.
pub struct Inputs {
    /// Closed first: that is how the threads are told.
    stop: Option<PipeWriter>,
    threads: Vec<JoinHandle<()>>,
}

/// Between two waits: devices are opened, and what they have is read.
const PATIENCE: Duration = Duration::from_secs(60);

/// What tells.
type Tell = Arc<dyn Fn(InputEvent) + Send + Sync>;
/// Dropped by a thread that has looked for its devices once.
type Looks = Sender<std::convert::Infallible>;

/// Waits for inputs from now on. `events` is called from two threads, which `pulse` watches, and should not keep them waiting.
///
/// # Errors
/// The system has no threads or pipes left. A device that is not there is no error: it is looked for.
pub fn start(
    settings: &InputsSettings,
    pulse: &Pulse,
    events: impl Fn(InputEvent) + Send + Sync + 'static,
) -> io::Result<Inputs> {
    start_in(settings, Path::new("/dev/input"), pulse, events)
}

/// [`start`], with another place for `/dev/input`.
///
/// # Errors
/// As [`start`].
pub fn start_in(
    settings: &InputsSettings,
    devices: &Path,
    pulse: &Pulse,
    events: impl Fn(InputEvent) + Send + Sync + 'static,
) -> io::Result<Inputs> {
    let tell: Tell = Arc::new(events);
    let (stopped, stop) = io::pipe()?;
    let (lines, keys): (Vec<_>, Vec<_>) = settings
        .0
        .iter()
        .cloned()
        .partition(|input| matches!(input.kind, Some(InputKind::Button | InputKind::Rotary)));
    let mut inputs = Inputs {
        stop: Some(stop),
        threads: Vec::new(),
    };
    let (looks, looked) = channel();
    if !lines.is_empty() {
        let (stopped, tell, looks) = (stopped.try_clone()?, tell.clone(), looks.clone());
        inputs.spawn(pulse, "inputs-lines", move |beat| {
            lines::wait(lines, &stopped, &tell, looks, beat);
        })?;
    }
    if !keys.is_empty() {
        let (stopped, devices): (PipeReader, _) = (stopped, devices.to_owned());
        let looks = looks.clone();
        inputs.spawn(pulse, "inputs-keys", move |beat| {
            keys::wait(&keys, &devices, &stopped, &tell, looks, beat);
        })?;
    }
    drop(looks);
    // Nothing is sent: it ends when each thread has opened what there is, so that no press from now on is missed.
    let _ = looked.recv();
    Ok(inputs)
}

impl Inputs {
    fn spawn(
        &mut self,
        pulse: &Pulse,
        name: &'static str,
        run: impl FnOnce(&Beat) + Send + 'static,
    ) -> io::Result<()> {
        let (_, thread) = pulse.spawn(name, PATIENCE, run)?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Inputs {
    fn drop(&mut self) {
        self.stop = None;
        for thread in self.threads.drain(..) {
            // A panic of it was caught and noted.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
