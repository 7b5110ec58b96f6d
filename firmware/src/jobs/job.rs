//! A job, what is said when it comes and what becomes of it.

use super::moment::{Moment, optional_ms, unix_ms};
use super::{Given, JobId, Mark, NewPicture, Order, Source, Status};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant, SystemTime};

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Its name, if whoever asks chose one; the same one twice is one job.
    pub id: Option<JobId>,
    /// What to paint.
    pub order: Order,
    /// Which of it was asked for, where the board has put something in; `None`: all of it.
    pub given: Option<Given>,
    /// The files that its order names, but for those that are kept already.
    pub pictures: Vec<NewPicture>,
    /// Who asks.
    pub source: Source,
    /// Where answers go besides the board's `response` topic.
    pub reply: Option<Reply>,
    /// How long it may wait; `None`: for ever.
    pub ttl: Option<Duration>,
}

impl NewJob {
    /// An order that may wait as long as it takes, without a name.
    #[must_use]
    pub fn new(order: Order, source: Source) -> Self {
        Self {
            id: None,
            order,
            given: None,
            pictures: Vec::new(),
            source,
            reply: None,
            ttl: None,
        }
    }
}

/// Where MQTT 5 wants the answer (MQTT 5.0, section 4.10). Journaled, so that it is answered after a restart too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The response topic.
    pub topic: String,
    /// Goes back as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Vec<u8>>,
}

/// A job that was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Counts the jobs that this board accepted; the order of painting.
    pub(super) sequence: u64,
    /// Its name.
    pub id: JobId,
    /// What to paint. The seed is set: painted again after a power cut, it becomes the same picture.
    pub order: Order,
    /// Which of it was asked for; `None`: a journal of before does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Given>,
    /// Who asked.
    pub source: Source,
    /// Where answers go besides the board's `response` topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
    /// When it was accepted, by a clock that may have been wrong.
    #[serde(with = "unix_ms", rename = "accepted_unix_ms")]
    pub accepted: SystemTime,
    /// How long it may wait.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "optional_ms",
        rename = "ttl_ms"
    )]
    pub ttl: Option<Duration>,
    /// Until when it may wait, by the clock that only runs.
    #[serde(skip)]
    pub(super) deadline: Option<Instant>,
    /// How often painting it was begun and not ended.
    pub attempts: u32,
    /// How many of those attempts ended with the whole machine.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub power_cuts: u32,
    /// How many of them ended with a program that was told to stop, when the painter did not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unstopped: u32,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Paintings of a job that may end the program while the machine goes on.
const MOST_CRASHES: u32 = 2;

/// Paintings of a job that may end with the whole machine. Power fails, but hardly so often in the middle of the same
/// picture: a job may take the machine down with it, by its heat or by its hunger for memory.
const MOST_POWER_CUTS: u32 = 5;

/// Times that a job may keep the painter from stopping. On a slow board a part of a picture may take so long, but hardly
/// each time.
const MOST_UNSTOPPED: u32 = 5;

impl Job {
    /// Whether it is what is asked for, as far as that can be told.
    #[must_use]
    pub fn came_of(&self, asked: &Order) -> bool {
        self.order.came_of(asked, self.given.as_ref())
    }

    /// Stands for what was asked for, if that is known.
    pub(super) fn mark(&self) -> Option<Mark> {
        let given = self.given.as_ref()?;
        Some(self.order.only(given).mark())
    }

    /// Whether it has waited too long.
    #[must_use]
    pub fn has_expired(&self, now: &Moment) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now.steady)
    }

    /// Why it must not be painted any more, as its answer says; `None`: it may be.
    #[must_use]
    pub fn why_set_aside(&self) -> Option<&'static str> {
        let others = self.power_cuts.saturating_add(self.unstopped);
        let crashes = self.attempts.saturating_sub(others);
        if crashes >= MOST_CRASHES {
            return Some("painting it ended the program twice: it is set aside");
        }
        if self.power_cuts >= MOST_POWER_CUTS {
            return Some("the board went off five times while it was painted: it is set aside");
        }
        let unstopped = self.unstopped >= MOST_UNSTOPPED;
        unstopped.then_some("five times it could not be stopped: it is set aside")
    }

    /// Sets the deadline at the start of the program. Where the dates cannot tell how long it has waited, it may wait
    /// its whole time from now, once more. Returns whether that is so.
    pub(super) fn resume(&mut self, now: &Moment) -> bool {
        let waited = now.since(self.accepted);
        if waited.is_none() {
            self.accepted = now.wall;
        }
        self.deadline = self.ttl.and_then(|ttl| {
            let left = ttl.saturating_sub(waited.unwrap_or_default());
            now.steady.checked_add(left)
        });
        waited.is_none()
    }
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The picture is in the history.
    Done,
    /// Somebody stopped it.
    Cancelled,
    /// It waited longer than it may.
    Expired,
    /// It failed, and why.
    Error(String),
}

impl Outcome {
    /// As the `response` topic has it.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Done => Status::Done,
            Self::Cancelled => Status::Cancelled,
            Self::Expired | Self::Error(_) => Status::Error,
        }
    }

    /// The `error` of the `response` topic.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Done | Self::Cancelled => None,
            Self::Expired => Some("expired"),
            Self::Error(reason) => Some(reason),
        }
    }
}
