//! What a model has no business to name: our own operators, and files that are not its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use prost::Message as _;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{
    AttributeProto, FunctionProto, GraphProto, NodeProto, OperatorSetIdProto, SparseTensorProto,
    StringStringEntryProto, TensorProto,
};

use super::crafted::crafted;
use super::language::Snippet;
use super::micro::{self, UNET, declared};
use super::watch::{Case, Right};

/// Our own operators, as the passes write them: each of these painted.
const OWN: &[&str] = &[
    "y = EaselEmbedding(ids) file=\"SECRET\" element=1 offset=0 rows=4 width=4 along_rows=0",
    "y = EaselEmbedding(ids) file=\"secret\" element=1 offset=0 rows=4 width=4 along_rows=0",
    "y = EaselEmbedding(ids) file=\"unet/pipe\" element=1 offset=0 rows=4 width=4 along_rows=0",
    "y = EaselEmbedding(ids) file=\"/dev/zero\" element=1 offset=0 rows=4 width=4 along_rows=0",
    "y = EaselEmbedding(ids) file=\"/dev/stdin\" element=1 offset=0 rows=4 width=4 along_rows=0",
    "y = EaselEmbedding(ids) file=\"SECRET\" element=1 offset=0 rows=4 width=2^40 along_rows=0",
    "y = EaselActivation(x) kind=\"silu\"",
    "y = EaselGeGlu(x) width=2",
    "y = EaselLayerNorm(tokens, {~4}, {~4}) epsilon=0.00001",
    "y = EaselGroupNorm(x, {~4}, {~4}) groups=2 epsilon=0.00001 silu=0",
    "y = EaselAttention(tokens, tokens, tokens) query=\"bsd\" key=\"bsd\" value=\"bsd\" output=\"bsd\" mask=0",
    "y = EaselUpsample(x) factor=[2]",
    "y = EaselUpsample(x) factor=[2^31]",
    "y = EaselConcat(x, x)",
    "y = EaselConcat()",
    "y = EaselChannelsLast(x)",
    "y = EaselChannelsFirst(x)",
    "y = EaselLinear(tokens) weight=0 columns=4 depth=4 bias=0",
    "y = EaselLinear(tokens) weight=99999 number=99999 columns=4 depth=4 bias=0",
    "y = EaselConv2d(x) weight=0 columns=4 depth=36 kernel=[3,3] strides=[1,1] dilations=[1,1] pads=[1,1,1,1]",
    "y = EaselFeedForward(tokens) weight=0 columns=4",
    "y = EaselNothing(x)",
    "y = Easel(x)",
];

pub(crate) fn own_operators() -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, text) in OWN.iter().enumerate() {
        for domain in ["", "ai.easel", "com.microsoft", "ai.onnx"] {
            for place in Place::ALL {
                let make = move |folder: &Path| {
                    micro::write(folder);
                    let secret =
                        std::env::temp_dir().join(format!("secret-{}", std::process::id()));
                    fs::write(&secret, [0x3e; 64]).expect("written");
                    fs::write(folder.join("secret"), [0x3e; 64]).expect("written");
                    pipe(&folder.join("unet/pipe"));
                    let text = text.replace("SECRET", &secret.display().to_string());
                    let mut snippet = Snippet::of("k", &text);
                    domain.clone_into(&mut snippet.nodes[0].domain);
                    let ids = Snippet::of("i", "ids = Identity({0,1})");
                    let mut network = place.network(snippet);
                    let graph = network.graph.as_mut().expect("it has one");
                    graph.node.splice(0..0, ids.nodes);
                    graph.initializer.extend(ids.constants);
                    network.opset_import.push(OperatorSetIdProto {
                        domain: domain.to_owned(),
                        version: 1,
                    });
                    micro::put(folder, UNET, network.encode_to_vec());
                };
                let op = text.split(['(', '=']).nth(1).unwrap_or_default().trim();
                let name = format!("{op} ({number}) of `{domain}` in {place:?}");
                cases.push(Case::new(name, Right::Refused, make).saying(&[UNET]));
            }
        }
    }
    // ONNX's operators under our name.
    for op in ["Relu", "Identity", "Constant", "Sigmoid"] {
        let mut snippet = Snippet::of("k", "y = Op(x)");
        op.clone_into(&mut snippet.nodes[0].op_type);
        "ai.easel".clone_into(&mut snippet.nodes[0].domain);
        let name = format!("{op} of `ai.easel`");
        cases.push(crafted(name, Right::Refused, snippet, "y"));
    }
    cases
}

/// Where in a network a node may stand.
#[derive(Debug, Clone, Copy)]
enum Place {
    Graph,
    Branch,
    NestedBranch,
    Function,
    /// Where nobody reads what it makes.
    Unread,
}

impl Place {
    const ALL: [Self; 5] = [
        Self::Graph,
        Self::Branch,
        Self::NestedBranch,
        Self::Function,
        Self::Unread,
    ];

