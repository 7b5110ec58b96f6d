//! What the queue answers.

use super::disk::is_full;
use super::{Job, JobId, LARGEST_QUEUE, Status, record::LARGEST_RECORD};
use std::io;
use std::path::PathBuf;

/// What became of a job that was brought to the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// It waits, and outlasts a power cut.
    Queued {
        /// Its name.
        id: JobId,
        /// How many of those that wait go before it.
        position: usize,
    },
    /// The same job was brought before; nothing has changed.
    Known {
        /// Its name.
        id: JobId,
        /// What became of it.
        status: Status,
        /// Why it failed, if it did.
        error: Option<String>,
    },
}

/// Why a job is not taken. Nothing is kept of it; the same name may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// As many wait as may.
    #[error("{capacity} pictures wait already: try again when one is painted, or cancel some")]
    QueueFull {
        /// How many may wait.
        capacity: usize,
    },
    /// Its name is that of another order.
    #[error("id: {id} is another order's: give this one another id, or none")]
    IdTaken {
        /// The name.
        id: JobId,
    },
    /// Its time to live was over when it came.
    #[error("its time to live was over when it came: give it more, or check the sender's clock")]
    Expired,
    /// The order and where to answer are larger than a record may be.
    #[error("prompt and reply take {bytes} bytes, at most {LARGEST_RECORD} are kept: shorten them")]
    TooLong {
        /// As they would be written.
        bytes: usize,
    },
    /// There is no room to keep it.
    #[error("the disk is full: delete pictures, or give the history less room")]
    DiskFull(#[source] JournalError),
    /// It could not be kept.
    #[error("the queue cannot be written: {0}")]
    Disk(#[source] JournalError),
}

impl Rejection {
    /// The `error` of the `response` topic.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::QueueFull { .. } => "queue_full",
            Self::IdTaken { .. } => "id_taken",
            Self::Expired => "expired",
            Self::TooLong { .. } => "too_long",
            Self::DiskFull(_) => "disk_full",
            Self::Disk(_) => "disk_error",
        }
    }
}

impl From<JournalError> for Rejection {
    fn from(error: JournalError) -> Self {
        if error.is_disk_full() {
            Self::DiskFull(error)
        } else {
            Self::Disk(error)
        }
    }
}

/// What there is to do next.
#[derive(Debug, Default, PartialEq)]
pub struct Taken {
    /// To be painted now; `None`: nothing waits, or one is being painted.
    pub job: Option<Job>,
    /// They waited too long; each is to be answered.
    pub expired: Vec<Job>,
    /// They ended the program in the middle of painting too often; each is to be answered.
    pub set_aside: Vec<Job>,
}

/// What a wish to cancel found.
#[derive(Debug, PartialEq)]
pub enum Cancel {
    /// It waited, and is gone.
    Waiting(Box<Job>),
    /// It was being painted, and is over: say so, then stop the painter, whatever it still brings.
    Painting(Box<Job>),
    /// It neither waits nor is being painted.
    Unknown,
}

/// A journal that cannot be used or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Two processes would paint the same jobs.
    #[error("{}: is used by another easel: stop that one, or give this one another folder", .0.display())]
    Locked(PathBuf),
    /// What the file system says.
    #[error("{}: {problem}: check the disk, and that easel may write there", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        #[source]
        problem: io::Error,
    },
}

impl JournalError {
    /// Whether there is no room. Nothing was changed: make room and try again.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Disk { problem, .. } if is_full(problem))
    }
}

/// What was found in the journal at the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Jobs that wait.
    pub waiting: usize,
    /// It was being painted when the program ended; it is the next of its kind.
    pub interrupted: Option<JobId>,
    /// Bytes of a record that was being written when the power went; nobody was told that it is safe.
    pub cut: usize,
    /// Places in the middle that could not be read; at each a record is lost, or more.
    pub damaged: usize,
    /// Jobs for which there is no room; more than a configuration can ask for.
    pub dropped: usize,
    /// Where the journal is kept that could not be read, or not all of it.
    pub set_aside: Option<PathBuf>,
}

impl Recovered {
    /// One line for each thing that people should know.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let kept = self.set_aside.as_ref().map_or_else(String::new, |path| {
            format!(": what was there is kept as {}", path.display())
        });
        let mut problems = Vec::new();
        if self.damaged > 0 {
            let places = self.damaged;
            problems.push(format!(
                "queue: {places} records could not be read{kept}: check the disk"
            ));
        } else if self.set_aside.is_some() {
            problems.push(format!(
                "queue: the journal could not be read{kept}: the queue begins empty; check the disk"
            ));
        }
        if self.dropped > 0 {
            let dropped = self.dropped;
            problems.push(format!(
                "queue: {dropped} jobs dropped: more than {LARGEST_QUEUE} waited{kept}"
            ));
        }
        if self.cut > 0 {
            let cut = self.cut;
            problems.push(format!(
                "queue: {cut} bytes that were being written when the power went are cut off"
            ));
        }
        problems
    }
}
