//! One network by itself, timed.

mod subject;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::contained::catch;
use crate::error::Error;
use crate::memory::MemoryPlan;
use crate::pipeline::LoadOptions;
use crate::progress::CancelToken;
use crate::runtime::Kind;
use subject::Subject;

/// A network of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// `text_encoder/`: one prompt of one chunk.
    TextEncoder,
    /// `unet/`: one pass of the denoiser, of which painting makes one or two a step.
    Unet,
    /// `vae_decoder/`: latents to a picture.
    VaeDecoder,
}

impl Component {
    /// Every component, in the order in which painting needs them.
    pub const ALL: [Self; 3] = [Self::TextEncoder, Self::Unet, Self::VaeDecoder];

    /// Its folder in a model directory, and its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TextEncoder => "text_encoder",
            Self::Unet => "unet",
            Self::VaeDecoder => "vae_decoder",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Component {
    type Err = UnknownComponent;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL
            .into_iter()
            .find(|component| component.name() == name);
        found.ok_or_else(|| UnknownComponent(name.to_owned()))
    }
}

/// A name that is not a [`Component`]'s.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown component `{0}`: choose text_encoder, unet or vae_decoder")]
pub struct UnknownComponent(String);

/// What to time.
#[derive(Debug, Clone)]
pub struct BenchRequest {
    /// The network.
    pub component: Component,
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

/// Builds one network of the model in `dir` for a picture size and times it on noise that is the same every time.
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
    let mut subject = Subject::open(dir, request.component, request.size, request.guided)?;
    if options.budget().is_some() {
        let plan = subject.plan(&workers, options)?;
        subject.keep_to(&plan);
    }
    let mut timed = || {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let clock = Instant::now();
        subject.pass(&workers)?;
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
        component: request.component,
        size: subject.size(),
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
    component: Component,
    size: Option<(u32, u32)>,
    guided: bool,
) -> Result<MemoryPlan, Error> {
    let workers = options.workers();
    let planned = catch(|| Subject::open(dir, component, size, guided)?.plan(&workers, options));
    planned.unwrap_or_else(|panic| Err(Error::Unforeseen(panic)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(passes: &[u64]) -> Benchmark {
        Benchmark {
            component: Component::Unet,
            size: (8, 8),
            threads: 1,
            ready: Duration::ZERO,
            read: 0,
            kinds: Vec::new(),
            passes: passes.iter().copied().map(Duration::from_millis).collect(),
        }
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        assert_eq!(measured(&[7]).median().as_millis(), 7);
        assert_eq!(measured(&[1, 2, 90]).median().as_millis(), 2);
        assert_eq!(measured(&[1, 2, 4, 90]).median().as_millis(), 3);
        let range = measured(&[1, 2, 90]);
        assert_eq!((range.min().as_millis(), range.max().as_millis()), (1, 90));
    }

    #[test]
    fn every_component_is_found_by_its_name() {
        for component in Component::ALL {
            assert_eq!(component.name().parse(), Ok(component));
        }
        assert!("vae".parse::<Component>().is_err());
    }
}
