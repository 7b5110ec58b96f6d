//! Constants of every type in every field that may hold them.

use tract_onnx::pb::TensorProto;

use super::crafted::crafted;
use super::language::Snippet;
use super::watch::{Case, Right};

pub(crate) fn constants() -> Vec<Case> {
    let mut cases = Vec::new();
    for data_type in -1..=27 {
        type Fill = fn(&mut TensorProto);
        let fields: &[(&str, Fill)] = &[
            ("nothing", |_| {}),
            ("raw bytes", |t| t.raw_data = vec![1; 32]),
            ("3 raw bytes", |t| t.raw_data = vec![1; 3]),
            ("floats", |t| t.float_data = vec![1.0; 4]),
            ("int32", |t| t.int32_data = vec![1; 4]),
            ("int64", |t| t.int64_data = vec![1; 4]),
            ("doubles", |t| t.double_data = vec![1.0; 4]),
            ("uint64", |t| t.uint64_data = vec![1; 4]),
            ("text", |t| t.string_data = vec![vec![0xff, 0xfe]; 4]),
            ("raw bytes and floats", |t| {
                t.raw_data = vec![1; 16];
                t.float_data = vec![1.0; 4];
            }),
            ("one int32", |t| t.int32_data = vec![i32::MIN]),
        ];
        for (what, fill) in fields {
            for dims in [
                &[4][..],
                &[2, 2],
                &[],
                &[0],
                &[-4],
                &[1 << 62, 4],
                &[1 << 40],
            ] {
                for nodes in [
                    "y = Identity(t)",
                    "y = Add(t, x)",
                    "y = Reshape(x, t)",
                    "y = MatMul(t, {~4x4})",
                ] {
                    // The four ways of reading one are much alike: in turn.
                    if (dims.len() + nodes.len() + what.len()) % 4 != (data_type + 1) as usize % 4 {
                        continue;
                    }
                    let mut snippet = Snippet::of("k", nodes);
                    let mut made = TensorProto {
                        name: "t".into(),
                        dims: dims.to_vec(),
                        data_type,
                        ..TensorProto::default()
                    };
                    fill(&mut made);
                    snippet.constants.push(made);
                    let name = format!("{nodes}: type {data_type}, {what} as {dims:?}");
                    let right = if dims.iter().any(|n| !(0..1 << 30).contains(n)) {
                        Right::Refused
                    } else {
                        Right::Either
                    };
                    cases.push(crafted(name, right, snippet, "y"));
                }
            }
        }
    }
    cases
}
