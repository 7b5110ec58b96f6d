//! Lays images out channels last, `[n, h, w, c]`, from the first convolution to the last.
//!
//! A pixel's channels side by side are what convolutions multiply, what norms scale, and what the transformer's
//! tokens are: the transpositions between the two vanish. Each value has an *NHWC twin*, the same with its channels last;
//! nodes that can work on NHWC twins do, and a value of the old layout is made from its twin only when somebody asks for it:
//!
//! ```text
//! EaselConv2d, EaselUpsample          twin in, twin out
//! Add, Mul, Sigmoid, Concat, …        on twins, where an input has one
//! Transpose 0 2 3 1                   is the twin
//! Transpose 0 3 1 2                   makes its input the twin
//! Reshape [n, c, -1], Transpose 0 2 1 a reshape of the twin: tokens of pixels
//! Shape                               of the twin, reordered
//! anything else                       in the old layout
//! ```

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto, tensor_proto::DataType};

use super::graph::{int, int_attribute};
use super::{PassContext, node};
use crate::runtime::ops;

pub(super) fn run(model: &mut ModelProto, _context: &mut PassContext) -> Result<(), String> {
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let wanted = ["EaselConv2d", "EaselUpsample", ops::CHANNELS_LAST];
    if graph
        .node
        .iter()
        .any(|n| wanted.contains(&n.op_type.as_str()))
    {
        let nodes = super::sorted(std::mem::take(&mut graph.node))?;
        let mut layout = Layout::new(graph);
        nodes.into_iter().for_each(|node| layout.place(node));
        let outputs: Vec<String> = graph.output.iter().map(|o| o.name.clone()).collect();
        outputs.iter().for_each(|name| layout.need(name));
        graph.node = layout.nodes;
        graph.initializer.extend(layout.made);
    }
    Ok(())
}

/// A value of four axes whose channels are last.
#[derive(Debug, Clone)]
struct NhwcTwin {
    name: String,
    /// Whether it is known to have four axes.
    image: bool,
}

struct Layout {
    nhwc_twins: HashMap<String, NhwcTwin>,
    /// Values that do not exist yet, but for their NHWC twins.
    lazy: HashSet<String>,
    /// Values that are others by another name.
    renamed: HashMap<String, String>,
    constants: HashMap<String, TensorProto>,
    nodes: Vec<NodeProto>,
    made: Vec<TensorProto>,
}

impl Layout {
    fn new(graph: &GraphProto) -> Self {
        // Weights are not needed here, only what may be permuted: numbers for shapes and rows of channels.
        let small = graph
            .initializer
            .iter()
            .filter(|t| t.dims.iter().product::<i64>() < 1 << 16);
        let constants = small.map(|t| (t.name.clone(), t.clone()));
        Self {
            nhwc_twins: HashMap::new(),
            lazy: HashSet::new(),
            renamed: HashMap::new(),
            constants: constants.collect(),
            nodes: Vec::new(),
            made: Vec::new(),
        }
    }

    fn place(&mut self, mut node: NodeProto) {
        for name in &mut node.input {
            if let Some(other) = self.renamed.get(name) {
                name.clone_from(other);
            }
        }
        let done = match node.op_type.as_str() {
            "EaselConv2d" | "EaselUpsample" => {
                node.input[0] = self.last(&node.input[0].clone(), true);
                self.push_nhwc(node.clone());
                true
            }
            ops::CHANNELS_LAST => {
                let nhwc = self.last(&node.input[0].clone(), false);
                self.renamed.insert(node.output[0].clone(), nhwc);
                true
            }
            ops::CHANNELS_FIRST => {
                let image = self
                    .nhwc_twins
                    .values()
                    .any(|t| t.image && t.name == node.input[0]);
                self.set_nhwc_twin(&node.output[0], &node.input[0], image);
                true
            }
            "Transpose" => self.transpose(&node),
            "Shape" => self.shape(&node),
            "Add" | "Sub" | "Mul" | "Div" | "Sigmoid" | "EaselActivation" | "Tanh" | "Relu"
            | "Cast" | "Clip" => self.element_wise(&node),
            "Concat" => self.concat(&node),
            "Slice" => self.slice(&node),
            "Reshape" => self.pixels_in_a_row(&node),
            _ => false,
        };
        if !done {
            node.input.iter().for_each(|name| self.need(name));
            self.nodes.push(node);
        }
    }

    /// The NHWC twin of a value, made if it has none.
    fn last(&mut self, name: &str, image: bool) -> String {
        if let Some(nhwc) = self.nhwc_twins.get_mut(name) {
            nhwc.image |= image;
            return nhwc.name.clone();
        }
        let nhwc = format!("{name}/channels_last");
        self.nodes
            .push(ops::node(ops::CHANNELS_LAST, &[name], &nhwc));
        let known = NhwcTwin {
            name: nhwc.clone(),
            image,
        };
        self.nhwc_twins.insert(name.to_owned(), known);
        nhwc
    }

