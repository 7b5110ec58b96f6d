//! Writes sums of products that are none as what they are.
//!
//! ```text
//! Einsum(x) nhwpqc->nchpwq      ─►   Transpose(x)
//! Einsum(x, y) i,j->ij          ─►   Mul(Unsqueeze(x), y)
//! ```

use tract_onnx::pb::{ModelProto, NodeProto, TensorProto, tensor_proto::DataType};

use super::PassContext;
use super::graph::{self, Edits, ints_attribute};
use super::node;

pub(super) fn run(model: &mut ModelProto, _context: &mut PassContext) -> Result<(), String> {
    let lists_are_inputs = graph::opset(model) >= 13;
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let mut edits = Edits::default();
    for node in graph.node.iter().filter(|node| node.op_type == "Einsum") {
        let output = &node.output[0];
        if let Some(perm) = permutation(node) {
            let mut turned = self::node("Transpose", &[&node.input[0]], output);
            turned.attribute = vec![ints_attribute("perm", &perm)];
            edits.replace(output, vec![turned]);
        } else if let Some(added) = outer(node).filter(|_| lists_are_inputs) {
            let [list, longer] = ["axes", "longer"].map(|part| format!("{output}/{part}"));
            edits.constant(TensorProto {
                name: list.clone(),
                dims: vec![added.len() as i64],
                data_type: DataType::Int64 as i32,
                int64_data: added,
                ..TensorProto::default()
            });
            let longer_node = self::node("Unsqueeze", &[&node.input[0], &list], &longer);
            let product = self::node("Mul", &[&longer, &node.input[1]], output);
            edits.replace(output, vec![longer_node, product]);
        }
    }
    edits.apply(graph);
    Ok(())
}

/// Letters of each operand, and of the result.
fn letters(node: &NodeProto) -> Option<(Vec<String>, String)> {
    let equation = node.attribute.iter().find(|a| a.name == "equation")?;
    let equation: String = std::str::from_utf8(&equation.s)
        .ok()?
        .split_whitespace()
        .collect();
    let (operands, result) = equation.split_once("->")?;
    let operands: Vec<String> = operands.split(',').map(str::to_owned).collect();
    // Each stands for one axis, and once.
    let plain = |letters: &str| {
        let once = |(at, letter): (usize, char)| {
            letter.is_ascii_alphabetic() && letters.find(letter) == Some(at)
        };
        letters.char_indices().all(once)
    };
    let all = operands.iter().all(|letters| plain(letters)) && plain(result);
    (all && operands.len() == node.input.len()).then(|| (operands, result.to_owned()))
}

/// Where each axis of the result comes from, if it is one operand with its axes in another order.
fn permutation(node: &NodeProto) -> Option<Vec<i64>> {
    let (operands, result) = letters(node)?;
    let [operand] = &operands[..] else {
        return None;
    };
    let places = result
        .chars()
        .map(|letter| Some(operand.find(letter)? as i64));
    let places: Vec<i64> = places.collect::<Option<_>>()?;
    (places.len() == operand.len()).then_some(places)
}

/// The axes to put behind those of the first operand, if each of its numbers meets each of the second's.
fn outer(node: &NodeProto) -> Option<Vec<i64>> {
    let (operands, result) = letters(node)?;
    let [first, second] = &operands[..] else {
        return None;
    };
    let all = format!("{first}{second}") == result;
    let (start, end) = (first.len() as i64, result.len() as i64);
    all.then(|| (start..end).collect())
}

#[cfg(test)]
mod tests {
    use super::super::graph::text_attribute;
    use super::super::testing::{kinds, model, random, run_pass, same_after};
    use super::*;

    fn network(inputs: &str, equation: &str) -> ModelProto {
        let mut model = model(&format!("y = Einsum({inputs})"), vec![], &["y"]);
        if let Some(graph) = &mut model.graph {
            graph.node[0].attribute = vec![text_attribute("equation", equation)];
        }
        model
    }

    #[test]
    fn axes_in_another_order_are_a_transposition() {
        let found = same_after(
            run,
            network("x", "nhwc -> nchw"),
            &[random(&[2, 3, 4, 5], 1)],
        );
        assert_eq!(found, ["Transpose"]);
    }

    #[test]
    fn each_by_each_is_a_product() {
        let inputs = [random(&[3, 2], 1), random(&[4], 2)];
        let found = same_after(run, network("a, b", "ij,k->ijk"), &inputs);
        assert_eq!(found, ["Unsqueeze", "Mul"]);
    }

    #[test]
    fn sums_stay() {
        for (inputs, equation) in [
            ("x", "nhw->nh"),
            ("x", "nn->n"),
            ("x", "...n->n..."),
            ("a, b", "ij,jk->ik"),
            ("a, b", "i,j->ji"),
        ] {
            let mut model = network(inputs, equation);
            assert_eq!(kinds(run_pass(&mut model, run)), ["Einsum"], "{equation}");
        }
    }
}
