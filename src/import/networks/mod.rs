//! The networks of checkpoints, one file an architecture: what diffusers and transformers compute, as graphs.
//!
//! A file reads like the class that it is named after. Widths and depths come from the weights' shapes; from the configuration comes
//! what shapes do not say. What a configuration asks for and is not built here is refused by its name.

mod adaln;
mod autoencoder_kl;
mod autoencoder_tiny;
mod clip_layers;
mod clip_text;
mod clip_vision;
mod controlnet;
mod flux;
mod image_prompt;
mod pixart;
mod resnet;
mod sd3;
mod t5;
mod timesteps;
mod transformer;
mod unet;
mod unet_blocks;

pub(super) use image_prompt::PROJECTION;
use tract_onnx::pb::{ModelProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto};

use super::checkpoint::Network;
use super::error::{ImportError, quoted};
use super::graph::{Graph, Parameter};
use crate::config::Config;
use crate::weights::TensorBytes;
use std::collections::HashMap;

const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

/// A network whose weights are not read yet.
pub(crate) struct Built {
    pub(crate) nodes: Vec<NodeProto>,
    pub(crate) inputs: Vec<ValueInfoProto>,
    pub(crate) outputs: Vec<ValueInfoProto>,
    pub(crate) parameters: HashMap<String, Parameter>,
    /// Tensors that are stored as they are.
    pub(crate) others: HashMap<String, (TensorProto, TensorBytes)>,
    /// All that a file says beside its graph.
    pub(crate) model: ModelProto,
}

/// What is built of a checkpoint's network: an autoencoder has two halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// CLIP's text encoder; with the states of all layers as outputs, or the last one alone.
    Text {
        by_layer: bool,
    },
    /// T5's; with a mask of the text as an input, or without.
    T5 {
        masked: bool,
    },
    /// CLIP's image encoder; of an adapter that looks at patches, or at the picture as a whole.
    Image {
        plus: bool,
    },
    /// `image_tokens`: vectors that an image encoder gives of a picture's patches, where an adapter looks at them.
    Unet {
        image_tokens: usize,
    },
    Transformer,
    Decoder,
    Encoder,
    ControlNet,
}

/// Builds a network.
pub(crate) fn build(network: &Network, kind: Kind) -> Result<Built, ImportError> {
    let mut graph = Graph::new(network);
    let class = class(graph.config()).map_err(|problem| graph.misconfigured(problem))?;
    match (kind, class) {
        (Kind::Text { by_layer }, "CLIPTextModel") => {
            clip_text::build(&mut graph, false, by_layer)?
        }
        (Kind::Text { by_layer }, "CLIPTextModelWithProjection") => {
            clip_text::build(&mut graph, true, by_layer)?
        }
        (Kind::T5 { masked }, "T5EncoderModel") => t5::build(&mut graph, masked)?,
        (Kind::Image { plus }, "CLIPVisionModelWithProjection") => {
            clip_vision::build(&mut graph, plus)?
        }
        (Kind::Unet { image_tokens }, "UNet2DConditionModel") => {
            unet::build(&mut graph, image_tokens)?
        }
        (Kind::Transformer, "PixArtTransformer2DModel") => pixart::build(&mut graph)?,
        (Kind::Transformer, "SD3Transformer2DModel") => sd3::build(&mut graph)?,
        (Kind::Transformer, "FluxTransformer2DModel") => flux::build(&mut graph)?,
        (Kind::ControlNet, "ControlNetModel") => controlnet::build(&mut graph)?,
        (Kind::Decoder, "AutoencoderKL") => autoencoder_kl::decoder(&mut graph)?,
        (Kind::Encoder, "AutoencoderKL") => autoencoder_kl::encoder(&mut graph)?,
        (Kind::Decoder, "AutoencoderTiny") => autoencoder_tiny::decoder(&mut graph)?,
        (Kind::Encoder, "AutoencoderTiny") => autoencoder_tiny::encoder(&mut graph)?,
        (_, class) => {
            return Err(graph.misconfigured(unknown(&format!("the class {}", quoted(class)))));
        }
    }
    if let Some(name) = graph.unread().first() {
        return Err(graph.problem(unknown(&format!("what {} is a weight of", quoted(name)))));
    }
    graph.finish();
    let Graph {
        nodes,
        inputs,
        outputs,
        parameters,
        ..
    } = graph;
    let opset = OperatorSetIdProto {
        domain: String::new(),
        version: OPSET,
    };
    let model = ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![opset],
        ..ModelProto::default()
    };
    Ok(Built {
        nodes,
        inputs,
        outputs,
        parameters,
        others: HashMap::new(),
        model,
    })
}

/// The class of diffusers or transformers that a configuration is of.
fn class(config: &Config) -> Result<&str, String> {
    if let Some(class) = config.text("_class_name")? {
        return Ok(class);
    }
    let architectures = config.get("architectures").and_then(|list| list.get(0));
    architectures
        .and_then(|class| class.as_str())
        .ok_or_else(|| "does not say what network it is (`_class_name`)".into())
}

/// What to say of parts that only the exporter knows.
pub(super) fn unknown(part: &str) -> String {
    format!(
        "{part} is not known here: export the model with easel_export on a PC (docs/bring-your-own-model.md)"
    )
}

/// Refuses options that change the network in a way that is not built here: each has the values that it may have.
fn only(graph: &Graph<'_>, options: &[(&str, &[serde_json::Value])]) -> Result<(), ImportError> {
    for (key, allowed) in options {
        if let Some(value) = graph
            .config()
            .get(key)
            .filter(|value| !allowed.contains(value))
        {
            let value = crate::text::excerpt(&value.to_string());
            return Err(graph.misconfigured(unknown(&format!("`{key}`: {value}"))));
        }
    }
    Ok(())
}
