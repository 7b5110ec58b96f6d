//! Writes a model directory: its networks, and what lies beside them.

use std::ops::ControlFlow;
use std::path::Path;

use super::checkpoint::{Checkpoint, Network, Tokenizer};
use super::error::ImportError;
use super::networks::{self, Built};
use super::output::Folder;
use super::plan::{self, Part};
use super::writer::{self, FloatLayers, numbers};
use super::{Progress, Report, Request};
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
    let parts = plan::parts(checkpoint)?;
    let Written {
        mut folder,
        float,
        networks,
    } = write_networks(&parts, request, watch)?;
    write_rest(checkpoint, &mut folder)?;
    let easel = plan::easel_json(checkpoint, request, &float);
    folder.write(Path::new("easel.json"), &easel.written())?;
    // What cannot be painted with is not handed out as a model.
    let model = ModelDir::read(folder.path(), crate::family::of);
    model.map_err(|error| plan::misfit(&error, &folder))?;
    Report::publish(checkpoint.name.clone(), networks, folder)
}

/// Writes a network alone, as adapters are: its files lie in the directory itself.
pub(super) fn write_adapter(
    network: &Network,
    name: String,
    request: &Request,
    watch: &mut Watch<'_>,
) -> Result<Report, ImportError> {
    let part = Part {
        folder: "",
        network,
        kind: networks::Kind::ControlNet,
    };
    let Written {
        folder, networks, ..
    } = write_networks(&[part], request, watch)?;
    Report::publish(name, networks, folder)
}

impl Report {
    fn publish(
        name: String,
        networks: Vec<(String, u64)>,
        folder: Folder,
    ) -> Result<Self, ImportError> {
        let bytes = folder.bytes();
        folder.publish()?;
        Ok(Self {
            name,
            networks,
            bytes,
        })
    }
}

/// A directory with networks, and nothing else yet.
struct Written {
    folder: Folder,
    float: FloatLayers,
    /// How many weights each has.
    networks: Vec<(String, u64)>,
}

fn write_networks(
    parts: &[Part<'_>],
    request: &Request,
    watch: &mut Watch<'_>,
) -> Result<Written, ImportError> {
    // All of them first: what is not known here is refused before anything is written.
    let build = |part: &Part<'_>| networks::build(part.network, part.kind);
    let built: Vec<Built> = parts.iter().map(build).collect::<Result<_, _>>()?;
    let sizes = built
        .iter()
        .zip(parts)
        .map(|(built, part)| numbers(&built.parameters, &part.network.weights));
    let sizes: Vec<u64> = sizes.collect();
    let total: u64 = sizes.iter().sum();

    let mut folder = Folder::create(&request.out)?;
    folder.needs(total * request.precision.bytes())?;
    let mut float = FloatLayers::new();
    let (mut done, mut networks) = (0, Vec::new());
    for ((part, built), size) in parts.iter().zip(built).zip(sizes) {
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
        let kept = writer::write(part, built, request.precision, &mut folder, &mut beat);
        let kept = kept.map_err(|error| error.of(&part.network.path))?;
        if !kept.is_empty() {
            float.insert(network.to_owned(), kept);
        }
        networks.push((network.to_owned(), size));
        folder.write(
            &Path::new(part.folder).join("config.json"),
            &part.network.config.written(),
        )?;
    }
    Ok(Written {
        folder,
        float,
        networks,
    })
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
            Tokenizer::Folder(source) => copy_tokenizer(source, name, folder)?,
        }
    }
    Ok(())
}

/// Copies the files of a tokenizer: no folders, nothing hidden, and nothing larger than such files are.
fn copy_tokenizer(source: &Path, name: &Path, folder: &mut Folder) -> Result<(), ImportError> {
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
    fn written(&self) -> Vec<u8> {
        let mut text = self.to_json(&["_name_or_path"]);
        text.push('\n');
        text.into_bytes()
    }
}
