//! Every micro kernel with memory that ends where its panels do: a load or a store behind them is a crash.

#![allow(unsafe_code, reason = "pages of memory that may not be touched")]

use std::ffi::{c_int, c_long, c_void};

use super::tile::{Number, Strided, StridedMut, Tile};
use super::{WithF32, WithI8, with_f32, with_i8};
use crate::isa::Isa;

// As Linux has them on each 64-bit CPU.
unsafe extern "C" {
    fn mmap(
        at: *mut c_void,
        len: usize,
        may: c_int,
        how: c_int,
        file: c_int,
        from: c_long,
    ) -> *mut c_void;
    fn mprotect(at: *mut c_void, len: usize, may: c_int) -> c_int;
    fn munmap(at: *mut c_void, len: usize) -> c_int;
}
const NOTHING: c_int = 0;
const READ_AND_WRITE: c_int = 3;
const PRIVATE_AND_ANONYMOUS: c_int = 0x22;
/// The largest page of memory that is usual.
const PAGE: usize = 64 << 10;

/// Zeros, with a page behind them that may not be touched.
struct Guarded<T> {
    pages: *mut c_void,
    size: usize,
    len: usize,
    element: std::marker::PhantomData<T>,
}

impl<T: Number> Guarded<T> {
    fn new(len: usize) -> Self {
        let size = (len * size_of::<T>()).next_multiple_of(PAGE) + PAGE;
        // SAFETY: fresh memory, at no place in particular.
        let pages = unsafe {
            mmap(
                std::ptr::null_mut(),
                size,
                READ_AND_WRITE,
                PRIVATE_AND_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(pages as isize, -1, "no memory");
        // SAFETY: the last page of that memory, which nothing refers to.
        let protected = unsafe { mprotect(pages.wrapping_byte_add(size - PAGE), PAGE, NOTHING) };
        assert_eq!(protected, 0);
        Self {
            pages,
            size,
            len,
            element: std::marker::PhantomData,
        }
    }

    fn as_mut_slice(&mut self) -> &mut [T] {
        let start = self
            .pages
            .wrapping_byte_add(self.size - PAGE - self.len * size_of::<T>());
        // SAFETY: `len` numbers right before the last page, zeros at first, borrowed as `self` is.
        unsafe { std::slice::from_raw_parts_mut(start.cast(), self.len) }
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, and no slice of it lives longer than `self`.
        unsafe { munmap(self.pages, self.size) };
    }
}

/// Runs a kernel on panels just long enough.
fn touch<T: Tile>(tile: T) {
    for groups in 0..6 {
        let k = groups * T::KR;
        let mut a = Guarded::<T::Activation>::new(T::MR * k);
        let mut b = Guarded::<T::Weight>::new(T::NR * k);
        let mut c = Guarded::<T::Sum>::new(T::MR * T::NR);
        for add in [false, true] {
            let a = Strided {
                data: &*a.as_mut_slice(),
                stride: k,
            };
            let c = StridedMut {
                data: c.as_mut_slice(),
                stride: T::NR,
            };
            tile.run(groups, a, b.as_mut_slice(), c, add);
        }
    }
}

struct Touch;

impl WithI8 for Touch {
    type Output = ();
    fn run<T: Tile>(self, tile: T) {
        touch(tile);
    }
}

impl WithF32 for Touch {
    type Output = ();
    fn run<T: Tile>(self, tile: T) {
        touch(tile);
    }
}

#[test]
fn no_kernel_touches_what_is_behind_its_panels() {
    for isa in Isa::available() {
        with_i8(isa, Touch);
        with_f32(isa, Touch);
    }
}
