//! 512 bits: 24 of the 32 registers hold sums, two a row of weights, one an activation in all lanes.
//!
//! ```text
//! for each group of k:            14 loads, 24 multiply-adds: the multipliers are the limit
//!     b0, b1 = weights of 2 × 16 columns
//!     for each row: a = its activations, in every lane;  sum0 += a·b0;  sum1 += a·b1
//! ```

use std::arch::x86_64::*;

use crate::gemm::tile::{Strided, StridedMut, Tile};
use crate::isa::Isa;

/// int8 by `vpdpbusd`: unsigned activations, signed weights, four steps of k at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512VnniI8x12x32(());

impl Avx512VnniI8x12x32 {
    pub(crate) fn new() -> Option<Self> {
        Isa::Avx512Vnni.is_available().then_some(Self(()))
    }
}

impl Tile for Avx512VnniI8x12x32 {
    type Activation = u8;
    type Weight = i8;
    type Sum = i32;
    const MR: usize = 12;
    const NR: usize = 32;
    const KR: usize = 4;
    const SIGNED: bool = false;
    const INTERLEAVED: bool = false;

    #[inline]
    fn run(self, groups: usize, a: Strided<'_, u8>, b: &[i8], c: StridedMut<'_, i32>, add: bool) {
        Self::check(groups, &a, b, &c);
        // SAFETY: `new` found the instructions; `check` found the slices long enough for all that is touched: rows
        // 0..12 of `a` and `c`, and `groups` groups of `b`.
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
/// - The CPU has AVX-512 F, BW and VNNI.
/// - `a` is readable for 4 × `groups` bytes at each of 12 rows `a_stride` apart, `b` for 128 × `groups`.
/// - `c` is writable for 32 elements at each of 12 rows `c_stride` apart.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn int8(
    groups: usize,
    a: *const u8,
    a_stride: usize,
    b: *const i8,
    c: *mut i32,
    c_stride: usize,
    add: bool,
) {
    let mut sums = [[_mm512_setzero_si512(); 2]; 12];
    // SAFETY: within the 12 rows of 32 that the caller promises.
    unsafe {
        if add {
            for (row, sums) in sums.iter_mut().enumerate() {
                let c = c.add(row * c_stride);
                *sums = [
                    _mm512_loadu_si512(c.cast()),
                    _mm512_loadu_si512(c.add(16).cast()),
                ];
            }
        }
    }
    // Rows by threes: an address is one of four pointers plus 0, 1 or 2 strides, which fits the general registers.
    // SAFETY: rows 3, 6 and 9 of the 12 that the caller promises.
    let mut rows = unsafe {
        [
            a,
            a.add(3 * a_stride),
            a.add(6 * a_stride),
            a.add(9 * a_stride),
        ]
    };
    let mut b = b;
    for _ in 0..groups {
        // SAFETY: the group's 128 bytes of `b` and 4 bytes of each row of `a`, as the caller promises.
        unsafe {
            let b0 = _mm512_loadu_si512(b.cast());
            let b1 = _mm512_loadu_si512(b.add(64).cast());
            for (third, row) in rows.iter_mut().enumerate() {
                for within in 0..3 {
                    let a = row.add(within * a_stride).cast::<i32>().read_unaligned();
                    let a = _mm512_set1_epi32(a);
                    let sum = &mut sums[third * 3 + within];
                    sum[0] = _mm512_dpbusd_epi32(sum[0], a, b0);
                    sum[1] = _mm512_dpbusd_epi32(sum[1], a, b1);
                }
                *row = row.add(4);
            }
            b = b.add(128);
        }
    }
    // SAFETY: within the 12 rows of 32 that the caller promises.
    unsafe {
        for (row, sums) in sums.iter().enumerate() {
            let c = c.add(row * c_stride);
            _mm512_storeu_si512(c.cast(), sums[0]);
            _mm512_storeu_si512(c.add(16).cast(), sums[1]);
        }
    }
}

/// f32 by fused multiply-adds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512F32x12x32(());

impl Avx512F32x12x32 {
    pub(crate) fn new() -> Option<Self> {
        Isa::Avx512Vnni.is_available().then_some(Self(()))
    }
}

impl Tile for Avx512F32x12x32 {
    type Activation = f32;
    type Weight = f32;
    type Sum = f32;
    const MR: usize = 12;
    const NR: usize = 32;
    const KR: usize = 1;
    const SIGNED: bool = true;
    const INTERLEAVED: bool = false;

    #[inline]
    fn run(self, groups: usize, a: Strided<'_, f32>, b: &[f32], c: StridedMut<'_, f32>, add: bool) {
        Self::check(groups, &a, b, &c);
        // SAFETY: `new` found the instructions; `check` found the slices long enough for all that is touched: rows
        // 0..12 of `a` and `c`, and `groups` groups of `b`.
        unsafe {
            float(
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
/// - The CPU has AVX-512 F.
/// - `a` is readable for `groups` elements at each of 12 rows `a_stride` apart, `b` for 32 × `groups`.
/// - `c` is writable for 32 elements at each of 12 rows `c_stride` apart.
#[target_feature(enable = "avx512f")]
unsafe fn float(
    groups: usize,
    a: *const f32,
    a_stride: usize,
    b: *const f32,
    c: *mut f32,
    c_stride: usize,
    add: bool,
) {
    let mut sums = [[_mm512_setzero_ps(); 2]; 12];
    // SAFETY: within the 12 rows of 32 that the caller promises.
    unsafe {
        if add {
            for (row, sums) in sums.iter_mut().enumerate() {
                let c = c.add(row * c_stride);
                *sums = [_mm512_loadu_ps(c), _mm512_loadu_ps(c.add(16))];
            }
        }
    }
    // SAFETY: rows 3, 6 and 9 of the 12 that the caller promises.
    let mut rows = unsafe {
        [
            a,
            a.add(3 * a_stride),
            a.add(6 * a_stride),
            a.add(9 * a_stride),
        ]
    };
    let mut b = b;
    for _ in 0..groups {
        // SAFETY: the group's 32 elements of `b` and one element of each row of `a`, as the caller promises.
        unsafe {
            let b0 = _mm512_loadu_ps(b);
            let b1 = _mm512_loadu_ps(b.add(16));
            for (third, row) in rows.iter_mut().enumerate() {
                for within in 0..3 {
                    let a = _mm512_set1_ps(row.add(within * a_stride).read());
                    let sum = &mut sums[third * 3 + within];
                    sum[0] = _mm512_fmadd_ps(a, b0, sum[0]);
                    sum[1] = _mm512_fmadd_ps(a, b1, sum[1]);
                }
                *row = row.add(1);
            }
            b = b.add(32);
        }
    }
    // SAFETY: within the 12 rows of 32 that the caller promises.
    unsafe {
        for (row, sums) in sums.iter().enumerate() {
            let c = c.add(row * c_stride);
            _mm512_storeu_ps(c, sums[0]);
            _mm512_storeu_ps(c.add(16), sums[1]);
        }
    }
}
