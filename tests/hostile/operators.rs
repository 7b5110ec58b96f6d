//! Every operator with too much, too little and the wrong things.
//!
//! [`TEMPLATES`] are nodes as they should be; each is damaged in every way that [`damages`] knows.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

use super::crafted::{crafted, network_case};
use super::language::{Snippet, tensor};
use super::micro::{self, UNET};
use super::templates::{INTEGERS, OTHERS, REGISTERED, TEMPLATES, names};
use super::watch::{Case, Right};

/// Operators that take any number of inputs.
const VARIADIC: &str = "Concat Sum Max Min Mean Einsum Scan If Loop";

/// A template, its number and whether it must paint.
fn templates() -> impl Iterator<Item = (&'static str, bool)> {
    let end = TEMPLATES
        .iter()
        .position(|text| text.is_empty())
        .expect("an empty line");
    let numbered = TEMPLATES.iter().enumerate();
    let numbered = numbered.filter(|(_, text)| !text.is_empty());
    numbered.map(move |(number, text)| (*text, number < end))
}

/// The last node, which is the one that is damaged.
fn last(snippet: &mut Snippet) -> &mut NodeProto {
    snippet.nodes.last_mut().expect("a node")
}

/// What every case of this operator's node is called after its kind of damage.
fn label(snippet: &Snippet, damage: &str) -> String {
    let op = snippet.nodes.last().map_or("", |node| &node.op_type);
    format!("{op}: {damage}")
}

/// Operators that have none of their inputs, none of their outputs, twenty of each, or blanks: none of it is a network.
pub(crate) fn shapeless() -> Vec<Case> {
    let mut cases = Vec::new();
    for op in names(REGISTERED).chain(names(OTHERS)) {
        let node = |inputs: &[&str], outputs: &[&str]| {
            let mut snippet = Snippet::of("k", "y = Op(x)");
            let node = last(&mut snippet);
            op.clone_into(&mut node.op_type);
            node.input = inputs.iter().map(|name| (*name).to_owned()).collect();
            node.output = outputs.iter().map(|name| (*name).to_owned()).collect();
            snippet
        };
        let feeds = matches!(
            op,
            "Constant" | "RandomNormal" | "RandomUniform" | "ConstantLike"
        );
        let many: Vec<String> = (0..20).map(|n| format!("y{n}")).collect();
        let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
        many[0] = "y";
        let variadic = names(VARIADIC).any(|name| name == op);
        for (damage, snippet, right) in [
            ("no inputs", node(&[], &["y"]), Right::Refused),
            ("no inputs and outputs", node(&[], &[]), Right::Refused),
            ("no outputs", node(&["x"], &[]), Right::Refused),
            ("blank inputs", node(&["", "", ""], &["y"]), Right::Refused),
            (
                "first input blank",
                node(&["", "x"], &["y"]),
                Right::Refused,
            ),
            (
                "twenty inputs",
                node(&["x"; 20], &["y"]),
                if variadic {
                    Right::Either
                } else {
                    Right::Refused
                },
            ),
            ("twenty outputs", node(&["x"], &many), Right::Refused),
            ("a blank output", node(&["x"], &["", "y"]), Right::Either),
            (
                "the same output twice",
                node(&["x"], &["y", "y"]),
                Right::Refused,
            ),
            ("bare", node(&["x"], &["y"]), Right::Either),
            ("bare, two inputs", node(&["x", "x"], &["y"]), Right::Either),
            (
                "bare, three inputs",
                node(&["x", "x", "x"], &["y"]),
                Right::Either,
            ),
            ("bare, of numbers", node(&["shape"], &["y"]), Right::Either),
            (
                "bare, of two numbers",
                node(&["shape", "shape"], &["y"]),
                Right::Either,
            ),
            ("reads itself", node(&["y"], &["y"]), Right::Refused),
        ] {
            // `Constant` without a value, or with inputs.
            let right = if feeds && damage.contains("bare") {
                Right::Either
            } else {
                right
            };
            cases.push(crafted(label(&snippet, damage), right, snippet, "y"));
        }
    }
    cases
}

/// Each template as it is, and in old and future versions of ONNX.
pub(crate) fn whole() -> Vec<Case> {
    let mut cases = Vec::new();
    for (text, paints) in templates() {
        let snippet = Snippet::of("k", text);
        let right = if paints { Right::Paints } else { Right::Either };
        cases.push(crafted(
            label(&snippet, "as it is"),
            right,
            snippet.clone(),
            "y",
        ));
        for version in [
            -1,
            0,
            1,
            6,
            7,
            9,
            10,
            11,
            12,
            13,
            18,
            19,
            21,
            23,
            26,
            i64::MAX,
        ] {
            let mut model = micro::unet_with(snippet.clone(), "y");
            model.opset_import[0].version = version;
            let name = label(&snippet, &format!("of opset {version}"));
            cases.push(network_case(name, Right::Either, UNET, model));
        }
    }
    cases
}

