//! Finds RMS normalization over the last axis, whole or spelled out.
//!
//! ```text
//! x ─┬─────────────────────────────────────────────────► Div ─► [Mul(scale)]
//!    └► Pow(2) ─► ReduceMean ─► Add(ε) ─► Sqrt ─────────┘
//!
//! x ─┬─────────────────────────────────────────────────────────────► Mul ─► [Mul(scale)]
//!    └► Mul(x) ─► ReduceMean ─► Add(ε) ─► Sqrt ─► Div(1, ·), Reciprocal ┘
//!
//! x ─► RMSNormalization(scale)
//!                               ▼
//! x ─► EaselLayerNorm(scale, 0) centered = 0
//! ```

use tract_onnx::pb::{ModelProto, NodeProto};

use super::PassContext;
use super::graph::{self, Edits, View, float_attribute, float_tensor, int_attribute, other};
use super::layer_norm::{mean_of, plus_number, squared};
use crate::runtime::ops;

pub(super) fn run(model: &mut ModelProto, _context: &mut PassContext) -> Result<(), String> {
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let view = View::new(graph);
    let mut edits = Edits::default();
    for node in &graph.node {
        let found = match node.op_type.as_str() {
            "RMSNormalization" => RmsNorm::whole(&view, node),
            "Div" | "Mul" => RmsNorm::decomposed(&view, node),
            _ => None,
        };
        if let Some(norm) = found {
            norm.write(&mut edits);
        }
    }
    edits.apply(graph);
    Ok(())
}

/// An RMS normalization, as found.
struct RmsNorm<'g> {
    x: &'g str,
    epsilon: f32,
    scale: Option<&'g str>,
    /// What it is before it is scaled, if somebody may ask for its shape.
    inner: Option<&'g str>,
    output: &'g str,
}

impl<'g> RmsNorm<'g> {
    fn whole(view: &View<'g>, node: &'g NodeProto) -> Option<Self> {
        let [x, scale] = &node.input[..] else {
            return None;
        };
        let last = graph::int(node, "axis").unwrap_or(-1) == -1;
        let row = view.constant(scale)?.dims.len() == 1;
        (last && row).then(|| Self {
            x,
            epsilon: graph::float(node, "epsilon").unwrap_or(1e-5),
            scale: Some(scale),
            inner: None,
            output: &node.output[0],
        })
    }

    /// From the division by the root, or the product with its inverse.
    fn decomposed(view: &View<'g>, node: &'g NodeProto) -> Option<Self> {
        let [a, b] = &node.input[..] else { return None };
        let (x, root) = match node.op_type.as_str() {
            "Div" => (a, b.as_str()),
            _ => {
                let of = |x, inverse: &'g String| Some((x, inverted(view, inverse)?));
                of(a, b).or_else(|| of(b, a))?
            }
        };
        let sum = view.made_by(&view.made_by(root, "Sqrt")?.input[0], "Add")?;
        let (mean, epsilon) = plus_number(view, sum)?;
        let same = squared(view, view.maker(mean_of(view, mean)?)?)? == x;
        let mut norm = Self {
            x,
            epsilon,
            scale: None,
            inner: None,
            output: &node.output[0],
        };
        norm.absorb(view);
        same.then_some(norm)
    }

    /// Takes in the row that the output is multiplied with next, if that is all that happens to it.
    fn absorb(&mut self, view: &View<'g>) -> Option<()> {
        let node = view.element_reader(self.output, "Mul")?;
        let row = other(node, self.output)?;
        if view.constant(row)?.dims.len() == 1 {
            self.scale = Some(row);
            self.inner = Some(self.output);
            self.output = &node.output[0];
        }
        Some(())
    }

    fn write(self, edits: &mut Edits) {
        let mut number = |part: &str, number: f32| {
            let tensor = float_tensor(&format!("{}/{part}", self.output), &[1], &[number]);
            let name = tensor.name.clone();
            edits.constant(tensor);
            name
        };
        let shift = number("shift", 0.0);
        let scale = match self.scale {
            Some(scale) => scale.to_owned(),
            None => number("scale", 1.0),
        };
        let mut norm = ops::node("EaselLayerNorm", &[self.x, &scale, &shift], self.output);
        norm.attribute = vec![
            float_attribute("epsilon", self.epsilon),
            int_attribute("centered", 0),
        ];
        edits.replace(self.output, vec![norm]);
        if let Some(inner) = self.inner {
            edits.rename(inner, self.x);
        }
    }
}

/// What the value is the inverse of.
fn inverted<'g>(view: &View<'g>, value: &str) -> Option<&'g str> {
    let node = view.maker(value)?;
    match (node.op_type.as_str(), &node.input[..]) {
        ("Reciprocal", [x]) => Some(x),
        ("Div", [one, x]) => {
            (view.number(one) == Some(1.0) && view.constant(one)?.dims.len() <= 1).then_some(x)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{model, noise, random, same_after};
    use super::*;

    const ROOT: &str = "square = Pow(x, two)
        mean = ReduceMean(square) axes=-1,
        sum = Add(mean, epsilon)
        root = Sqrt(sum)";

    fn after(text: &str) -> Vec<String> {
        let constants = vec![
            float_tensor("one", &[], &[1.0]),
            float_tensor("two", &[], &[2.0]),
            float_tensor("epsilon", &[], &[1e-6]),
            float_tensor("scale", &[8], &noise(8, 1)),
            float_tensor("plane", &[4, 8], &noise(32, 3)),
        ];
        same_after(
            run,
            model(text, constants, &["y"]),
            &[random(&[2, 4, 8], 4)],
        )
    }

    #[test]
    fn all_forms_become_one_operator() {
        for text in [
            format!("{ROOT}\ny = Div(x, root)"),
            format!("{ROOT}\nn = Div(x, root)\ny = Mul(scale, n)"),
            format!("{ROOT}\ninverse = Div(one, root)\nn = Mul(x, inverse)\ny = Mul(n, scale)"),
            format!("{ROOT}\ninverse = Reciprocal(root)\nn = Mul(inverse, x)\ny = Mul(n, scale)"),
            format!("{ROOT}\ny = Div(x, root)").replace("Pow(x, two)", "Mul(x, x)"),
        ] {
            assert_eq!(after(&text), ["EaselLayerNorm"], "{text}");
        }
    }

    #[test]
    fn other_factors_and_other_means_stay() {
        let text = format!("{ROOT}\nn = Div(x, root)\ny = Mul(n, plane)");
        assert_eq!(after(&text), ["EaselLayerNorm", "Mul"]);
        let text = format!("{ROOT}\ny = Div(x, root)");
        assert_eq!(after(&text.replace("axes=-1,", "axes=-2,")).len(), 5);
        assert_eq!(after(&text.replace("Pow(x, two)", "Pow(x, one)")).len(), 5);
        let text = format!("{ROOT}\nz = Neg(x)\ny = Div(z, root)");
        assert_eq!(after(&text).len(), 6);
        let text = format!("{ROOT}\nn = Div(x, root)\nm = Mul(n, scale)\ny = Add(n, m)");
        assert_eq!(after(&text), ["EaselLayerNorm", "Mul", "Add"]);
    }
}
