//! `EaselChannelsLast` and `EaselChannelsFirst`: axis 1 becomes the last, and back. For values of any rank.

use tract_core::internal::*;
use tract_core::ops::change_axes::AxisOp;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

pub(in crate::runtime) const CHANNELS_LAST: &str = "EaselChannelsLast";
pub(in crate::runtime) const CHANNELS_FIRST: &str = "EaselChannelsFirst";

/// tract's own op does the work, so that tract can cancel and merge it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MoveChannels {
    to_last: bool,
}

pub(super) fn build(
    _context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let to_last = node.op_type == CHANNELS_LAST;
    Ok((expand(MoveChannels { to_last }), vec![]))
}

/// The shape of what the node makes.
pub(super) fn output_shape(node: &NodeProto, input: &[usize]) -> TractResult<Vec<usize>> {
    let to_last = node.op_type == CHANNELS_LAST;
    let (from, to) = MoveChannels { to_last }.axes(input.len())?;
    let mut shape = input.to_vec();
    let channels = shape.remove(from);
    shape.insert(to, channels);
    Ok(shape)
}

impl MoveChannels {
    /// From which axis to which.
    fn axes(&self, rank: usize) -> TractResult<(usize, usize)> {
        if rank < 2 {
            bail!("a value of rank {rank} has no channels");
        }
        Ok(if self.to_last {
            (1, rank - 1)
        } else {
            (rank - 1, 1)
        })
    }
}

impl Expansion for MoveChannels {
    fn name(&self) -> StaticName {
        if self.to_last {
            CHANNELS_LAST
        } else {
            CHANNELS_FIRST
        }
        .into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, &inputs[0].datum_type)?;
        solver.equals(&outputs[0].rank, &inputs[0].rank)?;
        solver.given(&inputs[0].shape, move |s, mut shape| {
            let (from, to) = self.axes(shape.len())?;
            let channels = shape.remove(from);
            shape.insert(to, channels);
            s.equals(&outputs[0].shape, shape)
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let (from, to) = self.axes(model.outlet_fact(inputs[0])?.rank())?;
        if from == to {
            return Ok(inputs.into());
        }
        model.wire_node(prefix, AxisOp::Move(from, to), inputs)
    }
}
