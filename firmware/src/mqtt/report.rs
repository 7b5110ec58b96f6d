//! What goes out: payloads as `docs/mqtt.md` describes them.

use crate::jobs::{JobId, Order, Reply, Status};
use serde::Serialize;
use std::collections::BTreeMap;

/// What became of a job: one message for each step of its way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Response {
    /// The job; `None` when an order could not be read so far.
    pub id: Option<JobId>,
    /// Where it is now.
    pub status: Status,
    /// Why it was rejected or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
    /// What people should know of a picture that is done: a prompt cut short, a part of it left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Jobs that wait.
    pub queue: usize,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// One word for programs: `queue_full`, `invalid_json` …
    pub code: String,
    /// One line for people.
    pub text: String,
}

impl Problem {
    /// A word for programs and a line for people.
    pub fn new(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            text: text.into(),
        }
    }
}

/// What the board is doing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct State {
    /// In one word.
    pub state: Activity,
    /// The job that is painted.
    pub id: Option<JobId>,
    /// Its prompt.
    pub prompt: Option<String>,
    /// Steps done.
    pub step: usize,
    /// Steps in all; 0 when nothing is painted.
    pub steps: usize,
    /// Seconds that are left, when that can be told.
    pub eta_s: Option<u64>,
    /// Jobs that wait.
    pub queue: usize,
    /// Whether it is night: dark, no painting.
    pub night: bool,
    /// What hinders it: heat, a full disk, a broken panel …
    pub problem: Option<Problem>,
}

/// What a board is doing, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// It waits for something to paint.
    Idle,
    /// It paints.
    Painting,
    /// It cannot paint.
    Error,
}

impl Default for State {
    fn default() -> Self {
        Self {
            state: Activity::Idle,
            id: None,
            prompt: None,
            step: 0,
            steps: 0,
            eta_s: None,
            queue: 0,
            night: false,
            problem: None,
        }
    }
}

/// What the picture on `image` is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageInfo {
    /// The job that made it.
    pub id: JobId,
    /// The order, with what the board or the model chose put in.
    #[serde(flatten)]
    pub order: Order,
    /// What the model was given for the prompt, if that is not the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub painted_prompt: Option<String>,
    /// When it was done, seconds since 1970; `None` while the clock is not set.
    pub finished: Option<u64>,
    /// Whether it is never thrown away.
    pub favourite: bool,
    /// Milliseconds.
    pub timings_ms: BTreeMap<String, u64>,
}

/// How the board is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Health {
    /// The process's resident set, MiB.
    pub rss_mib: Option<f64>,
    /// Of the processor, degrees Celsius.
    pub temperature_c: Option<f64>,
    /// Whether the processor runs slower, for heat or for power.
    pub throttled: Option<bool>,
    /// Whether the supply voltage is too low.
    pub undervoltage: Option<bool>,
    /// Free where pictures are kept, MiB.
    pub disk_free_mib: Option<u64>,
    /// Seconds since the program started.
    pub uptime_s: u64,
    /// Seconds that the last picture took.
    pub last_duration_s: Option<f64>,
}

/// What the board is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Info {
    /// Of the program.
    pub version: String,
    /// What it is made of.
    pub board: String,
    /// What shows the pictures, as mounted.
    pub panel: String,
    /// What paints.
    pub model: String,
    /// The model's default width and height, pixels.
    pub size: Option<(u32, u32)>,
    /// Styles by name.
    pub styles: Vec<String>,
    /// Presses that `button` may tell of.
    pub buttons: Vec<String>,
    /// What may be asked for.
    pub limits: Limits,
}

/// What may be asked for at most.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Limits {
    /// Jobs that wait.
    pub queue: usize,
    /// Bytes of a prompt.
    pub prompt_bytes: usize,
    /// Denoising steps.
    pub steps: usize,
    /// Bytes of a whole packet.
    pub packet_bytes: u64,
}

/// Something to publish.
#[derive(Debug, Clone, PartialEq)]
pub enum Outbound {
    /// On `response`, and to whoever asked. Is not lost: it waits until the broker has it.
    Response(Response, Option<Reply>),
    /// On `state`, retained: only the newest counts.
    State(State),
    /// On `image`, retained: a JPEG of at most [`LARGEST_IMAGE`].
    Image(Vec<u8>),
    /// On `image/info`, retained.
    ImageInfo(ImageInfo),
    /// On `preview`: a small JPEG. Is dropped while the connection is down or slow.
    Preview(Vec<u8>),
    /// On `health`, retained.
    Health(Health),
    /// On `info`, retained.
    Info(Info),
    /// On `settings`, retained: values by the names under `set/`.
    Settings(BTreeMap<String, serde_json::Value>),
    /// On `button`: a press, such as `next_short`.
    Button(String),
}

/// Bytes of a picture on `image`.
pub const LARGEST_IMAGE: usize = 256 * 1024;