/// Each template with one thing about it wrong.
pub(crate) fn damaged() -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, (text, _)) in templates().enumerate() {
        let snippet = Snippet::of("k", text);
        for (damage, damaged) in damages(&snippet) {
            let name = format!("{} ({number})", label(&snippet, &damage));
            cases.push(crafted(name, Right::Either, damaged, "y"));
        }
    }
    cases
}

fn damages(snippet: &Snippet) -> Vec<(String, Snippet)> {
    let mut all = Vec::new();
    let node = snippet.nodes.last().expect("a node");
    let mut add = |damage: String, change: &dyn Fn(&mut NodeProto, &mut Vec<TensorProto>)| {
        let mut damaged = snippet.clone();
        let mut constants = std::mem::take(&mut damaged.constants);
        change(last(&mut damaged), &mut constants);
        damaged.constants = constants;
        all.push((damage, damaged));
    };
    for input in 0..node.input.len() {
        add(format!("input {input} left out"), &|node, _| {
            node.input.remove(input);
        });
        add(format!("input {input} blank"), &|node, _| {
            node.input[input].clear();
        });
        add(format!("nothing from input {input} on"), &|node, _| {
            node.input.truncate(input);
        });
        for wrong in WRONG {
            add(format!("input {input} is {wrong}"), &|node, constants| {
                node.input[input] = match wrong.strip_prefix('{') {
                    Some(text) => {
                        constants.push(tensor("wrong", text.trim_end_matches('}')));
                        "wrong".to_owned()
                    }
                    None => (*wrong).to_owned(),
                };
            });
        }
        let constant = snippet
            .constants
            .iter()
            .find(|c| c.name == node.input[input]);
        if let Some(constant) = constant {
            constant_damages(input, constant, &mut add);
        }
    }
    for (at, attribute) in node.attribute.iter().enumerate() {
        let name = &attribute.name;
        add(format!("without {name}"), &|node, _| {
            node.attribute.remove(at);
        });
        add(format!("{name} twice"), &|node, _| {
            let again = node.attribute[at].clone();
            node.attribute.push(again);
        });
        for (what, wrong) in wrong_attributes(attribute) {
            add(format!("{name} {what}"), &|node, _| {
                node.attribute[at] = AttributeProto {
                    name: name.clone(),
                    ..wrong.clone()
                };
            });
        }
    }
    all
}

/// What any input may be instead.
const WRONG: &[&str] = &[
    "x",
    "shape",
    "{#0}",
    "{#0.0}",
    "{bool:#1}",
    "{str:a}",
    "{i32:1,2}",
    "{f64:1.0}",
    "{u8:1,2,3}",
    "{i64:@0}",
    "{f32:@0}",
    "{f32:@1x0x4x4}",
    "{~1x1x1x1x1x1x1x1x1}",
    "{nan,inf}",
    "nobody",
];

/// What is done to a node and the constants that it reads.
type Damage<'a> = &'a dyn Fn(&mut NodeProto, &mut Vec<TensorProto>);

