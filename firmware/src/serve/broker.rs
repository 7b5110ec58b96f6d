//! What the house does with what comes from the broker and from hands at the board.

use super::house::{House, log};
use super::orders::MOST_HELD;
use crate::inputs::{Action, InputEvent, InputKind};
use crate::jobs::{JobId, NewJob, Order, Reply, Source, Status};
use crate::kiosk::NightMode;
use crate::mqtt::payload::{Setting, Show};
use crate::mqtt::{self, Inbound, Info, Limits, Outbound};
use serde_json::json;
use std::collections::BTreeMap;

/// As the queue takes it.
pub(super) fn new_job(job: mqtt::NewJob) -> NewJob {
    let mqtt::NewJob {
        id,
        order,
        reply,
        ttl,
        source,
    } = job;
    let correlation = reply.correlation;
    NewJob {
        id,
        order,
        source,
        reply: reply.topic.map(|topic| Reply { topic, correlation }),
        ttl,
    }
}

impl House {
    pub(super) fn hear_broker(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Online { resumed } => {
                self.at.online = true;
                let session = if resumed { "resumed" } else { "new" };
                log(&format!("broker: connected, session {session}"));
                // They come again on this connection.
                self.at.held.clear();
            }
            Inbound::Offline { reason } => {
                self.at.online = false;
                log(&format!("broker: {reason}"));
            }
            Inbound::Paint { job, ticket } => {
                if job.source == Source::Fleet && !self.has_room() {
                    if self.at.held.len() < MOST_HELD {
                        self.at.held.push((job, ticket));
                    }
                    return;
                }
                self.push(new_job(job), Some(ticket));
            }
            Inbound::Wrong {
                id,
                reply,
                problem,
                ticket,
            } => {
                log(&format!("a prompt is rejected: {}", problem.text));
                let correlation = reply.correlation;
                let reply = reply.topic.map(|topic| Reply { topic, correlation });
                self.answer(id, Status::Rejected, Some(problem), reply);
                self.acknowledge(Some(ticket));
            }
            Inbound::Generate => self.generate(),
            Inbound::Cancel(id) => self.cancel(id),
            Inbound::Show(show) => self.show_asked(show),
            Inbound::Set(setting) => self.set(setting),
            Inbound::Birth => {}
            Inbound::Note(note) => log(&format!("broker: {note}")),
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
                if let Err(error) = self.kiosk.set_style(style.as_deref()) {
                    log(&format!("set: {error}"));
                }
            }
            Setting::Kiosk(enabled) => self.kiosk.set_enabled(enabled),
            Setting::Interval(interval) => {
                if let Err(error) = self.kiosk.set_interval(interval.as_secs()) {
                    log(&format!("set: {error}"));
                }
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
                let was_dark = self.is_dark();
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
            Action::Cancel => self.cancel(None),
            Action::Paint => {
                let now = self.clock.now();
                if let Some(order) = self.kiosk.draw(&now) {
                    self.paint_for_the_kiosk(order, Source::Button);
                }
            }
            Action::ShowAgain => {
                self.show_something_again();
            }
            Action::ToggleKiosk => self.kiosk.set_enabled(!self.kiosk.is_enabled()),
            Action::ToggleNight => self.set_night(!self.is_dark()),
            Action::Favourite => self.toggle_favourite(),
            Action::Shutdown => super::shut_down(),
            Action::BrightnessUp => self.set_brightness(self.brightness() + 0.1),
            Action::BrightnessDown => self.set_brightness(self.brightness() - 0.1),
        }
        self.say_settings();
    }

    fn brightness(&self) -> f32 {
        self.live.brightness.unwrap_or(self.config.panel.brightness)
    }

    /// What is set, by the names under `set/`.
    pub(super) fn say_settings(&self) {
        let live = &self.live;
        let interval = self.kiosk.interval().map(|interval| interval.as_secs());
        let settings = BTreeMap::from([
            ("prompt", json!(live.prompt)),
            ("negative", json!(live.negative)),
            ("style", json!(self.kiosk.style().map(|style| &style.name))),
            (
                "scheduler",
                json!(live.scheduler.map(|scheduler| scheduler.to_string())),
            ),
            ("steps", json!(live.steps)),
            ("guidance", json!(live.guidance)),
            ("kiosk", json!(self.kiosk.is_enabled())),
            ("interval", json!(interval)),
            ("night", json!(self.kiosk.night(&self.clock.now()).dark)),
            (
                "rotation",
                json!(live.rotation.unwrap_or(self.config.panel.rotation)),
            ),
            (
                "brightness",
                json!((self.brightness() * 100.0).round() as u32),
            ),
        ]);
        let settings = settings
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        self.publish(Outbound::Settings(settings));
    }

    /// What the board is.
    pub(super) fn say_info(&self) {
        let (width, height) = self.config.panel.as_mounted();
        let buttons = self.config.inputs.0.iter().flat_map(|input| {
            let gestures = input.kind.map_or(&[][..], InputKind::gestures);
            gestures
                .iter()
                .map(move |gesture| format!("{}_{gesture}", input.name))
        });
        self.publish(Outbound::Info(Info {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            board: self.config.board.name.clone(),
            panel: format!("{width}x{height} {}", self.config.panel.kind),
            model: self.model_name(),
            size: self.at.model.as_ref().map(|model| model.size),
            styles: self.kiosk.styles().into_iter().map(str::to_owned).collect(),
            buttons: buttons.collect(),
            limits: Limits {
                queue: self.config.queue.capacity,
                prompt_bytes: easel::LONGEST_PROMPT,
                steps: 1000,
                packet_bytes: u64::from(self.config.broker.max_packet_kib) << 10,
            },
        }));
    }
}
