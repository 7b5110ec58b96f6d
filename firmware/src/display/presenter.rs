//! What is drawn when: the display thread's decisions, without the thread.
//!
//! Time comes from outside, so that tests need none.

use super::panel::{Manner, Panel, PanelError};
use super::screen::Screen;
use super::thread::{Clock, Look};
use super::{screens, turn};
use image::RgbImage;
use std::time::{Duration, Instant};

/// A fade from one picture to the next.
const FADE: Duration = Duration::from_millis(400);
/// Below this a fade is a few jumps.
const SLOWEST_FADE: f32 = 8.0;
/// While painting, the display may take one part in so many of a core's time: 2 %.
const SHARE: u32 = 50;
/// From the first failure of a panel to the next attempt; twice as long each time.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// How the panel does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PanelHealth {
    /// What it said last, if it does not work now.
    pub error: Option<String>,
    /// Frames that it took.
    pub shown: u64,
    /// Screens that a newer one replaced before they were drawn.
    pub dropped: u64,
    /// Frames and switches that failed.
    pub failed: u64,
}

/// What the panel is to be, as far as it is not yet.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) screen: Option<Screen>,
    pub(super) dark: Option<bool>,
    pub(super) brightness: Option<f32>,
    pub(super) rotation: Option<u32>,
}

struct Fade {
    from: RgbImage,
    to: RgbImage,
    begun: Instant,
}

/// Brings wishes to a panel, at the pace that the panel and the painting allow.
pub(super) struct Presenter<C> {
    panel: Box<dyn Panel>,
    look: Look,
    clock: C,
    wishes: Wishes,
    dark: bool,
    /// The screen that `shown` is of, or that a fade leads to.
    current: Option<Screen>,
    /// What the panel has, as the panel is built.
    shown: Option<RgbImage>,
    fade: Option<Fade>,
    /// No frame before this.
    not_before: Option<Instant>,
    /// No progress before this.
    no_progress_before: Option<Instant>,
    retry: Duration,
    health: PanelHealth,
    /// Why its light does not do what it is told: frames may come all the same.
    light: Option<String>,
}

impl<C: Clock> Presenter<C> {
    pub(super) fn new(panel: Box<dyn Panel>, look: Look, clock: C) -> Self {
        Self {
            panel,
            look,
            clock,
            wishes: Wishes::default(),
            dark: false,
            current: None,
            shown: None,
            fade: None,
            not_before: None,
            no_progress_before: None,
            retry: FIRST_RETRY,
            health: PanelHealth::default(),
            light: None,
        }
    }

