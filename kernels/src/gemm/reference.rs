//! Micro kernels in plain Rust: for CPUs without better, and what every other is tested against.

use super::tile::{Strided, StridedMut, Tile};

/// int8, 4 × 8, two steps of k at once so that padding is exercised everywhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReferenceI8x4x8;

impl Tile for ReferenceI8x4x8 {
    type Activation = u8;
    type Weight = i8;
    type Sum = i32;
    const MR: usize = 4;
    const NR: usize = 8;
    const KR: usize = 2;
    const SIGNED: bool = false;
    const INTERLEAVED: bool = false;

    fn run(self, groups: usize, a: Strided<'_, u8>, b: &[i8], c: StridedMut<'_, i32>, add: bool) {
        Self::check(groups, &a, b, &c);
        for (row, c) in c.data.chunks_mut(c.stride).take(Self::MR).enumerate() {
            for (column, c) in c[..Self::NR].iter_mut().enumerate() {
                let mut sum = if add { *c } else { 0 };
                for k in 0..groups * Self::KR {
                    let (group, step) = (k / Self::KR, k % Self::KR);
                    let weight = b[(group * Self::NR + column) * Self::KR + step];
                    sum += i32::from(a.data[row * a.stride + k]) * i32::from(weight);
                }
                *c = sum;
            }
        }
    }
}

/// f32, 4 × 16: plain loops over a tile that fits the registers of most CPUs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReferenceF32x4x16;

impl Tile for ReferenceF32x4x16 {
    type Activation = f32;
    type Weight = f32;
    type Sum = f32;
    const MR: usize = 4;
    const NR: usize = 16;
    const KR: usize = 1;
    const SIGNED: bool = true;
    const INTERLEAVED: bool = false;

    fn run(self, groups: usize, a: Strided<'_, f32>, b: &[f32], c: StridedMut<'_, f32>, add: bool) {
        Self::check(groups, &a, b, &c);
        let mut sums = [[0.0_f32; 16]; 4];
        if add {
            for (row, sums) in sums.iter_mut().enumerate() {
                sums.copy_from_slice(&c.data[row * c.stride..][..16]);
            }
        }
        for (k, b) in b.as_chunks::<16>().0[..groups].iter().enumerate() {
            for (row, sums) in sums.iter_mut().enumerate() {
                let a = a.data[row * a.stride + k];
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum += a * b;
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            c.data[row * c.stride..][..16].copy_from_slice(sums);
        }
    }
}
