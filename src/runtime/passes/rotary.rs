//! Finds rotary position embeddings.
//!
//! ```text
//! x ─┬────────────────────────────────────────────────────────────────────────────────────────► Mul(cos) ─► Add
//!    └► Reshape [.., -1, 2] ─► Split in 2 ─► Squeeze ─┬► Neg ─► Unsqueeze ─┐                     Mul(sin) ──┘
//!                                            a        └► b ─► Unsqueeze ───┴► Concat ─► Reshape ──┘
//!                               ▼
//! x ─► EaselRotary(cos, sin) neighbours
//!
//! x ─┬─────────────────────────────────────► Mul(cos) ─► Add
//!    └► first half, second half of features ─► Concat(−second, first) ─► Mul(sin) ──┘
//!                               ▼
//! x ─► EaselRotary(cos, sin) halves
//! ```

use tract_onnx::pb::{ModelProto, NodeProto};

use super::PassContext;
use super::graph::{self, Edits, View, ints_attribute, other, text_attribute};
use crate::runtime::ops;

pub(super) fn run(model: &mut ModelProto, _context: &mut PassContext) -> Result<(), String> {
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let view = View::new(graph);
    let mut edits = Edits::default();
    for node in graph.node.iter().filter(|node| node.op_type == "Add") {
        if let Some(rotary) = Rotary::of(&view, node) {
            rotary.write(&node.output[0], &mut edits);
        }
    }
    edits.apply(graph);
    Ok(())
}

/// More axes no token has.
const MOST_AXES: usize = 4;

/// A rotation, as found.
struct Rotary<'g> {
    x: &'g str,
    cos: &'g str,
    sin: &'g str,
    pairs: &'static str,
    /// Lengths that the file supposes of all axes but the last; 0: any.
    axes: Vec<i64>,
}

impl<'g> Rotary<'g> {
    /// From its sum.
    fn of(view: &View<'g>, sum: &'g NodeProto) -> Option<Self> {
        let [one, two] = &sum.input[..] else {
            return None;
        };
        let products = [view.made_by(one, "Mul")?, view.made_by(two, "Mul")?];
        for [plain, turned] in [products, [products[1], products[0]]] {
            for (turned, sin) in either(turned) {
                let Some((x, pairs, axes)) =
                    neighbours(view, turned).or_else(|| halves(view, turned))
                else {
                    continue;
                };
                if let Some(cos) = other(plain, x).filter(|cos| *cos != x) {
                    return Some(Self {
                        x,
                        cos,
                        sin,
                        pairs,
                        axes,
                    });
                }
            }
        }
        None
    }

    fn write(self, output: &str, edits: &mut Edits) {
        let mut rotary = ops::node("EaselRotary", &[self.x, self.cos, self.sin], output);
        rotary.attribute = vec![text_attribute("pairs", self.pairs)];
        if !self.axes.is_empty() {
            rotary.attribute.push(ints_attribute("axes", &self.axes));
        }
        edits.replace(output, vec![rotary]);
    }
}

/// The inputs of a node of two, each with the other.
fn either(node: &NodeProto) -> Vec<(&str, &str)> {
    match &node.input[..] {
        [a, b] => vec![(a, b), (b, a)],
        _ => Vec::new(),
    }
}

/// What is turned by quarters, and in which pairs.
type Turned<'g> = (&'g str, &'static str, Vec<i64>);

/// x, of pairs side by side whose members have changed places, the new first one with the other sign.
fn neighbours<'g>(view: &View<'g>, value: &str) -> Option<Turned<'g>> {
    let whole = view.made_by(value, "Reshape")?;
    let joined = concatenated(view, &whole.input[0])?;
    let mut parts = Vec::new();
    for part in joined {
        let part = view.made_by(part, "Unsqueeze")?;
        (axes_of(view, part)? == [-1]).then_some(())?;
        parts.push(part.input[0].as_str());
    }
    let [first, second] = parts[..] else {
        return None;
    };
    let first = view.made_by(first, "Neg")?.input[0].as_str();
    let (x, 1, axes) = picked(view, first)? else {
        return None;
    };
    let same = picked(view, second)? == (x, 0, axes.clone());
    let plain = same && graph::int(whole, "allowzero").unwrap_or(0) == 0;
    (plain && joins_last_two(view, &whole.input[1], &whole.input[0], &axes)).then_some((
        x,
        "neighbours",
        axes,
    ))
}

