//! From the numbers of a network's file to panels.

use std::ops::Range;

use easel_kernels::gemm::{Order, WeightsF32, WeightsI8, in_packed_order};
use easel_kernels::isa::Isa;
use easel_kernels::threads::Threads;

use crate::runtime::ops::product::Weights;
use crate::runtime::passes::{Values, Weight};
use crate::weights::{bfloats_to_f32, halves_to_f32, to_f32};

/// A weight on its way to the kernels.
pub(super) struct Packer<'a> {
    threads: &'a Threads,
    pub(super) order: Order,
    numbers: Numbers,
    pub(super) weights: Weights,
    pub(super) bias: Option<Vec<f32>>,
}

enum Numbers {
    F32(Vec<f32>),
    I8(Vec<i8>),
}

impl<'a> Packer<'a> {
    pub(super) fn new(
        isa: Isa,
        threads: &'a Threads,
        weight: &Weight,
        gated: bool,
    ) -> Result<Self, String> {
        let order = Order {
            gated,
            ..weight.order
        };
        let all = |values: &[f32]| values.iter().fold(true, |all, v| all & v.is_finite());
        let finite = |what: &str, values: &[f32]| match all(values) {
            true => Ok(()),
            false => Err(format!(
                "tensor `{}`: its {what} are not all numbers: the model is damaged, copy or export it again",
                weight.name
            )),
        };
        finite("biases", weight.bias.as_deref().unwrap_or_default())?;
        let bias = weight
            .bias
            .clone()
            .map(|bias| in_packed_order(&order, bias));
        let float = |numbers: Vec<f32>| {
            finite("weights", &numbers)?;
            let weights = Weights::F32(WeightsF32::without_panels(isa, &order));
            Ok::<_, String>((Numbers::F32(numbers), weights))
        };
        let (numbers, weights) = match &weight.values {
            Values::F32(bytes) => float(to_f32(&bytes.read()?))?,
            Values::F16(bytes) => float(halves_to_f32(&bytes.read()?))?,
            Values::Bf16(bytes) => float(bfloats_to_f32(&bytes.read()?))?,
            Values::Int8 {
                bytes,
                signed,
                scales,
                zeros,
            } => {
                let Symmetric { weights, scales } =
                    Symmetric::of(&order, &bytes.read()?, *signed, scales, zeros);
                finite("scales", &scales)?;
                let scales = in_packed_order(&order, scales);
                let sums = vec![0; scales.len()];
                let kept = WeightsI8::without_panels(isa, &order, scales, sums);
                (Numbers::I8(weights), Weights::I8(kept))
            }
        };
        Ok(Self {
            threads,
            order,
            numbers,
            weights,
            bias,
        })
    }

    /// Packs some columns.
    pub(super) fn pack(&mut self, columns: Range<usize>, panels: &mut [u8]) {
        let (threads, order) = (self.threads, &self.order);
        match (&mut self.weights, &self.numbers) {
            (Weights::F32(weights), Numbers::F32(numbers)) => {
                weights.pack_part(threads, order, numbers, columns, panels);
            }
            (Weights::I8(weights), Numbers::I8(numbers)) => {
                weights.pack_part(threads, order, numbers, columns, panels);
            }
            _ => unreachable!("made together"),
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
