//! For CPUs with int8 matrix products: `smmla`.
//!
//! One instruction multiplies 2 rows of 8 steps by 2 columns of 8 steps into 2 × 2 sums. Activations are interleaved, since
//! to pair rows in registers would take a fifth of the vector pipes' time.
//!
//! ```text
//! for each 8 steps of k:          10 loads, 24 multiply-adds: the multipliers are the limit
//!     a[0..4] = 4 pairs of rows
//!     for each of 6 pairs of columns:  b;  for each pair of rows: c[rows][columns] += a[rows]·b
//! ```

use std::arch::aarch64::*;
use std::arch::asm;

use crate::gemm::tile::{Strided, StridedMut, Tile};
use crate::isa::Isa;

/// int8 by `smmla`: 8 steps of k at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NeonI8mmI8x8x12(());

impl NeonI8mmI8x8x12 {
    pub(crate) fn new() -> Option<Self> {
        Isa::NeonI8mm.is_available().then_some(Self(()))
    }
}

impl Tile for NeonI8mmI8x8x12 {
    type Activation = u8;
    type Weight = i8;
    type Sum = i32;
    const MR: usize = 8;
    const NR: usize = 12;
    const KR: usize = 8;
    const SIGNED: bool = true;
    const INTERLEAVED: bool = true;

    #[inline]
    fn run(self, groups: usize, a: Strided<'_, u8>, b: &[i8], c: StridedMut<'_, i32>, add: bool) {
        Self::check(groups, &a, b, &c);
        // SAFETY: `new` found the instructions; `check` found the slices long enough for all that is touched: `groups`
        // groups of `a` and `b`, and rows 0..8 of `c`.
        unsafe {
            int8(
                groups,
                a.data.as_ptr(),
                b.as_ptr(),
                c.data.as_mut_ptr(),
                c.stride,
                add,
            )
        }
    }
}

/// The next pair of columns against all four pairs of rows; `$b`: the register to hold it.
macro_rules! columns {
    ($columns:literal, $b:literal) => {
        concat!(
            "ldr {b",
            $b,
            ":q}, [{b}], #16\n",
            "smmla {c0",
            $columns,
            ":v}.4s, {a0:v}.16b, {b",
            $b,
            ":v}.16b\n",
            "smmla {c1",
            $columns,
            ":v}.4s, {a1:v}.16b, {b",
            $b,
            ":v}.16b\n",
            "smmla {c2",
            $columns,
            ":v}.4s, {a2:v}.16b, {b",
            $b,
            ":v}.16b\n",
            "smmla {c3",
            $columns,
            ":v}.4s, {a3:v}.16b, {b",
            $b,
            ":v}.16b"
        )
    };
}

/// # Safety
/// - The CPU has int8 matrix products.
/// - `a` is readable for 64 × `groups` bytes, `b` for 96 × `groups`.
/// - `c` is writable for 12 elements at each of 8 rows `c_stride` apart.
#[inline(never)]
#[target_feature(enable = "neon,i8mm")]
unsafe fn int8(groups: usize, a: *const u8, b: *const i8, c: *mut i32, c_stride: usize, add: bool) {
    // Of rows 2r, 2r + 1 and columns 2n, 2n + 1: [r][n] = [upper left, upper right, lower left, lower right].
    let mut blocks = [[vdupq_n_s32(0); 6]; 4];
    if groups > 0 {
        // SAFETY: loads alone, of the `groups` groups that the caller promises.
        unsafe {
            asm!(
                "// LLVM-MCA-BEGIN neon-i8mm",
                "2:",
                "ldp {a0:q}, {a1:q}, [{a}]",
                "ldp {a2:q}, {a3:q}, [{a}, #32]",
                "add {a}, {a}, #64",
                "subs {groups}, {groups}, #1",
                columns!(0, 0),
                columns!(1, 1),
                columns!(2, 2),
                columns!(3, 3),
                columns!(4, 0),
                columns!(5, 1),
                "b.ne 2b",
                "// LLVM-MCA-END",
                groups = inout(reg) groups => _,
                a = inout(reg) a => _,
                b = inout(reg) b => _,
                a0 = out(vreg) _, a1 = out(vreg) _, a2 = out(vreg) _, a3 = out(vreg) _,
                b0 = out(vreg) _, b1 = out(vreg) _, b2 = out(vreg) _, b3 = out(vreg) _,
                c00 = inout(vreg) blocks[0][0], c01 = inout(vreg) blocks[0][1], c02 = inout(vreg) blocks[0][2],
                c03 = inout(vreg) blocks[0][3], c04 = inout(vreg) blocks[0][4], c05 = inout(vreg) blocks[0][5],
                c10 = inout(vreg) blocks[1][0], c11 = inout(vreg) blocks[1][1], c12 = inout(vreg) blocks[1][2],
                c13 = inout(vreg) blocks[1][3], c14 = inout(vreg) blocks[1][4], c15 = inout(vreg) blocks[1][5],
                c20 = inout(vreg) blocks[2][0], c21 = inout(vreg) blocks[2][1], c22 = inout(vreg) blocks[2][2],
                c23 = inout(vreg) blocks[2][3], c24 = inout(vreg) blocks[2][4], c25 = inout(vreg) blocks[2][5],
                c30 = inout(vreg) blocks[3][0], c31 = inout(vreg) blocks[3][1], c32 = inout(vreg) blocks[3][2],
                c33 = inout(vreg) blocks[3][3], c34 = inout(vreg) blocks[3][4], c35 = inout(vreg) blocks[3][5],
                options(readonly, nostack),
            );
        }
    }
    for (rows, blocks) in blocks.iter().enumerate() {
        for (four, blocks) in blocks.as_chunks::<2>().0.iter().enumerate() {
            let [left, right] = blocks.map(|block| vreinterpretq_s64_s32(block));
            let upper = vreinterpretq_s32_s64(vtrn1q_s64(left, right));
            let lower = vreinterpretq_s32_s64(vtrn2q_s64(left, right));
            for (row, sums) in [(2 * rows, upper), (2 * rows + 1, lower)] {
                // SAFETY: four of the 8 rows of 12 that the caller promises.
                unsafe {
                    let c = c.add(row * c_stride + 4 * four);
                    let before = if add { vld1q_s32(c) } else { vdupq_n_s32(0) };
                    vst1q_s32(c, vaddq_s32(before, sums));
                }
            }
        }
    }
}
