//! Removes what changes nothing, so that patterns need not know all its places.
//!
//! ```text
//! x · 1, x / 1, x + 0, x − 0     by a scalar: a number with axes could add axes to x
//! Dropout(x)                     not in training
//! Cast(x) to float               of what is float already; networks that were fp16 are full of them
//! Concat(x[..n], x[n..])         as transformers write that go over two streams in one
//! ```

use std::collections::HashSet;

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, tensor_proto::DataType};

use super::PassContext;
use super::graph::{Edits, View, int};

pub(super) fn run(model: &mut ModelProto, _context: &mut PassContext) -> Result<(), String> {
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let view = View::new(graph);
    let mut floats = declared_floats(graph);
    let mut edits = Edits::default();
    for node in &graph.node {
        let Some(output) = node.output.first() else {
            continue;
        };
        let same = unchanged(&view, node, &floats);
        if let Some(input) = same
            && !view.is_output(output)
        {
            edits.rename(output, input);
        }
        if makes_floats(node, &floats) {
            // Some have a mask or places beside what they make of floats.
            let alike = if node.op_type == "Split" {
                node.output.len()
            } else {
                1
            };
            floats.extend(node.output[..alike].iter().map(String::as_str));
        }
    }
    edits.apply(graph);
    Ok(())
}

/// The input that the node's output is equal to.
fn unchanged<'g>(view: &View<'g>, node: &'g NodeProto, floats: &HashSet<&str>) -> Option<&'g str> {
    match node.op_type.as_str() {
        "Mul" | "Div" => without(view, node, 1.0),
        "Add" | "Sub" => without(view, node, 0.0),
        "Dropout" => {
            let [_, mask @ ..] = &node.output[..] else {
                return None;
            };
            let idle = mask
                .iter()
                .all(|m| view.readers(m).is_empty() && !view.is_output(m));
            let training = node.input.get(2).is_some_and(|name| !name.is_empty());
            (idle && !training).then(|| node.input[0].as_str())
        }
        "Concat" => rejoined(view, node),
        "Cast" if int(node, "to") == Some(i64::from(DataType::Float as i32)) => {
            let input = node.input.first()?.as_str();
            floats.contains(input).then_some(input)
        }
        _ => None,
    }
}

/// What the node joins two parts of, which were cut apart at one place, whatever place that is.
fn rejoined<'g>(view: &View<'g>, node: &'g NodeProto) -> Option<&'g str> {
    let [first, second] = &node.input[..] else {
        return None;
    };
    let [first, second] = [
        view.made_by(first, "Slice")?,
        view.made_by(second, "Slice")?,
    ];
    let (Some([x, start, cut, axes]), Some([y, same_cut, end, same_axes])) =
        (first.input.first_chunk(), second.input.first_chunk())
    else {
        return None;
    };
    let list = |name: &str| view.integers(name);
    let axis = int(node, "axis")?;
    let along = list(axes)? == [axis] && list(same_axes)? == [axis];
    let by_one = |slice: &NodeProto| {
        slice
            .input
            .get(4)
            .is_none_or(|step| list(step).as_deref() == Some(&[1]))
    };
    let whole = list(start)? == [0] && matches!(list(end)?[..], [end] if end > i64::from(i32::MAX));
    let fits = along && whole && by_one(first) && by_one(second);
    (fits && x == y && are_same(view, cut, same_cut, 4)).then_some(x)
}

/// Whether two values are computed alike, of the same, as far as that can be seen in so many steps.
fn are_same(view: &View<'_>, a: &str, b: &str, steps: usize) -> bool {
    if a == b {
        return true;
    }
    if let (Some(a), Some(b)) = (view.constant(a), view.constant(b)) {
        let whole = |tensor| super::graph::integers(tensor);
        return a.dims == b.dims && whole(a).is_some() && whole(a) == whole(b);
    }
    let (Some(one), Some(two)) = (view.maker(a), view.maker(b)) else {
        return false;
    };
    let alike = one.op_type == two.op_type
        && one.attribute == two.attribute
        && one.input.len() == two.input.len()
        && one.output.len() == 1
        && two.output.len() == 1;
    let mut inputs = one.input.iter().zip(&two.input);
    alike && steps > 0 && inputs.all(|(a, b)| are_same(view, a, b, steps - 1))
}

/// What the node computes with beside this number, if that is a scalar.
fn without<'g>(view: &View<'g>, node: &'g NodeProto, number: f32) -> Option<&'g str> {
    let input = view.beside(node, number)?;
    let scalar = super::graph::other(node, input)?;
    let exact = view.number(scalar) == Some(number);
    let scalar = view.constant(scalar)?.dims.is_empty();
    (exact && scalar).then_some(input)
}

