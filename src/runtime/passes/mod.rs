//! The passes that rewrite a network before tract imports it, in one ordered list.

mod activations;
mod attention;
mod channels_last;
mod constants;
mod crop_upsampled;
mod dequantize;
mod dynamic_int8;
mod einsum;
mod embedding;
mod external_data;
mod graph;
mod group_norm;
mod heads;
mod identities;
mod layer_norm;
mod padding;
mod rms_norm;
mod rotary;
mod split_dequantize;
mod standard;
#[cfg(test)]
pub(super) mod testing;
mod upsample;
mod weights;
mod widen_f16;

use std::path::Path;

use tract_core::prelude::{Datum as _, DatumType};
use tract_onnx::pb::{ModelProto, NodeProto, tensor_proto::DataType};

use crate::weights::TensorSource;
pub(super) use constants::gather_external;
pub(super) use graph::{check, drop_unread, each_read, int, ints, opset};
use standard::sorted;
pub(super) use standard::{check_operators, name_nodes, standardize};
pub(super) use weights::{Values, Weight};

/// A pass: rewrites the network, or says why it cannot.
type Pass = fn(&mut ModelProto, &mut PassContext) -> Result<(), String>;

/// What passes know besides the network, and leave for those who build it.
pub(super) struct PassContext {
    /// Where the bytes of tensors come from.
    pub(super) tensors: TensorSource,
    /// Weights that nodes of ours refer to by their place here.
    pub(super) weights: Vec<Weight>,
}

impl PassContext {
    /// For a network in this folder.
    fn new(folder: &Path) -> Self {
        Self {
            tensors: TensorSource::new(folder),
            weights: Vec::new(),
        }
    }
}

/// In order; each works on what the one before it left.
const PASSES: [(&str, Pass); 21] = [
    // So that patterns find constants in one place.
    ("constants", constants::run),
    // Looks at structure alone, and knows the standard's operators.
    ("crop upsampled", crop_upsampled::run),
    // It changes convolutions, which are ours later.
    ("padding", padding::run),
    // It makes weights of the kind that the next pass knows.
    ("dynamic int8", dynamic_int8::run),
    // First of those that look at values: what becomes ours here is never copied.
    ("weights", weights::run),
    // The other large constants.
    ("embedding", embedding::run),
    // Before all that looks at the values that are left.
    ("external data", external_data::run),
    // Before dequantization, whose scales may be fp16.
    ("widen fp16", widen_f16::run),
    // It makes transpositions, which others know.
    ("einsum", einsum::run),
    // So that patterns find nothing between their parts.
    ("identities", identities::run),
    // Before the activations, one of which it takes in.
    ("group norm", group_norm::run),
    ("layer norm", layer_norm::run),
    ("rms norm", rms_norm::run),
    ("rotary", rotary::run),
    ("activations", activations::run),
    // It knows norms and rotations, and clears the way for attention.
    ("heads", heads::run),
    ("attention", attention::run),
    // After the cropping.
    ("upsample", upsample::run),
    // After all that makes image operators ours.
    ("channels last", channels_last::run),
    // It makes the largest tensors: nothing looks at weights after it.
    ("dequantize", dequantize::run),
    // What the one before it left: activations.
    ("split dequantize", split_dequantize::run),
];

/// Runs all passes on the network read from `path`; gives the weights that its nodes refer to.
pub(super) fn run(model: &mut ModelProto, path: &Path) -> Result<Vec<Weight>, String> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut context = PassContext::new(folder);
    for (name, pass) in PASSES {
        let step =
            pass(model, &mut context).and_then(|()| model.graph.as_ref().map_or(Ok(()), check));
        step.map_err(|problem| format!("{name}: {problem}"))?;
    }
    Ok(context.weights)
}

/// A node named after its one output, no attributes.
pub(super) fn node(op: &str, input: &[&str], output: &str) -> NodeProto {
    NodeProto {
        name: output.to_owned(),
        op_type: op.to_owned(),
        input: input.iter().copied().map(String::from).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

/// tract's type for an ONNX element type, as it is after the passes: fp16 and bfloat16 are f32 by then.
pub(crate) fn element_type(onnx: i32) -> Option<DatumType> {
    Some(match DataType::try_from(onnx).ok()? {
        DataType::Float | DataType::Float16 | DataType::Bfloat16 => f32::datum_type(),
        DataType::Double => f64::datum_type(),
        DataType::Int64 => i64::datum_type(),
        DataType::Int32 => i32::datum_type(),
        DataType::Bool => bool::datum_type(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use prost::Message as _;

    use super::*;

    /// How many nodes of each kind the model's network has after all passes.
    fn kinds(network: &Path) -> HashMap<String, usize> {
        let bytes = std::fs::read(network).expect("the model is there");
        let mut model = ModelProto::decode(&bytes[..]).expect("a network");
        standardize(&mut model).expect("it can be written so");
        run(&mut model, network).expect("all passes run");
        let mut kinds = HashMap::new();
        for node in model.graph.expect("it has one").node {
            *kinds.entry(node.op_type).or_default() += 1;
        }
        kinds
    }

    #[test]
    fn what_other_tools_write_is_made_of_our_operators_too() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("test-models/tiny");
        for variant in [
            "inline",
            "runtime-extended",
            "runtime-all",
            "runtime-transformers",
            "functions",
        ] {
            let kinds = kinds(&models.join(variant).join("unet/model.onnx"));
            let fused = [
                "EaselAttention",
                "EaselGroupNorm",
                "EaselLayerNorm",
                "EaselGeGlu",
                "EaselConv2d",
            ];
            let found = fused.map(|kind| kinds.get(kind).copied().unwrap_or(0));
            assert_eq!(found, [8, 21, 12, 4, 33], "{variant}: {kinds:?}");
        }
    }

    #[test]
    fn the_default_model_is_made_of_our_operators() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket");
        let spelled = [
            "Softmax",
            "InstanceNormalization",
            "LayerNormalization",
            "Erf",
            "Sigmoid",
            "Tanh",
        ];
        let fused = [
            "EaselAttention",
            "EaselGroupNorm",
            "EaselLayerNorm",
            "EaselGeGlu",
            "EaselActivation",
        ];
        for (component, left, made) in [
            ("unet", [0, 0, 0, 0, 0, 0], [14, 30, 21, 7, 2]),
            ("text_encoder", [0, 0, 0, 0, 0, 0], [3, 0, 7, 0, 3]),
            // Its tanh bounds the latents.
            ("vae_decoder", [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0]),
        ] {
            let kinds = kinds(&models.join(component).join("model.onnx"));
            let count = |kind: &str| kinds.get(kind).copied().unwrap_or(0);
            assert_eq!(spelled.map(count), left, "{component}: {kinds:?}");
            assert_eq!(fused.map(count), made, "{component}: {kinds:?}");
        }
    }
}
