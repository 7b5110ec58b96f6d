//! The cards of `/dev/dri`.

use super::super::fault;
use crate::display::PanelError;
use drm::Device;
use drm::control::Device as ControlDevice;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// An open card.
pub(super) struct Card {
    file: File,
    /// Its node, for messages.
    pub(super) path: PathBuf,
}

impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
impl Device for Card {}
impl ControlDevice for Card {}

impl Card {
    /// All that can show something, by number. A board has cards that only compute, too.
    pub(super) fn all(devices: &Path) -> Result<Vec<Self>, PanelError> {
        let advice = "is there a screen driver? On a Raspberry Pi: dtoverlay=vc4-kms-v3d";
        let entries = fs::read_dir(devices).map_err(|e| fault(devices.display(), e, advice))?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with("card")
        });
        paths.sort();
        let mut cards = Vec::new();
        let mut refused = None;
        for path in paths {
            match OpenOptions::new().read(true).write(true).open(&path) {
                Ok(file) => cards.push(Self { file, path }),
                Err(error) => refused = Some((path, error)),
            }
        }
        cards.retain(|card| card.resource_handles().is_ok());
        match (cards.is_empty(), refused) {
            (false, _) => Ok(cards),
            (true, Some((path, error))) => {
                let advice = "add the user of easel to the group `video`";
                Err(fault(path.display(), error, advice))
            }
            (true, None) => {
                let problem = "no card that shows something";
                Err(fault(devices.display(), problem, advice))
            }
        }
    }

    /// Becomes the one program that may show something.
    pub(super) fn become_master(&self) -> Result<(), PanelError> {
        self.acquire_master_lock().map_err(|error| {
            let holder = holder_of(&self.path).unwrap_or_else(|| "another program".to_owned());
            let problem = format!("{holder} holds the screen ({error})");
            fault(self.path.display(), problem, "stop it")
        })
    }

    /// Says what the kernel answered.
    pub(super) fn fault(&self, tried: &str, error: &io::Error) -> PanelError {
        let problem = format!("{tried}: {error}");
        fault(self.path.display(), problem, "the next frame is tried anew")
    }
}

/// The first other process that has the file open, such as `Xorg (process 812)`. Without being root, only processes of the
/// same user can be looked into.
fn holder_of(path: &Path) -> Option<String> {
    let me = std::process::id().to_string();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let id = process.file_name().to_string_lossy().into_owned();
        if id == me || !id.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let Ok(files) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let open = |file: fs::DirEntry| fs::read_link(file.path()).is_ok_and(|to| to == path);
        if files.flatten().any(open) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {id})", name.trim()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_without_a_screen_driver_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| Card::all(path).err().unwrap().to_string();
        assert!(said(&folder.path().join("none")).contains("vc4-kms-v3d"));
        assert!(said(folder.path()).contains("no card"));
        // Nodes of another kind: opened, asked, and left alone.
        fs::write(folder.path().join("card0"), "").unwrap();
        fs::write(folder.path().join("renderD128"), "").unwrap();
        assert!(said(folder.path()).contains("no card"));
    }

    #[test]
    fn who_holds_a_file_is_found() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().canonicalize().unwrap();
        assert_eq!(holder_of(&path), None);
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(File::options().write(true).open(&path).unwrap())
            .spawn()
            .unwrap();
        // The name is the shell's until `cat` runs, but the file is open from the start.
        let holder = holder_of(&path);
        drop(child.stdin.take());
        child.wait().unwrap();
        let wanted = format!("(process {})", child.id());
        assert!(holder.unwrap().ends_with(&wanted));
    }
}
