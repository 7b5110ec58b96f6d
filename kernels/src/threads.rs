//! How work is shared between threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::ThreadPool;

/// The worker threads that kernels run on. A clone is the same threads.
#[derive(Debug, Clone, Default)]
pub struct Threads {
    /// `None`: the caller's thread alone.
    pool: Option<Arc<ThreadPool>>,
    /// Once true, tasks that have not begun are left out.
    stop: Option<Arc<AtomicBool>>,
}

impl Threads {
    /// The caller's thread alone.
    #[must_use]
    pub const fn single() -> Self {
        Self {
            pool: None,
            stop: None,
        }
    }

    /// These threads. Kernels are fastest when they are called from one of them.
    #[must_use]
    pub fn on(pool: Arc<ThreadPool>) -> Self {
        Self {
            pool: (pool.current_num_threads() > 1).then_some(pool),
            stop: None,
        }
    }

    /// The same threads, for work that nobody wants any more once `stop` is true: tasks that have not begun then are left out, and
    /// what comes out is worth nothing.
    #[must_use]
    pub fn until(mut self, stop: Option<Arc<AtomicBool>>) -> Self {
        self.stop = stop;
        self
    }

    fn is_stopped(&self) -> bool {
        let stop = self.stop.as_ref();
        stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    /// How many work at once, at least 1.
    #[must_use]
    pub fn count(&self) -> usize {
        self.pool
            .as_ref()
            .map_or(1, |pool| pool.current_num_threads())
    }

    /// Calls `task(0)` … `task(tasks - 1)`, each once unless it is [stopped](Self::until), in no promised order, and returns after the last. Who takes which
    /// is a matter of timing, so a task's result may depend on its number alone.
    pub fn run(&self, tasks: usize, task: impl Fn(usize) + Sync) {
        self.run_with(tasks, || (), |(), index| task(index));
    }

    /// [`run`](Self::run) with something of each thread's own, such as scratch memory, that `make` makes once a thread.
    pub fn run_with<S>(
        &self,
        tasks: usize,
        make: impl Fn() -> S + Sync,
        task: impl Fn(&mut S, usize) + Sync,
    ) {
        match &self.pool {
            Some(pool) if tasks > 1 => {
                let next = AtomicUsize::new(0);
                let work = || {
                    let mut own = None;
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= tasks || self.is_stopped() {
                            break;
                        }
                        task(own.get_or_insert_with(&make), index);
                    }
                };
                // The others are asked, not waited for: where another program has their core, this thread does it all.
                pool.scope(|scope| {
                    for _ in 1..pool.current_num_threads().min(tasks) {
                        scope.spawn(|_| work());
                    }
                    work();
                });
            }
            _ if tasks == 0 => {}
            _ => {
                let mut own = make();
                let wanted = (0..tasks).take_while(|_| !self.is_stopped());
                wanted.for_each(|index| task(&mut own, index));
            }
        }
    }

    /// Cuts `data` into chunks of `size` (the last may be shorter) and calls `task(number, chunk)` for each.
    pub fn chunks<T: Send>(
        &self,
        data: &mut [T],
        size: usize,
        task: impl Fn(usize, &mut [T]) + Sync,
    ) {
        let chunks: Vec<_> = data
            .chunks_mut(size)
            .map(|chunk| std::sync::Mutex::new(Some(chunk)))
            .collect();
        self.run(chunks.len(), |index| {
            // Each number comes once: the lock is never waited for.
            let chunk = chunks[index].lock().map(|mut chunk| chunk.take());
            if let Ok(Some(chunk)) = chunk {
                task(index, chunk);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_on_any_number_of_threads() {
        for count in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(count)
                .build()
                .expect("threads");
            let threads = Threads::on(Arc::new(pool));
            assert_eq!(threads.count(), count);
            for tasks in [0, 1, 2, 100] {
                let ran: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                threads.run(tasks, |index| {
                    ran[index].fetch_add(1, Ordering::Relaxed);
                });
                assert!(ran.iter().all(|times| times.load(Ordering::Relaxed) == 1));
            }
            let stop = Arc::new(AtomicBool::new(false));
            let ran = AtomicUsize::new(0);
            threads
                .clone()
                .until(Some(stop.clone()))
                .run(1000, |index| {
                    ran.fetch_add(1, Ordering::Relaxed);
                    stop.fetch_or(index == 10, Ordering::Relaxed);
                });
            assert!((11..1000).contains(&ran.load(Ordering::Relaxed)));
            let mut data = vec![0; 10];
            threads.chunks(&mut data, 4, |number, chunk| chunk.fill(number + 1));
            assert_eq!(data, [1, 1, 1, 1, 2, 2, 2, 2, 3, 3]);
        }
    }
}
