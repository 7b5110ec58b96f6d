//! Models of the Hugging Face hub: what an import needs of a repository, downloaded, whole and checked.
//!
//! ```text
//! owner/name ─► listing: commit, files, sizes, hashes ─► wanted: those that an import reads ─► each: part ─► hash ─► file
//!                                                                                        ▲ cut off: goes on where it ended
//! ```
//!
//! Files lie in `.NAME.download` beside the model directory NAME that is to be made, below the commit that they are of: what is there
//! is what a later call goes on with, and it cannot be of another revision. The folder is removed when the model is made.
//!
//! The paths are those of the hub's own clients: `/api/models/ID/revision/REV`, `/api/models/ID/tree/COMMIT`,
//! `/ID/resolve/COMMIT/PATH` (huggingface.co/docs/hub/api). Hashes are SHA-256 for files in Git LFS, and Git's own for the others.

mod connection;
mod listing;
mod meter;
mod name;
mod part;
mod retries;
mod settings;
mod staging;
mod wanted;

use std::ops::ControlFlow;
use std::path::PathBuf;

use connection::Connection;
use meter::Meter;
pub use name::Name;
pub use settings::{Hub, Patience};
pub use staging::Staging;

use super::{ImportError, Precision};

/// How far a download is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The file that is coming, by its path in the repository; empty while the hub is asked what there is.
    pub file: &'a str,
    /// Bytes that are here, of all files.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// Bytes a second, of the last ten seconds; not known at first.
    pub speed: Option<u64>,
}

/// Told how far it is, at least four times a second; may end it.
pub type Watch<'a> = dyn FnMut(Progress<'_>) -> ControlFlow<()> + 'a;

/// What was downloaded.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// What to import: the folder of the repository's files, or the one file that was wanted.
    pub source: PathBuf,
    /// The licence that the repository's card states.
    pub licence: Option<String>,
    /// Bytes that came over the network in this call.
    pub received: u64,
}

impl Hub {
    /// Downloads what an import of `name` at `precision` needs into `staging`. What is there already is not fetched again.
    ///
    /// # Errors
    /// [`ImportError::Bad`] when there is no such repository, access is refused, or it has nothing to import;
    /// [`ImportError::Failed`] when the network or the disk fails, also after several tries: what came is kept;
    /// [`ImportError::Stopped`] when `watch` ends it.
    pub fn fetch(
        &self,
        name: &Name,
        revision: Option<&str>,
        precision: Precision,
        staging: &Staging,
        watch: &mut Watch<'_>,
    ) -> Result<Fetched, ImportError> {
        if self.offline {
            return Err(ImportError::Bad(format!(
                "{name}: HF_HUB_OFFLINE is set, so that nothing is downloaded: unset it, or name a folder"
            )));
        }
        let revision = name::revision(revision.unwrap_or("main"))?;
        let mut connection = Connection::new(self)?;
        let repository = listing::read(&mut connection, name, revision, &mut || {
            watch(Progress {
                file: "",
                done: 0,
                total: 0,
                speed: None,
            })
        })?;
        let wanted =
            wanted::choose(&repository.files, name.file(), precision).map_err(|problem| {
                ImportError::Bad(crate::text::message(&format!("{name}: {problem}")))
            })?;
        let folder = staging.folder(&repository.commit, name)?;
        let total = wanted.files.iter().map(|file| file.size).sum();
        let here: u64 = wanted
            .files
            .iter()
            .map(|file| part::here(&folder, file))
            .sum();
        staging.needs(total - here.min(total))?;
        let mut meter = Meter::new(total);
        let mut received = 0;
        for file in &wanted.files {
            let url = self.file_url(name, &repository.commit, &file.path);
            received += part::fetch(&mut connection, &url, file, &folder, &mut meter, watch)?;
        }
        staging.sync(&folder)?;
        Ok(Fetched {
            source: wanted
                .source
                .map_or(folder.clone(), |file| folder.join(file)),
            licence: repository.licence,
            received,
        })
    }
}
