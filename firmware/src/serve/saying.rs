//! What the house says on the broker.

use super::house::{House, PAINTER_STOPS};
use crate::display::Display;
use crate::inputs::InputKind;
use crate::jobs::{JobId, Reply, Status};
use crate::mqtt::{Activity, Info, Limits, Outbound, Problem, Response, State};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Between two messages about the steps of one picture, at least.
const STATE_EVERY: Duration = Duration::from_millis(200);

impl House {
    pub(super) fn publish(&self, outbound: Outbound) {
        if let Some(client) = &self.client {
            client.publish(outbound);
        }
    }

    /// Says what became of a job, to all and to whoever asked.
    pub(super) fn answer(
        &self,
        id: Option<JobId>,
        status: Status,
        error: Option<Problem>,
        reply: Option<Reply>,
    ) {
        self.answer_with(Vec::new(), id, status, error, reply);
    }

    /// The same, and what people should know of the picture.
    pub(super) fn answer_with(
        &self,
        warnings: Vec<String>,
        id: Option<JobId>,
        status: Status,
        error: Option<Problem>,
        reply: Option<Reply>,
    ) {
        let response = Response {
            id,
            status,
            error,
            warnings,
            queue: self.queue.len(),
        };
        self.publish(Outbound::Response(response, reply));
    }

    /// Says what the board is doing, if that has changed; of mere steps, not all.
    pub(super) fn say_state(&mut self) {
        let state = self.state();
        if let Some((said, when)) = &self.at.said {
            let another_step = State {
                step: said.step,
                steps: said.steps,
                eta_s: said.eta_s,
                ..state.clone()
            };
            let too_soon = another_step == *said && when.elapsed() < STATE_EVERY;
            if state == *said || too_soon {
                return;
            }
        }
        self.publish(Outbound::State(state.clone()));
        self.at.said = Some((state, Instant::now()));
    }

    fn state(&self) -> State {
        let mut state = State {
            queue: self.queue.len(),
            night: self.at.dark,
            problem: self.problem(),
            ..State::default()
        };
        if let Some(work) = &self.at.work {
            state.state = Activity::Painting;
            state.id = Some(work.job.id.clone());
            state.prompt = Some(work.job.order.prompt.clone());
            (state.step, state.steps) = (work.step, work.steps);
            state.eta_s = work.left().map(|left| left.as_secs());
        } else if self.at.trouble.is_some() {
            state.state = Activity::Error;
        }
        state
    }

    fn problem(&self) -> Option<Problem> {
        if let Some(trouble) = &self.at.trouble {
            return Some(Problem::new("model", trouble.reason.clone()));
        }
        if let Some((code, text)) = self.guard.problem() {
            return Some(Problem::new(code, text));
        }
        let slow = |since: &Instant| since.elapsed() >= PAINTER_STOPS;
        if self.at.leaving.as_ref().is_some_and(slow) {
            let text = "the picture that was cancelled is still being stopped: the next one waits for that";
            return Some(Problem::new("stopping", text));
        }
        let panel = self.panel_trouble().map(|text| ("panel", text));
        let file = self.in_force.problem.clone().map(|text| ("config", text));
        let refused = self.at.refused.iter().flatten().next().cloned();
        let refused = refused.map(|text| ("broker", text));
        panel
            .or(file)
            .or(refused)
            .map(|(code, text)| Problem::new(code, text))
    }

    pub(super) fn panel_trouble(&self) -> Option<String> {
        let health = self.display.as_ref().map(Display::health);
        let error = health.and_then(|health| health.error);
        error.or_else(|| self.panel_problem.clone())
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
            ("kiosk", json!(self.kiosk_plays())),
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
