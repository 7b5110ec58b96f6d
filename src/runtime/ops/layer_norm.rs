//! `EaselLayerNorm`: `[…, width]` normalized over the last axis, scaled and shifted.

use easel_kernels::norm::layer_norm;
use tract_core::internal::*;
use tract_onnx::pb::NodeProto;

use super::group_norm::row;
use super::{Engine, Operator, floats, output};

/// Inputs: x, scale, shift. The last two are of the width, or one number for all.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::runtime) struct LayerNorm {
    epsilon: f32,
}

impl Operator for LayerNorm {
    const NAME: &'static str = "EaselLayerNorm";

    fn parse(node: &NodeProto) -> TractResult<Self> {
        Ok(Self {
            epsilon: node.get_attr("epsilon")?,
        })
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> TractResult<Vec<usize>> {
        let &[x, scale, shift] = inputs else {
            bail!("layer normalization of {} inputs", inputs.len());
        };
        let width = x.last().copied().unwrap_or(0);
        for row in [scale, shift] {
            if width == 0 || !(row == [1] || row == [width]) {
                bail!("layer normalization of {x:?} with factors of {row:?}");
            }
        }
        Ok(x.to_vec())
    }

    fn run(&self, engine: &Engine, inputs: &mut [TValue]) -> TractResult<Tensor> {
        let shape = inputs[0].shape();
        let width = shape[shape.len() - 1];
        let (scale, shift) = (row(&inputs[1], width)?, row(&inputs[2], width)?);
        let x = floats(&inputs[0])?;
        output(shape, |out| {
            layer_norm(
                engine.level,
                &engine.threads,
                self.epsilon,
                &scale,
                &shift,
                x,
                out,
            );
            Ok(())
        })
    }
}