    /// The NHWC twin of a value that is known to be an image.
    fn image(&self, name: &str) -> Option<&str> {
        let nhwc = self.nhwc_twins.get(name).filter(|nhwc| nhwc.image)?;
        Some(&nhwc.name)
    }

    /// Makes the value itself, if there is only its NHWC twin.
    fn need(&mut self, name: &str) {
        if self.lazy.remove(name) {
            let nhwc = self.nhwc_twins[name].name.clone();
            self.nodes
                .push(ops::node(ops::CHANNELS_FIRST, &[&nhwc], name));
        } else if let Some(other) = self.renamed.remove(name) {
            // A graph output: it must keep its name.
            self.nodes.push(node("Identity", &[&other], name));
        }
    }

    fn set_nhwc_twin(&mut self, name: &str, nhwc: &str, image: bool) {
        let nhwc = NhwcTwin {
            name: nhwc.to_owned(),
            image,
        };
        self.nhwc_twins.insert(name.to_owned(), nhwc);
        self.lazy.insert(name.to_owned());
    }

    /// Adds a node whose inputs are NHWC already; its output becomes one.
    fn push_nhwc(&mut self, mut node: NodeProto) {
        let name = std::mem::take(&mut node.output[0]);
        let nhwc = format!("{name}/channels_last");
        node.output[0].clone_from(&nhwc);
        node.name.clone_from(&nhwc);
        self.nodes.push(node);
        self.set_nhwc_twin(&name, &nhwc, true);
    }

    fn transpose(&mut self, node: &NodeProto) -> bool {
        let perm = node.attribute.iter().find(|a| a.name == "perm");
        match perm.map(|perm| &perm.ints[..]) {
            Some([0, 2, 3, 1]) if self.nhwc_twins.contains_key(&node.input[0]) => {
                let nhwc = self.last(&node.input[0], true);
                self.renamed.insert(node.output[0].clone(), nhwc);
                true
            }
            Some([0, 3, 1, 2]) => {
                self.need(&node.input[0]);
                self.set_nhwc_twin(&node.output[0], &node.input[0], true);
                true
            }
            // Of a value of three axes, whose twin is not known to be an image.
            Some([0, 2, 1]) if self.nhwc_twins.contains_key(&node.input[0]) => {
                let nhwc = self.last(&node.input[0], false);
                self.renamed.insert(node.output[0].clone(), nhwc);
                true
            }
            _ => false,
        }
    }

    /// An image whose rows and columns become one axis, as the tokens of a transformer are.
    fn pixels_in_a_row(&mut self, node: &NodeProto) -> bool {
        let Some(nhwc) = self.image(&node.input[0]).map(str::to_owned) else {
            return false;
        };
        if int(node, "allowzero").unwrap_or(0) != 0 || !self.keeps_two(&node.input[1], &nhwc) {
            return false;
        }
        let name = |part: &str| format!("{}/{part}", node.output[0]);
        let [sizes, images, channels, shape, row] =
            ["sizes", "images", "channels", "shape", "channels_last"].map(name);
        let first = self.constant_list("easel/channels_last/images", &[0]);
        let last = self.constant_list("easel/channels_last/channels", &[3]);
        let rest = self.constant_list("easel/channels_last/rest", &[-1]);
        let mut joined = super::node("Concat", &[&images, &rest, &channels], &shape);
        joined.attribute = vec![int_attribute("axis", 0)];
        self.nodes.extend([
            super::node("Shape", &[&nhwc], &sizes),
            super::node("Gather", &[&sizes, &first], &images),
            super::node("Gather", &[&sizes, &last], &channels),
            joined,
            super::node("Reshape", &[&nhwc, &shape], &row),
        ]);
        self.set_nhwc_twin(&node.output[0], &row, false);
        true
    }

    /// Whether a shape is that of the image with this twin, `[n, c, h, w]`, but for the last two axes, which are one.
    fn keeps_two(&self, shape: &str, nhwc: &str) -> bool {
        let list = |name: &str| self.constants.get(name).and_then(integers);
        if let Some(shape) = list(shape) {
            return shape == [0, 0, -1];
        }
        let found = || {
            let [kept, rest] = &self.made_by(shape, "Concat")?.input[..] else {
                return None;
            };
            let slice = &self.made_by(kept, "Slice")?.input[..];
            let bounds = list(slice.get(1)?)? == [0] && list(slice.get(2)?)? == [2];
            let sizes = &self.made_by(&slice[0], "Gather")?.input[..];
            let of_image = self.made_by(&sizes[0], "Shape")?.input[0] == nhwc;
            let in_order = list(&sizes[1])? == [0, 3, 1, 2];
            let plain = slice.len() <= 4;
            Some(plain && bounds && of_image && in_order && list(rest)? == [-1])
        };
        found() == Some(true)
    }

