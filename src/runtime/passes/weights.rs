//! Makes products with constant weights ours, before a weight becomes a tensor.
//!
//! ```text
//! MatMul(x, W) [Add bias]      ─►  EaselLinear(x)      weight = n        W: fp32, fp16, or DequantizeLinear of int8 or
//! Gemm(x, W, bias)             ─►  EaselLinear(x)      weight = n           uint8 with a scale for all or for each
//! Conv(x, W, bias)             ─►  EaselConv2d(x)      weight = n           output channel
//! ```
//!
//! `n` is a place in [`Setting::weights`], where the bytes stay in their file until the network is built. What does not fit
//! (grouped, 1-D and 3-D convolutions, scales along another axis) is left as it is.

use std::collections::{HashMap, HashSet};

use easel_kernels::gemm::Order;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, attribute_proto::AttributeType,
    tensor_proto::DataType,
};

use super::Setting;
use crate::runtime::ops;
use crate::weights::{TensorBytes, TensorSource};

/// The weights of one product.
pub(in crate::runtime) struct Weight {
    /// The initializer's, for errors.
    pub(in crate::runtime) name: String,
    pub(in crate::runtime) values: Values,
    pub(in crate::runtime) order: Order,
    /// One a column (output channel).
    pub(in crate::runtime) bias: Option<Vec<f32>>,
}

/// Numbers as a file has them.
pub(in crate::runtime) enum Values {
    F32(TensorBytes),
    F16(TensorBytes),
    /// `scale · (q − zero)`, scale and zero for each column.
    Int8 {
        bytes: TensorBytes,
        signed: bool,
        scales: Vec<f32>,
        zeros: Vec<i32>,
    },
}

pub(super) fn run(model: &mut ModelProto, setting: &mut Setting) -> Result<(), String> {
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let readers = readers(graph);
    let makers = makers(graph);
    let indices = graph.initializer.iter().enumerate();
    let initializers: HashMap<String, usize> =
        indices.map(|(index, t)| (t.name.clone(), index)).collect();
    let mut biased = HashSet::new();
    for index in 0..graph.node.len() {
        let Some(product) = Product::of(graph, &initializers, &makers, index) else {
            continue;
        };
        let node = &graph.node[index];
        let fail = |problem| format!("node `{}`: {problem}", node.name);
        let tensors = &mut setting.tensors;
        let mut bias = None;
        if let Some(name) = product.bias {
            match constant_row(tensors, graph, &initializers, &name, product.order.n.0)
                .map_err(fail)?
            {
                Some(values) => bias = Some(values),
                None => continue,
            }
        }
        let Some(values) = product
            .weight
            .values(tensors, graph, &product.order)
            .map_err(fail)?
        else {
            continue;
        };
        let mut output = node.output[0].clone();
        if product.op == "EaselLinear"
            && bias.is_none()
            && let Some((add, name)) = following_bias(graph, &readers, &output)
            && let Some(values) =
                constant_row(tensors, graph, &initializers, &name, product.order.n.0)
                    .map_err(fail)?
        {
            output.clone_from(&graph.node[add].output[0]);
            biased.insert(add);
            bias = Some(values);
        }
        let mut made = ops::node(product.op, &[&node.input[0]], &output);
        made.attribute = product.attributes;
        made.attribute
            .push(integers("weight", &[setting.weights.len()]));
        made.attribute
            .push(integers("columns", &[product.order.n.0]));
        made.attribute
            .push(integers("depth", &[product.order.k[2].0]));
        setting.weights.push(Weight {
            name: graph.initializer[product.weight.tensor].name.clone(),
            values,
            order: product.order,
            bias,
        });
        graph.node[index] = made;
    }
    let mut index = 0;
    graph.node.retain(|_| {
        index += 1;
        !biased.contains(&(index - 1))
    });
    drop_unread(graph);
    Ok(())
}

/// A product with constant weights, as found.
struct Product {
    op: &'static str,
    weight: Constant,
    bias: Option<String>,
    order: Order,
    attributes: Vec<AttributeProto>,
}

/// An initializer, perhaps behind a `DequantizeLinear`.
struct Constant {
    tensor: usize,
    quantized: Option<Quantized>,
}

/// By initializer.
struct Quantized {
    scale: usize,
    zero: Option<usize>,
    axis: i64,
}

