//! Each operator beside what it stands for, on the same numbers.

use tract_core::prelude::Tensor;
use tract_onnx::pb::{ModelProto, TensorProto, tensor_proto::DataType};

use super::super::super::graph::float_tensor;
use super::super::super::testing::{evaluate, integers, kinds, model, noise, random};
use super::super::standardize;
use super::*;

/// The network of `text`, whose nodes that begin with `MS` are ONNX Runtime's.
fn network(text: &str, constants: Vec<TensorProto>, output: &str) -> ModelProto {
    let mut model = model(text, constants, &[output]);
    let graph = model.graph.as_mut().expect("it has one");
    for node in &mut graph.node {
        if let Some(op) = node.op_type.strip_prefix("MS") {
            node.op_type = op.to_owned();
            node.domain = RUNTIME.to_owned();
        }
    }
    model
}

/// Checks that the network computes what the one of `plain` does; gives the kinds of nodes that it has then.
fn same(fused: &str, plain: &str, constants: &[TensorProto], inputs: &[Tensor]) -> Vec<String> {
    let expected = evaluate(&network(plain, constants.to_vec(), "y"), inputs);
    let mut model = network(fused, constants.to_vec(), "y");
    standardize(&mut model).unwrap_or_else(|problem| panic!("{fused}: {problem}"));
    let graph = model.graph.as_ref().expect("it has one");
    super::super::super::graph::check(graph).expect("still a graph");
    assert!(graph.node.iter().all(|node| node.domain.is_empty()));
    let found = evaluate(&model, inputs);
    let close = found.close_enough(&expected, true);
    close.unwrap_or_else(|error| panic!("{fused}: {error}"));
    kinds(graph).into_iter().map(String::from).collect()
}

fn refused(text: &str, constants: Vec<TensorProto>) -> String {
    standardize(&mut network(text, constants, "y")).expect_err("it cannot be written so")
}

fn x() -> [Tensor; 1] {
    [random(&[2, 3, 8], 1)]
}

#[test]
fn activations() {
    let constants = [
        float_tensor("bias", &[8], &noise(8, 2)),
        float_tensor("skip", &[3, 8], &noise(24, 3)),
        float_tensor("factor", &[], &[1.702]),
        float_tensor("other", &[], &[0.5]),
    ];
    for (fused, plain) in [
        ("y = MSGelu(x)", "y = Gelu(x)"),
        ("y = MSBiasGelu(x, bias)", "s = Add(x, bias)\ny = Gelu(s)"),
        ("y = MSFastGelu(x)", "y = Gelu(x) approximate=tanh"),
        (
            "y = MSFastGelu(x, bias)",
            "s = Add(x, bias)\ny = Gelu(s) approximate=tanh",
        ),
        (
            "y = MSQuickGelu(x)",
            "f = Mul(x, factor)\ng = Sigmoid(f)\ny = Mul(x, g)",
        ),
        (
            "y = MSQuickGelu(x) alpha=1.0",
            "g = Sigmoid(x)\ny = Mul(x, g)",
        ),
        (
            "y = MSQuickGelu(x) alpha=0.5",
            "f = Mul(x, other)\ng = Sigmoid(f)\ny = Mul(x, g)",
        ),
        (
            "y = MSBiasSplitGelu(x, bias)",
            "s = Add(x, bias)\na, b = Split(s) axis=-1\ng = Gelu(b)\ny = Mul(a, g)",
        ),
        (
            "y = MSBiasAdd(x, bias, skip)",
            "s = Add(x, bias)\ny = Add(s, skip)",
        ),
    ] {
        same(fused, plain, &constants, &x());
    }
}

