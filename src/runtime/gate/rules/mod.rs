//! What each of ONNX's operators makes of its inputs: one rule an operator (onnx.ai/onnx/operators), of all versions from 7 on.

mod elementwise;
mod images;
mod moving;
mod norms;
mod products;
mod reductions;
mod shaping;

use std::ops::RangeInclusive;

use super::node::Node;
use super::value::Value;

/// How many inputs and outputs an operator has, and what these are.
pub(super) struct Rule {
    /// The least of them must be named.
    pub(super) inputs: RangeInclusive<usize>,
    /// At most.
    pub(super) outputs: usize,
    pub(super) outputs_of: OutputsOf,
}

type OutputsOf = fn(&Node<'_>) -> Result<Vec<Value>, String>;

const ANY: usize = usize::MAX;

/// The rule of an operator; `None` if easel does not know it.
pub(super) fn of(op: &str) -> Option<Rule> {
    let (inputs, outputs, outputs_of): (_, _, OutputsOf) = match op {
        "Abs" | "Acos" | "Acosh" | "Asin" | "Asinh" | "Atan" | "Atanh" | "Ceil" | "Celu"
        | "Cos" | "Cosh" | "Elu" | "Erf" | "Exp" | "FastGelu" | "Floor" | "Gelu"
        | "HardSigmoid" | "HardSwish" | "LeakyRelu" | "Log" | "Mish" | "Neg" | "QuickGelu"
        | "Reciprocal" | "Relu" | "Round" | "Selu" | "Shrink" | "Sigmoid" | "Sign" | "Sin"
        | "Sinh" | "Softplus" | "Softsign" | "Sqrt" | "Swish" | "Tan" | "Tanh"
        | "ThresholdedRelu" | "Not" => (1..=2, 1, elementwise::unary),
        "Identity" => (1..=1, 1, elementwise::identity),
        "IsNaN" | "IsInf" => (1..=1, 1, elementwise::test),
        "Softmax" | "LogSoftmax" | "Hardmax" | "LpNormalization" => (1..=1, 1, elementwise::along),
        "Cast" => (1..=1, 1, elementwise::cast),
        "CastLike" => (2..=2, 1, elementwise::cast_like),
        "Dropout" => (1..=3, 2, elementwise::dropout),
        "Clip" => (1..=3, 1, elementwise::clip),
        "Add" | "Sub" | "Mul" | "Div" | "Mod" => (2..=2, 1, elementwise::arithmetic),
        "Pow" => (2..=2, 1, elementwise::power),
        "BiasGelu" | "PRelu" | "BitShift" | "BitwiseAnd" | "BitwiseOr" | "BitwiseXor" => {
            (2..=2, 1, elementwise::together)
        }
        "Max" | "Min" => (1..=ANY, 1, elementwise::arithmetic),
        "Mean" | "Sum" => (1..=ANY, 1, elementwise::together),
        "And" | "Or" | "Xor" | "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => {
            (2..=2, 1, elementwise::comparison)
        }
        "Where" => (3..=3, 1, elementwise::choice),
        "CumSum" => (2..=2, 1, elementwise::running_sum),
        "Trilu" => (1..=2, 1, elementwise::triangle),

        "Constant" => (0..=0, 1, shaping::constant),
        "ConstantOfShape" => (1..=1, 1, shaping::constant_of_shape),
        "Range" => (3..=3, 1, shaping::range),
        "Shape" => (1..=1, 1, shaping::shape),
        "Size" => (1..=1, 1, shaping::size),
        "Reshape" => (1..=2, 1, shaping::reshape),
        "Flatten" => (1..=1, 1, shaping::flatten),
        "Squeeze" => (1..=2, 1, shaping::squeeze),
        "Unsqueeze" => (1..=2, 1, shaping::unsqueeze),
        "Transpose" => (1..=1, 1, shaping::transpose),
        "Expand" => (2..=2, 1, shaping::expand),
        "Tile" => (2..=2, 1, shaping::tile),
        "EyeLike" => (1..=1, 1, shaping::eye_like),

        "Concat" => (1..=ANY, 1, moving::concat),
        "Split" => (1..=2, ANY, moving::split),
        "Slice" => (1..=5, 1, moving::slice),
        "Gather" => (2..=2, 1, moving::gather),
        "GatherElements" => (2..=2, 1, moving::gather_elements),
        "GatherND" => (2..=2, 1, moving::gather_nd),
        "NonZero" => (1..=1, 1, moving::non_zero),
        "Scatter" | "ScatterElements" | "ScatterND" => (3..=3, 1, moving::scatter),
        "Pad" => (1..=4, 1, moving::pad),
        "OneHot" => (3..=3, 1, moving::one_hot),

        "ReduceL1" | "ReduceL2" | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceMax"
        | "ReduceMean" | "ReduceMin" | "ReduceProd" | "ReduceSum" | "ReduceSumSquare" => {
            (1..=2, 1, reductions::reduce)
        }
        "ArgMax" | "ArgMin" => (1..=1, 1, reductions::arg),
        "TopK" => (1..=2, 2, reductions::top_k),

        "MatMul" => (2..=2, 1, products::matmul),
        "MatMulInteger" => (2..=4, 1, products::matmul_integer),
        "QLinearMatMul" => (8..=8, 1, products::quantized_matmul),
        "Gemm" => (2..=3, 1, products::gemm),
        "Einsum" => (1..=2, 1, products::einsum),
        // The standard's, of version 23.
        "Attention" => (3..=4, 1, products::attention),

        "Conv" => (2..=3, 1, images::conv),
        "ConvInteger" => (2..=4, 1, images::conv_integer),
        "QLinearConv" => (8..=9, 1, images::quantized_conv),
        "ConvTranspose" => (2..=3, 1, images::conv_transpose),
        "AveragePool" | "MaxPool" => (1..=1, 1, images::pool),
        "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" => (1..=1, 1, images::global_pool),
        "Resize" => (1..=4, 1, images::resize),
        "DepthToSpace" => (1..=1, 1, images::depth_to_space),
        "SpaceToDepth" => (1..=1, 1, images::space_to_depth),

        "BatchNormalization" => (5..=5, 1, norms::batch),
        "InstanceNormalization" => (3..=3, 1, norms::instance),
        "GroupNormalization" => (3..=3, 1, norms::group),
        "LayerNormalization" => (2..=3, 1, norms::layer),
        "RMSNormalization" | "SimplifiedLayerNormalization" => (2..=2, 1, norms::layer),
        "MeanVarianceNormalization" => (1..=1, 1, elementwise::identity),
        "QuantizeLinear" => (2..=3, 1, norms::quantize),
        "DequantizeLinear" => (2..=3, 1, norms::dequantize),
        "DynamicQuantizeLinear" => (1..=1, 3, norms::dynamic_quantize),

        // The graphs within are looked at one by one.
        "If" => (1..=1, ANY, |_| Err("has no branches".into())),
        _ => return None,
    };
    Some(Rule {
        inputs,
        outputs,
        outputs_of,
    })
}
