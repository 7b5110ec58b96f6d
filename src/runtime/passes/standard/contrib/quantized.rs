//! Operators on 8-bit integers with scales: what they compute is written between `DequantizeLinear` and `QuantizeLinear`, which the
//! passes know.

use tract_onnx::pb::NodeProto;

use super::writer::{Writer, attributes_without, flag, input, needed, result};
use crate::runtime::passes::graph::{float, int, int_attribute, ints_attribute};

/// `A B + bias` of floats with quantized B. How A is quantized on the way is the kernels' business.
pub(super) fn dynamic_matmul(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let b = matrix(
        writer,
        [
            needed(node, 1)?,
            needed(node, 2)?,
            input(node, 3).unwrap_or_default(),
        ],
    );
    product(
        writer,
        [needed(node, 0)?, &b],
        input(node, 4),
        result(node)?,
    );
    Ok(())
}

/// `A B + bias` with both quantized, as floats.
pub(super) fn integer_matmul(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let [a, a_scale] = [needed(node, 0)?, needed(node, 2)?];
    let a_zero = input(node, 4).unwrap_or_default();
    let floats = writer.maker(a).filter(|maker| {
        let quantizes = maker.op_type == "DynamicQuantizeLinear";
        quantizes && maker.output.get(1).is_some_and(|scale| scale == a_scale)
    });
    let a = match floats.and_then(|maker| maker.input.first()) {
        Some(floats) => floats.clone(),
        None => dequantized(writer, [a, a_scale, a_zero]),
    };
    let b = matrix(
        writer,
        [
            needed(node, 1)?,
            needed(node, 3)?,
            input(node, 5).unwrap_or_default(),
        ],
    );
    product(writer, [&a, &b], input(node, 6), result(node)?);
    Ok(())
}

fn product(writer: &mut Writer, operands: [&str; 2], bias: Option<&str>, output: &str) {
    match bias {
        None => writer.put_as("MatMul", &operands, Vec::new(), output),
        Some(bias) => {
            let product = writer.put("MatMul", &operands, Vec::new());
            writer.put_as("Add", &[&product, bias], Vec::new(), output);
        }
    }
}

/// `A B`.
pub(super) fn matmul(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let a = dequantized(writer, three(node, 0)?);
    let b = matrix(writer, three(node, 3)?);
    let product = writer.put("MatMul", &[&a, &b], Vec::new());
    let scale = [needed(node, 6)?, input(node, 7).unwrap_or_default()];
    quantize(writer, &product, scale, result(node)?);
    Ok(())
}

/// A convolution, of images whose channels may be last.
pub(super) fn conv(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let channels_last = flag(node, "channels_last");
    let mut x = dequantized(writer, three(node, 0)?);
    if channels_last {
        x = writer.put(
            "Transpose",
            &[&x],
            vec![ints_attribute("perm", &[0, 3, 1, 2])],
        );
    }
    let weights = dequantized_along(writer, three(node, 3)?, 0);
    let attributes = attributes_without(node, &["channels_last"]);
    let mut made = writer.put("Conv", &[&x, &weights], attributes);
    if let Some(bias) = input(node, 8) {
        let scale = writer.put("Mul", &[needed(node, 1)?, needed(node, 4)?], Vec::new());
        let bias = scaled(writer, bias, &scale);
        let shape = writer.integers(&[1, -1, 1, 1]);
        let bias = writer.put("Reshape", &[&bias, &shape], Vec::new());
        made = writer.put("Add", &[&made, &bias], Vec::new());
    }
    if channels_last {
        made = writer.put(
            "Transpose",
            &[&made],
            vec![ints_attribute("perm", &[0, 2, 3, 1])],
        );
    }
    let scale = [needed(node, 6)?, input(node, 7).unwrap_or_default()];
    quantize(writer, &made, scale, result(node)?);
    Ok(())
}

/// `alpha · A B + C`, quantized unless there is no scale for the result.
pub(super) fn gemm(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let a = dequantized(writer, three(node, 0)?);
    let along = i64::from(!flag(node, "transB"));
    let b = dequantized_along(writer, three(node, 3)?, along);
    let mut made = writer.put("Gemm", &[&a, &b], attributes_without(node, &["alpha"]));
    let alpha = float(node, "alpha").unwrap_or(1.0);
    if alpha != 1.0 {
        let alpha = writer.number(alpha);
        made = writer.put("Mul", &[&made, &alpha], Vec::new());
    }
    if let Some(c) = input(node, 6) {
        let mut scale = writer.put("Mul", &[needed(node, 1)?, needed(node, 4)?], Vec::new());
        if alpha != 1.0 {
            let alpha = writer.number(alpha);
            scale = writer.put("Mul", &[&scale, &alpha], Vec::new());
        }
        let bias = scaled(writer, c, &scale);
        made = writer.put("Add", &[&made, &bias], Vec::new());
    }
    match input(node, 7) {
        None => writer.put_as("Identity", &[&made], Vec::new(), result(node)?),
        Some(scale) => {
            let scale = [scale, input(node, 8).unwrap_or_default()];
            quantize(writer, &made, scale, result(node)?);
        }
    }
    Ok(())
}

