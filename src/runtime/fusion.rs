//! What follows a product moves into its epilogue, once tract knows the shapes.
//!
//! ```text
//! EaselUpsample ─► EaselConv2d                       the convolution sees each pixel as often as it is repeated
//! EaselLinear ─► EaselGeGlu                          the gate of a feed-forward
//! EaselLinear ─► Mul [n, 1, c]                       the gate of a diffusion transformer's block
//! EaselLinear ─► Mul of the product's shape          a gate that is a product of its own
//! product ─► Add [n, 1, 1, c]                        the time embedding of a residual block
//! product ─► EaselActivation
//! product ─► Add of the product's shape              the residual connection
//! EaselLinear ─► EaselLinear                         a feed-forward whose middle is large: see `feed_forward`
//! EaselLayerNorm ─► Mul [n, 1, c] ─► Add [n, 1, c]   what a diffusion transformer makes of a norm: see `modulation`
//! Add of a constant ─► EaselAttention                what only depends on distances: see `relative`
//! Concat of large images or tokens                   an operator of ours, on all threads: see `joined`
//! ```
//!
//! Each step spares a pass over an image in memory.

mod feed_forward;
mod joined;
mod modulation;
mod relative;

use easel_kernels::elementwise::Activation as Function;
use tract_core::internal::*;
use tract_core::ops::binary::{BinMiniOp, TypedBinOp};
use tract_core::ops::math::{Add, Mul};

use super::ops::{Activation, Conv2d, Factor, GeGlu, Linear, Node, Upsample, images};

/// Fuses all that can be, in a model that tract has decluttered. With `pixels16`, convolutions of images of up to so many pixels compute
/// with 16-bit activations: of a decoder the cheaper ones, whose errors all others carry on.
pub(super) fn run(model: &mut TypedModel, pixels16: Option<usize>) -> TractResult<()> {
    if let Some(pixels) = pixels16 {
        use_16_bits(model, pixels);
    }
    relative::run(model)?;
    for node in 0..model.nodes.len() {
        if let Some(patch) = modulation::modulated(model, node)? {
            patch.apply(model)?;
        }
    }
    // What a product became stands at the end, and may take in more.
    let mut node = 0;
    while node < model.nodes.len() {
        let patch = match upsampled(model, node)? {
            Some(patch) => Some(patch),
            None => followed(model, node)?,
        };
        if let Some(patch) = patch {
            patch.apply(model)?;
        }
        node += 1;
    }
    for node in 0..model.nodes.len() {
        if let Some(patch) = feed_forward::pair(model, node)? {
            patch.apply(model)?;
        }
    }
    joined::run(model)?;
    model.compact()
}

/// A product: where the epilogue's parts are kept.
#[derive(Clone)]
enum Product {
    Linear(Linear),
    Conv2d(Conv2d),
}

impl Product {
    fn of(node: &TypedNode) -> Option<Self> {
        let linear = node
            .op_as::<Node<Linear>>()
            .map(|Node(linear)| Self::Linear(linear.clone()));
        linear.or_else(|| {
            node.op_as::<Node<Conv2d>>()
                .map(|Node(conv)| Self::Conv2d(conv.clone()))
        })
    }

    fn activation(&mut self) -> &mut Option<Function> {
        match self {
            Self::Linear(linear) => &mut linear.activation,
            Self::Conv2d(conv) => &mut conv.activation,
        }
    }

    fn is_gated(&self) -> bool {
        matches!(self, Self::Linear(linear) if linear.product.gated)
    }

    fn residual(&mut self) -> &mut bool {
        match self {
            Self::Linear(linear) => &mut linear.residual,
            Self::Conv2d(conv) => &mut conv.residual,
        }
    }

    /// Whether it has been multiplied with something.
    fn has_factor(&self) -> bool {
        matches!(self, Self::Linear(linear) if linear.factor.is_some())
    }

    fn into_op(self) -> Box<dyn TypedOp> {
        match self {
            Self::Linear(linear) => Box::new(Node(linear)),
            Self::Conv2d(conv) => Box::new(Node(conv)),
        }
    }
}

