//! What a micro kernel is.

use std::fmt::Debug;

/// A number that products take or give.
pub(crate) trait Number: Copy + Default + Send + Sync + Debug + 'static {}
impl Number for u8 {}
impl Number for i8 {}
impl Number for i32 {}
impl Number for f32 {}

/// A micro kernel: `c[MR][NR] (+)= a[MR][k] · b[k][NR]` in registers, for as many groups of `KR` steps of k as there are.
///
/// The value itself is the proof that the CPU has the instructions. int8 kernels give the exact sum in int32, in any
/// order; an f32 kernel adds its groups in ascending k.
///
/// Names say instruction set, element and tile: `Avx512VnniI8x12x32` has 12 rows of activations by 32 columns of weights.
pub(crate) trait Tile: Copy + Send + Sync {
    /// Activations: bytes, signed or not as [`SIGNED`](Self::SIGNED) says, or f32.
    type Activation: Number;
    /// Weights: i8 in −127…127, or f32.
    type Weight: Number;
    /// Sums.
    type Sum: Number;

    /// Rows of activations in a tile.
    const MR: usize;
    /// Columns of weights in a tile.
    const NR: usize;
    /// Steps of k that the kernel takes at once; k is padded to it.
    const KR: usize;
    /// Where the activations are bytes: whether they are i8.
    const SIGNED: bool;
    /// How a panel of activations lies: `[MR][k]` with any distance between rows, or `[k / KR][MR][KR]` without gaps.
    const INTERLEAVED: bool;

    /// One tile. `a`: activations as [`INTERLEAVED`](Self::INTERLEAVED) says (its stride is not looked at when interleaved).
    /// `b`: `[groups][NR][KR]`. `c`: `MR` rows of `NR`, set or, with `add`, added to.
    ///
    /// # Panics
    /// When a slice is too short for the tile.
    fn run(
        self,
        groups: usize,
        a: Strided<'_, Self::Activation>,
        b: &[Self::Weight],
        c: StridedMut<'_, Self::Sum>,
        add: bool,
    );

    /// Panics unless the slices hold what [`run`](Self::run) will touch.
    #[inline(always)]
    fn check(
        groups: usize,
        a: &Strided<'_, Self::Activation>,
        b: &[Self::Weight],
        c: &StridedMut<'_, Self::Sum>,
    ) {
        let k = groups * Self::KR;
        let a_needed = if Self::INTERLEAVED {
            Self::MR * k
        } else {
            (Self::MR - 1) * a.stride + k
        };
        assert!(
            a.data.len() >= a_needed && b.len() >= Self::NR * k,
            "panels cut short"
        );
        let c_needed = (Self::MR - 1) * c.stride + Self::NR;
        assert!(
            c.stride >= Self::NR && c.data.len() >= c_needed,
            "tile cut short"
        );
    }
}

/// Rows of a matrix, `stride` elements from one to the next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strided<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) stride: usize,
}

/// Rows of a matrix to be written, `stride` elements from one to the next.
#[derive(Debug)]
pub(crate) struct StridedMut<'a, T> {
    pub(crate) data: &'a mut [T],
    pub(crate) stride: usize,
}
