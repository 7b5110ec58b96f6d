//! What can go wrong, from a prompt to a picture.

use crate::latents::NpyError;
use crate::memory::TooSmall;
use crate::model_dir::ModelDirError;
use crate::picture::{PictureError, PictureFileError};
use crate::request::RequestError;
use crate::runtime::RuntimeError;
use crate::scheduler::SchedulerError;
use crate::tokenizer::TokenizerError;

/// Every error of the library; each displays as one line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request does not make sense, or not for this model.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The model directory is missing, damaged or of a kind easel does not know.
    #[error(transparent)]
    ModelDir(#[from] ModelDirError),
    /// A network cannot be loaded or run.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The tokenizer cannot be loaded.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The scheduler's configuration is wrong.
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    /// A latents file cannot be read or written.
    #[error(transparent)]
    Npy(#[from] NpyError),
    /// The picture cannot be saved.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// A picture to begin with cannot be read.
    #[error(transparent)]
    PictureFile(#[from] PictureFileError),
    /// The memory budget is too small.
    #[error(transparent)]
    Memory(#[from] TooSmall),
    /// Something in the model was met that nobody had thought of.
    #[error(
        "a fault of easel's, or a file that it cannot read ({0}): copy the model again, and report it if that does not help"
    )]
    Unforeseen(String),
    /// Somebody cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The denoiser gave values that are no numbers.
    #[error(
        "latents: not finite after step {step}: the model or its quantization is damaged, or the latents given were"
    )]
    NotFinite {
        /// The step, from 1; 0 for the initial latents.
        step: usize,
    },
}

impl Error {
    /// Whether the caller can mend it by asking differently (exit code 2), rather than something having failed.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        use SchedulerError::{Family, Steps, UnknownClass, UnknownName, Unsupported};
        match self {
            Self::Request(_) | Self::Memory(_) | Self::Npy(_) | Self::PictureFile(_) => true,
            Self::Scheduler(error) => matches!(
                error,
                Steps { .. }
                    | UnknownName { .. }
                    | UnknownClass { .. }
                    | Unsupported { .. }
                    | Family { .. }
            ),
            _ => false,
        }
    }

    /// Whether the model is whole, but none that easel takes (exit code 2): another one helps, or this one made anew.
    #[must_use]
    pub fn is_foreign_model(&self) -> bool {
        match self {
            Self::ModelDir(error) => error.is_foreign(),
            Self::Runtime(error) => error.is_foreign(),
            _ => false,
        }
    }
}
