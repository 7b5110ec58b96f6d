//! What `EaselLinear` and `EaselConv2d` have in common: weights, and a product with them.

mod rows;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use easel_kernels::gemm::{
    ActivationLayout, Activations, Epilogue, Left, Memory, Order, Part, WeightsF32, WeightsI8,
};
use easel_kernels::quantize::{Quantized, fit, quantize_images, quantize_rest, quantize_rows};
use tract_core::internal::*;
use tract_onnx::pb::NodeProto;

use super::{Engine, Scratch, floats, list, output, scratch};
use crate::weights::{PackError, Stream};

/// The weights of a node: known by number when the graph is made, there before it runs.
#[derive(Clone)]
pub(in crate::runtime) struct Product {
    /// Place among the weights that the passes found.
    pub(in crate::runtime) weight: usize,
    /// Columns: output channels.
    pub(super) columns: usize,
    /// Input channels.
    pub(super) depth: usize,
    /// The second half of the columns gates the first: see [`Order::gated`].
    pub(in crate::runtime) gated: bool,
    /// Convolutions quantize activations to 16 bits: see where it is set.
    pub(in crate::runtime) activations16: bool,
    packed: Arc<OnceLock<Packed>>,
}

/// Weights as the kernels read them.
pub(in crate::runtime) struct Packed {
    pub(in crate::runtime) weights: Weights,
    pub(in crate::runtime) panels: Panels,
    /// In packed order.
    pub(in crate::runtime) bias: Option<Vec<f32>>,
}

/// All about the weights but their panels.
pub(in crate::runtime) enum Weights {
    F32(WeightsF32),
    I8(WeightsI8),
}

/// Where the panels are.
pub(in crate::runtime) enum Panels {
    /// In memory, all of them.
    Here(Memory),
    /// They come when they are needed: columns, and the number of the part that has them.
    Streamed(Arc<Stream>, Vec<(Range<usize>, usize)>),
}

impl Packed {
    /// Multiplies with all columns, part by part.
    fn each_part(&self, mut multiply: impl FnMut(Part<'_>)) -> Result<(), PackError> {
        match &self.panels {
            Panels::Here(panels) => {
                let columns = 0..self.weights.columns();
                multiply(Part { columns, panels });
            }
            Panels::Streamed(stream, parts) => {
                for (columns, part) in parts {
                    let columns = columns.clone();
                    stream.with(*part, |panels| multiply(Part { columns, panels }))?;
                }
            }
        }
        Ok(())
    }
}

impl Weights {
    pub(in crate::runtime) fn columns(&self) -> usize {
        match self {
            Self::F32(weights) => weights.columns(),
            Self::I8(weights) => weights.columns(),
        }
    }

    pub(in crate::runtime) fn parts(&self, most: usize) -> Vec<Range<usize>> {
        match self {
            Self::F32(weights) => weights.parts(most),
            Self::I8(weights) => weights.parts(most),
        }
    }

    pub(in crate::runtime) fn part_bytes(&self, columns: &Range<usize>) -> usize {
        match self {
            Self::F32(weights) => weights.part_bytes(columns),
            Self::I8(weights) => weights.part_bytes(columns),
        }
    }
}

impl std::fmt::Debug for Product {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "weight {} {}→{}", self.weight, self.depth, self.columns)
    }
}

impl PartialEq for Product {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.packed, &other.packed)
    }
}

impl Product {
    pub(super) fn parse(node: &NodeProto) -> TractResult<Self> {
        let [weight] = list(node, "weight")?;
        let [columns] = list(node, "columns")?;
        let [depth] = list(node, "depth")?;
        Ok(Self {
            weight,
            columns,
            depth,
            gated: false,
            activations16: false,
            packed: Arc::default(),
        })
    }

    /// Whether gates can be taken into the product.
    pub(in crate::runtime) fn can_be_gated(&self) -> bool {
        !self.gated && Order::columns_first(self.columns, self.depth).can_be_gated()
    }

    /// Columns of the weights.
    pub(in crate::runtime) fn columns(&self) -> usize {
        self.columns
    }

    /// Input channels.
    pub(in crate::runtime) fn depth(&self) -> usize {
        self.depth
    }

    /// Columns of the output.
    pub(super) fn outputs(&self) -> usize {
        if self.gated {
            self.columns / 2
        } else {
            self.columns
        }
    }

