//! What every command that runs a model is told alike.

use crate::{failure::Failure, model_lookup};
use clap::Args;
use easel::LoadOptions;
use std::ffi::OsString;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct EngineArguments {
    /// Model directory [default: EASEL_MODEL, models/pocket, then the installed model]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Memory that the process may take at most; weights that do not fit are read while they are needed
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=1 << 20), allow_negative_numbers = true)]
    pub(crate) memory: Option<u32>,
    /// Worker threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256), allow_negative_numbers = true)]
    threads: Option<u16>,
    /// Folder for what is made of a model at its first start; `off` keeps nothing [default: EASEL_CACHE, then easel in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    cache: Option<OsString>,
}

impl EngineArguments {
    /// The model directory.
    pub(crate) fn model(&self) -> Result<PathBuf, Failure> {
        model_lookup::find(self.model.as_deref())
    }

    /// Whether somebody chose a model, instead of taking the one that comes with easel.
    pub(crate) fn names_a_model(&self) -> bool {
        let variable = std::env::var_os("EASEL_MODEL");
        self.model.is_some() || variable.is_some_and(|value| !value.is_empty())
    }

    pub(crate) fn options(&self) -> LoadOptions {
        LoadOptions {
            threads: self.threads.map(usize::from),
            memory_mib: self.memory.map(|mib| mib as usize),
            cache: cache(self.cache.clone()),
            ..LoadOptions::default()
        }
    }
}

/// The folder of caches: the one asked for, that of `EASEL_CACHE`, the one that systemd gives a service, or the user's.
pub(crate) fn cache(asked: Option<OsString>) -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(folder) = asked.or_else(|| variable("EASEL_CACHE")) {
        return (folder != "off").then(|| folder.into());
    }
    // systemd.exec(5): several are separated by colons; a service of ours has one.
    if let Some(folder) = variable("CACHE_DIRECTORY") {
        return std::env::split_paths(&folder).next();
    }
    let caches = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let caches = caches.filter(|folder| folder.is_absolute());
    let home = || Some(PathBuf::from(variable("HOME")?).join(".cache"));
    Some(caches.or_else(home)?.join("easel"))
}