#[test]
fn products_with_factors_and_transposed_operands() {
    let constants = [
        float_tensor("w", &[8, 5], &noise(40, 2)),
        float_tensor("turned", &[5, 8], &noise(40, 3)),
        float_tensor("row", &[5], &noise(5, 4)),
        float_tensor("factor", &[], &[0.25]),
        integers("flat", &[6, 8]),
    ];
    let pair = [random(&[2, 3, 8], 5), random(&[2, 3, 8], 6)];
    for (fused, plain, inputs) in [
        ("y = MSFusedMatMul(x, w)", "y = MatMul(x, w)", &pair[..1]),
        (
            "y = MSFusedMatMul(x, w) alpha=0.25",
            "p = MatMul(x, w)\ny = Mul(p, factor)",
            &pair[..1],
        ),
        (
            "y = MSFusedMatMul(x, turned) transB=1",
            "t = Transpose(turned) perm=1,0\ny = MatMul(x, t)",
            &pair[..1],
        ),
        (
            "y = MSFusedMatMul(x, z) transB=1",
            "a = Identity(x)\nt = Transpose(z) perm=0,2,1\ny = MatMul(a, t)",
            &pair,
        ),
        (
            "y = MSTransposeMatMul(x, z) transA=1",
            "t = Transpose(x) perm=0,2,1\ny = MatMul(t, z)",
            &pair,
        ),
        (
            "f = Reshape(x, flat)\ny = MSFusedGemm(f, w, row) activation=Relu",
            "f = Reshape(x, flat)\ng = Gemm(f, w, row)\ny = Relu(g)",
            &pair[..1],
        ),
        (
            "f = Reshape(x, flat)\ny = MSFusedGemm(f, turned, row) transB=1 activation=LeakyRelu activation_alpha=0.25",
            "f = Reshape(x, flat)\ng = Gemm(f, turned, row) transB=1\ny = LeakyRelu(g) alpha=0.25",
            &pair[..1],
        ),
    ] {
        same(fused, plain, &constants, inputs);
    }
}

#[test]
fn axes_of_a_batch_change_places() {
    // Through a Reshape, so that the number of axes is known.
    let constants = [integers("shape", &[2, 3, 4, 5])];
    let inputs = [
        random(&[120], 1),
        random(&[3, 4, 5, 6], 2),
        random(&[3, 4, 2, 6], 3),
    ];
    let shaped = "a = Reshape(x, shape)";
    for (flags, axes, other) in [
        ("transBatchA=1", "1,2,0,3", 1),
        ("transA=1 transBatchA=1", "1,2,3,0", 2),
    ] {
        let fused = format!("{shaped}\ny = MSFusedMatMul(a, z) {flags}");
        let plain = format!("{shaped}\nt = Transpose(a) perm={axes}\ny = MatMul(t, z)");
        same(
            &fused,
            &plain,
            &constants,
            &[inputs[0].clone(), inputs[other].clone()],
        );
    }
}

#[test]
fn convolutions_with_a_sum_and_an_activation() {
    let constants = [
        float_tensor("w", &[4, 3, 3, 3], &noise(108, 2)),
        float_tensor("row", &[4], &noise(4, 3)),
        float_tensor("skip", &[1, 4, 6, 6], &noise(144, 4)),
        float_tensor("low", &[], &[-0.5]),
        float_tensor("high", &[], &[0.5]),
    ];
    let x = [random(&[1, 3, 6, 6], 1)];
    let conv = "c = Conv(x, w, row) pads=1,1,1,1";
    for (fused, plain) in [
        (
            "y = MSFusedConv(x, w, row) pads=1,1,1,1 activation=Relu",
            format!("{conv}\ny = Relu(c)"),
        ),
        (
            "y = MSFusedConv(x, w, row, skip) pads=1,1,1,1 activation=Sigmoid",
            format!("{conv}\ns = Add(c, skip)\ny = Sigmoid(s)"),
        ),
        (
            "y = MSFusedConv(x, w, , skip) pads=1,1,1,1",
            "c = Conv(x, w) pads=1,1,1,1\ny = Add(c, skip)".into(),
        ),
    ] {
        same(fused, &plain, &constants, &x);
    }
    let mut clipped = network(
        "y = MSFusedConv(x, w, row) pads=1,1,1,1 activation=Clip",
        constants.to_vec(),
        "y",
    );
    let node = &mut clipped.graph.as_mut().expect("it has one").node[0];
    node.attribute.push(tract_onnx::pb::AttributeProto {
        name: "activation_params".into(),
        floats: vec![-0.5, 0.5],
        ..Default::default()
    });
    standardize(&mut clipped).expect("it is known");
    let plain = network(
        &format!("{conv}\nl = Max(c, low)\ny = Min(l, high)"),
        constants.to_vec(),
        "y",
    );
    let same = evaluate(&clipped, &x).close_enough(&evaluate(&plain, &x), true);
    same.expect("the same numbers");
    let strange = "y = MSFusedConv(x, w, row) activation=Cosine";
    assert!(refused(strange, constants.to_vec()).contains("activation `Cosine` is not known"));
}

