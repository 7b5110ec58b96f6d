//! What a file with a whole checkpoint does not say itself.

use std::path::{Path, PathBuf};

use super::super::checkpoint::{Network, Tokenizer, read_config};
use super::super::error::ImportError;
use crate::config::Config;

/// What the U-Net was trained to predict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prediction {
    /// The noise.
    Epsilon,
    /// Velocity, of noise and picture (arXiv 2202.00512).
    Velocity,
}

impl Prediction {
    /// diffusers' word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Epsilon => "epsilon",
            Self::Velocity => "v_prediction",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "epsilon" | "eps" => Some(Self::Epsilon),
            "v_prediction" | "v-prediction" | "v" => Some(Self::Velocity),
            _ => None,
        }
    }
}

/// Says of a checkpoint in one file what the file does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Configuration {
    /// A folder as diffusers saves it, with or without weights: what it has holds, and what the file lacks is taken from it.
    Folder(PathBuf),
    /// What the U-Net was trained to predict, alone.
    Prediction(Prediction),
}

impl std::str::FromStr for Configuration {
    type Err = std::convert::Infallible;

    /// A word for the prediction (`epsilon`, `v_prediction`), or a folder.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let prediction = Prediction::of(text).map(Self::Prediction);
        Ok(prediction.unwrap_or_else(|| Self::Folder(text.into())))
    }
}

/// The folder of a configuration, if it is one.
#[derive(Clone, Copy)]
pub(super) struct Folder<'c>(Option<&'c Path>);

impl<'c> Folder<'c> {
    pub(super) fn of(configuration: Option<&'c Configuration>) -> Result<Self, ImportError> {
        let Some(Configuration::Folder(folder)) = configuration else {
            return Ok(Self(None));
        };
        if !folder.is_dir() {
            let problem =
                "is neither a folder of diffusers nor a prediction: epsilon, v_prediction";
            return Err(ImportError::bad(folder, problem));
        }
        Ok(Self(Some(folder)))
    }

    /// A file of settings, if it is there.
    pub(super) fn config(self, name: &str) -> Result<Option<Config>, ImportError> {
        match self.file(name) {
            Some(path) => read_config(&path).map(Some),
            None => Ok(None),
        }
    }

    /// A whole network, if it is there.
    pub(super) fn network(self, name: &str) -> Result<Option<Network>, ImportError> {
        match self.file(name) {
            Some(folder) => Network::open(&folder).map(Some),
            None => Ok(None),
        }
    }

    /// The folder of a tokenizer, if it is there.
    pub(super) fn tokenizer(self, name: &str) -> Option<Tokenizer> {
        self.file(name).map(Tokenizer::Folder)
    }

    fn file(self, name: &str) -> Option<PathBuf> {
        let path = self.0?.join(name);
        path.exists().then_some(path)
    }
}
