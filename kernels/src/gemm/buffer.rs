//! Memory that starts on a cache line.

#![allow(unsafe_code, reason = "a slice of numbers over a slice of cache lines")]

use memmap2::MmapMut;

use super::tile::Number;

const LINE: usize = 64;

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

/// From here on memory comes in pages of its own, which the system may make huge ones: weights are read from end to end in every
/// pass, and with pages of 4 KiB the processor looks one up, and stops reading ahead, at each of them.
const LARGE: usize = 4 << 20;

/// Numbers on 64-byte boundaries, so that no vector load crosses two lines.
#[derive(Debug)]
pub(crate) struct Buffer<T> {
    memory: Memory,
    len: usize,
    element: std::marker::PhantomData<T>,
}

#[derive(Debug)]
enum Memory {
    Lines(Vec<Line>),
    Pages(MmapMut),
}

impl Memory {
    /// At least so many bytes, all 0.
    fn zeroed(bytes: usize) -> Self {
        if bytes >= LARGE
            && let Ok(pages) = MmapMut::map_anon(bytes)
        {
            // Where there are none, small ones do.
            #[cfg(target_os = "linux")]
            let _ = pages.advise(memmap2::Advice::HugePage);
            return Self::Pages(pages);
        }
        Self::Lines(vec![Line([0; LINE]); bytes.div_ceil(LINE)])
    }
}

impl<T: Number> Buffer<T> {
    pub(crate) fn zeroed(len: usize) -> Self {
        Self {
            memory: Memory::zeroed(len * size_of::<T>()),
            len,
            element: std::marker::PhantomData,
        }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        let start = match &self.memory {
            Memory::Lines(lines) => lines.as_ptr().cast(),
            Memory::Pages(pages) => pages.as_ptr(),
        };
        // SAFETY: `zeroed` made at least `len` numbers' worth of initialized bytes, aligned to 64 or to a page; a `Number` is
        // a plain integer or float of at most 4 bytes, for which every pattern of bits is a value.
        unsafe { std::slice::from_raw_parts(start.cast(), self.len) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        let start = match &mut self.memory {
            Memory::Lines(lines) => lines.as_mut_ptr().cast(),
            Memory::Pages(pages) => pages.as_mut_ptr(),
        };
        // SAFETY: as in `as_slice`; the memory is borrowed mutably for as long as the slice.
        unsafe { std::slice::from_raw_parts_mut(start.cast(), self.len) }
    }
}
