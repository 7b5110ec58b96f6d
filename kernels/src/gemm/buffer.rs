//! Memory that starts on a cache line.

#![allow(unsafe_code, reason = "a slice of numbers over a slice of cache lines")]

use super::tile::Number;

const LINE: usize = 64;

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

/// Numbers on 64-byte boundaries, so that no vector load crosses two lines.
#[derive(Debug)]
pub(crate) struct Buffer<T> {
    lines: Vec<Line>,
    len: usize,
    element: std::marker::PhantomData<T>,
}

impl<T: Number> Buffer<T> {
    pub(crate) fn zeroed(len: usize) -> Self {
        let lines = (len * size_of::<T>()).div_ceil(LINE);
        Self {
            lines: vec![Line([0; LINE]); lines],
            len,
            element: std::marker::PhantomData,
        }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: `zeroed` made at least `len` numbers' worth of initialized bytes, aligned to 64; a `Number` is a plain
        // integer or float of at most 4 bytes, for which every pattern of bits is a value.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as in `as_slice`; the lines are borrowed for as long as the slice.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}
