//! 8 × 8 by instructions that multiply a vector by one lane of another: `sdot` and `fmla`.
//!
//! Both see 32 bits a lane, four steps of k in bytes or one in f32, so that one loop serves both. Activations are read
//! where they lie, no interleaving: a register holds one row, a lane one group of k.
//!
//! ```text
//! for each two groups of k:       8 loads of 64 bits, 4 of 128, 32 multiply-adds: the multipliers are the limit
//!     for each row r:             c[r][0] += b[0]·a[r][lane 0];  c[r][1] += b[1]·a[r][lane 0]
//!         meanwhile load the second group's b
//!     for each row r:             c[r][0] += b[2]·a[r][lane 1];  c[r][1] += b[3]·a[r][lane 1]
//!         meanwhile load the next a[r] and the next two groups' first b
//! ```
//!
//! Every load stands well before its use and between two multiplications, as an in-order core wants it. The loads of
//! activations are of 64 bits because the A53 and A55 issue those, and not loads of 128, beside a multiplication.

use std::arch::aarch64::*;
use std::arch::asm;

use crate::gemm::tile::{Strided, StridedMut, Tile};
use crate::isa::Isa;

/// int8 by `sdot`: four steps of k at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NeonDotI8x8x8(());

impl NeonDotI8x8x8 {
    pub(crate) fn new() -> Option<Self> {
        Isa::NeonDot.is_available().then_some(Self(()))
    }
}

impl Tile for NeonDotI8x8x8 {
    type Activation = u8;
    type Weight = i8;
    type Sum = i32;
    const MR: usize = 8;
    const NR: usize = 8;
    const KR: usize = 4;
    const SIGNED: bool = true;
    const INTERLEAVED: bool = false;

    #[inline]
    fn run(self, groups: usize, a: Strided<'_, u8>, b: &[i8], c: StridedMut<'_, i32>, add: bool) {
        Self::check(groups, &a, b, &c);
        // SAFETY: `new` found the instructions; `check` found the slices long enough for all that is touched: rows
        // 0..8 of `a` and `c`, and `groups` groups of `b`.
        unsafe {
            dot(
                groups,
                a.data.as_ptr(),
                a.stride,
                b.as_ptr().cast(),
                c.data.as_mut_ptr().cast(),
                c.stride,
                add,
            )
        }
    }
}

/// f32 by `fmla`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NeonF32x8x8(());

impl NeonF32x8x8 {
    pub(crate) fn new() -> Option<Self> {
        Isa::Neon.is_available().then_some(Self(()))
    }
}

impl Tile for NeonF32x8x8 {
    type Activation = f32;
    type Weight = f32;
    type Sum = f32;
    const MR: usize = 8;
    const NR: usize = 8;
    const KR: usize = 1;
    const SIGNED: bool = true;
    const INTERLEAVED: bool = false;

    #[inline]
    fn run(self, groups: usize, a: Strided<'_, f32>, b: &[f32], c: StridedMut<'_, f32>, add: bool) {
        Self::check(groups, &a, b, &c);
        // SAFETY: `new` found the instructions; `check` found the slices long enough for all that is touched: rows
        // 0..8 of `a` and `c`, and `groups` groups of `b`.
        unsafe {
            float(
                groups,
                a.data.as_ptr().cast(),
                a.stride * size_of::<f32>(),
                b.as_ptr().cast(),
                c.data.as_mut_ptr().cast(),
                c.stride,
                add,
            )
        }
    }
}

/// One row, one group of k: `c[row] += b · a[row][lane]`, for both vectors of columns.
#[rustfmt::skip]
macro_rules! row {
    ($op:literal, $row:literal, $lane:literal, $b0:literal, $b1:literal, $bytes:literal, $group:literal) => {
        concat!(
            $op, " {c", $row, "0:v}.4s, {b", $b0, ":v}", $bytes, ", {a", $row, ":v}", $group, "[", $lane, "]\n",
            $op, " {c", $row, "1:v}.4s, {b", $b1, ":v}", $bytes, ", {a", $row, ":v}", $group, "[", $lane, "]"
        )
    };
}

