//! What the house shows and publishes of pictures.

use super::house::House;
use super::jpeg;
use crate::display::Screen;
use crate::jobs::{self, JobId, Painted};
use crate::mqtt::{ImageInfo, Outbound};
use crate::watch;
use easel::Picture;
use image::RgbImage;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// A picture as image code takes it; `None` for one whose pixels do not fit its size, which easel does not make.
pub(super) fn rgb(picture: Picture) -> Option<RgbImage> {
    RgbImage::from_raw(picture.width, picture.height, picture.rgb)
}

impl House {
    /// Puts a screen on the panel, until the next one.
    pub(super) fn show(&mut self, screen: Screen) {
        self.at.notice_until = None;
        if let Some(display) = &self.display {
            display.show(screen);
        }
    }

    /// A picture that has just been painted.
    pub(super) fn show_new(&mut self, picture: Picture, painted: &Painted) {
        self.at.shown = Some(painted.id.clone());
        let Some(picture) = rgb(picture) else {
            return;
        };
        self.publish_picture(&picture, painted);
        self.show(Screen::Picture {
            picture: Arc::new(picture),
            caption: left_out(painted),
        });
    }

    fn publish_picture(&self, picture: &RgbImage, painted: &Painted) {
        if self.client.is_none() {
            return;
        }
        let favourite = self
            .history
            .get(&painted.id)
            .is_some_and(|kept| kept.favourite);
        self.publish(Outbound::Image(jpeg::jpeg(picture, jpeg::LARGEST_IMAGE)));
        self.publish(Outbound::ImageInfo(info(painted, favourite)));
    }

    /// Shows a picture of the history, and publishes it; whether that could be done.
    pub(super) fn show_kept(&mut self, id: &JobId) -> bool {
        let read = self
            .history
            .picture(id)
            .and_then(|picture| Ok((picture, self.history.details(id)?)));
        match read {
            Ok((picture, painted)) => {
                self.show_new(picture, &painted);
                true
            }
            Err(error) => {
                super::house::log(&format!("history: {error}"));
                false
            }
        }
    }

    /// The picture that was painted last, or what there is to see without one.
    pub(super) fn show_latest(&mut self) {
        let shown = self.at.shown.clone();
        let shown = shown.filter(|id| self.history.get(id).is_some());
        let id = shown.or_else(|| self.history.latest().map(|kept| kept.id.clone()));
        if !id.is_some_and(|id| self.show_kept(&id)) {
            self.show_nothing_yet();
        }
    }

    /// One of the history that is not on the panel; `false` where there is none.
    pub(super) fn show_something_again(&mut self) -> bool {
        let others: Vec<JobId> = self
            .history
            .iter()
            .map(|kept| kept.id.clone())
            .filter(|id| self.at.shown.as_ref() != Some(id))
            .collect();
        let count = others.len() as u64;
        let Some(at) = (self.random)().checked_rem(count) else {
            return false;
        };
        usize::try_from(at).is_ok_and(|at| self.show_kept(&others[at]))
    }

    /// The next or previous of the history. At its ends nothing changes.
    pub(super) fn show_beside(&mut self, forward: bool) {
        let Some(shown) = &self.at.shown else {
            return self.show_latest();
        };
        let found = if forward {
            self.history.next(shown)
        } else {
            self.history.previous(shown)
        };
        if let Some(id) = found.map(|kept| kept.id.clone()) {
            self.show_kept(&id);
        }
    }

    /// How to reach the board, as long as it has no picture.
    fn show_nothing_yet(&mut self) {
        if self.client.is_some() {
            let name = self.config.board.name.clone();
            let address = self.address.clone();
            let note = "Publish a prompt to this topic".to_owned();
            self.show(Screen::SetUp {
                name,
                address,
                note,
            });
            return;
        }
        let watch::Moment { wall, .. } = self.clock.now();
        let format = |format| {
            wall.as_ref()
                .map_or_else(String::new, |wall| wall.strftime(format).to_string())
        };
        self.show(Screen::Idle {
            time: format("%H:%M"),
            date: format("%A %-d %B"),
            note: String::new(),
        });
    }

    /// Brings the picture back when a notice has stood long enough.
    pub(super) fn show_what_is_due(&mut self) {
        let over = self
            .at
            .notice_until
            .is_some_and(|until| until <= Instant::now());
        if over && self.at.work.is_none() {
            self.show_latest();
        } else if self.at.work.is_none() && self.at.shown.is_none() && self.client.is_none() {
            self.tell_the_time();
        }
    }

    /// The clock of a board without picture and broker moves.
    fn tell_the_time(&mut self) {
        let minute = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs() / 60);
        if self.at.minute != minute && self.at.notice_until.is_none() {
            self.at.minute = minute;
            self.show_nothing_yet();
        }
    }

    /// The picture on the panel stays for ever, or no longer.
    pub(super) fn toggle_favourite(&mut self) {
        let Some(kept) = self.at.shown.as_ref().and_then(|id| self.history.get(id)) else {
            return;
        };
        let (id, favourite) = (kept.id.clone(), !kept.favourite);
        if let Err(error) = self.history.set_favourite(&id, favourite) {
            return self.guard.complain("history", &error.to_string());
        }
        if let Ok(painted) = self.history.details(&id) {
            self.publish(Outbound::ImageInfo(info(&painted, favourite)));
        }
    }

    /// Publishes what was on the panel before the board was started.
    pub(super) fn begin(&mut self) {
        self.show_latest();
        self.say_info();
        self.say_settings();
        let waiting = self.queue.len();
        if waiting > 0 {
            super::house::log(&format!("{waiting} prompts wait since before the start"));
        }
    }
}

/// What was not painted as it was asked for: people in front of the panel wonder.
fn left_out(painted: &Painted) -> Option<String> {
    let mut warnings = painted.warnings.iter();
    let said = warnings.find_map(|warning| warning.strip_prefix("prompt: "));
    said.map(str::to_owned)
}

fn info(painted: &Painted, favourite: bool) -> ImageInfo {
    let finished = painted.painted;
    let since_1970 = finished.duration_since(SystemTime::UNIX_EPOCH);
    let timings = &painted.timings_ms;
    let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    ImageInfo {
        id: painted.id.clone(),
        order: painted.order(),
        painted_prompt: painted.painted_prompt.clone(),
        finished: since_1970
            .ok()
            .filter(|_| jobs::is_set(finished))
            .map(|since| since.as_secs()),
        favourite,
        timings_ms: BTreeMap::from([
            ("load".to_owned(), ms(timings.load)),
            ("text".to_owned(), ms(timings.text)),
            ("denoise".to_owned(), ms(timings.denoise)),
            ("decode".to_owned(), ms(timings.decode)),
            ("total".to_owned(), ms(timings.total)),
        ]),
    }
}
