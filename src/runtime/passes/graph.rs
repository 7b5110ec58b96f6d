//! What passes ask of a graph, and how they change it.
//!
//! A pass looks with a [`View`], notes in [`Edits`] what it wants, and applies those at once. A fusion replaces one node,
//! the last of those that it stands for; the others go because nobody reads them any more.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, attribute_proto::AttributeType,
    tensor_proto::DataType,
};

/// A graph by the names of its values.
pub(super) struct View<'g> {
    makers: HashMap<&'g str, &'g NodeProto>,
    readers: HashMap<&'g str, Vec<&'g NodeProto>>,
    constants: HashMap<&'g str, &'g TensorProto>,
    outputs: HashSet<&'g str>,
    /// What [`is_single`](Self::is_single) found so far: without it, sums of sums of the same would take for ever.
    singles: RefCell<HashMap<String, bool>>,
}

impl<'g> View<'g> {
    pub(super) fn new(graph: &'g GraphProto) -> Self {
        let mut makers = HashMap::new();
        let mut readers: HashMap<_, Vec<_>> = HashMap::new();
        for node in &graph.node {
            // Outputs that are left out have no name.
            let outputs = node.output.iter().filter(|name| !name.is_empty());
            makers.extend(outputs.map(|name| (name.as_str(), node)));
            each_read(node, &mut |name| {
                readers.entry(name).or_default().push(node)
            });
        }
        Self {
            makers,
            readers,
            constants: by_name(&graph.initializer),
            outputs: graph.output.iter().map(|o| o.name.as_str()).collect(),
            singles: RefCell::default(),
        }
    }