/// Sum or product.
pub(super) fn binary(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let [a, b] = [
        dequantized(writer, three(node, 0)?),
        dequantized(writer, three(node, 3)?),
    ];
    let made = writer.put(standard(node), &[&a, &b], Vec::new());
    quantize(
        writer,
        &made,
        [needed(node, 6)?, input(node, 7).unwrap_or_default()],
        result(node)?,
    );
    Ok(())
}

/// Sigmoid and what else has one input.
pub(super) fn unary(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let x = dequantized(writer, three(node, 0)?);
    let op = standard(node);
    let mut inputs = vec![x.as_str()];
    let mut attributes = attributes_without(node, &["opset"]);
    let axes;
    if op == "Softmax" && !node.attribute.iter().any(|a| a.name == "axis") {
        attributes.push(int_attribute("axis", -1));
    }
    if op == "Softmax"
        && int(node, "opset").is_some_and(|opset| opset < 13)
        && int(node, "axis") != Some(-1)
    {
        return Err("of several axes at once it is not known: export the model again without ONNX Runtime's optimizer".into());
    }
    if op == "ReduceMean" && writer.version() >= 18 {
        let listed = node.attribute.iter().find(|a| a.name == "axes");
        if let Some(listed) = listed {
            axes = writer.integers(&listed.ints);
            inputs.push(&axes);
            attributes.retain(|a| a.name != "axes");
        }
    }
    let made = writer.put(op, &inputs, attributes);
    quantize(
        writer,
        &made,
        [needed(node, 3)?, input(node, 4).unwrap_or_default()],
        result(node)?,
    );
    Ok(())
}

/// Joins values, each with a scale and a zero point.
pub(super) fn concat(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let count = node.input.len().saturating_sub(2) / 3;
    let parts = (0..count).map(|part| Ok(dequantized(writer, three(node, 2 + 3 * part)?)));
    let parts: Vec<String> = parts.collect::<Result<_, String>>()?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let joined = writer.put("Concat", &parts, node.attribute.clone());
    quantize(
        writer,
        &joined,
        [needed(node, 0)?, input(node, 1).unwrap_or_default()],
        result(node)?,
    );
    Ok(())
}

/// One value or the other.
pub(super) fn choice(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let condition = needed(node, 0)?;
    let [x, y] = [
        dequantized(writer, three(node, 1)?),
        dequantized(writer, three(node, 4)?),
    ];
    let made = writer.put("Where", &[condition, &x, &y], Vec::new());
    quantize(
        writer,
        &made,
        [needed(node, 7)?, input(node, 8).unwrap_or_default()],
        result(node)?,
    );
    Ok(())
}

/// The standard's operator on floats.
fn standard(node: &NodeProto) -> &str {
    node.op_type
        .strip_prefix("QLinear")
        .unwrap_or(&node.op_type)
}

/// A value, its scale and its zero point, which may be left out, from this input on.
fn three(node: &NodeProto, at: usize) -> Result<[&str; 3], String> {
    Ok([
        needed(node, at)?,
        needed(node, at + 1)?,
        input(node, at + 2).unwrap_or_default(),
    ])
}

/// The floats of a value with a scale for all of it.
fn dequantized(writer: &mut Writer, parts: [&str; 3]) -> String {
    writer.put("DequantizeLinear", &parts, Vec::new())
}

/// The floats of a matrix B with scales for all or for each column.
fn matrix(writer: &mut Writer, parts: [&str; 3]) -> String {
    dequantized_along(writer, parts, 1)
}

fn dequantized_along(writer: &mut Writer, parts: [&str; 3], axis: i64) -> String {
    writer.put(
        "DequantizeLinear",
        &parts,
        vec![int_attribute("axis", axis)],
    )
}

/// The floats of 32-bit integers with a scale for each.
fn scaled(writer: &mut Writer, value: &str, scale: &str) -> String {
    let floats = writer.put("Cast", &[value], vec![int_attribute("to", 1)]);
    writer.put("Mul", &[&floats, scale], Vec::new())
}

fn quantize(writer: &mut Writer, value: &str, [scale, zero]: [&str; 2], output: &str) {
    writer.put_as("QuantizeLinear", &[value, scale, zero], Vec::new(), output);
}
