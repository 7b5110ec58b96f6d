//! A model that is ONNX already, with floats: its graphs stay as they are, their weights are rounded on the way.
//!
//! ```text
//! weight ─► MatMul                ─►   q, scale ─► DequantizeLinear ─► MatMul
//! weight (fp16) ─► Cast ─► MatMul ─►   q, scale ─► DequantizeLinear ─► MatMul
//! ```
//! What is no weight of a product, and what is int8 already, is copied.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tract_onnx::pb::{
    AttributeProto, GraphProto, NodeProto, TensorProto, attribute_proto::AttributeType,
    tensor_proto::DataType,
};

use super::checkpoint::{Network, name_of, read_config};
use super::directory::{Networks, Watch, copy_files};
use super::error::{ImportError, quoted};
use super::graph::{Parameter, Stored};
use super::networks::{Built, Kind};
use super::plan::{self, Part};
use super::request::{Precision, Report, Request};
use super::tensor::{Kind as Number, Opened, Tensor};
use super::weights::{Weight, Weights};
use super::writer::{LEAST_NUMBERS, stays_float};
use crate::config::Config;
use crate::model_dir::ModelDir;
use crate::weights::{TensorBytes, TensorSource, read_network};

/// Networks that easel uses, by their folders; others, such as safety checkers, are left out.
const NETWORKS: [(&str, Kind); 9] = [
    ("text_encoder", Kind::Text { by_layer: false }),
    ("text_encoder_2", Kind::Text { by_layer: false }),
    ("text_encoder_3", Kind::Text { by_layer: false }),
    ("image_encoder", Kind::Image { plus: false }),
    ("unet", Kind::Unet { image_tokens: 0 }),
    ("transformer", Kind::Transformer),
    ("controlnet", Kind::ControlNet),
    ("vae_decoder", Kind::Decoder),
    ("vae_encoder", Kind::Encoder),
];
/// Folders with small files alone.
const SMALL: [&str; 5] = [
    "scheduler",
    "tokenizer",
    "tokenizer_2",
    "tokenizer_3",
    "feature_extractor",
];
/// The first one whose `DequantizeLinear` has a scale for each channel.
const LEAST_OPSET: i64 = 13;

/// Whether this is a model of ONNX networks.
pub(super) fn is_source(folder: &Path) -> bool {
    ["unet", "transformer"]
        .iter()
        .any(|name| folder.join(name).join("model.onnx").exists())
}

/// Writes the model in the request's folder anew.
pub(super) fn write(request: &Request, watch: &mut Watch<'_>) -> Result<Report, ImportError> {
    let source = &request.source;
    let added = [
        ("--lora", !request.loras.is_empty()),
        ("--decoder", request.decoder.is_some()),
        ("--ip-adapter", request.ip_adapter.is_some()),
    ];
    if let Some((flag, _)) = added.iter().find(|(_, given)| *given) {
        return Err(ImportError::bad(
            source,
            format_args!(
                "{flag}: is for checkpoints; these ONNX networks have lost the names of their layers: take the checkpoint that they were made of"
            ),
        ));
    }
    let folders = NETWORKS
        .into_iter()
        .map(|(name, kind)| (name, kind, source.join(name)));
    let folders = folders.filter(|(_, _, folder)| folder.join("model.onnx").exists());
    let mut kinds = Vec::new();
    let mut read = Vec::new();
    let mut built = Vec::new();
    for (name, kind, folder) in folders {
        let (network, graph) = read_one(&folder, kind, request.precision)?;
        kinds.push((name, kind));
        read.push(network);
        built.push(graph);
    }
    let parts = kinds
        .iter()
        .zip(&read)
        .map(|((folder, kind), network)| Part {
            folder,
            network,
            kind: *kind,
        });
    let networks = Networks(parts.zip(built).collect());
    let mut folder = networks.begin(request)?;
    let index = "model_index.json";
    folder.write(
        Path::new(index),
        &read_config(&source.join(index))?.written(),
    )?;
    for name in SMALL.into_iter().filter(|name| source.join(name).is_dir()) {
        copy_files(&source.join(name), Path::new(name), &mut folder)?;
    }
    let own = source.join("easel.json");
    let own = if own.exists() {
        read_config(&own)?
    } else {
        Config::default()
    };
    let name = name_of(source);
    let easel = plan::easel_json(
        &name,
        &own,
        request,
        &networks.float_layers(request.precision),
    );
    folder.write(Path::new("easel.json"), &easel.written())?;
    // Without configurations, a model is only read with its networks, which are not there yet.
    let told = read
        .iter()
        .all(|network| network.config.entries().next().is_some());
    let model = ModelDir::read(if told { folder.path() } else { source }, crate::family::of);
    model.map_err(|error| plan::misfit(&error, &folder))?;
    networks.write(name, folder, request.precision, watch)
}