#[test]
fn layer_norms_of_sums() {
    let constants = [
        float_tensor("scale", &[8], &noise(8, 2)),
        float_tensor("shift", &[8], &noise(8, 3)),
        float_tensor("bias", &[8], &noise(8, 4)),
        float_tensor("w", &[8, 8], &noise(64, 5)),
    ];
    let inputs = [random(&[2, 3, 8], 1), random(&[2, 3, 8], 6)];
    let norm = "LayerNormalization(s, scale, shift) axis=-1 epsilon=1e-5";
    for (fused, plain) in [
        (
            "y = MSSkipLayerNormalization(x, z, scale, shift) epsilon=1e-5",
            format!("s = Add(x, z)\ny = {norm}"),
        ),
        (
            "y = MSSkipLayerNormalization(x, z, scale) epsilon=1e-5",
            "s = Add(x, z)\ny = LayerNormalization(s, scale) axis=-1 epsilon=1e-5".into(),
        ),
        (
            "n, , , s = MSSkipLayerNormalization(x, z, scale, shift, bias) epsilon=1e-5\ny = Add(n, s)",
            format!("t = Add(x, z)\ns = Add(t, bias)\nn = {norm}\ny = Add(n, s)"),
        ),
        (
            "p = MatMul(z, w)\nn, mean, deviation, s = MSSkipLayerNormalization(x, p, scale, shift, bias) epsilon=1e-5\ny = Add(n, s)",
            format!("p = MatMul(z, w)\nt = Add(x, p)\ns = Add(t, bias)\nn = {norm}\ny = Add(n, s)"),
        ),
    ] {
        let inputs = if fused.starts_with('p') {
            [inputs[1].clone(), inputs[0].clone()]
        } else {
            inputs.clone()
        };
        same(fused, &plain, &constants, &inputs);
    }
    // The bias stands beside the product, where it is a part of it.
    let text = "p = MatMul(z, w)\ny = MSSkipLayerNormalization(x, p, scale, shift, bias)";
    let mut model = network(text, constants.to_vec(), "y");
    standardize(&mut model).expect("it is known");
    let node = &model.graph.as_ref().expect("it has one").node;
    assert_eq!(node[1].input, ["p", "bias"]);
}

#[test]
fn embeddings_are_added_and_normalized() {
    let constants = [
        integers("ids", &[3, 1, 0, 2]),
        integers("line", &[1, 4]),
        float_tensor("words", &[5, 8], &noise(40, 2)),
        float_tensor("places", &[6, 8], &noise(48, 3)),
        float_tensor("few", &[4, 8], &noise(48, 3)[..32]),
        float_tensor("scale", &[8], &noise(8, 4)),
        float_tensor("shift", &[8], &noise(8, 5)),
    ];
    let ids = "i = Reshape(ids, line)";
    let fused = format!(
        "{ids}\nn, , s = MSEmbedLayerNormalization(i, , words, places, , scale, shift) epsilon=1e-5\nt = Add(n, s)\ny = Add(t, x)"
    );
    let plain = format!(
        "{ids}\nw = Gather(words, i)\ns = Add(w, few)\nn = LayerNormalization(s, scale, shift) axis=-1 epsilon=1e-5\nt = Add(n, s)\ny = Add(t, x)"
    );
    same(&fused, &plain, &constants, &[random(&[1, 4, 8], 1)]);
}

const APART: &str = "qs = Reshape(q, heads)
    qt = Transpose(qs) perm=0,2,1,3
    ks = Reshape(k, heads)
    kt = Transpose(ks) perm=0,2,3,1
    vs = Reshape(v, heads)
    vt = Transpose(vs) perm=0,2,1,3
    p = MatMul(qt, kt)
    scores = Mul(p, root)";
