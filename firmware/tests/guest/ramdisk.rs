//! The first file system of the machine, in the kernel's `newc` format (`Documentation/driver-api/early-userspace`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files by their path, without the leading slash.
#[derive(Default)]
pub(crate) struct Ramdisk {
    files: BTreeMap<String, Vec<u8>>,
}

impl Ramdisk {
    pub(crate) fn add(&mut self, path: &str, bytes: Vec<u8>) {
        self.files.insert(path.to_owned(), bytes);
    }

    /// A program and the libraries that it is linked with.
    pub(crate) fn add_program(&mut self, path: &str, program: &Path) {
        self.add(path, fs::read(program).unwrap());
        let said = Command::new("ldd").arg(program).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let words = said.split_whitespace().filter(|word| word.starts_with('/'));
        for library in words {
            self.add(library.trim_start_matches('/'), fs::read(library).unwrap());
        }
    }

    /// Kernel modules and what they depend on. Gives the order in which to load them.
    pub(crate) fn add_modules(&mut self, kernel: &Path, wanted: &[&str]) -> Vec<String> {
        let mut known = BTreeMap::new();
        find_modules(&kernel.join("lib/modules"), &mut known);
        let mut order = Vec::new();
        wanted
            .iter()
            .for_each(|name| self.add_module(name, &known, &mut order));
        order
    }

    fn add_module(
        &mut self,
        name: &str,
        known: &BTreeMap<String, PathBuf>,
        order: &mut Vec<String>,
    ) {
        // What is not there as a module is built in.
        let Some(path) = known.get(name) else { return };
        let inside = format!("modules/{name}.ko");
        if order.contains(&inside) {
            return;
        }
        let bytes = fs::read(path).unwrap();
        for needed in depends(&bytes) {
            self.add_module(&needed.replace('-', "_"), known, order);
        }
        self.add(&inside, bytes);
        order.push(inside);
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut folders = BTreeSet::new();
        for path in self.files.keys() {
            folders.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
        }
        let mut archive = Vec::new();
        for folder in folders {
            entry(&mut archive, folder, 0o040_755, &[]);
        }
        for (path, bytes) in &self.files {
            entry(&mut archive, path, 0o100_755, bytes);
        }
        entry(&mut archive, "TRAILER!!!", 0, &[]);
        archive
    }
}

fn entry(archive: &mut Vec<u8>, name: &str, mode: u32, bytes: &[u8]) {
    let (size, name_size) = (bytes.len(), name.len() + 1);
    archive.extend_from_slice(b"070701");
    // Node, mode, user, group, links, time, size, four device numbers, length of the name, check sum.
    let fields = [0, mode as usize, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
    for field in fields {
        archive.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    archive.extend_from_slice(name.as_bytes());
    archive.push(0);
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend_from_slice(bytes);
    archive.resize(archive.len().next_multiple_of(4), 0);
}

fn find_modules(folder: &Path, known: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            find_modules(&path, known);
        } else if path.extension().is_some_and(|extension| extension == "ko") {
            let name = path
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .replace('-', "_");
            known.insert(name, path);
        }
    }
}

/// The `depends=` of a module's own description.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|bytes| bytes == KEY) else {
        return Vec::new();
    };
    let value = module[at + KEY.len()..].split(|&byte| byte == 0).next();
    let names = String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
    names
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}
