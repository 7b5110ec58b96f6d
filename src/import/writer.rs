//! Writes a network: `model.onnx` (the graph and small tensors) and `model.onnx_data` (the large ones).
//!
//! Weights pass one at a time, by rows, so that the largest never is in memory as floats. They lie in the order in which the graph
//! first uses them, so that streaming them is one sequential read; each begins on a multiple of 64 bytes (a cache line, and the
//! widest vector), those of 1 MiB and more on a page.
//!
//! int8 is symmetric, one scale an output channel: scale = max|w| / 127, q = round(w / scale), half to even, within ±127. -128
//! is never used, so that sums of products keep a bit of head-room. ONNX spells it `DequantizeLinear(q, scale)`.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use half::f16;
use prost::Message as _;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto,
    attribute_proto::AttributeType, tensor_proto::DataLocation, tensor_proto::DataType,
};

use super::error::{ImportError, quoted};
use super::graph::{Parameter, Stored};
use super::networks::{Built, Kind};
use super::output::{Folder, OutFile};
use super::plan::Part;
use super::request::Precision;
use super::weights::{Weight, Weights};
use crate::weights::TensorBytes;

const DATA_FILE: &str = "model.onnx_data";
/// Larger tensors lie in the data file.
const INLINE_BYTES: usize = 1024;
const ALIGN: u64 = 64;
const PAGE_ALIGN: u64 = 4096;
const PAGE_FROM: u64 = 1 << 20;
/// Smaller weights save nothing, and would cost an operator each.
pub(crate) const LEAST_NUMBERS: usize = 1024;
/// Numbers that are read at once; few in tests, so that weights come in parts.
const CHUNK: usize = if cfg!(test) { 500 } else { 1 << 20 };
/// Below it a scale could underflow; such a channel is zero for every purpose.
const TINY: f32 = 1e-30;

/// Whether a layer's weights stay floats in an int8 model.
///
/// What is wrong in the first convolution is wrong everywhere behind it; the last one's errors are the answer's own, and the
/// exporter's measurement keeps it float in the default model. The step is one row for the whole picture: an error there moves
/// all pixels alike. Together they are less than 1 % of a U-Net's weights.
pub(crate) fn stays_float(kind: Kind, layer: &str) -> bool {
    match kind {
        Kind::Image { .. } => layer.ends_with("patch_embedding"),
        Kind::Text { .. } | Kind::T5 { .. } => layer.ends_with("relative_attention_bias"),
        Kind::Transformer => {
            matches!(layer, "pos_embed.proj" | "x_embedder" | "proj_out")
                || layer.starts_with("time_text_embed.")
                || layer.starts_with("adaln_single.emb.")
        }
        Kind::Unet { .. } | Kind::ControlNet => {
            matches!(layer, "conv_in" | "conv_out")
                || layer.starts_with("controlnet_cond_embedding.")
                || layer.starts_with("time_embedding.")
                || layer.starts_with("add_embedding.")
        }
        Kind::Decoder => matches!(
            layer,
            "post_quant_conv" | "decoder.conv_in" | "decoder.conv_out" | "decoder.layers.0"
        ),
        Kind::Encoder => matches!(
            layer,
            "quant_conv" | "encoder.conv_in" | "encoder.conv_out" | "encoder.layers.0"
        ),
    }
}

/// Told how many numbers were written since the last call; may end the import.
pub(crate) type Beat<'a> = dyn FnMut(u64) -> Result<(), ImportError> + 'a;

/// Writes a network's weights, in the order in which it is given them.
pub(crate) struct Writer<'a> {
    kind: Kind,
    precision: Precision,
    weights: &'a Weights,
    data: OutFile,
    nodes: Vec<NodeProto>,
    tensors: Vec<TensorProto>,
}

/// Writes a network into `folder`.
pub(crate) fn write(
    part: &Part<'_>,
    built: Built,
    precision: Precision,
    folder: &mut Folder,
    beat: &mut Beat<'_>,
) -> Result<(), ImportError> {
    let place = Path::new(part.folder);
    let mut writer = Writer {
        kind: part.kind,
        precision,
        weights: &part.network.weights,
        data: folder.create_file(&place.join(DATA_FILE))?,
        nodes: Vec::new(),
        tensors: Vec::new(),
    };
    let Built {
        mut parameters,
        mut others,
        ..
    } = built;
    for node in built.nodes {
        for input in &node.input {
            if let Some(parameter) = parameters.remove(input) {
                writer.parameter(input, &parameter, beat)?;
            } else if let Some((tensor, bytes)) = others.remove(input) {
                writer.copy(tensor, &bytes, beat)?;
            }
        }
        writer.nodes.push(node);
    }
    // What graphs within nodes read.
    for (tensor, bytes) in others.into_values() {
        writer.copy(tensor, &bytes, beat)?;
    }
    let Writer {
        data,
        nodes,
        tensors,
        ..
    } = writer;
    folder.finish(data)?;
    let graph = GraphProto {
        name: part.title().to_owned(),
        node: nodes,
        initializer: tensors,
        input: built.inputs,
        output: built.outputs,
        ..GraphProto::default()
    };
    let model = ModelProto {
        producer_name: "easel".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        ..built.model
    };
    let mut file = folder.create_file(&place.join("model.onnx"))?;
    file.write(&model.encode_to_vec())?;
    folder.finish(file)?;
    Ok(())
}