    /// The U-Net with these nodes there; they make `y`.
    fn network(self, snippet: Snippet) -> tract_onnx::pb::ModelProto {
        match self {
            Self::Graph => micro::unet_with(snippet, "y"),
            Self::Branch => micro::unet_with(branch(snippet), "y"),
            Self::NestedBranch => micro::unet_with(branch(branch(snippet)), "y"),
            Self::Unread => micro::unet_with(snippet, ""),
            Self::Function => {
                let inputs = snippet.nodes[0].input.clone();
                let call = NodeProto {
                    name: "call".into(),
                    op_type: "Made".into(),
                    domain: "local".into(),
                    input: inputs.clone(),
                    output: vec!["y".into()],
                    ..NodeProto::default()
                };
                let mut network = micro::unet_with(
                    Snippet {
                        nodes: vec![call],
                        constants: snippet.constants,
                    },
                    "y",
                );
                network.functions.push(FunctionProto {
                    name: Some("Made".into()),
                    domain: Some("local".into()),
                    input: inputs,
                    output: vec!["y".into()],
                    node: snippet.nodes,
                    opset_import: network.opset_import.clone(),
                    ..FunctionProto::default()
                });
                network
            }
        }
    }
}

/// An `If` of both of whose branches are these nodes; makes `y` as they do.
pub(crate) fn branch(snippet: Snippet) -> Snippet {
    let graph = |name: &str| GraphProto {
        name: name.to_owned(),
        node: snippet.nodes.clone(),
        initializer: snippet.constants.clone(),
        output: vec![declared("y", DataType::Float, &[])],
        ..GraphProto::default()
    };
    let mut node = Snippet::of("cond", "y = If({bool:#1})");
    for name in ["then_branch", "else_branch"] {
        node.nodes[0].attribute.push(AttributeProto {
            name: name.to_owned(),
            r#type: AttributeType::Graph as i32,
            g: Some(graph(name)),
            ..AttributeProto::default()
        });
    }
    node
}

/// A pipe that nobody writes to: who opens it waits for ever.
pub(crate) fn pipe(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let _ = fs::remove_file(path);
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a pipe");
}

/// A tensor whose bytes are said to be in a file.
fn external(dims: &[i64], entries: &[(&str, &str)]) -> TensorProto {
    let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    TensorProto {
        name: "outside".to_owned(),
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
        data_location: Some(DataLocation::External as i32),
        external_data: entries.iter().map(entry).collect(),
        ..TensorProto::default()
    }
}

/// Where an external tensor stands.
#[derive(Debug, Clone, Copy)]
enum Holder {
    Initializer,
    Weight,
    Table,
    Constant,
    ConstantOfShape,
    BranchInitializer,
    BranchConstant,
    SparseInitializer,
    SparseConstant,
    FunctionConstant,
    Scale,
    Indices,
}

impl Holder {
    const ALL: [Self; 12] = [
        Self::Initializer,
        Self::Weight,
        Self::Table,
        Self::Constant,
        Self::ConstantOfShape,
        Self::BranchInitializer,
        Self::BranchConstant,
        Self::SparseInitializer,
        Self::SparseConstant,
        Self::FunctionConstant,
        Self::Scale,
        Self::Indices,
    ];

