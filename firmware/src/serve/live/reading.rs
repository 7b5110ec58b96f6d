//! Reads the settings field by field: a file of another version, or one that somebody has edited, may say anything.

use super::Live;
use crate::fields::{self, Number};
use crate::kiosk::{KioskState, LONGEST_INTERVAL, Position};
use easel::LONGEST_PROMPT;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Characters of a wrong value that are told.
const EXCERPT: usize = 40;

/// What is right in it, and a line for each thing that is not.
pub(super) fn read(bytes: &[u8]) -> (Live, Vec<String>) {
    let object = match serde_json::from_slice(bytes) {
        Ok(object) => object,
        Err(error) => return (Live::default(), vec![error.to_string()]),
    };
    let mut from = Fields::new("", object);
    let real = |value: &Value| Number::of(value)?.real();
    let live = Live {
        prompt: from.text("prompt"),
        negative: from.text("negative"),
        steps: from.field("steps", fields::STEPS, |value| Number::of(value)?.steps()),
        guidance: from.field("guidance", fields::GUIDANCE, |value| {
            Number::of(value)?.guidance()
        }),
        scheduler: from.field("scheduler", "give the name of a scheduler", |value| {
            value.as_str()?.parse().ok()
        }),
        rotation: from.field("rotation", "give 0, 90, 180 or 270", |value| {
            let angle = Number::of(value)?.between(0, 270)?;
            let angle = u32::try_from(angle).ok()?;
            angle.is_multiple_of(90).then_some(angle)
        }),
        brightness: from.field("brightness", "give 0 to 1", |value| {
            let share = real(value).filter(|share| (0.0..=1.0).contains(share))?;
            #[allow(
                clippy::cast_possible_truncation,
                reason = "a share needs no more digits"
            )]
            Some(share as f32)
        }),
        kiosk: kiosk(&mut from),
    };
    (live, from.problems)
}

fn kiosk(from: &mut Fields) -> KioskState {
    let mut inner = from.inner("kiosk");
    let interval = format!("give 0 to {LONGEST_INTERVAL} seconds");
    let mut state = KioskState {
        enabled: inner.field("enabled", "give true or false", Value::as_bool),
        interval_s: inner.field("interval_s", &interval, |value| {
            Number::of(value)?.between(0, LONGEST_INTERVAL)
        }),
        style: inner.field("style", "give a text", |value| {
            value.as_str().map(str::to_owned)
        }),
        night: inner
            .field("night", "give auto, on or off", plain)
            .unwrap_or_default(),
        seed: inner.field("seed", fields::SEED, |value| Number::of(value)?.whole()),
        ..KioskState::default()
    };
    let mut positions = inner.inner("positions");
    for name in positions.names() {
        let position = positions.field(&name, "give taken, and last or not", plain::<Position>);
        if let Some(position) = position {
            state.positions.insert(name, position);
        }
    }
    inner.problems.extend(positions.problems);
    from.problems.extend(inner.problems);
    state
}

fn plain<T: DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}

/// Some fields, and what is wrong with them.
struct Fields {
    /// Before each name.
    path: String,
    object: Map<String, Value>,
    problems: Vec<String>,
}

impl Fields {
    fn new(path: &str, object: Map<String, Value>) -> Self {
        let path = path.to_owned();
        let problems = Vec::new();
        Self {
            path,
            object,
            problems,
        }
    }

    /// A field that may be left out.
    fn field<T>(
        &mut self,
        key: &str,
        advice: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.object.get(key).filter(|value| !value.is_null())?;
        let found = read(value);
        if found.is_none() {
            let value: String = value.to_string().chars().take(EXCERPT).collect();
            let path = &self.path;
            self.problems
                .push(format!("{path}{key}: {value}: {advice}: it is left out"));
        }
        found
    }

    /// A prompt.
    fn text(&mut self, key: &str) -> String {
        let advice = format!("give a text of at most {LONGEST_PROMPT} bytes");
        let text = self.field(key, &advice, |value| {
            let text = value.as_str()?;
            let fits = text.len() <= LONGEST_PROMPT && !text.contains('\0');
            fits.then(|| text.to_owned())
        });
        text.unwrap_or_default()
    }

    /// Fields within a field.
    fn inner(&mut self, key: &str) -> Self {
        let object = self.field(key, "give an object", |value| value.as_object().cloned());
        Self::new(&format!("{}{key}.", self.path), object.unwrap_or_default())
    }

    fn names(&self) -> Vec<String> {
        self.object.keys().cloned().collect()
    }
}