    /// The node that makes the value, if it is of this kind.
    fn made_by(&self, name: &str, op: &str) -> Option<&NodeProto> {
        let made = |node: &&NodeProto| node.output.first().is_some_and(|output| output == name);
        let maker = self.nodes.iter().rev().find(made);
        maker.filter(|node| node.op_type == op)
    }

    fn shape(&mut self, node: &NodeProto) -> bool {
        if !node.attribute.is_empty() || !self.lazy.contains(&node.input[0]) {
            return false;
        }
        let Some(nhwc) = self.image(&node.input[0]).map(str::to_owned) else {
            return false;
        };
        let last = format!("{}/channels_last", node.output[0]);
        self.nodes.push(super::node("Shape", &[&nhwc], &last));
        let order = self.constant_list("easel/channels_last/first", &[0, 3, 1, 2]);
        self.nodes
            .push(super::node("Gather", &[&last, &order], &node.output[0]));
        true
    }

    fn element_wise(&mut self, node: &NodeProto) -> bool {
        if node.input.iter().all(|name| self.image(name).is_none()) {
            return false;
        }
        // All must be images, numbers, or something that can be permuted: [n, c, 1, 1], or constants of its channels.
        let inputs: Option<Vec<String>> = node
            .input
            .clone()
            .iter()
            .map(|name| self.operand(name))
            .collect();
        let Some(inputs) = inputs else { return false };
        self.push_nhwc(NodeProto {
            input: inputs,
            ..node.clone()
        });
        true
    }

    /// What an element-wise node reads instead of `name` when it works on NHWC twins.
    fn operand(&mut self, name: &str) -> Option<String> {
        if let Some(nhwc) = self.image(name) {
            return Some(nhwc.to_owned());
        }
        if name.is_empty() {
            return Some(String::new());
        }
        if let Some(constant) = self.constants.get(name) {
            let dims = &constant.dims[..];
            let count: i64 = dims.iter().product();
            return match dims {
                _ if count == 1 && dims.len() <= 4 => Some(name.to_owned()),
                [_, 1, 1] | [1, _, 1, 1] => {
                    let nhwc = format!("{name}/channels_last");
                    if !self.constants.contains_key(&nhwc) {
                        let row = TensorProto {
                            name: nhwc.clone(),
                            dims: vec![count],
                            ..constant.clone()
                        };
                        self.constants.insert(nhwc.clone(), row.clone());
                        self.made.push(row);
                    }
                    Some(nhwc)
                }
                _ => None,
            };
        }
        // A time embedding: Unsqueeze(Unsqueeze([n, c])).
        let unsqueezed = self.made_by(name, "Unsqueeze").is_some();
        unsqueezed.then(|| self.last(name, true))
    }

    fn concat(&mut self, node: &NodeProto) -> bool {
        let axis = node
            .attribute
            .iter()
            .find(|a| a.name == "axis")
            .map(|a| a.i);
        let images: Option<Vec<String>> = node
            .input
            .iter()
            .map(|name| self.image(name).map(str::to_owned))
            .collect();
        let (Some(1 | -3), Some(input)) = (axis, images) else {
            return false;
        };
        self.push_nhwc(NodeProto {
            input,
            ..ops::node("EaselConcat", &[], &node.output[0])
        });
        true
    }

    /// A crop: `Slice` of rows and columns, axes 2 and 3.
    fn slice(&mut self, node: &NodeProto) -> bool {
        let Some(nhwc) = self.image(&node.input[0]).map(str::to_owned) else {
            return false;
        };
        let axes = node.input.get(3).and_then(|name| self.constants.get(name));
        if axes.and_then(integers).as_deref() != Some(&[2, 3]) {
            return false;
        }
        let mut node = node.clone();
        node.input[0] = nhwc;
        node.input[3] = self.constant_list("easel/channels_last/rows_and_columns", &[1, 2]);
        node.input[1..3].iter().for_each(|name| self.need(name));
        self.push_nhwc(node);
        true
    }

    fn constant_list(&mut self, name: &str, values: &[i64]) -> String {
        if !self.constants.contains_key(name) {
            let tensor = TensorProto {
                name: name.to_owned(),
                dims: vec![values.len() as i64],
                data_type: DataType::Int64 as i32,
                int64_data: values.to_vec(),
                ..TensorProto::default()
            };
            self.constants.insert(name.to_owned(), tensor.clone());
            self.made.push(tensor);
        }
        name.to_owned()
    }
}

/// The values of an int64 tensor.
fn integers(tensor: &TensorProto) -> Option<Vec<i64>> {
    if tensor.data_type != DataType::Int64 as i32 {
        return None;
    }
    if tensor.raw_data.is_empty() {
        return Some(tensor.int64_data.clone());
    }
    let values = tensor.raw_data.as_chunks::<8>().0.iter();
    Some(values.map(|b| i64::from_le_bytes(*b)).collect())
}

#[cfg(test)]
mod tests;
