//! `EaselConv2d`: `y[n, h, w, c] = activation(conv(x) + bias + per_image) + residual`, channels last.

use easel_kernels::elementwise::Activation;
use easel_kernels::gemm::{Epilogue, Left, Window};
use tract_core::internal::*;
use tract_onnx::pb::NodeProto;

use super::product::Product;
use super::{Engine, Operator, Scratch, floats, list, multiplied};

#[derive(Debug, Clone, PartialEq)]
pub(in crate::runtime) struct Conv2d {
    pub(in crate::runtime) product: Product,
    /// `input` is filled in when shapes are known.
    pub(in crate::runtime) window: Window,
    /// The input behind x, `[n, 1, 1, c]`.
    pub(in crate::runtime) per_image: bool,
    pub(in crate::runtime) activation: Option<Activation>,
    /// The last input.
    pub(in crate::runtime) residual: bool,
}

/// Convolutions from or to so few channels are the first and the last of a network: what they take and give no norm evens out,
/// and they cost little.
const FEW_CHANNELS: usize = 8;

impl Conv2d {
    fn window(&self, x: &[usize]) -> TractResult<Window> {
        match x {
            &[n, height, width, channels] if channels == self.product.depth => Ok(Window {
                input: [n, height, width, channels],
                ..self.window
            }),
            _ => bail!(
                "convolution of {} channels is given {x:?}",
                self.product.depth
            ),
        }
    }

    pub(super) fn scratch(&self, inputs: &[&[usize]], int8: bool) -> Scratch {
        let [images, pixels @ .., channels] = inputs[0] else {
            return Scratch::default();
        };
        let rows = images * pixels.iter().product::<usize>();
        self.product.scratch(rows, *channels, int8)
    }
}

impl Operator for Conv2d {
    const NAME: &'static str = "EaselConv2d";

    fn parse(node: &NodeProto) -> TractResult<Self> {
        let window = Window {
            input: [0; 4],
            kernel: list(node, "kernel")?,
            strides: list(node, "strides")?,
            dilations: list(node, "dilations")?,
            pads: list(node, "pads")?,
            upsample: 1,
        };
        let positive = [window.kernel, window.strides, window.dilations];
        if positive.as_flattened().contains(&0) {
            bail!("convolution with a kernel, stride or dilation of 0");
        }
        let mut product = Product::parse(node)?;
        product.activations16 = product.columns.min(product.depth) <= FEW_CHANNELS;
        Ok(Self {
            product,
            window,
            per_image: false,
            activation: None,
            residual: false,
        })
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> TractResult<Vec<usize>> {
        let window = self.window(inputs[0])?;
        let [height, width] = window.output();
        if height == 0 || width == 0 {
            bail!(
                "a kernel of {:?} does not fit into {:?}",
                window.kernel,
                inputs[0]
            );
        }
        Ok(vec![inputs[0][0], height, width, self.product.columns])
    }

    fn label(&self) -> String {
        let [height, width] = self.window.kernel;
        format!("{} {height}x{width} {}", Self::NAME, self.product.kind())
    }

    fn products(&self, inputs: &[&[usize]]) -> u64 {
        let window = self.window(inputs[0]);
        window.map_or(0, |window| {
            let sides = [window.input[0], window.depth(), self.product.columns];
            multiplied(window.output().iter().chain(&sides))
        })
    }

    fn run(&self, engine: &Engine, inputs: &mut [TValue]) -> TractResult<Tensor> {
        let window = self.window(inputs[0].shape())?;
        let shape = self.output_shape(&[inputs[0].shape()])?;
        let (x, others) = inputs.split_first_mut().context("no input")?;
        let mut others = others.iter();
        let mut other = |is_there: bool| match others.next().filter(|_| is_there) {
            Some(value) => floats(value).map(Some),
            None => Ok(None),
        };
        let per_image = if self.per_image { other(true)? } else { None };
        let residual = if self.residual { other(true)? } else { None };
        let epilogue = Epilogue {
            per_image,
            activation: self.activation,
            residual,
            ..Epilogue::default()
        };
        let [images, height, width, channels] = window.input;
        let pixels = height * width;
        let (left, row) = if window.is_pointwise() {
            // Each pixel has a scale of its own then, as a token has.
            let left = Left::Matrix {
                rows: images * pixels,
                rows_per_image: pixels,
            };
            (left, channels)
        } else {
            (Left::Images(&window), pixels * channels)
        };
        self.product.run(engine, left, x, row, &epilogue, &shape)
    }
}