    /// The node that makes the value, if it is of this kind.
    pub(super) fn made_by(&self, value: &str, op: &str) -> Option<&'g NodeProto> {
        self.maker(value).filter(|node| node.op_type == op)
    }

    /// The node that makes the value.
    pub(super) fn maker(&self, value: &str) -> Option<&'g NodeProto> {
        self.makers.get(value).copied()
    }

    /// The `DequantizeLinear` that makes a value, be it that a network of halves casts what it gives to them.
    pub(super) fn dequantized(&self, value: &str) -> Option<&'g NodeProto> {
        let floats = [DataType::Float, DataType::Float16, DataType::Bfloat16];
        let cast = self.made_by(value, "Cast").filter(|cast| {
            int(cast, "to").is_some_and(|to| floats.map(|kind| kind as i64).contains(&to))
        });
        let value = cast
            .and_then(|cast| cast.input.first())
            .map_or(value, String::as_str);
        self.made_by(value, "DequantizeLinear")
    }

    /// Whether it is an output of the graph.
    pub(super) fn is_output(&self, value: &str) -> bool {
        self.outputs.contains(value)
    }

    /// Who reads the value, a node once for each time.
    pub(super) fn readers(&self, value: &str) -> &[&'g NodeProto] {
        self.readers.get(value).map_or(&[], Vec::as_slice)
    }

    /// The only one that reads the value.
    pub(super) fn reader(&self, value: &str) -> Option<&'g NodeProto> {
        match self.readers(value) {
            [node] if !self.is_output(value) => Some(node),
            _ => None,
        }
    }

    /// Those that read the elements of an inner value: all but `Shape`. None for an output of the graph.
    pub(super) fn element_readers(&self, value: &str) -> Vec<&'g NodeProto> {
        if self.is_output(value) {
            return Vec::new();
        }
        let readers = self.readers(value).iter().copied();
        readers.filter(|node| node.op_type != "Shape").collect()
    }

    /// The only one that reads the elements of a value, if it is of this kind.
    pub(super) fn element_reader(&self, value: &str, op: &str) -> Option<&'g NodeProto> {
        match self.element_readers(value)[..] {
            [node] if node.op_type == op => Some(node),
            _ => None,
        }
    }

    pub(super) fn constant(&self, value: &str) -> Option<&'g TensorProto> {
        self.constants.get(value).copied()
    }

    /// The values of a constant of integers, perhaps behind an `Unsqueeze`, as tracers leave numbers that are to be lists.
    pub(super) fn integers(&self, value: &str) -> Option<Vec<i64>> {
        let tensor = match self.made_by(value, "Unsqueeze") {
            Some(list) => self.constant(list.input.first()?)?,
            None => self.constant(value)?,
        };
        integers(tensor)
    }

    /// The value of a constant of one element, perhaps behind a `Cast`.
    pub(super) fn number(&self, value: &str) -> Option<f32> {
        let cast = self.made_by(value, "Cast");
        let tensor = match cast {
            Some(cast) => self.constant(cast.input.first()?)?,
            None => self.constant(value)?,
        };
        if tensor.dims.iter().product::<i64>() != 1 {
            return None;
        }
        let integer = || integers(tensor).map(|values| values.iter().map(|v| *v as f32).collect());
        let values: Vec<f32> = floats(tensor).or_else(integer)?;
        values.first().copied()
    }

    /// Whether it is this number, as exactly as fp16 has it.
    pub(super) fn is(&self, value: &str, expected: f32) -> bool {
        let close = |found: f32| (found - expected).abs() <= expected.abs() * 1e-3;
        self.number(value).is_some_and(close)
    }

    /// What the node computes with beside this number, whose place is free in `Add` and `Mul` and the second otherwise.
    pub(super) fn beside(&self, node: &'g NodeProto, number: f32) -> Option<&'g str> {
        let [a, b] = &node.input[..] else { return None };
        let commutes = matches!(node.op_type.as_str(), "Add" | "Mul");
        if self.is(b, number) {
            Some(a)
        } else if commutes && self.is(a, number) {
            Some(b)
        } else {
            None
        }
    }

    /// Whether the value has one element whatever the inputs are: a constant, or computed from a size.
    pub(super) fn is_single(&self, value: &str) -> bool {
        /// More axes could make a product larger in rank.
        const MOST_AXES: usize = 3;
        if let Some(tensor) = self.constant(value) {
            return tensor.dims.iter().all(|dim| *dim == 1) && tensor.dims.len() <= MOST_AXES;
        }
        let Some(node) = self.maker(value) else {
            return false;
        };
        if let Some(found) = self.singles.borrow().get(value) {
            return *found;
        }
        let found = self.makes_single(node);
        self.singles.borrow_mut().insert(value.to_owned(), found);
        found
    }

    fn makes_single(&self, node: &NodeProto) -> bool {
        let of_shape = || node.input.first().is_some_and(|list| self.is_sizes(list));
        match node.op_type.as_str() {
            "Cast" | "Sqrt" | "Reciprocal" => node.input.iter().all(|name| self.is_single(name)),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" => {
                node.input.iter().all(|name| self.is_single(name))
            }
            "Gather" => of_shape() && node.input.get(1).is_some_and(|index| self.is_single(index)),
            "Slice" if of_shape() && node.input.len() >= 3 => {
                let [start, end] = [1, 2].map(|i| self.integers(&node.input[i]));
                match (start.as_deref(), end.as_deref()) {
                    (Some([-1]), Some([end])) => *end > i64::from(i16::MAX),
                    (Some([start]), Some([end])) => end - start == 1 && (*start >= 0 || *end < 0),
                    _ => false,
                }
            }
            _ => false,
        }
    }
}

impl View<'_> {
    /// Whether the value is a list of sizes: a shape, or some of one.
    fn is_sizes(&self, value: &str) -> bool {
        let Some(node) = self.maker(value) else {
            return false;
        };
        match (node.op_type.as_str(), &node.input[..]) {
            ("Shape", _) => true,
            // As ONNX Runtime writes the shape of a transposed value.
            ("Gather", [shape, places]) => {
                let list = self
                    .constant(places)
                    .is_some_and(|places| places.dims.len() == 1);
                list && self.made_by(shape, "Shape").is_some()
            }
            _ => false,
        }
    }
}

/// What a pass wants changed.
#[derive(Default)]
pub(super) struct Edits {
    replaced: HashMap<String, Vec<NodeProto>>,
    renamed: HashMap<String, String>,
    constants: Vec<TensorProto>,
}

