//! Weights that pass by: read in the order in which they are needed, a little ahead, into memory of a fixed size.
//!
//! ```text
//!             free slots                        filled slots
//!   take ───────────────────►  reader thread  ─────────────────►  take
//!   gives back the last one    reads a chunk                      waits for the next one
//! ```
//!
//! A chunk is what lies together in the cache, up to a slot's size: one read call, several small weights. Behind the last
//! chunk comes the first again, so that the next pass finds its first weights there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use easel_kernels::gemm::Memory;

use super::pack::{Block, Pack, PackError};
use crate::process_memory;

/// Bytes of a chunk, unless one part has more.
pub(crate) const CHUNK: usize = 2 << 20;

/// What weights are read from, as far as it matters to those who read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Storage {
    /// Bytes a second that it seems to give at most.
    pub(crate) rate: Option<u64>,
    /// Bytes that streams have read from it.
    pub(crate) read: Arc<AtomicU64>,
}

/// Parts of a cache, brought one after the other.
#[derive(Debug)]
pub(crate) struct Stream {
    /// By the parts' numbers: their chunk, and where they are in it.
    places: Vec<(usize, std::ops::Range<usize>)>,
    taker: Mutex<Taker>,
    reader: Option<JoinHandle<()>>,
}

/// The side that needs the weights.
#[derive(Debug)]
struct Taker {
    /// `None` only when the stream ends.
    free: Option<Sender<Memory>>,
    filled: Receiver<Filled>,
    /// The chunk in use.
    current: Option<(usize, Memory)>,
    next: Arc<Mutex<Next>>,
    generation: usize,
}

/// What the reader reads next. A change of plan makes a new generation: what was read for an older one is not wanted.
#[derive(Debug, Default)]
struct Next {
    generation: usize,
    chunk: usize,
}

#[derive(Debug)]
struct Filled {
    generation: usize,
    chunk: usize,
    memory: Memory,
    result: Result<(), PackError>,
}

/// What is read at once.
#[derive(Debug)]
struct Chunk {
    offset: u64,
    length: usize,
    parts: Vec<Block>,
}

impl Stream {
    /// Brings these parts of `pack`, which are read in this order, through about `memory` bytes: at least two chunks.
    pub(crate) fn start(
        pack: Arc<Pack>,
        parts: &[Block],
        memory: usize,
        storage: &Storage,
    ) -> std::io::Result<Self> {
        let (chunks, places) = chunks(parts);
        let slot = chunks.iter().map(|chunk| chunk.length).max().unwrap_or(0);
        let slots = (memory / slot.max(1)).clamp(2, chunks.len().max(2));
        let (free, empty) = channel();
        let (full, filled) = channel();
        for _ in 0..slots {
            // The reader is not there yet, and its end of the channel is: this cannot fail.
            let _ = free.send(Memory::zeroed(slot));
        }
        let next = Arc::<Mutex<Next>>::default();
        let reader = Reader {
            pack,
            chunks,
            empty,
            full,
            next: next.clone(),
            read: storage.read.clone(),
            pace: storage.rate.map(Pace::new),
            forget: is_more_than_fits(parts.iter().map(|part| part.bytes() as u64).sum()),
        };
        let thread = thread::Builder::new().name("weights".into());
        Ok(Self {
            places,
            taker: Mutex::new(Taker {
                free: Some(free),
                filled,
                current: None,
                next,
                generation: 0,
            }),
            reader: Some(thread.spawn(move || reader.run())?),
        })
    }

