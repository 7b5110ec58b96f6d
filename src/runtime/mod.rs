//! ONNX → passes → tract → plan.
//!
//! A [`Network`] is a file of the model directory and what it declares; a [`Plan`] is that network built for
//! concrete shapes: named inputs in, tensors out. What the inputs mean is the stages' business.

mod cache;
mod footprint;
mod fusion;
mod ops;
mod order;
mod packing;
mod passes;
mod profile;
mod slot;
mod workers;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use easel_kernels::isa::Isa;
use prost::Message as _;
use tract_core::prelude::{DatumType, Framework as _, Tensor, TypedRunnableModel};
use tract_onnx::pb::{ModelProto, TypeProto, ValueInfoProto, type_proto};
use tract_onnx::prelude::{InferenceFact, InferenceModelExt as _};
use tract_onnx::tract_hir::internal::InferenceModel;

use crate::weights::{Pack, read_network};
use footprint::Footprint;
use ops::scratch::Kept;
pub(crate) use packing::{Residency, Sizes};
use passes::Weight;
pub(crate) use passes::element_type;
pub use profile::Kind;
pub(crate) use slot::Slot;
pub(crate) use workers::Workers;

/// A network that cannot be loaded or run.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct RuntimeError {
    path: PathBuf,
    problem: String,
}

/// One input as the file declares it.
#[derive(Debug, Clone)]
pub(crate) struct InputSpec {
    pub(crate) name: String,
    pub(crate) element: DatumType,
    /// `None`: a dynamic axis.
    pub(crate) dims: Vec<Option<usize>>,
}

/// How coarsely a network with int8 weights may compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    /// Its errors average out, over steps and tokens.
    Usual,
    /// Its output is what people see.
    Fine,
}

/// One ONNX file.
#[derive(Debug)]
pub(crate) struct Network {
    path: PathBuf,
    inputs: Vec<InputSpec>,
}

/// A network built for concrete shapes.
pub(crate) struct Plan {
    path: PathBuf,
    inputs: Vec<String>,
    model: Arc<TypedRunnableModel>,
    /// By a node's number: see [`Footprint`].
    takes: Vec<usize>,
    kept: Mutex<Kept>,
    warning: Option<String>,
}

impl Network {
    /// Looks at `DIR/COMPONENT/model.onnx`: what it declares, not yet its weights.
    pub(crate) fn open(model_dir: &Path, component: &str) -> Result<Self, RuntimeError> {
        let path = model_dir.join(component).join("model.onnx");
        let proto = parse(&path)?;
        let graph = proto.graph.as_ref().expect("parse() checks for a graph");
        let constants: std::collections::HashSet<&str> =
            graph.initializer.iter().map(|i| i.name.as_str()).collect();
        let inputs = graph
            .input
            .iter()
            .filter(|input| !constants.contains(input.name.as_str()))
            .map(input_spec)
            .collect::<Result<_, _>>()
            .map_err(|problem| RuntimeError {
                path: path.clone(),
                problem,
            })?;
        Ok(Self { path, inputs })
    }

    pub(crate) fn inputs(&self) -> &[InputSpec] {
        &self.inputs
    }

    pub(crate) fn error(&self, problem: impl Into<String>) -> RuntimeError {
        RuntimeError {
            path: self.path.clone(),
            problem: problem.into(),
        }
    }

    /// Builds the network for one shape per input, in the order of [`inputs`](Self::inputs), all but the weights. With
    /// `output`, only what that output needs is kept.
    pub(crate) fn prepare(
        &self,
        workers: &Workers,
        shapes: &[Vec<usize>],
        output: Option<&str>,
        precision: Precision,
    ) -> Result<Prepared, RuntimeError> {
        self.check(shapes)?;
        let isa = Isa::chosen().map_err(|error| self.error(error.to_string()))?;
        let mut proto = parse(&self.path)?;
        let cache = workers.cache().map(|folder| {
            let how = format!("{precision:?} {}", output.unwrap_or_default());
            Place {
                path: cache::path(folder, &self.path, isa),
                key: cache::key(&proto, &self.path, isa, &how),
            }
        });
        let open = cache.as_ref().and_then(|cache| {
            let pack = Pack::open(&cache.path, &cache.key)?;
            let graph = pack.graph().ok()?;
            Some((pack, ModelProto::decode(&graph[..]).ok()?))
        });
        if let Some((pack, graph)) = open {
            let model = self.import(graph, shapes, output, precision)?;
            if packing::fits(&model, &pack) {
                let source = Source::Cache(Arc::new(pack));
                return Ok(self.prepared(model, isa, cache, source));
            }
        }
        let weights = passes::run(&mut proto, &self.path).map_err(|problem| self.error(problem))?;
        let graph = cache.as_ref().map(|_| proto.encode_to_vec());
        let model = self.import(proto, shapes, output, precision)?;
        let source = Source::File {
            weights,
            graph: graph.unwrap_or_default(),
        };
        Ok(self.prepared(model, isa, cache, source))
    }

