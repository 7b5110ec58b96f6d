//! Writes a model directory: its networks, and what lies beside them.

use std::ops::ControlFlow;
use std::path::Path;

use super::checkpoint::{Checkpoint, Network, Tokenizer};
use super::error::ImportError;
use super::networks::{self, Built};
use super::output::Folder;
use super::plan::{self, FloatLayers, Part};
use super::request::{Precision, Progress, Report, Request};
use super::writer::{self, numbers};
use crate::config::Config;
use crate::files::{TOKENIZER, read_file};
use crate::model_dir::ModelDir;

/// Told how far it is; may end it.
pub(super) type Watch<'a> = dyn FnMut(Progress<'_>) -> ControlFlow<()> + 'a;

/// Writes a checkpoint as a model directory.
pub(super) fn write_model(
    checkpoint: &Checkpoint,
    request: &Request,
    watch: &mut Watch<'_>,
) -> Result<Report, ImportError> {
    let networks = Networks::build(plan::parts(checkpoint)?)?;
    let mut folder = networks.begin(request)?;
    // First what is small: what cannot be painted with is refused before the long work, and never handed out as a model.
    write_rest(checkpoint, &mut folder)?;
    let easel = plan::easel_json(
        &checkpoint.name,
        &checkpoint.easel,
        request,
        &networks.float_layers(request.precision),
    );
    folder.write(Path::new("easel.json"), &easel.written())?;
    let model = ModelDir::read(folder.path(), crate::family::of);
    model.map_err(|error| plan::misfit(&error, &folder))?;
    networks.write(checkpoint.name.clone(), folder, request.precision, watch)
}

/// Writes a network alone, as adapters are: its files lie in the directory itself.
pub(super) fn write_adapter(
    network: &Network,
    name: String,
    request: &Request,
    watch: &mut Watch<'_>,
) -> Result<Report, ImportError> {
    let kind = networks::Kind::ControlNet;
    let networks = Networks::build(vec![Part {
        folder: "",
        network,
        kind,
    }])?;
    let folder = networks.begin(request)?;
    networks.write(name, folder, request.precision, watch)
}

/// Networks that are going to be written. All of them are built before: what is not known here is refused first.
pub(super) struct Networks<'c>(pub(super) Vec<(Part<'c>, Built)>);

impl<'c> Networks<'c> {
    fn build(parts: Vec<Part<'c>>) -> Result<Self, ImportError> {
        let build =
            |part: Part<'c>| networks::build(part.network, part.kind).map(|built| (part, built));
        parts
            .into_iter()
            .map(build)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// How many weights each has.
    fn sizes(&self) -> Vec<u64> {
        let sizes = self
            .0
            .iter()
            .map(|(part, built)| numbers(built, &part.network.weights));
        sizes.collect()
    }

    /// The layers of each that stay float among int8 ones.
    pub(super) fn float_layers(&self, precision: Precision) -> FloatLayers {
        let layers = self
            .0
            .iter()
            .map(|(part, built)| (part.title(), writer::float_layers(part, built, precision)));
        layers.filter(|(_, layers)| !layers.is_empty()).collect()
    }

    /// The directory, in which there are their configurations.
    pub(super) fn begin(&self, request: &Request) -> Result<Folder, ImportError> {
        let mut folder = Folder::create(&request.out)?;
        folder.needs(self.sizes().iter().sum::<u64>() * request.precision.bytes())?;
        // Diffusers' own ONNX layout has none.
        let told = self
            .0
            .iter()
            .filter(|(part, _)| part.network.config.entries().next().is_some());
        for (part, _) in told {
            let name = Path::new(part.folder).join("config.json");
            folder.write(&name, &part.network.config.written())?;
        }
        Ok(folder)
    }

    /// Writes them, and gives the directory its name.
    pub(super) fn write(
        self,
        name: String,
        mut folder: Folder,
        precision: Precision,
        watch: &mut Watch<'_>,
    ) -> Result<Report, ImportError> {
        let sizes = self.sizes();
        let total = sizes.iter().sum();
        let (mut done, mut networks) = (0, Vec::new());
        for ((part, built), size) in self.0.into_iter().zip(sizes) {
            let network = part.title();
            let mut beat = |numbers| {
                done += numbers;
                match watch(Progress {
                    network,
                    done,
                    total,
                }) {
                    ControlFlow::Continue(()) => Ok(()),
                    ControlFlow::Break(()) => Err(ImportError::Stopped),
                }
            };
            beat(0)?;
            let written = writer::write(&part, built, precision, &mut folder, &mut beat);
            written.map_err(|error| error.of(&part.network.path))?;
            networks.push((network.to_owned(), size));
        }
        let bytes = folder.bytes();
        folder.publish()?;
        Ok(Report {
            name,
            networks,
            bytes,
            assumed: Vec::new(),
        })
    }
}

/// What is in a model directory beside networks.
fn write_rest(checkpoint: &Checkpoint, folder: &mut Folder) -> Result<(), ImportError> {
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
            Tokenizer::Folder(source) => copy_files(source, name, folder)?,
        }
    }
    Ok(())
}

/// Copies the small files of a folder, as those of a tokenizer: no folders, and nothing larger than such files are.
pub(super) fn copy_files(
    source: &Path,
    name: &Path,
    folder: &mut Folder,
) -> Result<(), ImportError> {
    const ENDINGS: [&str; 3] = ["json", "txt", "model"];
    let unreadable = |error| ImportError::unreadable(source, &error);
    let mut files = Vec::new();
    for entry in source.read_dir().map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let known = path
            .extension()
            .is_some_and(|end| ENDINGS.iter().any(|known| end == *known));
        if known && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    for path in files {
        let bytes = read_file(&path, TOKENIZER);
        let bytes = bytes.map_err(|error| ImportError::unreadable(&path, &error))?;
        folder.write(&name.join(path.file_name().unwrap_or_default()), &bytes)?;
    }
    Ok(())
}

impl Config {
    /// As a file of a model has it: without `_name_or_path`, which names a place on somebody's machine.
    pub(super) fn written(&self) -> Vec<u8> {
        let mut text = self.to_json(&["_name_or_path"]);
        text.push('\n');
        text.into_bytes()
    }
}
