//! For CPUs without dot products (Cortex-A53, A72): `smull`, `smlal`, `sadalp`.
//!
//! A product of bytes needs 15 bits, and two of them fit 16 since no weight is −128: 2 · 128 · 127 < 2¹⁵. So two
//! products are added in 16 bits before one instruction adds pairs of those to the sums. Lanes are steps of k: each of the
//! 4 × 4 sums is a register of four parts, added up at the end.
//!
//! ```text
//! for each 16 steps of k:         16 loads of 64 bits, 48 multiplications and additions: those are the limit
//!     for each column, for each row:
//!         t  = b[column][0..8]  · a[row][0..8]          smull
//!         t += b[column][8..16] · a[row][8..16]         smlal
//!         c[row][column] += pairs of t                  sadalp
//! ```
//!
//! An in-order core would wait on each of the three for the one before. So they are taken from different products: step i
//! has `sadalp` of product i − 4, `smull` of product i and `smlal` of product i − 2, and the last ones of a group of k run
//! in the next. Before the first group `t` and the weights are 0, so what "the group before" adds is 0.
//!
//! Loads are of 64 bits, half of a row's 16, because the A53 issues those, and not loads of 128, beside a multiplication.

use std::arch::aarch64::*;
use std::arch::asm;

use crate::gemm::tile::{Strided, StridedMut, Tile};
use crate::isa::Isa;

/// int8 by widening multiplications, 16 steps of k at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NeonI8x4x4(());

impl NeonI8x4x4 {
    pub(crate) fn new() -> Option<Self> {
        Isa::Neon.is_available().then_some(Self(()))
    }
}

impl Tile for NeonI8x4x4 {
    type Activation = u8;
    type Weight = i8;
    type Sum = i32;
    const MR: usize = 4;
    const NR: usize = 4;
    const KR: usize = 16;
    const SIGNED: bool = true;
    const INTERLEAVED: bool = false;

