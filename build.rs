//! Tells the library which sources it is made of, so that caches that other sources made are not used, and gives it CLIP's vocabulary.

#[path = "build/clip_vocabulary.rs"]
mod clip_vocabulary;

use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    // What decides how a network is rewritten and its weights packed.
    let mut files = Vec::new();
    for folder in ["src/runtime", "src/weights", "kernels/src"] {
        println!("cargo::rerun-if-changed={folder}");
        collect(Path::new(folder), &mut files);
    }
    files.sort();
    // FNV-1a, 64 bits.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for file in files {
        let content = fs::read(&file).expect("sources can be read");
        for byte in file.to_string_lossy().bytes().chain(content) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    println!("cargo::rustc-env=EASEL_SOURCES={hash:016x}");
    println!("cargo::rerun-if-changed=build");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo says where"));
    fs::write(out.join("clip-merges"), clip_vocabulary::merges()).expect("room");
}

/// All files below a folder; none where there is no such folder, as in a package of the library alone.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
