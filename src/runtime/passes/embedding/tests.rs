use std::path::Path;

use tract_onnx::pb::{StringStringEntryProto, tensor_proto::DataLocation};

use super::super::graph::float_tensor;
use super::super::testing::{evaluate, kinds, model, noise, try_evaluate};
use super::*;
use tract_core::prelude::{Tensor, tensor2};

const ROWS: usize = 700;
const WIDTH: usize = 128;

/// A table in a file of the folder, behind 5 other bytes.
fn external(folder: &Path, kind: DataType, bytes: &[u8]) -> TensorProto {
    let mut file = b"other".to_vec();
    file.extend(bytes);
    std::fs::write(folder.join("data"), file).expect("a file");
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: key.into(),
        value,
    };
    TensorProto {
        name: "table".into(),
        dims: vec![ROWS as i64, WIDTH as i64],
        data_type: kind as i32,
        data_location: Some(DataLocation::External as i32),
        external_data: vec![
            entry("location", "data".into()),
            entry("offset", "5".into()),
            entry("length", bytes.len().to_string()),
        ],
        ..TensorProto::default()
    }
}

/// What the network gives for these ids after all passes, and how many of its nodes are look-ups of ours.
fn looked_up(folder: &Path, mut network: ModelProto, ids: &Tensor) -> (Vec<f32>, usize) {
    let mut context = PassContext::new(folder);
    run(&mut network, &mut context).expect("it runs");
    let ours = {
        let graph = network.graph.as_ref().expect("a graph");
        kinds(graph)
            .iter()
            .filter(|kind| **kind == "EaselEmbedding")
            .count()
    };
    super::super::external_data::run(&mut network, &mut context).expect("it runs");
    super::super::widen_f16::run(&mut network, &mut context).expect("it runs");
    super::super::dequantize::run(&mut network, &mut context).expect("it runs");
    let output = evaluate(&network, std::slice::from_ref(ids));
    let plain = output.try_as_plain_ram().expect("plain");
    (plain.as_slice::<f32>().expect("f32").to_vec(), ours)
}

/// Bytes without a pattern.
fn bytes(count: usize) -> Vec<u8> {
    let numbers = noise(count, 3);
    numbers.iter().map(|v| (v * 60.0) as i8 as u8).collect()
}

#[test]
fn rows_are_those_of_the_table_and_only_they_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let ids = tensor2(&[[3_i64, 0, -1], [699, 3, -700]]);
    let rows = [3, 0, 699, 699, 3, 0];
    let numbers = noise(ROWS * WIDTH, 1);
    let expect = |value: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
        let places = rows
            .iter()
            .flat_map(|row| (0..WIDTH).map(move |column| (*row, column)));
        places.map(|(row, column)| value(row, column)).collect()
    };

    let floats: Vec<u8> = numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
    let table = external(folder.path(), DataType::Float, &floats);
    let network = model("y = Gather(table, ids)", vec![table], &["y"]);
    let (found, ours) = looked_up(folder.path(), network, &ids);
    assert_eq!(
        (found, ours),
        (expect(&|row, column| numbers[row * WIDTH + column]), 1)
    );

    let halves: Vec<half::f16> = numbers.iter().map(|v| half::f16::from_f32(*v)).collect();
    let raw: Vec<u8> = halves.iter().flat_map(|v| v.to_le_bytes()).collect();
    let table = external(folder.path(), DataType::Float16, &raw);
    let network = model(
        "t = Cast(table) to=1\ny = Gather(t, ids)",
        vec![table],
        &["y"],
    );
    let (found, ours) = looked_up(folder.path(), network, &ids);
    assert_eq!(
        (found, ours),
        (
            expect(&|row, column| halves[row * WIDTH + column].to_f32()),
            1
        )
    );

    let raw = bytes(ROWS * WIDTH);
    for (axis, count) in [(0, 1), (0, ROWS), (1, WIDTH), (-1, WIDTH)] {
        let table = external(folder.path(), DataType::Int8, &raw);
        let scales = noise(count, 2);
        let dims = if count == 1 {
            vec![]
        } else {
            vec![count as i64]
        };
        let text = format!("t = DequantizeLinear(table, s) axis={axis}\ny = Gather(t, ids)");
        let network = model(
            &text,
            vec![table, float_tensor("s", &dims, &scales)],
            &["y"],
        );
        let (found, ours) = looked_up(folder.path(), network, &ids);
        let value = |row: usize, column: usize| {
            let scale = match (count, axis) {
                (1, _) => scales[0],
                (_, 0) => scales[row],
                _ => scales[column],
            };
            f32::from(raw[row * WIDTH + column].cast_signed()) * scale
        };
        assert_eq!(
            (found, ours),
            (expect(&value), 1),
            "axis {axis}, {count} scales"
        );
    }
}

