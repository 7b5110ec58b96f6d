//! Operators that make one element of many.

use tract_onnx::pb::tensor_proto::DataType;

use super::super::node::{Node, axes, known};
use super::super::value::{Numbers, Value};

type Outputs = Result<Vec<Value>, String>;

pub(super) fn reduce(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let keeps = node.int_or("keepdims", 1)? != 0;
    let along = match node.list("axes", 1)? {
        Some(list) if !list.is_empty() => axes(&list, x.rank())?,
        _ if node.flag("noop_with_empty_axes")? => return Ok(vec![x.clone()]),
        _ => (0..x.rank()).collect(),
    };
    if along.iter().any(|axis| x.shape[*axis] == 0) {
        return Err(format!("makes one of nothing: {:?}", x.shape));
    }
    let mut output = Value::new(x.element, reduced(x, &along, keeps));
    if along.len() == x.rank()
        && let Some(numbers) = x.as_whole()
    {
        let number = match node.proto.op_type.as_str() {
            "ReduceMax" => numbers.iter().max().copied(),
            "ReduceMin" => numbers.iter().min().copied(),
            "ReduceSum" => numbers.iter().try_fold(0_i64, |sum, n| sum.checked_add(*n)),
            "ReduceProd" => numbers.iter().try_fold(1_i64, |all, n| all.checked_mul(*n)),
            _ => None,
        };
        output.numbers = number.map(|number| Numbers::Whole(vec![number]));
    }
    Ok(vec![output])
}

/// The shape without these axes, or with them 1 long.
fn reduced(x: &Value, along: &[usize], keeps: bool) -> Vec<usize> {
    let sides = x.shape.iter().enumerate();
    sides
        .filter_map(|(axis, side)| match along.contains(&axis) {
            true => keeps.then_some(1),
            false => Some(*side),
        })
        .collect()
}

pub(super) fn arg(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let along = node.axis("axis", 0, x.rank())?;
    if x.shape[along] == 0 {
        return Err(format!("looks for the largest of nothing: {:?}", x.shape));
    }
    let shape = reduced(x, &[along], node.int_or("keepdims", 1)? != 0);
    Ok(vec![Value::new(DataType::Int64, shape)])
}

pub(super) fn top_k(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let along = node.axis("axis", -1, x.rank())?;
    let count = match node.optional(1) {
        None => node.int("k")?.ok_or("has no k")?,
        Some(count) => match known(count, "k")? {
            [count] => *count,
            _ => return Err("has no single k".into()),
        },
    };
    let count = usize::try_from(count)
        .ok()
        .filter(|count| *count <= x.shape[along]);
    let count = count.ok_or_else(|| format!("takes more than the {} there are", x.shape[along]))?;
    let mut values = Value::new(x.element, x.shape.clone());
    values.shape[along] = count;
    let places = Value::new(DataType::Int64, values.shape.clone());
    Ok(vec![values, places])
}
