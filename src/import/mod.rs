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
mod request;
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
use std::path::Path;

use checkpoint::{Checkpoint, Network};
pub use error::ImportError;
pub use request::{Precision, Progress, Report, Request};
pub use single_file::{Configuration, Prediction};

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
