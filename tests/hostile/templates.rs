//! Operators by name, and nodes of them as they should be.

/// Every name that the importer below us knows, whether ONNX's, a vendor's or made up.
pub(crate) const REGISTERED: &str = "
    Abs Acos Acosh Add And ArgMax ArgMin ArrayFeatureExtractor Asin Asinh Atan Atanh Attention AveragePool BatchNormalization
    BiasGelu BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike CategoryMapper Ceil Celu Clip
    Compress Concat Constant ConstantLike ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumSum DFT DepthToSpace
    DequantizeLinear Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike FastGelu Flatten Floor GRU Gather
    GatherBlockQuantized GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual
    GridSample GroupNormalization GroupQueryAttention HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity If
    InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual LinearClassifier LinearRegressor Log
    LogSoftmax LpNormalization MatMul MatMulInteger MatMulNBits Max MaxPool Mean MeanVarianceNormalization MelWeightMatrix Min
    Mish Mod Mul MultiHeadAttention Multinomial Neg NonMaxSuppression NonZero Normalizer Not OneHot Or PRelu Pad
    ParametricSoftplus Pow QLinearConv QLinearMatMul QuantizeLinear QuickGelu RMSNormalization RNN RandomNormal RandomNormalLike
    RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
    ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize RotaryEmbedding Round Rsqrt STFT ScaledTanh Scan Scatter
    ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign SimplifiedLayerNormalization Sin Sinh Size SkipLayerNormalization
    Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tan Tanh ThresholdedRelu Tile TopK Transpose
    TreeEnsembleClassifier Trilu Unsqueeze Where Xor";

/// Operators of ONNX and of ONNX Runtime that it does not know.
pub(crate) const OTHERS: &str = "
    Loop SequenceConstruct SequenceAt SequenceEmpty SequenceInsert SequenceErase SequenceLength SequenceMap ConcatFromSequence
    SplitToSequence Optional OptionalGetElement OptionalHasElement StringNormalizer StringConcat StringSplit RegexFullMatch
    TfIdfVectorizer Upsample Det RoiAlign MaxRoiPool MaxUnpool Col2Im CenterCropPad AffineGrid ImageDecoder Unique
    ReverseSequence Bernoulli NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss Momentum Adam Adagrad Gradient DeformConv LpPool
    FusedMatMul FusedConv NhwcConv GroupNorm PackedMultiHeadAttention BiasSplitGelu NotAnOperator";

pub(crate) fn names(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.split_whitespace()
}

