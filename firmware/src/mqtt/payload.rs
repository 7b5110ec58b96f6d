//! What comes in: text and JSON from anybody, checked before anything is done with it.

use crate::jobs::{JobId, Order};
use easel::{LARGEST_SIDE, LONGEST_PROMPT, SchedulerKind};
use serde_json::{Map, Value};
use std::time::Duration;

/// What a message on `paint` asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct PaintCommand {
    /// The sender's name for the job.
    pub id: Option<JobId>,
    /// What to paint.
    pub order: Order,
    /// How long it may wait.
    pub ttl: Option<Duration>,
}

/// A payload that is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{text}")]
pub struct WrongPayload {
    /// The job's id, when that much could be read.
    pub id: Option<JobId>,
    /// One word for programs.
    pub code: &'static str,
    /// One line for people.
    pub text: String,
}

impl WrongPayload {
    pub(super) fn new(code: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            id: None,
            code,
            text,
        }
    }
}

/// The keys of a JSON command.
const KEYS: [&str; 9] = [
    "prompt",
    "negative",
    "size",
    "steps",
    "guidance",
    "seed",
    "scheduler",
    "id",
    "ttl_s",
];

/// The longest time that a prompt may wait: 30 days.
pub const LONGEST_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Reads a plain prompt, or a JSON object when the text begins with a brace.
///
/// # Errors
/// What is wrong, by key.
pub fn parse_paint(bytes: &[u8]) -> Result<PaintCommand, WrongPayload> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let text = format!(
            "payload: no UTF-8 after byte {}: send text",
            error.valid_up_to()
        );
        WrongPayload::new("invalid_utf8", text)
    })?;
    // Node-RED and shells leave line breaks and byte order marks at the ends.
    let text = text.trim_start_matches('\u{feff}').trim();
    if !text.starts_with('{') {
        let order = Order::new(prompt_of("prompt", text)?);
        return Ok(PaintCommand {
            id: None,
            order,
            ttl: None,
        });
    }
    let object: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        let text = format!("payload: begins with {{ but is no JSON object: {error}");
        WrongPayload::new("invalid_json", text)
    })?;
    // An id first, so that whoever sent it learns which of his orders was wrong.
    let id = object
        .get("id")
        .filter(|value| !value.is_null())
        .map(|value| {
            let id = value.as_str().and_then(|id| id.parse::<JobId>().ok());
            id.ok_or_else(|| WrongPayload::new("invalid_id", crate::jobs::WrongId.to_string()))
        })
        .transpose()?;
    fields(&object, id.clone()).map_err(|wrong| WrongPayload { id, ..wrong })
}

fn fields(object: &Map<String, Value>, id: Option<JobId>) -> Result<PaintCommand, WrongPayload> {
    if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let key: String = key.chars().take(40).collect();
        let text = format!("{key:?}: unknown key: use {}", KEYS.join(", "));
        return Err(WrongPayload::new("unknown_key", text));
    }
    // A null is what a form with an empty field sends.
    let given = |key: &str| object.get(key).filter(|value| !value.is_null());
    let prompt = given("prompt").and_then(Value::as_str).ok_or_else(|| {
        WrongPayload::new(
            "invalid_prompt",
            "prompt: is missing or no text: say what to paint",
        )
    })?;
    let negative = given("negative").map(|value| {
        let text = value.as_str();
        text.ok_or_else(|| WrongPayload::new("invalid_negative", "negative: is no text"))
    });
    let seed = given("seed").map(|value| {
        value.as_u64().ok_or_else(|| {
            WrongPayload::new("invalid_seed", "seed: give a whole number from 0 to 2^64-1")
        })
    });
    let ttl = given("ttl_s").map(|value| {
        let longest = LONGEST_TTL.as_secs();
        let seconds = value
            .as_u64()
            .filter(|seconds| (1..=longest).contains(seconds));
        seconds.map(Duration::from_secs).ok_or_else(|| {
            WrongPayload::new("invalid_ttl", format!("ttl_s: give 1 to {longest} seconds"))
        })
    });
    let order = Order {
        prompt: prompt_of("prompt", prompt.trim())?,
        negative: negative
            .transpose()?
            .map(|text| long_enough("negative", text.trim()))
            .transpose()?,
        size: given("size").map(size_of).transpose()?,
        steps: given("steps").map(steps_of).transpose()?,
        guidance: given("guidance").map(guidance_of).transpose()?,
        seed: seed.transpose()?,
        scheduler: given("scheduler").map(scheduler_of).transpose()?,
    };
    Ok(PaintCommand {
        id,
        order,
        ttl: ttl.transpose()?,
    })
}