impl Edits {
    /// Puts these nodes, the last of which makes `value`, in the place of the one that made it.
    pub(super) fn replace(&mut self, value: &str, nodes: Vec<NodeProto>) {
        self.replaced.insert(value.to_owned(), nodes);
    }

    /// Makes those that read `value` read `other`. An output of the graph keeps its name and may not be renamed.
    pub(super) fn rename(&mut self, value: &str, other: &str) {
        self.renamed.insert(value.to_owned(), other.to_owned());
    }

    pub(super) fn constant(&mut self, tensor: TensorProto) {
        self.constants.push(tensor);
    }

    /// Changes the graph, and removes what nobody reads then.
    pub(super) fn apply(mut self, graph: &mut GraphProto) {
        if self.replaced.is_empty() && self.renamed.is_empty() {
            return;
        }
        for node in std::mem::take(&mut graph.node) {
            let value = node.output.first();
            match value.and_then(|value| self.replaced.remove(value)) {
                Some(nodes) => graph.node.extend(nodes),
                None => graph.node.push(node),
            }
        }
        if !self.renamed.is_empty() {
            self.resolve();
            graph.node.iter_mut().for_each(|node| self.rename_in(node));
        }
        graph.initializer.extend(self.constants);
        drop_unread(graph);
    }

    /// Makes each new name the last of its chain, so that a long one is followed once.
    fn resolve(&mut self) {
        let names: Vec<String> = self.renamed.keys().cloned().collect();
        for name in names {
            let mut chain = vec![name];
            // A graph has no circles.
            while let Some(next) = self.renamed.get(&chain[chain.len() - 1]) {
                chain.push(next.clone());
            }
            let last = chain.pop().unwrap_or_default();
            let renamed = chain.into_iter().map(|name| (name, last.clone()));
            self.renamed.extend(renamed);
        }
    }

    fn rename_in(&self, node: &mut NodeProto) {
        for name in &mut node.input {
            if let Some(last) = self.renamed.get(name) {
                name.clone_from(last);
            }
        }
        for attribute in &mut node.attribute {
            let graphs = attribute.g.iter_mut().chain(&mut attribute.graphs);
            graphs
                .flat_map(|graph| &mut graph.node)
                .for_each(|node| self.rename_in(node));
        }
    }
}

/// Removes nodes and constants that no output of the graph depends on.
pub(in crate::runtime) fn drop_unread(graph: &mut GraphProto) {
    let makers: HashMap<&str, usize> = graph
        .node
        .iter()
        .enumerate()
        .flat_map(|(index, node)| node.output.iter().map(move |name| (name.as_str(), index)))
        .collect();
    let mut read = HashSet::new();
    let mut kept = vec![false; graph.node.len()];
    let mut waiting: Vec<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    while let Some(name) = waiting.pop() {
        if read.insert(name.to_owned())
            && let Some(&index) = makers.get(name)
            && !std::mem::replace(&mut kept[index], true)
        {
            each_read(&graph.node[index], &mut |name| waiting.push(name));
        }
    }
    let mut kept = kept.into_iter();
    graph.node.retain(|_| kept.next().unwrap_or(true));
    // In old files constants are declared as inputs too; without its value such a one would have to be given.
    let gone: HashSet<String> = graph
        .initializer
        .extract_if(.., |tensor| !read.contains(&tensor.name))
        .map(|tensor| tensor.name)
        .collect();
    graph.input.retain(|input| !gone.contains(&input.name));
}

/// Whether the graph is one: what nodes read is made before them, nothing is made twice, and the outputs are there.
pub(in crate::runtime) fn check(graph: &GraphProto) -> Result<(), String> {
    let inputs = graph.input.iter().map(|input| input.name.as_str());
    let constants = graph.initializer.iter().map(|tensor| tensor.name.as_str());
    let mut made: HashSet<&str> = inputs.chain(constants).collect();
    for node in &graph.node {
        let missing = node
            .input
            .iter()
            .find(|name| !name.is_empty() && !made.contains(name.as_str()));
        if let Some(name) = missing {
            return Err(format!(
                "node `{}` reads `{name}`, which is not there",
                node.name
            ));
        }
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if !made.insert(name) {
                return Err(format!("`{name}` is made twice"));
            }
        }
    }
    match graph
        .output
        .iter()
        .find(|output| !made.contains(output.name.as_str()))
    {
        Some(output) => Err(format!("nobody makes the output `{}`", output.name)),
        None => Ok(()),
    }
}