    fn prepared(
        &self,
        model: Arc<TypedRunnableModel>,
        isa: Isa,
        cache: Option<Place>,
        source: Source,
    ) -> Prepared {
        Prepared {
            path: self.path.clone(),
            inputs: self.inputs.iter().map(|i| i.name.clone()).collect(),
            model,
            isa,
            cache,
            source,
        }
    }

    /// Whether the file can take these shapes.
    fn check(&self, shapes: &[Vec<usize>]) -> Result<(), RuntimeError> {
        for (input, shape) in self.inputs.iter().zip(shapes) {
            let fits = input.dims.len() == shape.len()
                && input
                    .dims
                    .iter()
                    .zip(shape)
                    .all(|(declared, wanted)| declared.is_none_or(|n| n == *wanted));
            if !fits {
                return Err(self.error(format!(
                    "input `{}` is declared as {}, this picture needs {shape:?}: use the size it was exported for, or export it with dynamic axes",
                    input.name,
                    dims_text(&input.dims)
                )));
            }
        }
        Ok(())
    }

    /// From a network that the passes have been over to one that can run, but for its weights.
    fn import(
        &self,
        proto: ModelProto,
        shapes: &[Vec<usize>],
        output: Option<&str>,
        precision: Precision,
    ) -> Result<Arc<TypedRunnableModel>, RuntimeError> {
        let mut onnx = tract_onnx::onnx()
            .with_ignore_output_shapes(true)
            .with_ignore_value_info(true);
        ops::register_all(&mut onnx.op_register);
        onnx.model_for_proto_model(&proto)
            .and_then(|mut model: InferenceModel| {
                drop(proto);
                for (index, (input, shape)) in self.inputs.iter().zip(shapes).enumerate() {
                    let fact = InferenceFact::dt_shape(input.element, shape);
                    model.set_input_fact(index, fact)?;
                }
                if let Some(name) = output {
                    model.select_outputs_by_name([name])?;
                }
                let mut model = model.into_typed()?.into_decluttered()?;
                fusion::run(&mut model, precision == Precision::Fine)?;
                model.optimize()?;
                order::plan(model)
            })
            .map_err(|error| self.error(chain(&error)))
    }

    /// Whether the file has an output of this name.
    pub(crate) fn has_output(&self, name: &str) -> Result<bool, RuntimeError> {
        let proto = parse(&self.path)?;
        let graph = proto.graph.expect("parse() checks for a graph");
        Ok(graph.output.iter().any(|output| output.name == name))
    }
}

/// A network that only lacks its weights.
pub(crate) struct Prepared {
    path: PathBuf,
    inputs: Vec<String>,
    model: Arc<TypedRunnableModel>,
    isa: Isa,
    cache: Option<Place>,
    source: Source,
}

/// What a network needs to run, in bytes.
#[derive(Debug, Clone)]
pub(crate) struct Needs {
    /// The graph.
    pub(crate) graph: usize,
    /// Its weights.
    pub(crate) sizes: Sizes,
    /// Tensors and scratch memory while each node runs, in order.
    pub(crate) activations: Vec<usize>,
}

/// What tract takes for a node, with the garbage that building the graph leaves: measured.
const BYTES_PER_NODE: usize = 12 << 10;

/// Where a cache is or will be, and what it depends on.
struct Place {
    path: PathBuf,
    key: String,
}

/// Where the weights are.
enum Source {
    Cache(Arc<Pack>),
    File {
        weights: Vec<Weight>,
        /// The network after the passes, for the cache.
        graph: Vec<u8>,
    },
}

impl Prepared {
    /// What it needs to run.
    pub(crate) fn needs(&self) -> Result<Needs, RuntimeError> {
        let sizes = match &self.source {
            Source::Cache(pack) => {
                packing::packed_sizes(&self.model, pack).map_err(|error| self.error(error))?
            }
            Source::File { weights, .. } => packing::sizes(&self.model, self.isa, weights),
        };
        let footprint = self.footprint()?;
        Ok(Needs {
            graph: self.model.model().nodes.len() * BYTES_PER_NODE,
            sizes,
            activations: footprint.bytes,
        })
    }

    fn footprint(&self) -> Result<Footprint, RuntimeError> {
        let int8 = |number: usize| match &self.source {
            Source::Cache(pack) => pack.weight(number).is_ok_and(|weight| weight.int8),
            Source::File { weights, .. } => {
                matches!(weights[number].values, passes::Values::Int8 { .. })
            }
        };
        footprint::of(&self.model, &int8).map_err(|error| self.error(chain(&error)))
    }