/// Takes the node that alone reads a product into it.
fn followed(model: &TypedModel, node: usize) -> TractResult<Option<TypedModelPatch>> {
    let node = model.node(node);
    let Some(mut product) = Product::of(node) else {
        return Ok(None);
    };
    let is_output = model.output_outlets()?.contains(&node.id.into());
    let (false, [reader]) = (is_output, &node.outputs[0].successors[..]) else {
        return Ok(None);
    };
    let reader = model.node(reader.node);
    if *product.residual() || product.is_gated() {
        return Ok(None); // the last part
    }
    let mut added = None;
    if let Some(Node(activation)) = reader.op_as::<Node<Activation>>() {
        let late = product.has_factor();
        let place = product.activation();
        if late || place.is_some() {
            return Ok(None);
        }
        *place = Some(activation.function);
    } else if reader.op_as::<Node<GeGlu>>().is_some() {
        match &mut product {
            Product::Linear(linear)
                if linear.activation.is_none()
                    && linear.factor.is_none()
                    && linear.product.can_be_gated() =>
            {
                linear.product.gated = true;
            }
            _ => return Ok(None),
        }
    } else if is_binary::<Mul>(reader) {
        let (Some(other), Product::Linear(linear)) = (beside(reader, node), &mut product) else {
            return Ok(None);
        };
        let shape = &node.outputs[0].fact.shape;
        let factors = model.outlet_fact(other)?;
        let (Some(shape), Some(factors)) = (shape.as_concrete(), factors.shape.as_concrete())
        else {
            return Ok(None);
        };
        linear.factor = match linear.factor {
            None if factors == shape => Some(Factor::Each),
            None if images(shape, factors).is_some() => Some(Factor::PerImage),
            _ => return Ok(None),
        };
        added = Some(other);
    } else if is_binary::<Add>(reader) {
        let Some(other) = beside(reader, node) else {
            return Ok(None);
        };
        let (shape, sum) = (
            &model.outlet_fact(other)?.shape,
            &reader.outputs[0].fact.shape,
        );
        if sum != &node.outputs[0].fact.shape {
            return Ok(None); // broadcast
        }
        if shape == sum && is_pointwise(node) && takes_residual(model, other) {
            return Ok(None);
        }
        match &mut product {
            _ if shape == sum => *product.residual() = true,
            Product::Conv2d(conv) if !conv.per_image && conv.activation.is_none() => {
                let per_image: TVec<TDim> =
                    tvec![sum[0].clone(), 1.into(), 1.into(), sum[3].clone()];
                if shape.dims() != &per_image[..] {
                    return Ok(None);
                }
                conv.per_image = true;
            }
            _ => return Ok(None),
        }
        added = Some(other);
    } else {
        return Ok(None);
    }
    let mut patch = TypedModelPatch::new("epilogue");
    let inputs: TVec<OutletId> = node.inputs.iter().copied().chain(added).collect();
    let inputs = patch.taps(model, &inputs)?;
    let output = patch.wire_node(&reader.name, product.into_op(), &inputs)?;
    patch.shunt_outside(model, reader.id.into(), output[0])?;
    Ok(Some(patch))
}

fn is_binary<O: BinMiniOp>(node: &TypedNode) -> bool {
    node.op_as::<TypedBinOp>().is_some_and(|op| op.0.is::<O>())
}

/// What a node of two inputs takes beside this one.
fn beside(node: &TypedNode, known: &TypedNode) -> Option<OutletId> {
    let mut others = node.inputs.iter().filter(|outlet| outlet.node != known.id);
    others.next().copied()
}

fn is_pointwise(node: &TypedNode) -> bool {
    let conv = node.op_as::<Node<Conv2d>>();
    conv.is_some_and(|Node(conv)| conv.window.is_pointwise())
}

/// Whether it is a larger convolution that can take the sum in which it alone ends. A residual block's long way then ends in it, and
/// the short way, a convolution of single pixels, may come first: see `order`.
fn takes_residual(model: &TypedModel, outlet: OutletId) -> bool {
    let node = model.node(outlet.node);
    let conv = node.op_as::<Node<Conv2d>>();
    conv.is_some_and(|Node(conv)| !conv.residual && !conv.window.is_pointwise())
        && model.outlet_successors(outlet).len() == 1
        && !model.outputs.contains(&outlet)
}

/// Takes the up-sampling that a convolution alone reads into it.
fn upsampled(model: &TypedModel, node: usize) -> TractResult<Option<TypedModelPatch>> {
    let node = model.node(node);
    let Some(Node(conv)) = node.op_as::<Node<Conv2d>>() else {
        return Ok(None);
    };
    let before = model.node(node.inputs[0].node);
    let Some(Node(upsample)) = before.op_as::<Node<Upsample>>() else {
        return Ok(None);
    };
    let is_output = model.output_outlets()?.contains(&before.id.into());
    if conv.window.upsample > 1 || is_output || before.outputs[0].successors.len() > 1 {
        return Ok(None);
    }
    let mut conv = conv.clone();
    conv.window.upsample = upsample.factor;
    conv.product.activations16 = true; // between residual blocks: nothing has evened it out
    let mut inputs = node.inputs.clone();
    inputs[0] = before.inputs[0];
    let mut patch = TypedModelPatch::new("upsample");
    let inputs = patch.taps(model, &inputs)?;
    let output = patch.wire_node(&node.name, Node(conv), &inputs)?;
    patch.shunt_outside(model, node.id.into(), output[0])?;
    Ok(Some(patch))
}

fn use_16_bits(model: &mut TypedModel, most: usize) {
    for node in &mut model.nodes {
        let small = match node.outputs[0].fact.shape.as_concrete() {
            Some([_, height, width, _]) => height * width <= most,
            _ => false,
        };
        if let Some(Node(conv)) = node.op_as_mut::<Node<Conv2d>>() {
            conv.product.activations16 |= small;
        }
    }
}

#[cfg(test)]
mod tests;
