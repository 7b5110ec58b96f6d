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
mod directory;
mod error;
mod graph;
pub mod hub;
mod ip_adapter;
mod layers;
mod lora;
mod networks;
mod onnx;
mod output;
mod plan;
mod safetensors;
mod single_file;
mod tensor;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod weights;
mod writer;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use checkpoint::{Checkpoint, Network};
pub use error::ImportError;
pub use single_file::{Configuration, Prediction};
pub use writer::Precision;

use crate::scheduler::SchedulerKind;

/// What is to be imported, and how.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// A folder that diffusers saved: a whole checkpoint, or a ControlNet alone. Or a file with a whole checkpoint.
    pub source: PathBuf,
    /// What such a file does not say itself.
    pub configuration: Option<Configuration>,
    /// The model directory to be made. It must not be there yet.
    pub out: PathBuf,
    /// How weights are stored.
    pub precision: Precision,
    /// An autoencoder to take in place of the checkpoint's own: a folder of diffusers, or a file.
    pub decoder: Option<PathBuf>,
    /// LoRAs, and how strong each is: they become a part of the weights.
    pub loras: Vec<(PathBuf, f32)>,
    /// An IP-Adapter for the U-Net, in its authors' format.
    pub ip_adapter: Option<PathBuf>,
    /// The folder of its image encoder, where that is not beside it.
    pub image_encoder: Option<PathBuf>,
    /// Defaults of the model, where they are not to be the checkpoint's: width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// Steps of a picture.
    pub steps: Option<usize>,
    /// The guidance scale.
    pub guidance: Option<f32>,
    /// Name of a sampler.
    pub scheduler: Option<SchedulerKind>,
}

/// How far an import is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The network that is being written.
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
    /// The networks, and how many weights each has.
    pub networks: Vec<(String, u64)>,
    /// Bytes on the disk.
    pub bytes: u64,
    /// What was neither said nor in the source, and how to say it: a line each.
    pub assumed: Vec<String>,
}

/// Imports a checkpoint. `progress` is called about once a MiB of weights, and may end it.
///
/// # Errors
/// A source that is not what it should be, a part that is not known here, a disk that is full; nothing that looks like a model is
/// left then.
pub fn run(
    request: &Request,
    progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<Report, ImportError> {
    let source = &request.source;
    if source.join("config.json").exists() && !source.join("model_index.json").exists() {
        let network = Network::open(source)?;
        return directory::write_adapter(&network, checkpoint::name_of(source), request, progress);
    }
    if onnx::is_source(source) {
        return onnx::write(request, progress);
    }
    let (mut checkpoint, assumed) = if source.is_file() {
        single_file::open(source, request.configuration.as_ref())?
    } else {
        (Checkpoint::open(source)?, Vec::new())
    };
    if let Some(decoder) = &request.decoder {
        let decoder = match checkpoint.networks.get("vae") {
            Some(own) if decoder.is_file() => single_file::autoencoder(decoder, own)?,
            _ => Network::open(decoder)?,
        };
        checkpoint.replace_autoencoder(decoder)?;
    }
    for (file, scale) in &request.loras {
        lora::apply(file, *scale, &mut checkpoint.networks)?;
    }
    if let Some(file) = &request.ip_adapter {
        checkpoint.add_ip_adapter(file, request.image_encoder.as_deref())?;
    }
    let report = directory::write_model(&checkpoint, request, progress)?;
    Ok(Report { assumed, ..report })
}

/// Reads all of a checkpoint in one file and builds its networks, for fuzzers. What it lacks is taken from the folder `beside`.
pub(crate) fn look_into_checkpoint(path: &Path, beside: &Path) -> Result<(), ImportError> {
    let configuration = Configuration::Folder(beside.to_owned());
    let (checkpoint, _) = single_file::open(path, Some(&configuration))?;
    for part in plan::parts(&checkpoint)? {
        networks::build(part.network, part.kind)?;
    }
    read_all(checkpoint.networks.values())
}

/// Reads all that a LoRA makes of the U-Net of which `base` has the weights, for fuzzers.
pub(crate) fn look_into_lora(path: &Path, base: &Path) -> Result<(), ImportError> {
    let mut weights = weights::Weights::new();
    weights::take_all(&mut weights, &safetensors::SafeTensors::open(base)?)?;
    let unet = Network {
        path: base.to_owned(),
        config: crate::config::Config::default(),
        weights,
    };
    let mut networks = BTreeMap::from([("unet".to_owned(), unet)]);
    lora::apply(path, 1.0, &mut networks)?;
    read_all(networks.values())
}

fn read_all<'n>(networks: impl Iterator<Item = &'n Network>) -> Result<(), ImportError> {
    let mut values = Vec::new();
    for weight in networks.flat_map(|network| network.weights.values()) {
        let (rows, length) = weight.rows();
        weight.read(0..rows, &mut values)?;
        assert_eq!(values.len(), rows * length, "as many numbers as it says");
    }
    Ok(())
}
