//! Operators of tract's that panic on some numbers, where these are only known when the network runs: they are looked at first.
//!
//! What is known before, the gate has refused.

use std::borrow::Cow;

use tract_core::internal::*;
use tract_core::ops::array::{
    Gather, GatherElements, GatherNd, OneHot, ScatterElements, ScatterNd,
};
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::math::{Div, Rem};

/// Puts a guard before each of these operators.
pub(super) fn run(model: &mut TypedModel) -> TractResult<()> {
    for id in 0..model.nodes.len() {
        let node = &model.nodes[id];
        let Some(guard) = Guard::of(model, node)? else {
            continue;
        };
        let op = node.op.clone();
        model.nodes[id].op = Box::new(Guarded { guard, op });
    }
    Ok(())
}

/// What is asked of an operator's inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// The second are indices along this axis of the first.
    Along(usize),
    /// The second are places in the first, after so many axes that both have.
    Places(usize),
    /// The first are numbers below this one.
    Below(usize),
    /// The second has no zeros.
    Divisor,
}

impl Guard {
    fn of(model: &TypedModel, node: &TypedNode) -> TractResult<Option<Self>> {
        Ok(if let Some(op) = node.op_as::<Gather>() {
            Some(Self::Along(op.axis))
        } else if let Some(op) = node.op_as::<GatherElements>() {
            Some(Self::Along(op.axis))
        } else if let Some(op) = node.op_as::<ScatterElements>() {
            Some(Self::Along(op.axis))
        } else if let Some(op) = node.op_as::<GatherNd>() {
            Some(Self::Places(op.batch_dims))
        } else if node.op_is::<ScatterNd>() {
            Some(Self::Places(0))
        } else if let Some(op) = node.op_as::<OneHot>() {
            Some(Self::Below(op.dim))
        } else if let Some(op) = node.op_as::<TypedBinOp>() {
            let divides = op.0.is::<Div>() || op.0.is::<Rem>();
            let divisor = model.outlet_fact(node.inputs[1])?.datum_type;
            // tract takes whole numbers of 64 bits for sides of shapes where it can.
            let is_whole = divisor.is_integer() || divisor == TDim::datum_type();
            (divides && is_whole).then_some(Self::Divisor)
        } else {
            None
        })
    }

    fn check(self, inputs: &[TValue]) -> TractResult<()> {
        match self {
            Self::Along(axis) => {
                let side = inputs[0].shape()[axis] as i64;
                within(&inputs[1], |_| -side..side)
            }
            // tract counts these from the start alone.
            Self::Places(batch) => {
                let sides = &inputs[0].shape()[batch..];
                let deep = inputs[1].shape().last().copied().unwrap_or(1).max(1);
                within(&inputs[1], |at| 0..sides[at % deep] as i64)
            }
            Self::Below(count) => within(&inputs[0], |_| -(count as i64)..count as i64),
            Self::Divisor => {
                let zeros = whole(&inputs[1])?;
                let zeros = zeros.try_as_plain_ram()?;
                ensure!(!zeros.as_slice::<i64>()?.contains(&0), "divides by zero");
                Ok(())
            }
        }
    }
}

/// Whether each of these numbers is in the range of its place.
fn within(numbers: &Tensor, range: impl Fn(usize) -> std::ops::Range<i64>) -> TractResult<()> {
    let numbers = whole(numbers)?;
    let numbers = numbers.try_as_plain_ram()?;
    for (at, number) in numbers.as_slice::<i64>()?.iter().enumerate() {
        let range = range(at);
        ensure!(
            range.contains(number),
            "takes element {number} of {}",
            range.end
        );
    }
    Ok(())
}

fn whole(numbers: &Tensor) -> TractResult<Cow<'_, Tensor>> {
    numbers.cast_to::<i64>()
}

/// An operator behind its guard.
#[derive(Debug, Clone)]
struct Guarded {
    guard: Guard,
    op: Box<dyn TypedOp>,
}

impl PartialEq for Guarded {
    fn eq(&self, other: &Self) -> bool {
        self.guard == other.guard && *self.op == *other.op
    }
}

impl Eq for Guarded {}

impl Op for Guarded {
    fn name(&self) -> StaticName {
        self.op.name()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        self.op.info()
    }

    op_as_typed_op!();
}

impl EvalOp for Guarded {
    op_out_of_plan!();

    fn eval(&self, context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        self.guard.check(&inputs)?;
        self.op.eval(context, inputs)
    }
}

impl TypedOp for Guarded {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        self.op.output_facts(inputs)
    }

    as_op!();
}
