//! Ways around checks of shapes: what a check must know as exactly as those who compute do, or bound.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};

use super::crafted::{crafted, text};
use super::language::Snippet;
use super::micro::declared;
use super::watch::{Case, Right};

/// Numbers that are another in the type that they are computed in: small to who follows them as 64 bits or as doubles.
const WRAPPED: &[&str] = &[
    // 2^32 - 1 of -1.
    "n = Cast({-1}) to=12
     m = Max(n, {u32:4})
     c = Cast(m) to=7
     y = Range({#0}, c, {#1})",
    "n = Cast({-1}) to=13
     m = Max(n, {u64:4})
     c = Cast(m) to=7
     y = Range({#0}, c, {#1})",
    // Below the least of 32 bits is above 0.
    "n = Sub({i32:-2147483648}, {i32:1})
     m = Max(n, {i32:4})
     c = Cast(m) to=7
     y = Range({#0}, c, {#1})",
    "n = Mul({i32:46341}, {i32:-46341})
     m = Max(n, {i32:4})
     c = Cast(m) to=7
     y = Range({#0}, c, {#1})",
    "n = Neg({i32:-2147483648})
     s = Sub(n, {i32:1})
     m = Min(s, {i32:8})
     a = Sub({i32:8}, m)
     c = Cast(a) to=7
     y = Range({#0}, c, {#1})",
    "n = Sub({u8:1}, {u8:2})
     c = Cast(n) to=7
     p = Max(c, {#1})
     q = Pow(p, {#4})
     y = Range({#0}, q, {#1})",
    "n = Cast({4294967297}) to=6
     c = Cast(n) to=7
     d = Sub(c, {1})
     y = Div({8}, d)",
    // What a float rounds away.
    "a = Add({#16777216.0}, {#1.0})
     b = Sub(a, {#16777216.0})
     r = Div({#1.0}, b)
     c = Cast(r) to=7
     m = Min(c, {#2^33})
     y = Range({#0}, m, {#1})",
    "a = Add({#16777216.0}, {#1.0})
     b = Sub(a, {#16777216.0})
     c = Cast(b) to=7
     y = Div({#8}, c)",
    "a = Mul({#1e30}, {#1e30})
     b = Mul(a, {#1e-30})
     d = Mul(b, {#1e-30})
     c = Cast(d) to=7
     m = Min(c, {#2^33})
     y = Range({#0}, m, {#1})",
    "a = Cast({#65504.0}) to=10
     b = Add(a, a)
     c = Cast(b) to=1
     d = Div(c, {#131008.0})
     e = Cast(d) to=7
     m = Min(e, {#2^33})
     y = Range({#0}, m, {#1})",
    "a = Cast({300}) to=2
     c = Cast(a) to=7
     d = Sub(c, {44})
     y = Div({8}, d)",
    "a = Cast({0.5}) to=9
     c = Cast(a) to=7
     d = Sub({1}, c)
     y = Div({8}, d)",
    // Orders of lists: what comes first.
    "t = Transpose({0,8,1,8@2x2}) perm=[1,0]
     r = Reshape(t, {-1})
     s = Slice(r, {1}, {2}, {0})
     y = Div({8}, s)",
    "g = Gather({1,2^40,1,1@2x2}, {#1}) axis=1
     s = Slice(g, {0}, {1}, {0})
     y = ConstantOfShape(s)",
];

/// Small in, small out, and no machine computes what is between.
const LABOURS: &[&str] = &[
    "y = Einsum({~32768}, {~32768}, {~32768}, {~32768}) equation=\"a,b,c,d->\"",
    "y = Einsum({~256x128}, {~256x128}, {~256x128}) equation=\"ab,cd,ef->a\"",
    "y = Einsum({~64x64}, {~64x64}) equation=\"ab,cd->abcd\"
     z = Identity(y)",
    "y = MaxPool(x) kernel_shape=[65536,65536] pads=[32768,32768,32768,32768]",
    "y = AveragePool(x) kernel_shape=[65536,65536] pads=[32768,32768,32768,32768]",
    "y = AveragePool(x) kernel_shape=[2000000000,1] pads=[1000000000,0,1000000000,0]",
    "y = MaxPool(x) kernel_shape=[4,4] dilations=[1000000000,1] pads=[1500000000,0,1500000000,3]",
    "y = Conv(x, {~4x4x1x1}) pads=[30000,30000,30000,30000] strides=[60000,60000]",
    "y = Conv(x, {~4x4x2x2}) dilations=[60000,60000] pads=[60000,60000,60000,60000] strides=[60000,60000]",
    "y = ConvTranspose(x, {~4x4x1x1}) strides=[60000,60000] pads=[89990,89990,89990,89990]",
    "y = ConvTranspose(x, {~4x4x1x1}) strides=[1000000,1000000]",
    "y = ConvTranspose(x, {~4x4x2x2}) dilations=[1000000,1000000]",
    "y = LRN(x) size=2000000000",
    "y = DepthToSpace({~1x65536x1x1}) blocksize=256",
    "y = CumSum({~65536x16}, {#0})",
    "y = Resize(x, , , {1,4,30000,4}) mode=\"linear\" coordinate_transformation_mode=\"half_pixel\"",
    "y = Resize(x, , , {1,4,4,1000000}) mode=\"cubic\"",
    "a = Expand(x, {20000,4,4,4})
     b = Reshape(a, {20000,64})
     t = Transpose(b) perm=[1,0]
     m = MatMul(b, t)
     y = ReduceMean(m) axes=[0,1]",
    "a = Expand({#1.0}, {16384,4096})
     b = Expand({#1.0}, {4096,16384})
     y = MatMul(a, b)",
    "a = Expand({#1.0}, {4096,4096})
     b = MatMul(a, a)
     c = MatMul(b, b)
     d = MatMul(c, c)
     y = MatMul(d, d)",
    "a = Range({#0}, {#60000000}, {#1})
     b = Cast(a) to=1
     y = Sin(b)",
];

/// Nodes that end whoever computes them while the graph is made, in the branch that is not taken.
const UNTAKEN: &[&str] = &[
    "y = Range({#0}, {#2^40}, {#1})",
    "y = Div({1,2}, {0,0})",
    "y = OneHot({0,1}, {#2^40}, {0.0,1.0})",
    "y = Pad(x, {0,0,0,0,0,0,2^38,2^38}, {#0.0})",
    "y = Gather({~4x4}, {#9}) axis=0",
    "y = Resize(x, , {1.0,1.0,274877906944.0,1.0}) mode=\"nearest\"",
    "y = Resize(x, , , {1,4,2^20,2^20}) mode=\"linear\"",
    "y = Transpose(x) perm=[0,0,1,2]",
    "y = LayerNormalization(x, {~4}, {~4}) axis=-9",
    "y = Unsqueeze(x, {2^40})",
    "y = Concat(x, tokens) axis=1",
    "y = Conv(x, {~4x4x3x3}) strides=[0,0]",
    "y = Reshape(x, {-1,-1})",
    "y = Identity(nobody)",
    "y = Identity(y)",
    "z = Identity(x)",
    "y = MelWeightMatrix({#2^40}, {#2^40}, {#8000}, {#0.0}, {#4000.0})",
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (list, right) in [(WRAPPED, Right::Either), (LABOURS, Right::Either)] {
        for nodes in list {
            let name = nodes.split_whitespace().collect::<Vec<_>>().join(" ");
            cases.push(text(name, right, nodes));
        }
    }
    for nodes in UNTAKEN {
        for (taken, condition) in [
            ("then", "{bool:#1}"),
            ("else", "{bool:#0}"),
            ("then, computed", "COMPUTED"),
            ("then, known late", "LATE"),
        ] {
            let name = nodes.split_whitespace().collect::<Vec<_>>().join(" ");
            let name = format!("not taken but {taken}: {name}");
            cases.push(crafted(
                name,
                Right::Either,
                one_branch(nodes, taken, condition),
                "y",
            ));
        }
    }
    // Numbers that choose the other branch than they seem to.
    for nodes in [
        "n = Cast({256}) to=2
         g = Cast(n) to=9",
        "a = Add({#16777216.0}, {#1.0})
         n = Sub(a, {#16777216.0})
         g = Cast(n) to=9",
        "n = Cast({-1}) to=12
         g = Greater(n, {u32:0})",
    ] {
        for bad in [UNTAKEN[0], UNTAKEN[3], UNTAKEN[6]] {
            let mut snippet = Snippet::of("cond", nodes);
            let branch = one_branch(bad, "then", "g");
            snippet.nodes.extend(branch.nodes);
            snippet.constants.extend(branch.constants);
            let name = format!("{nodes} chooses {bad}");
            let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
            cases.push(crafted(name, Right::Either, snippet, "y"));
        }
    }
    cases
}

/// An `If` with `nodes` in the branch that is not taken.
fn one_branch(nodes: &str, taken: &str, condition: &str) -> Snippet {
    let graph = |snippet: Snippet| GraphProto {
        node: snippet.nodes,
        initializer: snippet.constants,
        output: vec![declared("y", DataType::Float, &[])],
        ..GraphProto::default()
    };
    let bad = graph(Snippet::of("bad", nodes));
    let good = graph(Snippet::of("good", "y = Identity(x)"));
    let attribute = |name: &str, g: &GraphProto| AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Graph as i32,
        g: Some(g.clone()),
        ..AttributeProto::default()
    };
    let (then, other) = if taken.starts_with("then") {
        (&good, &bad)
    } else {
        (&bad, &good)
    };
    let mut snippet = match condition {
        "COMPUTED" => Snippet::of(
            "cond",
            "d = Gather(shape, {#1}) axis=0
             g = Equal(d, {#4})
             y = If(g)",
        ),
        "LATE" => Snippet::of(
            "cond",
            "d = ReduceMax(time) keepdims=0
             g = Greater(d, {#-1.0})
             y = If(g)",
        ),
        "g" => Snippet::of("cond", "y = If(g)"),
        constant => Snippet::of("cond", &format!("y = If({constant})")),
    };
    let node: &mut NodeProto = snippet.nodes.last_mut().expect("a node");
    node.attribute = vec![
        attribute("then_branch", then),
        attribute("else_branch", other),
    ];
    snippet
}
