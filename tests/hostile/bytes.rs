//! Files with bytes that are not theirs: bits flipped, ends cut off, parts of two files in one.

use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto};

use super::language::{Snippet, fastrand};
use super::micro::{self, DECODER, TEXT_ENCODER, UNET};
use super::watch::{Case, Right};

const NETWORKS: [&str; 3] = [UNET, TEXT_ENCODER, DECODER];

/// A bit of one network of the micro model.
pub(crate) fn flipped() -> Vec<Case> {
    let mut cases = Vec::new();
    for file in NETWORKS {
        let network = network(file);
        // Names and sizes, which stand close together, not only weights.
        for number in 0..700 {
            let mut random = fastrand(number);
            let at = random() as usize % network.len();
            let bit = random() % 8;
            let mut bytes = network.clone();
            bytes[at] ^= 1 << bit;
            let name = format!("{file}: bit {bit} of byte {at}");
            cases.push(with(name, file, bytes));
        }
    }
    cases
}

/// Whole stretches.
pub(crate) fn mangled() -> Vec<Case> {
    let mut cases = Vec::new();
    for file in NETWORKS {
        let network = network(file);
        for number in 0..60 {
            let mut random = fastrand(1_000_000 + number);
            let mut place = || random() as usize % network.len();
            let (from, to) = (place(), place());
            let (from, to) = (from.min(to), from.max(to));
            let cut = network[..to].to_vec();
            cases.push(with(format!("{file}: cut to {to}"), file, cut));
            let mut twice = network.clone();
            twice.extend(&network[from..to]);
            cases.push(with(
                format!("{file}: bytes {from} to {to} again"),
                file,
                twice,
            ));
            let mut without = network.clone();
            without.drain(from..to);
            cases.push(with(
                format!("{file}: without bytes {from} to {to}"),
                file,
                without,
            ));
            let mut ones = network.clone();
            ones[from..to].fill(0xff);
            cases.push(with(
                format!("{file}: ones from {from} to {to}"),
                file,
                ones,
            ));
            let other = self::network(NETWORKS[number as usize % 3]);
            let mut spliced = network[..from].to_vec();
            spliced.extend(&other[to.min(other.len())..]);
            cases.push(with(
                format!("{file}: {from} bytes, then another from {to}"),
                file,
                spliced,
            ));
        }
        let twice = [&network[..], &network].concat();
        cases.push(with(format!("{file}: twice"), file, twice));
        for other in NETWORKS {
            let both = [&network[..], &self::network(other)].concat();
            cases.push(with(format!("{file}: and {other}"), file, both));
        }
    }
    cases
}

fn network(file: &str) -> Vec<u8> {
    let network = match file {
        UNET => micro::unet(),
        TEXT_ENCODER => micro::text_encoder(),
        _ => micro::decoder(),
    };
    network.encode_to_vec()
}

fn with(name: String, file: &'static str, bytes: Vec<u8>) -> Case {
    Case::new(name, Right::Either, move |folder: &Path| {
        micro::write(folder);
        micro::put(folder, file, &bytes);
    })
}

/// A weight that is no number, in each constant of each network, where what follows may hide it: the largest of NaN and 0 is 0.
pub(crate) fn not_finite() -> Vec<Case> {
    let mut cases = Vec::new();
    for file in NETWORKS {
        for activation in ["", "Relu", "Tanh", "Sigmoid", "Clip"] {
            let mut network = ModelProto::decode(&network(file)[..]).expect("a network");
            let graph = network.graph.as_mut().expect("it has one");
            if !activation.is_empty() {
                hide(graph, activation);
            }
            for number in 0..graph.initializer.len() {
                let mut damaged = network.clone();
                let graph = damaged.graph.as_mut().expect("it has one");
                let constant = &mut graph.initializer[number];
                if constant.data_type != DataType::Float as i32 {
                    continue;
                }
                constant.raw_data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
                let name = format!("{file}: NaN in {} before `{activation}`", constant.name);
                // The first row of a table of letters is that of one that no prompt here has.
                let table = constant.dims == [56, 4];
                let right = if table { Right::Either } else { Right::Refused };
                let case = with(name, file, damaged.encode_to_vec());
                cases.push(Case { right, ..case });
            }
        }
    }
    cases
}

/// Puts an activation before the output.
fn hide(graph: &mut GraphProto, activation: &str) {
    let name = graph.output[0].name.clone();
    let before = format!("{name}-before");
    for node in &mut graph.node {
        node.output
            .iter_mut()
            .filter(|output| **output == name)
            .for_each(|output| output.clone_from(&before));
    }
    let inputs = if activation == "Clip" {
        ", {#-1.0}, {#1.0}"
    } else {
        ""
    };
    let last = Snippet::of("hide", &format!("{name} = {activation}({before}{inputs})"));
    graph.node.extend(last.nodes);
    graph.initializer.extend(last.constants);
}

fn tiny(kind: &str) -> PathBuf {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("test-models/tiny");
    assert!(
        models.join("complete").exists(),
        "{} is missing: run `.venv/bin/python -m easel_export.goldens.pipelines`",
        models.display()
    );
    models.join(kind)
}

/// A bit of an exporter's own files.
pub(crate) fn exported() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in ["fp32", "int8", "fp16", "inline", "optimum"] {
        for file in NETWORKS {
            let size = fs::metadata(tiny(kind).join(file)).map_or(0, |file| file.len());
            for number in 0..16 {
                let mut random = fastrand(2_000_000 + number + size);
                let (at, bit) = (random() % size.max(1), random() % 8);
                let name = format!("{kind}/{file}: bit {bit} of byte {at}");
                cases.push(Case::new(name, Right::Either, move |folder| {
                    copy(&tiny(kind), folder);
                    one_step(folder);
                    let mut bytes = fs::read(folder.join(file)).expect("a network");
                    bytes[at as usize] ^= 1 << bit;
                    fs::write(folder.join(file), bytes).expect("written");
                }));
            }
        }
        cases.push(Case::new(
            format!("{kind} as it is"),
            Right::Paints,
            move |folder| {
                copy(&tiny(kind), folder);
                one_step(folder);
            },
        ));
    }
    cases
}

/// So that it paints fast.
fn one_step(folder: &Path) {
    let defaults = r#"{"defaults": {"width": 24, "height": 16, "steps": 1, "guidance": 1.0}}"#;
    fs::write(folder.join("easel.json"), defaults).expect("written");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("copied");
        }
    }
}
