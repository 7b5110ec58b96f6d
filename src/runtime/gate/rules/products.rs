//! Products of matrices.

use std::collections::HashMap;

use tract_onnx::pb::tensor_proto::DataType;

use super::super::attributes;
use super::super::node::{Node, side};
use super::super::value::{Value, broadcast};

type Outputs = Result<Vec<Value>, String>;

/// Products of a node that is none of a network's large ones, which have kernels of their own.
pub(super) const MOST_WORK: f64 = 1e10;

/// The shape of the product of two stacks of matrices, as numpy has it.
fn product(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let wrong = || format!("multiplies {a:?} and {b:?}");
    let (a_rank, b_rank) = (a.len(), b.len());
    if a_rank == 0 || b_rank == 0 {
        return Err(wrong());
    }
    let inner = a[a_rank - 1];
    let other = if b_rank == 1 { b[0] } else { b[b_rank - 2] };
    if inner != other || inner == 0 {
        return Err(wrong());
    }
    let stacks = [
        &a[..a_rank.saturating_sub(2)],
        &b[..b_rank.saturating_sub(2)],
    ];
    let mut shape = broadcast(stacks)?;
    shape.extend((a_rank > 1).then(|| a[a_rank - 2]));
    shape.extend((b_rank > 1).then(|| b[b_rank - 1]));
    Ok(shape)
}

pub(super) fn matmul(node: &Node<'_>) -> Outputs {
    let (a, b) = (node.input(0)?, node.input(1)?);
    Ok(vec![Value::new(a.element, product(&a.shape, &b.shape)?)])
}

pub(super) fn matmul_integer(node: &Node<'_>) -> Outputs {
    let (a, b) = (node.input(0)?, node.input(1)?);
    node.single(2)?;
    Ok(vec![Value::new(
        DataType::Int32,
        product(&a.shape, &b.shape)?,
    )])
}

pub(super) fn quantized_matmul(node: &Node<'_>) -> Outputs {
    let (a, b) = (node.input(0)?, node.input(3)?);
    for at in [1, 2, 6, 7] {
        node.single(at)?;
    }
    Ok(vec![Value::new(
        node.input(7)?.element,
        product(&a.shape, &b.shape)?,
    )])
}

pub(super) fn gemm(node: &Node<'_>) -> Outputs {
    let (a, b) = (node.input(0)?, node.input(1)?);
    let turned = |value: &Value, name| -> Result<[usize; 2], String> {
        let &[rows, columns] = &value.shape[..] else {
            return Err(format!("multiplies {:?}, which is no matrix", value.shape));
        };
        Ok(if node.flag(name)? {
            [columns, rows]
        } else {
            [rows, columns]
        })
    };
    attributes::float(node.proto, "alpha")?;
    attributes::float(node.proto, "beta")?;
    let shape = product(&turned(a, "transA")?, &turned(b, "transB")?)?;
    if let Some(bias) = node.optional(2)
        && broadcast([&shape[..], &bias.shape])? != shape
    {
        return Err(format!("adds {:?} to {shape:?}", bias.shape));
    }
    Ok(vec![Value::new(a.element, shape)])
}

pub(super) fn attention(node: &Node<'_>) -> Outputs {
    let (q, k, v) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let wrong = || {
        format!(
            "attends from {:?} to {:?} and {:?}",
            q.shape, k.shape, v.shape
        )
    };
    // Heads apart, `[n, heads, tokens, features]`, or side by side, `[n, tokens, heads · features]`.
    let heads = |value: &Value, name| -> Result<[usize; 4], String> {
        match value.shape[..] {
            [n, heads, tokens, features] => Ok([n, heads, tokens, features]),
            [n, tokens, width] => {
                let heads = side(node.int(name)?.ok_or_else(wrong)?, name)?;
                let features = width
                    .checked_div(heads)
                    .filter(|each| each * heads == width);
                Ok([n, heads, tokens, features.ok_or_else(wrong)?])
            }
            _ => Err(wrong()),
        }
    };
    let [n, q_heads, queries, features] = heads(q, "q_num_heads")?;
    let [k_n, k_heads, keys, k_features] = heads(k, "kv_num_heads")?;
    let [v_n, v_heads, values, v_features] = heads(v, "kv_num_heads")?;
    let fits = [k_n, v_n] == [n, n]
        && (k_heads, keys, k_features) == (v_heads, values, features)
        && k_heads > 0
        && q_heads.is_multiple_of(k_heads)
        && q.rank() == k.rank()
        && q.rank() == v.rank();
    if !fits {
        return Err(wrong());
    }
    if let Some(mask) = node.optional(3)
        && broadcast([&mask.shape[..], &[n, q_heads, queries, keys]])?
            != [n, q_heads, queries, keys]
    {
        return Err(format!("masks {:?}", mask.shape));
    }
    let shape = match q.rank() {
        4 => vec![n, q_heads, queries, v_features],
        _ => vec![
            n,
            queries,
            q_heads.checked_mul(v_features).ok_or_else(wrong)?,
        ],
    };
    Ok(vec![Value::new(q.element, shape)])
}

pub(super) fn einsum(node: &Node<'_>) -> Outputs {
    let text = node.text("equation")?.ok_or("has no equation")?;
    let plain = |c: char| c.is_ascii_alphabetic() || matches!(c, ',' | '-' | '>' | ' ');
    let (inputs, output) = text
        .split_once("->")
        .filter(|_| text.chars().all(plain) && text.len() < 200)
        .ok_or("has an equation that easel does not know: letters, commas and ->")?;
    let axes = |term: &str| term.chars().filter(|c| *c != ' ').collect::<Vec<char>>();
    let terms: Vec<Vec<char>> = inputs.split(',').map(axes).collect();
    if terms.len() != node.inputs.len() {
        return Err(format!("has {} inputs for `{text}`", node.inputs.len()));
    }
    let mut sides: HashMap<char, usize> = HashMap::new();
    for (at, term) in terms.iter().enumerate() {
        let value = node.input(at)?;
        if value.rank() != term.len() {
            return Err(format!("takes {:?} for `{text}`", value.shape));
        }
        for (letter, side) in term.iter().zip(&value.shape) {
            if *sides.entry(*letter).or_insert(*side) != *side || *side == 0 {
                return Err(format!("takes {:?} for `{text}`", value.shape));
            }
        }
    }
    // Each combination of places is a product.
    let work = sides.values().map(|side| *side as f64).product::<f64>();
    if work > MOST_WORK {
        return Err(format!("takes {work:.0e} products for `{text}`"));
    }
    let made = axes(output);
    let once = made
        .iter()
        .enumerate()
        .all(|(at, letter)| !made[..at].contains(letter));
    let shape: Option<Vec<usize>> = made
        .iter()
        .map(|letter| sides.get(letter).copied())
        .collect();
    let shape = shape.filter(|_| once);
    let shape = shape.ok_or_else(|| format!("makes unknown axes: `{text}`"))?;
    Ok(vec![Value::new(node.input(0)?.element, shape)])
}
