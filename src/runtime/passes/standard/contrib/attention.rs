//! Attention as one operator, spelled out as exporters do.
//!
//! ```text
//! q ─► Reshape ─► Transpose ─────────┐
//! k ─► Reshape ─► Transpose(0,2,3,1) ┴► MatMul ─► · s ─► [+ mask] ─► Softmax ─► MatMul ─► Transpose ─► Reshape
//! v ─► Reshape ─► Transpose ──────────────────────────────────────────────────────┘
//! ```

use tract_onnx::pb::NodeProto;

use super::writer::{Writer, flag, input, needed, output, result};
use crate::runtime::passes::graph::{float, int, int_attribute, ints, ints_attribute};

const ANEW: &str = "export the model again without ONNX Runtime's optimizer";

/// Attention of what one matrix makes of the tokens: queries, keys and values side by side.
pub(super) fn attention(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    refuse_past(node, 4, 6)?;
    if flag(node, "do_rotary") {
        return Err(format!("rotary positions are not known: {ANEW}"));
    }
    let (tokens, weights) = (needed(node, 0)?, needed(node, 1)?);
    let mut made = writer.put("MatMul", &[tokens, weights], Vec::new());
    if let Some(bias) = input(node, 2) {
        made = writer.put("Add", &[&made, bias], Vec::new());
    }
    let parts = match ints(node, "qkv_hidden_sizes") {
        Some(&[q, k, v]) if q != k || k != v => writer.split_in(&made, -1, &[q, k, v]),
        _ => writer.split(&made, -1, 3),
    };
    let [q, k, v] = &parts[..] else { return Ok(()) };
    let heads = Heads::of(node)?;
    let rank = input(node, 3).map(|mask| writer.rank(mask));
    let padding = match (input(node, 3), rank.flatten()) {
        (None, _) => None,
        (Some(mask), Some(rank @ 2..=4)) => Some(padding(writer, node, mask, rank)),
        (Some(_), _) => return Err(format!("a mask of lengths is not known: {ANEW}")),
    };
    let masks = [padding, input(node, 5).map(String::from)];
    heads.attend(writer, node, [q, k, v], masks)
}

/// Attention of queries, keys and values.
pub(super) fn multi_head_attention(writer: &mut Writer, node: &NodeProto) -> Result<(), String> {
    refuse_past(node, 6, 8)?;
    let [Some(key), Some(value)] = [input(node, 1), input(node, 2)] else {
        return Err(format!(
            "queries, keys and values in one tensor (packed QKV) are for GPUs: {ANEW}"
        ));
    };
    let mut parts = [needed(node, 0)?, key, value].map(String::from);
    if let Some(bias) = input(node, 3) {
        let biases = writer.split(bias, 0, 3);
        for (part, bias) in parts.iter_mut().zip(&biases) {
            *part = writer.put("Add", &[part, bias], Vec::new());
        }
    }
    let padding = match input(node, 4).map(|mask| (mask, writer.rank(mask))) {
        None => None,
        Some((mask, Some(rank @ 2..=3))) => Some(padding(writer, node, mask, rank)),
        Some(_) => return Err(format!("a mask of lengths is not known: {ANEW}")),
    };
    let masks = [padding, input(node, 5).map(String::from)];
    let [q, k, v] = &parts;
    Heads::of(node)?.attend(writer, node, [q, k, v], masks)
}

/// What came before belongs to language models.
fn refuse_past(node: &NodeProto, first: usize, last: usize) -> Result<(), String> {
    let given = (first..=last).any(|at| at != 5 && input(node, at).is_some());
    if given || output(node, 1).is_some() {
        return Err(format!(
            "keys and values of earlier tokens are not known: {ANEW}"
        ));
    }
    Ok(())
}

struct Heads {
    count: i64,
    /// What scores are multiplied with; `None`: 1 / √features of a head.
    scale: Option<f32>,
    causal: bool,
}

impl Heads {
    fn of(node: &NodeProto) -> Result<Self, String> {
        let count = int(node, "num_heads").filter(|count| *count > 0);
        Ok(Self {
            count: count.ok_or_else(|| format!("it has no heads: {ANEW}"))?,
            scale: float(node, "scale").filter(|scale| *scale != 0.0),
            causal: flag(node, "unidirectional"),
        })
    }