fn long_enough(key: &str, text: &str) -> Result<String, WrongPayload> {
    if text.len() > LONGEST_PROMPT {
        let bytes = text.len();
        let text = format!("{key}: {bytes} bytes: at most {LONGEST_PROMPT} are taken; shorten it");
        return Err(WrongPayload::new("prompt_too_long", text));
    }
    if text.contains('\0') {
        return Err(WrongPayload::new(
            "invalid_prompt",
            format!("{key}: has a zero byte"),
        ));
    }
    Ok(text.to_owned())
}

fn prompt_of(key: &str, text: &str) -> Result<String, WrongPayload> {
    if text.is_empty() {
        return Err(WrongPayload::new(
            "empty_prompt",
            format!("{key}: is empty: say what to paint"),
        ));
    }
    long_enough(key, text)
}

fn size_of(value: &Value) -> Result<(u32, u32), WrongPayload> {
    let side = |value: &Value| value.as_u64().and_then(|side| u32::try_from(side).ok());
    let pair = match value {
        Value::String(text) => text
            .split_once(['x', 'X', '×'])
            .and_then(|(width, height)| {
                Some((width.trim().parse().ok()?, height.trim().parse().ok()?))
            }),
        Value::Array(sides) => match sides.as_slice() {
            [width, height] => side(width).zip(side(height)),
            _ => None,
        },
        _ => None,
    };
    let range = 1..=LARGEST_SIDE;
    pair.filter(|(width, height)| range.contains(width) && range.contains(height))
        .ok_or_else(|| {
            let text =
                format!("size: give \"WIDTHxHEIGHT\" or [WIDTH,HEIGHT], each 1 to {LARGEST_SIDE}");
            WrongPayload::new("invalid_size", text)
        })
}

fn steps_of(value: &Value) -> Result<usize, WrongPayload> {
    let steps = value.as_u64().and_then(|steps| usize::try_from(steps).ok());
    steps
        .filter(|steps| (1..=1000).contains(steps))
        .ok_or_else(|| WrongPayload::new("invalid_steps", "steps: give 1 to 1000"))
}

fn guidance_of(value: &Value) -> Result<f32, WrongPayload> {
    let guidance = value
        .as_f64()
        .filter(|guidance| (0.0..=50.0).contains(guidance));
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a scale from 0 to 50 needs no more digits"
    )]
    guidance
        .map(|guidance| guidance as f32)
        .ok_or_else(|| WrongPayload::new("invalid_guidance", "guidance: give 0 to 50"))
}

fn scheduler_of(value: &Value) -> Result<SchedulerKind, WrongPayload> {
    let name = value.as_str().unwrap_or_default();
    name.parse()
        .map_err(|error| WrongPayload::new("invalid_scheduler", format!("scheduler: {error}")))
}

/// A setting that a message changes. `None` goes back to the configuration's or the model's own.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// What `generate` paints.
    Prompt(String),
    /// What `generate` keeps out of the picture.
    Negative(String),
    /// A style of the configuration, by name.
    Style(Option<String>),
    /// Sampling method.
    Scheduler(Option<SchedulerKind>),
    /// Denoising steps, 1 to 1000.
    Steps(Option<usize>),
    /// Guidance scale, 0 to 50.
    Guidance(Option<f32>),
    /// Whether the playlist runs.
    Kiosk(bool),
    /// Between two pictures of the playlist.
    Interval(Duration),
    /// Whether it is night by command: dark, no painting.
    Night(bool),
    /// Degrees clockwise: 0, 90, 180, 270.
    Rotation(u32),
    /// How bright the panel's light is, 0 to 1.
    Brightness(f32),
}

impl Setting {
    /// Under `set/`.
    pub const NAMES: [&str; 11] = [
        "prompt",
        "negative",
        "style",
        "scheduler",
        "steps",
        "guidance",
        "kiosk",
        "interval",
        "night",
        "rotation",
        "brightness",
    ];
}

/// What goes back to the default.
pub const DEFAULT: &str = "default";

