//! `EaselActivation`: a function of each number. `EaselGeGlu`: the first half of each row times GELU of the second.

use easel_kernels::elementwise::{Activation as Function, activate_in_place, geglu};
use tract_core::internal::*;
use tract_onnx::pb::NodeProto;

use super::{Engine, Operator, floats, output};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::runtime) struct Activation {
    pub(in crate::runtime) function: Function,
}

impl Operator for Activation {
    const NAME: &'static str = "EaselActivation";

    fn parse(node: &NodeProto) -> TractResult<Self> {
        let function = match node.get_attr::<&str>("kind")? {
            "silu" => Function::Silu,
            "gelu" => Function::Gelu,
            "gelu_tanh" => Function::GeluTanh,
            "quick_gelu" => Function::QuickGelu,
            other => bail!("the activation `{other}` is not known"),
        };
        Ok(Self { function })
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> TractResult<Vec<usize>> {
        Ok(inputs[0].to_vec())
    }

    fn run(&self, engine: &Engine, inputs: &mut [TValue]) -> TractResult<Tensor> {
        // No copy where nobody else reads it any more.
        let nothing = Tensor::default().into();
        let mut tensor = std::mem::replace(&mut inputs[0], nothing).into_tensor();
        let mut values = tensor.try_as_plain_ram_mut()?;
        let values = values.as_slice_mut::<f32>()?;
        activate_in_place(engine.level, &engine.threads, self.function, values);
        Ok(tensor)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::runtime) struct GeGlu {
    /// Of each half, if that was seen.
    width: Option<usize>,
}

impl Operator for GeGlu {
    const NAME: &'static str = "EaselGeGlu";

    fn parse(node: &NodeProto) -> TractResult<Self> {
        let width = node.get_attr_opt("width")?;
        Ok(Self { width })
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> TractResult<Vec<usize>> {
        let mut shape = inputs[0].to_vec();
        match shape.last_mut() {
            Some(last) if *last % 2 == 0 && self.width.is_none_or(|width| 2 * width == *last) => {
                *last /= 2;
                Ok(shape)
            }
            _ => bail!(
                "a gated activation of {:?}, in halves of {:?}",
                inputs[0],
                self.width
            ),
        }
    }

    fn run(&self, engine: &Engine, inputs: &mut [TValue]) -> TractResult<Tensor> {
        let shape = self.output_shape(&[inputs[0].shape()])?;
        let width = shape[shape.len() - 1];
        let x = floats(&inputs[0])?;
        output(&shape, |out| {
            geglu(engine.level, &engine.threads, x, width, out);
            Ok(())
        })
    }
}
