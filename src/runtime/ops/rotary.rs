//! `EaselRotary`: pairs of features turned by the place of their token.

use easel_kernels::rotary::{Pairs, Rotary as Kernel};
use tract_core::internal::*;
use tract_onnx::pb::NodeProto;

use super::{Engine, Operator, floats, output};

/// Inputs: x, whose last axis is features; the cosines and the sines of the angles, `[features]` for each token, with axes of length 1
/// for those of x that they do not depend on.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::runtime) struct Rotary {
    pairs: Pairs,
    /// The length that the file supposes of each axis of x but the last; 0: any.
    axes: Vec<usize>,
    /// Whether tokens and heads, the axes 1 and 2, have changed places in x but not in the tables.
    swapped: bool,
}

/// How the table of angles meets the rows of x.
struct Rows {
    /// Rows of features that are turned alike, one after the other.
    repeat: usize,
    features: usize,
}

impl Rotary {
    fn rows(&self, inputs: &[&[usize]]) -> TractResult<Rows> {
        let &[x, cos, sin] = inputs else {
            bail!("a rotation of {} inputs", inputs.len());
        };
        let misfit = || format!("a rotation of {x:?} by {cos:?} and {sin:?}");
        let (&features, axes) = x.split_last().with_context(misfit)?;
        let supposed = self.axes.len() == axes.len()
            && self.axes.iter().zip(axes).all(|(a, b)| *a == 0 || a == b);
        if !self.axes.is_empty() && !supposed {
            bail!(
                "turns {:?} in pairs, and is given {x:?}: export it for this size",
                self.axes
            );
        }
        if features == 0
            || features % 2 != 0
            || cos != sin
            || cos.len() > x.len()
            || cos.last() != Some(&features)
        {
            bail!("{}", misfit());
        }
        // Of the other axes the angles depend on one, whose steps are as many rows apart as the axes behind it have.
        let mut table = vec![1; x.len() - cos.len()];
        table.extend(&cos[..cos.len() - 1]);
        if self.swapped && table.len() == 3 {
            table.swap(1, 2);
        }
        let repeat = match table.iter().position(|side| *side != 1) {
            None => axes.iter().product(),
            Some(axis) => {
                if table[axis] != axes[axis] || table[axis + 1..].iter().any(|side| *side != 1) {
                    bail!("{}", misfit());
                }
                axes[axis + 1..].iter().product()
            }
        };
        Ok(Rows { repeat, features })
    }
}

impl Operator for Rotary {
    const NAME: &'static str = "EaselRotary";

    fn parse(node: &NodeProto) -> TractResult<Self> {
        let pairs = match node.get_attr::<&str>("pairs")? {
            "neighbours" => Pairs::Neighbours,
            "halves" => Pairs::Halves,
            other => bail!("the pairs `{other}` are not known"),
        };
        let axes = node
            .attribute
            .iter()
            .find(|attribute| attribute.name == "axes");
        let axes = axes.map_or(&[][..], |attribute| &attribute.ints);
        let axes = axes.iter().map(|side| usize::try_from(*side));
        Ok(Self {
            pairs,
            axes: axes.collect::<Result<_, _>>()?,
            swapped: node.get_attr_opt("swapped")?.unwrap_or(false),
        })
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> TractResult<Vec<usize>> {
        self.rows(inputs)?;
        Ok(inputs[0].to_vec())
    }

    fn run(&self, engine: &Engine, inputs: &mut [TValue]) -> TractResult<Tensor> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|input| input.shape()).collect();
        let Rows { repeat, features } = self.rows(&shapes)?;
        let kernel = Kernel {
            pairs: self.pairs,
            features,
            repeat: repeat.max(1),
            cos: floats(&inputs[1])?,
            sin: floats(&inputs[2])?,
        };
        let x = floats(&inputs[0])?;
        output(shapes[0], |out| {
            kernel.run(engine.level, &engine.threads, x, out);
            Ok(())
        })
    }
}
