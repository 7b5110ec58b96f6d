//! Makes products with constant weights ours, before a weight becomes a tensor.
//!
//! ```text
//! MatMul(x, W) [Add bias]      ─►  EaselLinear(x)      weight = n        W: fp32, fp16, bfloat16, or DequantizeLinear of int8 or
//! Gemm(x, W, bias)             ─►  EaselLinear(x)      weight = n           uint8 with a scale for all or for each
//! Conv(x, W, bias)             ─►  EaselConv2d(x)      weight = n           output channel
//! ```
//!
//! `n` is a place in [`PassContext::weights`], where the bytes stay in their file until the network is built. What does not fit
//! (grouped, 1-D and 3-D convolutions, scales along another axis) is left as it is.

use std::collections::HashSet;

use easel_kernels::gemm::Order;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, attribute_proto::AttributeType,
    tensor_proto::DataType,
};

use super::PassContext;
use super::graph::{Edits, View, float, int, ints, other};
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
    Bf16(TensorBytes),
    /// `scale · (q − zero)`, scale and zero for each column.
    Int8 {
        bytes: TensorBytes,
        signed: bool,
        scales: Vec<f32>,
        zeros: Vec<i32>,
    },
}

pub(super) fn run(model: &mut ModelProto, context: &mut PassContext) -> Result<(), String> {
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let mut edits = Edits::default();
    let view = View::new(graph);
    let constant = constants(graph);
    for node in &graph.node {
        // One of constants alone is computed while the network is built, when weights of ours are not there yet.
        if node
            .input
            .first()
            .is_some_and(|x| constant.contains(x.as_str()))
        {
            continue;
        }
        if let Some(product) = Product::of(&view, node) {
            let replaced = product.replace(&view, node, context, &mut edits);
            replaced.map_err(|problem| format!("node `{}`: {problem}", node.name))?;
        }
    }
    edits.apply(graph);
    Ok(())
}

/// Values that are the same whatever the inputs are.
fn constants(graph: &GraphProto) -> HashSet<&str> {
    let initializers = graph.initializer.iter().map(|tensor| tensor.name.as_str());
    let mut constants: HashSet<&str> = initializers.collect();
    for node in &graph.node {
        let mut inputs = node.input.iter().filter(|name| !name.is_empty());
        if node.op_type != "If" && inputs.all(|name| constants.contains(name.as_str())) {
            constants.extend(node.output.iter().map(String::as_str));
        }
    }
    constants
}

/// A product with constant weights, as found.
struct Product<'g> {
    op: &'static str,
    weight: Constant<'g>,
    bias: Option<&'g str>,
    order: Order,
    attributes: Vec<AttributeProto>,
}

/// An initializer, perhaps behind a `DequantizeLinear`.
struct Constant<'g> {
    tensor: &'g TensorProto,
    quantized: Option<Quantized<'g>>,
}

struct Quantized<'g> {
    scale: &'g TensorProto,
    zero: Option<&'g TensorProto>,
    axis: i64,
}

