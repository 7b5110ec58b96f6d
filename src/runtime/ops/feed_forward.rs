//! `EaselFeedForward`: `y = linear₂(linear₁(x))`, with the factor and the residual of the second, without all that lies between in memory at once.
//!
//! A transformer's hidden activations are four times as wide as its tokens, and twice as wide again before they are gated: of a
//! large picture they would be the largest tensor of all, and are read once. So both products run on some rows, then on
//! the next. Each row is quantized by itself, so that the result is the same bit for bit.
//!
//! Weights that are read while the network runs would be read once for each piece. They are gathered in memory for as long as the
//! node runs, where that takes less than it spares; otherwise there is but one piece.

use easel_kernels::gemm::{Epilogue, Factor, Memory};
use tract_core::internal::*;
use tract_onnx::pb::NodeProto;

use super::product::Product;
use super::{Engine, Linear, Operator, Scratch, floats, fresh, multiplied, scratch};

/// Hidden activations that are computed at once, bytes: enough rows for all threads, and no more than a third-level cache.
pub(in crate::runtime) const HIDDEN: usize = 4 << 20;

#[derive(Debug, Clone, PartialEq)]
pub(in crate::runtime) struct FeedForward {
    /// Has neither a factor nor a residual.
    pub(in crate::runtime) first: Linear,
    /// Its other inputs are those behind x.
    pub(in crate::runtime) second: Linear,
    /// See [`HIDDEN`].
    pub(in crate::runtime) hidden: usize,
}

/// How the rows are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pieces {
    rows: usize,
    /// Bytes of weights that are gathered first.
    held: usize,
}

impl FeedForward {
    pub(in crate::runtime) fn products(&self) -> [&Product; 2] {
        [&self.first.product, &self.second.product]
    }

    /// How to cut `rows`, when so many bytes of the weights are not in memory.
    fn pieces(&self, rows: usize, streamed: usize) -> Pieces {
        /// What kernels take at once.
        const MULTIPLE: usize = 96;

        let row = self.first.product.outputs() * size_of::<f32>();
        let most = (self.hidden / row.max(1) / MULTIPLE).max(1) * MULTIPLE;
        let rows = rows.max(1);
        let each = rows.div_ceil(rows.div_ceil(most));
        let each = each.next_multiple_of(MULTIPLE).min(rows);
        if each < rows && streamed >= (rows - each) * row {
            return Pieces { rows, held: 0 };
        }
        let held = if each < rows { streamed } else { 0 };
        Pieces { rows: each, held }
    }

    pub(super) fn scratch(&self, inputs: &[&[usize]], int8: [bool; 2]) -> Scratch {
        let products = self.products();
        let rows = rows(inputs[0]);
        let streamed = products[0].panels(int8[0]) + products[1].panels(int8[1]);
        // In pieces whether the weights pass or not, this is the most that it takes.
        let Pieces { rows, held } = self.pieces(rows, streamed);
        let quantized = |at: usize| {
            let product = products[at];
            let scratch = product.scratch(rows, product.depth, int8[at]);
            scratch.kept
        };
        Scratch {
            kept: quantized(0).max(quantized(1)),
            own: rows * products[0].outputs() * size_of::<f32>() + held,
            replaces_input: products[0].depth == products[1].outputs(),
        }
    }
}

fn rows(x: &[usize]) -> usize {
    x.iter().rev().skip(1).product()
}

impl Operator for FeedForward {
    const NAME: &'static str = "EaselFeedForward";

    fn parse(_node: &NodeProto) -> TractResult<Self> {
        bail!("made of two {} when shapes are known", Linear::NAME)
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> TractResult<Vec<usize>> {
        let hidden = self.first.output_shape(&inputs[..1])?;
        let inputs: Vec<&[usize]> = [&hidden[..]]
            .into_iter()
            .chain(inputs[1..].iter().copied())
            .collect();
        self.second.output_shape(&inputs)
    }

    fn label(&self) -> String {
        let [first, second] = self.products().map(Product::kind);
        let gated = if self.first.product.gated {
            " GEGLU"
        } else {
            ""
        };
        let kind = if first == second { first } else { "mixed" };
        format!("{}{gated} {kind}", Self::NAME)
    }

    fn products(&self, inputs: &[&[usize]]) -> u64 {
        let products = Self::products(self);
        let each = products.map(|product| multiplied(&[product.depth, product.columns()]));
        rows(inputs[0]) as u64 * each.iter().sum::<u64>()
    }

    fn run(&self, engine: &Engine, inputs: &mut [TValue]) -> TractResult<Tensor> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|input| input.shape()).collect();
        let shape = self.output_shape(&shapes)?;
        let (x, others) = inputs.split_first_mut().context("no input")?;
        let extras = self.second.extras(&shape, others)?;
        let [first, second] = Self::products(self);
        let [depth, width, columns] = [first.depth, second.depth, second.outputs()];
        let rows = rows(&shape);
        let pieces = self.pieces(rows, first.streamed_bytes() + second.streamed_bytes());
        let hold = |product: &Product| match pieces.held {
            0 => Ok(None),
            _ => product.hold(),
        };
        let held: [Option<Memory>; 2] = [hold(first)?, hold(second)?];
        // Where nobody else has x, its rows make room for those of the output.
        let in_place = x.is_exclusive() && x.shape() == &shape[..];
        let mut output = if in_place {
            std::mem::replace(x, Tensor::default().into_tvalue()).into_tensor()
        } else {
            fresh(&shape)?
        };
        let x = if in_place { None } else { Some(floats(x)?) };
        let mut hidden = fresh(&[pieces.rows, width])?;
        scratch::with_quantized(|[quantized, _]| -> TractResult<()> {
            let mut output = output.try_as_plain_ram_mut()?;
            let output = output.as_slice_mut::<f32>()?;
            let mut hidden = hidden.try_as_plain_ram_mut()?;
            let hidden = hidden.as_slice_mut::<f32>()?;
            let images = (0..rows).step_by(extras.rows_per_image.max(1));
            for (image, first_row) in images.enumerate() {
                let end_row = rows.min(first_row + extras.rows_per_image);
                for start in (first_row..end_row).step_by(pieces.rows) {
                    let end = end_row.min(start + pieces.rows);
                    let hidden = &mut hidden[..(end - start) * width];
                    let x = &x.unwrap_or(&*output)[start * depth..end * depth];
                    let epilogue = Epilogue {
                        activation: self.first.activation,
                        ..Epilogue::default()
                    };
                    let panels = held[0].as_ref();
                    first.run_rows(engine, panels, x, quantized, &epilogue, hidden)?;
                    let part = start * columns..end * columns;
                    let factor = extras.factor.map(|factor| match factor {
                        Factor::PerImage(rows) => {
                            Factor::PerImage(&rows[image * columns..][..columns])
                        }
                        Factor::Each(values) => Factor::Each(&values[part.clone()]),
                    });
                    let epilogue = Epilogue {
                        activation: self.second.activation,
                        factor,
                        residual: extras.residual.map(|residual| &residual[part.clone()]),
                        ..Epilogue::default()
                    };
                    let (panels, out) = (held[1].as_ref(), &mut output[part]);
                    second.run_rows(engine, panels, hidden, quantized, &epilogue, out)?;
                }
            }
            Ok(())
        })?;
        Ok(output)
    }
}

#[cfg(test)]
mod tests;
