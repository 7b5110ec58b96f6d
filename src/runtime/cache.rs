//! Where packed caches are, who may have written them, and what makes one stale.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use easel_kernels::isa::Isa;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tract_onnx::pb::ModelProto;

use super::part::Part;
use crate::files::{holds_only_ours, only_ours, open_file};

/// The cache file of a part of a network (`MODEL/COMPONENT/model.onnx`) in the folder of caches: a folder for each model, known by where
/// it is, so that a model that was exchanged takes the place of the old one. What runs after the part that is small shares its file with
/// the whole network, whose weights do for both.
pub(super) fn path(folder: &Path, network: &Path, part: &Part, isa: Isa) -> PathBuf {
    let component = network.parent().unwrap_or(network);
    let component = fs::canonicalize(component).unwrap_or_else(|_| component.to_owned());
    let model = component.parent().unwrap_or(&component);
    let name = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let place = hex(&Sha256::digest(model.as_os_str().as_encoded_bytes())[..4]);
    let once = match part {
        Part::Before(_) => "-once",
        Part::Whole | Part::After(_) => "",
    };
    folder
        .join(format!("{}-{place}", name(model)))
        .join(format!("{}{once}.{isa}.pack", name(&component)))
}

/// Why another user could have written the cache at `path`, or could put another in its place: in the folder of caches or in the
/// one that is the model's. What is not there yet is made for this user alone. The file itself is looked at when it is open.
pub(super) fn distrust(folder: &Path, path: &Path) -> Option<String> {
    // What cannot be looked at cannot be read or written either, and that is told then.
    let holds = holds_only_ours(folder).ok()?;
    let models = path.parent().unwrap_or(path);
    let judged = holds.and_then(|()| match fs::symlink_metadata(models) {
        Ok(known) if known.is_symlink() => Err(format!("{} is a link", models.display())),
        Ok(known) => only_ours(models, &known),
        Err(_) => Ok(()),
    });
    judged.err()
}

/// All that a cache depends on. The network's own file counts by its content. The files of its weights are large, and count by
/// length, times, and a sample of their content.
///
/// The times are enough wherever the file system keeps the time of a change of status (ctime): nobody can set it, so whatever is
/// written, copied or moved to the name has another, also where the time of change is kept (`cp -p`, `rsync -t`). On FAT, which
/// keeps none, two models of equal length and time differ in the sample: weights that were trained apart have no block in common.
/// The number of the inode says no more, and is not the same after the next start on FAT and overlays.
pub(super) fn key(proto: &ModelProto, network: &Path, isa: Isa, how: &str) -> String {
    let graph = proto.graph.iter();
    let tensors = graph.flat_map(|graph| &graph.initializer);
    let entries = tensors.flat_map(|tensor| &tensor.external_data);
    let files: BTreeSet<&str> = entries
        .filter(|entry| entry.key == "location")
        .map(|entry| entry.value.as_str())
        .collect();
    let mut key = format!(
        "easel {} {} {isa} {how} network {}",
        env!("CARGO_PKG_VERSION"),
        env!("EASEL_SOURCES"),
        hex(&Sha256::digest(proto.encode_to_vec()))
    );
    for file in files {
        let path = network.parent().unwrap_or(network).join(file);
        // Of a file that cannot be read nothing is made, and the reader says why.
        let stamp = stamp(&path).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = write!(key, " {file} {stamp}");
    }
    key
}

/// What tells one version of a file from another.
fn stamp(path: &Path) -> io::Result<String> {
    let file = open_file(path)?;
    let known = file.metadata()?;
    Ok(format!(
        "{} {}.{:09} {}.{:09} {}",
        known.len(),
        known.mtime(),
        known.mtime_nsec(),
        known.ctime(),
        known.ctime_nsec(),
        hex(&sample(&file, known.len())?)
    ))
}

/// Blocks of a file's content that are looked at, and bytes of each.
const SAMPLES: u64 = 64;
const SAMPLE: u64 = 4 << 10;

/// A hash of a file's first block, its last, and those between them at equal distances; of a short file, of all of it.
fn sample(file: &File, length: u64) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut block = [0; SAMPLE as usize];
    let last = length.saturating_sub(SAMPLE);
    let count = length.div_ceil(SAMPLE).min(SAMPLES);
    for number in 0..count {
        let at = match length <= SAMPLES * SAMPLE {
            true => number * SAMPLE,
            // Beyond 2^64 / 63 no file has a length.
            false => last / (SAMPLES - 1) * number,
        };
        let at = if number + 1 == count { last } else { at };
        let bytes = &mut block[..SAMPLE.min(length - at) as usize];
        file.read_exact_at(bytes, at)?;
        hash.update(bytes);
    }
    Ok(hash.finalize().into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn with_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    }

    #[test]
    fn folders_that_others_can_write_are_not_believed() {
        let top = tempfile::tempdir().expect("a folder");
        let folder = top.path().join("caches");
        let path = folder.join("model-1234/unet.avx2.pack");
        let believed = || distrust(&folder, &path).is_none();
        assert!(believed(), "it is to be made");
        fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        for (mode, believe) in [
            (0o755, true),
            (0o700, true),
            (0o775, false),
            (0o757, false),
            (0o1777, true),
        ] {
            with_mode(&folder, mode);
            with_mode(path.parent().expect("a folder"), 0o755);
            assert_eq!(
                believed(),
                believe,
                "{mode:o}: {:?}",
                distrust(&folder, &path)
            );
        }
        for (mode, believe) in [(0o700, true), (0o775, false), (0o1777, false)] {
            with_mode(path.parent().expect("a folder"), mode);
            assert_eq!(believed(), believe, "{mode:o}");
        }
        fs::remove_dir(path.parent().expect("a folder")).expect("it is there");
        symlink(top.path(), path.parent().expect("a folder")).expect("a link");
        let said = distrust(&folder, &path).expect("it is a link");
        assert!(said.ends_with("model-1234 is a link"), "{said}");
    }

    #[test]
    fn another_file_of_the_same_length_and_time_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("weights");
        let when =
            std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        let write = |byte: u8, length: usize| {
            fs::write(&path, vec![byte; length]).expect("it can be written");
            let file = File::options()
                .write(true)
                .open(&path)
                .expect("it is there");
            file.set_modified(when).expect("it is ours");
            (
                stamp(&path).expect("it is there"),
                sample(&file_of(&path), length as u64).expect("it can be read"),
            )
        };
        for length in [0, 1, 4096, 100_000, 262_144, 262_145, 3_000_000] {
            let (first, content) = write(1, length);
            assert_eq!(stamp(&path).expect("it is there"), first);
            let (second, other) = write(2, length);
            // The clock of a file system may stand still between two writes; the content differs.
            assert_eq!(content == other, length == 0, "{length}");
            assert!(length == 0 || first != second, "{length}");
        }
    }

    fn file_of(path: &Path) -> File {
        File::open(path).expect("it is there")
    }

    #[test]
    fn samples_reach_from_the_first_byte_to_the_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("weights");
        for length in [5000_usize, 262_144, 1_000_003] {
            let of = |at: Option<usize>| {
                let mut bytes = vec![0; length];
                if let Some(at) = at {
                    bytes[at] = 1;
                }
                fs::write(&path, bytes).expect("it can be written");
                sample(&file_of(&path), length as u64).expect("it can be read")
            };
            let zeros = of(None);
            for at in [0, 4095, length - 4096, length - 1] {
                assert_ne!(of(Some(at)), zeros, "{at} of {length}");
            }
        }
    }
}