/// Whether a shape is that of `x`, which begins with these axes and has two more, with the last two in one.
fn joins_last_two(view: &View<'_>, shape: &str, x: &str, axes: &[i64]) -> bool {
    let found = || {
        if let Some(dims) = view.integers(shape) {
            let [same @ .., -1] = &dims[..] else {
                return None;
            };
            return Some(same == axes);
        }
        let [kept, last] = &view.made_by(shape, "Concat")?.input[..] else {
            return None;
        };
        let slice = view.made_by(kept, "Slice")?;
        let [sizes, start, end, rest @ ..] = &slice.input[..] else {
            return None;
        };
        let sizes = view.made_by(sizes, "Shape")?;
        let plain = sizes.input[0] == x && sizes.attribute.is_empty() && rest.len() <= 1;
        let bounds = [start, end].map(|bound| view.integers(bound));
        let all = bounds == [Some(vec![0]), Some(vec![axes.len() as i64])];
        Some(plain && all && view.integers(last)? == [-1])
    };
    found() == Some(true)
}

/// x, of halves that have changed places, the new first one with the other sign.
fn halves<'g>(view: &View<'g>, value: &str) -> Option<Turned<'g>> {
    let [first, second] = concatenated(view, value)?;
    let first = view.made_by(first, "Neg")?.input[0].as_str();
    let split = view.made_by(first, "Split")?;
    let same = view.made_by(second, "Split")?;
    let [a, b] = &split.output[..] else {
        return None;
    };
    let listed = split.input.get(1).filter(|name| !name.is_empty());
    let equal = match listed {
        Some(sizes) => matches!(view.integers(sizes)?[..], [a, b] if a == b),
        None => graph::ints(split, "split").is_none_or(|sizes| matches!(sizes, [a, b] if a == b)),
    };
    let last = graph::int(split, "axis") == Some(-1);
    let crossed = std::ptr::eq(split, same) && first == b && second == a;
    (equal && last && crossed).then(|| (split.input[0].as_str(), "halves", Vec::new()))
}

/// The two values that stand side by side in this one along the last axis.
fn concatenated<'g>(view: &View<'g>, value: &str) -> Option<[&'g str; 2]> {
    let node = view.made_by(value, "Concat")?;
    match &node.input[..] {
        [a, b] if graph::int(node, "axis") == Some(-1) => Some([a, b]),
        _ => None,
    }
}

/// The value whose every second feature this is, from which on, and the lengths that are supposed of its other axes; 0: any.
fn picked<'g>(view: &View<'g>, value: &str) -> Option<(&'g str, usize, Vec<i64>)> {
    let node = view.maker(value)?;
    if node.op_type == "Slice" {
        let [x, start, end, axis, step] = &node.input[..] else {
            return None;
        };
        let number = |list: &str| match view.integers(list)?[..] {
            [number] => Some(number),
            _ => None,
        };
        let whole = number(end)? > i64::from(i32::MAX) && number(step)? == 2;
        let axes = usize::try_from(number(axis)?)
            .ok()
            .filter(|axes| *axes <= MOST_AXES)?;
        return whole.then_some((x, usize::try_from(number(start)?).ok()?, vec![0; axes]));
    }
    let (paired, at) = member(view, node)?;
    let pairs = view.made_by(paired, "Reshape")?;
    let dims = view.integers(&pairs.input[1])?;
    let plain = graph::int(pairs, "allowzero").unwrap_or(0) == 0;
    match &dims[..] {
        [axes @ .., -1, 2] if plain => Some((&pairs.input[0], at, axes.to_vec())),
        _ => None,
    }
}