    /// Gives the node its weights.
    pub(in crate::runtime) fn set(&self, packed: Packed) -> Result<(), String> {
        self.packed
            .set(packed)
            .map_err(|_| format!("weight {} belongs to two nodes", self.weight))
    }

    /// The weights. While the network is built they are not there: who computes constants with them is told to wait.
    fn packed(&self) -> TractResult<&Packed> {
        let early = || tract_data::TooEarly::Other("the weights are not there yet".into());
        Ok(self.packed.get().ok_or_else(early)?)
    }

    /// What the weights are.
    pub(super) fn kind(&self) -> &'static str {
        match self.packed.get().map(|packed| &packed.weights) {
            Some(Weights::F32(_)) => "f32",
            Some(Weights::I8(_)) => "int8",
            None => "",
        }
    }

    /// What multiplying `rows` of `depth` numbers takes.
    pub(super) fn scratch(&self, rows: usize, depth: usize, int8: bool) -> Scratch {
        /// Rows are padded to no more, and each has a scale and a zero point.
        const MULTIPLE: usize = 64;
        const ROW: usize = 8;

        if !int8 {
            return Scratch::default();
        }
        let quantized = rows * (depth.next_multiple_of(MULTIPLE.min(depth)) + ROW);
        Scratch {
            kept: if self.activations16 {
                2 * quantized
            } else {
                quantized
            },
            own: 0,
            replaces_input: true,
        }
    }

    /// `epilogue(left · weights)`, where the bias comes with the weights. `row`: numbers of `x` that are quantized
    /// together, a token or an image. When `x` has been quantized it may leave: nobody reads it again.
    pub(super) fn run(
        &self,
        engine: &Engine,
        left: Left<'_>,
        x: &mut TValue,
        row: usize,
        epilogue: &Epilogue<'_>,
        shape: &[usize],
    ) -> TractResult<Tensor> {
        let packed = self.packed()?;
        let threads = &engine.threads;
        let epilogue = Epilogue {
            bias: packed.bias.as_deref(),
            ..*epilogue
        };
        let weights = match &packed.weights {
            Weights::F32(weights) => {
                let x = floats(x)?;
                return output(shape, |out| {
                    Ok(packed.each_part(|part| {
                        weights.multiply_part(threads, part, left, x, &epilogue, out);
                    })?)
                });
            }
            Weights::I8(weights) => weights,
        };
        scratch::with_quantized(|[coarse, rest]| {
            let numbers = floats(x)?;
            if numbers.is_empty() {
                return output(shape, |_| Ok(()));
            }
            let stride = quantize(engine, weights, left, numbers, row, coarse);
            let onto = self.activations16 && matches!(left, Left::Images(_));
            if onto {
                let format = weights.activations().format;
                quantize_rest(engine.level, threads, format, numbers, coarse, rest);
            }
            let x = std::mem::replace(x, Tensor::default().into_tvalue());
            drop(x);
            output(shape, |out| {
                let each = packed.each_part(|part| {
                    let mut multiply =
                        |part: Part<'_>, quantized: &Quantized, epilogue: &Epilogue<'_>| {
                            let Quantized {
                                data,
                                scales,
                                zeros,
                            } = quantized;
                            let activations = Activations {
                                data,
                                stride,
                                scales,
                                zeros,
                            };
                            weights.multiply_part(threads, part, left, activations, epilogue, out);
                        };
                    if onto {
                        multiply(part.clone(), rest, &Epilogue::default());
                    }
                    multiply(part, coarse, &Epilogue { onto, ..epilogue });
                });
                Ok(each?)
            })
        })
    }
}

/// Quantizes activations as these weights need them: tokens each for itself, images whole. Gives the bytes of a row.
fn quantize(
    engine: &Engine,
    weights: &WeightsI8,
    left: Left<'_>,
    x: &[f32],
    row: usize,
    quantized: &mut Quantized,
) -> usize {
    let ActivationLayout { format, multiple } = weights.activations();
    let (level, threads) = (engine.level, &engine.threads);
    match left {
        Left::Images(_) => {
            quantize_images(level, threads, format, x, row, quantized);
            row
        }
        Left::Matrix { .. } => {
            let (rows, stride) = (x.len() / row, row.next_multiple_of(multiple));
            let Quantized {
                data,
                scales,
                zeros,
            } = quantized;
            fit(data, rows * stride);
            scales.resize(rows, 0.0);
            zeros.resize(rows, 0);
            quantize_rows(level, threads, format, x, row, stride, data, scales, zeros);
            stride
        }
    }
}
