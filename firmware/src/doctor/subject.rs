//! What is examined.

use crate::board::Config;
use crate::jobs::is_in_use;
use crate::serve::state_folder;
use easel::{ModelDefaults, Pipeline};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A board, and what the checks have learnt of it.
pub(super) struct Subject {
    pub(super) config: Config,
    /// The configuration's file.
    pub(super) file: PathBuf,
    /// Where the daemon keeps its state; it need not be there yet.
    pub(super) state: Option<PathBuf>,
    /// `easel serve` runs on this state folder, and has the devices.
    pub(super) is_served: bool,
    /// Why the panel is left alone, if it is to be.
    pub(super) no_display: Option<&'static str>,
    /// Somebody reads along, and may press Enter.
    pub(super) is_watched: bool,
    /// Once it has been loaded.
    pub(super) model: OnceLock<Model>,
}

/// Where the package's service has its state and its password: `StateDirectory=` and `LoadCredential=` of
/// `firmware/packaging/debian/easel.service`.
const SERVICE_STATE: &str = "/var/lib/easel";
const SERVICE_PASSWORD: &str = "/etc/easel/mqtt-password";

/// Whether this is a configuration that the package's service is run with.
pub(super) fn is_the_services(file: &Path) -> bool {
    std::path::absolute(file).is_ok_and(|file| file.starts_with("/etc/easel"))
}

/// A model that loads.
pub(super) struct Model {
    pub(super) dir: PathBuf,
    pub(super) defaults: ModelDefaults,
    pub(super) pipeline: std::sync::Mutex<Pipeline>,
}

impl Subject {
    pub(super) fn new(mut config: Config, file: &Path, state: Option<&Path>) -> Self {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let service = is_the_services(file);
        let state = state.or(service.then_some(Path::new(SERVICE_STATE)));
        let state = state_folder(state, &stem);
        // systemd hands it to the service alone.
        let password = Path::new(SERVICE_PASSWORD);
        if service && password.metadata().is_ok_and(|file| file.len() > 0) {
            config.broker.password_file = Some(password.to_owned());
        }
        let queue = state.as_ref().map(|state| state.join("queue"));
        Self {
            is_served: queue.is_some_and(|queue| is_in_use(&queue)),
            config,
            file: file.to_owned(),
            state,
            no_display: None,
            is_watched: false,
            model: OnceLock::new(),
        }
    }

    /// The state folder, or the nearest one above it that is there.
    pub(super) fn state_or_above(&self) -> Option<&Path> {
        self.state.as_deref()?.ancestors().find_map(|folder| {
            // "" is what stands above a relative path.
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            folder.is_dir().then_some(folder)
        })
    }
}

/// A subject with this configuration, whose state folder is `folder`.
#[cfg(test)]
pub(super) fn subject(folder: &Path, text: &str) -> Subject {
    let file = folder.join("frame.toml");
    let head = "[board]\nname = 'Frame'\n";
    let panel = "[panel]\nkind = 'png'\nwidth = 64\nheight = 48\n";
    let panel = if text.contains("[panel]") { "" } else { panel };
    std::fs::write(&file, format!("{head}{panel}{text}")).expect("it can be written");
    let config = Config::read(&file).expect("it is right");
    Subject::new(config, &file, Some(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_of_the_package_is_that_of_its_service() {
        assert!(is_the_services(Path::new("/etc/easel/board.toml")));
        assert!(!is_the_services(Path::new("/etc/easel.toml")));
        assert!(!is_the_services(Path::new("board.toml")));
    }
}
