//! Finds group normalization, in the words of each exporter, with the SiLU that follows it in every residual block.
//!
//! ```text
//! x ─► Reshape(0, G, −1) ─► InstanceNormalization ─► Reshape ─► [Mul ─► Add] ─► [Mul(·, Sigmoid(·))]
//! └──────────────────────────────────► Shape ───────────┘
//!
//! x ─► GroupNormalization ─► [Mul(·, Sigmoid(·))]
//!
//!                               ▼
//! x ─► EaselChannelsLast ─► EaselGroupNorm ─► EaselChannelsFirst
//! ```
//!
//! The factors of `Mul` and `Add` are of one row, `[C, 1, 1]` for images, which also says how many axes x has.

use tract_onnx::pb::{ModelProto, NodeProto, TensorProto};

use super::PassContext;
use super::activations::silu_of;
use super::graph::{
    self, Edits, View, float_attribute, float_tensor, floats, int_attribute, other,
};
use crate::runtime::ops;

pub(super) fn run(model: &mut ModelProto, _context: &mut PassContext) -> Result<(), String> {
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let view = View::new(graph);
    let mut edits = Edits::default();
    for node in &graph.node {
        let found = match node.op_type.as_str() {
            "InstanceNormalization" => GroupNorm::decomposed(&view, node),
            "GroupNormalization" => GroupNorm::whole(&view, node),
            _ => None,
        };
        if let Some(norm) = found {
            norm.with_silu(&view).write(&mut edits);
        }
    }
    edits.apply(graph);
    Ok(())
}

/// A group normalization, as found.
struct GroupNorm<'g> {
    x: &'g str,
    groups: i64,
    epsilon: f32,
    scale: Option<&'g TensorProto>,
    shift: Option<&'g TensorProto>,
    /// Axes of x, if known.
    rank: Option<usize>,
    silu: bool,
    /// Values on the way that are shaped as x is.
    inner: Vec<&'g str>,
    output: &'g str,
}

impl<'g> GroupNorm<'g> {
    fn whole(view: &View<'g>, node: &'g NodeProto) -> Option<Self> {
        Some(Self {
            x: node.input.first()?,
            groups: graph::int(node, "num_groups")?,
            epsilon: graph::float(node, "epsilon").unwrap_or(1e-5),
            // One for each group in opset 18, for each channel in 21: the operator takes both.
            scale: Some(view.constant(node.input.get(1)?)?),
            shift: Some(view.constant(node.input.get(2)?)?),
            rank: None,
            silu: false,
            inner: Vec::new(),
            output: node.output.first()?,
        })
    }

    fn decomposed(view: &View<'g>, node: &'g NodeProto) -> Option<Self> {
        let [grouped, ones, zeros] = &node.input[..] else {
            return None;
        };
        let before = view.made_by(grouped, "Reshape")?;
        let [0, groups, -1] = view.integers(before.input.get(1)?)?[..] else {
            return None;
        };
        let plain = all(view, ones, 1.0) && all(view, zeros, 0.0);
        let x = before.input[0].as_str();
        let after = view.reader(&node.output[0])?;
        let shape = view.made_by(after.input.get(1)?, "Shape")?;
        let back = after.op_type == "Reshape" && shape.input[0] == x && shape.attribute.is_empty();
        if !plain || !back || groups < 1 || view.reader(grouped).is_none() {
            return None;
        }
        let mut norm = Self {
            x,
            groups,
            epsilon: graph::float(node, "epsilon").unwrap_or(1e-5),
            scale: None,
            shift: None,
            rank: None,
            silu: false,
            inner: Vec::new(),
            output: &after.output[0],
        };
        norm.scale = norm.absorb(view, "Mul");
        norm.shift = norm.absorb(view, "Add");
        Some(norm)
    }

