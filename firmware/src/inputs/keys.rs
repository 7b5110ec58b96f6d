//! Keyboards, remote controls and touch screens, through the kernel's input events.

use super::gesture::{Button, Touch};
use super::settings::{InputKind, InputSettings};
use super::wait::{Clock, LOOK_AGAIN, Woken, wait as wait_for};
use super::{Gesture, InputEvent, Looks, Tell};
use crate::watch::Beat;
use evdev::{AbsoluteAxisCode, Device, EventSummary, KeyCode};
use std::collections::HashSet;
use std::fs;
use std::io::{self, PipeReader};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Waits until `stopped` is closed.
pub(super) fn wait(
    inputs: &[InputSettings],
    devices: &Path,
    stopped: &PipeReader,
    tell: &Tell,
    looks: Looks,
    beat: &Beat,
) {
    let mut looks = Some(looks);
    let clock = Clock::start();
    let mut finder = Finder::default();
    let mut open: Vec<Opened<'_>> = Vec::new();
    let mut look = Duration::ZERO;
    loop {
        beat.work();
        let now = clock.now();
        if now >= look {
            finder.look(inputs, devices, &mut open);
            finder.tell(inputs, &open, tell);
            look = now + LOOK_AGAIN;
        }
        drop(looks.take());
        let deadline = open
            .iter()
            .filter_map(Opened::deadline)
            .min()
            .unwrap_or(look)
            .min(look);
        let timeout = deadline.saturating_sub(clock.now());
        let files = open.iter().map(|opened| opened.device.as_fd());
        beat.rest();
        let Woken::Ready(ready) = wait_for(stopped, files, Some(timeout)) else {
            return;
        };
        beat.work();
        // From behind, so that places stay right when one is gone.
        for place in ready.into_iter().rev() {
            if open[place].read(clock.now(), tell).is_err() {
                let gone = open.remove(place);
                finder.known.remove(&gone.path);
                finder.tell(inputs, &open, tell);
            }
        }
        for opened in &mut open {
            opened.tick(clock.now(), tell);
        }
    }
}

/// Finds devices, and tells which inputs have none.
#[derive(Default)]
struct Finder {
    /// Nodes that were looked at, those of no use too.
    known: HashSet<PathBuf>,
    /// Inputs whose want of a device has been told, by name.
    lost: HashSet<String>,
}

impl Finder {
    fn look<'a>(
        &mut self,
        inputs: &'a [InputSettings],
        devices: &Path,
        open: &mut Vec<Opened<'a>>,
    ) {
        let listed = fs::read_dir(devices).map(|entries| {
            let paths = entries.flatten().map(|entry| entry.path());
            paths
                .filter(|path| is_event_node(path))
                .collect::<HashSet<PathBuf>>()
        });
        let nodes = listed.unwrap_or_default();
        // A node that went away may come back as another device.
        self.known.retain(|path| nodes.contains(path));
        for path in nodes {
            if self.known.contains(&path) {
                continue;
            }
            // One that cannot be opened yet is tried again: its permissions are set a moment after it appears.
            let Ok(device) = Device::open(&path) else {
                continue;
            };
            self.known.insert(path.clone());
            let wanted: Vec<_> = inputs
                .iter()
                .filter(|input| wants(input, &path, &device))
                .collect();
            if !wanted.is_empty() && device.set_nonblocking(true).is_ok() {
                open.push(Opened::new(path, device, wanted));
            }
        }
    }

    fn tell(&mut self, inputs: &[InputSettings], open: &[Opened<'_>], tell: &Tell) {
        for input in inputs {
            let there = open.iter().any(|opened| opened.serves(input));
            let name = input.name.clone();
            if there && self.lost.remove(&name) {
                tell(InputEvent::Found { name });
            } else if !there && self.lost.insert(name.clone()) {
                let what = match (input.kind, &input.key) {
                    (Some(InputKind::Key), Some(key)) => format!("device with {key}"),
                    _ => "touch screen".to_owned(),
                };
                let advice = "plug it in, and add the user of easel to the group `input`";
                let problem = format!("there is no {what}: {advice}");
                tell(InputEvent::Lost { name, problem });
            }
        }
    }
}

fn is_event_node(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with("event")
}