    /// Attention of `[batch, tokens, heads · features]`, as the node's first output. `masks` are added to the scores.
    fn attend(
        &self,
        writer: &mut Writer,
        node: &NodeProto,
        [q, k, v]: [&str; 3],
        masks: [Option<String>; 2],
    ) -> Result<(), String> {
        let query = self.apart(writer, q, [0, 2, 1, 3])?;
        let keys = self.apart(writer, k, [0, 2, 3, 1])?;
        let values = self.apart(writer, v, [0, 2, 1, 3])?;
        let scores = writer.put("MatMul", &[&query, &keys], Vec::new());
        let mut scores = self.scaled(writer, &scores, &query);
        let causal = self.causal.then(|| causal(writer, &query, &values));
        for mask in causal.into_iter().chain(masks.into_iter().flatten()) {
            scores = writer.put("Add", &[&scores, &mask], Vec::new());
        }
        let weights = writer.put("Softmax", &[&scores], vec![int_attribute("axis", -1)]);
        let made = writer.put("MatMul", &[&weights, &values], Vec::new());
        let made = writer.put(
            "Transpose",
            &[&made],
            vec![ints_attribute("perm", &[0, 2, 1, 3])],
        );
        let together = writer.integers(&[0, 0, -1]);
        writer.put_as("Reshape", &[&made, &together], Vec::new(), result(node)?);
        Ok(())
    }

    /// `[batch, tokens, heads · features]` with heads apart, axes in this order; keys and values of another network's tokens may
    /// be `[batch, heads, tokens, features]` already.
    fn apart(&self, writer: &mut Writer, value: &str, order: [i64; 4]) -> Result<String, String> {
        match writer.rank(value) {
            Some(4) if order == [0, 2, 1, 3] => Ok(value.to_owned()),
            Some(4) => Ok(writer.put(
                "Transpose",
                &[value],
                vec![ints_attribute("perm", &[0, 1, 3, 2])],
            )),
            Some(5) => Err(format!(
                "queries, keys and values in one tensor (packed QKV) are for GPUs: {ANEW}"
            )),
            _ => {
                let shape = writer.integers(&[0, 0, self.count, -1]);
                let heads = writer.put("Reshape", &[value, &shape], Vec::new());
                Ok(writer.put("Transpose", &[&heads], vec![ints_attribute("perm", &order)]))
            }
        }
    }

    /// The scores times the scale.
    fn scaled(&self, writer: &mut Writer, scores: &str, query: &str) -> String {
        if let Some(scale) = self.scale {
            let scale = writer.number(scale);
            return writer.put("Mul", &[scores, &scale], Vec::new());
        }
        let features = size(writer, query, 3);
        let features = writer.put("Cast", &[&features], vec![int_attribute("to", 1)]);
        let root = writer.put("Sqrt", &[&features], Vec::new());
        writer.put("Div", &[scores, &root], Vec::new())
    }
}

/// The size of this axis.
fn size(writer: &mut Writer, value: &str, axis: i64) -> String {
    let shape = writer.put("Shape", &[value], Vec::new());
    let axis = writer.integer(axis);
    writer.put("Gather", &[&shape, &axis], vec![int_attribute("axis", 0)])
}

/// What keeps tokens from those that come after them: `[1, 1, queries, keys]`.
fn causal(writer: &mut Writer, query: &str, values: &str) -> String {
    let [queries, keys] = [size(writer, query, 2), size(writer, values, 2)];
    let [zero, one] = [writer.integer(0), writer.integer(1)];
    // The last query sees all keys.
    let first = writer.put("Sub", &[&keys, &queries], Vec::new());
    let rows = writer.put("Range", &[&first, &keys, &one], Vec::new());
    let column = writer.integers(&[1, 1, -1, 1]);
    let rows = writer.put("Reshape", &[&rows, &column], Vec::new());
    let columns = writer.put("Range", &[&zero, &keys, &one], Vec::new());
    let later = writer.put("Less", &[&rows, &columns], Vec::new());
    let [hidden, seen] = [writer.number(f32::MIN), writer.number(0.0)];
    writer.put("Where", &[&later, &hidden, &seen], Vec::new())
}

/// What keeps all from padding: of a mask that is 1 where something is to be seen.
fn padding(writer: &mut Writer, node: &NodeProto, mask: &str, rank: usize) -> String {
    let floats = writer.put("Cast", &[mask], vec![int_attribute("to", 1)]);
    let one = writer.number(1.0);
    let hidden = writer.put("Sub", &[&one, &floats], Vec::new());
    let value = writer.number(float(node, "mask_filter_value").unwrap_or(-10_000.0));
    let added = writer.put("Mul", &[&hidden, &value], Vec::new());
    let shape = match rank {
        2 => writer.integers(&[0, 1, 1, -1]),
        3 => {
            // [batch, 1, queries, keys], of which the shape is known when it runs.
            let one = writer.integers(&[1]);
            let shape = writer.put("Shape", &[&added], Vec::new());
            let [batch, queries, keys] = [0, 1, 2].map(|axis| {
                let axis = writer.integers(&[axis]);
                writer.put("Gather", &[&shape, &axis], vec![int_attribute("axis", 0)])
            });
            let parts = [batch.as_str(), &one, &queries, &keys];
            writer.put("Concat", &parts, vec![int_attribute("axis", 0)])
        }
        _ => return added,
    };
    writer.put("Reshape", &[&added, &shape], Vec::new())
}
