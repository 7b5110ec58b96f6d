//! Checkpoints for tests.

use std::path::Path;

use serde_json::{Map, json};

/// A tensor to be stored.
#[derive(Clone)]
pub(super) struct Stored {
    kind: &'static str,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    /// Floats of a shape.
    pub(super) fn of(shape: &[usize], values: &[f32]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        Self {
            kind: "F32",
            shape: shape.to_vec(),
            bytes,
        }
    }

    /// The floats that it was made of.
    pub(super) fn floats(&self) -> Vec<f32> {
        let (values, _) = self.bytes.as_chunks::<4>();
        values
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect()
    }
}

/// Writes a file of weights.
pub(super) fn write_safetensors(path: &Path, tensors: &[(String, Stored)]) {
    let mut table = Map::new();
    let mut data = Vec::new();
    for (name, tensor) in tensors {
        let start = data.len();
        data.extend_from_slice(&tensor.bytes);
        let entry = json!({"dtype": tensor.kind, "shape": tensor.shape, "data_offsets": [start, data.len()]});
        table.insert(name.clone(), entry);
    }
    let table = serde_json::Value::Object(table).to_string();
    let mut file = (table.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(table.as_bytes());
    file.extend_from_slice(&data);
    std::fs::write(path, file).expect("room");
}