fn wants(input: &InputSettings, path: &Path, device: &Device) -> bool {
    let named = input.device.as_ref().is_none_or(|named| {
        // A name in /dev/input/by-id leads to the node.
        named == path || named.canonicalize().is_ok_and(|named| named == path)
    });
    let keys = device.supported_keys();
    let has = |key: KeyCode| keys.is_some_and(|keys| keys.contains(key));
    named && input.key_code().is_some_and(has)
}

/// A device that serves some inputs.
struct Opened<'a> {
    path: PathBuf,
    device: Device,
    served: Vec<Served<'a>>,
}

struct Served<'a> {
    settings: &'a InputSettings,
    key: KeyCode,
    recognizer: Recognizer,
}

enum Recognizer {
    Key(Button),
    Touch {
        touch: Touch,
        /// What the current report says: a finger came or went. Told at its end, when the place is known too.
        touches: Option<bool>,
    },
}

impl<'a> Opened<'a> {
    fn new(path: PathBuf, device: Device, wanted: Vec<&'a InputSettings>) -> Self {
        let width = width_of(&device);
        let serve = |settings: &'a InputSettings| {
            let key = settings.key_code()?;
            let recognizer = match settings.kind {
                Some(InputKind::Touch) => Recognizer::Touch {
                    touch: Touch::new(width, settings.hold()),
                    touches: None,
                },
                // Keyboards settle their keys themselves.
                _ => Recognizer::Key(Button::new(Duration::ZERO, settings.hold())),
            };
            Some(Served {
                settings,
                key,
                recognizer,
            })
        };
        let served = wanted.into_iter().filter_map(serve).collect();
        Self {
            path,
            device,
            served,
        }
    }

    fn serves(&self, input: &InputSettings) -> bool {
        self.served
            .iter()
            .any(|served| served.settings.name == input.name)
    }

    fn deadline(&self) -> Option<Duration> {
        let deadlines = self
            .served
            .iter()
            .filter_map(|served| match &served.recognizer {
                Recognizer::Key(button) => button.deadline(),
                Recognizer::Touch { touch, .. } => touch.deadline(),
            });
        deadlines.min()
    }

    /// Takes all that there is.
    fn read(&mut self, now: Duration, tell: &Tell) -> io::Result<()> {
        let events = match self.device.fetch_events() {
            Ok(events) => events,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        for event in events {
            let event = event.destructure();
            for served in &mut self.served {
                if let Some(gesture) = served.take(&event, now) {
                    tell(served.settings.event(gesture));
                }
            }
        }
        Ok(())
    }

    fn tick(&mut self, now: Duration, tell: &Tell) {
        for served in &mut self.served {
            let gesture = match &mut served.recognizer {
                Recognizer::Key(button) => button.tick(now).map(Gesture::Press),
                Recognizer::Touch { touch, .. } => touch.tick(now).map(Gesture::from),
            };
            if let Some(gesture) = gesture {
                tell(served.settings.event(gesture));
            }
        }
    }
}

impl Served<'_> {
    fn take(&mut self, event: &EventSummary, now: Duration) -> Option<Gesture> {
        match (event, &mut self.recognizer) {
            // 2 is a key that repeats itself.
            (EventSummary::Key(_, key, value @ (0 | 1)), recognizer) if *key == self.key => {
                let pressed = *value == 1;
                match recognizer {
                    Recognizer::Key(button) => button.edge(pressed, now).map(Gesture::Press),
                    Recognizer::Touch { touches, .. } => {
                        *touches = Some(pressed);
                        None
                    }
                }
            }
            (
                EventSummary::AbsoluteAxis(_, AbsoluteAxisCode::ABS_X, x),
                Recognizer::Touch { touch, .. },
            ) => {
                touch.at(*x);
                None
            }
            (EventSummary::Synchronization(..), Recognizer::Touch { touch, touches }) => {
                touch.touch(touches.take()?, now).map(Gesture::from)
            }
            _ => None,
        }
    }
}

/// Of a touch screen, in its own units.
fn width_of(device: &Device) -> i32 {
    let mut axes = device.get_absinfo().into_iter().flatten();
    let x = axes.find(|(axis, _)| *axis == AbsoluteAxisCode::ABS_X);
    x.map_or(1000, |(_, x)| x.maximum().saturating_sub(x.minimum()))
}
