//! `EaselAttention`: `softmax(factors · q kᵀ + mask + relative) v`, heads where they are.

use easel_kernels::attention::{
    Attention as Kernel, Mask, Operand, Output, Precision, Relative, Shape, Strides,
};
use tract_core::internal::*;
use tract_onnx::pb::NodeProto;

use super::{Engine, Operator, Scratch, floats, multiplied, output};

/// Inputs: q, k, v, the mask if there is one, what is added by distance if that is there, and any number of scalars to multiply the
/// scores with.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::runtime) struct Attention {
    query: Layout,
    key: Layout,
    value: Layout,
    output: Layout,
    pub(in crate::runtime) mask: bool,
    /// Whether something is added by distance: `[heads or 1, queries + keys - 1]`, see [`Relative`]. Found when shapes are known.
    pub(in crate::runtime) relative: bool,
    /// Whether a query that the mask leaves no key gets zeros, not the mean of all values.
    pub(in crate::runtime) guarded: bool,
    /// Whether products of int8 or bfloat16 are exact enough: the network has int8 weights.
    pub(in crate::runtime) low_precision: bool,
}

/// The order of axes: batch, heads, tokens (sequence), features (dimension).
#[derive(Debug, Clone, Copy, PartialEq)]
enum Layout {
    Bhsd,
    Bshd,
    /// Heads are in the batch.
    Bsd,
}

/// The sizes of an operand.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sizes {
    batch: usize,
    heads: usize,
    tokens: usize,
    features: usize,
}

impl Layout {
    fn parse(node: &NodeProto, attribute: &str) -> TractResult<Self> {
        Ok(match node.get_attr::<&str>(attribute)? {
            "bhsd" => Self::Bhsd,
            "bshd" => Self::Bshd,
            "bsd" => Self::Bsd,
            other => bail!("the layout `{other}` is not known"),
        })
    }

    fn sizes(self, shape: &[usize]) -> TractResult<Sizes> {
        let (batch, heads, tokens, features) = match (self, shape) {
            (Self::Bhsd, &[batch, heads, tokens, features])
            | (Self::Bshd, &[batch, tokens, heads, features]) => (batch, heads, tokens, features),
            (Self::Bsd, &[batch, tokens, features]) => (batch, 1, tokens, features),
            _ => bail!("attention to {shape:?} as {self:?}"),
        };
        Ok(Sizes {
            batch,
            heads,
            tokens,
            features,
        })
    }

    fn shape(self, sizes: Sizes) -> Vec<usize> {
        let Sizes {
            batch,
            heads,
            tokens,
            features,
        } = sizes;
        match self {
            Self::Bhsd => vec![batch, heads, tokens, features],
            Self::Bshd => vec![batch, tokens, heads, features],
            Self::Bsd => vec![batch, tokens, features],
        }
    }

    /// Where elements of a tensor of these sizes are; one picture or head stands for all, if there is but one.
    fn strides(self, sizes: Sizes) -> Strides {
        let Sizes {
            batch,
            heads,
            tokens,
            features,
        } = sizes;
        let mut strides = match self {
            Self::Bhsd | Self::Bsd => Strides::head_major(tokens, heads, features),
            Self::Bshd => Strides::token_major(tokens, heads, features),
        };
        if batch == 1 {
            strides.batch = 0;
        }
        if heads == 1 {
            strides.head = 0;
        }
        strides
    }
}

impl Attention {
    /// Inputs that are no factors.
    fn before_factors(&self) -> usize {
        3 + usize::from(self.mask) + usize::from(self.relative)
    }

    /// What the kernel is told, from the shapes of all inputs.
    fn sizes(&self, inputs: &[&[usize]]) -> TractResult<Shape> {
        if inputs.len() < self.before_factors() {
            bail!("attention of {} inputs", inputs.len());
        }
        let query = self.query.sizes(inputs[0])?;
        let key = self.key.sizes(inputs[1])?;
        let value = self.value.sizes(inputs[2])?;
        let shared = |name: &str, sizes: [usize; 3]| {
            let most = sizes.into_iter().max().unwrap_or(1);
            if sizes.iter().any(|size| *size != most && *size != 1) {
                bail!("attention between {name} of {sizes:?}");
            }
            Ok(most)
        };
        let fits = query.features == key.features && key.tokens == value.tokens && key.tokens > 0;
        if !fits || self.output == Layout::Bsd && self.query != Layout::Bsd {
            bail!(
                "attention of {:?} to {:?} and {:?}",
                inputs[0],
                inputs[1],
                inputs[2]
            );
        }
        let shape = Shape {
            batch: shared("pictures", [query.batch, key.batch, value.batch])?,
            heads: shared("heads", [query.heads, key.heads, value.heads])?,
            queries: query.tokens,
            keys: key.tokens,
            head_dim: query.features,
            value_dim: value.features,
        };
        if self.mask {
            self.mask_strides(&shape, inputs[3])?;
        }
        if self.relative {
            let distances = shape.queries + shape.keys - 1;
            let relative = inputs[self.before_factors() - 1];
            if !matches!(relative, &[heads, n] if n == distances && (heads == 1 || heads == shape.heads))
            {
                bail!(
                    "{relative:?} numbers for {distances} distances of {} heads",
                    shape.heads
                );
            }
        }
        for factor in &inputs[self.before_factors()..] {
            if factor.iter().product::<usize>() != 1 {
                bail!("scores are multiplied with {factor:?} numbers, not one");
            }
        }
        Ok(shape)
    }

