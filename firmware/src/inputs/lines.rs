//! Buttons and rotary encoders on the lines of GPIO chips.

use super::gesture::{Button, Rotary};
use super::settings::{InputKind, InputSettings};
use super::wait::{Clock, LOOK_AGAIN, Woken, wait as wait_for};
use super::{Gesture, InputEvent, Looks, Tell};
use crate::watch::Beat;
use gpiocdev::Request;
use gpiocdev::line::{Bias, EdgeDetection, EdgeKind};
use std::io::PipeReader;
use std::os::fd::AsFd;
use std::time::Duration;

/// Waits until `stopped` is closed.
pub(super) fn wait(
    inputs: Vec<InputSettings>,
    stopped: &PipeReader,
    tell: &Tell,
    looks: Looks,
    beat: &Beat,
) {
    let mut looks = Some(looks);
    let clock = Clock::start();
    let mut inputs: Vec<Input> = inputs.into_iter().map(Input::new).collect();
    loop {
        beat.work();
        for input in &mut inputs {
            input.open(clock.now(), tell);
        }
        drop(looks.take());
        let deadline = inputs.iter().filter_map(Input::deadline).min();
        let timeout = deadline.map(|at| at.saturating_sub(clock.now()));
        let (places, files): (Vec<_>, Vec<_>) = inputs
            .iter()
            .enumerate()
            .filter_map(|(place, input)| Some((place, input.request.as_ref()?.as_fd())))
            .unzip();
        beat.rest();
        let Woken::Ready(ready) = wait_for(stopped, files.into_iter(), timeout) else {
            return;
        };
        beat.work();
        for file in ready {
            inputs[places[file]].read(clock.now(), tell);
        }
        for input in &mut inputs {
            input.tick(clock.now(), tell);
        }
    }
}

/// One button or encoder.
struct Input {
    settings: InputSettings,
    /// `None` while its chip is not there.
    request: Option<Request>,
    /// When to look for the chip again.
    look: Duration,
    /// That it is not there has been told.
    lost: bool,
    recognizer: Recognizer,
}

enum Recognizer {
    Button(Button),
    Rotary { first: u32, rotary: Rotary },
}

impl Input {
    fn new(settings: InputSettings) -> Self {
        Self {
            recognizer: Recognizer::new(&settings),
            settings,
            request: None,
            look: Duration::ZERO,
            lost: false,
        }
    }

    fn deadline(&self) -> Option<Duration> {
        match (&self.request, &self.recognizer) {
            (None, _) => Some(self.look),
            (Some(_), Recognizer::Button(button)) => button.deadline(),
            (Some(_), Recognizer::Rotary { .. }) => None,
        }
    }

    fn open(&mut self, now: Duration, tell: &Tell) {
        if self.request.is_some() || now < self.look {
            return;
        }
        match self.requested() {
            Ok(request) => {
                self.request = Some(request);
                if std::mem::take(&mut self.lost) {
                    let name = self.settings.name.clone();
                    tell(InputEvent::Found { name });
                }
            }
            Err(error) => self.lose(&error.to_string(), now, tell),
        }
    }

    fn requested(&self) -> gpiocdev::Result<Request> {
        let settings = &self.settings;
        let mut builder = Request::builder();
        builder.on_chip(&settings.chip).with_consumer("easel");
        match settings.kind {
            Some(InputKind::Rotary) => builder.with_lines(&settings.lines.unwrap_or_default()),
            _ => builder.with_line(settings.line.unwrap_or_default()),
        };
        builder
            .as_input()
            .with_edge_detection(EdgeDetection::BothEdges);
        // Active is what the settings call pressed, from here on.
        match settings.active_low {
            true => builder.as_active_low().with_bias(Bias::PullUp),
            false => builder.as_active_high().with_bias(Bias::PullDown),
        };
        builder.request()
    }

    fn lose(&mut self, error: &str, now: Duration, tell: &Tell) {
        self.request = None;
        self.look = now + LOOK_AGAIN;
        self.recognizer = Recognizer::new(&self.settings);
        if !std::mem::replace(&mut self.lost, true) {
            let advice = "correct the chip and the line in [[inputs]]; it is looked for again";
            let chip = self.settings.chip.display();
            tell(InputEvent::Lost {
                name: self.settings.name.clone(),
                problem: format!("{chip}: {error}: {advice}"),
            });
        }
    }

    fn read(&mut self, now: Duration, tell: &Tell) {
        let Some(request) = &self.request else {
            return;
        };
        // All that there is: a press may come and go while the board is busy.
        loop {
            match request.has_edge_event() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.lose(&error.to_string(), now, tell),
            }
            match request.read_edge_event() {
                Ok(event) => {
                    let active = event.kind == EdgeKind::Rising;
                    if let Some(gesture) = self.recognizer.edge(event.offset, active, now) {
                        tell(self.settings.event(gesture));
                    }
                }
                Err(error) => return self.lose(&error.to_string(), now, tell),
            }
        }
    }

    fn tick(&mut self, now: Duration, tell: &Tell) {
        if let Recognizer::Button(button) = &mut self.recognizer
            && let Some(press) = button.tick(now)
        {
            tell(self.settings.event(Gesture::Press(press)));
        }
    }
}

impl Recognizer {
    fn new(settings: &InputSettings) -> Self {
        match (settings.kind, settings.lines) {
            (Some(InputKind::Rotary), Some([first, _])) => Self::Rotary {
                first,
                rotary: Rotary::new(settings.steps),
            },
            _ => {
                let settle = Duration::from_millis(settings.debounce_ms);
                Self::Button(Button::new(settle, settings.hold()))
            }
        }
    }

    fn edge(&mut self, line: u32, active: bool, at: Duration) -> Option<Gesture> {
        match self {
            Self::Button(button) => button.edge(active, at).map(Gesture::Press),
            Self::Rotary { first, rotary } => {
                rotary.contact(line == *first, active).map(Gesture::Turn)
            }
        }
    }
}
