//! Brings external tensors in: from here on every initializer has its bytes inline.

use std::collections::HashMap;
use std::path::{Component, Path};

use tract_onnx::pb::{ModelProto, TensorProto, tensor_proto::DataLocation};

use crate::weights::MappedFile;

pub(super) fn run(model: &mut ModelProto, path: &Path) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut files: HashMap<String, MappedFile> = HashMap::new();
    let graph = model.graph.iter_mut();
    for tensor in graph.flat_map(|graph| &mut graph.initializer) {
        if tensor.data_location == Some(DataLocation::External as i32) {
            let name = tensor.name.clone();
            resolve(tensor, folder, &mut files).map_err(|p| format!("tensor `{name}`: {p}"))?;
        }
    }
    Ok(())
}

fn resolve(
    tensor: &mut TensorProto,
    folder: &Path,
    files: &mut HashMap<String, MappedFile>,
) -> Result<(), String> {
    let entry = |key: &str| {
        let entries = tensor.external_data.iter();
        entries
            .filter(|e| e.key == key)
            .map(|e| e.value.as_str())
            .next()
    };
    let number = |key: &str| match entry(key) {
        None => Ok(None),
        Some(text) => text
            .parse::<usize>()
            .map(Some)
            .map_err(|_| format!("{key} `{text}` is not a number")),
    };
    let location = entry("location").ok_or("external, but without a file name")?;
    // A model is somebody's download: it may name files of its own folder and no others.
    let inside = Path::new(location)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside {
        return Err(format!("its file `{location}` is outside the model"));
    }
    let offset = number("offset")?.unwrap_or(0);
    let length = number("length")?;
    let location = location.to_owned();
    if !files.contains_key(&location) {
        let file = MappedFile::open(&folder.join(&location))
            .map_err(|error| format!("its file `{location}` cannot be read: {error}"))?;
        files.insert(location.clone(), file);
    }
    let bytes = files[&location].bytes();
    let end = length.map_or(Some(bytes.len()), |length| offset.checked_add(length));
    let data = end.and_then(|end| bytes.get(offset..end)).ok_or_else(|| {
        format!(
            "its bytes end beyond `{location}`, which has {}: the file is cut short, copy it again",
            bytes.len()
        )
    })?;
    tensor.raw_data = data.to_vec();
    tensor.data_location = None;
    tensor.external_data.clear();
    Ok(())
}
