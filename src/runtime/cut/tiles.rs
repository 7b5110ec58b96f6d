//! What nodes do to tiles: how many pixels they make of how many, and how far they see.

use tract_onnx::pb::NodeProto;

use super::super::ops::CHANNELS_FIRST;
use super::super::passes::ints;

pub(super) fn is_norm(node: &NodeProto) -> bool {
    node.op_type == "EaselGroupNorm"
}

/// An attribute that is one number.
pub(super) fn number(node: &NodeProto, name: &str) -> Option<usize> {
    usize::try_from(*ints(node, name)?.first()?).ok()
}

/// How many pixels the node makes of how many, each way; `None` if it is not one that works on tiles.
pub(super) fn factor(node: &NodeProto) -> Option<(usize, usize)> {
    match node.op_type.as_str() {
        "EaselUpsample" => Some((number(node, "factor")?, 1)),
        _ => padding(node).map(|_| (1, stride(node).unwrap_or(1))),
    }
}

/// Pixels of a convolution's image for one that it makes, each way; `None` if it is none, or has two such numbers.
pub(super) fn stride(node: &NodeProto) -> Option<usize> {
    match ints(node, "strides") {
        Some(&[down, right]) if node.op_type == "EaselConv2d" && down == right && down > 0 => {
            usize::try_from(down).ok()
        }
        _ => None,
    }
}

/// How far the node sees; `None` if it is not one that works on tiles.
pub(super) fn padding(node: &NodeProto) -> Option<usize> {
    match node.op_type.as_str() {
        "EaselConv2d" => {
            let list = |name: &str| -> Option<Vec<usize>> {
                let numbers = ints(node, name)?.iter();
                numbers.map(|n| usize::try_from(*n).ok()).collect()
            };
            let [kernel, dilations] = ["kernel", "dilations"].map(list);
            let (kernel, dilations) = (kernel?, dilations?);
            let reach = kernel.iter().zip(&dilations).map(|(k, d)| (k - 1) * d);
            let reach: Vec<usize> = reach.collect();
            let (&[down, right], &[top, left, bottom, end]) = (&reach[..], &list("pads")?[..])
            else {
                return None;
            };
            match stride(node)? {
                1 => {
                    let same = [down, right].map(|reach| reach / 2);
                    let even = down % 2 == 0 && right % 2 == 0;
                    let fits = [top, left] == same && [bottom, end] == same;
                    (even && fits).then_some(down.max(right) / 2)
                }
                // As many windows as there are whole steps: the last may lack no more than a step.
                stride => {
                    let fits = |reach: usize, padding: usize| {
                        (reach + 1).saturating_sub(stride) <= padding && padding <= reach
                    };
                    let fit = fits(down, top + bottom) && fits(right, left + end);
                    fit.then_some(top.max(left).max(bottom).max(end))
                }
            }
        }
        // Channels come first again in the picture alone: `Section::new` sees to it.
        "EaselUpsample" | "EaselGroupNorm" | "EaselActivation" | CHANNELS_FIRST | "Add" | "Sub"
        | "Mul" | "Div" | "Sigmoid" | "Tanh" | "Relu" | "Clip" | "Cast" | "Identity" => Some(0),
        _ => None,
    }
}