/// Which member of pairs the node takes, and of what; pairs are a last axis of 2.
fn member<'g>(view: &View<'g>, node: &'g NodeProto) -> Option<(&'g str, usize)> {
    match node.op_type.as_str() {
        "Gather" => {
            let index = view.constant(&node.input[1])?;
            let at = graph::integers(index)?;
            let last = graph::int(node, "axis") == Some(-1) && index.dims.is_empty();
            let at = usize::try_from(*at.first()?).ok()?;
            last.then_some((&node.input[0], at))
        }
        "Squeeze" => {
            (axes_of(view, node)? == [-1]).then_some(())?;
            let split = view.made_by(&node.input[0], "Split")?;
            let last = graph::int(split, "axis") == Some(-1) && split.output.len() == 2;
            let at = split
                .output
                .iter()
                .position(|part| *part == node.input[0])?;
            last.then_some((&split.input[0], at))
        }
        _ => None,
    }
}

/// The axes of a `Squeeze` or `Unsqueeze`.
fn axes_of(view: &View<'_>, node: &NodeProto) -> Option<Vec<i64>> {
    match node.input.get(1) {
        Some(axes) => view.integers(axes),
        None => graph::ints(node, "axes").map(<[i64]>::to_vec),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{integers, model, random, same_after};
    use super::*;

    fn after(text: &str) -> Vec<String> {
        let constants = vec![
            integers("pairs", &[0, 0, 3, -1, 2]),
            integers("whole", &[0, 0, 3, -1]),
            integers("halves", &[4, 4]),
            integers("uneven", &[5, 3]),
            integers("last", &[-1]),
            integers("zero", &[0]),
            integers("three", &[3]),
            integers("one", &[1]),
            integers("two", &[2]),
            integers("max", &[i64::MAX]),
        ];
        let inputs = [
            random(&[2, 5, 3, 8], 1),
            random(&[1, 5, 1, 8], 2),
            random(&[1, 5, 1, 8], 3),
        ];
        let text = format!("x = Neg(x_)\ncos = Neg(cos_)\nsin = Neg(sin_)\n{text}");
        same_after(run, model(&text, constants, &["y"]), &inputs)
    }

    const NEIGHBOURS: &str = "p = Reshape(x, pairs)
        a1, b1 = Split(p) axis=-1
        a = Squeeze(a1, last)
        b = Squeeze(b1, last)
        n = Neg(b)
        n1 = Unsqueeze(n, last)
        a2 = Unsqueeze(a, last)
        t = Concat(n1, a2) axis=-1
        r = Reshape(t, whole)
        xc = Mul(x, cos)
        rs = Mul(r, sin)
        y = Add(xc, rs)";

    #[test]
    fn all_forms_become_one_operator() {
        let shape = "s = Shape(t)\nk = Slice(s, zero, three, zero)\nw = Concat(k, last) axis=0\nr = Reshape(t, w)";
        for text in [
            NEIGHBOURS.to_owned(),
            NEIGHBOURS.replace("r = Reshape(t, whole)", shape),
            NEIGHBOURS
                .replace("p = Reshape(x, pairs)", "a = Slice(x, zero, max, three, two)")
                .replace("a1, b1 = Split(p) axis=-1", "b = Slice(x, one, max, three, two)")
                .replace("        a = Squeeze(a1, last)\n        b = Squeeze(b1, last)\n", "")
                .replace("r = Reshape(t, whole)", shape),
            NEIGHBOURS.replace("Mul(r, sin)", "Mul(sin, r)").replace("Add(xc, rs)", "Add(rs, xc)"),
            "a, b = Split(x, halves) axis=-1\nn = Neg(b)\nr = Concat(n, a) axis=-1\nxc = Mul(x, cos)
             rs = Mul(r, sin)\ny = Add(xc, rs)"
                .to_owned(),
        ] {
            assert_eq!(after(&text), ["Neg", "Neg", "Neg", "EaselRotary"], "{text}");
        }
    }

    #[test]
    fn other_pairs_stay() {
        for text in [
            NEIGHBOURS.replace("Neg(b)", "Neg(a)"),
            NEIGHBOURS.replace("Concat(n1, a2)", "Concat(a2, n1)"),
            NEIGHBOURS.replace("Mul(x, cos)", "Mul(r, cos)"),
            NEIGHBOURS.replace("xc = Mul(x, cos)", "z = Neg(x)\nxc = Mul(z, cos)"),
        ] {
            assert!(!after(&text).contains(&"EaselRotary".to_owned()), "{text}");
        }
    }
}
