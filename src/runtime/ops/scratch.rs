//! Memory of a network from one node to the next, and from one run to the next.

use std::cell::RefCell;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use easel_kernels::heap;
use easel_kernels::quantize::Quantized;

use crate::process_memory;

/// Scratch memory that a network keeps for its next node and its next run.
#[derive(Default)]
pub(in crate::runtime) struct ScratchCache {
    /// Activations as products read them, and what rounding left of them: clearing fresh memory would cost more than
    /// quantizing.
    quantized: [Quantized; 2],
    /// Bytes that the process may take, if that matters.
    limit: Option<usize>,
}

impl ScratchCache {
    pub(in crate::runtime) fn with_limit(limit: Option<usize>) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Frees all memory.
    pub(in crate::runtime) fn clear(&mut self) {
        self.quantized = Default::default();
    }
}

thread_local! {
    /// Of the network that runs on this thread.
    static CACHE: RefCell<ScratchCache> = RefCell::default();
    /// Whether it is still wanted.
    static STOP: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// Runs something that is to stop soon after this is true, on this thread.
pub(in crate::runtime) fn until<R>(stop: Arc<AtomicBool>, run: impl FnOnce() -> R) -> R {
    let before = STOP.replace(Some(stop));
    let result = run();
    STOP.set(before);
    result
}

/// What stops the network that runs on this thread.
pub(super) fn stop() -> Option<Arc<AtomicBool>> {
    STOP.with_borrow(Clone::clone)
}

/// Runs a network with its cache, on this thread.
pub(in crate::runtime) fn with<R>(own: &Mutex<ScratchCache>, run: impl FnOnce() -> R) -> R {
    let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
    let before = CACHE.replace(std::mem::take(&mut own));
    let result = run();
    *own = CACHE.replace(before);
    result
}

/// Does something with the memory for quantized activations.
pub(super) fn with_quantized<R>(what: impl FnOnce(&mut [Quantized; 2]) -> R) -> R {
    let mut quantized = CACHE.with_borrow_mut(|cache| std::mem::take(&mut cache.quantized));
    let result = what(&mut quantized);
    CACHE.with_borrow_mut(|cache| cache.quantized = quantized);
    result
}

/// Before so many bytes are taken by the network that runs: see [`make_room_within`].
pub(in crate::runtime) fn make_room(bytes: usize) {
    make_room_within(CACHE.with_borrow(|cache| cache.limit), bytes);
}

/// Before so many bytes are taken: gives the heap's gaps back, if the process could not have them beside those within its limit,
/// then what the network that runs keeps and does not use.
pub(crate) fn make_room_within(limit: Option<usize>, bytes: usize) {
    /// What is small fits into the gaps.
    const SMALL: usize = 64 << 10;

    let Some(limit) = limit.filter(|_| bytes > SMALL) else {
        return;
    };
    let fits = || process_memory::taken() + bytes <= limit;
    if fits() {
        return;
    }
    heap::trim();
    let keeps = CACHE.with_borrow(|cache| cache.quantized.iter().any(|kept| !kept.data.is_empty()));
    if keeps && !fits() {
        CACHE.with_borrow_mut(ScratchCache::clear);
        heap::trim();
    }
}
