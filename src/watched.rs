//! How others see that long work goes on, and how they stop it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Stops a painting from another thread: within a task of a kernel, some milliseconds.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks whoever paints with this token to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// For kernels.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}

/// What long work does between its parts: it shows that it goes on, and asks whether it should.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watched {
    pub(crate) progress: ProgressCounter,
    pub(crate) cancel: CancelToken,
}

/// Nobody wants it any more.
#[derive(Debug, thiserror::Error)]
#[error("cancelled")]
pub(crate) struct Cancelled;

impl Watched {
    /// A part is done.
    pub(crate) fn part_done(&self) -> Result<(), Cancelled> {
        self.progress.advance();
        if self.cancel.is_cancelled() {
            return Err(Cancelled);
        }
        Ok(())
    }
}

/// Counts the operators that networks have run, and the weights that were packed for them. A step, and the first start, may take minutes; whoever
/// watches sees by this that it goes on.
#[derive(Debug, Clone, Default)]
pub struct ProgressCounter(Arc<AtomicU64>);

impl ProgressCounter {
    /// How many so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn advance(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
