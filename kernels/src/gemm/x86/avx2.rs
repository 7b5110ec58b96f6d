//! 256 bits, for CPUs without VNNI.

use std::arch::x86_64::*;

use crate::gemm::tile::{Strided, StridedMut, Tile};
use crate::isa::Isa;

/// int8 by `vpmaddwd`: bytes are widened to 16 bits, since `vpmaddubsw` would saturate; two steps of k at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2I8x6x16(());

impl Avx2I8x6x16 {
    pub(crate) fn new() -> Option<Self> {
        Isa::Avx2.is_available().then_some(Self(()))
    }
}

impl Tile for Avx2I8x6x16 {
    type Activation = u8;
    type Weight = i8;
    type Sum = i32;
    const MR: usize = 6;
    const NR: usize = 16;
    const KR: usize = 2;
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
/// - The CPU has AVX2.
/// - `a` is readable for 2 × `groups` bytes at each of 6 rows `a_stride` apart, `b` for 32 × `groups`.
/// - `c` is writable for 16 elements at each of 6 rows `c_stride` apart.
#[target_feature(enable = "avx2")]
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
        // SAFETY: the group's 32 bytes of `b` and 2 bytes of each row of `a`, as the caller promises.
        unsafe {
            let b = b.add(group * 32);
            let b0 = _mm256_cvtepi8_epi16(_mm_loadu_si128(b.cast()));
            let b1 = _mm256_cvtepi8_epi16(_mm_loadu_si128(b.add(16).cast()));
            for (row, sum) in sums.iter_mut().enumerate() {
                let a = a.add(row * a_stride + group * 2);
                let a = _mm_set1_epi16(a.cast::<i16>().read_unaligned());
                let a = _mm256_cvtepu8_epi16(a);
                sum[0] = _mm256_add_epi32(sum[0], _mm256_madd_epi16(a, b0));
                sum[1] = _mm256_add_epi32(sum[1], _mm256_madd_epi16(a, b1));
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

/// f32 by fused multiply-adds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2F32x6x16(());

impl Avx2F32x6x16 {
    pub(crate) fn new() -> Option<Self> {
        Isa::Avx2.is_available().then_some(Self(()))
    }
}

impl Tile for Avx2F32x6x16 {
    type Activation = f32;
    type Weight = f32;
    type Sum = f32;
    const MR: usize = 6;
    const NR: usize = 16;
    const KR: usize = 1;
    const SIGNED: bool = true;
    const INTERLEAVED: bool = false;

    #[inline]
    fn run(self, groups: usize, a: Strided<'_, f32>, b: &[f32], c: StridedMut<'_, f32>, add: bool) {
        Self::check(groups, &a, b, &c);
        // SAFETY: `new` found the instructions; `check` found the slices long enough for all that is touched: rows
        // 0..6 of `a` and `c`, and `groups` groups of `b`.
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
/// - The CPU has AVX2 and FMA.
/// - `a` is readable for `groups` elements at each of 6 rows `a_stride` apart, `b` for 16 × `groups`.
/// - `c` is writable for 16 elements at each of 6 rows `c_stride` apart.
#[target_feature(enable = "avx2,fma")]
unsafe fn float(
    groups: usize,
    a: *const f32,
    a_stride: usize,
    b: *const f32,
    c: *mut f32,
    c_stride: usize,
    add: bool,
) {
    let mut sums = [[_mm256_setzero_ps(); 2]; 6];
    // SAFETY: within the 6 rows of 16 that the caller promises.
    unsafe {
        if add {
            for (row, sums) in sums.iter_mut().enumerate() {
                let c = c.add(row * c_stride);
                *sums = [_mm256_loadu_ps(c), _mm256_loadu_ps(c.add(8))];
            }
        }
    }
    for group in 0..groups {
        // SAFETY: the group's 16 elements of `b` and one element of each row of `a`, as the caller promises.
        unsafe {
            let b = b.add(group * 16);
            let (b0, b1) = (_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8)));
            for (row, sum) in sums.iter_mut().enumerate() {
                let a = _mm256_set1_ps(a.add(row * a_stride + group).read());
                sum[0] = _mm256_fmadd_ps(a, b0, sum[0]);
                sum[1] = _mm256_fmadd_ps(a, b1, sum[1]);
            }
        }
    }
    // SAFETY: within the 6 rows of 16 that the caller promises.
    unsafe {
        for (row, sums) in sums.iter().enumerate() {
            let c = c.add(row * c_stride);
            _mm256_storeu_ps(c, sums[0]);
            _mm256_storeu_ps(c.add(8), sums[1]);
        }
    }
}
