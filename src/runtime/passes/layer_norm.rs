//! Finds layer normalization over the last axis, whole or spelled out.
//!
//! ```text
//! x ─► Sub ─► d ──────────────────────────────────────────► Div ─► [Mul(scale) ─► Add(shift)]
//! └► ReduceMean ┘ └► Pow(2) ─► ReduceMean ─► Add(ε) ─► Sqrt ─┘
//!
//! x ─► LayerNormalization(scale, shift)
//!                               ▼
//! x ─► EaselLayerNorm(scale, shift)
//! ```

use tract_onnx::pb::{ModelProto, NodeProto, TensorProto};

use super::PassContext;
use super::graph::{self, Edits, View, float_attribute, float_tensor, other};
use crate::runtime::ops;

pub(super) fn run(model: &mut ModelProto, _context: &mut PassContext) -> Result<(), String> {
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let view = View::new(graph);
    let mut edits = Edits::default();
    for node in &graph.node {
        let found = match node.op_type.as_str() {
            "LayerNormalization" => LayerNorm::whole(&view, node),
            "Div" => LayerNorm::decomposed(&view, node),
            _ => None,
        };
        if let Some(norm) = found {
            norm.write(&mut edits);
        }
    }
    edits.apply(graph);
    Ok(())
}

/// A layer normalization, as found.
struct LayerNorm<'g> {
    x: &'g str,
    epsilon: f32,
    scale: Option<&'g str>,
    shift: Option<&'g str>,
    /// Values on the way that are shaped as x is.
    inner: Vec<&'g str>,
    output: &'g str,
}

impl<'g> LayerNorm<'g> {
    fn whole(view: &View<'g>, node: &'g NodeProto) -> Option<Self> {
        let [output, statistics @ ..] = &node.output[..] else {
            return None;
        };
        let idle = |name: &String| view.readers(name).is_empty() && !view.is_output(name);
        let last = graph::int(node, "axis").unwrap_or(-1) == -1;
        let rows = node
            .input
            .iter()
            .skip(1)
            .filter_map(|name| view.constant(name));
        if !last || !statistics.iter().all(idle) || rows.into_iter().any(|row| row.dims.len() != 1)
        {
            return None;
        }
        Some(Self {
            x: &node.input[0],
            epsilon: graph::float(node, "epsilon").unwrap_or(1e-5),
            scale: Some(node.input.get(1)?),
            shift: node
                .input
                .get(2)
                .map(String::as_str)
                .filter(|name| !name.is_empty()),
            inner: Vec::new(),
            output,
        })
    }

    /// From the division by the deviation.
    fn decomposed(view: &View<'g>, node: &'g NodeProto) -> Option<Self> {
        let [deviations, deviation] = &node.input[..] else {
            return None;
        };
        let x = centered(view, deviations)?;
        let sum = view.made_by(&view.made_by(deviation, "Sqrt")?.input[0], "Add")?;
        let (variance, epsilon) = plus_number(view, sum)?;
        let squares = mean_of(view, variance)?;
        let square = view.maker(squares)?;
        let others = squared(view, square)?;
        // Some exporters subtract twice.
        let ours = |reader: &&NodeProto| {
            [node, square]
                .iter()
                .any(|part| std::ptr::eq(*part, *reader))
        };
        let alone = [deviation, &sum.output[0], variance, squares]
            .iter()
            .all(|v| view.reader(v).is_some())
            && [deviations, others]
                .iter()
                .all(|v| !view.is_output(v) && view.element_readers(v).iter().all(ours));
        if !alone || centered(view, others)? != x {
            return None;
        }
        let mut norm = Self {
            x,
            epsilon,
            scale: None,
            shift: None,
            inner: vec![deviations, others],
            output: &node.output[0],
        };
        norm.scale = norm.absorb(view, "Mul");
        norm.shift = norm.absorb(view, "Add");
        Some(norm)
    }

