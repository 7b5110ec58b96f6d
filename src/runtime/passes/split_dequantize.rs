//! Spells `DequantizeLinear` of activations out: cast, subtract the zero point, multiply by the scale.
//!
//! tract's own op, followed by one unary op and a `QuantizeLinear`, becomes a table of 256 entries. It takes an op for
//! element-wise when input and output have the same axes, which `Softmax` has too, so that the attention of a QDQ network
//! would look its probabilities up one value at a time.

use std::collections::HashMap;

use tract_onnx::pb::{
    AttributeProto, ModelProto, NodeProto, TensorProto, attribute_proto::AttributeType,
    tensor_proto::DataType,
};

use super::dequantize::integers;
use super::{PassContext, graph};

pub(super) fn run(model: &mut ModelProto, _context: &mut PassContext) -> Result<(), String> {
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let constants = graph::by_name(&graph.initializer);
    let mut made = Vec::new();
    let mut nodes = Vec::with_capacity(graph.node.len());
    for node in std::mem::take(&mut graph.node) {
        match split(&node, &constants) {
            Some((tensor, split)) => {
                made.push(tensor);
                nodes.extend(split);
            }
            None => nodes.push(node),
        }
    }
    graph.node = nodes;
    graph.initializer.extend(made);
    Ok(())
}

/// The zero point as f32 and the three nodes. `None` for other ops, and for a scale per channel, which tract spells out
/// itself.
fn split(
    node: &NodeProto,
    constants: &HashMap<&str, &TensorProto>,
) -> Option<(TensorProto, [NodeProto; 3])> {
    if node.op_type != "DequantizeLinear" {
        return None;
    }
    let (input, scale, output) = (
        node.input.first()?,
        node.input.get(1)?,
        node.output.first()?,
    );
    if constants.get(scale.as_str())?.dims.iter().product::<i64>() != 1 {
        return None;
    }
    let zero = match node.input.get(2).filter(|name| !name.is_empty()) {
        None => 0,
        Some(name) => match integers(constants.get(name.as_str())?)?[..] {
            [zero] => zero,
            _ => return None,
        },
    };
    let [cast, shifted, zero_point] =
        ["cast", "shifted", "zero_point"].map(|part| format!("{output}/{part}"));
    let tensor = TensorProto {
        name: zero_point.clone(),
        data_type: DataType::Float as i32,
        raw_data: (zero as f32).to_le_bytes().to_vec(),
        ..TensorProto::default()
    };
    let mut to_float = super::node("Cast", &[input], &cast);
    to_float.attribute.push(AttributeProto {
        name: "to".into(),
        r#type: AttributeType::Int as i32,
        i: DataType::Float as i64,
        ..AttributeProto::default()
    });
    let nodes = [
        to_float,
        super::node("Sub", &[&cast, &zero_point], &shifted),
        super::node("Mul", &[&shifted, scale], output),
    ];
    Some((tensor, nodes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, dims: &[i64], data_type: DataType, raw: &[u8]) -> TensorProto {
        TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: data_type as i32,
            raw_data: raw.to_vec(),
            ..TensorProto::default()
        }
    }

    fn node(inputs: [&str; 3]) -> NodeProto {
        NodeProto {
            op_type: "DequantizeLinear".into(),
            input: inputs.map(String::from).to_vec(),
            output: vec!["y".into()],
            ..NodeProto::default()
        }
    }

    #[test]
    fn one_scale_is_spelled_out_and_many_are_left() {
        let scale = tensor("s", &[], DataType::Float, &0.5_f32.to_le_bytes());
        let zero = tensor("z", &[], DataType::Uint8, &[200]);
        let many = tensor("many", &[2], DataType::Float, &[0; 8]);
        let constants = [("s", &scale), ("z", &zero), ("many", &many)].into();
        let (made, nodes) = split(&node(["x", "s", "z"]), &constants).expect("split");
        assert_eq!(made.raw_data, 200.0_f32.to_le_bytes());
        let ops = nodes.each_ref().map(|n| n.op_type.as_str());
        assert_eq!(ops, ["Cast", "Sub", "Mul"]);
        assert_eq!(nodes[1].input, [nodes[0].output[0].as_str(), &made.name]);
        assert_eq!(
            (&nodes[2].input[1][..], &nodes[2].output[0][..]),
            ("s", "y")
        );
        let (made, _) = split(&node(["x", "s", ""]), &constants).expect("no zero point is zero");
        assert_eq!(made.raw_data, 0.0_f32.to_le_bytes());
        assert!(split(&node(["x", "many", "z"]), &constants).is_none());
        assert!(split(&node(["x", "computed", "z"]), &constants).is_none());
    }
}