const TOGETHER: &str = "w = Softmax(masked) axis=-1
    o = MatMul(w, vt)
    ot = Transpose(o) perm=0,2,1,3
    y = Reshape(ot, joined)";

fn attention_constants() -> Vec<TensorProto> {
    let hidden = |row: i32, column: i32| if column > row { f32::MIN } else { 0.0 };
    let causal: Vec<f32> = (0..9).map(|at| hidden(at / 3, at % 3)).collect();
    vec![
        integers("heads", &[0, 0, 2, -1]),
        integers("joined", &[0, 0, -1]),
        float_tensor("root", &[], &[0.5]),
        float_tensor("third", &[], &[0.3]),
        float_tensor("matrix", &[8, 24], &noise(192, 2)),
        float_tensor("row", &[24], &noise(24, 3)),
        float_tensor("causal", &[1, 1, 3, 3], &causal),
        float_tensor("bias", &[1, 2, 3, 3], &noise(18, 4)),
        TensorProto {
            data_type: DataType::Int32 as i32,
            int64_data: vec![],
            int32_data: vec![1, 1, 0, 1, 0, 1],
            ..integers("mask", &[0, 0])
        },
        float_tensor("added", &[2, 1, 1, 3], &[0.0, 0.0, -1e4, 0.0, -1e4, 0.0]),
    ]
}

fn with_mask_shape(mut constants: Vec<TensorProto>) -> Vec<TensorProto> {
    let mask = constants.iter_mut().find(|tensor| tensor.name == "mask");
    mask.expect("it is there").dims = vec![2, 3];
    constants
}

#[test]
fn attention_of_one_matrix() {
    let constants = with_mask_shape(attention_constants());
    let parts = "m = MatMul(x, matrix)\nb = Add(m, row)\nq, k, v = Split(b) axis=-1";
    for (fused, masked) in [
        (
            "y = MSAttention(x, matrix, row) num_heads=2",
            "masked = Identity(scores)",
        ),
        (
            "y = MSAttention(x, matrix, row) num_heads=2 unidirectional=1",
            "masked = Add(scores, causal)",
        ),
        (
            "y = MSAttention(x, matrix, row, mask) num_heads=2",
            "masked = Add(scores, added)",
        ),
        (
            "y = MSAttention(x, matrix, row, , , bias) num_heads=2",
            "masked = Add(scores, bias)",
        ),
    ] {
        let plain = format!("{parts}\n{APART}\n{masked}\n{TOGETHER}");
        same(fused, &plain, &constants, &x());
    }
    let fused = "y = MSAttention(x, matrix, row) num_heads=2 scale=0.3";
    let plain =
        format!("{parts}\n{APART}\nmasked = Identity(scores)\n{TOGETHER}").replace("root", "third");
    same(fused, &plain, &constants, &x());
}

#[test]
fn attention_of_queries_keys_and_values() {
    let constants = with_mask_shape(attention_constants());
    let inputs = [1, 2, 3].map(|seed| random(&[2, 3, 8], seed));
    for (fused, masked) in [
        (
            "y = MSMultiHeadAttention(q, k, v) num_heads=2",
            "masked = Identity(scores)",
        ),
        (
            "y = MSMultiHeadAttention(q, k, v, , mask) num_heads=2",
            "masked = Add(scores, added)",
        ),
        (
            "y = MSMultiHeadAttention(q, k, v, , , bias) num_heads=2",
            "masked = Add(scores, bias)",
        ),
        (
            "y = MSMultiHeadAttention(q, k, v) num_heads=2 unidirectional=1",
            "masked = Add(scores, causal)",
        ),
    ] {
        let plain = format!("{APART}\n{masked}\n{TOGETHER}");
        let found = same(fused, &plain, &constants, &inputs);
        assert!(found.contains(&"Softmax".to_owned()));
    }
    let biased =
        "qb, kb, vb = Split(row) axis=0\nq = Add(q0, qb)\nk = Add(k0, kb)\nv = Add(v0, vb)";
    let plain = format!("{biased}\n{APART}\nmasked = Identity(scores)\n{TOGETHER}");
    same(
        "y = MSMultiHeadAttention(q0, k0, v0, row) num_heads=2",
        &plain,
        &constants,
        &inputs,
    );
}