impl Product {
    fn of(
        graph: &GraphProto,
        initializers: &HashMap<String, usize>,
        makers: &HashMap<String, usize>,
        index: usize,
    ) -> Option<Self> {
        let node = &graph.node[index];
        if !matches!(node.op_type.as_str(), "MatMul" | "Gemm" | "Conv") {
            return None;
        }
        let weight = Constant::of(graph, initializers, makers, node.input.get(1)?)?;
        let dims: Vec<usize> = graph.initializer[weight.tensor]
            .dims
            .iter()
            .map(|d| usize::try_from(*d).ok())
            .collect::<Option<_>>()?;
        let bias = node.input.get(2).filter(|name| !name.is_empty()).cloned();
        match (node.op_type.as_str(), &dims[..]) {
            ("MatMul", &[k, n]) => Some(Self {
                op: "EaselLinear",
                weight,
                bias: None,
                order: Order::rows_first(k, n),
                attributes: Vec::new(),
            }),
            ("Gemm", &[rows, columns]) => {
                let one = |name| float(node, name).is_none_or(|value| value == 1.0);
                if !one("alpha") || !one("beta") || integer(node, "transA").unwrap_or(0) != 0 {
                    return None;
                }
                let order = if integer(node, "transB").unwrap_or(0) != 0 {
                    Order::columns_first(rows, columns)
                } else {
                    Order::rows_first(rows, columns)
                };
                Some(Self {
                    op: "EaselLinear",
                    weight,
                    bias,
                    order,
                    attributes: Vec::new(),
                })
            }
            ("Conv", &[n, channels, height, width]) => {
                let auto_pad = node.attribute.iter().find(|a| a.name == "auto_pad");
                let padded = auto_pad.is_none_or(|a| a.s == b"NOTSET");
                if integer(node, "group").unwrap_or(1) != 1 || !padded {
                    return None;
                }
                let list = |name: &str, default: &[usize]| {
                    let found = node.attribute.iter().find(|a| a.name == name);
                    let Some(found) = found.filter(|a| !a.ints.is_empty()) else {
                        return Some(integers(name, default));
                    };
                    let values = found.ints.iter().map(|v| usize::try_from(*v).ok());
                    let values: Vec<usize> = values.collect::<Option<_>>()?;
                    (values.len() == default.len()).then(|| integers(name, &values))
                };
                let attributes = vec![
                    integers("kernel", &[height, width]),
                    list("strides", &[1, 1])?,
                    list("dilations", &[1, 1])?,
                    list("pads", &[0, 0, 0, 0])?,
                ];
                Some(Self {
                    op: "EaselConv2d",
                    weight,
                    bias,
                    order: Order::convolution([n, channels, height, width]),
                    attributes,
                })
            }
            _ => None,
        }
    }
}

impl Constant {
    fn of(
        graph: &GraphProto,
        initializers: &HashMap<String, usize>,
        makers: &HashMap<String, usize>,
        name: &str,
    ) -> Option<Self> {
        if let Some(tensor) = initializers.get(name) {
            return Some(Self {
                tensor: *tensor,
                quantized: None,
            });
        }
        let node = &graph.node[*makers.get(name)?];
        let initializer = |at: usize| {
            node.input
                .get(at)
                .and_then(|name| initializers.get(name))
                .copied()
        };
        let blocked = integer(node, "block_size").is_some_and(|size| size != 0);
        if node.op_type != "DequantizeLinear" || blocked {
            return None;
        }
        let zero_is_there = node.input.get(2).is_some_and(|name| !name.is_empty());
        let zero = initializer(2);
        if zero_is_there && zero.is_none() {
            return None;
        }
        Some(Self {
            tensor: initializer(0)?,
            quantized: Some(Quantized {
                scale: initializer(1)?,
                zero,
                axis: integer(node, "axis").unwrap_or(1),
            }),
        })
    }

    /// The numbers, or `None` for kinds that are not ours.
    fn values(
        &self,
        tensors: &mut TensorSource,
        graph: &GraphProto,
        order: &Order,
    ) -> Result<Option<Values>, String> {
        let kind = DataType::try_from(graph.initializer[self.tensor].data_type).ok();
        let (n, k) = (order.n.0, order.depth());
        let Some(quantized) = &self.quantized else {
            let width = match kind {
                Some(DataType::Float) => 4,
                Some(DataType::Float16) => 2,
                _ => return Ok(None),
            };
            let tensor = &graph.initializer[self.tensor];
            if tensor.raw_data.is_empty() && tensor.external_data.is_empty() {
                return Ok(None); // the rare form of numbers in a list
            }
            let bytes = bytes(tensors, &graph.initializer[self.tensor], n * k * width)?;
            return Ok(Some(if width == 4 {
                Values::F32(bytes)
            } else {
                Values::F16(bytes)
            }));
        };
        let signed = match kind {
            Some(DataType::Int8) => true,
            Some(DataType::Uint8) => false,
            _ => return Ok(None),
        };
        let rank = graph.initializer[self.tensor].dims.len() as i64;
        let axis = if quantized.axis < 0 {
            quantized.axis + rank
        } else {
            quantized.axis
        };
        let columns_axis = if order.n.1 == 1 && rank == 2 { 1 } else { 0 };
        let Some(mut scales) = tensors.floats(&graph.initializer[quantized.scale])? else {
            return Ok(None);
        };
        if scales.len() != 1 && (scales.len() != n || axis != columns_axis) {
            return Ok(None);
        }
        let mut zeros = match quantized.zero {
            None => vec![0],
            Some(zero) => small_integers(tensors, &graph.initializer[zero])?,
        };
        for (name, found) in [("scales", scales.len()), ("zero points", zeros.len())] {
            if found != 1 && found != n {
                return Err(format!("{found} {name} for {n} output channels"));
            }
        }
        if scales.len() == 1 {
            scales = vec![scales[0]; n];
        }
        if zeros.len() == 1 {
            zeros = vec![zeros[0]; n];
        }
        let tensor = &graph.initializer[self.tensor];
        if tensor.raw_data.is_empty() && tensor.external_data.is_empty() && n * k > 0 {
            return Ok(None);
        }
        let bytes = bytes(tensors, &graph.initializer[self.tensor], n * k)?;
        Ok(Some(Values::Int8 {
            bytes,
            signed,
            scales,
            zeros,
        }))
    }
}

