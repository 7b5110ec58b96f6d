//! `EaselConcat`: values side by side along their last axis, as skip connections meet images of channels last.

use tract_core::internal::*;
use tract_onnx::pb::NodeProto;

use super::{Engine, Operator, floats, output};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::runtime) struct Concat;

impl Operator for Concat {
    const NAME: &'static str = "EaselConcat";

    fn parse(_node: &NodeProto) -> TractResult<Self> {
        Ok(Self)
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> TractResult<Vec<usize>> {
        let mut shape = inputs[0].to_vec();
        let last = shape.len().checked_sub(1).context("a scalar has no axis")?;
        if inputs
            .iter()
            .any(|input| input.len() != shape.len() || input[..last] != shape[..last])
        {
            bail!("{inputs:?} do not fit side by side");
        }
        shape[last] = inputs.iter().map(|input| input[last]).sum();
        Ok(shape)
    }

    fn run(&self, engine: &Engine, inputs: &mut [TValue]) -> TractResult<Tensor> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|input| input.shape()).collect();
        let shape = self.output_shape(&shapes)?;
        let width = shape[shape.len() - 1];
        let parts: Vec<(usize, &[f32])> = inputs
            .iter()
            .zip(&shapes)
            .map(|(input, shape)| Ok((shape[shape.len() - 1], floats(input)?)))
            .collect::<TractResult<_>>()?;
        // So many rows that a task is worth a thread.
        let rows = (1_usize << 15).div_ceil(width.max(1));
        output(&shape, |out| {
            engine
                .threads
                .chunks(out, rows * width.max(1), |number, out| {
                    for (row, out) in out.chunks_mut(width).enumerate() {
                        let mut rest = out;
                        for (width, values) in &parts {
                            let (now, later) = rest.split_at_mut(*width);
                            now.copy_from_slice(&values[(number * rows + row) * width..][..*width]);
                            rest = later;
                        }
                    }
                });
            Ok(())
        })
    }
}