    /// A network that gets the tensor, of sixteen numbers, into the picture.
    fn network(self, mut tensor: TensorProto) -> tract_onnx::pb::ModelProto {
        let with = |text: &str, tensor: TensorProto| {
            let mut snippet = Snippet::of("k", text);
            snippet.constants.push(tensor);
            snippet
        };
        let constant = |tensor: TensorProto, name: &str| {
            let mut snippet = Snippet::of("k", "y = Constant()");
            snippet.nodes[0].attribute.push(AttributeProto {
                name: name.to_owned(),
                r#type: AttributeType::Tensor as i32,
                t: Some(tensor),
                ..AttributeProto::default()
            });
            snippet
        };
        let sparse = |tensor: TensorProto| SparseTensorProto {
            values: Some(tensor),
            indices: Some(super::language::tensor(
                "at",
                "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            )),
            dims: vec![32],
        };
        match self {
            Self::Initializer => micro::unet_with(with("y = Add(outside, x)", tensor), "y"),
            Self::Weight => micro::unet_with(with("y = MatMul(tokens, outside)", tensor), "y"),
            Self::Table => micro::unet_with(with("y = Gather(outside, {0,1}) axis=0", tensor), "y"),
            Self::Constant => micro::unet_with(constant(tensor, "value"), "y"),
            Self::ConstantOfShape => {
                tensor.dims = vec![1];
                let mut snippet = constant(tensor, "value");
                "ConstantOfShape".clone_into(&mut snippet.nodes[0].op_type);
                snippet.nodes[0].input = vec!["shape".into()];
                micro::unet_with(snippet, "y")
            }
            Self::BranchInitializer => {
                micro::unet_with(branch(with("y = Identity(outside)", tensor)), "y")
            }
            Self::BranchConstant => micro::unet_with(branch(constant(tensor, "value")), "y"),
            Self::SparseInitializer => {
                let mut network = micro::unet_with(Snippet::of("k", "y = Identity(outside)"), "y");
                let graph = network.graph.as_mut().expect("it has one");
                graph.sparse_initializer.push(sparse(tensor));
                network
            }
            Self::SparseConstant => {
                let mut snippet = Snippet::of("k", "y = Constant()");
                snippet.nodes[0].attribute.push(AttributeProto {
                    name: "sparse_value".into(),
                    r#type: AttributeType::SparseTensor as i32,
                    sparse_tensor: Some(sparse(tensor)),
                    ..AttributeProto::default()
                });
                micro::unet_with(snippet, "y")
            }
            Self::FunctionConstant => Place::Function.network(constant(tensor, "value")),
            Self::Scale => {
                tensor.dims = vec![4];
                let text = "w = DequantizeLinear({i8:~4x4}, outside) axis=1\ny = MatMul(tokens, w)";
                micro::unet_with(with(text, tensor), "y")
            }
            Self::Indices => {
                tensor.data_type = DataType::Int64 as i32;
                tensor.dims = vec![8];
                micro::unet_with(with("y = Gather(x, outside) axis=1", tensor), "y")
            }
        }
    }
}

/// Keys and values of an external tensor.
type Entries = Vec<(&'static str, &'static str)>;

/// Whether it is a file of the model, and what an external tensor says of it.
fn entries() -> Vec<(&'static str, Right, Entries)> {
    let at = |location| vec![("location", location)];
    let sized = |offset, length| vec![("location", "data"), ("offset", offset), ("length", length)];
    vec![
        ("an absolute path", Right::Refused, at("/etc/passwd")),
        ("a path upwards", Right::Refused, at("../secret")),
        ("a path down and up", Right::Refused, at("a/../../secret")),
        ("a path through a link", Right::Refused, at("away/passwd")),
        ("a pipe", Right::Refused, at("pipe")),
        ("a link to a pipe", Right::Refused, at("link-to-pipe")),
        ("a link to a device", Right::Refused, at("link-to-zero")),
        ("a device", Right::Refused, at("/dev/zero")),
        ("the process' input", Right::Refused, at("/dev/stdin")),
        ("a folder", Right::Refused, at("folder")),
        ("itself a folder", Right::Refused, at(".")),
        ("no name", Right::Refused, at("")),
        ("a line break", Right::Refused, at("a\nb\u{202e}c")),
        ("a zero byte", Right::Refused, at("a\0b")),
        ("a missing file", Right::Refused, at("missing")),
        ("no location", Right::Refused, vec![("offset", "0")]),
        (
            "an offset behind the end",
            Right::Refused,
            sized("1000", "64"),
        ),
        (
            "a length behind the end",
            Right::Refused,
            sized("0", "100000"),
        ),
        ("a negative offset", Right::Refused, sized("-1", "64")),
        ("a negative length", Right::Refused, sized("0", "-64")),
        (
            "an overflow",
            Right::Refused,
            sized("18446744073709551615", "64"),
        ),
        ("no numbers", Right::Refused, sized("a", "b")),
        ("too few bytes", Right::Refused, sized("0", "4")),
        ("a sparse file of a terabyte", Right::Either, at("terabyte")),
    ]
}

pub(crate) fn external_tensors() -> Vec<Case> {
    let mut cases = Vec::new();
    for holder in Holder::ALL {
        for (what, right, entries) in entries() {
            let make = move |folder: &Path| {
                micro::write(folder);
                let place = folder.join("unet");
                fs::write(folder.join("secret"), [0x3e; 128]).expect("written");
                fs::write(place.join("data"), [0x3e; 128]).expect("written");
                pipe(&place.join("pipe"));
                symlink("pipe", place.join("link-to-pipe")).expect("a link");
                symlink("/dev/zero", place.join("link-to-zero")).expect("a link");
                symlink("/etc", place.join("away")).expect("a link");
                fs::create_dir(place.join("folder")).expect("a folder");
                let file = fs::File::create(place.join("terabyte")).expect("a file");
                file.set_len(1 << 40).expect("a sparse file");
                let network = holder.network(external(&[4, 4], &entries));
                micro::put(folder, UNET, network.encode_to_vec());
            };
            let name = format!("{holder:?}: {what}");
            cases.push(Case::new(name, right, make).saying(&[UNET]));
        }
    }
    cases.push(
        Case::new(
            "200 tensors on one sparse file of 4 GiB",
            Right::Refused,
            |folder| {
                micro::write(folder);
                let file = fs::File::create(folder.join("unet/data")).expect("a file");
                file.set_len(4 << 30).expect("a sparse file");
                let mut snippet = Snippet::default();
                let mut before = "{#0.0}".to_owned();
                for n in 0..200 {
                    let line =
                        format!("m{n} = ReduceMean(t{n}) keepdims=0\ny{n} = Add({before}, m{n})");
                    let more = Snippet::of(&format!("k{n}-"), &line);
                    snippet.nodes.extend(more.nodes);
                    snippet.constants.extend(more.constants);
                    snippet.constants.push(TensorProto {
                        name: format!("t{n}"),
                        ..external(&[1 << 30], &[("location", "data")])
                    });
                    before = format!("y{n}");
                }
                let network = micro::unet_with(snippet, "y199");
                micro::put(folder, UNET, network.encode_to_vec());
            },
        )
        .saying(&[UNET]),
    );
    cases
}
