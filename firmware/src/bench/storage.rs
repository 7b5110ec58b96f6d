//! How fast the card gives the files of a model.

use rustix::fs::{Advice, fadvise};
use serde::Serialize;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Smaller files tell of the file system, not of the card.
const SMALLEST: u64 = 64 << 10;
/// 13 seconds on a card of 20 MB/s.
const MOST: u64 = 256 << 20;
/// As much at a time as easel reads of weights.
const CHUNK: usize = 2 << 20;

/// What was read, and how fast.
#[derive(Debug, Serialize)]
pub(super) struct Reading {
    pub(super) mib: f64,
    pub(super) mb_per_s: f64,
}

/// Reads the large files of a model, the system told before to forget them: pages that another process has mapped stay, as do those
/// of a file system in memory. `None` where there is no such file.
///
/// # Errors
/// A folder or file that cannot be read.
pub(super) fn read(model: &Path) -> io::Result<Option<Reading>> {
    let (mut bytes, mut time) = (0, Duration::ZERO);
    let mut chunk = vec![0; CHUNK];
    for path in large_files(model)? {
        let mut file = easel::files::open_file(&path)?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
        let clock = Instant::now();
        while bytes < MOST {
            match file.read(&mut chunk)? {
                0 => break,
                read => bytes += read as u64,
            }
        }
        time += clock.elapsed();
    }
    let rate = bytes as f64 / 1e6 / time.as_secs_f64().max(1e-9);
    Ok((bytes > 0).then(|| Reading {
        mib: bytes as f64 / f64::from(1 << 20),
        mb_per_s: rate,
    }))
}

/// The model's networks and weights, the largest first.
fn large_files(model: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(model)? {
        let folder = entry?.path();
        if !folder.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let length = path.metadata()?.len();
            if path.is_file() && length >= SMALLEST {
                files.push((length, path));
            }
        }
    }
    files.sort();
    Ok(files.into_iter().rev().map(|(_, path)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_files_count_the_largest_first() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, bytes: usize| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
            std::fs::write(path, vec![1; bytes]).expect("it can be written");
        };
        assert!(read(folder.path()).expect("it can be read").is_none());
        write("model_index.json", 100_000);
        write("unet/config.json", 100);
        assert!(read(folder.path()).expect("it can be read").is_none());
        write("vae_decoder/model.onnx", 70_000);
        write("unet/model.onnx", 3 << 20);
        let files = large_files(folder.path()).expect("they can be listed");
        assert!(files[0].ends_with("unet/model.onnx"), "{files:?}");
        assert_eq!(files.len(), 2);
        let reading = read(folder.path()).expect("it can be read");
        let reading = reading.expect("there are files");
        let expected = ((3 << 20) + 70_000) as f64 / f64::from(1 << 20);
        assert!((reading.mib - expected).abs() < 1e-9, "{reading:?}");
        assert!(reading.mb_per_s > 0.0 && reading.mb_per_s.is_finite());
        assert!(read(&folder.path().join("nowhere")).is_err());
    }
}
