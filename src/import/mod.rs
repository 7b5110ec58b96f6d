//! Makes a model directory of a checkpoint, on the board itself.
//!
//! ```text
//! folder of diffusers ─┐
//! single file ─────────┼─► Checkpoint ─► networks/: graphs, of configurations and weights' shapes ─► writer ─► model directory
//! hub (downloaded) ────┘                                                     weights, one at a time ───┘
//! ```
//!
//! No Python and no other program is needed; what is written is standard ONNX in optimum's layout.

mod checkpoint;
mod error;
mod graph;
mod layers;
mod networks;
mod output;
mod plan;
mod safetensors;
mod weights;
mod writer;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use checkpoint::{Checkpoint, Network, Tokenizer};
pub use error::ImportError;
use networks::Built;
use output::Folder;
use plan::Part;
pub use writer::Precision;
use writer::{FloatLayers, numbers};

use crate::config::Config;
use crate::files::read_file;
use crate::model_dir::ModelDir;

/// What is to be imported, and how.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// A checkpoint: a folder that diffusers saved.
    pub source: PathBuf,
    /// The model directory to be made. It must not be there yet.
    pub out: PathBuf,
    /// How weights are stored.
    pub precision: Precision,
    /// A folder of diffusers with an autoencoder to take in place of the checkpoint's own.
    pub decoder: Option<PathBuf>,
    /// Defaults of the model, where they are not to be the checkpoint's: width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// Steps of a picture.
    pub steps: Option<usize>,
    /// The guidance scale.
    pub guidance: Option<f32>,
    /// Name of a sampler.
    pub scheduler: Option<String>,
}

/// How far an import is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The network that is being written, as its folder is called.
    pub network: &'a str,
    /// Weights written, of all networks.
    pub done: u64,
    /// Weights in all.
    pub total: u64,
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was imported: the checkpoint's name.
    pub name: String,
    /// The networks, by their folders, and how many weights each has.
    pub networks: Vec<(String, u64)>,
    /// Bytes on the disk.
    pub bytes: u64,
}

/// Longest file of a tokenizer.
const TOKENIZER_FILE: u64 = crate::files::TOKENIZER;

/// Imports a checkpoint. `progress` is called about once a MiB of weights, and may end it.
///
/// # Errors
/// A source that is not what it should be, a part that is not known here, a disk that is full; nothing that looks like a model is
/// left then.
pub fn run(
    request: &Request,
    progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<Report, ImportError> {
    let mut checkpoint = Checkpoint::open(&request.source)?;
    if let Some(folder) = &request.decoder {
        checkpoint.replace_autoencoder(Network::open(folder)?)?;
    }
    import(&checkpoint, request, progress)
}

/// Writes a checkpoint as a model directory.
fn import(
    checkpoint: &Checkpoint,
    request: &Request,
    progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<Report, ImportError> {
    let parts = plan::parts(checkpoint)?;
    let built = parts
        .iter()
        .map(|part| Ok((part, networks::build(part.network, part.kind)?)));
    let built: Vec<(&Part<'_>, Built)> = built.collect::<Result<_, ImportError>>()?;
    let sizes: Vec<u64> = built
        .iter()
        .map(|(part, built)| numbers(&built.parameters, &part.network.weights))
        .collect();
    let total = sizes.iter().sum();
    let bytes = total * request.precision.bytes();

    let mut folder = Folder::create(&request.out)?;
    folder.needs(bytes)?;
    let mut float = FloatLayers::new();
    let (mut done, mut networks) = (0, Vec::new());
    for ((part, built), size) in built.into_iter().zip(sizes) {
        let name = part.folder;
        let mut beat = |numbers| {
            done += numbers;
            match progress(Progress {
                network: name,
                done,
                total,
            }) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(ImportError::Stopped),
            }
        };
        beat(0)?;
        let weights = &part.network.weights;
        let kept = writer::write(
            built,
            part.kind,
            weights,
            request.precision,
            &mut folder,
            name,
            &mut beat,
        )
        .map_err(|error| error.of(&part.network.path))?;
        if !kept.is_empty() {
            float.insert(name.to_owned(), kept);
        }
        networks.push((name.to_owned(), size));
        folder.write(
            &Path::new(name).join("config.json"),
            &part.network.config.written(),
        )?;
    }
    copy_rest(checkpoint, &mut folder)?;
    let easel = plan::easel_json(checkpoint, request, &float);
    folder.write(Path::new("easel.json"), &easel.written())?;
    // What cannot be painted with is not handed out as a model.
    ModelDir::read(folder.path(), crate::family::of)
        .map_err(|error| plan::misfit(&error, &folder))?;
    let bytes = folder.bytes();
    folder.publish()?;
    Ok(Report {
        name: checkpoint.name.clone(),
        networks,
        bytes,
    })
}

/// What is in a model directory beside networks.
fn copy_rest(checkpoint: &Checkpoint, folder: &mut Folder) -> Result<(), ImportError> {
    folder.write(Path::new("model_index.json"), &checkpoint.index.written())?;
    let scheduler = Path::new("scheduler/scheduler_config.json");
    folder.write(scheduler, &checkpoint.scheduler.written())?;
    for (name, tokenizer) in &checkpoint.tokenizers {
        let name = Path::new(name);
        match tokenizer {
            Tokenizer::Made(files) => {
                for (file, bytes) in files {
                    folder.write(&name.join(file), bytes)?;
                }
            }
            Tokenizer::Folder(source) => copy_tokenizer(source, name, folder)?,
        }
    }
    Ok(())
}

/// Copies the files of a tokenizer: no folders, nothing hidden, and nothing larger than such files are.
fn copy_tokenizer(source: &Path, name: &Path, folder: &mut Folder) -> Result<(), ImportError> {
    let unreadable = |error| ImportError::unreadable(source, &error);
    let mut files = Vec::new();
    for entry in source.read_dir().map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let known = path
            .extension()
            .is_some_and(|end| ["json", "txt", "model"].iter().any(|known| end == *known));
        if known && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    for path in files {
        let bytes = read_file(&path, TOKENIZER_FILE)
            .map_err(|error| ImportError::unreadable(&path, &error))?;
        folder.write(&name.join(path.file_name().unwrap_or_default()), &bytes)?;
    }
    Ok(())
}

impl Config {
    /// As a file of a model has it: without `_name_or_path`, which names a place on somebody's machine.
    fn written(&self) -> Vec<u8> {
        let mut text = self.to_json(&["_name_or_path"]);
        text.push('\n');
        text.into_bytes()
    }
}