    /// Brings the weights, and writes the cache if there is to be one and it is not there.
    pub(crate) fn load(
        mut self,
        workers: &Workers,
        residency: Residency,
        limit: Option<usize>,
    ) -> Result<Plan, RuntimeError> {
        let mut warning = None;
        if let (Source::File { weights, graph }, Some(place)) = (&self.source, &self.cache) {
            match self.store(workers, weights, graph, place) {
                Ok(pack) => self.source = Source::Cache(Arc::new(pack)),
                Err(problem) if residency == Residency::Whole => warning = Some(problem),
                Err(problem) => return Err(self.error(problem)),
            }
        }
        match &self.source {
            Source::Cache(pack) => {
                packing::attach(&self.model, self.isa, pack, residency, workers.storage())
                    .map_err(|error| self.error(error))?;
            }
            Source::File { .. } if residency != Residency::Whole => {
                return Err(self.error(
                    "its weights do not fit the memory budget, and to read them as they are needed takes a cache: name a folder for it",
                ));
            }
            Source::File { weights, .. } => {
                packing::pack(
                    &self.model,
                    self.isa,
                    &workers.threads(),
                    weights,
                    workers.pulse(),
                )
                .map_err(|problem| self.error(problem))?;
            }
        }
        let takes = self.footprint()?.takes;
        Ok(Plan {
            takes,
            kept: Mutex::new(Kept::with_limit(limit)),
            path: self.path,
            inputs: self.inputs,
            model: self.model,
            warning,
        })
    }

    /// Writes the cache, and opens it.
    fn store(
        &self,
        workers: &Workers,
        weights: &[Weight],
        graph: &[u8],
        Place { path, key }: &Place,
    ) -> Result<Pack, String> {
        let threads = workers.threads();
        let written = packing::write(
            &self.model,
            self.isa,
            &threads,
            weights,
            graph,
            (path, key),
            workers.pulse(),
        );
        let failed = |error: &dyn std::fmt::Display| {
            format!(
                "cache {} cannot be written ({error}): name another folder, or make room",
                path.display()
            )
        };
        written.map_err(|error| match error.kind() {
            // The model could not be read, which says what to do by itself.
            ErrorKind::Other => error.to_string(),
            _ => failed(&error),
        })?;
        Pack::open(path, key).ok_or_else(|| failed(&"it is not there afterwards"))
    }

    fn error(&self, problem: impl std::fmt::Display) -> RuntimeError {
        RuntimeError {
            path: self.path.clone(),
            problem: problem.to_string(),
        }
    }
}

impl Plan {
    /// Runs the network: one tensor per input in declared order in, the first output as f32 out.
    pub(crate) fn run(
        &self,
        workers: &Workers,
        inputs: Vec<Tensor>,
    ) -> Result<Tensor, RuntimeError> {
        debug_assert_eq!(inputs.len(), self.inputs.len());
        let output = workers.run(&self.model, &self.takes, &self.kept, inputs);
        output.map_err(|error| RuntimeError {
            path: self.path.clone(),
            problem: chain(&error),
        })
    }
}

/// One line: tract's errors are chains with the cause last.
fn chain(error: &tract_core::prelude::TractError) -> String {
    let text: Vec<String> = error.chain().map(ToString::to_string).collect();
    let line = text.join(": ").replace(['\n', '\r'], " ");
    match line.char_indices().nth(600) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn parse(path: &Path) -> Result<ModelProto, RuntimeError> {
    let fail = |problem: String| RuntimeError {
        path: path.to_owned(),
        problem,
    };
    let proto = read_network(path).map_err(|error| match error.kind() {
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => fail(format!(
            "damaged or not an ONNX file ({error}): copy or export it again"
        )),
        _ => fail(format!(
            "cannot be read: {error}: is this a model directory?"
        )),
    })?;
    match &proto.graph {
        // The operator versions stand behind the graph: without them the end of the file is missing.
        Some(graph) if !graph.node.is_empty() && !proto.opset_import.is_empty() => Ok(proto),
        _ => Err(fail(
            "holds no network: it is empty or cut short; copy or export it again".into(),
        )),
    }
}

fn input_spec(input: &ValueInfoProto) -> Result<InputSpec, String> {
    use tract_onnx::pb::tensor_shape_proto::dimension::Value;
    let Some(TypeProto {
        value: Some(type_proto::Value::TensorType(tensor)),
        ..
    }) = &input.r#type
    else {
        return Err(format!("input `{}` is not a tensor", input.name));
    };
    let dims = tensor.shape.iter().flat_map(|shape| &shape.dim);
    let dims = dims.map(|dim| match dim.value {
        Some(Value::DimValue(n)) => usize::try_from(n).ok().filter(|n| *n > 0),
        _ => None,
    });
    let element = element_type(tensor.elem_type)
        .ok_or_else(|| format!("input `{}` has an unknown element type", input.name))?;
    Ok(InputSpec {
        name: input.name.clone(),
        element,
        dims: dims.collect(),
    })
}

fn dims_text(dims: &[Option<usize>]) -> String {
    let dims: Vec<_> = dims
        .iter()
        .map(|d| d.map_or_else(|| "?".to_owned(), |n| n.to_string()))
        .collect();
    format!("[{}]", dims.join(", "))
}