/// The layers of a network that stay float although all else is int8.
pub(crate) fn float_layers(part: &Part<'_>, built: &Built, precision: Precision) -> Vec<String> {
    let stays = |parameter: &&Parameter| {
        let weight = part.network.weights.get(&parameter.weight);
        let large = weight.is_some_and(|weight| weight.len() >= LEAST_NUMBERS);
        let layer = parameter
            .layer
            .as_ref()
            .filter(|layer| stays_float(part.kind, layer));
        large && layer.is_some() && precision == Precision::Int8
    };
    let stay = built.parameters.values().filter(stays);
    let mut layers: Vec<String> = stay
        .filter_map(|parameter| parameter.layer.clone())
        .collect();
    layers.sort();
    layers
}

/// How many numbers are going to be written; of what is only copied, bytes.
pub(crate) fn numbers(built: &Built, weights: &Weights) -> u64 {
    let copied: u64 = built
        .others
        .values()
        .map(|(_, bytes)| bytes.len() as u64)
        .sum();
    let sizes = built
        .parameters
        .values()
        .filter_map(|parameter| weights.get(&parameter.weight));
    copied + sizes.map(|weight| weight.len() as u64).sum::<u64>()
}

impl Writer<'_> {
    /// Stores a weight, and makes the value `name` of it.
    fn parameter(
        &mut self,
        name: &str,
        parameter: &Parameter,
        beat: &mut Beat<'_>,
    ) -> Result<(), ImportError> {
        let weights = self.weights;
        // It was there when the network was built.
        let Some(weight) = weights.get(&parameter.weight) else {
            return Ok(());
        };
        let large = weight.len() >= LEAST_NUMBERS;
        let layer = parameter.layer.as_deref().filter(|_| large);
        match (self.precision, layer) {
            (Precision::Int8, Some(layer)) if stays_float(self.kind, layer) => {
                self.floats(name, weight, &parameter.stored, beat)
            }
            (Precision::Int8, Some(_)) => self.int8(name, weight, &parameter.stored, beat),
            (Precision::Fp16, Some(_)) => self.halves(name, weight, &parameter.stored, beat),
            _ => self.floats(name, weight, &parameter.stored, beat),
        }
    }

    fn floats(
        &mut self,
        name: &str,
        weight: &Weight,
        stored: &Stored,
        beat: &mut Beat<'_>,
    ) -> Result<(), ImportError> {
        let mut tensor = Tensor::begin(self, name, DataType::Float, weight, stored);
        each_chunk(name, weight, beat, |first, values| {
            tensor.put(first, values, |value| value.to_le_bytes())
        })?;
        tensor.end()
    }

    fn halves(
        &mut self,
        name: &str,
        weight: &Weight,
        stored: &Stored,
        beat: &mut Beat<'_>,
    ) -> Result<(), ImportError> {
        let half = format!("{name}_f16");
        let mut tensor = Tensor::begin(self, &half, DataType::Float16, weight, stored);
        each_chunk(name, weight, beat, |first, values| {
            if values.iter().any(|value| value.abs() > f16::MAX.to_f32()) {
                let name = quoted(name);
                return Err(ImportError::Bad(format!(
                    "{name} has numbers too large for fp16: take --precision int8 or fp32"
                )));
            }
            tensor.put(first, values, |value| f16::from_f32(value).to_le_bytes())
        })?;
        tensor.end()?;
        let to = AttributeProto {
            name: "to".into(),
            r#type: AttributeType::Int as i32,
            i: DataType::Float as i64,
            ..AttributeProto::default()
        };
        self.derived("Cast", &[half], name, to);
        Ok(())
    }

    fn int8(
        &mut self,
        name: &str,
        weight: &Weight,
        stored: &Stored,
        beat: &mut Beat<'_>,
    ) -> Result<(), ImportError> {
        let (rows, length) = weight.rows();
        let mut scales = Vec::with_capacity(rows);
        let names = [format!("{name}_q"), format!("{name}_scale")];
        let mut tensor = Tensor::begin(self, &names[0], DataType::Int8, weight, stored);
        let mut quantized = Vec::new();
        each_chunk(name, weight, beat, |first, values| {
            quantized.clear();
            for row in values.chunks_exact(length) {
                let scale = scale(row);
                scales.push(scale);
                quantized.extend(row.iter().map(|value| quantize(*value, scale)));
            }
            tensor.put(first, &quantized, |value: i8| value.to_le_bytes())
        })?;
        tensor.end()?;
        let bytes: Vec<u8> = scales
            .iter()
            .flat_map(|scale| scale.to_le_bytes())
            .collect();
        let dims = vec![rows as i64];
        self.place(&names[1], DataType::Float, dims, &bytes)?;
        let axis = AttributeProto {
            name: "axis".into(),
            r#type: AttributeType::Int as i32,
            i: i64::from(*stored == Stored::Transposed),
            ..AttributeProto::default()
        };
        self.derived("DequantizeLinear", &names, name, axis);
        Ok(())
    }

    /// Stores a tensor as it is, whatever its kind.
    fn copy(
        &mut self,
        mut tensor: TensorProto,
        bytes: &TensorBytes,
        beat: &mut Beat<'_>,
    ) -> Result<(), ImportError> {
        let TensorBytes::File { file, path, range } = bytes else {
            // It is in the graph.
            self.tensors.push(tensor);
            return Ok(());
        };
        let length = range.end - range.start;
        let offset = self.align(length)?;
        let mut buffer = vec![0; CHUNK.min(length as usize)];
        let mut at = range.start;
        while at < range.end {
            let part = &mut buffer[..CHUNK.min((range.end - at) as usize)];
            let read = file.read_exact_at(part, at);
            read.map_err(|error| ImportError::unreadable(path, &error))?;
            self.data.write(part)?;
            at += part.len() as u64;
            beat(part.len() as u64)?;
        }
        external(&mut tensor, offset, length);
        self.tensors.push(tensor);
        Ok(())
    }

    /// A node that makes a value of what is stored.
    fn derived(&mut self, op: &str, inputs: &[String], output: &str, attribute: AttributeProto) {
        self.nodes.push(NodeProto {
            name: format!("{output}/{op}"),
            op_type: op.into(),
            input: inputs.to_vec(),
            output: vec![output.to_owned()],
            attribute: vec![attribute],
            ..NodeProto::default()
        });
    }

    /// Stores a tensor whose bytes are at hand.
    fn place(
        &mut self,
        name: &str,
        kind: DataType,
        dims: Vec<i64>,
        bytes: &[u8],
    ) -> Result<(), ImportError> {
        let mut tensor = TensorProto {
            name: name.to_owned(),
            dims,
            data_type: kind as i32,
            ..TensorProto::default()
        };
        if bytes.len() <= INLINE_BYTES {
            tensor.raw_data = bytes.to_vec();
        } else {
            let offset = self.align(bytes.len() as u64)?;
            self.data.write(bytes)?;
            external(&mut tensor, offset, bytes.len() as u64);
        }
        self.tensors.push(tensor);
        Ok(())
    }

    /// Begins a tensor of so many bytes in the data file; gives where.
    fn align(&mut self, bytes: u64) -> Result<u64, ImportError> {
        let align = if bytes >= PAGE_FROM {
            PAGE_ALIGN
        } else {
            ALIGN
        };
        let gap = self.data.length().next_multiple_of(align) - self.data.length();
        self.data.write(&[0; PAGE_ALIGN as usize][..gap as usize])?;
        Ok(self.data.length())
    }
}

