//! Products with a factor, transposed operands or an activation.

use tract_onnx::pb::NodeProto;

use super::activations;
use super::writer::{Writer, attributes_without, flag, input, needed, result};
use crate::runtime::passes::graph::{float, ints_attribute, text_attribute};

/// `alpha · A B`, either transposed.
pub(super) fn matmul(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let a = operand(
        writer,
        needed(node, 0)?,
        [flag(node, "transA"), flag(node, "transBatchA")],
    );
    let b = operand(
        writer,
        needed(node, 1)?,
        [flag(node, "transB"), flag(node, "transBatchB")],
    );
    let alpha = float(node, "alpha").unwrap_or(1.0);
    if alpha == 1.0 {
        writer.put_as("MatMul", &[&a, &b], Vec::new(), result(node)?);
    } else {
        let product = writer.put("MatMul", &[&a, &b], Vec::new());
        let alpha = writer.number(alpha);
        writer.put_as("Mul", &[&product, &alpha], Vec::new(), result(node)?);
    }
    Ok(())
}

/// The operand after the first axis is moved before the last (`batch`), and then the last two change places (`last`).
fn operand(writer: &mut Writer, value: &str, [last, batch]: [bool; 2]) -> String {
    if !last && !batch {
        return value.to_owned();
    }
    let Some(rank) = writer.rank(value).filter(|rank| *rank >= 2) else {
        let equation = match (batch, last) {
            (false, _) => "...ij->...ji",
            (true, false) => "i...j->...ij",
            (true, true) => "i...j->...ji",
        };
        return writer.put(
            "Einsum",
            &[value],
            vec![text_attribute("equation", equation)],
        );
    };
    let mut axes: Vec<i64> = (0..rank as i64).collect();
    if batch {
        axes[..rank - 1].rotate_left(1);
    }
    if last {
        axes.swap(rank - 2, rank - 1);
    }
    writer.put("Transpose", &[value], vec![ints_attribute("perm", &axes)])
}

/// The attributes with which fused operators say their activation.
const ACTIVATION: [&str; 5] = [
    "activation",
    "activation_alpha",
    "activation_beta",
    "activation_gamma",
    "activation_params",
];

/// `Gemm`, then an activation.
pub(super) fn gemm(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    needed(node, 1)?;
    let inputs: Vec<&str> = node.input.iter().map(String::as_str).collect();
    let product = writer.put("Gemm", &inputs, attributes_without(node, &ACTIVATION));
    let numbers = ["activation_alpha", "activation_beta"].map(|name| float(node, name));
    activations::named(writer, &activation(node), numbers, &product, result(node)?)
}

/// `Conv`, then a sum with the fourth input, then an activation.
pub(super) fn conv(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let mut inputs = vec![needed(node, 0)?, needed(node, 1)?];
    inputs.extend(input(node, 2));
    let mut made = writer.put("Conv", &inputs, attributes_without(node, &ACTIVATION));
    if let Some(skip) = input(node, 3) {
        made = writer.put("Add", &[&made, skip], Vec::new());
    }
    let numbers = node
        .attribute
        .iter()
        .find(|a| a.name == "activation_params");
    let number = |at: usize| numbers.and_then(|numbers| numbers.floats.get(at).copied());
    activations::named(
        writer,
        &activation(node),
        [number(0), number(1)],
        &made,
        result(node)?,
    )
}

fn activation(node: &NodeProto) -> String {
    let found = node.attribute.iter().find(|a| a.name == "activation");
    found.map_or_else(String::new, |a| String::from_utf8_lossy(&a.s).into_owned())
}
