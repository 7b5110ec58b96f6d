//! Readers of what comes from outside, as functions of bytes: for the fuzzers.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use prost::Message as _;
use tract_onnx::pb::{ModelProto, TensorProto, tensor_proto::DataLocation};

use crate::lexicon::Lexicon;
use crate::runtime::look_into;
use crate::text::message;
use crate::weights::{TensorBytes, TensorSource, read_network, with_index};

/// Reads a packed cache: a file of these bytes, and one whose index they are.
pub fn pack(bytes: &[u8]) {
    for content in [bytes, &with_index(bytes)] {
        let file = rustix::fs::memfd_create("pack", rustix::fs::MemfdFlags::CLOEXEC);
        let mut file = File::from(file.expect("memory for a file"));
        file.write_all(content).expect("memory for a file");
        look_into(file, content.len() as u64);
    }
}

/// Reads a lexicon, and a prompt by it.
///
/// # Panics
/// When what comes of a prompt has no bounds.
pub fn lexicon(file: &str, prompt: &str, seed: u64) {
    let Ok(lexicon) = Lexicon::parse(file, &[]) else {
        return;
    };
    if let Some(reading) = lexicon.reading(prompt, seed) {
        assert!(reading.text.len() <= prompt.len() + (1 << 16), "bounded");
        assert!(reading.warnings.len() <= 1 << 8, "bounded");
    }
    let (things, example) = lexicon.examples();
    assert!(things.len() + example.len() < 1 << 12, "bounded");
}

/// Reads a network's file, and all weights that it says it has.
///
/// # Errors
/// What is wrong with the file, in one line.
///
/// # Panics
/// When what is read is not what the file has: the reader is wrong.
pub fn onnx(path: &Path) -> Result<(), String> {
    let problem = |problem: &dyn std::fmt::Display| message(&problem.to_string());
    let mut read = read_network(path).map_err(|error| problem(&error))?;
    let file = std::fs::read(path).map_err(|error| problem(&error))?;
    let mut plain = ModelProto::decode(&file[..]).expect("the decoder takes what is read");
    // What a file says to be in others may be the same bytes many times over: no weight is kept then.
    let is_inside = |tensor: &mut TensorProto| {
        let location = tensor.data_location.unwrap_or(0);
        location == DataLocation::Default as i32 && tensor.external_data.is_empty()
    };
    let comparable = plain.functions.is_empty() && initializers(&mut plain).all(is_inside);
    let mut source = TensorSource::new(path.parent().unwrap_or(Path::new(".")));
    for tensor in initializers(&mut read) {
        let bytes = source.bytes(tensor).map_err(|error| problem(&error))?;
        let content = bytes.read().map_err(|error| problem(&error))?;
        assert_eq!(content.len(), bytes.len(), "as many bytes as it says");
        if let TensorBytes::File {
            range, path: from, ..
        } = &bytes
            && from.file_name() == path.file_name()
        {
            let there = file.get(range.start as usize..range.end as usize);
            assert_eq!(there, Some(&*content), "the bytes of the file");
        }
        if comparable && tensor.data_location == Some(DataLocation::External as i32) {
            tensor.raw_data = content.into_owned();
            tensor.external_data.clear();
        }
    }
    if comparable {
        for model in [&mut read, &mut plain] {
            initializers(model).for_each(|tensor| tensor.data_location = None);
        }
        // As bytes: numbers may be NaN, which equal nothing.
        let same = read.encode_to_vec() == plain.encode_to_vec();
        assert!(same, "another network than the decoder's");
    }
    Ok(())
}

fn initializers(model: &mut ModelProto) -> impl Iterator<Item = &mut TensorProto> {
    let graph = model.graph.iter_mut();
    graph.flat_map(|graph| &mut graph.initializer)
}

/// Reads a `tokenizer.json`, and encodes with it.
pub fn tokenizer(bytes: &[u8]) {
    if let Ok(tokenizer) = crate::tokenizer::parse(bytes) {
        let _ = tokenizer.encode_fast("a (red) cät \u{1f431}'s <|endoftext|> 12", false);
    }
}

/// A picture of these bytes, and at another size.
///
/// # Panics
/// If it does not have as many bytes as pixels.
pub fn picture(bytes: &[u8]) {
    if let Ok(picture) = crate::Picture::decode(bytes) {
        // Large ones take longer than they are worth.
        assert!(picture.is_whole());
        if picture.rgb.len() < 1 << 16 {
            assert!(picture.resized((17, 9)).is_whole());
        }
    }
}

/// Reads a file of weights as a checkpoint, and as a LoRA for the U-Net of which `base` has the weights. Tokenizers are taken from the
/// folder that it is in. What is wrong with the file, as either, is one line.
pub fn safetensors(path: &Path, base: &Path) -> [Result<(), String>; 2] {
    let beside = base.parent().unwrap_or(Path::new("."));
    let looked = [
        crate::import::look_into_checkpoint(path, beside),
        crate::import::look_into_lora(path, base),
    ];
    looked.map(|result| result.map_err(|error| error.to_string()))
}

/// Reads latents from a NumPy file's bytes.
pub fn npy(bytes: &[u8]) {
    let _ = crate::latents::npy::decode(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![
            4 => 0..70_u64,
            2 => prop::sample::select(vec![64, 128, 192, 256, 1024, 4096, 4160]),
            1 => (0..64_u32).prop_map(|bits| 1 << bits),
            1 => any::<u64>(),
        ]
    }

    prop_compose! {
        fn block()(offset in number(), length in number()) -> Value {
            json!({"offset": offset, "length": length, "crc32": 0})
        }
    }

    prop_compose! {
        fn weight()(
            int8: bool,
            gated: bool,
            columns in number(),
            depth in prop::array::uniform3(number()),
            ends in prop::collection::vec((number(), block()), 0..4),
            kept in prop::array::uniform3(prop::option::of(block())),
        ) -> Value {
            let mut start = 0;
            let parts: Vec<Value> = ends.into_iter().map(|(end, panels)| {
                let columns = json!({"start": start, "end": end});
                start = end;
                json!({"columns": columns, "panels": panels})
            }).collect();
            let [scales, sums, bias] = kept;
            json!({
                "name": "w", "int8": int8, "gated": gated, "shape": [columns, depth], "parts": parts,
                "scales": scales, "sums": sums, "bias": bias,
            })
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// Whatever an index says, nothing outside its file is read, and no room made for what is not there.
        #[test]
        fn no_index_breaks_the_reader(graph in prop::option::of(block()), weights in prop::collection::vec(weight(), 0..3)) {
            let index = json!({"key": "key", "graph": graph, "weights": weights});
            pack(index.to_string().as_bytes());
        }

        #[test]
        fn no_bytes_break_the_readers(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            pack(&bytes);
            npy(&bytes);
            picture(&bytes);
            tokenizer(&bytes);
        }
    }
}