/// Nodes as they should be, by the operator's name, which is the last line's. `x` is an image [1, 4, 4, 4], see
/// [`micro::unet_with`]. Those before the empty line are what exporters of diffusion models write: they must paint.
pub(crate) const TEMPLATES: &[&str] = &[
    "y = Add(x, {#1.0})",
    "y = Sub(x, {~4x1x1})",
    "y = Mul(x, x)",
    "y = Div(x, {#2.0})",
    "y = Pow(x, {#2.0})",
    "a = Abs(x)
     y = Sqrt(a)",
    "y = Exp(x)",
    "y = Erf(x)",
    "y = Sigmoid(x)",
    "y = Tanh(x)",
    "y = Relu(x)",
    "y = Sin(x)",
    "y = Cos(x)",
    "y = Neg(x)",
    "y = Identity(x)",
    "y = Cast(x) to=7",
    "y = Clip(x, {#-1.0}, {#1.0})",
    "y = Conv(x, {~4x4x3x3}, {~4}) kernel_shape=[3,3] pads=[1,1,1,1] strides=[1,1] dilations=[1,1] group=1",
    "y = Conv(x, {~4x1x3x3}) kernel_shape=[3,3] pads=[1,1,1,1] group=4",
    "y = Conv(x, {~8x4x1x1}, {~8})",
    "y = MatMul(tokens, {~4x8})",
    "y = MatMul(x, x)",
    "y = Gemm({~2x4}, {~8x4}, {~8}) alpha=1.0 beta=1.0 transA=0 transB=1",
    "y = Softmax(tokens) axis=-1",
    "y = LayerNormalization(tokens, {~4}, {~4}) axis=-1 epsilon=0.00001",
    "y = InstanceNormalization(x, {~4}, {~4}) epsilon=0.00001",
    "y = ReduceMean(x) axes=[2,3] keepdims=1",
    "y = Reshape(x, {0,4,-1})",
    "y = Transpose(x) perm=[0,2,3,1]",
    "y = Unsqueeze(x, {0})",
    "y = Squeeze(x, {0})",
    "y = Flatten(x) axis=1",
    "y = Concat(x, x) axis=1",
    "y, z = Split(x, {2,2}) axis=1",
    "y = Slice(x, {0}, {2}, {1}, {1})",
    "y = Gather(x, {0,1}) axis=1",
    "y = Gather(shape, {#1}) axis=0",
    "y = Shape(x)",
    "y = Expand({~4x1x1}, shape)",
    "y = ConstantOfShape(shape) value={1.0}",
    "y = Constant() value={~4}",
    "y = Where({bool:#1}, x, {#0.0})",
    "y = Equal(shape, {#4})",
    "y = Range({#0}, {#8}, {#1})",
    "y = Pad(x, {0,0,1,1,0,0,1,1}, {#0.0}) mode=\"constant\"",
    "y = Resize(x, , {1.0,1.0,2.0,2.0}) mode=\"nearest\" coordinate_transformation_mode=\"asymmetric\" nearest_mode=\"floor\"",
    "w = DequantizeLinear({i8:~4x4}, {0.1,0.1,0.1,0.1}, {i8:0,0,0,0}) axis=1
     y = MatMul(tokens, w)",
    "y = DequantizeLinear({i8:~4x4}, {#0.1}, {i8:#0}) axis=1",
    "q = QuantizeLinear(x, {#0.1}, {u8:#128}) axis=1
     y = DequantizeLinear(q, {#0.1}, {u8:#128})",
    "y = Trilu({~4x4}, {#1}) upper=1",
    "y = Tile(x, {1,1,2,2})",
    "",
    "y = AveragePool(x) kernel_shape=[2,2] strides=[2,2] pads=[0,0,0,0] ceil_mode=0 count_include_pad=1",
    "y = MaxPool(x) kernel_shape=[2,2] strides=[2,2] pads=[0,0,0,0] dilations=[1,1] storage_order=0",
    "y = GlobalAveragePool(x)",
    "y = GroupNormalization(x, {~4}, {~4}) num_groups=2 epsilon=0.00001",
    "y = BatchNormalization(x, {~4}, {~4}, {~4}, {1.0,1.0,1.0,1.0}) epsilon=0.00001 spatial=1",
    "y = ConvTranspose(x, {~4x4x3x3}, {~4}) kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1] output_padding=[1,1] group=1",
    "y = ConvInteger({u8:~1x4x4x4}, {i8:~4x4x1x1}, {u8:#1}, {i8:#0}) kernel_shape=[1,1]",
    "y = QLinearConv({u8:~1x4x4x4}, {#0.1}, {u8:#1}, {i8:~4x4x1x1}, {#0.1}, {i8:#0}, {#0.1}, {u8:#0}) kernel_shape=[1,1]",
    "y = MatMulInteger({u8:~4x4}, {i8:~4x4}, {u8:#1}, {i8:#0})",
    "y = QLinearMatMul({u8:~4x4}, {#0.1}, {u8:#1}, {i8:~4x4}, {#0.1}, {i8:#0}, {#0.1}, {u8:#0})",
    "y, s, z = DynamicQuantizeLinear(x)",
    "y = DepthToSpace(x) blocksize=2 mode=\"DCR\"",
    "y = SpaceToDepth(x) blocksize=2",
    "y = ArgMax(x) axis=1 keepdims=1 select_last_index=0",
    "y = ReduceSum(x, {1}) keepdims=1 noop_with_empty_axes=0",
    "y = ReduceMax(x) axes=[1] keepdims=0",
    "y = ReduceProd(shape) keepdims=0",
    "y = ReduceL2(x) axes=[1]",
    "y = ReduceLogSumExp(x) axes=[1]",
    "y = CumSum(x, {#1}) exclusive=0 reverse=0",
    "y, i = TopK(x, {2}) axis=1 largest=1 sorted=1",
    "y = OneHot({0,1,2}, {#4}, {0.0,1.0}) axis=-1",
    "y = GatherElements(x, {0,0,0,0@1x1x2x2}) axis=1",
    "y = GatherND(x, {0,1@1x2}) batch_dims=0",
    "y = ScatterElements({~4}, {1,2}, {5.0,6.0}) axis=0 reduction=\"none\"",
    "y = ScatterND({~4}, {1,2@2x1}, {5.0,6.0}) reduction=\"add\"",
    "y = NonZero(x)",
    "y = Compress(x, {bool:1,0,1,1}) axis=1",
    "y = EyeLike({~4x4}) dtype=1 k=1",
    "y = Einsum(tokens, {~4x8}) equation=\"bij,jk->bik\"",
    "y = GridSample(x, {~1x2x2x2}) mode=\"bilinear\" padding_mode=\"zeros\" align_corners=0",
    "y = Mod(shape, {#3}) fmod=0",
    "y = BitShift({u8:1,2}, {u8:1,1}) direction=\"LEFT\"",
    "y = BitwiseAnd({1,2}, {3,1})",
    "y = Not({bool:1})",
    "y = And({bool:1}, {bool:0})",
    "y = Max(x, {#0.0})",
    "y = Mean(x, x)",
    "y = PRelu(x, {~4x1x1})",
    "y = LeakyRelu(x) alpha=0.1",
    "y = Elu(x) alpha=1.0",
    "y = Celu(x) alpha=1.0",
    "y = HardSigmoid(x) alpha=0.2 beta=0.5",
    "y = Shrink(x) lambd=0.5 bias=0.0",
    "y = LRN(x) size=3 alpha=0.0001 beta=0.75 bias=1.0",
    "y = LpNormalization(x) axis=1 p=2",
    "y = MeanVarianceNormalization(x) axes=[0,2,3]",
    "y = Hardmax(x) axis=1",
    "y = LogSoftmax(x) axis=1",
    "y = Gelu(x) approximate=\"none\"",
    "y = QuickGelu(x) alpha=1.702",
    "y = BiasGelu(x, {~4})",
    "y = FastGelu(x, {~4})",
    "y = SkipLayerNormalization(tokens, tokens, {~4}, {~4}, {~4}) epsilon=0.00001",
    "y = SimplifiedLayerNormalization(tokens, {~4}) axis=-1 epsilon=0.00001",
    "y = RMSNormalization(tokens, {~4}) axis=-1 epsilon=0.00001",
    "y = RotaryEmbedding({~1x2x4x4}, {~4x2}, {~4x2}, {0,1,2,3@1x4}) interleaved=0 num_heads=2 rotary_embedding_dim=0",
    "y = MultiHeadAttention(tokens, tokens, tokens) num_heads=2 scale=0.5",
    "y = Attention(tokens, tokens, tokens) q_num_heads=2 kv_num_heads=2 is_causal=0 scale=0.5",
    "y = GroupQueryAttention(tokens, tokens, tokens, , , {i32:3}, {i32:#4}) num_heads=2 kv_num_heads=2",
    "y = MatMulNBits(tokens, {u8:~8x1x8}, {~8}) K=4 N=8 bits=4 block_size=16",
    "y = GatherBlockQuantized({u8:~4x8}, {0,1}, {~4x1}) bits=4 block_size=16 gather_axis=0 quantize_axis=1",
    "y = Dropout(x, {#0.5}, {bool:#0}) seed=1",
    "y = RandomNormal() shape=[2,2] mean=0.0 scale=1.0 dtype=1 seed=1.0",
    "y = RandomUniformLike(x) high=1.0 low=0.0 dtype=1",
    "y = Multinomial({~1x4}) sample_size=2 dtype=6",
    "y = HannWindow({#8}) periodic=1 output_datatype=1",
    "y = MelWeightMatrix({#4}, {#16}, {#8000}, {#0.0}, {#4000.0})",
    "y = DFT({~1x8x1}, {#8}) axis=1 inverse=0 onesided=0",
    "y = STFT({~1x16x1}, {#4}, {~8}, {#8}) onesided=1",
    "y = NonMaxSuppression({~1x3x4}, {~1x1x3}, {2}, {0.5}, {0.1}) center_point_box=0",
    "y = LSTM({~2x1x4}, {~1x8x4}, {~1x8x2}) hidden_size=2 direction=\"forward\" layout=0",
    "y = GRU({~2x1x4}, {~1x6x4}, {~1x6x2}) hidden_size=2 linear_before_reset=0",
    "y = RNN({~2x1x4}, {~1x2x4}, {~1x2x2}) hidden_size=2",
    "y = ArrayFeatureExtractor(x, {0,1})",
    "y = ConstantLike(x) value=1.0",
    "y = Normalizer(tokens) norm=\"L2\"",
    "y = LinearRegressor({~1x4}) coefficients=[0.1,0.2,0.3,0.4] intercepts=[0.1] targets=1",
    "y = CastLike(x, {#1})",
    "y = Size(x)",
    "y = IsInf(x) detect_negative=1 detect_positive=1",
    "y = Upsample(x, {1.0,1.0,2.0,2.0}) mode=\"nearest\"",
];

/// Whole numbers that sizes, axes and places may be.
pub(crate) const INTEGERS: [i64; 14] = [
    0,
    1,
    -1,
    -2,
    3,
    5,
    100,
    -100,
    1 << 31,
    1 << 38,
    1 << 40,
    1 << 62,
    i64::MIN,
    i64::MAX,
];
