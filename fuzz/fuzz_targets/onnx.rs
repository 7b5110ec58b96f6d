//! A network's file, of any bytes: what is read lies within the file and is what the decoder makes of it, or the file is refused in
//! one line. Memory grows with the file and not with what the file says.
//!
//! `EASEL_FUZZ_SEEDS=FOLDER` writes files to begin with, and ends.
#![no_main]

#[path = "../../tests/hostile/language.rs"]
mod language;
#[path = "../../tests/hostile/micro.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod micro;
mod onnx {
    pub(crate) mod seeds;
}

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use onnx::seeds;

/// MiB that the process may take, with what a fuzzer has by itself. Files have 64 KiB at most.
const BUDGET: usize = 256;

/// In memory, as a disk would be worn out.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = PathBuf::from(format!("/dev/shm/easel-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("memory");
    folder.join("model.onnx")
});

fn write_seeds() {
    let Some(folder) = std::env::var_os("EASEL_FUZZ_SEEDS") else {
        return;
    };
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder).expect("a folder");
    for (name, bytes) in seeds::all() {
        std::fs::write(folder.join(name), bytes).expect("room");
    }
    std::process::exit(0);
}

fuzz_target!(
    init: write_seeds(),
    |bytes: &[u8]| {
        std::fs::write(&*FILE, bytes).expect("memory");
        if let Err(line) = easel::fuzzing::onnx(&FILE) {
            let is_line = !line.is_empty() && line.len() < 1000 && !line.contains(char::is_control);
            assert!(is_line, "not one line: {line:?}");
        }
        let taken = easel::process_memory::peak().unwrap_or(0) >> 20;
        assert!(taken <= BUDGET, "takes {taken} MiB");
    }
);
