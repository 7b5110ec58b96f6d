//! What `EaselLinear` and `EaselConv2d` have in common: weights, and a product with them.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use easel_kernels::gemm::{
    ActivationLayout, Activations, Epilogue, Left, Order, WeightsF32, WeightsI8, in_packed_order,
};
use easel_kernels::isa::Isa;
use easel_kernels::quantize::{Quantized, quantize_images, quantize_rest, quantize_rows};
use easel_kernels::threads::Threads;
use tract_core::internal::*;
use tract_onnx::pb::NodeProto;

use super::{Engine, list};
use crate::runtime::passes::{Values, Weight};
use crate::weights::{halves_to_f32, to_f32};

/// The weights of a node: known by number when the graph is made, packed before it runs.
#[derive(Clone)]
pub(in crate::runtime) struct Product {
    /// Place among the weights that the passes found.
    pub(super) weight: usize,
    /// Columns: output channels.
    pub(super) columns: usize,
    /// Input channels.
    pub(super) depth: usize,
    /// The second half of the columns gates the first: see [`Order::gated`].
    pub(in crate::runtime) gated: bool,
    /// Convolutions quantize activations to 16 bits: see where it is set.
    pub(in crate::runtime) fine: bool,
    packed: Arc<OnceLock<Packed>>,
}

/// Weights as the kernels read them.
struct Packed {
    weights: Kind,
    bias: Option<Vec<f32>>,
}

enum Kind {
    F32(WeightsF32),
    I8(WeightsI8),
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

thread_local! {
    /// Quantized activations: kept by each thread that runs networks, since fresh memory costs more than the quantization.
    static SCRATCH: RefCell<[Quantized; 2]> = RefCell::default();
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
            fine: false,
            packed: Arc::default(),
        })
    }

    /// Whether gates can be taken into the product.
    pub(in crate::runtime) fn can_be_gated(&self) -> bool {
        !self.gated && Order::columns_first(self.columns, self.depth).can_be_gated()
    }

    /// Columns of the output.
    pub(super) fn outputs(&self) -> usize {
        if self.gated {
            self.columns / 2
        } else {
            self.columns
        }
    }

    /// Packs the node's weights, of all that the passes found.
    pub(in crate::runtime) fn pack(
        &self,
        isa: Isa,
        threads: &Threads,
        weights: &[Weight],
    ) -> Result<(), String> {
        let weight = &weights[self.weight];
        let order = Order {
            gated: self.gated,
            ..weight.order
        };
        let bias = weight.bias.clone();
        let packed = Packed {
            weights: Kind::pack(isa, threads, &order, &weight.values),
            bias: bias.map(|bias| in_packed_order(&order, bias)),
        };
        self.packed
            .set(packed)
            .map_err(|_| format!("weight `{}` belongs to two nodes", weight.name))
    }

    /// What the weights are.
    pub(super) fn kind(&self) -> &'static str {
        match self.packed.get().map(|packed| &packed.weights) {
            Some(Kind::F32(_)) => "f32",
            Some(Kind::I8(_)) => "int8",
            None => "",
        }
    }

    /// `out = epilogue(left · weights)`, where the bias comes with the weights. `row`: numbers of `x` that are quantized
    /// together, a token or an image.
    pub(super) fn run(
        &self,
        engine: &Engine,
        left: Left<'_>,
        x: &[f32],
        row: usize,
        epilogue: &Epilogue<'_>,
        out: &mut [f32],
    ) -> TractResult<()> {
        let packed = self.packed.get().context("the weights are not there yet")?;
        let epilogue = Epilogue {
            bias: packed.bias.as_deref(),
            ..*epilogue
        };
        match &packed.weights {
            Kind::F32(weights) => weights.multiply(&engine.threads, left, x, &epilogue, out),
            Kind::I8(weights) if !x.is_empty() => SCRATCH.with_borrow_mut(|[coarse, rest]| {
                let stride = quantize(engine, weights, left, x, row, coarse);
                let mut multiply = |quantized: &Quantized, epilogue: &Epilogue<'_>| {
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
                    weights.multiply(&engine.threads, left, activations, epilogue, out);
                };
                let onto = self.fine && matches!(left, Left::Images(_));
                if onto {
                    let format = weights.activations().format;
                    quantize_rest(engine.level, &engine.threads, format, x, coarse, rest);
                    multiply(rest, &Epilogue::default());
                }
                multiply(coarse, &Epilogue { onto, ..epilogue });
            }),
            Kind::I8(_) => {}
        }
        Ok(())
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
            data.resize(rows * stride, 0);
            scales.resize(rows, 0.0);
            zeros.resize(rows, 0);
            quantize_rows(level, threads, format, x, row, stride, data, scales, zeros);
            stride
        }
    }
}

impl Kind {
    fn pack(isa: Isa, threads: &Threads, order: &Order, values: &Values) -> Self {
        let float = |values: &[f32]| Self::F32(WeightsF32::pack(isa, threads, order, values));
        match values {
            Values::F32(bytes) => float(&to_f32(bytes.as_slice())),
            Values::F16(bytes) => float(&halves_to_f32(bytes.as_slice())),
            Values::Int8 {
                bytes,
                signed,
                scales,
                zeros,
            } => {
                let symmetric = Symmetric::of(order, bytes.as_slice(), *signed, scales, zeros);
                Self::I8(WeightsI8::pack(
                    isa,
                    threads,
                    order,
                    &symmetric.weights,
                    symmetric.scales,
                ))
            }
        }
    }
}

fn integer(byte: u8, signed: bool) -> i32 {
    if signed {
        i32::from(byte.cast_signed())
    } else {
        i32::from(byte)
    }
}

/// Weights of −127 to 127 without zero points.
struct Symmetric {
    weights: Vec<i8>,
    scales: Vec<f32>,
}

impl Symmetric {
    /// The same weights, if they fit when their zero points are taken off; the columns that do not fit are rounded to a
    /// larger scale.
    fn of(order: &Order, bytes: &[u8], signed: bool, scales: &[f32], zeros: &[i32]) -> Self {
        if signed && zeros.iter().all(|zero| *zero == 0) && !bytes.contains(&0x80) {
            return Self {
                weights: bytes.iter().map(|byte| byte.cast_signed()).collect(),
                scales: scales.to_vec(),
            };
        }
        let mut weights = vec![0; bytes.len()];
        let mut scales = scales.to_vec();
        for n in 0..order.n.0 {
            let value = |byte: u8| integer(byte, signed) - zeros[n];
            let largest = order
                .column(n)
                .map(|at| value(bytes[at]).abs())
                .max()
                .unwrap_or(0);
            if largest <= 127 {
                for at in order.column(n) {
                    weights[at] = value(bytes[at]) as i8;
                }
            } else {
                let shrink = 127.0 / largest as f32;
                for at in order.column(n) {
                    weights[at] = (value(bytes[at]) as f32 * shrink).round_ties_even() as i8;
                }
                scales[n] /= shrink;
            }
        }
        Self { weights, scales }
    }
}
