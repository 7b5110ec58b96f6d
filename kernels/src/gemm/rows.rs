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

    /// Copies steps `k` and on of rows `first` and on, as many of each as the parts of `to` have.
    pub(crate) fn copy<'t>(&self, first: usize, k: usize, to: impl Iterator<Item = &'t mut [A]>) {
        match self {
            Self::Matrix { rows, .. } => {
                for (row, to) in (first..).zip(to) {
                    to.copy_from_slice(&rows.data[row * rows.stride + k..][..to.len()]);
                }
            }
            Self::Windows {
                window,
                pixels,
                outside,
            } => {
                let mut position = Position::new(window, first);
                let tap = Tap::new(window, k);
                for to in to {
                    window.copy(pixels, outside, position, tap, to);
                    position.advance();
                }
            }
        }
    }
}

/// An output pixel.
#[derive(Debug, Clone, Copy)]
struct Position {
    image: usize,
    y: usize,
    x: usize,
    /// Height and width of the output.
    size: [usize; 2],
}

impl Position {
    fn new(window: &Window, row: usize) -> Self {
        let size @ [height, width] = window.output();
        let pixel = row % (height * width);
        Self {
            image: row / (height * width),
            y: pixel / width,
            x: pixel % width,
            size,
        }
    }

    /// The next; without divisions, as this is done for every few bytes that are copied.
    fn advance(&mut self) {
        self.x += 1;
        if self.x == self.size[1] {
            self.x = 0;
            self.y += 1;
            if self.y == self.size[0] {
                self.y = 0;
                self.image += 1;
            }
        }
    }
}

/// A tap of the kernel, and a channel of the pixel that it sees.
#[derive(Debug, Clone, Copy)]
struct Tap {
    y: usize,
    x: usize,
    channel: usize,
}

impl Tap {
    fn new(window: &Window, k: usize) -> Self {
        let channels = window.input[3];
        let tap = k / channels;
        Self {
            y: tap / window.kernel[1],
            x: tap % window.kernel[1],
            channel: k % channels,
        }
    }
}

impl Window {
    /// A row of the matrix that a convolution multiplies, from a tap on: for each tap the channels of a pixel.
    fn copy<A: Number>(
        &self,
        pixels: &[A],
        outside: &[A],
        at: Position,
        mut tap: Tap,
        mut to: &mut [A],
    ) {
        let [_, height, width, channels] = self.input;
        let (seen_height, seen_width) = (height * self.upsample, width * self.upsample);
        let source = |seen: usize| match self.upsample {
            1 => seen,
            times => seen / times,
        };
        while !to.is_empty() {
            // Negative, above and left of the picture, wraps and is out of range too.
            let y = (at.y * self.strides[0] + tap.y * self.dilations[0]).wrapping_sub(self.pads[0]);
            let x = (at.x * self.strides[1] + tap.x * self.dilations[1]).wrapping_sub(self.pads[1]);
            let inside = y < seen_height && x < seen_width;
            // Neighbours to the right are neighbours in memory: their taps are one run.
            let mut taps = 1;
            if inside && self.dilations[1] == 1 && self.upsample == 1 {
                taps = (self.kernel[1] - tap.x).min(seen_width - x);
            }
            let run = (taps * channels - tap.channel).min(to.len());
            let (now, later) = to.split_at_mut(run);
            if inside {
                let pixel = (at.image * height + source(y)) * width + source(x);
                now.copy_from_slice(&pixels[pixel * channels + tap.channel..][..run]);
            } else {
                now.fill(outside[at.image]);
            }
            to = later;
            // What ends within a run ends the row: no more is needed of where it ended.
            tap.channel = 0;
            tap.x += taps;
            if tap.x == self.kernel[1] {
                tap.x = 0;
                tap.y += 1;
            }
        }
    }
}
