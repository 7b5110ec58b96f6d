//! ONNX Runtime's `quantize_dynamic` becomes a float product with a `DequantizeLinear` weight, as other exporters write it:
//! how activations are quantized is the kernels' business.
//!
//! ```text
//! DynamicQuantizeLinear(x) ─► q, scale, zero                         DequantizeLinear(W, weight_scale, weight_zero) ─► w
//! MatMulInteger(q, W, zero, weight_zero) ─► Cast ─► Mul(·, scale · weight_scale)   becomes   MatMul(x, w)
//! ```
//!
//! The same for `ConvInteger`.

use tract_onnx::pb::{ModelProto, NodeProto};

use super::graph::{Edits, View, int_attribute, other};
use super::{PassContext, node};

pub(super) fn run(model: &mut ModelProto, _context: &mut PassContext) -> Result<(), String> {
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let mut edits = Edits::default();
    let view = View::new(graph);
    for product in &graph.node {
        find(&view, product, &mut edits);
    }
    edits.apply(graph);
    Ok(())
}

fn find(view: &View<'_>, product: &NodeProto, edits: &mut Edits) -> Option<()> {
    let (op, axis) = match product.op_type.as_str() {
        "MatMulInteger" => ("MatMul", 1),
        "ConvInteger" => ("Conv", 0),
        _ => return None,
    };
    let quantize = view.made_by(product.input.first()?, "DynamicQuantizeLinear")?;
    let (weight, zero) = (product.input.get(1)?, product.input.get(2)?);
    if zero != quantize.output.get(2)? {
        return None;
    }
    view.constant(weight)?;
    let sums = view.reader(product.output.first()?)?;
    let floats = (sums.op_type == "Cast").then(|| sums.output.first())??;
    let scaled = view.reader(floats).filter(|node| node.op_type == "Mul")?;
    let scales = view.made_by(other(scaled, floats)?, "Mul")?;
    let weight_scale = other(scales, quantize.output.get(1)?)?;
    let tensor = view.constant(weight_scale)?;

    let output = scaled.output.first()?;
    let [name, row] = ["weight", "scales"].map(|part| format!("{output}/{part}"));
    let weight_zero = product.input.get(3).map_or("", String::as_str);
    let mut dequantize = node("DequantizeLinear", &[weight, &row, weight_zero], &name);
    dequantize.attribute.push(int_attribute("axis", axis));
    // One for all, or one a channel, which a convolution's are written [1, n, 1, 1].
    let mut tensor = tensor.clone();
    tensor.dims = vec![tensor.dims.iter().product()];
    tensor.name = row;
    edits.constant(tensor);
    let mut float = node(op, &[&quantize.input[0], &name], output);
    float.attribute.clone_from(&product.attribute);
    edits.replace(output, vec![dequantize, float]);
    Some(())
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{GraphProto, TensorProto, ValueInfoProto};

    use super::*;

    fn quantized(op: &str, dims: &[i64]) -> GraphProto {
        let constant = |name: &str, dims: &[i64]| TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            ..TensorProto::default()
        };
        let mut quantize = node("DynamicQuantizeLinear", &["x"], "q");
        quantize.output.extend(["scale".into(), "zero".into()]);
        GraphProto {
            node: vec![
                quantize,
                node(op, &["q", "W", "zero", "W_zero"], "sums"),
                node("Mul", &["scale", "W_scale"], "scales"),
                node("Cast", &["sums"], "floats"),
                node("Mul", &["floats", "scales"], "y"),
            ],
            initializer: vec![
                constant("W", &[8, 4]),
                constant("W_zero", &[]),
                constant("W_scale", dims),
            ],
            output: vec![ValueInfoProto {
                name: "y".into(),
                ..ValueInfoProto::default()
            }],
            ..GraphProto::default()
        }
    }

    fn after(graph: GraphProto) -> GraphProto {
        let mut model = ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        };
        let mut context = PassContext::new(std::path::Path::new(""));
        run(&mut model, &mut context).expect("it never fails");
        model.graph.expect("a graph")
    }

    #[test]
    fn products_of_integers_become_products_with_dequantized_weights() {
        for (op, expected, dims, count) in [
            ("MatMulInteger", "MatMul", &[][..], 1),
            ("ConvInteger", "Conv", &[1, 8, 1, 1], 8),
        ] {
            let graph = after(quantized(op, dims));
            let ops: Vec<&str> = graph.node.iter().map(|n| n.op_type.as_str()).collect();
            assert_eq!(ops, ["DequantizeLinear", expected]);
            assert_eq!(graph.node[0].input, ["W", "y/scales", "W_zero"]);
            assert_eq!(graph.node[1].input[0], "x");
            let scales = graph.initializer.iter().find(|t| t.name == "y/scales");
            assert_eq!(scales.expect("made").dims, [count]);
        }
    }

    #[test]
    fn what_else_reads_the_sums_keeps_them() {
        let mut graph = quantized("MatMulInteger", &[]);
        graph.node.push(node("Cast", &["sums"], "other"));
        graph.output.push(ValueInfoProto {
            name: "other".into(),
            ..ValueInfoProto::default()
        });
        let graph = after(graph);
        assert!(graph.node.iter().any(|n| n.op_type == "MatMulInteger"));
    }
}
