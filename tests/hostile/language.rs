//! Graphs written as text: a line a node, `[name:] a, b = Op(x, , {1,2}) axis=1 perm=[0,2,1] mode="linear"`.
//!
//! Constants stand where they are read, in braces:
//!
//! ```text
//! {1,2}          int64 [2]            {#1}      int64, a scalar         {}            int64 [0]
//! {1.0,nan}      float [2]            {#2.5}    float, a scalar         {~4x4x3x3}    float noise of this shape
//! {u8:1,2}       of another type      {u8:~4x4}                         {1,2,3,4@2x2} of another shape
//! ```

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

/// Nodes, and the constants that they read.
#[derive(Clone, Default)]
pub(crate) struct Snippet {
    pub(crate) nodes: Vec<NodeProto>,
    pub(crate) constants: Vec<TensorProto>,
}

impl Snippet {
    /// Of text; `prefix` begins the names of constants.
    pub(crate) fn of(prefix: &str, text: &str) -> Self {
        let mut snippet = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            snippet.line(prefix, line);
        }
        snippet
    }

    fn line(&mut self, prefix: &str, line: &str) {
        let (left, rest) = line.split_once('=').expect("outputs = Op(…)");
        let (name, outputs) = left.split_once(':').unwrap_or(("", left));
        let (op, rest) = rest.split_once('(').expect("Op(…)");
        let (inputs, attributes) = rest.split_once(')').expect("a closing bracket");
        let outputs = list(outputs);
        let input = list(inputs).into_iter().map(|input| {
            let constant = input.strip_prefix('{').and_then(|c| c.strip_suffix('}'));
            let Some(constant) = constant else {
                return input;
            };
            let name = format!("{prefix}{}", self.constants.len());
            self.constants.push(tensor(&name, constant));
            name
        });
        let input = input.collect();
        let name = match name.trim() {
            "" => outputs.first().cloned().unwrap_or_default(),
            name => name.to_owned(),
        };
        self.nodes.push(NodeProto {
            name,
            op_type: op.trim().to_owned(),
            input,
            output: outputs,
            attribute: attributes.split_whitespace().map(attribute).collect(),
            ..NodeProto::default()
        });
    }
}

/// The parts between commas, but for those in braces.
fn list(text: &str) -> Vec<String> {
    if text.trim().is_empty() {
        return Vec::new();
    }
    let mut depth = 0;
    let parts = text.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    parts.map(|part| part.trim().to_owned()).collect()
}

fn attribute(text: &str) -> AttributeProto {
    let (name, value) = text.split_once('=').expect("name=value");
    let mut made = AttributeProto {
        name: name.to_owned(),
        ..AttributeProto::default()
    };
    let mut kind = AttributeType::Int;
    if let Some(text) = value.strip_prefix('"') {
        kind = AttributeType::String;
        made.s = text.trim_end_matches('"').as_bytes().to_vec();
    } else if let Some(constant) = value.strip_prefix('{') {
        kind = AttributeType::Tensor;
        made.t = Some(tensor("", constant.trim_end_matches('}')));
    } else if let Some(values) = value.strip_prefix('[') {
        let values = list(values.trim_end_matches(']'));
        if values.iter().any(|v| v.contains('.')) {
            kind = AttributeType::Floats;
            made.floats = values
                .iter()
                .map(|v| v.parse().expect("a number"))
                .collect();
        } else {
            kind = AttributeType::Ints;
            made.ints = values.iter().map(|v| integer(v)).collect();
        }
    } else if is_float(value) {
        kind = AttributeType::Float;
        made.f = value.parse().expect("a number");
    } else {
        made.i = integer(value);
    }
    made.r#type = kind as i32;
    made
}

fn is_float(text: &str) -> bool {
    text.contains(['.', 'n', 'N', 'e'])
}

fn integer(text: &str) -> i64 {
    match text.split_once('^') {
        Some(("2", power)) => 1 << power.parse::<u32>().expect("a power"),
        Some(("-2", power)) => (-1) << power.parse::<u32>().expect("a power"),
        _ => text
            .parse()
            .unwrap_or_else(|_| panic!("`{text}` is no integer")),
    }
}

/// A constant of this text, without its braces.
pub(crate) fn tensor(name: &str, text: &str) -> TensorProto {
    let (kind, text) = match text.split_once(':') {
        Some((kind, text)) => (Some(kind), text),
        None => (None, text),
    };
    let (text, dims) = match text.split_once('@') {
        Some((text, dims)) => (text, Some(shape(dims))),
        None => (text, None),
    };
    let noisy = text.strip_prefix('~').map(shape);
    let scalar = text.starts_with('#');
    let mut values = list(text.trim_start_matches('#'));
    if let Some(dims) = &noisy {
        values = noise(dims.iter().product::<i64>() as usize)
            .map(|value| format!("{value:.3}"))
            .collect();
    }
    let counted = if scalar {
        vec![]
    } else {
        vec![values.len() as i64]
    };
    let kind = kind.unwrap_or(if values.iter().any(|v| is_float(v)) {
        "f32"
    } else {
        "i64"
    });
    let float = |v: &String| v.parse::<f64>().unwrap_or_else(|_| integer(v) as f64);
    let int = |v: &String| {
        if is_float(v) {
            float(v) as i64
        } else {
            integer(v)
        }
    };
    let mut made = TensorProto {
        name: name.to_owned(),
        dims: dims.or(noisy).unwrap_or(counted),
        ..TensorProto::default()
    };
    let bytes = |of: &dyn Fn(&String) -> Vec<u8>| values.iter().flat_map(of).collect();
    let (data_type, raw): (_, Vec<u8>) = match kind {
        "f32" => (
            DataType::Float,
            bytes(&|v| (float(v) as f32).to_le_bytes().into()),
        ),
        "f64" => (DataType::Double, bytes(&|v| float(v).to_le_bytes().into())),
        "f16" => {
            let half = |v: &String| half::f16::from_f64(float(v)).to_le_bytes().into();
            (DataType::Float16, bytes(&half))
        }
        "i64" => (DataType::Int64, bytes(&|v| int(v).to_le_bytes().into())),
        "u64" => (DataType::Uint64, bytes(&|v| int(v).to_le_bytes().into())),
        "i32" => (
            DataType::Int32,
            bytes(&|v| (int(v) as i32).to_le_bytes().into()),
        ),
        "u32" => (
            DataType::Uint32,
            bytes(&|v| (int(v) as u32).to_le_bytes().into()),
        ),
        "u8" => (DataType::Uint8, bytes(&|v| vec![int(v) as u8])),
        "i8" => (DataType::Int8, bytes(&|v| vec![int(v) as u8])),
        "bool" => (DataType::Bool, bytes(&|v| vec![int(v) as u8])),
        "str" => {
            made.string_data = values.iter().map(|v| v.clone().into_bytes()).collect();
            (DataType::String, Vec::new())
        }
        _ => panic!("`{kind}` is no type"),
    };
    made.data_type = data_type as i32;
    made.raw_data = raw;
    made
}

fn shape(text: &str) -> Vec<i64> {
    text.split('x')
        .filter(|d| !d.is_empty())
        .map(integer)
        .collect()
}

/// Numbers without a pattern, from −1 to 1.
pub(crate) fn noise(count: usize) -> impl Iterator<Item = f64> {
    let mut random = fastrand(count as u64);
    (0..count).map(move |_| random() as f64 / u64::MAX as f64 * 2.0 - 1.0)
}

/// A small generator of its own (SplitMix64), so that a seed means the same everywhere.
pub(crate) fn fastrand(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