/// A row of the first group of two.
macro_rules! first {
    ($op:literal, $row:literal, $bytes:literal, $group:literal) => {
        row!($op, $row, 0, 0, 1, $bytes, $group)
    };
}

/// A row of the second group of two, and the load of the row's next activations.
#[rustfmt::skip]
macro_rules! second {
    ($op:literal, $row:literal, $bytes:literal, $group:literal) => {
        concat!(
            row!($op, $row, 1, 2, 3, $bytes, $group),
            "\nldr {a", $row, ":d}, [{row", $row, "}, {at}]"
        )
    };
}

/// Defines the kernel of an instruction: its name, how it reads weights (`$bytes`) and a lane of activations (`$group`).
macro_rules! kernel {
    ($(#[$attribute:meta])* $name:ident, $mark:literal, $op:literal, $bytes:literal, $group:literal) => {
        $(#[$attribute])*
        /// - `a` is readable for 4 × `groups` bytes at each of 8 rows `a_stride` bytes apart, `b` for 32 × `groups` bytes.
        /// - `c` is writable for 8 elements at each of 8 rows `c_stride` elements apart.
        #[inline(never)]
        unsafe fn $name(
            groups: usize,
            a: *const u8,
            a_stride: usize,
            b: *const u8,
            c: *mut u32,
            c_stride: usize,
            add: bool,
        ) {
            let mut c_tile = [[vdupq_n_u32(0); 2]; 8];
            // SAFETY: within the 8 rows of 8 that the caller promises.
            unsafe {
                if add {
                    for (row, c_tile) in c_tile.iter_mut().enumerate() {
                        let c = c.add(row * c_stride);
                        *c_tile = [vld1q_u32(c), vld1q_u32(c.add(4))];
                    }
                }
            }
            let row = |row: usize| a.wrapping_add(row * a_stride);
            // The last group, where it has no partner.
            let (last_at, last_b) = (groups.wrapping_sub(1) * 4, b.wrapping_add(groups.wrapping_sub(1) * 32));
            // SAFETY: loads alone. `at` runs over the pairs of groups and stays on the last, whose bytes the loads for a
            // pair after it read once more; `last_at` and `last_b` are used where `groups` is odd, so not 0.
            unsafe {
                asm!(
                    "cbz {pairs}, 3f",
                    "ldp {b0:q}, {b1:q}, [{b}]",
                    "ldr {a0:d}, [{row0}]",
                    "ldr {a1:d}, [{row1}]",
                    "ldr {a2:d}, [{row2}]",
                    "ldr {a3:d}, [{row3}]",
                    "ldr {a4:d}, [{row4}]",
                    "ldr {a5:d}, [{row5}]",
                    "ldr {a6:d}, [{row6}]",
                    "ldr {a7:d}, [{row7}]",
                    concat!("// LLVM-MCA-BEGIN ", $mark),
                    "2:",
                    first!($op, 0, $bytes, $group),
                    "ldr {b2:q}, [{b}, #32]",
                    first!($op, 1, $bytes, $group),
                    "ldr {b3:q}, [{b}, #48]",
                    first!($op, 2, $bytes, $group),
                    "subs {pairs}, {pairs}, #1",
                    first!($op, 3, $bytes, $group),
                    "csel {step}, {step}, xzr, ne", // after the last pair stay there
                    first!($op, 4, $bytes, $group),
                    "add {at}, {at}, {step}",
                    first!($op, 5, $bytes, $group),
                    "add {b}, {b}, {step}, lsl #3",
                    first!($op, 6, $bytes, $group),
                    first!($op, 7, $bytes, $group),
                    second!($op, 0, $bytes, $group),
                    "ldr {b0:q}, [{b}]",
                    second!($op, 1, $bytes, $group),
                    "ldr {b1:q}, [{b}, #16]",
                    second!($op, 2, $bytes, $group),
                    second!($op, 3, $bytes, $group),
                    second!($op, 4, $bytes, $group),
                    second!($op, 5, $bytes, $group),
                    second!($op, 6, $bytes, $group),
                    second!($op, 7, $bytes, $group),
                    "b.ne 2b",
                    "// LLVM-MCA-END",
                    "3:",
                    "tbz {groups}, #0, 4f",
                    "ldp {b0:q}, {b1:q}, [{last_b}]",
                    "ldr {a0:s}, [{row0}, {last_at}]",
                    "ldr {a1:s}, [{row1}, {last_at}]",
                    "ldr {a2:s}, [{row2}, {last_at}]",
                    "ldr {a3:s}, [{row3}, {last_at}]",
                    "ldr {a4:s}, [{row4}, {last_at}]",
                    "ldr {a5:s}, [{row5}, {last_at}]",
                    "ldr {a6:s}, [{row6}, {last_at}]",
                    "ldr {a7:s}, [{row7}, {last_at}]",
                    first!($op, 0, $bytes, $group),
                    first!($op, 1, $bytes, $group),
                    first!($op, 2, $bytes, $group),
                    first!($op, 3, $bytes, $group),
                    first!($op, 4, $bytes, $group),
                    first!($op, 5, $bytes, $group),
                    first!($op, 6, $bytes, $group),
                    first!($op, 7, $bytes, $group),
                    "4:",
                    groups = in(reg) groups,
                    pairs = inout(reg) groups / 2 => _,
                    at = inout(reg) 0_usize => _,
                    step = inout(reg) 8_usize => _,
                    b = inout(reg) b => _,
                    last_at = in(reg) last_at,
                    last_b = in(reg) last_b,
                    row0 = in(reg) row(0), row1 = in(reg) row(1), row2 = in(reg) row(2), row3 = in(reg) row(3),
                    row4 = in(reg) row(4), row5 = in(reg) row(5), row6 = in(reg) row(6), row7 = in(reg) row(7),
                    a0 = out(vreg) _, a1 = out(vreg) _, a2 = out(vreg) _, a3 = out(vreg) _,
                    a4 = out(vreg) _, a5 = out(vreg) _, a6 = out(vreg) _, a7 = out(vreg) _,
                    b0 = out(vreg) _, b1 = out(vreg) _, b2 = out(vreg) _, b3 = out(vreg) _,
                    c00 = inout(vreg) c_tile[0][0], c01 = inout(vreg) c_tile[0][1],
                    c10 = inout(vreg) c_tile[1][0], c11 = inout(vreg) c_tile[1][1],
                    c20 = inout(vreg) c_tile[2][0], c21 = inout(vreg) c_tile[2][1],
                    c30 = inout(vreg) c_tile[3][0], c31 = inout(vreg) c_tile[3][1],
                    c40 = inout(vreg) c_tile[4][0], c41 = inout(vreg) c_tile[4][1],
                    c50 = inout(vreg) c_tile[5][0], c51 = inout(vreg) c_tile[5][1],
                    c60 = inout(vreg) c_tile[6][0], c61 = inout(vreg) c_tile[6][1],
                    c70 = inout(vreg) c_tile[7][0], c71 = inout(vreg) c_tile[7][1],
                    options(readonly, nostack),
                );
            }
            // SAFETY: within the 8 rows of 8 that the caller promises.
            unsafe {
                for (row, c_tile) in c_tile.iter().enumerate() {
                    let c = c.add(row * c_stride);
                    vst1q_u32(c, c_tile[0]);
                    vst1q_u32(c.add(4), c_tile[1]);
                }
            }
        }
    };
}

kernel!(
    /// # Safety
    /// - The CPU has dot products.
    #[target_feature(enable = "neon,dotprod")]
    dot, "neon-dot", "sdot", ".16b", ".4b"
);

kernel!(
    /// # Safety
    /// - The CPU has NEON.
    #[target_feature(enable = "neon")]
    float, "neon-f32", "fmla", ".4s", ".s"
);