    /// The row of channels that the output is scaled by or shifted by next, if that is all that happens to it.
    fn absorb(&mut self, view: &View<'g>, op: &str) -> Option<&'g TensorProto> {
        let node = view.element_reader(self.output, op)?;
        let row = view.constant(other(node, self.output)?)?;
        let rank = row_rank(row, self.groups)?;
        if rank.is_some() && self.rank.is_some() && rank != self.rank {
            return None;
        }
        self.rank = self.rank.or(rank);
        self.inner.push(self.output);
        self.output = &node.output[0];
        Some(row)
    }

    fn with_silu(mut self, view: &View<'g>) -> Self {
        let readers = view.element_readers(self.output);
        let sigmoid = readers.iter().find(|node| node.op_type == "Sigmoid");
        if let Some(sigmoid) = sigmoid
            && readers.len() == 2
            && let Some(output) = silu_of(view, sigmoid)
        {
            self.inner.extend([self.output, &sigmoid.output[0]]);
            self.output = output;
            self.silu = true;
        }
        self
    }

    fn write(self, edits: &mut Edits) {
        let [input, scale, shift, normalized] =
            ["input", "scale", "shift", "normalized"].map(|part| format!("{}/{part}", self.output));
        edits.constant(row(&scale, self.scale, 1.0));
        edits.constant(row(&shift, self.shift, 0.0));
        let mut norm = ops::node("EaselGroupNorm", &[&input, &scale, &shift], &normalized);
        norm.attribute = vec![
            int_attribute("groups", self.groups),
            float_attribute("epsilon", self.epsilon),
            int_attribute("silu", i64::from(self.silu)),
        ];
        if let Some(rank) = self.rank {
            norm.attribute.push(int_attribute("rank", rank as i64));
        }
        let nodes = vec![
            ops::node(ops::CHANNELS_LAST, &[self.x], &input),
            norm,
            ops::node(ops::CHANNELS_FIRST, &[&normalized], self.output),
        ];
        edits.replace(self.output, nodes);
        // Only `Shape` still reads these.
        self.inner
            .iter()
            .for_each(|value| edits.rename(value, self.x));
    }
}

/// Whether it is a constant row of this number.
fn all(view: &View<'_>, value: &str, number: f32) -> bool {
    let values = view.constant(value).and_then(floats);
    values.is_some_and(|values| values.iter().all(|v| *v == number))
}

/// How many axes images have whose channels this row is for: `Some(None)` if it is one number for all of them.
fn row_rank(row: &TensorProto, groups: i64) -> Option<Option<usize>> {
    let channels = row.dims.iter().position(|dim| *dim != 1);
    match channels {
        // Images have three axes at least, so that a number of so many adds none.
        None => (row.dims.len() <= 3).then_some(None),
        Some(at) => {
            let (channels, others) = (row.dims[at], &row.dims[at + 1..]);
            let fits =
                channels % groups == 0 && !others.is_empty() && others.iter().all(|d| *d == 1);
            // More axes before the channels than a batch would be added to the image's.
            (fits && at <= 1).then_some(Some(others.len() + 2))
        }
    }
}

/// The row without its axes of 1; one number if there is none.
fn row(name: &str, row: Option<&TensorProto>, number: f32) -> TensorProto {
    match row {
        None => float_tensor(name, &[1], &[number]),
        Some(row) => TensorProto {
            name: name.to_owned(),
            dims: vec![row.dims.iter().product()],
            ..row.clone()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        at_opset, evaluate, integers, model, noise, random, run_pass, same_after,
    };
    use super::*;

    const FUSED: [&str; 3] = [ops::CHANNELS_LAST, "EaselGroupNorm", ops::CHANNELS_FIRST];

    fn constants(axes: &[i64]) -> Vec<TensorProto> {
        let dims = [&[8], axes].concat();
        vec![
            integers("groups", &[0, 2, -1]),
            float_tensor("ones", &[2], &[1.0; 2]),
            float_tensor("zeros", &[2], &[0.0; 2]),
            float_tensor("scale", &dims, &noise(8, 1)),
            float_tensor("shift", &dims, &noise(8, 2)),
            float_tensor("one", &[1, 1, 1], &[1.5]),
        ]
    }

    const NORM: &str = "grouped = Reshape(x, groups)
        n = InstanceNormalization(grouped, ones, zeros) epsilon=1e-5
        shape = Shape(x)
        back = Reshape(n, shape)";

    fn network(rest: &str, axes: &[i64]) -> ModelProto {
        model(&format!("{NORM}\n{rest}"), constants(axes), &["y"])
    }

    #[test]
    fn all_forms_become_one_operator() {
        let image = [2, 8, 3, 5];
        let affine = "scaled = Mul(back, scale)\nz = Add(scaled, shift)";
        let silu = "s = Sigmoid(z)\ny = Mul(z, s)";
        let plain = affine.replace("z =", "y =");
        for (rest, axes, shape) in [
            (plain.clone(), &[1, 1][..], &image[..]),
            (format!("{affine}\n{silu}"), &[1, 1], &image),
            (plain, &[1], &[2, 8, 7]),
            (
                "s = Sigmoid(back)\ny = Mul(s, back)".into(),
                &[1, 1],
                &image,
            ),
            (
                "z = Mul(one, back)\ns = Sigmoid(z)\ny = Mul(z, s)".into(),
                &[1, 1],
                &image,
            ),
            ("y = Add(shift, back)".into(), &[1, 1], &image),
        ] {
            let found = same_after(run, network(&rest, axes), &[random(shape, 3)]);
            assert_eq!(found, FUSED, "{rest}");
        }
    }

    #[test]
    fn who_asks_for_the_shape_of_an_inner_value_asks_the_input() {
        let rest =
            "scaled = Mul(back, scale)\nof = Shape(scaled)\nz = Add(scaled, shift)\ns = Sigmoid(z)
                    w = Mul(z, s)\ny = Reshape(w, of)";
        let found = same_after(run, network(rest, &[1, 1]), &[random(&[1, 8, 2, 2], 4)]);
        assert_eq!(found, [&["Shape"], &FUSED[..], &["Reshape"]].concat());
    }

    #[test]
    fn what_others_read_is_not_fused() {
        for (rest, still) in [
            ("z = Mul(back, scale)\ny = Sub(z, back)", "Mul"),
            ("z = Mul(back, x)\ny = Add(z, shift)", "Add"),
            (
                "s = Sigmoid(back)\nz = Mul(back, s)\ny = Add(s, z)",
                "Sigmoid",
            ),
        ] {
            let found = same_after(run, network(rest, &[1, 1]), &[random(&[1, 8, 2, 2], 5)]);
            assert!(found.contains(&"EaselGroupNorm".to_owned()), "{rest}");
            assert!(found.contains(&still.to_owned()), "{rest}");
        }
    }

    #[test]
    fn an_instance_norm_of_its_own_stays() {
        let mut model = network("y = Neg(back)", &[1, 1]);
        let graph = model.graph.as_mut().expect("it has one");
        graph.initializer[1] = float_tensor("ones", &[2], &[1.0, 2.0]);
        let found = same_after(run, model, &[random(&[1, 8, 2, 2], 6)]);
        assert_eq!(
            found,
            [
                "Reshape",
                "InstanceNormalization",
                "Shape",
                "Reshape",
                "Neg"
            ]
        );
    }

    #[test]
    fn the_operator_of_opsets_18_and_21_is_the_same() {
        let x = random(&[2, 8, 3, 5], 7);
        let spelled = "scaled = Mul(back, scale)\ny = Add(scaled, shift)";
        for (per, count) in [("group", 2), ("channel", 8)] {
            let row = |seed: u32| -> Vec<f32> {
                let row = noise(count, seed);
                (0..8).map(|channel| row[channel * count / 8]).collect()
            };
            let mut expected = network(spelled, &[1, 1]);
            let graph = expected.graph.as_mut().expect("it has one");
            graph.initializer[3] = float_tensor("scale", &[8, 1, 1], &row(8));
            graph.initializer[4] = float_tensor("shift", &[8, 1, 1], &row(9));
            let rows = vec![
                float_tensor("scale", &[count as i64], &noise(count, 8)),
                float_tensor("shift", &[count as i64], &noise(count, 9)),
            ];
            let text = "y = GroupNormalization(x, scale, shift) num_groups=2 epsilon=1e-5";
            let mut model = at_opset(if count == 8 { 21 } else { 18 }, model(text, rows, &["y"]));
            run_pass(&mut model, run);
            let [found, expected] =
                [&model, &expected].map(|m| evaluate(m, std::slice::from_ref(&x)));
            found
                .close_enough(&expected, true)
                .unwrap_or_else(|_| panic!("by {per}"));
        }
    }
}
