//! ONNX → passes → tract → plan.
//!
//! A [`Network`] is a file of the model directory and what it declares; a [`Plan`] is that network built for
//! concrete shapes: named inputs in, tensors out. What the inputs mean is the stages' business.

mod absent;
mod aim;
mod cache;
mod cut;
mod declared;
mod feed;
mod footprint;
mod fusion;
mod gate;
mod guarded;
mod known;
mod lazy;
mod ops;
mod order;
mod packing;
mod part;
mod passes;
mod plan;
mod prepared;
mod profile;
mod sections;
mod skip_layers;
mod workers;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use easel_kernels::isa::Isa;
use prost::Message as _;
use tract_core::prelude::{Datum as _, Tensor};
use tract_onnx::pb::ModelProto;

use crate::component::Component;
use crate::contained::{Stopped, on_own_thread};
use crate::text::message;
use crate::watched::CancelToken;
use crate::weights::{Pack, read_network};
use aim::Aim;
pub(crate) use aim::Wanted;
pub(crate) use cut::Section;
pub(crate) use declared::{InputSpec, OutputSpec};
use declared::{input_spec, output_spec};
pub(crate) use feed::Feed;
pub(crate) use lazy::LazyNetwork;
pub(crate) use ops::scratch::make_room_within;
pub(crate) use packing::{Residency, Sizes, look_into};
use part::Part;
pub(crate) use plan::Plan;
pub(crate) use prepared::{Needs, Prepared};
use prepared::{Place, Source};
pub use profile::Kind;
pub(crate) use sections::{Sections, moments_tensor};
pub(crate) use workers::Workers;

/// A network that cannot be loaded or run.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct RuntimeError {
    path: PathBuf,
    problem: String,
    /// See [`RuntimeError::is_foreign`].
    foreign: bool,
}

impl RuntimeError {
    fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            problem: message(&problem.into()),
            foreign: false,
        }
    }

    fn foreign(path: &Path, problem: impl Into<String>) -> Self {
        Self {
            foreign: true,
            ..Self::new(path, problem)
        }
    }

    /// Whether the network is whole, but of a kind that easel does not take.
    pub(crate) fn is_foreign(&self) -> bool {
        self.foreign
    }
}

/// To how many bits a network with int8 weights quantizes the activations of its convolutions. A few convolutions take 16 bits in any
/// network: see [`Product`](ops::product::Product).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    /// 8 bits: errors average out, over steps and tokens.
    Activations8,
    /// 16 bits where images are small, as an autoencoder's: what it makes is what people see.
    Activations16 {
        /// Pixels of the network's input for a latent, each way.
        scale: usize,
    },
}

/// One ONNX file, or a part of it.
#[derive(Debug)]
pub(crate) struct Network {
    component: Component,
    path: PathBuf,
    inputs: Vec<InputSpec>,
    outputs: Vec<OutputSpec>,
    part: Part,
}

impl Network {
    /// Looks at `DIR/COMPONENT/model.onnx`: what it declares, not yet its weights.
    pub(crate) fn open(
        model_dir: &Path,
        component: &Component,
        cancel: &CancelToken,
    ) -> Result<Self, RuntimeError> {
        Self::open_file(file(model_dir, component), component, cancel)
    }

    /// [`open`](Self::open) of a file anywhere.
    pub(crate) fn open_file(
        path: PathBuf,
        component: &Component,
        cancel: &CancelToken,
    ) -> Result<Self, RuntimeError> {
        let proto = parse(&path)?;
        passes::check_operators(&proto).map_err(|problem| RuntimeError::foreign(&path, problem))?;
        let proto = within(&path, cancel, move || {
            let mut standard = proto.clone();
            passes::standardize(&mut standard)?;
            gate::check_structure(&standard)?;
            Ok(proto)
        })?;
        let graph = proto.graph.as_ref().expect("parse() checks for a graph");
        let constants: std::collections::HashSet<&str> =
            graph.initializer.iter().map(|i| i.name.as_str()).collect();
        let inputs = graph
            .input
            .iter()
            .filter(|input| !constants.contains(input.name.as_str()))
            .map(input_spec)
            .collect::<Result<_, _>>()
            .map_err(|problem| RuntimeError::new(&path, problem))?;
        let outputs = graph.output.iter().map(output_spec).collect();
        Ok(Self {
            component: component.clone(),
            path,
            inputs,
            outputs,
            part: Part::Whole,
        })
    }