    /// Does something with the part that has this number, as soon as it is there. Parts come fastest in their order.
    pub(crate) fn with<R>(
        &self,
        part: usize,
        what: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, PackError> {
        let (chunk, place) = &self.places[part];
        let mut taker = self.taker.lock().unwrap_or_else(PoisonError::into_inner);
        taker.bring(*chunk)?;
        let (_, memory) = taker.current.as_ref().expect("bring() brought it");
        Ok(what(&memory[place.clone()]))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let taker = self.taker.get_mut().unwrap_or_else(PoisonError::into_inner);
        taker.free = None; // the reader ends when it finds no slot and nobody to bring one
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Taker {
    fn give_back(&self, memory: Memory) {
        if let Some(free) = &self.free {
            // Fails only when the reader is gone, which the next wait finds out.
            let _ = free.send(memory);
        }
    }

    /// Makes the chunk the current one.
    fn bring(&mut self, wanted: usize) -> Result<(), PackError> {
        if self
            .current
            .as_ref()
            .is_some_and(|(chunk, _)| *chunk == wanted)
        {
            return Ok(());
        }
        if let Some((_, memory)) = self.current.take() {
            self.give_back(memory);
        }
        loop {
            let Filled {
                generation,
                chunk,
                memory,
                result,
            } = self.filled.recv().map_err(|_| PackError::Ended)?;
            if generation == self.generation && chunk == wanted {
                return match result {
                    Ok(()) => {
                        self.current = Some((chunk, memory));
                        Ok(())
                    }
                    Err(error) => {
                        self.give_back(memory);
                        Err(error)
                    }
                };
            }
            if generation == self.generation {
                // Somebody stopped in the middle of a pass, or goes another way.
                self.generation += 1;
                *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Next {
                    generation: self.generation,
                    chunk: wanted,
                };
            }
            self.give_back(memory);
        }
    }
}

struct Reader {
    pack: Arc<Pack>,
    chunks: Vec<Chunk>,
    empty: Receiver<Memory>,
    full: Sender<Filled>,
    next: Arc<Mutex<Next>>,
    read: Arc<AtomicU64>,
    pace: Option<Pace>,
    /// Whether the system's cache is to free what was read: it would be gone before it is read again, and with it
    /// what other programs keep there.
    forget: bool,
}

impl Reader {
    fn run(mut self) {
        while let Ok(mut memory) = self.empty.recv() {
            let Next { generation, chunk } = {
                let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
                let following = (next.chunk + 1) % self.chunks.len();
                let Next { generation, .. } = *next;
                Next {
                    generation,
                    chunk: std::mem::replace(&mut next.chunk, following),
                }
            };
            let result = self.fill(chunk, &mut memory);
            let filled = Filled {
                generation,
                chunk,
                memory,
                result,
            };
            if self.full.send(filled).is_err() {
                return;
            }
        }
    }

    fn fill(&mut self, chunk: usize, memory: &mut [u8]) -> Result<(), PackError> {
        let chunk = &self.chunks[chunk];
        let bytes = &mut memory[..chunk.length];
        self.pack.read_at(bytes, chunk.offset)?;
        if self.forget {
            self.pack.forget(chunk.offset, chunk.length);
        }
        self.read.fetch_add(chunk.length as u64, Ordering::Relaxed);
        for part in &chunk.parts {
            let start = (part.offset() - chunk.offset) as usize;
            if !part.is(&bytes[start..][..part.bytes()]) {
                return Err(self.pack.damaged());
            }
        }
        if let Some(pace) = &mut self.pace {
            pace.wait(chunk.length as u64);
        }
        Ok(())
    }
}

/// Parts that follow each other in the file, together up to [`CHUNK`] bytes, and where each part went.
fn chunks(parts: &[Block]) -> (Vec<Chunk>, Vec<(usize, std::ops::Range<usize>)>) {
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut places = Vec::new();
    for part in parts {
        let joined = chunks.last_mut().and_then(|chunk| {
            let last = chunk.parts.last()?;
            let follows = last.is_followed_by(part);
            let start = usize::try_from(part.offset().checked_sub(chunk.offset)?).ok()?;
            let end = start.checked_add(part.bytes())?;
            (follows && end <= CHUNK).then_some((chunk, end))
        });
        match joined {
            Some((chunk, end)) => {
                chunk.length = end;
                chunk.parts.push(*part);
            }
            None => chunks.push(Chunk {
                offset: part.offset(),
                length: part.bytes(),
                parts: vec![*part],
            }),
        }
        let chunk = chunks.len() - 1;
        let start = (part.offset() - chunks[chunk].offset) as usize;
        places.push((chunk, start..start + part.bytes()));
    }
    (chunks, places)
}

/// Whether so many bytes are more than half of the memory that the system could give.
fn is_more_than_fits(bytes: u64) -> bool {
    let available = process_memory::available().map(|free| free as u64);
    available.is_some_and(|free| bytes / 2 > free)
}

/// Makes storage as slow as is wished.
#[derive(Debug)]
struct Pace {
    bytes_a_second: u64,
    /// When all that was read so far would have come.
    due: Instant,
}

impl Pace {
    fn new(bytes_a_second: u64) -> Self {
        Self {
            bytes_a_second: bytes_a_second.max(1),
            due: Instant::now(),
        }
    }

    fn wait(&mut self, bytes: u64) {
        let now = Instant::now();
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_a_second as f64);
        // Time in which nobody read is gone.
        self.due = self.due.max(now.checked_sub(takes).unwrap_or(now)) + takes;
        thread::sleep(self.due.saturating_duration_since(now));
    }
}

#[cfg(test)]
mod tests;