/// Reads a weight by rows and gives each part on, with the number of its first row.
fn each_chunk(
    name: &str,
    weight: &Weight,
    beat: &mut Beat<'_>,
    mut give: impl FnMut(usize, &[f32]) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let (rows, length) = weight.rows();
    let at_once = (CHUNK / length.max(1)).clamp(1, rows.max(1));
    let mut values = Vec::new();
    for first in (0..rows).step_by(at_once) {
        let last = rows.min(first + at_once);
        weight.read(first..last, &mut values)?;
        if !values.iter().all(|value| value.is_finite()) {
            let name = quoted(name);
            return Err(ImportError::Bad(format!(
                "{name} has numbers that are not finite: the checkpoint is broken"
            )));
        }
        give(first, &values)?;
        beat(values.len() as u64)?;
    }
    Ok(())
}

/// The scale of an output channel.
fn scale(row: &[f32]) -> f32 {
    let largest = row
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    if largest > TINY { largest / 127.0 } else { 1.0 }
}

fn quantize(value: f32, scale: f32) -> i8 {
    (value / scale).round_ties_even().clamp(-127.0, 127.0) as i8
}

fn external(tensor: &mut TensorProto, offset: u64, length: u64) {
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: key.into(),
        value,
    };
    tensor.data_location = Some(DataLocation::External as i32);
    tensor.external_data = vec![
        entry("location", DATA_FILE.into()),
        entry("offset", offset.to_string()),
        entry("length", length.to_string()),
    ];
}

