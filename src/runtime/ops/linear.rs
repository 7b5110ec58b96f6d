//! `EaselLinear`: `y[…, n] = activation(x[…, k] · W + bias) · factor + residual`.

use easel_kernels::elementwise::Activation;
use easel_kernels::gemm::{Epilogue, Factor as Numbers, Left};
use tract_core::internal::*;
use tract_onnx::pb::NodeProto;

use super::product::Product;
use super::{Engine, Operator, Scratch, floats, images, multiplied};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::runtime) struct Linear {
    pub(in crate::runtime) product: Product,
    pub(in crate::runtime) activation: Option<Activation>,
    /// The input behind x.
    pub(in crate::runtime) factor: Option<Factor>,
    /// The last input.
    pub(in crate::runtime) residual: bool,
}

/// What the result is multiplied with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime) enum Factor {
    /// `[pictures, 1, …, n]`, or one row for all pictures.
    PerImage,
    /// Shaped as the result is.
    Each,
}

/// What is multiplied with and added to the result.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extras<'a> {
    pub(super) factor: Option<Numbers<'a>>,
    pub(super) residual: Option<&'a [f32]>,
    /// Rows that have the same factor, if each has not its own.
    pub(super) rows_per_image: usize,
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

    /// The inputs behind x, for a result of this shape.
    pub(super) fn extras<'a>(
        &self,
        shape: &[usize],
        others: &'a [TValue],
    ) -> TractResult<Extras<'a>> {
        let mut others = others.iter();
        let mut next = || others.next().context("an input is missing");
        let rows = shape.iter().rev().skip(1).product::<usize>();
        let mut extras = Extras {
            rows_per_image: rows,
            ..Extras::default()
        };
        match self.factor {
            None => {}
            Some(Factor::Each) => extras.factor = Some(Numbers::Each(floats(next()?)?)),
            Some(Factor::PerImage) => {
                let factors = next()?;
                extras.rows_per_image = rows / images(shape, factors.shape()).unwrap_or(1).max(1);
                extras.factor = Some(Numbers::PerImage(floats(factors)?));
            }
        }
        if self.residual {
            extras.residual = Some(floats(next()?)?);
        }
        Ok(extras)
    }
}

impl Operator for Linear {
    const NAME: &'static str = "EaselLinear";

    fn parse(node: &NodeProto) -> TractResult<Self> {
        Ok(Self {
            product: Product::parse(node)?,
            activation: None,
            factor: None,
            residual: false,
        })
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> TractResult<Vec<usize>> {
        let shape = self.plain_shape(inputs[0])?;
        let wanted = usize::from(self.factor.is_some()) + usize::from(self.residual);
        let others = &inputs[1..];
        let fits = others.len() == wanted
            && match self.factor {
                None => true,
                Some(Factor::Each) => others[0] == shape,
                Some(Factor::PerImage) => images(&shape, others[0]).is_some(),
            }
            && (!self.residual || others[wanted - 1] == shape);
        if !fits {
            bail!("{shape:?} cannot be multiplied with or added to {others:?}");
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
        let (x, others) = inputs.split_first_mut().context("no input")?;
        let Extras {
            factor,
            residual,
            rows_per_image,
        } = self.extras(&shape, others)?;
        let left = Left::Matrix {
            rows: shape.iter().rev().skip(1).product(),
            rows_per_image,
        };
        let epilogue = Epilogue {
            activation: self.activation,
            factor,
            residual,
            ..Epilogue::default()
        };
        let depth = self.product.depth;
        self.product.run(engine, left, x, depth, &epilogue, &shape)
    }
}