impl<'g> Product<'g> {
    fn of(view: &View<'g>, node: &'g NodeProto) -> Option<Self> {
        if !matches!(node.op_type.as_str(), "MatMul" | "Gemm" | "Conv") {
            return None;
        }
        let name = node.input.get(1)?;
        // Matrices that are turned around on the way.
        let turned = view
            .made_by(name, "Transpose")
            .filter(|turned| node.op_type == "MatMul" && ints(turned, "perm") == Some(&[1, 0]));
        let name = turned.map_or(Some(name), |turned| turned.input.first())?;
        let weight = Constant::of(view, name)?;
        let dims = weight.tensor.dims.iter();
        let dims: Vec<usize> = dims
            .map(|d| usize::try_from(*d).ok())
            .collect::<Option<_>>()?;
        // More than can be counted is no weight.
        let mut sizes = dims.iter();
        sizes.try_fold(size_of::<f32>(), |all, dim| all.checked_mul(*dim))?;
        let bias = node.input.get(2).filter(|name| !name.is_empty());
        let bias = bias.map(String::as_str);
        match (node.op_type.as_str(), &dims[..]) {
            ("MatMul", &[rows, columns]) => Some(Self {
                op: "EaselLinear",
                weight,
                bias: None,
                order: if turned.is_some() {
                    Order::columns_first(rows, columns)
                } else {
                    Order::rows_first(rows, columns)
                },
                attributes: Vec::new(),
            }),
            ("Gemm", &[rows, columns]) => {
                let one = |name| float(node, name).is_none_or(|value| value == 1.0);
                if !one("alpha") || !one("beta") || int(node, "transA").unwrap_or(0) != 0 {
                    return None;
                }
                let order = if int(node, "transB").unwrap_or(0) != 0 {
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
                if int(node, "group").unwrap_or(1) != 1 || !padded {
                    return None;
                }
                let list = |name: &str, default: &[usize]| {
                    let Some(found) = ints(node, name).filter(|values| !values.is_empty()) else {
                        return Some(integers(name, default));
                    };
                    // Others are not for a network that paints, and sums of them might have no number.
                    let values = found
                        .iter()
                        .map(|v| u16::try_from(*v).ok().map(usize::from));
                    let values: Vec<usize> = values.collect::<Option<_>>()?;
                    (values.len() == default.len()).then(|| integers(name, &values))
                };
                let positive = |list: &AttributeProto| !list.ints.contains(&0);
                let attributes = vec![
                    integers("kernel", &[height, width]),
                    list("strides", &[1, 1]).filter(positive)?,
                    list("dilations", &[1, 1]).filter(positive)?,
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

    /// Puts a node of ours in the place of the product, and of the bias that follows it; leaves what does not fit.
    fn replace(
        self,
        view: &View<'_>,
        node: &NodeProto,
        context: &mut PassContext,
        edits: &mut Edits,
    ) -> Result<(), String> {
        let n = self.order.n.0;
        let tensors = &mut context.tensors;
        let mut output = &node.output[0];
        let mut bias = None;
        if let Some(name) = self.bias {
            bias = row(tensors, view, name, n, false)?;
            if bias.is_none() {
                return Ok(());
            }
        } else if let Some(add) = view.reader(output).filter(|reader| reader.op_type == "Add")
            && let Some(name) = other(add, output)
        {
            bias = row(tensors, view, name, n, self.op == "EaselConv2d")?;
            if bias.is_some() {
                output = &add.output[0];
            }
        }
        let Some(values) = self.weight.values(tensors, &self.order)? else {
            return Ok(());
        };
        let mut made = ops::node(self.op, &[&node.input[0]], output);
        made.attribute = self.attributes;
        made.attribute.extend([
            integers("weight", &[context.weights.len()]),
            integers("columns", &[n]),
            integers("depth", &[self.order.k[2].0]),
        ]);
        edits.replace(output, vec![made]);
        context.weights.push(Weight {
            name: self.weight.tensor.name.clone(),
            values,
            order: self.order,
            bias,
        });
        Ok(())
    }
}

impl<'g> Constant<'g> {
    fn of(view: &View<'g>, name: &str) -> Option<Self> {
        if let Some(tensor) = view.constant(name) {
            return Some(Self {
                tensor,
                quantized: None,
            });
        }
        let node = view.dequantized(name);
        // Weights that are fp16 or bfloat16 in a float network.
        if let (None, Some(cast)) = (node, view.made_by(name, "Cast")) {
            let tensor = view.constant(cast.input.first()?)?;
            let to = int(cast, "to")?;
            let half = [DataType::Float16 as i32, DataType::Bfloat16 as i32];
            let widens = half.contains(&tensor.data_type) && to == DataType::Float as i64;
            return widens.then_some(Self {
                tensor,
                quantized: None,
            });
        }
        let node = node?;
        let blocked = int(node, "block_size").is_some_and(|size| size != 0);
        let input = |at: usize| node.input.get(at).filter(|name| !name.is_empty());
        let zero = match input(2) {
            Some(name) => Some(view.constant(name)?),
            None => None,
        };
        (!blocked).then_some(Self {
            tensor: view.constant(input(0)?)?,
            quantized: Some(Quantized {
                scale: view.constant(input(1)?)?,
                zero,
                axis: int(node, "axis").unwrap_or(1),
            }),
        })
    }

    /// The numbers, or `None` for kinds that are not ours.
    fn values(&self, tensors: &mut TensorSource, order: &Order) -> Result<Option<Values>, String> {
        let tensor = self.tensor;
        if tensor.raw_data.is_empty() && tensor.external_data.is_empty() {
            return Ok(None); // a list of numbers: no exporter writes weights so
        }
        let count = order.n.0 * order.depth();
        let mut bytes = |width: usize| bytes(tensors, tensor, count * width);
        Ok(
            match (DataType::try_from(tensor.data_type), &self.quantized) {
                (Ok(DataType::Float), None) => Some(Values::F32(bytes(4)?)),
                (Ok(DataType::Float16), None) => Some(Values::F16(bytes(2)?)),
                (Ok(DataType::Bfloat16), None) => Some(Values::Bf16(bytes(2)?)),
                (Ok(kind @ (DataType::Int8 | DataType::Uint8)), Some(quantized)) => {
                    let bytes = bytes(1)?;
                    let scales = quantized.scales(tensors, tensor, order)?;
                    let Some((scales, zeros)) = scales else {
                        return Ok(None);
                    };
                    Some(Values::Int8 {
                        bytes,
                        signed: kind == DataType::Int8,
                        scales,
                        zeros,
                    })
                }
                _ => None,
            },
        )
    }
}

/// A scale and a zero point for each column.
type Scales = (Vec<f32>, Vec<i32>);

impl Quantized<'_> {
    /// Scale and zero point of each column; `None` if they go along another axis.
    fn scales(
        &self,
        tensors: &mut TensorSource,
        weight: &TensorProto,
        order: &Order,
    ) -> Result<Option<Scales>, String> {
        let n = order.n.0;
        let Some(scales) = tensors.floats(self.scale)? else {
            return Ok(None);
        };
        let rank = weight.dims.len() as i64;
        let axis = if self.axis < 0 {
            self.axis + rank
        } else {
            self.axis
        };
        // Columns are the last axis of MatMul's matrices, the first of all others.
        let columns_last = rank == 2 && order.n.1 == 1 && n as i64 == weight.dims[1];
        if scales.len() != 1 && axis != i64::from(columns_last) {
            return Ok(None);
        }
        let zeros = match self.zero {
            None => vec![0],
            Some(zero) => small_integers(tensors, zero)?,
        };
        match (each(scales, n), each(zeros, n)) {
            (Some(scales), Some(zeros)) => Ok(Some((scales, zeros))),
            _ => Err(format!(
                "`{}` has scales or zero points for another number of channels than {n}",
                weight.name
            )),
        }
    }
}

/// One value for each of `n`, where there may be one for all.
fn each<T: Copy>(values: Vec<T>, n: usize) -> Option<Vec<T>> {
    match values[..] {
        [value] => Some(vec![value; n]),
        _ => (values.len() == n).then_some(values),
    }
}

/// The tensor's bytes, where they are.
fn bytes(
    tensors: &mut TensorSource,
    tensor: &TensorProto,
    expected: usize,
) -> Result<TensorBytes, String> {
    let fail = |problem| format!("tensor `{}`: {problem}", tensor.name);
    let bytes = tensors.bytes(tensor).map_err(fail)?;
    let found = bytes.len();
    if found == expected {
        return Ok(bytes);
    }
    Err(fail(format!(
        "shape {:?} needs {expected} bytes, there are {found}: export the model again",
        tensor.dims
    )))
}

/// The values of a small int8 or uint8 tensor.
fn small_integers(tensors: &mut TensorSource, tensor: &TensorProto) -> Result<Vec<i32>, String> {
    let bytes = tensors.bring(tensor)?;
    let bytes = bytes.iter();
    match DataType::try_from(tensor.data_type) {
        Ok(DataType::Int8 | DataType::Uint8) if bytes.len() == 0 => Ok(tensor.int32_data.clone()),
        Ok(DataType::Int8) => Ok(bytes.map(|b| i32::from(b.cast_signed())).collect()),
        Ok(DataType::Uint8) => Ok(bytes.map(|b| i32::from(*b)).collect()),
        _ => Err(format!("zero point `{}` is not of 8 bits", tensor.name)),
    }
}

/// A constant of one number a column, of at most 2 axes, so that no product becomes larger in rank; or, for images,
/// `[1, n, 1, 1]`. `None` if it is something else.
fn row(
    tensors: &mut TensorSource,
    view: &View<'_>,
    name: &str,
    n: usize,
    images: bool,
) -> Result<Option<Vec<f32>>, String> {
    let Some(tensor) = view.constant(name) else {
        return Ok(None);
    };
    let n = n as i64;
    let fits = match tensor.dims[..] {
        [1, channels, 1, 1] if images => channels == n,
        [columns] | [1, columns] if !images => columns == n,
        _ => false,
    };
    if !fits {
        return Ok(None);
    }
    let values = tensors.floats(tensor);
    values.map_err(|problem| format!("tensor `{name}`: {problem}"))
}

fn integers(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: values.iter().map(|v| *v as i64).collect(),
        ..AttributeProto::default()
    }
}

#[cfg(test)]
mod tests;