/// Reads a network's graph, and finds its weights.
fn read_one(
    folder: &Path,
    kind: Kind,
    precision: Precision,
) -> Result<(Network, Built), ImportError> {
    let path = folder.join("model.onnx");
    let unreadable = |error| ImportError::unreadable(&path, &error);
    let mut model = read_network(&path).map_err(unreadable)?;
    let opset = model.opset_import.iter().find(|set| set.domain.is_empty());
    if precision == Precision::Int8 && opset.is_none_or(|set| set.version < LEAST_OPSET) {
        return Err(ImportError::bad(
            &path,
            format_args!(
                "is of an opset before {LEAST_OPSET}, which has no int8 by channels: export it again"
            ),
        ));
    }
    let mut graph = model
        .graph
        .take()
        .ok_or_else(|| ImportError::bad(&path, "has no graph"))?;
    let names: Vec<String> = graph
        .initializer
        .iter()
        .map(|tensor| tensor.name.clone())
        .collect();
    share(&mut graph, &names);
    let places = places(&graph);
    let mut source = TensorSource::new(folder);
    let mut files: HashMap<PathBuf, Arc<Opened>> = HashMap::new();
    let (mut weights, mut parameters, mut others) =
        (Weights::new(), HashMap::new(), HashMap::new());
    for tensor in std::mem::take(&mut graph.initializer) {
        let name = tensor.name.clone();
        let problem =
            |problem: String| ImportError::bad(&path, format_args!("{}: {problem}", quoted(&name)));
        let bytes = source.bytes(&tensor).map_err(problem)?;
        let place = places.get(&name).and_then(|place| place.as_ref());
        let found = place.and_then(|place| weight(&tensor, &bytes, place, &mut files));
        let stays = |place: &Place| precision == Precision::Int8 && stays_float(kind, &place.layer);
        let halved = tensor.data_type != DataType::Float as i32;
        match found.zip(place) {
            Some((weight, place)) if rounds(precision, halved) && !stays(place) => {
                let value = if halved {
                    widen(&mut graph.node, &name, tensor.data_type)
                } else {
                    name.clone()
                };
                let stored = if place.columns {
                    Stored::Transposed
                } else {
                    Stored::AsIs
                };
                let weight = if place.columns {
                    weight.transposed()?
                } else {
                    weight
                };
                weights.insert(name.clone(), weight);
                parameters.insert(
                    value,
                    Parameter {
                        weight: name,
                        stored,
                        layer: Some(place.layer.clone()),
                    },
                );
            }
            _ => {
                others.insert(name, (tensor, bytes));
            }
        }
    }
    let config = folder.join("config.json");
    let config = if config.exists() {
        read_config(&config)?
    } else {
        Config::default()
    };
    let GraphProto {
        node,
        input,
        output,
        ..
    } = graph;
    let network = Network {
        path: path.clone(),
        config,
        weights,
    };
    Ok((
        network,
        Built {
            nodes: node,
            inputs: input,
            outputs: output,
            parameters,
            others,
            model,
        },
    ))
}

/// Whether weights are stored otherwise than they are.
fn rounds(precision: Precision, halved: bool) -> bool {
    match precision {
        Precision::Int8 => true,
        Precision::Fp16 => !halved,
        Precision::Fp32 => false,
    }
}

/// Where a weight is multiplied.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    layer: String,
    /// Output channels are columns.
    columns: bool,
}

/// The initializers that are weights of products and of nothing else, or of products of two kinds (`None`).
fn places(graph: &GraphProto) -> BTreeMap<String, Option<Place>> {
    // What is only another type of an initializer.
    let mut casts: HashMap<&str, &str> = HashMap::new();
    for node in graph.node.iter().filter(|node| node.op_type == "Cast") {
        if let ([input], [output]) = (&node.input[..], &node.output[..]) {
            casts.insert(output, input);
        }
    }
    let mut found: BTreeMap<String, Option<Place>> = BTreeMap::new();
    for node in &graph.node {
        let number = |name: &str| {
            node.attribute
                .iter()
                .find(|a| a.name == name)
                .map_or(0, |a| a.i)
        };
        let (slot, columns) = match node.op_type.as_str() {
            "Conv" => (1, false),
            "MatMul" => (1, true),
            "Gemm" => (1, number("transB") == 0),
            "Gather" if number("axis") == 0 => (0, false),
            _ => (usize::MAX, false),
        };
        for (at, name) in node.input.iter().enumerate() {
            let read = *casts.get(name.as_str()).unwrap_or(&name.as_str());
            let place = (at == slot).then(|| Place {
                layer: layer(read, &node.name),
                columns,
            });
            if node.op_type == "Cast" {
                continue;
            }
            let same = |old: &Option<Place>| {
                old.as_ref().map(|old| old.columns) == place.as_ref().map(|new| new.columns)
            };
            match found.get_mut(read) {
                Some(old) if !same(old) => *old = None,
                Some(_) => {}
                None => {
                    found.insert(read.to_owned(), place);
                }
            }
        }
    }
    found
}

