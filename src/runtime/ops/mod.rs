//! Operators of ours, in graphs that tract runs.
//!
//! The passes put nodes of the domain [`DOMAIN`] into a network; here is what they do. An [`Operator`] says shapes and
//! values; all that tract asks beyond that is in [`Node`], once.

mod activations;
mod attention;

mod concat;
mod conv2d;
mod embedding;
mod feed_forward;
mod group_norm;
mod layer_norm;
mod layout;
mod linear;
pub(super) mod product;
mod rotary;
pub(super) mod scratch;
mod upsample;

use std::fmt::Debug;

use easel_kernels::isa::Isa;
use easel_kernels::threads::Threads;
use easel_kernels::vector::Level;
use tract_core::internal::*;
use tract_core::ops::change_axes::IntoShape;
use tract_linalg::multithread::{Executor, current_tract_executor};
use tract_onnx::model::{OnnxOpRegister, ParsingContext};
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

pub(super) use activations::{Activation, GeGlu};
pub(super) use attention::Attention;
pub(super) use concat::Concat;
pub(super) use conv2d::Conv2d;
use embedding::Embedding;
pub(super) use feed_forward::{FeedForward, HIDDEN};
pub(super) use group_norm::GroupNorm;
pub(super) use layer_norm::LayerNorm;
pub(super) use layout::{CHANNELS_FIRST, CHANNELS_LAST};
pub(super) use linear::{Factor, Linear};
use rotary::Rotary;
pub(super) use upsample::Upsample;

/// The domain of our operators in an ONNX graph, for people who read one; tract tells operators by name alone, hence the
/// `Easel` before each.
pub(super) const DOMAIN: &str = "ai.easel";

/// What a node computes: f32 tensors in, one f32 tensor out.
pub(super) trait Operator: Debug + Clone + PartialEq + Send + Sync + 'static {
    /// The `op_type` of its nodes.
    const NAME: &'static str;

    /// Reads the node's attributes, and which of the optional inputs are there.
    fn parse(node: &NodeProto) -> TractResult<Self>;

    /// The output's shape, or why these inputs do not fit.
    fn output_shape(&self, inputs: &[&[usize]]) -> TractResult<Vec<usize>>;

    /// The operator with what tells its costs apart, for people.
    fn label(&self) -> String {
        Self::NAME.into()
    }

    /// Multiply-accumulates of a run.
    fn products(&self, _inputs: &[&[usize]]) -> u64 {
        0
    }

    /// The output's value. Inputs that are not there are left out, as everywhere in tract.
    fn run(&self, engine: &Engine, inputs: &mut [TValue]) -> TractResult<Tensor>;
}

/// Memory that a node takes beside its inputs and its output, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Scratch {
    /// Stays for the next node that needs some, until somebody else needs the room.
    pub(super) kept: usize,
    /// While it runs.
    pub(super) own: usize,
    /// Whether the first input, if nobody else has it, leaves before there is an output.
    pub(super) replaces_input: bool,
}

/// What a node takes; weights with the numbers for which `int8` is true are int8.
pub(super) fn scratch(
    model: &TypedModel,
    node: &TypedNode,
    int8: &dyn Fn(usize) -> bool,
) -> TractResult<Scratch> {
    let facts = model.node_input_facts(node.id)?;
    if let Some(Node(linear)) = node.op_as::<Node<Linear>>() {
        Ok(linear.scratch(&shapes(&facts)?, int8(linear.product.weight)))
    } else if let Some(Node(conv)) = node.op_as::<Node<Conv2d>>() {
        Ok(conv.scratch(&shapes(&facts)?, int8(conv.product.weight)))
    } else if let Some(Node(both)) = node.op_as::<Node<FeedForward>>() {
        let int8 = both.products().map(|product| int8(product.weight));
        Ok(both.scratch(&shapes(&facts)?, int8))
    } else if let Some(Node(attention)) = node.op_as::<Node<Attention>>() {
        attention.scratch(&shapes(&facts)?)
    } else if node.op_is::<IntoShape>() || node.op_is::<Node<GroupNorm>>() {
        Ok(Scratch {
            replaces_input: true,
            ..Scratch::default()
        })
    } else {
        Ok(Scratch::default())
    }
}

/// What operators run with.
pub(super) struct Engine {
    pub(super) isa: Isa,
    pub(super) level: Level,
    pub(super) threads: Threads,
}

impl Engine {
    /// The kernels chosen for this CPU, on the threads of the run in progress.
    fn current() -> TractResult<Self> {
        let isa = Isa::chosen()?;
        let threads = match current_tract_executor() {
            Executor::MultiThread(pool) => Threads::on(pool),
            _ => Threads::single(),
        };
        Ok(Self {
            isa,
            level: Level::of(isa),
            threads: threads.until(scratch::stop()),
        })
    }
}

/// An operator as tract's node.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node<O>(pub(super) O);

impl<O: PartialEq> Eq for Node<O> {}

/// Makes tract know the operator.
fn register<O: Operator>(register: &mut OnnxOpRegister) {
    register.insert(O::NAME, build::<O>);
}

fn build<O: Operator>(
    _context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    Ok((expand(Node(O::parse(node)?)), vec![]))
}

impl<O: Operator> Op for Node<O> {
    fn name(&self) -> StaticName {
        self.0.label().into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("{:?}", self.0)])
    }

    op_as_typed_op!();
}

impl<O: Operator> EvalOp for Node<O> {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, mut inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let output = self.0.run(&Engine::current()?, &mut inputs)?;
        drop(inputs);
        Ok(tvec!(output.into_tvalue()))
    }
}

