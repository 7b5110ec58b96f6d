//! The left side of a product: rows of activations, as they lie or as a convolution sees them.

use super::tile::{Number, Strided, Tile};

/// The geometry of a 2-D convolution over channels-last images `[n, height, width, channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Images, height, width and channels of the input.
    pub input: [usize; 4],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Steps between outputs, down and right.
    pub strides: [usize; 2],
    /// Steps between the kernel's taps, down and right.
    pub dilations: [usize; 2],
    /// Padding above, left, below and right.
    pub pads: [usize; 4],
    /// Each input pixel is seen this many times as high and wide (nearest neighbour): 1, or 2 where an up-sampling is fused.
    pub upsample: usize,
}

impl Window {
    /// Height and width of the output; 0 where the kernel is larger than the padded input.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        let [top, left, bottom, right] = self.pads;
        let along = |axis: usize, pads: usize| {
            let size = self.input[axis + 1] * self.upsample + pads;
            let reach = self.dilations[axis] * (self.kernel[axis] - 1) + 1;
            if size < reach {
                0
            } else {
                (size - reach) / self.strides[axis] + 1
            }
        };
        [along(0, top + bottom), along(1, left + right)]
    }

    /// Steps of k: kernel rows × columns × channels.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.input[3]
    }

    /// Whether the output's rows are the input's pixels, so that the convolution is a plain product.
    #[must_use]
    pub fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.strides == [1, 1] && self.pads == [0; 4] && self.upsample == 1
    }
}

/// Rows `[m, k]` of activations that a product reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rows<'a, A> {
    /// They lie in memory, each padded at its end to the kernels' steps of k where it can be.
    Matrix { rows: Strided<'a, A>, k: usize },
    /// A row is what the kernel's window sees; `outside[image]` where that is padding.
    Windows {
        window: &'a Window,
        pixels: &'a [A],
        outside: &'a [A],
    },
}

impl<'a, A: Number> Rows<'a, A> {
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Matrix { k, .. } => *k,
            Self::Windows { window, .. } => window.depth(),
        }
    }

    /// The rows where they lie, if a kernel can read `rows` of them from `first` on, steps `k` to `k + padded`, in place.
    pub(crate) fn in_place<T: Tile<Activation = A>>(
        &self,
        first: usize,
        k: usize,
        padded: usize,
    ) -> Option<Strided<'a, A>> {
        let Self::Matrix { rows, .. } = self else {
            return None;
        };
        let start = first * rows.stride + k;
        let end = start + (T::MR - 1) * rows.stride + padded;
        let fits = !T::INTERLEAVED && end <= rows.data.len() && k + padded <= rows.stride;
        fits.then(|| Strided {
            data: &rows.data[start..end],
            stride: rows.stride,
        })
    }

    /// Copies steps `k` to `k + steps` of row `row` to the start of `to`; what is behind them stays.
    pub(crate) fn copy(&self, row: usize, k: usize, steps: usize, to: &mut [A]) {
        match self {
            Self::Matrix { rows, .. } => {
                to[..steps].copy_from_slice(&rows.data[row * rows.stride + k..][..steps]);
            }
            Self::Windows {
                window,
                pixels,
                outside,
            } => copy_window(window, pixels, outside, row, k, &mut to[..steps]),
        }
    }
}

/// One row of the matrix that a convolution multiplies: for each tap of the kernel the channels of a pixel.
fn copy_window<A: Number>(
    window: &Window,
    pixels: &[A],
    outside: &[A],
    row: usize,
    k: usize,
    mut to: &mut [A],
) {
    let [_, height, width, channels] = window.input;
    let [out_height, out_width] = window.output();
    let (image, row) = (
        row / (out_height * out_width),
        row % (out_height * out_width),
    );
    let (out_y, out_x) = (row / out_width, row % out_width);
    let (seen_height, seen_width) = (height * window.upsample, width * window.upsample);
    let pixels = &pixels[image * height * width * channels..][..height * width * channels];
    let (mut tap, mut channel) = (k / channels, k % channels);
    while !to.is_empty() {
        let (tap_y, tap_x) = (tap / window.kernel[1], tap % window.kernel[1]);
        // Negative, above and left of the picture, wraps and is out of range too.
        let y =
            (out_y * window.strides[0] + tap_y * window.dilations[0]).wrapping_sub(window.pads[0]);
        let x =
            (out_x * window.strides[1] + tap_x * window.dilations[1]).wrapping_sub(window.pads[1]);
        let inside = y < seen_height && x < seen_width;
        // Neighbours to the right are neighbours in memory: their taps are one run.
        let mut taps = 1;
        if inside && window.dilations[1] == 1 && window.upsample == 1 {
            taps = (window.kernel[1] - tap_x).min(seen_width - x);
        }
        let run = (taps * channels - channel).min(to.len());
        let (now, later) = to.split_at_mut(run);
        if inside {
            let pixel = (y / window.upsample) * width + x / window.upsample;
            now.copy_from_slice(&pixels[pixel * channels + channel..][..run]);
        } else {
            now.fill(outside[image]);
        }
        to = later;
        tap += (channel + run) / channels;
        channel = (channel + run) % channels;
    }
}