/// Reads the payload of `set/<name>`: text for texts, a number for numbers, `ON` or `OFF` for switches, `default` or
/// nothing for what the model or the configuration says.
///
/// # Errors
/// A name that is not known, or what is wrong with the value.
pub fn parse_set(name: &str, value: &[u8]) -> Result<Setting, WrongPayload> {
    let wrong = |advice: &str| WrongPayload::new("invalid_setting", format!("{name}: {advice}"));
    let text = std::str::from_utf8(value)
        .map_err(|_| wrong("no UTF-8: send text"))?
        .trim();
    let own = text.is_empty() || text.eq_ignore_ascii_case(DEFAULT);
    let number = || text.parse::<f64>().ok().filter(|number| number.is_finite());
    let whole =
        || number().filter(|number| number.fract() == 0.0 && *number >= 0.0 && *number <= 1e9);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and within range, as just seen"
    )]
    let whole = || whole().map(|number| number as u32);
    let switch = || match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "1" => Ok(true),
        "off" | "false" | "0" => Ok(false),
        _ => Err(wrong("give ON or OFF")),
    };
    let json = || number().map_or(Value::Null, Value::from);
    Ok(match name {
        "prompt" => Setting::Prompt(long_enough(name, text)?),
        "negative" => Setting::Negative(long_enough(name, text)?),
        "style" if own => Setting::Style(None),
        "style" if text.len() <= 100 => Setting::Style(Some(text.to_owned())),
        "style" => return Err(wrong("give the name of a style, at most 100 bytes")),
        "scheduler" if own => Setting::Scheduler(None),
        "scheduler" => Setting::Scheduler(Some(scheduler_of(&Value::from(text))?)),
        "steps" if own => Setting::Steps(None),
        "steps" => Setting::Steps(Some(steps_of(&whole().map_or(Value::Null, Value::from))?)),
        "guidance" if own => Setting::Guidance(None),
        "guidance" => Setting::Guidance(Some(guidance_of(&json())?)),
        "kiosk" => Setting::Kiosk(switch()?),
        "night" => Setting::Night(switch()?),
        "interval" => match whole() {
            Some(seconds @ 10..=604_800) => Setting::Interval(Duration::from_secs(seconds.into())),
            _ => return Err(wrong("give 10 to 604800 seconds")),
        },
        "rotation" => match whole() {
            Some(angle @ (0 | 90 | 180 | 270)) => Setting::Rotation(angle),
            _ => return Err(wrong("give 0, 90, 180 or 270")),
        },
        "brightness" => match number() {
            #[allow(
                clippy::cast_possible_truncation,
                reason = "a share needs no more digits"
            )]
            Some(percent) if (0.0..=100.0).contains(&percent) => {
                Setting::Brightness((percent / 100.0) as f32)
            }
            _ => return Err(wrong("give 0 to 100 percent")),
        },
        _ => {
            let name: String = name.chars().take(40).collect();
            let text = format!("{name}: unknown setting: use {}", Setting::NAMES.join(", "));
            return Err(WrongPayload::new("unknown_setting", text));
        }
    })
}

/// Reads the payload of `cancel`: an id, or nothing for the current job.
///
/// # Errors
/// Text that is no id.
pub fn parse_cancel(value: &[u8]) -> Result<Option<JobId>, WrongPayload> {
    match std::str::from_utf8(value).map(str::trim) {
        Ok("") => Ok(None),
        Ok(text) => match text.parse() {
            Ok(id) => Ok(Some(id)),
            Err(error) => Err(WrongPayload::new("invalid_id", format!("cancel: {error}"))),
        },
        Err(_) => Err(WrongPayload::new(
            "invalid_utf8",
            "cancel: no UTF-8: send an id or nothing",
        )),
    }
}

/// Which picture to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Show {
    /// The one after.
    Next,
    /// The one before.
    Previous,
    /// The one of this job.
    Id(JobId),
}

/// Reads the payload of `show`.
///
/// # Errors
/// Neither `next` nor `previous` nor an id.
pub fn parse_show(value: &[u8]) -> Result<Show, WrongPayload> {
    let text = std::str::from_utf8(value).unwrap_or_default().trim();
    match text {
        "next" => Ok(Show::Next),
        "previous" => Ok(Show::Previous),
        _ => text.parse().map(Show::Id).map_err(|_| {
            WrongPayload::new(
                "invalid_show",
                "show: give next, previous or the id of a picture",
            )
        }),
    }
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
