//! What the house does with what comes from the broker and from hands at the board.

use super::house::{House, log};
use super::orders::MOST_HELD;
use crate::inputs::{Action, InputEvent};
use crate::jobs::{JobId, NewJob, Order, Source, Status};
use crate::kiosk::NightMode;
use crate::mqtt::payload::{Setting, Show};
use crate::mqtt::{self, Inbound, Outbound};

impl House {
    pub(super) fn hear_broker(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Online { resumed, refused } => {
                let session = if resumed { "resumed" } else { "new" };
                log(&format!("broker: connected, session {session}"));
                self.is_online(refused);
                // They come again on this connection.
                self.at.held.clear();
            }
            Inbound::Offline { reason } => {
                self.at.online = false;
                // It comes with each attempt, for as long as the broker is away.
                if self.at.offline.as_ref() != Some(&reason) {
                    let (host, port) = self.config.broker.address().unwrap_or_default();
                    log(&format!("broker {host}:{port}: {reason}"));
                    self.at.offline = Some(reason);
                }
            }
            Inbound::Paint { job, ticket } => {
                if job.source == Source::Fleet && !self.has_room() {
                    if self.at.held.len() < MOST_HELD {
                        self.at.held.push((job, ticket));
                    }
                    return;
                }
                self.push(job, Some(ticket));
            }
            Inbound::Wrong {
                id,
                reply,
                problem,
                ticket,
            } => {
                log(&format!("a command is rejected: {}", problem.text));
                self.answer(id, Status::Rejected, Some(problem), reply);
                self.acknowledge(Some(ticket));
            }
            Inbound::Generate => self.generate(),
            Inbound::Vary => drop(self.vary(Source::Mqtt)),
            Inbound::Cancel(id) => self.cancel_asked(id),
            Inbound::Show(show) => self.show_asked(show),
            Inbound::Set(setting) => self.set(setting),
            Inbound::Birth => {}
            Inbound::Note(note) => log(&format!("broker: {note}")),
        }
    }

    fn cancel_asked(&mut self, id: Option<JobId>) {
        if id.is_none() {
            // What came before this may be what is meant.
            let prompts = self.kiosk.night(&self.clock.now()).prompts;
            self.start_the_next(prompts);
        }
        if !self.cancel(id) {
            let problem = mqtt::Problem::new("not_painting", "nothing is being painted");
            self.answer(None, Status::Rejected, Some(problem), None);
        }
    }

    /// Paints the prompt that was set, in the style that was set.
    fn generate(&mut self) {
        let prompt = self.live.prompt.clone();
        let style = self.kiosk.style();
        let prompt = style.map_or(prompt.clone(), |style| style.apply(&prompt));
        if self.live.prompt.trim().is_empty() {
            let problem = mqtt::Problem::new("no_prompt", "set a prompt first");
            return self.answer(None, Status::Rejected, Some(problem), None);
        }
        self.push(NewJob::new(Order::new(prompt), Source::Mqtt), None);
    }

    fn show_asked(&mut self, show: Show) {
        match show {
            Show::Next => self.show_beside(true),
            Show::Previous => self.show_beside(false),
            Show::Id(id) if self.history.get(&id).is_some() => {
                self.show_kept(&id);
            }
            Show::Id(id) => self.unknown_picture(id),
        }
    }

    fn unknown_picture(&self, id: JobId) {
        let text = "no picture of this job is kept";
        let problem = mqtt::Problem::new("unknown_id", text);
        self.answer(Some(id), Status::Rejected, Some(problem), None);
    }

    fn set(&mut self, setting: Setting) {
        match setting {
            Setting::Prompt(prompt) => self.live.prompt = prompt,
            Setting::Negative(negative) => self.live.negative = negative,
            Setting::Scheduler(scheduler) => self.live.scheduler = scheduler,
            Setting::Steps(steps) => self.live.steps = steps,
            Setting::Guidance(guidance) => self.live.guidance = guidance,
            Setting::Style(style) => {
                let set = self.kiosk.set_style(style.as_deref());
                self.was_set(set.map_err(|error| error.to_string()));
            }
            Setting::Kiosk(enabled) => self.set_kiosk(enabled),
            Setting::Interval(interval) => {
                let set = self.kiosk.set_interval(interval.as_secs());
                self.was_set(set.map_err(|error| error.to_string()));
            }
            Setting::Night(night) => self.set_night(night),
            Setting::Rotation(rotation) => {
                self.live.rotation = Some(rotation);
                if let Some(display) = &self.display {
                    display.set_rotation(rotation);
                }
            }
            Setting::Brightness(brightness) => self.set_brightness(brightness),
        }
        self.say_settings();
    }

    /// A setting that is refused is answered.
    fn was_set(&self, set: Result<(), String>) {
        if let Err(text) = set {
            log(&format!("a command is rejected: {text}"));
            let problem = mqtt::Problem::new("invalid_setting", text);
            self.answer(None, Status::Rejected, Some(problem), None);
        }
    }

    /// The broker knows what the board listens to, but for what it refuses.
    fn is_online(&mut self, refused: Vec<String>) {
        self.at.online = true;
        self.at.offline = None;
        let address = &self.address;
        if self.at.refused.is_none() && refused.is_empty() {
            log(&format!("listens on {address}"));
        }
        // Once, not with each connection.
        for text in &refused {
            if !self.at.refused.iter().flatten().any(|said| said == text) {
                log(&format!("broker: {text}"));
            }
        }
        self.at.refused = Some(refused);
    }

    /// Night now, or day: against quiet hours if they are now, and else as they say.
    fn set_night(&mut self, night: bool) {
        let mode = if night {
            NightMode::On
        } else {
            NightMode::Auto
        };
        self.kiosk.set_night(mode);
        let now = self.clock.now();
        if !night && self.kiosk.night(&now).dark {
            self.kiosk.set_night(NightMode::Off);
        }
    }

    fn set_kiosk(&mut self, enabled: bool) {
        if enabled {
            self.guard.be_bold();
        }
        self.kiosk.set_enabled(enabled);
    }

    /// Whether the playlist plays.
    pub(super) fn kiosk_plays(&self) -> bool {
        self.kiosk.is_enabled() && !self.guard.is_cautious()
    }

    fn set_brightness(&mut self, brightness: f32) {
        let brightness = brightness.clamp(0.0, 1.0);
        self.live.brightness = Some(brightness);
        if let Some(display) = &self.display {
            display.set_brightness(brightness);
        }
    }

    pub(super) fn hear_input(&mut self, input: InputEvent) {
        match input {
            InputEvent::Lost { name, problem } => log(&format!("input {name}: {problem}")),
            InputEvent::Found { name } => log(&format!("input {name}: is there")),
            InputEvent::Gesture {
                name,
                gesture,
                action,
            } => {
                self.publish(Outbound::Button(format!("{name}_{}", gesture.name())));
                let now = self.clock.now();
                let was_dark = self.at.dark;
                self.kiosk.wake(&now);
                // In the dark the first touch only lights the panel.
                if let Some(action) = action.filter(|_| !was_dark) {
                    self.act(action);
                }
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Next => self.show_beside(true),
            Action::Previous => self.show_beside(false),
            Action::Cancel => {
                self.cancel(None);
            }
            Action::Paint => {
                let now = self.clock.now();
                if let Some(wish) = self.kiosk.draw(&now) {
                    self.grant(wish, Source::Button);
                }
            }
            Action::Vary => {
                if !self.vary(Source::Button) {
                    self.show_error("vary: there is no picture to vary: paint one first");
                }
            }
            Action::ShowAgain => {
                self.show_something_again();
            }
            Action::ToggleKiosk => self.set_kiosk(!self.kiosk_plays()),
            Action::ToggleNight => self.set_night(!self.at.dark),
            Action::Favourite => self.toggle_favourite(),
            Action::Shutdown => super::shut_down(),
            Action::BrightnessUp => self.set_brightness(self.brightness() + 0.1),
            Action::BrightnessDown => self.set_brightness(self.brightness() - 0.1),
        }
        self.say_settings();
    }

    pub(super) fn brightness(&self) -> f32 {
        self.live.brightness.unwrap_or(self.config.panel.brightness)
    }
}
