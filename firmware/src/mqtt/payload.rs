//! What comes in: text and JSON from anybody, checked before anything is done with it.

mod pictures;

use crate::fields::{self, Number};
use crate::jobs::{JobId, NewPicture, Order};
use easel::{LONGEST_PROMPT, SchedulerKind};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::time::Duration;

/// What a message on `paint` asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct PaintCommand {
    /// The sender's name for the job.
    pub id: Option<JobId>,
    /// What to paint.
    pub order: Order,
    /// The files of pictures that came along.
    pub pictures: Vec<NewPicture>,
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
const KEYS: [&str; 17] = [
    "prompt",
    "negative",
    "size",
    "steps",
    "guidance",
    "seed",
    "scheduler",
    "guidance_rescale",
    "clip_skip",
    "image",
    "strength",
    "mask",
    "control",
    "ip_image",
    "ip_scale",
    "id",
    "ttl_s",
];

/// The longest time that a prompt may wait: 30 days.
pub const LONGEST_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What a payload says as text: UTF-8 without what editors, shells and Node-RED leave at its ends. A JSON string, as
/// templates and programs send texts, says what is in its quotes.
fn text_of(bytes: &[u8]) -> Result<Cow<'_, str>, usize> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.valid_up_to())?;
    let text = text.trim_start_matches('\u{feff}').trim();
    let quoted = text.starts_with('"');
    Ok(match quoted.then(|| serde_json::from_str::<String>(text)) {
        Some(Ok(inner)) => Cow::Owned(inner.trim().to_owned()),
        _ => Cow::Borrowed(text),
    })
}

/// Reads a plain prompt, or a JSON object when the text begins with a brace.
///
/// # Errors
/// What is wrong, by key.
pub fn parse_paint(bytes: &[u8]) -> Result<PaintCommand, WrongPayload> {
    let text = text_of(bytes).map_err(|valid| {
        let text = format!("payload: no UTF-8 after byte {valid}: send text");
        WrongPayload::new("invalid_utf8", text)
    })?;
    if !text.starts_with('{') {
        let order = Order::new(prompt_of("prompt", &text)?);
        return Ok(PaintCommand {
            id: None,
            order,
            pictures: Vec::new(),
            ttl: None,
        });
    }
    let object: Map<String, Value> =
        serde_json::from_str(&text).map_err(|error| not_json(&text, &error))?;
    // An id first, so that whoever sent it learns which of his orders was wrong.
    let id = given(&object, "id")
        .map(|value| {
            let id = value
                .as_str()
                .and_then(|id| id.trim().parse::<JobId>().ok());
            id.ok_or_else(|| WrongPayload::new("invalid_id", crate::jobs::WrongId.to_string()))
        })
        .transpose()?;
    command_of(&object, id.clone()).map_err(|wrong| WrongPayload { id, ..wrong })
}

/// Says where JSON ends to be JSON, with the key before it: some programs write `NaN` or `Infinity` for numbers.
fn not_json(text: &str, error: &serde_json::Error) -> WrongPayload {
    let lines = text.split_inclusive('\n').map(str::len);
    let before: usize = lines.take(error.line().saturating_sub(1)).sum();
    let end = before.saturating_add(error.column()).min(text.len());
    let read = text.get(..end).unwrap_or(text);
    let at = |key: &&str| read.rfind(&format!("\"{key}\""));
    let key = KEYS
        .iter()
        .filter(|key| at(key).is_some())
        .max_by_key(|key| at(key));
    let near = key.map_or_else(String::new, |key| format!(" at {key}"));
    let text = format!("payload: begins with {{ but is no JSON object{near}: {error}");
    WrongPayload::new("invalid_json", text)
}

/// The value of a key, if there is one: a form with an empty field sends null or an empty text.
fn given<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    let is_empty = |value: &Value| value.as_str().is_some_and(|text| text.trim().is_empty());
    let value = object.get(key).filter(|value| !value.is_null())?;
    // An empty text is one for texts: no negative prompt, whatever was set.
    let is_text = matches!(key, "prompt" | "negative");
    (is_text || !is_empty(value)).then_some(value)
}