#[test]
fn what_is_for_gpus_or_unknown_is_named() {
    for (text, problem) in [
        (
            "y = MSNhwcConv(x, w)",
            "operator `NhwcConv` is what ONNX Runtime's optimizer writes for GPUs",
        ),
        (
            "y = MSSkipGroupNorm(x, w)",
            "operator `SkipGroupNorm` is what",
        ),
        (
            "y = MSMultiHeadAttention(x) num_heads=2",
            "packed QKV) are for GPUs",
        ),
        (
            "y = MSMultiHeadAttention(x, z) num_heads=2",
            "packed QKV) are for GPUs",
        ),
        (
            "y = MSWhatever(x)",
            "`Whatever` is ONNX Runtime's own, and not one that easel knows",
        ),
        ("y = MSSkipLayerNormalization(x)", "input 1 is missing"),
    ] {
        let found = refused(text, vec![]);
        assert!(
            found.contains(problem) && found.contains("export the model again"),
            "{found}"
        );
    }
    let mut model = model("y = ATen(x)", vec![], &["y"]);
    model.graph.as_mut().expect("it has one").node[0].domain = "org.pytorch.aten".into();
    let found = standardize(&mut model).expect_err("it is not the standard's");
    assert!(found.contains("`ATen` of `org.pytorch.aten`"), "{found}");
}

/// A constant of bytes.
fn bytes(name: &str, dims: &[i64], kind: DataType, values: &[u8]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: kind as i32,
        raw_data: values.to_vec(),
        ..TensorProto::default()
    }
}

#[test]
fn products_of_quantized_matrices() {
    let weights: Vec<u8> = (0..40).map(|at| (at * 37 % 251) as u8).collect();
    let constants = [
        bytes("w", &[8, 5], DataType::Int8, &weights),
        bytes("zeros", &[5], DataType::Int8, &[0; 5]),
        bytes("zero", &[], DataType::Int8, &[3]),
        float_tensor("scales", &[5], &[0.01, 0.02, 0.03, 0.04, 0.05]),
        float_tensor("scale", &[], &[0.02]),
        float_tensor("row", &[5], &noise(5, 4)),
    ];
    let each = "d = DequantizeLinear(w, scales, zeros) axis=1\np = MatMul(x, d)";
    let all = "d = DequantizeLinear(w, scale, zero)\np = MatMul(x, d)";
    let quantize = "q, s, n = DynamicQuantizeLinear(x)";
    for (fused, plain) in [
        (
            "y = MSDynamicQuantizeMatMul(x, w, scales, zeros, row)".into(),
            format!("{each}\ny = Add(p, row)"),
        ),
        (
            "y = MSDynamicQuantizeMatMul(x, w, scale, zero)".into(),
            format!("{all}\ny = Identity(p)"),
        ),
        (
            format!("{quantize}\ny = MSMatMulIntegerToFloat(q, w, s, scales, n, zeros, row)"),
            format!("{each}\ny = Add(p, row)"),
        ),
    ] {
        let found = same(&fused, &plain, &constants, &x());
        assert!(
            !found.contains(&"DynamicQuantizeLinear".to_owned()),
            "{found:?}"
        );
    }
}