/// Calls `found` with each value that the node reads, also inside its branches and loops.
pub(in crate::runtime) fn each_read<'n>(node: &'n NodeProto, found: &mut dyn FnMut(&'n str)) {
    let inputs = node.input.iter().filter(|name| !name.is_empty());
    inputs.for_each(|name| found(name));
    for attribute in &node.attribute {
        for graph in attribute.g.iter().chain(&attribute.graphs) {
            graph.output.iter().for_each(|output| found(&output.name));
            graph.node.iter().for_each(|node| each_read(node, found));
        }
    }
}

/// The version of ONNX's own operators that the network uses.
pub(in crate::runtime) fn opset(model: &ModelProto) -> i64 {
    let own = model
        .opset_import
        .iter()
        .find(|o| o.domain.is_empty() || o.domain == "ai.onnx");
    own.map_or(0, |opset| opset.version)
}

/// What a node of two inputs computes with beside this one.
pub(super) fn other<'n>(node: &'n NodeProto, value: &str) -> Option<&'n str> {
    match &node.input[..] {
        [a, b] if a == value => Some(b),
        [a, b] if b == value => Some(a),
        _ => None,
    }
}

/// Constants by name.
pub(super) fn by_name(initializers: &[TensorProto]) -> HashMap<&str, &TensorProto> {
    let named = initializers.iter().map(|t| (t.name.as_str(), t));
    named.collect()
}

/// An attribute that is an integer.
pub(in crate::runtime) fn int(node: &NodeProto, name: &str) -> Option<i64> {
    node.attribute.iter().find(|a| a.name == name).map(|a| a.i)
}

/// An attribute that is a number.
pub(super) fn float(node: &NodeProto, name: &str) -> Option<f32> {
    node.attribute.iter().find(|a| a.name == name).map(|a| a.f)
}

/// An attribute that is a list of integers.
pub(in crate::runtime) fn ints<'n>(node: &'n NodeProto, name: &str) -> Option<&'n [i64]> {
    let found = node.attribute.iter().find(|a| a.name == name);
    found.map(|attribute| &attribute.ints[..])
}

pub(super) fn int_attribute(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int as i32,
        i,
        ..AttributeProto::default()
    }
}

pub(super) fn ints_attribute(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: ints.to_vec(),
        ..AttributeProto::default()
    }
}

pub(super) fn float_attribute(name: &str, f: f32) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Float as i32,
        f,
        ..AttributeProto::default()
    }
}

pub(super) fn text_attribute(name: &str, text: &str) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::String as i32,
        s: text.as_bytes().to_vec(),
        ..AttributeProto::default()
    }
}

/// A constant of floats.
pub(super) fn float_tensor(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
        raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..TensorProto::default()
    }
}

/// The values of an fp32 tensor.
pub(super) fn floats(tensor: &TensorProto) -> Option<Vec<f32>> {
    if tensor.data_type != DataType::Float as i32 {
        None
    } else if tensor.raw_data.is_empty() {
        Some(tensor.float_data.clone())
    } else {
        Some(crate::weights::to_f32(&tensor.raw_data))
    }
}

/// The values of an int64 or int32 tensor.
pub(super) fn integers(tensor: &TensorProto) -> Option<Vec<i64>> {
    let raw = &tensor.raw_data;
    Some(match DataType::try_from(tensor.data_type).ok()? {
        DataType::Int64 if raw.is_empty() => tensor.int64_data.clone(),
        DataType::Int64 => {
            let values = raw.as_chunks::<8>().0.iter();
            values.map(|b| i64::from_le_bytes(*b)).collect()
        }
        DataType::Int32 if raw.is_empty() => {
            tensor.int32_data.iter().map(|v| i64::from(*v)).collect()
        }
        DataType::Int32 => {
            let values = raw.as_chunks::<4>().0.iter();
            values.map(|b| i64::from(i32::from_le_bytes(*b))).collect()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
