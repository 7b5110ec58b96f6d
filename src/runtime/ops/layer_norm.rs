//! `EaselLayerNorm`: `[…, width]` normalized over the last axis, scaled and shifted; without the mean being taken off it is RMS
//! normalization.

use easel_kernels::norm::RowNorm;
use tract_core::internal::*;
use tract_onnx::pb::NodeProto;

use super::group_norm::row;
use super::{Engine, Operator, floats, images, output};

/// Inputs: x, scale, shift. The last two are of the width, or one number for all, or a row of the width for each picture.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::runtime) struct LayerNorm {
    epsilon: f32,
    /// Whether the mean is taken off.
    centered: bool,
}

impl Operator for LayerNorm {
    const NAME: &'static str = "EaselLayerNorm";

    fn parse(node: &NodeProto) -> TractResult<Self> {
        Ok(Self {
            epsilon: node.get_attr("epsilon")?,
            centered: node.get_attr_opt("centered")?.unwrap_or(true),
        })
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> TractResult<Vec<usize>> {
        let &[x, scale, shift] = inputs else {
            bail!("layer normalization of {} inputs", inputs.len());
        };
        let width = x.last().copied().unwrap_or(0);
        for row in [scale, shift] {
            let of_pictures = row == scale && row == shift && images(x, row).is_some();
            if width == 0 || !(row == [1] || row == [width] || of_pictures) {
                bail!("layer normalization of {x:?} with factors of {row:?}");
            }
        }
        Ok(x.to_vec())
    }

    fn label(&self) -> String {
        if self.centered {
            Self::NAME.into()
        } else {
            "EaselLayerNorm RMS".into()
        }
    }

    fn run(&self, engine: &Engine, inputs: &mut [TValue]) -> TractResult<Tensor> {
        let shape = inputs[0].shape();
        let width = shape[shape.len() - 1];
        let of_pictures = images(shape, inputs[1].shape()).unwrap_or(1);
        let [scale, shift] = [
            row(&inputs[1], of_pictures * width)?,
            row(&inputs[2], of_pictures * width)?,
        ];
        let norm = RowNorm {
            centered: self.centered,
            epsilon: self.epsilon,
            width,
            scale: &scale,
            shift: &shift,
        };
        let x = floats(&inputs[0])?;
        output(shape, |out| {
            norm.run(engine.level, &engine.threads, x, out);
            Ok(())
        })
    }
}