/// Inputs and constants that are declared as float.
fn declared_floats(graph: &GraphProto) -> HashSet<&str> {
    use tract_onnx::pb::type_proto::Value;
    let is_float = |kind: i32| kind == DataType::Float as i32;
    let constants = graph
        .initializer
        .iter()
        .filter(|tensor| is_float(tensor.data_type));
    let inputs = graph.input.iter().filter(|input| {
        let kind = input.r#type.as_ref().and_then(|t| t.value.as_ref());
        matches!(kind, Some(Value::TensorType(tensor)) if is_float(tensor.elem_type))
    });
    let names = constants.map(|t| t.name.as_str());
    names.chain(inputs.map(|i| i.name.as_str())).collect()
}

/// Whether the node's first output is known to be float, and all those of a `Split`.
fn makes_floats(node: &NodeProto, floats: &HashSet<&str>) -> bool {
    let float = |index: usize| {
        node.input
            .get(index)
            .is_some_and(|name| floats.contains(name.as_str()))
    };
    match node.op_type.as_str() {
        "Cast" => int(node, "to") == Some(i64::from(DataType::Float as i32)),
        "Add"
        | "Sub"
        | "Mul"
        | "Div"
        | "Pow"
        | "Neg"
        | "Reciprocal"
        | "MatMul"
        | "Gemm"
        | "Conv"
        | "Softmax"
        | "Sigmoid"
        | "Tanh"
        | "Erf"
        | "Gelu"
        | "Relu"
        | "Clip"
        | "Sqrt"
        | "Sin"
        | "Cos"
        | "Exp"
        | "Reshape"
        | "Transpose"
        | "Slice"
        | "Unsqueeze"
        | "Squeeze"
        | "Flatten"
        | "Expand"
        | "Concat"
        | "Split"
        | "Einsum"
        | "Pad"
        | "Resize"
        | "ReduceMean"
        | "InstanceNormalization"
        | "LayerNormalization"
        | "GroupNormalization"
        | "Gather"
        | "Dropout" => float(0),
        // The first thing to choose; the scale, which is of the type of what it makes.
        "Where" | "DequantizeLinear" => float(1),
        op => op.starts_with("Easel") && node.domain == crate::runtime::ops::DOMAIN,
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::float_tensor;
    use super::super::testing::{kinds, model, random, run_pass, same_after};
    use super::*;

    #[test]
    fn what_changes_nothing_goes() {
        let constants = vec![
            float_tensor("one", &[], &[1.0]),
            float_tensor("zero", &[], &[0.0]),
        ];
        let text = "a = Mul(one, x)\nb = Div(a, one)\nc = Add(zero, b)\nd = Sub(c, zero)
                    e = Dropout(d)\nf = Cast(e) to=1\ng = Sigmoid(f)\nh = Cast(g) to=1\ny = Neg(h)";
        let found = same_after(run, model(text, constants, &["y"]), &[random(&[2, 3], 1)]);
        assert_eq!(found, ["Sigmoid", "Neg"]);
    }

    #[test]
    fn parts_that_are_joined_again_are_the_whole() {
        let list = super::super::testing::integers;
        let text = "s = Shape(z)
            n = Gather(s, index) axis=0
            n1 = Unsqueeze(n, zero)
            n2 = Unsqueeze(n, zero)
            a = Slice(x, zero, n1, one, one)
            b = Slice(x, n2, max, one, one)
            c = Concat(a, b) axis=1
            y = Neg(c)";
        let kinds = |text: &str| {
            let constants = vec![
                list("zero", &[0]),
                list("one", &[1]),
                list("max", &[i64::MAX]),
                tract_onnx::pb::TensorProto {
                    dims: vec![],
                    ..list("index", &[1])
                },
            ];
            // In the order in which they are read first: z, x.
            let inputs = [random(&[2, 3], 1), random(&[2, 7, 4], 2)];
            same_after(run, model(text, constants, &["y"]), &inputs)
        };
        assert_eq!(kinds(text), ["Neg"]);
        for other in [
            text.replace("Concat(a, b)", "Concat(b, a)"),
            text.replace(
                "n2 = Unsqueeze(n, zero)",
                "m = Add(n, n)\nn2 = Unsqueeze(m, zero)",
            ),
            text.replace("b = Slice(x, n2", "w = Neg(x)\nb = Slice(w, n2"),
        ] {
            assert!(kinds(&other).contains(&"Concat".to_owned()), "{other}");
        }
    }

    #[test]
    fn what_changes_something_stays() {
        let constants = vec![
            float_tensor("one", &[], &[1.0]),
            float_tensor("zero", &[], &[0.0]),
            float_tensor("almost", &[], &[1.0001]),
            float_tensor("axis", &[1], &[1.0]),
        ];
        let text = "a = Div(one, x)\nb = Sub(zero, a)\nc = Mul(b, axis)\nd = Mul(c, almost)\ne = Cast(d) to=7
                    f = Cast(e) to=1\ng = Mul(f, one)";
        let mut model = model(text, constants, &["g"]);
        let found = kinds(run_pass(&mut model, run)).join(" ");
        assert_eq!(found, "Div Sub Mul Mul Cast Cast Mul");
    }
}
