//! `vpdpbusd` on 256 bits: 12 of the 16 registers hold sums.

use std::arch::x86_64::*;

use crate::gemm::tile::{Strided, StridedMut, Tile};
use crate::isa::Isa;

/// int8: unsigned activations, signed weights, four steps of k at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AvxVnniI8x6x16(());

impl AvxVnniI8x6x16 {
    pub(crate) fn new() -> Option<Self> {
        Isa::AvxVnni.is_available().then_some(Self(()))
    }
}

impl Tile for AvxVnniI8x6x16 {
    type Activation = u8;
    type Weight = i8;
    type Sum = i32;
    const MR: usize = 6;
    const NR: usize = 16;
    const KR: usize = 4;
    const SIGNED: bool = false;
    const INTERLEAVED: bool = false;

    #[inline]
    fn run(self, groups: usize, a: Strided<'_, u8>, b: &[i8], c: StridedMut<'_, i32>, add: bool) {
        Self::check(groups, &a, b, &c);
        // SAFETY: `new` found the instructions; `check` found the slices long enough for all that is touched: rows
        // 0..6 of `a` and `c`, and `groups` groups of `b`.
        unsafe {
            int8(
                groups,
                a.data.as_ptr(),
                a.stride,
                b.as_ptr(),
                c.data.as_mut_ptr(),
                c.stride,
                add,
            )
        }
    }
}

/// # Safety
/// - The CPU has AVX2 and AVX-VNNI.
/// - `a` is readable for 4 × `groups` bytes at each of 6 rows `a_stride` apart, `b` for 64 × `groups`.
/// - `c` is writable for 16 elements at each of 6 rows `c_stride` apart.
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn int8(
    groups: usize,
    a: *const u8,
    a_stride: usize,
    b: *const i8,
    c: *mut i32,
    c_stride: usize,
    add: bool,
) {
    let mut sums = [[_mm256_setzero_si256(); 2]; 6];
    // SAFETY: within the 6 rows of 16 that the caller promises.
    unsafe {
        if add {
            for (row, sums) in sums.iter_mut().enumerate() {
                let c = c.add(row * c_stride);
                *sums = [
                    _mm256_loadu_si256(c.cast()),
                    _mm256_loadu_si256(c.add(8).cast()),
                ];
            }
        }
    }
    for group in 0..groups {
        // SAFETY: the group's 64 bytes of `b` and 4 bytes of each row of `a`, as the caller promises.
        unsafe {
            let b = b.add(group * 64);
            let b0 = _mm256_loadu_si256(b.cast());
            let b1 = _mm256_loadu_si256(b.add(32).cast());
            for (row, sum) in sums.iter_mut().enumerate() {
                let a = a.add(row * a_stride + group * 4);
                let a = _mm256_set1_epi32(a.cast::<i32>().read_unaligned());
                sum[0] = _mm256_dpbusd_avx_epi32(sum[0], a, b0);
                sum[1] = _mm256_dpbusd_avx_epi32(sum[1], a, b1);
            }
        }
    }
    // SAFETY: within the 6 rows of 16 that the caller promises.
    unsafe {
        for (row, sums) in sums.iter().enumerate() {
            let c = c.add(row * c_stride);
            _mm256_storeu_si256(c.cast(), sums[0]);
            _mm256_storeu_si256(c.add(8).cast(), sums[1]);
        }
    }
}