impl<O: Operator> TypedOp for Node<O> {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(self.0.output_shape(&shapes(inputs)?)?)))
    }

    fn cost(&self, inputs: &[&TypedFact]) -> TractResult<TVec<(Cost, TDim)>> {
        let products = self.0.products(&shapes(inputs)?);
        Ok(tvec!((
            Cost::FMA(f32::datum_type()),
            (products as i64).into()
        )))
    }

    as_op!();
}

/// A product of sides that has no number in 32 bits: a network's multiplications are counted in billions.
fn multiplied<'a>(sides: impl IntoIterator<Item = &'a usize>) -> u64 {
    sides.into_iter().map(|side| *side as u64).product()
}

fn shapes<'a>(facts: &[&'a TypedFact]) -> TractResult<Vec<&'a [usize]>> {
    let concrete = |fact: &&'a TypedFact| fact.shape.as_concrete();
    let shapes = facts.iter().map(concrete).collect::<Option<_>>();
    shapes.context("a shape that is not known")
}

impl<O: Operator> Expansion for Node<O> {
    fn name(&self) -> StaticName {
        O::NAME.into()
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, f32::datum_type())?;
        solver.given_all(inputs.iter().map(|input| &input.shape), move |s, shapes| {
            let shapes: Vec<TVec<usize>> = shapes
                .iter()
                .map(|dims| {
                    dims.iter()
                        .map(|dim| Ok(dim.to_usize()?))
                        .collect::<TractResult<_>>()
                })
                .collect::<TractResult<_>>()?;
            let shapes: Vec<&[usize]> = shapes.iter().map(|shape| &shape[..]).collect();
            let output: TVec<TDim> = self
                .0
                .output_shape(&shapes)?
                .into_iter()
                .map(TDim::from)
                .collect();
            s.equals(&outputs[0].shape, output)
        })
    }
}

/// Adds every operator to tract's.
pub(super) fn register_all(operators: &mut OnnxOpRegister) {
    register::<Linear>(operators);
    register::<Conv2d>(operators);
    register::<Concat>(operators);
    register::<Embedding>(operators);
    register::<Upsample>(operators);
    register::<GroupNorm>(operators);
    register::<LayerNorm>(operators);
    register::<Activation>(operators);
    register::<GeGlu>(operators);
    register::<Attention>(operators);
    register::<Rotary>(operators);
    operators.insert(CHANNELS_LAST, layout::build);
    operators.insert(CHANNELS_FIRST, layout::build);
}

/// The shape of what a node of ours makes of inputs of these shapes.
pub(super) fn output_shape(node: &NodeProto, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
    fn of<O: Operator>(node: &NodeProto, inputs: &[&[usize]]) -> TractResult<Vec<usize>> {
        O::parse(node)?.output_shape(inputs)
    }
    if inputs.is_empty() {
        return Err("has no input".into());
    }
    let shape = match node.op_type.as_str() {
        Linear::NAME => of::<Linear>(node, inputs),
        Conv2d::NAME => of::<Conv2d>(node, inputs),
        Concat::NAME => of::<Concat>(node, inputs),
        Embedding::NAME => of::<Embedding>(node, inputs),
        Upsample::NAME => of::<Upsample>(node, inputs),
        GroupNorm::NAME => of::<GroupNorm>(node, inputs),
        LayerNorm::NAME => of::<LayerNorm>(node, inputs),
        Activation::NAME => of::<Activation>(node, inputs),
        GeGlu::NAME => of::<GeGlu>(node, inputs),
        Attention::NAME => of::<Attention>(node, inputs),
        Rotary::NAME => of::<Rotary>(node, inputs),
        CHANNELS_LAST | CHANNELS_FIRST => layout::output_shape(node, inputs[0]),
        _ => return Err("is no operator of easel's".into()),
    };
    shape.map_err(|error| error.to_string())
}

/// A node of ours.
pub(super) fn node(op: &str, input: &[&str], output: &str) -> NodeProto {
    NodeProto {
        domain: DOMAIN.to_owned(),
        ..super::passes::node(op, input, output)
    }
}

/// The values of an f32 tensor.
fn floats(tensor: &Tensor) -> TractResult<&[f32]> {
    tensor.try_as_plain_ram()?.as_slice::<f32>()
}

/// How many rows the factors `[pictures, 1, …, width]` have for what is shaped as `x`: one for each picture, or one for all.
/// `None` if they are shaped otherwise.
pub(super) fn images(x: &[usize], factors: &[usize]) -> Option<usize> {
    let (&[first, ref between @ .., width], &[pictures, .., columns]) = (factors, x) else {
        return None;
    };
    let alike =
        factors.len() == x.len() && width == columns && between.iter().all(|side| *side == 1);
    (alike && (first == pictures || first == 1)).then_some(first)
}

/// A tensor of f32, to be written.
fn fresh(shape: &[usize]) -> TractResult<Tensor> {
    scratch::make_room(shape.iter().product::<usize>() * size_of::<f32>());
    Tensor::zero::<f32>(shape)
}

/// A tensor of f32, all of which `fill` writes.
fn output(
    shape: &[usize],
    fill: impl FnOnce(&mut [f32]) -> TractResult<()>,
) -> TractResult<Tensor> {
    let mut tensor = fresh(shape)?;
    fill(tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?)?;
    Ok(tensor)
}

/// An attribute of `N` integers, none negative.
fn list<const N: usize>(node: &NodeProto, name: &str) -> TractResult<[usize; N]> {
    let found = node
        .attribute
        .iter()
        .find(|attribute| attribute.name == name);
    let values = found.map_or(&[][..], |attribute| &attribute.ints);
    let values: Vec<usize> = values
        .iter()
        .map(|v| usize::try_from(*v))
        .collect::<Result<_, _>>()?;
    let count = values.len();
    let values = values.try_into();
    values.map_err(|_| format_err!("attribute `{name}` has {count} numbers, not {N}"))
}
