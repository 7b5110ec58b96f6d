//! Memory that starts on a cache line, as bytes and as numbers.

#![allow(unsafe_code, reason = "numbers over bytes")]

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

use super::tile::Number;

const LINE: usize = 64;

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

/// From here on memory comes in pages of its own, which the system may make huge ones: weights are read from end to end in every
/// pass, and with pages of 4 KiB the processor looks one up, and stops reading ahead, at each of them.
const LARGE: usize = 4 << 20;

/// Bytes from a 64-byte boundary on, so that no vector load crosses two lines.
#[derive(Debug)]
pub struct Memory {
    place: Place,
    len: usize,
}

#[derive(Debug)]
enum Place {
    Lines(Vec<Line>),
    Pages(MmapMut),
}

impl Memory {
    /// So many bytes, all 0.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let pages = (len >= LARGE).then(|| MmapMut::map_anon(len));
        let place = match pages {
            Some(Ok(pages)) => {
                // Where there are none, small ones do.
                #[cfg(target_os = "linux")]
                let _ = pages.advise(memmap2::Advice::HugePage);
                Place::Pages(pages)
            }
            _ => Place::Lines(vec![Line([0; LINE]); len.div_ceil(LINE)]),
        };
        Self { place, len }
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let start = match &self.place {
            Place::Lines(lines) => lines.as_ptr().cast(),
            Place::Pages(pages) => pages.as_ptr(),
        };
        // SAFETY: `zeroed` made at least `len` bytes.
        unsafe { std::slice::from_raw_parts(start, self.len) }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        let start = match &mut self.place {
            Place::Lines(lines) => lines.as_mut_ptr().cast(),
            Place::Pages(pages) => pages.as_mut_ptr(),
        };
        // SAFETY: as in `deref`; the memory is borrowed mutably for as long as the slice.
        unsafe { std::slice::from_raw_parts_mut(start, self.len) }
    }
}

/// The numbers that these bytes are.
///
/// # Panics
/// When the bytes do not start where such a number may.
pub(super) fn numbers<T: Number>(bytes: &[u8]) -> &[T] {
    let start = bytes.as_ptr().cast::<T>();
    assert!(start.is_aligned(), "weights are not aligned");
    // SAFETY: aligned; a `Number` is a plain integer or float, for which every pattern of bits is a value.
    unsafe { std::slice::from_raw_parts(start, bytes.len() / size_of::<T>()) }
}

/// As [`numbers`], to be written.
///
/// # Panics
/// When the bytes do not start where such a number may.
pub(super) fn numbers_mut<T: Number>(bytes: &mut [u8]) -> &mut [T] {
    let start = bytes.as_mut_ptr().cast::<T>();
    assert!(start.is_aligned(), "weights are not aligned");
    // SAFETY: as in `numbers`; the bytes are borrowed mutably for as long as the numbers.
    unsafe { std::slice::from_raw_parts_mut(start, bytes.len() / size_of::<T>()) }
}

/// [`Memory`] of numbers.
#[derive(Debug)]
pub(super) struct Buffer<T> {
    memory: Memory,
    element: std::marker::PhantomData<T>,
}

impl<T: Number> Buffer<T> {
    pub(super) fn zeroed(len: usize) -> Self {
        Self {
            memory: Memory::zeroed(len * size_of::<T>()),
            element: std::marker::PhantomData,
        }
    }

    pub(super) fn as_slice(&self) -> &[T] {
        numbers(&self.memory)
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        numbers_mut(&mut self.memory)
    }
}