    /// What the input of this name makes alone, and all the rest of the network. The value that crosses, of one output of the first, is
    /// the input of that name in the second: with any axes behind that of the batch.
    pub(crate) fn split(self, name: &str) -> (Self, Self) {
        let (component, path) = (self.component.clone(), self.path.clone());
        let own = self.inputs.iter().filter(|input| input.name == name);
        let before = Self {
            inputs: own.cloned().collect(),
            outputs: Vec::new(),
            part: Part::Before(name.to_owned()),
            component,
            path,
        };
        let told = |input: InputSpec| match input.name == name {
            true => InputSpec {
                element: f32::datum_type(),
                dims: input.dims.iter().take(1).copied().collect(),
                ..input
            },
            false => input,
        };
        let after = Self {
            inputs: self.inputs.into_iter().map(told).collect(),
            part: Part::After(name.to_owned()),
            ..self
        };
        (before, after)
    }

    pub(crate) fn component(&self) -> &Component {
        &self.component
    }

    pub(crate) fn inputs(&self) -> &[InputSpec] {
        &self.inputs
    }

    pub(crate) fn outputs(&self) -> &[OutputSpec] {
        &self.outputs
    }

    /// Numbers of this shape as the network's first input.
    pub(crate) fn first_input(
        &self,
        shape: &[usize],
        data: &[f32],
    ) -> Result<Tensor, RuntimeError> {
        Tensor::from_shape(shape, data)
            .and_then(|tensor| Ok(tensor.cast_to_dt(self.inputs[0].element)?.into_owned()))
            .map_err(|error| self.error(error.to_string()))
    }

    pub(crate) fn error(&self, problem: impl Into<String>) -> RuntimeError {
        RuntimeError::new(&self.path, problem)
    }

    /// An error of a network that is whole, but of a kind that easel does not take.
    pub(crate) fn refusal(&self, problem: impl Into<String>) -> RuntimeError {
        RuntimeError::foreign(&self.path, problem)
    }

    /// Bytes of all files in its folder; 0 where that cannot be told.
    pub(crate) fn file_bytes(&self) -> usize {
        let folder = self.path.parent().map(std::fs::read_dir);
        let files = folder.into_iter().flatten().flatten().flatten();
        let lengths = files.filter_map(|file| std::fs::metadata(file.path()).ok());
        let sum = lengths.fold(0_u64, |sum, file| sum.saturating_add(file.len()));
        usize::try_from(sum).unwrap_or(usize::MAX)
    }

    /// The folder where what is made of the model is kept, and what tells this network, asked for what is `wanted`, from others. `None`
    /// where nothing is kept, or somebody else could write.
    pub(crate) fn keeps(&self, workers: &Workers, wanted: &str) -> Option<(PathBuf, String)> {
        let isa = Isa::chosen().ok()?;
        let folder = workers.cache()?;
        let path = cache::path(folder, &self.path, &self.part, isa);
        if cache::distrust(folder, &path).is_some() {
            return None;
        }
        let key = cache::key(&parse(&self.path).ok()?, &self.path, isa, wanted);
        Some((path.parent()?.to_owned(), key))
    }

