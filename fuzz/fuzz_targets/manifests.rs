//! The small files of a model directory: whatever they say, a model loads or is refused.
//!
//! The input has the files one after the other, with zero bytes between.
#![no_main]

use easel::{LoadOptions, Pipeline};
use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use std::sync::LazyLock;

const FILES: [&str; 6] = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "unet/config.json",
    "vae_decoder/config.json",
    "easel.json",
    "tokenizer/tokenizer_config.json",
];

/// In memory: a disk would be worn out.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = PathBuf::from(format!("/dev/shm/easel-fuzz-{}", std::process::id()));
    for file in FILES {
        let folder = folder.join(file);
        std::fs::create_dir_all(folder.parent().expect("it is in a folder")).expect("memory");
    }
    folder
});

fuzz_target!(|bytes: &[u8]| {
    for (file, bytes) in FILES.iter().zip(bytes.split(|&byte| byte == 0)) {
        std::fs::write(FOLDER.join(file), bytes).expect("memory");
    }
    let options = LoadOptions {
        threads: Some(1),
        ..LoadOptions::default()
    };
    if let Err(error) = Pipeline::load(&FOLDER, &options) {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
});
