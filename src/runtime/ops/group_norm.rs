//! `EaselGroupNorm`: `[n, …, channels]` normalized by groups of channels, scaled and shifted, then perhaps SiLU.

use std::borrow::Cow;

use easel_kernels::norm::{GroupNorm as Kernel, Moments};
use tract_core::internal::*;
use tract_onnx::pb::NodeProto;

use super::{Engine, Operator, floats, output};

/// Inputs: x, scale, shift, and perhaps moments. Scale and shift are of a number for each channel, or for each of some equal groups
/// of them; moments `[groups, 2]` in f64, mean and variance, are those of an image of which x is a part.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::runtime) struct GroupNorm {
    groups: usize,
    epsilon: f32,
    silu: bool,
    /// How many axes x must have, if that was seen.
    rank: Option<usize>,
}

impl Operator for GroupNorm {
    const NAME: &'static str = "EaselGroupNorm";

    fn parse(node: &NodeProto) -> TractResult<Self> {
        Ok(Self {
            groups: node.get_attr("groups")?,
            epsilon: node.get_attr("epsilon")?,
            silu: node.get_attr("silu")?,
            rank: node.get_attr_opt("rank")?,
        })
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> TractResult<Vec<usize>> {
        let (&[x, scale, shift] | &[x, scale, shift, _]) = inputs else {
            bail!("group normalization of {} inputs", inputs.len());
        };
        if let Some(moments) = inputs.get(3)
            && (*moments != [self.groups, 2] || x[0] != 1)
        {
            bail!("moments {moments:?} for {} groups of {x:?}", self.groups);
        }
        let channels = x.last().copied().unwrap_or(0);
        if x.len() < 2 || self.rank.is_some_and(|rank| rank != x.len()) {
            bail!("group normalization of the shape {x:?}");
        }
        if self.groups == 0 || channels == 0 || !channels.is_multiple_of(self.groups) {
            bail!("{channels} channels in {} groups", self.groups);
        }
        for row in [scale, shift] {
            if !matches!(row, &[n] if n > 0 && channels.is_multiple_of(n)) {
                bail!("{row:?} factors for {channels} channels");
            }
        }
        Ok(x.to_vec())
    }

    fn run(&self, engine: &Engine, inputs: &mut [TValue]) -> TractResult<Tensor> {
        let (x, others) = inputs.split_first_mut().context("no input")?;
        let shape = x.shape().to_vec();
        let (images, channels) = (shape[0], shape[shape.len() - 1]);
        let pixels = shape[1..shape.len() - 1].iter().product();
        let sizes = [images, pixels, channels];
        let moments = others.get(2).map(|moments| given(moments)).transpose()?;
        let kernel = Kernel {
            groups: self.groups,
            epsilon: self.epsilon,
            scale: &row(&others[0], channels)?,
            shift: &row(&others[1], channels)?,
            silu: self.silu,
            moments: moments.as_deref(),
        };
        // Where nobody else has x, it becomes the output.
        if x.is_exclusive() {
            let x = std::mem::replace(x, Tensor::default().into_tvalue());
            let mut x = x.into_tensor();
            {
                let mut numbers = x.try_as_plain_ram_mut()?;
                let numbers = numbers.as_slice_mut::<f32>()?;
                kernel.run_in_place(engine.level, &engine.threads, numbers, sizes);
            }
            return Ok(x);
        }
        let x = floats(x)?;
        output(&shape, |out| {
            kernel.run(engine.level, &engine.threads, x, sizes, out);
            Ok(())
        })
    }
}

/// Moments as the kernel takes them.
fn given(moments: &Tensor) -> TractResult<Vec<Moments>> {
    let numbers = moments.try_as_plain_ram()?.as_slice::<f64>()?;
    let pairs = numbers.as_chunks::<2>().0.iter();
    let moments = pairs.map(|&[mean, variance]| Moments {
        count: 1.0,
        mean,
        squares: variance,
    });
    Ok(moments.collect())
}

/// A row of a number for each of equal groups, as a number for each of its members.
pub(super) fn row(tensor: &Tensor, members: usize) -> TractResult<Cow<'_, [f32]>> {
    let row = floats(tensor)?;
    if row.len() == members {
        return Ok(row.into());
    }
    let each = members / row.len().max(1);
    let repeated = row.iter().flat_map(|v| std::iter::repeat_n(*v, each));
    Ok(repeated.collect())
}