/// A tensor that is written by rows. A transposed one, and a small one, is held until it is whole.
struct Tensor<'w, 'a> {
    writer: &'w mut Writer<'a>,
    proto: TensorProto,
    kind: DataType,
    rows: usize,
    length: usize,
    size: usize,
    transposed: bool,
    held: Option<Vec<u8>>,
    buffer: Vec<u8>,
    begun: Option<u64>,
}

impl<'w, 'a> Tensor<'w, 'a> {
    fn begin(
        writer: &'w mut Writer<'a>,
        name: &str,
        kind: DataType,
        weight: &Weight,
        stored: &Stored,
    ) -> Self {
        let (rows, length) = weight.rows();
        let shape = match stored {
            Stored::AsIs => weight.shape().to_vec(),
            Stored::Transposed => vec![length, rows],
            Stored::Shaped(shape) => shape.clone(),
        };
        let size = match kind {
            DataType::Int8 => 1,
            DataType::Float16 => 2,
            _ => 4,
        };
        let transposed = *stored == Stored::Transposed;
        let bytes = rows * length * size;
        let held = (transposed || bytes <= INLINE_BYTES).then(|| vec![0; bytes]);
        let proto = TensorProto {
            name: name.to_owned(),
            dims: shape.iter().map(|side| *side as i64).collect(),
            data_type: kind as i32,
            ..TensorProto::default()
        };
        Self {
            writer,
            proto,
            kind,
            rows,
            length,
            size,
            transposed,
            held,
            buffer: Vec::new(),
            begun: None,
        }
    }

    /// Puts whole rows, from the `first` on.
    fn put<T: Copy, const N: usize>(
        &mut self,
        first: usize,
        values: &[T],
        bytes: impl Fn(T) -> [u8; N],
    ) -> Result<(), ImportError> {
        let Some(held) = &mut self.held else {
            if self.begun.is_none() {
                self.begun = Some(
                    self.writer
                        .align((self.rows * self.length * self.size) as u64)?,
                );
            }
            self.buffer.clear();
            self.buffer
                .extend(values.iter().flat_map(|value| bytes(*value)));
            return self.writer.data.write(&self.buffer);
        };
        let (held, _) = held.as_chunks_mut::<N>();
        if self.transposed {
            let count = values.len() / self.length.max(1);
            for column in 0..self.length {
                let there = &mut held[column * self.rows + first..][..count];
                for (row, place) in there.iter_mut().enumerate() {
                    *place = bytes(values[row * self.length + column]);
                }
            }
        } else {
            for (place, value) in held[first * self.length..].iter_mut().zip(values) {
                *place = bytes(*value);
            }
        }
        Ok(())
    }

    fn end(self) -> Result<(), ImportError> {
        let Self {
            writer,
            mut proto,
            kind,
            held,
            begun,
            ..
        } = self;
        if let Some(held) = held {
            let dims = std::mem::take(&mut proto.dims);
            return writer.place(&proto.name, kind, dims, &held);
        }
        if let Some(offset) = begun {
            external(&mut proto, offset, writer.data.length() - offset);
        }
        writer.tensors.push(proto);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_the_nearest_even_and_kept_within_127() {
        let row = [0.0, 1.27, -1.27, 0.005, 0.015, -0.025, 0.0251];
        let scale = scale(&row);
        assert_eq!(scale, 1.27 / 127.0);
        let found = row.map(|value| quantize(value, scale));
        assert_eq!(found, [0, 127, -127, 0, 2, -2, 3]);
        assert_eq!(super::scale(&[0.0, 1e-31]), 1.0);
    }

    #[test]
    fn sensitive_layers_stay_floats() {
        let unet = Kind::Unet { image_tokens: 0 };
        for layer in [
            "conv_in",
            "conv_out",
            "time_embedding.linear_1",
            "add_embedding.linear_2",
        ] {
            assert!(stays_float(unet, layer), "{layer}");
        }
        for layer in [
            "down_blocks.0.resnets.0.conv1",
            "mid_block.resnets.0.time_emb_proj",
        ] {
            assert!(!stays_float(unet, layer), "{layer}");
        }
        assert!(stays_float(Kind::Decoder, "decoder.conv_out"));
        assert!(!stays_float(
            Kind::Decoder,
            "decoder.up_blocks.0.resnets.0.conv1"
        ));
    }
}
