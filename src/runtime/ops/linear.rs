//! `EaselLinear`: `y[…, n] = activation(x[…, k] · W + bias) + residual`.

use easel_kernels::elementwise::Activation;
use easel_kernels::gemm::{Epilogue, Left};
use tract_core::internal::*;
use tract_onnx::pb::NodeProto;

use super::product::Product;
use super::{Engine, Operator, Scratch, floats, multiplied};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::runtime) struct Linear {
    pub(in crate::runtime) product: Product,
    pub(in crate::runtime) activation: Option<Activation>,
    /// The input behind x.
    pub(in crate::runtime) residual: bool,
}

impl Linear {
    fn plain_shape(&self, x: &[usize]) -> TractResult<Vec<usize>> {
        if x.last() != Some(&self.product.depth) {
            bail!(
                "linear layer of {} inputs is given {x:?}",
                self.product.depth
            );
        }
        let mut shape = x.to_vec();
        shape[x.len() - 1] = self.product.outputs();
        Ok(shape)
    }

    pub(super) fn scratch(&self, inputs: &[&[usize]], int8: bool) -> Scratch {
        let rows = inputs[0].iter().rev().skip(1).product();
        self.product.scratch(rows, self.product.depth, int8)
    }
}

impl Operator for Linear {
    const NAME: &'static str = "EaselLinear";

    fn parse(node: &NodeProto) -> TractResult<Self> {
        Ok(Self {
            product: Product::parse(node)?,
            activation: None,
            residual: false,
        })
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> TractResult<Vec<usize>> {
        let shape = self.plain_shape(inputs[0])?;
        if self.residual && inputs[1] != shape {
            bail!("{shape:?} cannot be added to {:?}", inputs[1]);
        }
        Ok(shape)
    }

    fn label(&self) -> String {
        let gated = if self.product.gated { " GEGLU" } else { "" };
        format!("{}{gated} {}", Self::NAME, self.product.kind())
    }

    fn products(&self, inputs: &[&[usize]]) -> u64 {
        multiplied(inputs[0].iter().chain([&self.product.columns]))
    }

    fn run(&self, engine: &Engine, inputs: &mut [TValue]) -> TractResult<Tensor> {
        let shape = self.plain_shape(inputs[0].shape())?;
        let rows = shape.iter().rev().skip(1).product();
        let left = Left::Matrix {
            rows,
            rows_per_image: rows,
        };
        let (x, others) = inputs.split_first_mut().context("no input")?;
        let epilogue = Epilogue {
            activation: self.activation,
            residual: if self.residual {
                Some(floats(&others[0])?)
            } else {
                None
            },
            ..Epilogue::default()
        };
        let depth = self.product.depth;
        self.product.run(engine, left, x, depth, &epilogue, &shape)
    }
}