    pub(super) fn health(&self) -> &PanelHealth {
        &self.health
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Takes over what is wished for anew.
    pub(super) fn wish(&mut self, wishes: Wishes) {
        let Wishes {
            screen,
            dark,
            brightness,
            rotation,
        } = wishes;
        if screen.is_some() {
            if self.wishes.screen.is_some() {
                self.health.dropped += 1;
            }
            self.wishes.screen = screen;
        }
        // Paper does not shine.
        if matches!(self.panel.manner(), Manner::Light { .. }) {
            self.wishes.dark = dark.or(self.wishes.dark);
        }
        self.wishes.brightness = brightness.or(self.wishes.brightness);
        if let Some(rotation) = rotation.filter(|&rotation| rotation != self.look.rotation) {
            self.look.rotation = rotation;
            // What is on the panel is drawn anew, the other way round.
            (self.fade, self.shown) = (None, None);
            let current = self.current.take();
            self.wishes.screen = self.wishes.screen.take().or(current);
        }
    }

    /// Does what is due, one frame at most; returns when there will be more, if there is any.
    pub(super) fn work(&mut self) -> Option<Instant> {
        let now = self.clock.now();
        if let Some(wait) = self.not_before.filter(|&at| at > now) {
            return self.has_work().then_some(wait);
        }
        match self.attempt(now) {
            Ok(()) => self.next(),
            Err(PanelError(problem)) => {
                self.health.failed += 1;
                self.health.error = Some(problem);
                // What it has now is not known: the newest screen is drawn anew, and no fade begins from it.
                self.shown = None;
                self.fade = None;
                self.wishes.screen = self.wishes.screen.take().or_else(|| self.current.take());
                let at = self.clock.now() + self.retry;
                self.retry = (2 * self.retry).min(LAST_RETRY);
                self.not_before = Some(at);
                Some(at)
            }
        }
    }

    /// Draws the last screen whatever the panel's pace: the board stops.
    pub(super) fn finish(&mut self) {
        let Manner::Light { .. } = self.panel.manner() else {
            return; // paper keeps its picture
        };
        if !self.dark {
            let frame = self.draw(&Screen::ShuttingDown);
            let _ = self.deliver(frame); // there is nobody left to try again
        }
    }

    fn has_work(&self) -> bool {
        let Wishes {
            screen,
            dark,
            brightness,
            rotation: _, // taken at once
        } = &self.wishes;
        let lit = !self.dark || dark == &Some(false);
        dark.is_some() || brightness.is_some() || (lit && (screen.is_some() || self.fade.is_some()))
    }

    /// When the next piece of work is due.
    fn next(&self) -> Option<Instant> {
        if !self.has_work() {
            return None;
        }
        let now = self.clock.now();
        let mut at = self.not_before.unwrap_or(now);
        if self.only_progress_waits() {
            at = at.max(self.no_progress_before.unwrap_or(now));
        }
        Some(at)
    }

    fn only_progress_waits(&self) -> bool {
        let Wishes {
            screen,
            dark,
            brightness,
            rotation: _, // taken at once
        } = &self.wishes;
        let progress = screen.as_ref().is_some_and(Screen::is_progress);
        progress && dark.is_none() && brightness.is_none() && self.fade.is_none()
    }

    fn attempt(&mut self, now: Instant) -> Result<(), PanelError> {
        if let Some(brightness) = self.wishes.brightness.take() {
            // A light that cannot be dimmed is no reason to show nothing.
            let set = self.panel.set_brightness(brightness);
            self.light = set.err().map(|PanelError(problem)| problem);
            self.health.failed += u64::from(self.light.is_some());
            self.health.error.clone_from(&self.light);
        }
        if let Some(dark) = self.wishes.dark {
            if dark != self.dark {
                self.panel.set_dark(dark)?;
                self.health.error.clone_from(&self.light);
                self.dark = dark;
                // A panel without a light showed black meanwhile.
                self.shown = None;
                self.fade = None;
                self.wishes.screen = self.wishes.screen.take().or_else(|| self.current.take());
            }
            self.wishes.dark = None;
        }
        if self.dark {
            return Ok(());
        }
        let early = self.no_progress_before.is_some_and(|at| at > now);
        let due = |screen: &mut Screen| !(early && screen.is_progress());
        if let Some(screen) = self.wishes.screen.take_if(due) {
            return self.present(screen, now);
        }
        if let Some(fade) = self.fade.take() {
            return self.step_fade(fade, now);
        }
        Ok(())
    }

    fn present(&mut self, screen: Screen, now: Instant) -> Result<(), PanelError> {
        if self.current.as_ref() == Some(&screen) && self.shown.is_some() && self.fade.is_none() {
            return Ok(());
        }
        let spent = self.clock.spent();
        let progress = screen.is_progress();
        let fades = self.fades(&screen);
        let frame = self.draw(&screen);
        self.current = Some(screen);
        let result = match self.shown.take() {
            Some(from) if fades && from != frame => self.step_fade(
                Fade {
                    from,
                    to: frame,
                    begun: now,
                },
                now,
            ),
            Some(same) if same == frame => {
                self.shown = Some(same);
                Ok(())
            }
            _ => self.deliver(frame),
        };
        if progress {
            let cost = self.clock.spent().saturating_sub(spent);
            self.no_progress_before = Some(self.clock.now() + SHARE * cost);
        }
        result
    }

    /// Whether the way to `screen` is a fade: to a picture, on a panel that is fast enough.
    fn fades(&self, screen: &Screen) -> bool {
        let picture = matches!(screen, Screen::Picture { .. });
        match self.panel.manner() {
            Manner::Light { frames_per_second } => picture && frames_per_second >= SLOWEST_FADE,
            Manner::Paper { .. } => false,
        }
    }

    fn step_fade(&mut self, fade: Fade, now: Instant) -> Result<(), PanelError> {
        let period = self.period();
        // The first frame already differs from what is shown.
        let passed = now.saturating_duration_since(fade.begun) + period;
        if passed >= FADE {
            return self.deliver(fade.to);
        }
        let t = passed.as_secs_f32() / FADE.as_secs_f32();
        let between = mixed(&fade.from, &fade.to, t * t * (3.0 - 2.0 * t));
        let result = self.deliver(between);
        self.fade = Some(fade);
        result
    }

    fn deliver(&mut self, frame: RgbImage) -> Result<(), PanelError> {
        self.panel.show(&frame)?;
        self.shown = Some(frame);
        self.health.shown += 1;
        self.health.error.clone_from(&self.light);
        self.retry = FIRST_RETRY;
        self.not_before = Some(self.clock.now() + self.period());
        Ok(())
    }

    /// From one frame to the next, at least.
    fn period(&self) -> Duration {
        match self.panel.manner() {
            Manner::Light { frames_per_second } => {
                Duration::from_secs_f32(1.0 / frames_per_second.clamp(0.01, 1000.0))
            }
            Manner::Paper { rest } => rest,
        }
    }

    fn draw(&self, screen: &Screen) -> RgbImage {
        let (width, height) = self.panel.size();
        let size = if self.look.rotation.is_multiple_of(180) {
            (width, height)
        } else {
            (height, width)
        };
        turn(
            screens::draw(screen, size, self.look.frame),
            self.look.rotation,
        )
    }
}

/// `t` of the way from one frame to another of the same size.
fn mixed(from: &RgbImage, to: &RgbImage, t: f32) -> RgbImage {
    let weight = (t.clamp(0.0, 1.0) * 256.0) as i32;
    let mut mixed = from.clone();
    for (byte, &to) in mixed.iter_mut().zip(to.iter()) {
        let from = i32::from(*byte);
        *byte = (from + (((i32::from(to) - from) * weight) >> 8)) as u8;
    }
    mixed
}

#[cfg(test)]
mod tests;