fn command_of(
    object: &Map<String, Value>,
    id: Option<JobId>,
) -> Result<PaintCommand, WrongPayload> {
    if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let key: String = key.chars().take(40).collect();
        let text = format!("{key:?}: unknown key: use {}", KEYS.join(", "));
        return Err(WrongPayload::new("unknown_key", text));
    }
    let given = |key: &str| given(object, key);
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
        let seed = Number::of(value).and_then(|seed| seed.whole());
        seed.ok_or_else(|| WrongPayload::new("invalid_seed", format!("seed: {}", fields::SEED)))
    });
    let ttl = given("ttl_s").map(|value| {
        let longest = LONGEST_TTL.as_secs();
        let seconds = Number::of(value).and_then(|ttl| ttl.between(1, longest));
        seconds.map(Duration::from_secs).ok_or_else(|| {
            WrongPayload::new("invalid_ttl", format!("ttl_s: give 1 to {longest} seconds"))
        })
    });
    let rescale = given("guidance_rescale").map(|value| {
        let rescale = Number::of(value).and_then(|rescale| rescale.share(1.0));
        let text = || format!("guidance_rescale: {}", fields::up_to(1.0));
        rescale.ok_or_else(|| WrongPayload::new("invalid_guidance_rescale", text()))
    });
    let clip_skip = given("clip_skip").map(|value| {
        let layers = Number::of(value).and_then(|layers| layers.clip_skip());
        let text = || format!("clip_skip: {}", fields::CLIP_SKIP);
        layers.ok_or_else(|| WrongPayload::new("invalid_clip_skip", text()))
    });
    let mut order = Order {
        prompt: prompt_of("prompt", prompt.trim())?,
        negative: negative
            .transpose()?
            .map(|text| long_enough("negative", text.trim()))
            .transpose()?,
        size: given("size").map(size_of).transpose()?,
        steps: given("steps")
            .map(|value| steps_of(Number::of(value)))
            .transpose()?,
        guidance: given("guidance")
            .map(|value| guidance_of(Number::of(value)))
            .transpose()?,
        seed: seed.transpose()?,
        scheduler: given("scheduler").map(scheduler_of).transpose()?,
        guidance_rescale: rescale.transpose()?,
        clip_skip: clip_skip.transpose()?,
        ..Order::default()
    };
    let ttl = ttl.transpose()?;
    // Last of all: decoding takes time.
    let (named, pictures) = pictures::read(object)?;
    order.pictures = Box::new(named);
    Ok(PaintCommand {
        id,
        order,
        pictures,
        ttl,
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
    let size = fields::Size::of(value).and_then(|size| size.pixels());
    size.ok_or_else(|| WrongPayload::new("invalid_size", format!("size: {}", fields::SIZE)))
}

fn steps_of(number: Option<Number>) -> Result<usize, WrongPayload> {
    let steps = number.and_then(|steps| steps.steps());
    steps.ok_or_else(|| WrongPayload::new("invalid_steps", format!("steps: {}", fields::STEPS)))
}

fn guidance_of(number: Option<Number>) -> Result<f32, WrongPayload> {
    let guidance = number.and_then(|guidance| guidance.guidance());
    let text = || format!("guidance: {}", fields::GUIDANCE);
    guidance.ok_or_else(|| WrongPayload::new("invalid_guidance", text()))
}

fn scheduler_of(value: &Value) -> Result<SchedulerKind, WrongPayload> {
    let name = value.as_str().unwrap_or_default();
    name.trim()
        .parse()
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
    let text = text_of(value).map_err(|_| wrong("no UTF-8: send text"))?;
    let text = &*text;
    let own = ["", DEFAULT, "null"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word));
    let number = Number::Text(text.to_owned());
    let switch = || match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "1" => Ok(true),
        "off" | "false" | "0" => Ok(false),
        _ => Err(wrong("give ON or OFF")),
    };
    Ok(match name {
        "prompt" => Setting::Prompt(long_enough(name, text)?),
        "negative" => Setting::Negative(long_enough(name, text)?),
        "style" if own => Setting::Style(None),
        "style" if text.len() <= 100 => Setting::Style(Some(text.to_owned())),
        "style" => return Err(wrong("give the name of a style, at most 100 bytes")),
        "scheduler" if own => Setting::Scheduler(None),
        "scheduler" => Setting::Scheduler(Some(scheduler_of(&Value::from(text))?)),
        "steps" if own => Setting::Steps(None),
        "steps" => Setting::Steps(Some(steps_of(Some(number))?)),
        "guidance" if own => Setting::Guidance(None),
        "guidance" => Setting::Guidance(Some(guidance_of(Some(number))?)),
        "kiosk" => Setting::Kiosk(switch()?),
        "night" => Setting::Night(switch()?),
        "interval" => match number.between(10, 604_800) {
            Some(seconds) => Setting::Interval(Duration::from_secs(seconds)),
            None => return Err(wrong("give 10 to 604800 seconds")),
        },
        "rotation" => match number.whole() {
            Some(0) => Setting::Rotation(0),
            Some(90) => Setting::Rotation(90),
            Some(180) => Setting::Rotation(180),
            Some(270) => Setting::Rotation(270),
            _ => return Err(wrong("give 0, 90, 180 or 270")),
        },
        "brightness" => match number.real() {
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
    match text_of(value).as_deref() {
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
    let text = text_of(value).unwrap_or_default();
    match &*text {
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
