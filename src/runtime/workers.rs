//! What networks run on: threads, the folder of their caches, and the clock that may watch them.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use easel_kernels::threads::Threads;
use tract_core::internal::*;
use tract_linalg::multithread::{Executor, multithread_tract_scope};

use super::gate::Limits;
use super::ops::scratch::{self, ScratchCache};
use super::profile::{Kind, Profile};
use crate::watched::{CancelToken, ProgressCounter, Watched};
use crate::weights::Storage;

/// Threads of this process, started once.
pub(crate) struct Workers {
    executor: Executor,
    profile: Option<Mutex<Profile>>,
    cache: Option<PathBuf>,
    storage: Storage,
    watched: Watched,
    limits: Limits,
}

impl Workers {
    /// So many; with 1 the caller's thread does the work.
    pub(crate) fn new(threads: usize) -> Self {
        let executor = if threads <= 1 {
            Executor::SingleThread
        } else {
            Executor::multithread_with_name(threads, "easel")
        };
        Self {
            executor,
            profile: None,
            cache: None,
            storage: Storage::default(),
            watched: Watched::default(),
            limits: Limits {
                tensor: usize::MAX,
                folded: usize::MAX,
            },
        }
    }

    /// From now on the time of each node is added up.
    pub(crate) fn watch(&mut self) {
        self.profile = Some(Mutex::default());
    }

    /// From now on networks keep what was made of them in this folder.
    pub(crate) fn keep_in(&mut self, folder: Option<PathBuf>) {
        self.cache = folder;
    }

    /// From now on storage seems to give no more than so many bytes a second.
    pub(crate) fn slow_down(&mut self, bytes_a_second: Option<u64>) {
        self.storage.rate = bytes_a_second;
    }

    pub(super) fn watched(&self) -> &Watched {
        &self.watched
    }

    /// What stops the work.
    pub(super) fn cancel(&self) -> &CancelToken {
        &self.watched.cancel
    }

    /// From now on this stops the work.
    pub(crate) fn obey(&mut self, cancel: &CancelToken) {
        self.watched.cancel = cancel.clone();
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// From now on no network is built that has a tensor of more bytes, or computes more while it is built.
    pub(crate) fn allow(&mut self, tensor: usize, folded: usize) {
        self.limits = Limits { tensor, folded };
    }

    /// From now on this counts the operators that run.
    pub(crate) fn count_progress(&mut self, progress: ProgressCounter) {
        self.watched.progress = progress;
    }

    pub(crate) fn cache(&self) -> Option<&Path> {
        self.cache.as_deref()
    }

    pub(super) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Bytes of weights read while networks ran.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.storage.read.load(Ordering::Relaxed)
    }

    /// Where the time went since [`watch`](Self::watch).
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        let profile = self.profile.as_ref();
        let kinds = profile.map(|p| p.lock().unwrap_or_else(PoisonError::into_inner).kinds());
        kinds.unwrap_or_default()
    }

    /// For the kernels.
    pub(crate) fn threads(&self) -> Threads {
        match &self.executor {
            Executor::MultiThread(pool) => Threads::on(pool.clone()),
            _ => Threads::single(),
        }
    }

    /// Runs a model: tract's operators and ours on these threads. `takes`: by a node's number, bytes that it takes; `kept`: what
    /// stays for the next run. The outputs come back as f32, one at least.
    pub(super) fn run(
        &self,
        model: &Arc<TypedRunnableModel>,
        takes: &[usize],
        cache: &Mutex<ScratchCache>,
        inputs: Vec<Tensor>,
    ) -> TractResult<Vec<Tensor>> {
        let run = || {
            let inputs = inputs.into_iter().map(Into::into).collect();
            let mut profile = self.profile.as_ref().map(Mutex::lock);
            let mut profile = profile
                .as_mut()
                .map(|p| p.as_mut().unwrap_or_else(|p| p.get_mut()));
            if let Some(profile) = &mut profile {
                profile.begin();
            }
            let mut state = model.spawn()?;
            let outputs = state.run_plan_with_eval(inputs, |context, op_state, node, inputs| {
                scratch::make_room(takes[node.id]);
                let clock = Instant::now();
                let outputs = tract_core::plan::eval(context, op_state, node, inputs)?;
                self.watched.part_done()?;
                if let Some(profile) = &mut profile {
                    profile.add(model, node, clock.elapsed(), &outputs)?;
                }
                Ok::<_, TractError>(outputs)
            });
            let outputs = outputs?.into_iter().map(|output| {
                let output = output.into_tensor();
                // Not even for a moment twice: outputs of sections are the largest tensors that there are.
                if output.datum_type() == f32::datum_type() {
                    return Ok(output);
                }
                Ok(output.cast_to_dt(f32::datum_type())?.into_owned())
            });
            let outputs: Vec<Tensor> = outputs.collect::<TractResult<_>>()?;
            ensure!(!outputs.is_empty(), "has no output");
            Ok(outputs)
        };
        let run = || scratch::with(cache, run);
        let run = || scratch::until(self.cancel().flag(), run);
        let run = || multithread_tract_scope(self.executor.clone(), run);
        // On one of the workers: a kernel then shares its work without waking one thread more than there are.
        match &self.executor {
            Executor::MultiThread(pool) => pool.install(run),
            _ => run(),
        }
    }
}