    /// How many queries and keys there are.
    pub(in crate::runtime) fn scores(&self, inputs: &[&[usize]]) -> TractResult<[usize; 2]> {
        let Shape { queries, keys, .. } = self.sizes(inputs)?;
        Ok([queries, keys])
    }

    /// From one picture, head, query and key to the next; 0 along axes that the mask does not have.
    fn mask_strides(&self, shape: &Shape, mask: &[usize]) -> TractResult<[usize; 4]> {
        let sizes = [shape.batch, shape.heads, shape.queries, shape.keys];
        let axes: &[usize] = match self.query {
            Layout::Bsd => &[0, 2, 3],
            _ => &[0, 1, 2, 3],
        };
        let mut strides = [0; 4];
        let mut stride = 1;
        for (index, &size) in mask.iter().rev().enumerate() {
            let axis = axes.iter().rev().nth(index);
            match axis {
                Some(&axis) if size == sizes[axis] => {
                    strides[axis] = if size == 1 { 0 } else { stride }
                }
                _ if size == 1 => {}
                _ => bail!("a mask of {mask:?} for scores of {sizes:?}"),
            }
            stride *= size;
        }
        Ok(strides)
    }

    /// Zeros for each query whose mask is minus infinity for all keys.
    fn guard(&self, shape: &Shape, mask: &Mask, sizes: Sizes, out: &mut [f32]) {
        let strides = self.output.strides(sizes);
        for (batch, head) in (0..shape.batch).flat_map(|b| (0..shape.heads).map(move |h| (b, h))) {
            for query in 0..shape.queries {
                let start = batch * mask.batch + head * mask.head + query * mask.query;
                if (0..shape.keys).all(|key| mask.data[start + key * mask.key] == f32::NEG_INFINITY)
                {
                    let at = batch * strides.batch + head * strides.head + query * strides.token;
                    out[at..][..shape.value_dim].fill(0.0);
                }
            }
        }
    }

    /// Packed keys and values of some heads.
    pub(super) fn scratch(&self, inputs: &[&[usize]]) -> TractResult<Scratch> {
        Ok(Scratch {
            own: self.sizes(inputs)?.most_packed(),
            ..Scratch::default()
        })
    }

    fn output_sizes(shape: &Shape) -> Sizes {
        Sizes {
            batch: shape.batch,
            heads: shape.heads,
            tokens: shape.queries,
            features: shape.value_dim,
        }
    }
}

impl Operator for Attention {
    const NAME: &'static str = "EaselAttention";

    fn parse(node: &NodeProto) -> TractResult<Self> {
        Ok(Self {
            query: Layout::parse(node, "query")?,
            key: Layout::parse(node, "key")?,
            value: Layout::parse(node, "value")?,
            output: Layout::parse(node, "output")?,
            mask: node.get_attr("mask")?,
            relative: false,
            guarded: node.get_attr_opt("guarded")?.unwrap_or(false),
            low_precision: node.get_attr_opt("low_precision")?.unwrap_or(false),
        })
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> TractResult<Vec<usize>> {
        let shape = self.sizes(inputs)?;
        Ok(self.output.shape(Self::output_sizes(&shape)))
    }

    /// Those of queries with keys and of probabilities with values.
    fn products(&self, inputs: &[&[usize]]) -> u64 {
        self.sizes(inputs).map_or(0, |shape| {
            let scores = [shape.batch, shape.heads, shape.queries, shape.keys];
            multiplied(&scores) * (shape.head_dim + shape.value_dim) as u64
        })
    }

    fn run(&self, engine: &Engine, inputs: &mut [TValue]) -> TractResult<Tensor> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|input| input.shape()).collect();
        let shape = self.sizes(&shapes)?;
        let operand = |index: usize, layout: Layout| -> TractResult<Operand<'_>> {
            Ok(Operand {
                data: floats(&inputs[index])?,
                strides: layout.strides(layout.sizes(shapes[index])?),
            })
        };
        let [queries, keys, values] = [
            operand(0, self.query)?,
            operand(1, self.key)?,
            operand(2, self.value)?,
        ];
        let mask = match self.mask {
            false => None,
            true => {
                let [batch, head, query, key] = self.mask_strides(&shape, shapes[3])?;
                let data = floats(&inputs[3])?;
                Some(Mask {
                    data,
                    batch,
                    head,
                    query,
                    key,
                })
            }
        };
        let mut scale = 1.0;
        let relative = match self.relative {
            false => None,
            true => {
                let at = self.before_factors() - 1;
                let head = if shapes[at][0] == 1 { 0 } else { shapes[at][1] };
                let data = floats(&inputs[at])?;
                Some(Relative { data, head })
            }
        };
        for factor in &inputs[self.before_factors()..] {
            scale *= floats(factor)?[0];
        }
        let kernel = Kernel {
            shape,
            scale,
            mask,
            relative,
            precision: if self.low_precision {
                Precision::Low
            } else {
                Precision::Float
            },
        };
        let sizes = Self::output_sizes(&shape);
        output(&self.output.shape(sizes), |out| {
            let strides = self.output.strides(sizes);
            kernel.run(
                engine.isa,
                &engine.threads,
                &queries,
                &keys,
                &values,
                Output { data: out, strides },
            );
            if let (Some(mask), true) = (&mask, self.guarded) {
                self.guard(&shape, mask, sizes, out);
            }
            Ok(())
        })
    }
}