    /// Builds the network for one shape per input, in the order of [`inputs`](Self::inputs), all but the weights. Only what is
    /// `wanted` is kept.
    pub(crate) fn prepare(
        &self,
        workers: &Workers,
        shapes: &[Vec<usize>],
        wanted: &Wanted,
        precision: Precision,
    ) -> Result<Prepared, RuntimeError> {
        let told = |input: &InputSpec| wanted.is_told(&input.name);
        let inputs = || {
            self.inputs
                .iter()
                .zip(shapes)
                .filter(|(input, _)| told(input))
        };
        self.check(inputs())?;
        let isa = Isa::chosen().map_err(|error| self.error(error.to_string()))?;
        let proto = parse(&self.path)?;
        let mut distrust = None;
        let cache = workers.cache().and_then(|folder| {
            let path = cache::path(folder, &self.path, &self.part, isa);
            distrust = cache::distrust(folder, &path);
            if distrust.is_some() {
                return None;
            }
            let key = cache::key(&proto, &self.path, isa, &format!("{precision:?}"));
            Some(Place { path, key })
        });
        let elements = inputs().map(|(input, shape)| (input.element, shape.clone()));
        let all = self.inputs.iter().zip(shapes);
        let known = all.filter_map(|(input, shape)| {
            let mut known = wanted.known.iter();
            let known = known.find(|known| known.name == input.name)?;
            Some((known.clone(), input.element, shape.clone()))
        });
        let aim = Arc::new(Aim {
            inputs: elements.collect(),
            known: known.collect(),
            wanted: wanted.clone(),
            part: self.part.clone(),
            pixels16: match precision {
                Precision::Activations8 => None,
                Precision::Activations16 { scale } => Some(pixels16(&shapes[0]) / (scale * scale)),
            },
            limits: workers.limits(),
        });
        let prepared = |model, source| Prepared {
            path: self.path.clone(),
            model,
            isa,
            cache: None,
            distrust: None,
            unchecked: false,
            source,
            limits: workers.limits(),
            cancel: workers.cancel().clone(),
        };
        let open = cache.as_ref().and_then(|cache| {
            let pack = Pack::open(&cache.path, &cache.key);
            let pack = pack.unwrap_or_else(|why| {
                distrust = Some(why);
                None
            })?;
            let graph = pack.graph().ok()?;
            Some((pack, ModelProto::decode(&graph[..]).ok()?))
        });
        // Whoever asks for layers to be left out may ask for too many.
        let asked = wanted.skip_layers > 0;
        let refusal = move |error: RuntimeError| RuntimeError {
            foreign: error.foreign || asked,
            ..error
        };
        if let Some((pack, graph)) = open {
            let aim = aim.clone();
            let model = self.within(workers, move || prepared::import(graph, &aim));
            let model = model.map_err(refusal)?;
            if packing::fits(&model, isa, &pack) {
                return Ok(prepared(model, Source::Cache(Arc::new(pack))));
            }
        }
        // For the cache, and for who may cut the network into sections.
        let wanted = cache.is_some() || precision != Precision::Activations8;
        let path = self.path.clone();
        let made = self.within(workers, move || {
            let mut proto = proto;
            passes::standardize(&mut proto)?;
            gate::check_structure(&proto)?;
            let weights = passes::run(&mut proto, &path)?;
            let graph = if wanted {
                proto.encode_to_vec()
            } else {
                Vec::new()
            };
            let model = prepared::import(proto, &aim)?;
            Ok((model, Arc::new(weights), Arc::new(graph)))
        });
        let (model, weights, graph) = made.map_err(refusal)?;
        Ok(Prepared {
            cache,
            distrust,
            unchecked: true,
            ..prepared(model, Source::File { weights, graph })
        })
    }

    /// As [`prepare`](Self::prepare), cut into sections, for latents of this shape. `None` if it cannot be cut, or has no need to be.
    pub(crate) fn sections(
        &self,
        workers: &Workers,
        shape: &[usize],
        precision: Precision,
    ) -> Result<Option<Sections>, RuntimeError> {
        Sections::of(
            self.prepare(workers, &[shape.to_vec()], &Wanted::default(), precision)?,
            shape,
        )
    }

