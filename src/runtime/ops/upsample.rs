//! `EaselUpsample`: each pixel of `[n, h, w, c]` becomes `factor` × `factor` of them.

use tract_core::internal::*;
use tract_onnx::pb::NodeProto;

use super::{Engine, Operator, floats, list, output};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::runtime) struct Upsample {
    pub(in crate::runtime) factor: usize,
}

impl Operator for Upsample {
    const NAME: &'static str = "EaselUpsample";

    fn parse(node: &NodeProto) -> TractResult<Self> {
        let [factor] = list(node, "factor")?;
        Ok(Self { factor })
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> TractResult<Vec<usize>> {
        match inputs[0] {
            &[n, height, width, channels] => {
                Ok(vec![n, height * self.factor, width * self.factor, channels])
            }
            shape => bail!("upsampling needs images, not {shape:?}"),
        }
    }

    fn run(&self, engine: &Engine, inputs: &mut [TValue]) -> TractResult<Tensor> {
        let shape = self.output_shape(&[inputs[0].shape()])?;
        let [channels, width] = [3, 2].map(|axis| inputs[0].shape()[axis]);
        let x = floats(&inputs[0])?;
        output(&shape, |out| {
            let row = (width * channels).max(1);
            let repeated = row * self.factor * self.factor;
            engine.threads.chunks(out, repeated, |number, out| {
                let (first, others) = out.split_at_mut(row * self.factor);
                let pixels = x[number * row..][..row].chunks(channels);
                for (pixel, out) in pixels.zip(first.chunks_mut(channels * self.factor)) {
                    out.chunks_mut(channels)
                        .for_each(|out| out.copy_from_slice(pixel));
                }
                others
                    .chunks_mut(first.len())
                    .for_each(|out| out.copy_from_slice(first));
            });
            Ok(())
        })
    }
}
