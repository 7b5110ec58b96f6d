//! What follows a product moves into its epilogue, once tract knows the shapes.
//!
//! ```text
//! EaselUpsample ─► EaselConv2d                       the convolution sees each pixel as often as it is repeated
//! EaselLinear ─► EaselGeGlu                          the gate of a feed-forward
//! product ─► Add [n, 1, 1, c]                        the time embedding of a residual block
//! product ─► EaselActivation
//! product ─► Add of the product's shape              the residual connection
//! EaselLinear ─► EaselLinear                         a feed-forward whose middle is large: see `feed_forward`
//! ```
//!
//! Each step spares a pass over an image in memory.

mod feed_forward;

use easel_kernels::elementwise::Activation as Function;
use tract_core::internal::*;
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::math::Add;

use super::ops::{Activation, Conv2d, GeGlu, Linear, Node, Upsample};

/// Fuses all that can be, in a model that tract has decluttered. With `pixels16`, convolutions of images of up to so many pixels compute
/// with 16-bit activations: of a decoder the cheaper ones, whose errors all others carry on.
pub(super) fn run(model: &mut TypedModel, pixels16: Option<usize>) -> TractResult<()> {
    if let Some(pixels) = pixels16 {
        use_16_bits(model, pixels);
    }
    for node in 0..model.nodes.len() {
        while let Some(patch) =
            upsampled(model, node)?.map_or_else(|| followed(model, node), |p| Ok(Some(p)))?
        {
            patch.apply(model)?;
        }
    }
    for node in 0..model.nodes.len() {
        if let Some(patch) = feed_forward::pair(model, node)? {
            patch.apply(model)?;
        }
    }
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
        let place = product.activation();
        if place.is_some() {
            return Ok(None);
        }
        *place = Some(activation.function);
    } else if reader.op_as::<Node<GeGlu>>().is_some() {
        match &mut product {
            Product::Linear(linear)
                if linear.activation.is_none() && linear.product.can_be_gated() =>
            {
                linear.product.gated = true;
            }
            _ => return Ok(None),
        }
    } else if reader
        .op_as::<TypedBinOp>()
        .is_some_and(|op| op.0.is::<Add>())
    {
        let other = reader.inputs.iter().find(|outlet| outlet.node != node.id);
        let Some(&other) = other else { return Ok(None) };
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
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use crate::watched::CancelToken;

    use super::super::{Network, Precision, Residency, Wanted, Workers};

    /// How many nodes of each kind the default model's network has in the end.
    fn kinds(component: &str, shapes: &[Vec<usize>]) -> HashMap<String, usize> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket");
        let network = Network::open(
            &dir,
            &component.parse().expect("a name"),
            &CancelToken::new(),
        )
        .expect("the default model");
        let workers = Workers::new(1);
        let (plan, _) = network
            .prepare(
                &workers,
                shapes,
                &Wanted::default(),
                Precision::Activations16 { scale: 1 },
            )
            .and_then(|prepared| prepared.load(&workers, Residency::Whole, None))
            .expect("it builds");
        let mut kinds = HashMap::new();
        for node in plan.model.model().nodes() {
            *kinds.entry(node.op().name().into_owned()).or_default() += 1;
        }
        kinds
    }

    #[test]
    fn the_default_model_has_no_pass_over_memory_of_its_own_for_what_a_product_can_do() {
        let unet = kinds("unet", &[vec![2, 8, 16, 16], vec![], vec![2, 77, 192]]);
        for gone in [
            "EaselActivation",
            "EaselGeGlu",
            "EaselUpsample",
            "Softmax",
            "Resize",
        ] {
            assert!(!unet.contains_key(gone), "{gone} is left: {unet:?}");
        }
        assert_eq!(unet["EaselLinear GEGLU int8"], 7);
        // Of seven sums left, one a transformer, the other part is wanted twice.
        let sums: usize = unet
            .iter()
            .filter(|(name, _)| name.contains("Add"))
            .map(|(_, n)| n)
            .sum();
        assert!(sums <= 7, "{unet:?}");
        // Feed-forwards of large pictures are one node each.
        let large = kinds("unet", &[vec![2, 8, 128, 128], vec![], vec![2, 77, 192]]);
        assert_eq!(large["EaselFeedForward GEGLU int8"], 7, "{large:?}");
        assert!(!large.contains_key("EaselLinear GEGLU int8"), "{large:?}");
        let decoder = kinds("vae_decoder", &[vec![1, 8, 16, 16]]);
        assert!(
            !decoder.contains_key("EaselUpsample") && !decoder.keys().any(|k| k.contains("Add")),
            "{decoder:?}"
        );
    }
}