    /// Does something that only a sensible network is sure to survive, for as long as the work that `workers` do is wanted.
    fn within<R: Send + 'static>(
        &self,
        workers: &Workers,
        what: impl FnOnce() -> Result<R, String> + Send + 'static,
    ) -> Result<R, RuntimeError> {
        within(&self.path, workers.cancel(), what)
    }

    /// Whether the file can take these shapes.
    fn check<'a>(
        &self,
        inputs: impl Iterator<Item = (&'a InputSpec, &'a Vec<usize>)>,
    ) -> Result<(), RuntimeError> {
        for (input, shape) in inputs {
            // Of what crosses between parts of a network only the first axis is known.
            let fits = (input.dims.len() == shape.len() || self.crosses(&input.name))
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

    /// Whether the input of this name is what another part of the network makes.
    fn crosses(&self, name: &str) -> bool {
        matches!(&self.part, Part::After(input) if input == name)
    }

    /// How often `DIR/COMPONENT/model.onnx` makes images larger.
    pub(crate) fn upsamplings(
        model_dir: &Path,
        component: &Component,
    ) -> Result<usize, RuntimeError> {
        let proto = parse(&file(model_dir, component))?;
        let graphs = proto.graph.iter().flat_map(|graph| &graph.node);
        let nodes = graphs.chain(proto.functions.iter().flat_map(|function| &function.node));
        let larger = nodes.filter(|node| {
            matches!(
                node.op_type.as_str(),
                "Resize" | "Upsample" | "ConvTranspose"
            )
        });
        Ok(larger.count())
    }
}

/// Does something that only a sensible network is sure to survive, on a thread of its own.
fn within<R: Send + 'static>(
    path: &Path,
    cancel: &CancelToken,
    what: impl FnOnce() -> Result<R, String> + Send + 'static,
) -> Result<R, RuntimeError> {
    let made = match on_own_thread(cancel, what) {
        Ok(made) => made,
        Err(Stopped::Cancelled) => Err("cancelled".into()),
        Err(Stopped::TooLong) => Err("takes minutes to build: it is no network that paints".into()),
        Err(Stopped::Panicked(panic)) => Err(unforeseen(&panic)),
    };
    made.map_err(|problem| RuntimeError::new(path, problem))
}

/// What is wrong with a network that passed all checks, and that something stumbled over.
fn unforeseen(panic: &str) -> String {
    format!("is no network that easel can run ({panic}): copy or export it again")
}

/// Pixels of images up to which [`Precision::Activations16`] quantizes to 16 bits: twice as high and wide as latents `[n, c, h, w]`.
fn pixels16(input: &[usize]) -> usize {
    match input {
        [_, _, height, width] => 2 * 2 * height * width,
        _ => 0,
    }
}

/// One line: tract's errors are chains with the cause last.
fn chain(error: &tract_core::prelude::TractError) -> String {
    let text: Vec<String> = error.chain().map(ToString::to_string).collect();
    message(&text.join(": "))
}

fn parse(path: &Path) -> Result<ModelProto, RuntimeError> {
    let fail = |problem: String| RuntimeError::new(path, problem);
    let mut proto = read_network(path).map_err(|error| match error.kind() {
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => fail(format!(
            "damaged or not an ONNX file ({error}): copy or export it again"
        )),
        _ => fail(format!(
            "cannot be read: {error}: is this a model directory?"
        )),
    })?;
    if let Some(graph) = &mut proto.graph {
        passes::gather_external(graph);
    }
    match &proto.graph {
        // The operator versions stand behind the graph: without them the end of the file is missing.
        Some(graph) if !graph.node.is_empty() && !proto.opset_import.is_empty() => Ok(proto),
        _ => Err(fail(
            "holds no network: it is empty or cut short; copy or export it again".into(),
        )),
    }
}

fn file(model_dir: &Path, component: &Component) -> PathBuf {
    model_dir.join(component.name()).join("model.onnx")
}

/// The tensor's values, which are f32: [`Plan::run`] sees to it.
pub(crate) fn values(tensor: &Tensor) -> &[f32] {
    debug_assert_eq!(tensor.datum_type(), f32::datum_type());
    tensor
        .try_as_plain_ram()
        .and_then(|plain| plain.as_slice::<f32>())
        .expect("Plan::run() gives plain f32 tensors")
}

fn dims_text(dims: &[Option<usize>]) -> String {
    let dims: Vec<_> = dims
        .iter()
        .map(|d| d.map_or_else(|| "?".to_owned(), |n| n.to_string()))
        .collect();
    format!("[{}]", dims.join(", "))
}
