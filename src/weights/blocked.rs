//! Weights of convolutions in the order in which ONNX Runtime's CPU kernels read them, put back into the standard's.

/// How weights `[O, I, h, w]` lie in a file: output channels in blocks, and within each the input channels in blocks too if they fill
/// some; of each block its channels last, the outputs' behind the inputs'.
///
/// ```text
/// [O / B, I / B, h, w, B inputs, B outputs]      [O / B, I, h, w, B outputs] for I that B does not divide
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocked {
    pub(crate) block: usize,
    /// As the standard counts them; the last block of outputs may have more.
    pub(crate) dims: [usize; 4],
}

impl Blocked {
    /// For a tensor of these dimensions; `None` if it cannot be one.
    pub(crate) fn new(block: usize, dims: &[i64]) -> Option<Self> {
        if block == 0 {
            return None;
        }
        let dims: Vec<usize> = dims
            .iter()
            .map(|d| usize::try_from(*d).ok())
            .collect::<Option<_>>()?;
        let dims: [usize; 4] = dims.try_into().ok()?;
        let padded = dims[0].checked_next_multiple_of(block)?;
        let count = dims[1..]
            .iter()
            .try_fold(padded, |product, dim| product.checked_mul(*dim))?;
        count.checked_mul(4)?;
        (count > 0).then_some(Self { block, dims })
    }

    /// Bytes in the file.
    pub(crate) fn stored(&self) -> usize {
        let padded = self.dims[0].next_multiple_of(self.block);
        4 * padded * self.dims[1..].iter().product::<usize>()
    }

    /// Bytes in the standard's order.
    pub(crate) fn bytes(&self) -> usize {
        4 * self.dims.iter().product::<usize>()
    }

    /// The same f32 weights in the standard's order. `stored` has [`stored`](Self::stored) bytes.
    pub(crate) fn unblocked(&self, stored: &[u8]) -> Vec<u8> {
        let (block, [outputs, inputs, height, width]) = (self.block, self.dims);
        let taps = height * width;
        let within = if inputs.is_multiple_of(block) {
            block
        } else {
            1
        };
        let values = stored.as_chunks::<4>().0;
        let mut out = Vec::with_capacity(self.bytes());
        for output in 0..outputs {
            for input in 0..inputs {
                let blocks = (output / block) * (inputs / within) + input / within;
                for tap in 0..taps {
                    let row = (blocks * taps + tap) * within + input % within;
                    out.extend_from_slice(&values[row * block + output % block]);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `values` of `[O, I, h, w]`, in blocks: ONNX Runtime's loops (`MlasReorderFilterOIHWBiBo`, `MlasReorderFilterOIHWBo`).
    fn blocked(
        values: &[f32],
        [outputs, inputs, height, width]: [usize; 4],
        block: usize,
    ) -> Vec<u8> {
        let taps = height * width;
        let both = inputs.is_multiple_of(block);
        let step = if both { block } else { 1 };
        let mut out = Vec::new();
        for output in (0..outputs).step_by(block) {
            for input in (0..inputs).step_by(step) {
                for tap in 0..taps {
                    for i in input..input + step {
                        for o in output..output + block {
                            let value = if o < outputs {
                                values[(o * inputs + i) * taps + tap]
                            } else {
                                0.0
                            };
                            out.extend(value.to_le_bytes());
                        }
                    }
                }
            }
        }
        out
    }

    #[test]
    fn weights_come_back_from_their_blocks() {
        for (dims, block) in [
            ([16, 8, 3, 3], 8),
            ([3, 16, 3, 3], 8),
            ([32, 32, 1, 1], 16),
            ([8, 4, 3, 3], 8),
            ([4, 4, 1, 1], 16),
        ] {
            let values: Vec<f32> = (0..dims.iter().product::<usize>())
                .map(|at| at as f32)
                .collect();
            let stored = blocked(&values, dims, block);
            let layout = Blocked::new(block, &dims.map(|dim| dim as i64)).expect("it can be");
            assert_eq!(layout.stored(), stored.len());
            let found = layout.unblocked(&stored);
            assert_eq!(crate::weights::to_f32(&found), values, "{dims:?}");
        }
        assert_eq!(Blocked::new(8, &[i64::MAX, 8, 3, 3]), None);
        assert_eq!(Blocked::new(8, &[8, 3, 3]), None);
        assert_eq!(Blocked::new(8, &[-8, 8, 3, 3]), None);
    }
}