    #[inline]
    fn run(self, groups: usize, a: Strided<'_, u8>, b: &[i8], c: StridedMut<'_, i32>, add: bool) {
        Self::check(groups, &a, b, &c);
        // SAFETY: `new` found the instructions; `check` found the slices long enough for all that is touched: rows
        // 0..4 of `a` and `c`, and `groups` groups of `b`.
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

/// Adds pairs of `t[row]`, of which both multiplications are done, to `c[row][column]`.
#[rustfmt::skip]
macro_rules! finish {
    ($row:literal, $column:literal) => {
        concat!("sadalp {c", $row, $column, ":v}.4s, {t", $row, ":v}.8h")
    };
}

/// `t[row] = b · a[row]` of the lower 8 steps; `$b`: which of two registers holds the column.
#[rustfmt::skip]
macro_rules! begin {
    ($row:literal, $b:literal) => {
        concat!("smull {t", $row, ":v}.8h, {b", $b, "l:v}.8b, {a", $row, "l:v}.8b")
    };
}

/// `t[row] += b · a[row]` of the higher 8 steps.
#[rustfmt::skip]
macro_rules! go_on {
    ($row:literal, $b:literal) => {
        concat!("smlal {t", $row, ":v}.8h, {b", $b, "h:v}.8b, {a", $row, "h:v}.8b")
    };
}

/// # Safety
/// - The CPU has NEON.
/// - `a` is readable for 16 × `groups` bytes at each of 4 rows `a_stride` apart, `b` for 64 × `groups`.
/// - `c` is writable for 4 elements at each of 4 rows `c_stride` apart.
#[inline(never)]
#[target_feature(enable = "neon")]
unsafe fn int8(
    groups: usize,
    a: *const u8,
    a_stride: usize,
    b: *const i8,
    c: *mut i32,
    c_stride: usize,
    add: bool,
) {
    let mut parts = [[vdupq_n_s32(0); 4]; 4];
    let row = |row: usize| a.wrapping_add(row * a_stride);
    let high = |row: usize| a.wrapping_add(row * a_stride + 8);
    if groups > 0 {
        // SAFETY: loads alone. `at` and `b` run over the groups and stay on the last, of whose bytes the loads for a group
        // after it read some once more.
        unsafe {
            asm!(
                "ldr {a0l:d}, [{low0}]",
                "ldr {a1l:d}, [{low1}]",
                "ldr {a2l:d}, [{low2}]",
                "ldr {a3l:d}, [{low3}]",
                "ldr {b0l:d}, [{b}]",
                "movi {b1h:v}.2d, #0",
                "// LLVM-MCA-BEGIN neon",
                "2:",
                finish!(0, 3), go_on!(2, 1), begin!(0, 0), // column 0
                "ldr {a0h:d}, [{high0}, {at}]",
                "ldr {b0h:d}, [{b}, #8]",
                finish!(1, 3), go_on!(3, 1), begin!(1, 0),
                "ldr {a1h:d}, [{high1}, {at}]",
                "ldr {b1l:d}, [{b}, #16]",
                finish!(2, 3), go_on!(0, 0), begin!(2, 0),
                "ldr {a2h:d}, [{high2}, {at}]",
                finish!(3, 3), go_on!(1, 0), begin!(3, 0),
                "ldr {a3h:d}, [{high3}, {at}]",
                "ldr {b1h:d}, [{b}, #24]",
                finish!(0, 0), go_on!(2, 0), begin!(0, 1), // column 1
                finish!(1, 0), go_on!(3, 0), begin!(1, 1),
                "ldr {b0h:d}, [{b}, #40]",
                "subs {groups}, {groups}, #1",
                finish!(2, 0), go_on!(0, 1), begin!(2, 1),
                "ldr {b0l:d}, [{b}, #32]",
                finish!(3, 0), go_on!(1, 1), begin!(3, 1),
                "ldr {b1l:d}, [{b}, #48]",
                "csel {step}, {step}, xzr, ne", // after the last group stay there
                finish!(0, 1), go_on!(2, 1), begin!(0, 0), // column 2
                finish!(1, 1), go_on!(3, 1), begin!(1, 0),
                "ldr {b1h:d}, [{b}, #56]",
                "add {b}, {b}, {step}, lsl #2",
                finish!(2, 1), go_on!(0, 0), begin!(2, 0),
                finish!(3, 1), go_on!(1, 0), begin!(3, 0),
                "add {at}, {at}, {step}",
                finish!(0, 2), go_on!(2, 0), begin!(0, 1), // column 3
                finish!(1, 2), go_on!(3, 0), begin!(1, 1),
                "ldr {b0l:d}, [{b}]",
                "ldr {a0l:d}, [{low0}, {at}]",
                finish!(2, 2), go_on!(0, 1), begin!(2, 1),
                "ldr {a1l:d}, [{low1}, {at}]",
                finish!(3, 2), go_on!(1, 1), begin!(3, 1),
                "ldr {a2l:d}, [{low2}, {at}]",
                "ldr {a3l:d}, [{low3}, {at}]",
                "b.ne 2b",
                "// LLVM-MCA-END",
                finish!(0, 3), go_on!(2, 1),
                finish!(1, 3), go_on!(3, 1),
                finish!(2, 3),
                finish!(3, 3),
                groups = inout(reg) groups => _,
                step = inout(reg) 16_usize => _,
                b = inout(reg) b => _,
                at = inout(reg) 0_usize => _,
                low0 = in(reg) row(0), low1 = in(reg) row(1), low2 = in(reg) row(2), low3 = in(reg) row(3),
                high0 = in(reg) high(0), high1 = in(reg) high(1), high2 = in(reg) high(2), high3 = in(reg) high(3),
                a0l = out(vreg) _, a1l = out(vreg) _, a2l = out(vreg) _, a3l = out(vreg) _,
                a0h = out(vreg) _, a1h = out(vreg) _, a2h = out(vreg) _, a3h = out(vreg) _,
                b0l = out(vreg) _, b0h = out(vreg) _, b1l = out(vreg) _, b1h = out(vreg) _,
                t0 = inout(vreg) vdupq_n_s16(0) => _, t1 = inout(vreg) vdupq_n_s16(0) => _,
                t2 = inout(vreg) vdupq_n_s16(0) => _, t3 = inout(vreg) vdupq_n_s16(0) => _,
                c00 = inout(vreg) parts[0][0], c01 = inout(vreg) parts[0][1],
                c02 = inout(vreg) parts[0][2], c03 = inout(vreg) parts[0][3],
                c10 = inout(vreg) parts[1][0], c11 = inout(vreg) parts[1][1],
                c12 = inout(vreg) parts[1][2], c13 = inout(vreg) parts[1][3],
                c20 = inout(vreg) parts[2][0], c21 = inout(vreg) parts[2][1],
                c22 = inout(vreg) parts[2][2], c23 = inout(vreg) parts[2][3],
                c30 = inout(vreg) parts[3][0], c31 = inout(vreg) parts[3][1],
                c32 = inout(vreg) parts[3][2], c33 = inout(vreg) parts[3][3],
                options(readonly, nostack),
            );
        }
    }
    for (row, [c0, c1, c2, c3]) in parts.into_iter().enumerate() {
        let sums = vpaddq_s32(vpaddq_s32(c0, c1), vpaddq_s32(c2, c3));
        // SAFETY: one of the 4 rows of 4 that the caller promises.
        unsafe {
            let c = c.add(row * c_stride);
            let before = if add { vld1q_s32(c) } else { vdupq_n_s32(0) };
            vst1q_s32(c, vaddq_s32(before, sums));
        }
    }
}
