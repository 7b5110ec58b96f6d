//! What is to be painted, and what has been: a bounded queue with a journal on disk, and a history of pictures.

mod answers;
mod boot;
mod disk;
mod history;
mod job;
mod journal;
mod line;
mod moment;
mod order;
mod order_pictures;
mod pictures;
mod queue;
mod record;
mod set_aside;

pub use answers::{Cancel, JournalError, Pushed, Recovered, Rejection, Taken};
pub use history::{History, HistoryError, Kept, Painted, TimingsMs};
pub use job::{Job, NewJob, Outcome, Reply};
pub use moment::Moment;
pub(crate) use moment::is_set;
pub(crate) use order::scheduler_name;
pub use order::{Given, JobId, Mark, Order, Source, Status, WrongId};
pub use order_pictures::{FileName, Hint, NewPicture, OrderControl, OrderPictures, PictureName};
pub(crate) use pictures::{LARGEST_HISTORY, LARGEST_PICTURE};
pub use queue::Queue;
pub use record::{Entry, LARGEST_RECORD, Reading, read_journal};

/// Whether some process has the queue of this folder open. Nothing is made where there is none.
pub(crate) fn is_in_use(folder: &std::path::Path) -> bool {
    folder.join("lock").is_file() && disk::FolderLock::take(folder).is_ok_and(|lock| lock.is_none())
}

use crate::board::{Section, Wrong, within};
use serde::{Deserialize, Serialize};

/// The `[queue]` of a board's configuration.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueSettings {
    /// Jobs that wait at most; one more is rejected.
    pub capacity: usize,
}

/// The longest queue that a configuration may ask for.
pub const LARGEST_QUEUE: usize = 256;

impl Default for QueueSettings {
    fn default() -> Self {
        Self { capacity: 16 }
    }
}

impl Section for QueueSettings {
    const NAME: &str = "queue";

    fn check(&self) -> Result<(), Wrong> {
        within("capacity", self.capacity, 1, LARGEST_QUEUE)
    }
}

/// The `[history]` of a board's configuration.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistorySettings {
    /// Pictures that are kept at most, favourites not counted.
    pub pictures: usize,
    /// MiB that they take at most, favourites not counted.
    pub mib: u64,
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self {
            pictures: 200,
            mib: 200,
        }
    }
}

impl Section for HistorySettings {
    const NAME: &str = "history";

    fn check(&self) -> Result<(), Wrong> {
        within("pictures", self.pictures, 1, 100_000)?;
        within("mib", self.mib, 1, 1 << 20)
    }
}

#[cfg(test)]
mod tests;