#[test]
fn ids_beyond_the_table_and_tables_cut_short_are_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let raw = bytes(ROWS * WIDTH);
    let network = || {
        let table = external(folder.path(), DataType::Int8, &raw);
        let text = "t = DequantizeLinear(table, s) axis=0\ny = Gather(t, ids)";
        let mut network = model(text, vec![table, float_tensor("s", &[], &[0.5])], &["y"]);
        run(&mut network, &mut PassContext::new(folder.path())).expect("it runs");
        network
    };
    for wrong in [700, -701, i64::MAX, i64::MIN] {
        let failed = try_evaluate(&network(), &[tensor2(&[[wrong]])]).expect_err("no such row");
        assert!(
            format!("{failed:?}").contains("a table of 700"),
            "{failed:?}"
        );
    }
    let network = network();
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(folder.path().join("data"));
    file.expect("a file").set_len(300).expect("it can be cut");
    try_evaluate(&network, &[tensor2(&[[1_i64]])]).expect("it is still there");
    let failed = try_evaluate(&network, &[tensor2(&[[9_i64]])]).expect_err("it is not there");
    assert!(
        format!("{failed:?}").contains("has become shorter"),
        "{failed:?}"
    );
}

#[test]
fn small_tables_and_other_axes_are_left() {
    let folder = tempfile::tempdir().expect("a folder");
    for text in ["y = Gather(table, ids) axis=1", "y = Gather(small, ids)"] {
        let floats: Vec<u8> = vec![0; ROWS * WIDTH * 4];
        let table = external(folder.path(), DataType::Float, &floats);
        let small = float_tensor("small", &[2, 2], &noise(4, 1));
        let mut network = model(text, vec![table, small], &["y"]);
        run(&mut network, &mut PassContext::new(folder.path())).expect("it runs");
        assert_eq!(kinds(network.graph.as_ref().expect("a graph")), ["Gather"]);
    }
}

#[test]
fn places_are_cut_out_of_a_table_that_stays_in_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let numbers = noise(ROWS * WIDTH, 1);
    let floats: Vec<u8> = numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
    let network = |text: &str| {
        let table = TensorProto {
            // 20 rows of 35 places.
            dims: vec![1, 20, 35, WIDTH as i64],
            ..external(folder.path(), DataType::Float, &floats)
        };
        let list = super::super::testing::integers;
        let constants = vec![
            table,
            list("three", &[3]),
            list("five", &[5]),
            list("last", &[-2]),
            list("end", &[i64::MAX]),
            list("rows", &[1]),
            list("columns", &[2]),
            list("features", &[3]),
            list("two", &[2]),
        ];
        model(&format!("{text}\ny = Add(cut, x)"), constants, &["y"])
    };
    let zero = Tensor::zero::<f32>(&[1]).expect("room");
    // Rows 3 and 4, the last two places of each.
    let text = "part = Slice(table, three, five, rows)\ncut = Slice(part, last, end, columns)";
    let (found, ours) = looked_up(folder.path(), network(text), &zero);
    let places = [3, 4].map(|row| [33, 34].map(|column| (row * 35 + column) * WIDTH));
    let expected = places
        .as_flattened()
        .iter()
        .flat_map(|at| &numbers[*at..][..WIDTH]);
    assert_eq!((found, ours), (expected.copied().collect(), 1));
    // By steps; and a part of each place, which is none of ours.
    let text = "cut = Slice(table, three, end, rows, five)";
    assert_eq!(looked_up(folder.path(), network(text), &zero).1, 1);
    let text = "part = Slice(table, three, five, rows)\ncut = Slice(part, three, five, features)";
    let (found, ours) = looked_up(folder.path(), network(text), &zero);
    assert_eq!((found.len(), ours), (2 * 35 * 2, 1));
    assert_eq!(found[..2], numbers[3 * 35 * WIDTH + 3..][..2]);
    let text = "cut = Slice(table, three, five, features)";
    assert_eq!(looked_up(folder.path(), network(text), &zero).1, 0);
}
