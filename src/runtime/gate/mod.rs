//! What a network from outside must pass before anything is made of it.
//!
//! A model is somebody's download, or a file that was damaged on the way. tract supposes a sensible network: it computes what is
//! constant while it reads, allocates what a shape says, and divides by what a file gives. So everything is looked at first, in
//! two turns, both linear in the size of the network:
//!
//! ```text
//! file ─► structure: known operators, their numbers of inputs and outputs, constants as long as they say,
//!         every value made once and before it is read
//!      ─► passes (which may rely on all that)
//!      ─► shapes: each node's result worked out with checked arithmetic for the picture's size, before a byte of it is allocated
//!      ─► tract
//! ```
//!
//! What is refused is named by its node, in one line. Operators of ours cannot be named from outside: the first turn knows only
//! ONNX's.

mod attributes;
mod node;
mod rules;
mod shapes;
mod structure;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use shapes::Limits;
pub(super) use shapes::check as check_shapes;
pub(super) use structure::check as check_structure;

use tract_onnx::pb::NodeProto;

/// How errors call a node.
fn called(node: &NodeProto) -> String {
    let name = match node.output.iter().find(|name| !name.is_empty()) {
        _ if !node.name.is_empty() => &node.name,
        Some(output) => output,
        None => return format!("node {}", crate::text::excerpt(&node.op_type)),
    };
    let (name, op) = (
        crate::text::excerpt(name),
        crate::text::excerpt(&node.op_type),
    );
    format!("node `{name}` ({op})")
}