#[test]
fn quantized_products_and_convolutions_in_the_standards_words() {
    let weights: Vec<u8> = (0..40).map(|at| (at * 37 % 251) as u8).collect();
    let filter: Vec<u8> = (0..108).map(|at| (at * 37 % 251) as u8).collect();
    let constants = [
        bytes("w", &[8, 5], DataType::Int8, &weights),
        bytes("f", &[4, 3, 3, 3], DataType::Int8, &filter),
        bytes("zeros", &[4], DataType::Int8, &[0; 4]),
        bytes("zero", &[], DataType::Int8, &[0]),
        bytes("n", &[], DataType::Uint8, &[128]),
        float_tensor("s", &[], &[0.02]),
        float_tensor("t", &[], &[0.5]),
        float_tensor("each", &[4], &[0.01, 0.02, 0.03, 0.04]),
        TensorProto {
            data_type: DataType::Int32 as i32,
            int32_data: vec![100, -200, 300, 50],
            dims: vec![4],
            name: "b".into(),
            ..TensorProto::default()
        },
        float_tensor("row", &[4], &[0.02, -0.08, 0.18, 0.04]),
        integers("flat", &[6, 8]),
        TensorProto {
            data_type: DataType::Int32 as i32,
            int32_data: vec![100, -200, 300, 50, 7],
            dims: vec![5],
            name: "c".into(),
            ..TensorProto::default()
        },
        float_tensor("line", &[5], &[0.04, -0.08, 0.12, 0.02, 0.0028]),
    ];
    let given = "a = QuantizeLinear(x, s, n)\nx2 = DequantizeLinear(a, s, n)";
    let done = "y = DequantizeLinear(c2, t, n)";
    let images = [random(&[1, 3, 6, 6], 1)];
    let conv = "d = DequantizeLinear(f, each, zeros) axis=0\ng = Conv(x2, d, row) pads=1,1,1,1";
    for (fused, plain, inputs) in [
        (
            "c2 = QLinearMatMul(a, s, n, w, s, zero, t, n)".to_owned(),
            "d = DequantizeLinear(w, s, zero)\ng = MatMul(x2, d)\nc2 = QuantizeLinear(g, t, n)".to_owned(),
            &x(),
        ),
        (
            "q = Reshape(a, flat)\nc2 = MSQGemm(q, s, n, w, s, zero, c, t, n)".to_owned(),
            "d = DequantizeLinear(w, s, zero)\ne = Reshape(x2, flat)\ng = Gemm(e, d, line)\nc2 = QuantizeLinear(g, t, n)".to_owned(),
            &x(),
        ),
        (
            "c2 = QLinearConv(a, s, n, f, each, zeros, t, n, b) pads=1,1,1,1".to_owned(),
            format!("{conv}\nc2 = QuantizeLinear(g, t, n)"),
            &images,
        ),
        (
            "p = Transpose(a) perm=0,2,3,1\no = MSQLinearConv(p, s, n, f, each, zeros, t, n, b) pads=1,1,1,1 channels_last=1\nc2 = Transpose(o) perm=0,3,1,2"
                .to_owned(),
            format!("{conv}\nc2 = QuantizeLinear(g, t, n)"),
            &images,
        ),
    ] {
        let fused = format!("{given}\n{fused}\n{done}");
        let plain = format!("{given}\n{plain}\n{done}");
        same(&fused, &plain, &constants, inputs);
    }
}

#[test]
fn sums_and_the_like_of_quantized_values() {
    let constants = [
        float_tensor("s", &[], &[0.02]),
        float_tensor("t", &[], &[0.03]),
        bytes("n", &[], DataType::Uint8, &[128]),
        bytes("m", &[], DataType::Uint8, &[100]),
    ];
    let given = "a = QuantizeLinear(x, s, n)\nb = QuantizeLinear(z, t, m)";
    let floats = "af = DequantizeLinear(a, s, n)\nbf = DequantizeLinear(b, t, m)";
    let done = "y = DequantizeLinear(c, t, m)";
    let inputs = [random(&[2, 3, 8], 1), random(&[2, 3, 8], 2)];
    for (fused, plain) in [
        (
            "c = MSQLinearAdd(a, s, n, b, t, m, t, m)",
            "f = Add(af, bf)",
        ),
        (
            "c = MSQLinearMul(a, s, n, b, t, m, t, m)",
            "f = Mul(af, bf)",
        ),
        (
            "c = MSQLinearConcat(t, m, a, s, n, b, t, m) axis=1",
            "f = Concat(af, bf) axis=1",
        ),
        (
            "g = MSQLinearSigmoid(a, s, n, t, m)\nc = MSQLinearAdd(g, t, m, b, t, m, t, m)",
            "h = Sigmoid(af)\ni = QuantizeLinear(h, t, m)\nj = DequantizeLinear(i, t, m)\nf = Add(j, bf)",
        ),
    ] {
        let fused = format!("{given}\n{fused}\n{done}");
        let plain = format!("{given}\n{floats}\n{plain}\nc = QuantizeLinear(f, t, m)\n{done}");
        same(&fused, &plain, &constants, &inputs);
    }
}