/// The layer that a weight belongs to: by its own name, or that of the node, as exporters of PyTorch write them.
fn layer(weight: &str, node: &str) -> String {
    let own = weight.strip_suffix("_f16").unwrap_or(weight);
    if let Some(own) = own.strip_suffix(".weight") {
        return own.trim_start_matches("m.").to_owned();
    }
    let mut parts: Vec<&str> = node.trim_matches('/').split('/').collect();
    parts.pop();
    // The tracer repeats a list before its member: "net", then "net.0".
    let repeated = |at: usize| {
        parts.get(at + 1).is_some_and(|next| {
            next.strip_prefix(parts[at])
                .is_some_and(|rest| rest.starts_with('.'))
        })
    };
    let kept = (0..parts.len())
        .filter(|at| !repeated(*at))
        .map(|at| parts[at]);
    kept.filter(|part| *part != "m")
        .collect::<Vec<_>>()
        .join(".")
}

/// A tensor as a weight, if it is one of floats with as many axes as its place needs, and large enough.
fn weight(
    tensor: &TensorProto,
    bytes: &TensorBytes,
    place: &Place,
    files: &mut HashMap<PathBuf, Arc<Opened>>,
) -> Option<Weight> {
    let number = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => Number::F32,
        Ok(DataType::Float16) => Number::F16,
        Ok(DataType::Bfloat16) => Number::Bf16,
        _ => return None,
    };
    let TensorBytes::File { file, path, range } = bytes else {
        return None;
    };
    let shape: Vec<usize> = tensor
        .dims
        .iter()
        .map(|side| usize::try_from(*side).ok())
        .collect::<Option<_>>()?;
    let large = shape.iter().product::<usize>() >= LEAST_NUMBERS;
    if !large || shape.len() < 2 || (place.columns && shape.len() != 2) {
        return None;
    }
    let file = files.entry(path.clone()).or_insert_with(|| {
        Arc::new(Opened {
            file: Arc::clone(file),
            path: path.clone(),
        })
    });
    Some(Weight::new(Tensor::new(
        Arc::clone(file),
        number,
        shape,
        range.start,
    )))
}

/// Lets nodes read initializers that `Identity` nodes share between them directly.
fn share(graph: &mut GraphProto, initializers: &[String]) {
    let outputs: Vec<&String> = graph.output.iter().map(|output| &output.name).collect();
    let mut same: HashMap<String, String> = HashMap::new();
    graph.node.retain(|node| {
        let ([input], [output]) = (&node.input[..], &node.output[..]) else {
            return true;
        };
        let input = same.get(input).unwrap_or(input);
        if node.op_type != "Identity" || outputs.contains(&output) || !initializers.contains(input)
        {
            return true;
        }
        let input = input.clone();
        same.insert(output.clone(), input);
        false
    });
    for name in graph.node.iter_mut().flat_map(|node| &mut node.input) {
        if let Some(initializer) = same.get(name) {
            name.clone_from(initializer);
        }
    }
}

/// What reads a weight of 16 bits is given floats: where it is cast to them, they are what the cast gave; where it is not, they are cast
/// back. Gives the name that the floats are to have.
fn widen(nodes: &mut Vec<NodeProto>, name: &str, kind: i32) -> String {
    let to_float = |node: &NodeProto| {
        let to = node
            .attribute
            .iter()
            .find(|attribute| attribute.name == "to");
        node.op_type == "Cast" && to.is_some_and(|to| to.i == i64::from(DataType::Float as i32))
    };
    let value = format!("{name}/float");
    let mut casts = Vec::new();
    nodes.retain(|node| {
        let cast = node.input.first().is_some_and(|input| input == name) && to_float(node);
        if cast {
            casts.extend(node.output.first().cloned());
        }
        !cast
    });
    for input in nodes.iter_mut().flat_map(|node| &mut node.input) {
        if casts.contains(input) {
            value.clone_into(input);
        }
    }
    if let Some(first) = nodes
        .iter()
        .position(|node| node.input.iter().any(|input| input == name))
    {
        let to = AttributeProto {
            name: "to".into(),
            r#type: AttributeType::Int as i32,
            i: i64::from(kind),
            ..AttributeProto::default()
        };
        let back = NodeProto {
            name: format!("{name}/Cast"),
            op_type: "Cast".into(),
            input: vec![value.clone()],
            output: vec![name.to_owned()],
            attribute: vec![to],
            ..NodeProto::default()
        };
        nodes.insert(first, back);
    }
    value
}
