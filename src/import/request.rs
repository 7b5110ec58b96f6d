//! What an import is told, and what it tells.

use std::path::PathBuf;

use super::single_file::Configuration;
use crate::scheduler::SchedulerKind;

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 8 bits with a scale an output channel.
    #[default]
    Int8,
    /// 16 bits.
    Fp16,
    /// 32 bits: as they are.
    Fp32,
}

impl Precision {
    /// Its name on the command line and in `easel.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Fp16 => "fp16",
            Self::Fp32 => "fp32",
        }
    }
}

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
