//! Networks that only lack their weights: what they need is known, and loading them is all that is left.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use easel_kernels::isa::Isa;
use easel_kernels::{heap, program};
use prost::Message as _;
use tract_core::ops::konst::Const;
use tract_core::prelude::{Framework as _, TractResult, TypedRunnableModel};
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::{InferenceFact, InferenceModelExt as _};
use tract_onnx::tract_hir::internal::InferenceModel;

use super::footprint::{self, Footprint};
use super::ops::scratch::ScratchCache;
use super::passes::{self, Weight};
use super::{
    Aim, Plan, Residency, RuntimeError, Sizes, Workers, absent, chain, fusion, gate, guarded,
    known, ops, order, packing, skip_layers,
};
use crate::files;
use crate::process_memory;
use crate::watched::CancelToken;
use crate::weights::Pack;

/// A network that only lacks its weights.
pub(crate) struct Prepared {
    pub(super) path: PathBuf,
    pub(super) model: Arc<TypedRunnableModel>,
    pub(super) isa: Isa,
    /// Where a cache is to be written.
    pub(super) cache: Option<Place>,
    /// Why a cache was not believed.
    pub(super) distrust: Option<String>,
    /// Whether the files may be others than the model's checksums say.
    pub(super) unchecked: bool,
    pub(super) source: Source,
    pub(super) limits: gate::Limits,
    pub(super) cancel: CancelToken,
}

/// What a network needs to run, in bytes.
#[derive(Debug, Clone)]
pub(crate) struct Needs {
    /// The graph, and constants in it.
    pub(crate) graph: usize,
    /// Its weights.
    pub(crate) sizes: Sizes,
    /// Tensors and scratch memory while each node runs, in order.
    pub(crate) activations: Vec<usize>,
}

/// What tract takes for a node, with the garbage that building the graph leaves: measured.
const BYTES_PER_NODE: usize = 12 << 10;

/// Where a cache is or will be, and what it depends on.
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) key: String,
}

/// Where the weights are, and the network after the passes.
#[derive(Clone)]
pub(super) enum Source {
    Cache(Arc<Pack>),
    File {
        weights: Arc<Vec<Weight>>,
        graph: Arc<Vec<u8>>,
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
            graph: self.graph_bytes(),
            sizes,
            activations: footprint.bytes,
        })
    }

    /// What the graph takes, with the constants in it: positions of tokens and the like.
    fn graph_bytes(&self) -> usize {
        let nodes = &self.model.model().nodes;
        let constants = nodes.iter().filter_map(|node| node.op_as::<Const>());
        let bytes =
            constants.map(|constant| constant.val().len() * constant.val().datum_type().size_of());
        bytes.sum::<usize>() + nodes.len() * BYTES_PER_NODE
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

    /// The network after the passes.
    pub(super) fn graph(&self) -> Result<ModelProto, RuntimeError> {
        let decoded = match &self.source {
            Source::Cache(pack) => {
                let graph = pack.graph().map_err(|error| self.error(error))?;
                ModelProto::decode(&graph[..])
            }
            Source::File { graph, .. } => ModelProto::decode(&graph[..]),
        };
        decoded.map_err(|error| self.error(error))
    }

    /// The shape of its first output.
    pub(crate) fn output_shape(&self) -> Result<Vec<usize>, RuntimeError> {
        let fact = self.model.model().output_fact(0);
        let fact = fact.map_err(|error| self.error(chain(&error)))?;
        let shape = fact.shape.as_concrete().map(<[usize]>::to_vec);
        shape.ok_or_else(|| self.error("has an output whose shape is not known"))
    }

    /// Another network of the same weights, or a part of this one.
    pub(super) fn part(&self, model: Arc<TypedRunnableModel>) -> Self {
        Self {
            path: self.path.clone(),
            model,
            isa: self.isa,
            cache: None,
            distrust: None,
            unchecked: false,
            source: self.source.clone(),
            limits: self.limits,
            cancel: self.cancel.clone(),
        }
    }

    /// Writes the cache if there is to be one and it is not there; gives a warning if it cannot be and need not.
    pub(super) fn store_in_cache(
        &mut self,
        workers: &Workers,
        residency: Residency,
    ) -> Result<Option<String>, RuntimeError> {
        let distrust = self.distrust.take().map(|why| {
            format!("cache: {why}: what another user may have written is not used; take it away, or name another folder")
        });
        if let (Some(problem), None) = (&distrust, &self.cache)
            && residency != Residency::Whole
        {
            return Err(self.error(problem));
        }
        self.check_sums(workers)?;
        if let (Source::File { weights, graph }, Some(place)) = (&self.source, &self.cache) {
            match self.store(workers, weights, graph, place) {
                Ok(pack) => self.source = Source::Cache(Arc::new(pack)),
                Err(problem) if residency == Residency::Whole => return Ok(Some(problem)),
                Err(problem) => return Err(self.error(problem)),
            }
        }
        Ok(distrust)
    }

    /// Compares what the network is made of with the model's checksums. What is in a cache was, when it was made.
    fn check_sums(&mut self, workers: &Workers) -> Result<(), RuntimeError> {
        if !std::mem::take(&mut self.unchecked) {
            return Ok(());
        }
        let component = self.path.parent().unwrap_or(&self.path);
        let checked = files::check_component(component, || {
            workers.watched().part_done().map_err(std::io::Error::other)
        });
        checked.map_err(|(path, problem)| RuntimeError::foreign(&path, problem))
    }

    /// Brings the weights, and writes the cache if there is to be one and it is not there. With a warning if that fails and need not.
    pub(crate) fn load(
        mut self,
        workers: &Workers,
        residency: Residency,
        limit: Option<usize>,
    ) -> Result<(Plan, Option<String>), RuntimeError> {
        if limit.is_none() {
            self.check_room()?;
        }
        let warning = self.store_in_cache(workers, residency)?;
        // The code that built the graph, which is most of the program, has done its work, and leaves gaps in the heap that weights
        // may not fit into.
        program::release();
        if limit.is_some() {
            heap::trim();
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
                    workers.watched(),
                )
                .map_err(|problem| self.error(problem))?;
            }
        }
        let takes = self.footprint()?.takes;
        let plan = Plan {
            takes,
            scratch: Mutex::new(ScratchCache::with_limit(limit)),
            path: self.path,
            model: self.model,
        };
        Ok((plan, warning))
    }

    /// Whether the machine has the memory that the network needs.
    fn check_room(&self) -> Result<(), RuntimeError> {
        let needs = self.needs()?;
        let largest = needs.activations.iter().copied().max().unwrap_or(0);
        let needed = [
            needs.graph,
            needs.sizes.columns,
            needs.sizes.panels,
            largest,
        ];
        let needed = needed.into_iter().fold(0_usize, usize::saturating_add);
        match process_memory::available() {
            Some(free) if free < needed => Err(self.error(format!(
                "needs {} MiB of memory for this picture, and {} MiB are free: ask for a smaller picture",
                needed >> 20,
                free >> 20
            ))),
            _ => Ok(()),
        }
    }

    /// Writes the cache, and opens it.
    fn store(
        &self,
        workers: &Workers,
        weights: &[Weight],
        graph: &[u8],
        Place { path, key }: &Place,
    ) -> Result<Pack, String> {
        let failed = |error: &dyn std::fmt::Display| {
            format!(
                "cache {} cannot be written ({error}): name another folder, or make room",
                path.display()
            )
        };
        // Known before: a card is not filled first.
        let takes = packing::sizes(&self.model, self.isa, weights).panels + graph.len();
        if let Some(free) = files::free_bytes(path).filter(|free| *free < takes as u64) {
            let [takes, free] = [takes as u64, free].map(|bytes| bytes >> 20);
            return Err(failed(&format!(
                "no space: it takes {takes} MiB, {free} MiB are free"
            )));
        }
        let threads = workers.threads();
        let written = packing::write(
            &self.model,
            self.isa,
            &threads,
            weights,
            graph,
            (path, key),
            workers.watched(),
        );
        written.map_err(|error| match error.kind() {
            // The model could not be read, which says what to do by itself.
            ErrorKind::Other => error.to_string(),
            _ => failed(&error),
        })?;
        let opened = Pack::open(path, key).map_err(|why| failed(&why))?;
        opened.ok_or_else(|| failed(&"it is not there afterwards"))
    }

    /// Does something that only a sensible network is sure to survive.
    pub(super) fn within<R: Send + 'static>(
        &self,
        what: impl FnOnce() -> Result<R, String> + Send + 'static,
    ) -> Result<R, RuntimeError> {
        super::within(&self.path, &self.cancel, what)
    }

    pub(super) fn error(&self, problem: impl std::fmt::Display) -> RuntimeError {
        RuntimeError::new(&self.path, problem.to_string())
    }
}

