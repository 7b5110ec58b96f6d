//! Numbers that no network means: sizes beyond every machine, divisions by nothing, places that are not there.

use super::crafted::{crafted, text};
use super::language::Snippet;
use super::outsiders::branch;
use super::watch::{Case, Right};

/// Nodes that are to be refused; the last one makes `y`.
const REFUSED: &[&str] = &[
    // Division.
    "y = Div(shape, {#0})",
    "y = Div({1,2}, {0,0})",
    "y = Mod(shape, {#0})",
    "y = Mod({1,2}, {#0})",
    "y = Mod({-9223372036854775808}, {-1})",
    "y = Div({-9223372036854775808}, {-1})",
    "s = Sub(shape, shape)
     y = Div(shape, s)",
    "s = Gather(shape, {#0}) axis=0
     z = Sub(s, s)
     y = Div({#8}, z)",
    "d = Div(shape, {#0})
     y = Reshape(x, d)",
    "y = Div({i32:1}, {i32:0})",
    "y = Div({u8:1}, {u8:0})",
    "z = Cast({#0.5}) to=7
     y = Div({#8}, z)",
    // More than any memory.
    "y = ConstantOfShape({2^40}) value={1.0}",
    "y = ConstantOfShape({2^31,2^31}) value={1.0}",
    "y = ConstantOfShape({2^62,2^62}) value={1.0}",
    "y = ConstantOfShape({-1}) value={1.0}",
    "y = ConstantOfShape({65536,65536,65536,65536}) value={1.0}",
    "n = Mul(shape, {2^20})
     y = ConstantOfShape(n) value={1.0}",
    "n = Mul(shape, {2^62})
     y = ConstantOfShape(n) value={1.0}",
    "y = Range({#0}, {#2^40}, {#1})",
    "y = Range({#0.0}, {#1000000000000000.0}, {#1.0})",
    "y = Range({#0}, {#8}, {#0})",
    "y = Range({#0.0}, {#8.0}, {#0.0})",
    "y = Range({#0.0}, {#nan}, {#1.0})",
    "y = Range({#0.0}, {#inf}, {#1.0})",
    "y = Range({#-9223372036854775808}, {#9223372036854775807}, {#1})",
    "n = Gather(shape, {#0}) axis=0
     z = Sub(n, n)
     y = Range({#0}, {#8}, z)",
    "y = Expand(x, {2^38,1,1,1})",
    "y = Expand(x, {2^31,4,4,4})",
    "y = Expand({#1.0}, {2^62,2^62})",
    "y = Expand(x, {-1,4,4,4})",
    "y = Expand(x, {3,3,3,3})",
    "y = Tile(x, {2^38,1,1,1})",
    "y = Tile(x, {2^31,2^31,1,1})",
    "y = Tile(x, {-1,1,1,1})",
    "y = Tile(x, {1,1})",
    "y = Pad(x, {0,0,0,0,0,0,2^38,2^38}, {#0.0}) mode=\"constant\"",
    "y = Pad(x, {2^38,0,0,0,0,0,0,0}, {#0.0})",
    "y = Pad(x, {2^62,0,0,0,2^62,0,0,0}, {#0.0})",
    "y = Pad(x, {-5,0,0,0,0,0,0,0}, {#0.0})",
    "y = Pad(x, {0,0,1,1}, {#0.0})",
    "y = Pad(x, {0,0,5,5,0,0,5,5}) mode=\"reflect\"",
    "y = Pad(x, {0,0,2^38,0,0,0,0,0}) mode=\"edge\"",
    "y = Resize(x, , {1.0,1.0,274877906944.0,1.0}) mode=\"nearest\"",
    "y = Resize(x, , {1.0,1.0,nan,1.0}) mode=\"nearest\"",
    "y = Resize(x, , {1.0,1.0,inf,inf}) mode=\"nearest\"",
    "y = Resize(x, , {1.0,1.0,0.0,0.0}) mode=\"nearest\"",
    "y = Resize(x, , {1.0,1.0,-2.0,-2.0}) mode=\"nearest\"",
    "y = Resize(x, , {2.0,2.0}) mode=\"nearest\"",
    "y = Resize(x, , , {1,4,2^38,4}) mode=\"nearest\"",
    "y = Resize(x, , , {1,4,-8,-8}) mode=\"nearest\"",
    "y = Resize(x, , , {1,4,0,0}) mode=\"nearest\"",
    "y = Resize(x, , , {1,4,2^20,2^20}) mode=\"linear\" coordinate_transformation_mode=\"half_pixel\"",
    "y = Upsample(x, {1.0,1.0,274877906944.0,1.0}) mode=\"nearest\"",
    "y = OneHot({0,1}, {#2^40}, {0.0,1.0})",
    "y = OneHot({0,1}, {#-1}, {0.0,1.0})",
    "a = ConstantOfShape({65536}) value={1.0}
     r = Reshape(a, {-1,1})
     c = Reshape(a, {1,-1})
     m = Mul(r, c)
     n = Unsqueeze(m, {2})
     y = Mul(n, a)",
    "a = ConstantOfShape({2^20,1}) value={1.0}
     b = ConstantOfShape({1,2^20}) value={1.0}
     y = MatMul(a, b)",
    "a = Expand({#1.0}, {2^20,1})
     b = Expand({#1.0}, {1,2^20})
     y = Add(a, b)",
    "y = RandomNormal() shape=[2^40] dtype=1",
    "y = RandomUniform() shape=[65536,65536,65536] dtype=1",
    "y = Constant() value={1.0@4611686018427387904}",
    "y = HannWindow({#2^40})",
    "y = BlackmanWindow({#-1})",
    "y = MelWeightMatrix({#2^40}, {#2^40}, {#8000}, {#0.0}, {#4000.0})",
    // Axes and orders.
    "y = Unsqueeze(x, {2^40})",
    "y = Unsqueeze(x, {-2^40})",
    "y = Unsqueeze(x, {0,0})",
    "y = Unsqueeze(x, {9})",
    "y = Squeeze(x, {2^40})",
    "y = Squeeze(x, {1})",
    "y = Squeeze(x, {-9})",
    "y = Transpose(x) perm=[0,0,1,2]",
    "y = Transpose(x) perm=[0,1,2]",
    "y = Transpose(x) perm=[0,1,2,4]",
    "y = Transpose(x) perm=[0,1,2,-1]",
    "y = Transpose(x) perm=[0,1,2,3,4]",
    "y = Transpose(x) perm=[0,1,2,2^40]",
    "y = Concat(x, x) axis=4",
    "y = Concat(x, x) axis=-5",
    "y = Concat(x, x) axis=2^40",
    "y = Concat(x, tokens) axis=1",
    "y = Concat(x, {~1x4x5x4}) axis=1",
    "y = Concat(x, {1,2}) axis=0",
    "y = Softmax(x) axis=4",
    "y = Softmax(x) axis=2^40",
    "y = Softmax(x) axis=-5",
    "y = ReduceMean(x) axes=[4]",
    "y = ReduceMean(x) axes=[-5]",
    "y = ReduceMean(x) axes=[2^40]",
    "y = ReduceMean(x) axes=[1,1]",
    "y = ReduceSum(x, {7})",
    "y = Flatten(x) axis=5",
    "y = Flatten(x) axis=-9",
    "y = LayerNormalization(x, {~4}, {~4}) axis=7",
    "y = LayerNormalization(x, {~4}, {~4}) axis=-9",
    "y = LayerNormalization(tokens, {~5}, {~5}) axis=-1",
    "y = ArgMax(x) axis=9",
    "y = CumSum(x, {#9})",
    "y = Hardmax(x) axis=9",
    "y = LogSoftmax(x) axis=9",
    "y = LpNormalization(x) axis=9",
    "y = Split(x, {2,2}) axis=9",
    // Places that are not there.
    "y = Gather(x, {9}) axis=1",
    "y = Gather(x, {-9}) axis=1",
    "y = Gather(x, {2^40}) axis=1",
    "y = Gather(x, {0}) axis=9",
    "y = Gather(shape, {#9}) axis=0",
    "y = Gather(shape, {#-5}) axis=0",
    "i = Mul(shape, {1000})
     y = Gather(x, i) axis=1",
    "f = Cast(time) to=7
     i = Add(f, {100000})
     y = Gather(x, i) axis=1",
    "y = Gather({~4x4}, {#9}) axis=0",
    "y = Gather({~4x4}, {1.0}) axis=0",
    "y = Gather({~0x4}, {0}) axis=0",
    "y = GatherElements(x, {9@1x1x1x1}) axis=1",
    "y = GatherElements(x, {0@1x1}) axis=1",
    "y = GatherND(x, {9,9,9,9@1x4})",
    "y = GatherND(x, {0,0,0,0,0@1x5})",
    "y = ScatterND({~4}, {9@1x1}, {5.0})",
    "y = ScatterND({~4}, {-9@1x1}, {5.0})",
    "y = ScatterElements({~4}, {9}, {5.0}) axis=0",
    "y = Slice(x, {0}, {2}, {1}, {0})",
    "y = Slice(x, {0}, {2}, {9}, {1})",
    "y = Slice(x, {0,0}, {2}, {1}, {1})",
    "y = Slice(x, {0}, {2}, {1,1}, {1})",
    "y = Slice(x, {0,0}, {2,2}, {1,1}, {1,1})",
    "y = Slice(x, {0.5}, {2.0}, {1}, {1})",
    "y = TopK(x, {9}) axis=1",
    "y = TopK(x, {-1}) axis=1",
    "y = TopK(x, {2^40}) axis=1",
    "y = Compress(x, {bool:1,1,1,1,1,1,1}) axis=1",
    "y = Trilu({~4}, {#0})",
    // Shapes that do not fit.
    "y = Reshape(x, {-1,-1})",
    "y = Reshape(x, {-2,4})",
    "y = Reshape(x, {3,-1})",
    "y = Reshape(x, {7})",
    "y = Reshape(x, {2^40})",
    "y = Reshape(x, {2^32,2^32})",
    "y = Reshape(x, {0,0,0,0,0})",
    "y = Reshape(x, {})",
    "y = Reshape(x, {64.0})",
    "y = Reshape(x, {-9223372036854775808,64})",
    "y = Add(x, {~3x1x1})",
    "y = Mul(x, {~1x4x4x5})",
    "y = Where({bool:1,0,1}, x, x)",
    "y = MatMul(x, {~5x4})",
    "y = MatMul(x, {#1.0})",
    "y = MatMul({1,2}, x)",
    "y = Gemm({~2x5}, {~4x4})",
    "y = Gemm({~2x4}, {~4x4}, {~7})",
    "y = Split(x, {1,2}) axis=1",
    "y = Split(x, {9,-5}) axis=1",
    "y, z, w = Split(x, {2,2}) axis=1",
    "y, z, w = Split(x) axis=1",
    "y = Split(x, {2^40,4}) axis=1",
    "y = Einsum(x) equation=\"ab->ba\"",
    "y = Einsum(x, x) equation=\"abcd,efgh->z\"",
    "y = Einsum(x, x) equation=\"nonsense\"",
    "y = Einsum(x) equation=\"\"",
    "y = Einsum(x, x) equation=\"abcd,abcd\"",
    "y = Einsum(x, tokens) equation=\"abcd,xyz->abcdxyzq\"",
    "y = Einsum(tokens, tokens) equation=\"ABC,abc->A→c\"",
    "y = DepthToSpace(x) blocksize=3",
    "y = DepthToSpace(x) blocksize=0",
    "y = DepthToSpace(x) blocksize=-2",
    "y = DepthToSpace(x) blocksize=2^32",
    "y = SpaceToDepth(x) blocksize=0",
    "y = SpaceToDepth(x) blocksize=2^40",
    "y = SpaceToDepth(x) blocksize=3",
    // Windows.
    "y = Conv(x, {~4x4x3x3}) pads=[1]",
    "y = Conv(x, {~4x4x3x3}) pads=[1,1,1]",
    "y = Conv(x, {~4x4x3x3}) pads=[1,1,1,1,1,1]",
    "y = Conv(x, {~4x4x3x3}) pads=[-3,-3,-3,-3]",
    "y = Conv(x, {~4x4x3x3}) pads=[2^38,0,0,0]",
    "y = Conv(x, {~4x4x3x3}) pads=[2^62,2^62,2^62,2^62]",
    "y = Conv(x, {~4x4x3x3}) strides=[0,0]",
    "y = Conv(x, {~4x4x3x3}) strides=[-1,-1]",
    "y = Conv(x, {~4x4x3x3}) strides=[1]",
    "y = Conv(x, {~4x4x3x3}) dilations=[0,0]",
    "y = Conv(x, {~4x4x3x3}) dilations=[2^40,2^40]",
    "y = Conv(x, {~4x4x3x3}) dilations=[1]",
    "y = Conv(x, {~4x4x3x3}) group=0",
    "y = Conv(x, {~4x4x3x3}) group=-1",
    "y = Conv(x, {~4x4x3x3}) group=3",
    "y = Conv(x, {~4x4x3x3}) group=2^40",
    "y = Conv(x, {~4x4x9x9})",
    "y = Conv(x, {~4x5x3x3})",
    "y = Conv(x, {~4x4x3x3}, {~5})",
    "y = Conv(x, {~4x4x3})",
    "y = Conv(x, {~4})",
    "y = Conv(x, {~0x4x3x3})",
    "y = Conv(x, {~4x4x0x0})",
    "y = Conv(tokens, {~4x4x3x3})",
    "y = Conv(x, {~4x4x3x3}) auto_pad=\"NONSENSE\"",
    "w = Mul(x, x)
     y = Conv(x, w) group=0",
    "y = ConvTranspose(x, {~4x4x3x3}) strides=[0,0]",
    "y = ConvTranspose(x, {~4x4x3x3}) strides=[2^38,1]",
    "y = ConvTranspose(x, {~4x4x3x3}) group=0",
    "y = ConvTranspose(x, {~4x4x3x3}) pads=[1]",
    "y = ConvTranspose(x, {~4x4x3x3}) pads=[9,9,9,9]",
    "y = ConvTranspose(x, {~4x4x3x3}) output_padding=[2^40,0]",
    "y = ConvTranspose(x, {~4x4x3x3}) output_shape=[2^40,2^40]",
    "y = MaxPool(x) kernel_shape=[0,0]",
    "y = MaxPool(x) kernel_shape=[9,9]",
    "y = MaxPool(x) kernel_shape=[2]",
    "y = MaxPool(x) kernel_shape=[2,2] strides=[0,0]",
    "y = MaxPool(x)",
    "y = AveragePool(x) kernel_shape=[2,2] pads=[1]",
    "y = AveragePool(x) kernel_shape=[2,2] strides=[0,0]",
    "y = AveragePool(x) kernel_shape=[2^40,2^40]",
    "y = AveragePool(tokens) kernel_shape=[2,2,2,2]",
    "y = GroupNormalization(x, {~4}, {~4}) num_groups=0",
    "y = GroupNormalization(x, {~4}, {~4}) num_groups=3",
    "y = GroupNormalization(x, {~4}, {~4}) num_groups=-1",
    "y = InstanceNormalization(x, {~5}, {~5})",
    "y = InstanceNormalization({~4}, {~4}, {~4})",
    "y = BatchNormalization(x, {~5}, {~5}, {~5}, {~5})",
    "r = Reshape(x, {0,0,-1})
     n = InstanceNormalization(r, {1.0,1.0}, {0.0,0.0})
     y = Reshape(n, shape)",
    // Types.
    "y = Cast(x) to=0",
    "y = Cast(x) to=9999",
    "y = Cast(x) to=-1",
    "y = Cast(x) to=14",
    "y = Cast(x)",
    "n = Div({0.0}, {0.0})
     s = Cast(n) to=7
     y = Reshape(x, s)",
    "n = Cast({nan}) to=7
     y = ConstantOfShape(n)",
    "n = Cast({inf}) to=7
     y = ConstantOfShape(n)",
    "n = Cast({1000000000000000000000000000000.0}) to=7
     y = Range({#0}, n, {#1})",
    "y = Add(x, {str:a})",
    "y = Sqrt({str:a,b})",
    "y = Not(x)",
    "y = Conv(x, {4,4,3,3})",
    "y = MatMul(x, {bool:1,1,1,1})",
    "p = Pow({#2}, {#100})
     y = ConstantOfShape(p)",
    "p = Pow(shape, {#64})
     y = Reshape(x, p)",
    "a = Add({9223372036854775807}, {1})
     y = ConstantOfShape(a)",
    "a = Mul({2^62}, {4})
     y = Expand(x, a)",
    "a = Neg({-9223372036854775808})
     y = ConstantOfShape(a)",
    "a = Abs({-9223372036854775808})
     y = ConstantOfShape(a)",
    "a = ReduceProd({2^62,4}) keepdims=0
     y = Range({#0}, a, {#1})",
    // Values that are no numbers.
    "l = Log({-1.0})
     y = Add(x, l)",
    "y = Sqrt({-1.0,-1.0})",
    "y = Mul(x, {#nan})",
    "w = DequantizeLinear({i8:~4x4}, {nan,nan,nan,nan}) axis=1
     y = MatMul(tokens, w)",
    "w = DequantizeLinear({i8:~4x4}, {#inf})
     y = MatMul(tokens, w)",
    "w = DequantizeLinear({i8:~4x4}, {0.1,0.1,0.1}) axis=1
     y = MatMul(tokens, w)",
    "w = DequantizeLinear({i8:~4x4}, {0.1,0.1,0.1,0.1}, {i8:0,0}) axis=1
     y = MatMul(tokens, w)",
    "w = DequantizeLinear({i8:~4x4}, {0.1,0.1,0.1,0.1}) axis=9
     y = MatMul(tokens, w)",
    "w = DequantizeLinear({i8:~4x4}, {0.1,0.1,0.1,0.1}) axis=-9
     y = MatMul(tokens, w)",
    "w = DequantizeLinear({i8:~4x4}, {~2x4}) axis=0 block_size=3
     y = MatMul(tokens, w)",
    "w = DequantizeLinear({i8:~4x4}, {~2x4}) axis=0 block_size=-2
     y = MatMul(tokens, w)",
    "w = DequantizeLinear({str:a,b,c,d@2x2}, {#0.1})
     y = Add(w, w)",
    "w = DequantizeLinear({i8:~4x4})
     y = MatMul(tokens, w)",
    "w = DequantizeLinear({i8:~4x4x3x3}, {nan,0.1,0.1,0.1}) axis=0
     y = Conv(x, w)",
    "q = QuantizeLinear(x, {#0.0}, {u8:#0})
     y = DequantizeLinear(q, {#nan}, {u8:#0})",
    "q = QuantizeLinear(x, {#0.1}, {#0.0})
     y = DequantizeLinear(q, {#0.1})",
    "q = QuantizeLinear(x, {0.1,0.1}, {u8:0,0}) axis=1
     y = Cast(q) to=1",
];

/// Nodes that mean something, if something odd.
const EITHER: &[&str] = &[
    "w = DequantizeLinear({i8:~4x4}, {0.1,0.1,0.1,0.1}, {u8:0,0,0,0}) axis=1
     y = MatMul(tokens, w)",
    "w = DequantizeLinear({f32:~4x4}, {#0.1})
     y = MatMul(tokens, w)",
    "q = QuantizeLinear(x, {#0.1}, {i8:#0})
     y = DequantizeLinear(q, {#0.1}, {u8:#0})",
    "y = Pad(x, {0,0,0,-8,0,0,0,2}, {#0.0})",
    "y = BitShift({1}, {9}) direction=\"NONSENSE\"",
    "y = BitShift({u8:1}, {u8:200}) direction=\"LEFT\"",
    "y = Conv(x, {~4x4x3x3}) kernel_shape=[0,0]",
    "y = Conv(x, {~4x4x3x3}) kernel_shape=[3]",
    "y = Conv(x, {~4x4x3x3}) kernel_shape=[5,5]",
    "y = Gemm(x, {~4x4})",
    "y = Reshape(x, {8,8@1x2})",
    "y = Reshape(x, {#64})",
    "y = Reshape(x, {0,-1,0})",
    "y = Add(x, {#inf})",
    "y = EyeLike({f32:@1099511627776x0})",
    "y = Add(x, {#1})",
    "y = Where(x, x, x)",
    "y = Slice(x, {9}, {2}, {1}, {1})",
    "y = Slice(x, {-9223372036854775808}, {9223372036854775807}, {1}, {1})",
    "y = Slice(x, {9223372036854775807}, {-9223372036854775808}, {1}, {-1})",
    "y = Slice(x, {0}, {2}, {1}, {2^40})",
    "y = Slice(x, {0}, {2}, {1}, {-9223372036854775808})",
    "y = Concat(x, {f32:@1x0x4x4}) axis=1",
    "y = ConstantOfShape({0}) value={1.0}",
    "y = ConstantOfShape({}) value={1.0}",
    "y = Range({#8}, {#0}, {#1})",
    "y = Range({#0}, {#9}, {#2^62})",
    "y = ReduceMean({f32:@0x4})",
    "y = ReduceMax({f32:@0x4})",
    "y = Softmax({f32:@0x4})",
    "y = ArgMax({f32:@0x4}) axis=0",
    "y = MatMul({f32:@4x0}, {f32:@0x4})",
    "y = Gather({f32:@0x4}, {i64:@0}) axis=0",
    "y = NonZero({0.0})",
    "y = TopK(x, {0}) axis=1",
    "y = Tile(x, {0,1,1,1})",
    "y = Expand(x, {0,4,4,4})",
    "y = Pad(x, {0,0,0,0,0,0,0,0}, {#nan})",
    "y = Resize(x, , {1.0,1.0,0.001,0.001}) mode=\"nearest\"",
    "y = Resize(x, , {1.0,1.0,1.3,1.7}) mode=\"cubic\"",
    "y = Pow({#2}, {#100})",
    "y = Pow({#2}, {#-1})",
    "y = Pow({#0}, {#-1})",
    "y = Add({9223372036854775807}, {1})",
    "y = Mul(shape, {2^62})",
    "y = Sub({-9223372036854775808}, {1})",
    "y = Cast({nan,inf}) to=7",
    "y = Cast({300,-1}) to=2",
    "y = Equal({nan}, {nan})",
    "y = Dropout(x, {#1.5})",
    "y = Clip(x, {#1.0}, {#-1.0})",
    "y = Clip(x, {#nan}, {#nan})",
    "y = Clip(x)",
    "y = Unsqueeze(x, {0,1,2,3,4,5,6,7})",
];

pub(crate) fn cases() -> Vec<Case> {
    let kinds = [(REFUSED, Right::Refused), (EITHER, Right::Either)];
    let mut cases = Vec::new();
    for (list, right) in kinds {
        for nodes in list {
            let name = nodes.split_whitespace().collect::<Vec<_>>().join(" ");
            cases.push(text(name.clone(), right, nodes));
            // Where checks of the graph alone do not look.
            let inside = branch(Snippet::of("k", nodes));
            cases.push(crafted(
                format!("in a branch: {name}"),
                Right::Either,
                inside,
                "y",
            ));
        }
    }
    cases
}
