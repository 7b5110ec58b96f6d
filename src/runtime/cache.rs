//! Where packed caches are, and what makes one stale.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use easel_kernels::isa::Isa;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tract_onnx::pb::ModelProto;

/// The cache file of a network (`MODEL/COMPONENT/model.onnx`) in the folder of caches: a folder for each model, known by where
/// it is, so that a model that was exchanged takes the place of the old one.
pub(super) fn path(folder: &Path, network: &Path, isa: Isa) -> PathBuf {
    let component = network.parent().unwrap_or(network);
    let component = fs::canonicalize(component).unwrap_or_else(|_| component.to_owned());
    let model = component.parent().unwrap_or(&component);
    let name = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let place = hex(&Sha256::digest(model.as_os_str().as_encoded_bytes())[..4]);
    folder
        .join(format!("{}-{place}", name(model)))
        .join(format!("{}.{isa}.pack", name(&component)))
}

/// All that a cache depends on. The network's own file counts by its content, the files of its weights, which are large,
/// by length and time of change.
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
        let found = network
            .parent()
            .and_then(|folder| fs::metadata(folder.join(file)).ok());
        let changed = found.as_ref().and_then(|found| found.modified().ok());
        let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let length = found.map_or(0, |found| found.len());
        // Writing to a string does not fail.
        let _ = write!(
            key,
            " {file} {length} {}",
            changed.unwrap_or_default().as_nanos()
        );
    }
    key
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
