//! ONNX Runtime's own operators, as its optimizers write them for CPUs, in the standard's.
//!
//! What each computes is said in ONNX Runtime's `docs/ContribOperators.md`. Those that run on GPUs alone are refused by name.

mod activations;
mod attention;
mod blocked;
mod norms;
mod products;
mod quantized;
mod writer;

use std::collections::HashSet;

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

use crate::text::excerpt;
use writer::Writer;

/// Writes what a node computes as nodes of the standard.
type Decomposition = fn(&mut Writer, &NodeProto) -> Result<(), String>;

const RUNTIME: &str = "com.microsoft";

/// What has no CPU form: ONNX Runtime writes them when it optimizes for GPUs.
const GPU_ONLY: [&str; 12] = [
    "DecoderMaskedMultiHeadAttention",
    "DecoderMaskedSelfAttention",
    "GroupNorm",
    "NhwcConv",
    "NhwcFusedConv",
    "PackedAttention",
    "PackedMultiHeadAttention",
    "RelativePositionBias",
    "RemovePadding",
    "RestorePadding",
    "SkipGroupNorm",
    "GatedRelativePositionBias",
];

/// Replaces all operators that are not the standard's.
pub(super) fn decompose(graph: &mut GraphProto, version: i64) -> Result<(), String> {
    graph.node.iter().try_for_each(check_branches)?;
    let foreign = |node: &NodeProto| !matches!(decomposition(node), Ok(None));
    if !graph.node.iter().any(foreign) {
        return Ok(());
    }
    blocked::restore_weights(graph)?;
    let nodes = std::mem::take(&mut graph.node);
    let mut writer = Writer::new(graph, &nodes, version);
    for node in nodes {
        match decomposition(&node)? {
            None => writer.keep(node),
            Some(decomposition) => {
                writer.begin(&node);
                decomposition(&mut writer, &node)
                    .map_err(|problem| format!("operator `{}`: {problem}", node.op_type))?;
            }
        }
    }
    writer.finish(graph);
    super::super::graph::drop_unread(graph);
    Ok(())
}

/// No optimizer writes operators of its own into branches and loops.
fn check_branches(node: &NodeProto) -> Result<(), String> {
    for attribute in &node.attribute {
        for graph in attribute.g.iter().chain(&attribute.graphs) {
            for node in &graph.node {
                if !matches!(node.domain.as_str(), "" | "ai.onnx") {
                    return Err(unknown(node));
                }
                check_branches(node)?;
            }
        }
    }
    Ok(())
}

/// Whether all the network's operators can be had, before anything is done with it.
pub(in crate::runtime) fn check(model: &ModelProto) -> Result<(), String> {
    let functions = model.functions.iter();
    let own: HashSet<(&str, &str)> = functions.clone().map(|f| (f.domain(), f.name())).collect();
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    let mut nodes = nodes.chain(functions.flat_map(|function| &function.node));
    nodes.try_for_each(|node| {
        let called = own.contains(&(node.domain.as_str(), node.op_type.as_str()));
        if called {
            Ok(())
        } else {
            decomposition(node).map(drop)
        }
    })
}

/// How the node is written in the standard's operators; `None` if it is one of them.
fn decomposition(node: &NodeProto) -> Result<Option<Decomposition>, String> {
    match node.domain.as_str() {
        "" | "ai.onnx" => Ok(match node.op_type.as_str() {
            // The standard's, but better known as what they stand for.
            "QLinearConv" => Some(quantized::conv),
            "QLinearMatMul" => Some(quantized::matmul),
            _ => None,
        }),
        RUNTIME => runtime(node).map(Some),
        blocked::DOMAIN => in_blocks(node).map(Some),
        domain => Err(format!(
            "operator `{}` of `{}` is not one of ONNX's own: export the model again with standard operators alone",
            excerpt(&node.op_type),
            excerpt(domain)
        )),
    }
}

fn in_blocks(node: &NodeProto) -> Result<Decomposition, String> {
    Ok(match node.op_type.as_str() {
        "ReorderInput" => blocked::reorder_input,
        "ReorderOutput" => blocked::reorder_output,
        "Conv" => products::conv,
        "MaxPool" | "AveragePool" | "GlobalMaxPool" | "GlobalAveragePool" => blocked::pool,
        "Upsample" => blocked::upsample,
        _ => return Err(unknown(node)),
    })
}

fn unknown(node: &NodeProto) -> String {
    format!(
        "operator `{}` is ONNX Runtime's own, and not one that easel knows: export the model again without its optimizer",
        excerpt(&node.op_type)
    )
}

fn runtime(node: &NodeProto) -> Result<Decomposition, String> {
    let op = node.op_type.as_str();
    Ok(match op {
        "FusedMatMul" | "TransposeMatMul" => products::matmul,
        "FusedGemm" => products::gemm,
        "FusedConv" => products::conv,
        "Gelu" => activations::gelu,
        "FastGelu" => activations::fast_gelu,
        "BiasGelu" => activations::bias_gelu,
        "QuickGelu" => activations::quick_gelu,
        "BiasSplitGelu" => activations::bias_split_gelu,
        "BiasAdd" => activations::bias_add,
        "SkipLayerNormalization" => norms::skip_layer_norm,
        "EmbedLayerNormalization" => norms::embed_layer_norm,
        "Attention" => attention::attention,
        "MultiHeadAttention" => attention::multi_head_attention,
        "DynamicQuantizeMatMul" => quantized::dynamic_matmul,
        "MatMulIntegerToFloat" => quantized::integer_matmul,
        "QGemm" => quantized::gemm,
        "QLinearConv" => quantized::conv,
        "QLinearAdd" | "QLinearMul" => quantized::binary,
        "QLinearConcat" => quantized::concat,
        "QLinearReduceMean" | "QLinearSigmoid" | "QLinearLeakyRelu" | "QLinearSoftmax" => {
            quantized::unary
        }
        "QLinearWhere" => quantized::choice,
        _ if GPU_ONLY.contains(&op) => {
            return Err(format!(
                "operator `{op}` is what ONNX Runtime's optimizer writes for GPUs: export the model again without the optimizer"
            ));
        }
        _ => return Err(unknown(node)),
    })
}

#[cfg(test)]
mod tests;
