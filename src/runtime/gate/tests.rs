//! The rules against tract: on sensible networks both say the same, on others nothing gets as far as tract.

use std::path::Path;

use prost::Message as _;
use tract_core::prelude::DatumType;
use tract_onnx::pb::{ModelProto, TensorProto, tensor_proto::DataType};

use super::super::passes::{self, testing};
use super::*;

const NO_LIMITS: Limits = Limits {
    tensor: 1 << 30,
    folded: 1 << 30,
};

/// What the two turns say of a network of floats of these shapes.
fn checked(model: &ModelProto, inputs: &[&[usize]]) -> Result<(), String> {
    check_structure(model)?;
    let inputs: Vec<_> = inputs
        .iter()
        .map(|shape| (DatumType::F32, shape.to_vec()))
        .collect();
    check_shapes(model, &inputs, NO_LIMITS).map(|_| ())
}

fn whole(name: &str, values: &[i64]) -> TensorProto {
    testing::integers(name, values)
}

/// Each line is a network of one input `x` of `[2, 4, 6, 8]`, and a part of what is wrong with it.
#[test]
fn what_is_wrong_is_named() {
    let constants = || {
        vec![
            whole("zero", &[0]),
            whole("one", &[1]),
            whole("minus", &[-1]),
            whole("many", &[1 << 40]),
            whole("shape", &[2, -1, 7]),
            whole("twice", &[-1, -1]),
            whole("large", &[i64::MAX]),
            whole("start", &[0]),
            whole("end", &[9]),
        ]
    };
    for (text, problem) in [
        ("y = EaselEmbedding(x) file=/etc/passwd", "does not know"),
        ("y = Nonsense(x)", "does not know"),
        ("y = Concat() axis=0", "has 0 inputs"),
        ("y = Concat(x)", "has no axis"),
        ("y = Add(x)", "has 1 inputs, not 2 to 2"),
        ("y = Add(x, )", "lacks an input"),
        ("y = Div(one, zero)", "divides by zero"),
        ("y = Mod(one, zero)", "divides by zero"),
        ("y = NonZero(x)", "as many as there are"),
        ("y = Mul(large, large)", "more than 64 bits"),
        ("y = ConstantOfShape(many)", "MiB, more than there are"),
        ("y = ConstantOfShape(large)", "no machine has room"),
        ("y = ConstantOfShape(minus)", "is no length"),
        ("y = Range(start, many, one)", "goes from"),
        ("y = Range(start, end, zero)", "goes from"),
        ("y = Slice(x, start, end, zero, zero)", "goes by 0"),
        (
            "y = Slice(x, start, end, many)",
            "axis 1099511627776 of a value of 4",
        ),
        (
            "y = Unsqueeze(x, many)",
            "axis 1099511627776 of a value of 5",
        ),
        ("y = Squeeze(x, zero)", "takes axis 0 out of"),
        ("y = Gather(x, many) axis=0", "is not among 2"),
        ("y = Gather(x, one) axis=4", "axis 4 of a value of 4"),
        ("y = Expand(x, many)", "do not go together"),
        ("y = Reshape(x, shape)", "gives [2, 4, 6, 8] the shape"),
        ("y = Reshape(x, twice)", "two sides open"),
        ("y = Transpose(x) perm=0,0,1,2", "names an axis twice"),
        ("y = Transpose(x) perm=0,1,2,9", "axis 9 of a value of 4"),
        ("y = Flatten(x) axis=7", "axis 7"),
        ("y = Tile(x, many)", "repeats"),
        ("y = Pad(x, many)", "pads 4 axes with 1 numbers"),
        ("y = ReduceMean(x) axes=5,", "axis 5 of a value of 4"),
        ("y = ReduceMean(x) axes=1,-3", "names an axis twice"),
        ("y = MatMul(x, one)", "multiplies"),
        ("y = Conv(x, one)", "works on images"),
        ("y = Softmax(x) axis=4", "axis 4 of a value of 4"),
        ("y = TopK(x, many)", "more than the 8 there are"),
        (
            "y = Split(x) axis=1 num_outputs=3",
            "makes 3 parts for 1 outputs",
        ),
        ("y = Cast(x) to=8", "no element type"),
        ("y = Einsum(x) equation=ab->a", "takes [2, 4, 6, 8]"),
        ("y = Add(y, x)", "before"),
        ("a = Add(b, x)\nb = Add(a, x)\ny = Add(a, b)", "before"),
    ] {
        let model = testing::model(text, constants(), &["y"]);
        let takes_x = model
            .graph
            .as_ref()
            .is_some_and(|graph| !graph.input.is_empty());
        let inputs: &[&[usize]] = if takes_x { &[&[2, 4, 6, 8]] } else { &[] };
        let checked = checked(&model, inputs).expect_err(text);
        let found = checked.contains(problem)
            || problem == "before" && checked.contains("which is not there");
        assert!(found, "{text}: {checked}");
        assert!(checked.len() < 400 && !checked.contains('\n'), "{checked}");
    }
}