fn constant_damages(input: usize, constant: &TensorProto, add: &mut dyn FnMut(String, Damage<'_>)) {
    let kind = match constant.data_type {
        1 => "f32",
        2 => "u8",
        3 => "i8",
        6 => "i32",
        9 => "bool",
        _ => "i64",
    };
    let count = constant.dims.iter().product::<i64>().max(1) as usize;
    let mut replace = |what: String, text: String| {
        add(format!("input {input} = {what}"), &|_, constants| {
            let name = constant.name.clone();
            constants.retain(|c| c.name != name);
            constants.push(tensor(&name, &text));
        });
    };
    let dims: Vec<String> = constant.dims.iter().map(i64::to_string).collect();
    let dims = format!("@{}", dims.join("x"));
    if kind == "i64" && count <= 8 {
        for value in INTEGERS {
            // All of them, and the last alone.
            let all = vec![value.to_string(); count];
            replace(
                format!("all {value}"),
                format!("i64:{}{dims}", all.join(",")),
            );
            let mut one = vec!["1".to_owned(); count];
            one[count - 1] = value.to_string();
            replace(
                format!("last {value}"),
                format!("i64:{}{dims}", one.join(",")),
            );
        }
        replace("a scalar".into(), "#1".into());
        replace("a matrix".into(), "i64:1,1,1,1@2x2".into());
        replace("a hundred".into(), vec!["1"; 100].join(","));
    } else if count <= 64 {
        for value in [
            "nan",
            "inf",
            "-inf",
            "0.0",
            "-1.0",
            "1000000000000000000000000000000.0",
        ] {
            let all = vec![value; count];
            replace(
                format!("all {value}"),
                format!("{kind}:{}{dims}", all.join(",")),
            );
        }
    }
    for shape in ["@1", "@0x4", "@3", "@5x4x3x3", "@4x5", "@1x1x1x1x1"] {
        let count: i64 = shape[1..]
            .split('x')
            .map(|n| n.parse::<i64>().expect("a number"))
            .product();
        let values = vec!["1"; count as usize].join(",");
        replace(
            format!("of shape {shape}"),
            format!("{kind}:{values}{shape}"),
        );
    }
    type Change = fn(&mut TensorProto);
    let malformed: &[(&str, Change)] = &[
        ("with fewer bytes than its shape", |t| {
            t.raw_data.pop();
        }),
        ("with more bytes than its shape", |t| {
            t.raw_data.extend([0; 9])
        }),
        ("without bytes", |t| t.raw_data.clear()),
        ("of negative shape", |t| t.dims = vec![-1]),
        ("of 2^62 values", |t| t.dims = vec![1 << 62]),
        ("of 2^64 values", |t| t.dims = vec![1 << 32, 1 << 32]),
        ("of 100 dimensions", |t| t.dims = vec![1; 100]),
        ("of no type", |t| t.data_type = 0),
        ("of an unknown type", |t| t.data_type = 9999),
        ("of complex type", |t| t.data_type = 14),
        ("of bfloat16", |t| t.data_type = 16),
        ("of int4", |t| t.data_type = 22),
        ("of strings", |t| t.data_type = 8),
    ];
    for (what, change) in malformed {
        add(format!("input {input} {what}"), &|_, constants| {
            constants
                .iter_mut()
                .filter(|c| c.name == constant.name)
                .for_each(change);
        });
    }
}

/// Attributes of the wrong type, and of its type with values that it cannot have.
pub(crate) fn wrong_attributes(attribute: &AttributeProto) -> Vec<(String, AttributeProto)> {
    let mut wrong = Vec::new();
    let mut add = |what: String, kind: AttributeType, change: &dyn Fn(&mut AttributeProto)| {
        let mut made = AttributeProto {
            r#type: kind as i32,
            ..AttributeProto::default()
        };
        change(&mut made);
        wrong.push((what, made));
    };
    let kind = AttributeType::try_from(attribute.r#type).expect("a type");
    for other in [
        AttributeType::Undefined,
        AttributeType::Float,
        AttributeType::Int,
        AttributeType::String,
        AttributeType::Tensor,
        AttributeType::Graph,
        AttributeType::Floats,
        AttributeType::Ints,
        AttributeType::Strings,
        AttributeType::Graphs,
    ] {
        // Of its own kind: empty.
        add(format!("as an empty {other:?}"), other, &|_| {});
    }
    match kind {
        AttributeType::Int => {
            for value in INTEGERS {
                add(format!("= {value}"), kind, &|a| a.i = value);
            }
        }
        AttributeType::Ints => {
            let count = attribute.ints.len();
            for value in INTEGERS {
                add(format!("all {value}"), kind, &|a| {
                    a.ints = vec![value; count]
                });
                add(format!("last {value}"), kind, &|a| {
                    a.ints.clone_from(&attribute.ints);
                    a.ints[count - 1] = value;
                });
            }
            add("one too few".into(), kind, &|a| {
                a.ints = attribute.ints[1..].to_vec()
            });
            add("one too many".into(), kind, &|a| {
                a.ints = [&attribute.ints[..], &[1]].concat();
            });
            add("a thousand".into(), kind, &|a| a.ints = vec![1; 1000]);
        }
        AttributeType::Float => {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -1.0, 1e30] {
                add(format!("= {value}"), kind, &|a| a.f = value);
            }
        }
        AttributeType::Floats => {
            add("NaN".into(), kind, &|a| {
                a.floats = vec![f32::NAN; attribute.floats.len()]
            });
            add("a thousand".into(), kind, &|a| a.floats = vec![1.0; 1000]);
        }
        AttributeType::String => {
            for text in [
                &b"nonsense"[..],
                b"\xff\xfe",
                b"a\nb",
                b"->",
                b"a,b->c,d->e",
                b"...",
                b"aa",
            ] {
                add(format!("= {}", text.escape_ascii()), kind, &|a| {
                    a.s = text.to_vec()
                });
            }
            add("of a megabyte".into(), kind, &|a| a.s = vec![b'a'; 1 << 20]);
        }
        AttributeType::Tensor => {
            for text in [
                "#1",
                "1,2",
                "str:a",
                "f32:@0",
                "1.0@4611686018427387904",
                "nan",
            ] {
                add(format!("= {text}"), kind, &|a| a.t = Some(tensor("", text)));
            }
        }
        _ => {}
    }
    wrong
}