/// The tensor's bytes, kept where they are; those inside the network's file are copied, as others may read them too.
fn bytes(
    tensors: &mut TensorSource,
    tensor: &TensorProto,
    expected: usize,
) -> Result<TensorBytes, String> {
    let bytes = tensors
        .take(&mut tensor.clone())
        .map_err(|problem| format!("tensor `{}`: {problem}", tensor.name))?;
    let found = bytes.as_slice().len();
    if found == expected {
        Ok(bytes)
    } else {
        Err(format!(
            "tensor `{}`: shape {:?} needs {expected} bytes, there are {found}: export the model again",
            tensor.name, tensor.dims
        ))
    }
}

/// The values of a small int8 or uint8 tensor.
fn small_integers(tensors: &mut TensorSource, tensor: &TensorProto) -> Result<Vec<i32>, String> {
    let bytes = tensors.take(&mut tensor.clone())?;
    let bytes = bytes.as_slice().iter();
    match DataType::try_from(tensor.data_type) {
        Ok(DataType::Int8 | DataType::Uint8) if bytes.len() == 0 => Ok(tensor.int32_data.clone()),
        Ok(DataType::Int8) => Ok(bytes.map(|b| i32::from(b.cast_signed())).collect()),
        Ok(DataType::Uint8) => Ok(bytes.map(|b| i32::from(*b)).collect()),
        _ => Err(format!("zero point `{}` is not of 8 bits", tensor.name)),
    }
}

/// A constant `[n]` (or `[1, …, n]`); `None` if it is something else.
fn constant_row(
    tensors: &mut TensorSource,
    graph: &GraphProto,
    initializers: &HashMap<String, usize>,
    name: &str,
    n: usize,
) -> Result<Option<Vec<f32>>, String> {
    let Some(index) = initializers.get(name) else {
        return Ok(None);
    };
    let tensor = &graph.initializer[*index];
    let row = tensor.dims.last() == Some(&(n as i64))
        && tensor.dims.iter().rev().skip(1).all(|d| *d == 1);
    // A row of higher rank than the product would make that larger: 2 axes are the least a product has.
    if !row || tensor.dims.len() > 2 {
        return Ok(None);
    }
    let values = tensors
        .floats(tensor)
        .map_err(|p| format!("tensor `{name}`: {p}"))?;
    Ok(values.filter(|values| values.len() == n))
}

/// The `Add` that alone reads a product, and its other input.
fn following_bias(
    graph: &GraphProto,
    readers: &HashMap<String, Vec<usize>>,
    product: &str,
) -> Option<(usize, String)> {
    let &[add] = &readers.get(product)?[..] else {
        return None;
    };
    let node = graph.node.get(add)?;
    let [a, b] = &node.input[..] else { return None };
    let other = if a == product { b } else { a };
    (node.op_type == "Add" && other != product).then(|| (add, other.clone()))
}

/// Nodes by what they read; a graph's output counts as read by a node beyond the last.
fn readers(graph: &GraphProto) -> HashMap<String, Vec<usize>> {
    let mut readers: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        for name in &node.input {
            readers.entry(name.clone()).or_default().push(index);
        }
    }
    for output in &graph.output {
        let beyond = graph.node.len();
        readers.entry(output.name.clone()).or_default().push(beyond);
    }
    readers
}

fn makers(graph: &GraphProto) -> HashMap<String, usize> {
    let nodes = graph.node.iter().enumerate();
    let outputs =
        nodes.flat_map(|(index, node)| node.output.iter().map(move |name| (name.clone(), index)));
    outputs.collect()
}

/// Removes what nobody reads: dequantizations, then initializers.
fn drop_unread(graph: &mut GraphProto) {
    let mut read: HashSet<String> = graph.node.iter().flat_map(|n| &n.input).cloned().collect();
    read.extend(graph.output.iter().map(|o| o.name.clone()));
    graph.node.retain(|n| {
        n.op_type != "DequantizeLinear" || n.output.iter().any(|name| read.contains(name))
    });
    let mut read: HashSet<String> = graph.node.iter().flat_map(|n| &n.input).cloned().collect();
    read.extend(graph.output.iter().map(|o| o.name.clone()));
    graph.initializer.retain(|t| read.contains(&t.name));
}

fn integer(node: &NodeProto, name: &str) -> Option<i64> {
    node.attribute.iter().find(|a| a.name == name).map(|a| a.i)
}

fn float(node: &NodeProto, name: &str) -> Option<f32> {
    node.attribute.iter().find(|a| a.name == name).map(|a| a.f)
}

fn integers(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: values.iter().map(|v| *v as i64).collect(),
        ..AttributeProto::default()
    }
}