/// The other side: networks of `x` that are as they should be.
#[test]
fn what_is_right_passes() {
    for text in [
        "y = Attention(x, x, x)",
        "s = Shape(x)\ny = Reshape(x, s)",
        "a = Gather(shape, index) axis=0\nb = Mul(a, a)\nc = Concat(b, a) axis=0\ny = ConstantOfShape(c)",
        "y = Slice(x, index, large, index)",
        "a, b = Split(x) axis=1\ny = Concat(b, a) axis=1",
        "y = Einsum(x) equation=nhwc->nchw",
        "y = Expand(x, shape)",
        "y = MaxPool(x) kernel_shape=2,2 strides=2,2",
    ] {
        let constants = vec![
            whole("shape", &[2, 4, 6, 8]),
            whole("index", &[0]),
            whole("large", &[i64::MAX]),
        ];
        let model = testing::model(text, constants, &["y"]);
        let takes_x = model
            .graph
            .as_ref()
            .is_some_and(|graph| !graph.input.is_empty());
        let inputs: &[&[usize]] = if takes_x { &[&[2, 4, 6, 8]] } else { &[] };
        assert_eq!(checked(&model, inputs), Ok(()), "{text}");
    }
}

#[test]
fn constants_are_as_long_as_they_say_and_lie_in_the_network() {
    let network = |change: &dyn Fn(&mut TensorProto)| {
        let mut tensor = whole("shape", &[1, 8]);
        change(&mut tensor);
        checked(
            &testing::model("y = Reshape(x, shape)", vec![tensor], &["y"]),
            &[&[8]],
        )
    };
    assert_eq!(network(&|_| ()), Ok(()));
    let changes: [&dyn Fn(&mut TensorProto); 7] = [
        &|tensor| tensor.dims = vec![3],
        &|tensor| tensor.dims = vec![-2],
        &|tensor| tensor.dims = vec![1 << 40, 1 << 40],
        &|tensor| {
            tensor.int64_data.clear();
            tensor.raw_data = vec![0; 15];
        },
        &|tensor| tensor.data_type = DataType::String as i32,
        &|tensor| tensor.data_type = 77,
        &|tensor| tensor.int64_data = vec![1, 2, 3],
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let refused = network(change).expect_err("it is wrong");
        assert!(refused.contains("tensor `shape`"), "{number}: {refused}");
    }
}

/// Every network of the default model is let through, and its output's shape is right.
#[test]
fn the_default_model_passes() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket");
    let float = DatumType::F32;
    for (component, inputs) in [
        ("text_encoder", vec![(DatumType::I64, vec![1, 32])]),
        (
            "unet",
            vec![
                (float, vec![2, 8, 32, 32]),
                (DatumType::I64, vec![2]),
                (float, vec![2, 32, 192]),
            ],
        ),
        ("vae_decoder", vec![(float, vec![1, 8, 32, 32])]),
    ] {
        let path = models.join(component).join("model.onnx");
        let mut model = crate::weights::read_network(&path).expect("the default model");
        check_structure(&model).expect(component);
        passes::run(&mut model, &path).expect("all passes run");
        let graph = model.graph.as_ref().expect("it has one");
        let inputs: Vec<_> = graph
            .input
            .iter()
            .zip(inputs)
            .map(|(declared, (element, shape))| {
                let kind = super::super::input_spec(declared).map_or(element, |spec| spec.element);
                let rank =
                    super::super::input_spec(declared).map_or(shape.len(), |spec| spec.dims.len());
                (kind, shape[..rank].to_vec())
            })
            .collect();
        check_shapes(&model, &inputs, NO_LIMITS)
            .unwrap_or_else(|problem| panic!("{component}: {problem}"));
        assert!(!model.encode_to_vec().is_empty());
    }
}