    /// The row that the output is scaled by or shifted by next, if that is all that happens to it.
    fn absorb(&mut self, view: &View<'g>, op: &str) -> Option<&'g str> {
        let node = view.element_reader(self.output, op)?;
        let row = other(node, self.output)?;
        if view.constant(row)?.dims.len() != 1 {
            return None;
        }
        self.inner.push(self.output);
        self.output = &node.output[0];
        Some(row)
    }

    fn write(self, edits: &mut Edits) {
        let mut row = |value: Option<&str>, part: &str, number: f32| {
            value.map_or_else(
                || {
                    let tensor: TensorProto =
                        float_tensor(&format!("{}/{part}", self.output), &[1], &[number]);
                    let name = tensor.name.clone();
                    edits.constant(tensor);
                    name
                },
                str::to_owned,
            )
        };
        let scale = row(self.scale, "scale", 1.0);
        let shift = row(self.shift, "shift", 0.0);
        let mut norm = ops::node("EaselLayerNorm", &[self.x, &scale, &shift], self.output);
        norm.attribute = vec![float_attribute("epsilon", self.epsilon)];
        edits.replace(self.output, vec![norm]);
        // Only `Shape` still reads these.
        self.inner
            .iter()
            .for_each(|value| edits.rename(value, self.x));
    }
}

/// x of `x − ReduceMean(x)`.
fn centered<'g>(view: &View<'g>, value: &str) -> Option<&'g str> {
    let [x, mean] = &view.made_by(value, "Sub")?.input[..] else {
        return None;
    };
    (mean_of(view, mean)? == x).then_some(x)
}

/// What is squared.
pub(super) fn squared<'g>(view: &View<'g>, node: &'g NodeProto) -> Option<&'g str> {
    match &node.input[..] {
        [x, two] if node.op_type == "Pow" && view.is(two, 2.0) => Some(x),
        [x, same] if node.op_type == "Mul" && x == same => Some(x),
        _ => None,
    }
}

/// What is averaged over the last axis, which stays.
pub(super) fn mean_of<'g>(view: &View<'g>, value: &str) -> Option<&'g str> {
    let node = view.made_by(value, "ReduceMean")?;
    let listed = node.input.get(1).and_then(|axes| view.integers(axes));
    let axes = graph::ints(node, "axes").or(listed.as_deref())?;
    let kept = graph::int(node, "keepdims").unwrap_or(1) == 1;
    (axes == [-1] && kept).then(|| node.input[0].as_str())
}

/// The parts of `value + number`.
pub(super) fn plus_number<'g>(view: &View<'g>, node: &'g NodeProto) -> Option<(&'g str, f32)> {
    let [a, b] = &node.input[..] else { return None };
    match (view.number(a), view.number(b)) {
        (None, Some(number)) => Some((a, number)),
        (Some(number), None) => Some((b, number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{model, noise, random, same_after};
    use super::*;

    const SPELLED: &str = "mean = ReduceMean(x) axes=-1,
        d = Sub(x, mean)
        square = Pow(d, two)
        variance = ReduceMean(square) axes=-1,
        sum = Add(variance, epsilon)
        root = Sqrt(sum)
        n = Div(d, root)";

    fn network(text: &str) -> ModelProto {
        let constants = vec![
            float_tensor("two", &[], &[2.0]),
            float_tensor("epsilon", &[], &[1e-5]),
            float_tensor("scale", &[8], &noise(8, 1)),
            float_tensor("shift", &[8], &noise(8, 2)),
            float_tensor("plane", &[4, 8], &noise(32, 3)),
        ];
        model(text, constants, &["y"])
    }

    fn after(text: &str) -> Vec<String> {
        same_after(run, network(text), &[random(&[2, 4, 8], 4)])
    }

    #[test]
    fn all_forms_become_one_operator() {
        let affine = "scaled = Mul(n, scale)\ny = Add(scaled, shift)";
        for text in [
            "y = LayerNormalization(x, scale, shift) axis=-1 epsilon=1e-5".to_owned(),
            "y = LayerNormalization(x, scale)".to_owned(),
            format!("{SPELLED}\n{affine}"),
            format!("{SPELLED}\n{affine}").replace("Pow(d, two)", "Mul(d, d)"),
            format!("{SPELLED}\n{affine}")
                .replace("square = Pow(d", "e = Sub(x, mean)\nsquare = Pow(e"),
            SPELLED.replace("n = Div", "y = Div"),
            format!("{SPELLED}\ny = Add(shift, n)"),
        ] {
            assert_eq!(after(&text), ["EaselLayerNorm"], "{text}");
        }
    }

    #[test]
    fn other_factors_stay() {
        let text = format!("{SPELLED}\nscaled = Mul(n, plane)\ny = Add(scaled, shift)");
        assert_eq!(after(&text), ["EaselLayerNorm", "Mul", "Add"]);
    }

    #[test]
    fn other_axes_and_other_means_stay() {
        let text = "y = LayerNormalization(x, plane) axis=-2";
        assert_eq!(after(text), ["LayerNormalization"]);
        let text = SPELLED
            .replace("axes=-1,", "axes=-2,")
            .replace("n = Div", "y = Div");
        assert_eq!(after(&text).len(), 7);
        let text = SPELLED
            .replace("Div(d, root)", "Div(x, root)")
            .replace("n = Div", "y = Div");
        assert_eq!(after(&text).len(), 7);
    }
}