/// From a network that the passes have been over to one that can run, but for its weights.
pub(super) fn import(mut proto: ModelProto, aim: &Aim) -> Result<Arc<TypedRunnableModel>, String> {
    if let (Some(output), layers @ 1..) = (aim.wanted.outputs.first(), aim.wanted.skip_layers) {
        skip_layers::skip(&mut proto, output, layers)?;
    }
    aim.part.leave(&mut proto);
    absent::leave_out(&mut proto, &aim.wanted.absent)?;
    known::settle(&mut proto, &aim.known)?;
    let known = gate::check_shapes(&proto, &aim.inputs, aim.limits)?;
    if let Some(graph) = proto.graph.as_mut().filter(|_| !known.is_empty()) {
        let made: HashSet<&str> = known.iter().map(|tensor| tensor.name.as_str()).collect();
        graph
            .node
            .retain(|node| !node.output.iter().any(|name| made.contains(name.as_str())));
        graph.initializer.extend(known);
    }
    typed(proto, aim).map_err(|error| chain(&error))
}

fn typed(mut proto: ModelProto, aim: &Aim) -> TractResult<Arc<TypedRunnableModel>> {
    let mut onnx = tract_onnx::onnx()
        .with_ignore_output_shapes(true)
        .with_ignore_value_info(true);
    ops::register_all(&mut onnx.op_register);
    passes::name_nodes(&mut proto);
    let mut model: InferenceModel = onnx.model_for_proto_model(&proto)?;
    drop(proto);
    for (index, (element, shape)) in aim.inputs.iter().enumerate() {
        model.set_input_fact(index, InferenceFact::dt_shape(*element, shape))?;
    }
    if !aim.wanted.outputs.is_empty() {
        model.select_outputs_by_name(&aim.wanted.outputs)?;
    }
    let mut model = model.into_typed()?.into_decluttered()?;
    fusion::run(&mut model, aim.pixels16)?;
    guarded::run(&mut model)?;
    model.optimize()?;
    order::plan(model)
}
