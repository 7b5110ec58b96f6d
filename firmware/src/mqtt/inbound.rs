//! What the board is told.

use super::payload::{Setting, Show};
use super::report::Problem;
use crate::jobs::{JobId, NewJob, Reply};

/// Something that the board is told from outside.
#[derive(Debug)]
pub enum Inbound {
    /// The connection is there: commands arrive.
    Online {
        /// Whether the broker kept what came while the board was away.
        resumed: bool,
        /// Topics that the broker does not let the board hear, a line each that says what to do.
        refused: Vec<String>,
    },
    /// The connection is gone, or could not be made; it is tried again.
    Offline {
        /// One line: what happened and what to do.
        reason: String,
    },
    /// Somebody wants a picture.
    Paint {
        /// The order. It may wait for `ttl_s` or until the message's own expiry, whichever is sooner.
        job: NewJob,
        /// To be acknowledged once the job is safe.
        ticket: Ticket,
    },
    /// Somebody wants something that cannot be understood. To be answered with `rejected` and acknowledged.
    Wrong {
        /// The job, when that much could be read.
        id: Option<JobId>,
        /// Where the answer goes.
        reply: Option<Reply>,
        /// What is wrong.
        problem: Problem,
        /// To be acknowledged.
        ticket: Ticket,
    },
    /// Paint the prompt that was set, with what was set.
    Generate,
    /// Paint the picture that is shown anew, and a little different.
    Vary,
    /// Stop a job; `None`: the one that is painted.
    Cancel(Option<JobId>),
    /// Show another picture.
    Show(Show),
    /// Change a setting.
    Set(Setting),
    /// Home Assistant has started: it was told of the board and of its values again.
    Birth,
    /// Something for the log: one line.
    Note(String),
}

/// The right to acknowledge a message once. Void after the connection that brought it is gone; the message comes again.
#[derive(Debug)]
#[must_use = "a message that is not acknowledged comes again"]
pub struct Ticket(pub(super) Option<Receipt>);

/// Which message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) line: super::link::Line,
    /// Counts the connections of the line.
    pub(super) connection: u64,
    pub(super) packet: u16,
}
