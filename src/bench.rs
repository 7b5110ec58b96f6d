//! One network by itself, timed.

mod fixture;

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::component::Component;
use crate::contained::catch;
use crate::error::Error;
use crate::memory::MemoryPlan;
use crate::pipeline::LoadOptions;
use crate::runtime::Kind;
use crate::watched::CancelToken;
use fixture::Fixture;

/// What to time.
#[derive(Debug, Clone)]
pub struct BenchRequest {
    /// The network; `None`: the denoiser.
    pub component: Option<Component>,
    /// Width and height of the picture it works on, pixels; `None`: the model's default. The text encoder works alike for all.
    pub size: Option<(u32, u32)>,
    /// A pass of the denoiser for both halves of guidance instead of one.
    pub guided: bool,
    /// Passes to time, after one that is not timed.
    pub repeat: NonZeroUsize,
    /// Also tell where the time goes; the clocks add a little to it.
    pub explain: bool,
}

/// What [`bench()`] measured.
#[derive(Debug, Clone)]
pub struct Benchmark {
    /// The network.
    pub component: Component,
    /// Width and height of the picture it worked on, pixels.
    pub size: (u32, u32),
    /// Worker threads used.
    pub threads: usize,
    /// From the call to the end of the first pass, which is not timed: reading, building, touching every weight once.
    pub ready: Duration,
    /// Bytes of weights that a pass reads from the cache; 0 when all are in memory.
    pub read: u64,
    /// Where the time of a pass goes, the longest first; empty unless asked for.
    pub kinds: Vec<Kind>,
    /// Ascending, at least one.
    passes: Vec<Duration>,
}

impl Benchmark {
    /// The fastest pass.
    #[must_use]
    pub fn min(&self) -> Duration {
        self.passes[0]
    }

    /// The slowest pass.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.passes[self.passes.len() - 1]
    }

    /// The pass in the middle; of an even number, the mean of the two.
    #[must_use]
    pub fn median(&self) -> Duration {
        let (low, high) = ((self.passes.len() - 1) / 2, self.passes.len() / 2);
        (self.passes[low] + self.passes[high]) / 2
    }

    /// Passes timed.
    #[must_use]
    pub fn repeat(&self) -> usize {
        self.passes.len()
    }
}

/// Builds one network of the model in `dir` for a picture size and times it on noise that is the same every time. The model may be of a
/// kind that easel cannot paint with.
/// The other networks are not opened, so that the process's peak memory is this one's.
///
/// # Errors
/// [`Error::Request`] when the size is none that the model paints; [`Error::Cancelled`] soon after
/// `cancel`; otherwise what is missing, damaged or failed.
pub fn bench(
    dir: &Path,
    options: &LoadOptions,
    request: &BenchRequest,
    cancel: &CancelToken,
) -> Result<Benchmark, Error> {
    let benched = catch(|| benched(dir, options, request, cancel));
    match benched.unwrap_or_else(|panic| Err(Error::Unforeseen(panic))) {
        Err(_) if cancel.is_cancelled() => Err(Error::Cancelled),
        benched => benched,
    }
}

fn benched(
    dir: &Path,
    options: &LoadOptions,
    request: &BenchRequest,
    cancel: &CancelToken,
) -> Result<Benchmark, Error> {
    let start = Instant::now();
    let mut workers = options.workers();
    workers.obey(cancel);
    if request.explain {
        workers.watch();
    }
    let component = request.component.clone();
    let component = component.unwrap_or_else(|| Component::denoiser_in(dir));
    let mut fixture = Fixture::open(dir, &component, request.size, request.guided, cancel)?;
    if options.budget().is_some() {
        let plan = fixture.plan(&workers, options)?;
        fixture.keep_to(&plan);
    }
    let mut timed = || {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let clock = Instant::now();
        fixture.pass(&workers)?;
        Ok(clock.elapsed())
    };
    timed()?;
    let ready = start.elapsed();
    let read = workers.bytes_read();
    let mut passes = (0..request.repeat.get())
        .map(|_| timed())
        .collect::<Result<Vec<_>, Error>>()?;
    let read = (workers.bytes_read() - read) / passes.len() as u64;
    passes.sort_unstable();
    Ok(Benchmark {
        component,
        size: fixture.size(),
        threads: options.worker_count(),
        ready,
        read,
        kinds: workers.kinds(),
        passes,
    })
}

/// The memory plan of one network by itself, as [`bench()`] keeps to it. `size`: width and height of the picture in pixels, the
/// model's default unless given.
///
/// # Errors
/// [`Error::Memory`] when the budget is too small; a size that the model does not paint; a network that cannot be read.
pub fn component_plan(
    dir: &Path,
    options: &LoadOptions,
    component: &Component,
    size: Option<(u32, u32)>,
    guided: bool,
) -> Result<MemoryPlan, Error> {
    let workers = options.workers();
    let planned = catch(|| {
        Fixture::open(dir, component, size, guided, &CancelToken::new())?.plan(&workers, options)
    });
    planned.unwrap_or_else(|panic| Err(Error::Unforeseen(panic)))
}

#[cfg(test)]
mod tests;
