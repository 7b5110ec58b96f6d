//! Activations, some with a bias in front.

use tract_onnx::pb::NodeProto;

use super::writer::{Writer, input, needed, result};
use crate::runtime::passes::graph::{float, float_attribute, text_attribute};

/// `x · Φ(x)`.
pub(super) fn gelu(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    writer.put_as("Gelu", &[needed(node, 0)?], Vec::new(), result(node)?);
    Ok(())
}

/// GELU of `x + bias`.
pub(super) fn bias_gelu(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let sum = writer.put("Add", &[needed(node, 0)?, needed(node, 1)?], Vec::new());
    writer.put_as("Gelu", &[&sum], Vec::new(), result(node)?);
    Ok(())
}

/// The approximation of GELU by a tanh, of `x + bias`.
pub(super) fn fast_gelu(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let mut x = needed(node, 0)?.to_owned();
    if let Some(bias) = input(node, 1) {
        x = writer.put("Add", &[&x, bias], Vec::new());
    }
    let tanh = vec![text_attribute("approximate", "tanh")];
    writer.put_as("Gelu", &[&x], tanh, result(node)?);
    Ok(())
}

/// `x · Sigmoid(alpha · x)`.
pub(super) fn quick_gelu(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let x = needed(node, 0)?;
    let alpha = float(node, "alpha").unwrap_or(1.702);
    gated(writer, x, alpha, result(node)?);
    Ok(())
}

/// `x · Sigmoid(alpha · x)` as `output`.
fn gated(writer: &mut Writer, x: &str, alpha: f32, output: &str) {
    let mut scaled = x.to_owned();
    if alpha != 1.0 {
        let alpha = writer.number(alpha);
        scaled = writer.put("Mul", &[x, &alpha], Vec::new());
    }
    let gate = writer.put("Sigmoid", &[&scaled], Vec::new());
    writer.put_as("Mul", &[x, &gate], Vec::new(), output);
}

/// `a · GELU(b)`, where a and b are the halves of `x + bias`.
pub(super) fn bias_split_gelu(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let sum = writer.put("Add", &[needed(node, 0)?, needed(node, 1)?], Vec::new());
    let halves = writer.split(&sum, -1, 2);
    let gate = writer.put("Gelu", &[&halves[1]], Vec::new());
    writer.put_as("Mul", &[&halves[0], &gate], Vec::new(), result(node)?);
    Ok(())
}

/// `x + bias + skip`.
pub(super) fn bias_add(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    let sum = writer.put("Add", &[needed(node, 0)?, needed(node, 1)?], Vec::new());
    writer.put_as("Add", &[&sum, needed(node, 2)?], Vec::new(), result(node)?);
    Ok(())
}

/// The activation that a fused operator names, with up to two numbers, of `x` as `output`.
pub(super) fn named(
    writer: &mut Writer,
    name: &str,
    numbers: [Option<f32>; 2],
    x: &str,
    output: &str,
) -> Result<(), String> {
    let attribute = |name: &str, at: usize| numbers[at].map(|number| float_attribute(name, number));
    match name {
        "" => writer.put_as("Identity", &[x], Vec::new(), output),
        "Relu" | "Sigmoid" | "Tanh" | "Softplus" | "Softsign" | "Gelu" => {
            writer.put_as(name, &[x], Vec::new(), output)
        }
        "LeakyRelu" | "Elu" => {
            writer.put_as(
                name,
                &[x],
                attribute("alpha", 0).into_iter().collect(),
                output,
            );
        }
        "HardSigmoid" => {
            let attributes = [attribute("alpha", 0), attribute("beta", 1)];
            writer.put_as(
                name,
                &[x],
                attributes.into_iter().flatten().collect(),
                output,
            );
        }
        "QuickGelu" => gated(writer, x, numbers[0].unwrap_or(1.702), output),
        "Silu" | "Swish" => gated(writer, x, 1.0, output),
        "Clip" => {
            let [low, high] = [
                numbers[0].unwrap_or(f32::MIN),
                numbers[1].unwrap_or(f32::MAX),
            ];
            let [low, high] = [low, high].map(|number| writer.number(number));
            let low = writer.put("Max", &[x, &low], Vec::new());
            writer.put_as("Min", &[&low, &high], Vec::new(), output);
        }
        _ => {
            let name = crate::text::excerpt(name);
            return Err(format!(
                "activation `{name}` is not known: export the model again without ONNX Runtime's optimizer"
            ));
        }
    }
    Ok(())
}
