use super::super::graph::float_tensor;
use super::super::testing::{kinds, model, noise};
use super::*;

fn bytes_tensor(name: &str, dims: &[i64], kind: DataType, bytes: &[u8]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: kind as i32,
        raw_data: bytes.to_vec(),
        ..TensorProto::default()
    }
}

/// What a network's nodes and weights are after the pass.
fn after(text: &str, constants: Vec<TensorProto>) -> Result<(Vec<String>, Vec<Weight>), String> {
    let mut model = model(text, constants, &["y"]);
    let mut context = PassContext::new(std::path::Path::new(""));
    run(&mut model, &mut context)?;
    let graph = model.graph.expect("a graph");
    let kinds = kinds(&graph).into_iter().map(String::from).collect();
    Ok((kinds, context.weights))
}

#[test]
fn products_with_constants_become_ours_with_their_bias() {
    let weight = || float_tensor("w", &[3, 4], &noise(12, 1));
    let bias = || float_tensor("b", &[4], &noise(4, 2));
    let square = float_tensor("w", &[4, 3], &noise(12, 1));
    for (text, constants, order) in [
        (
            "m = MatMul(x, w)\ny = Add(m, b)",
            vec![weight(), bias()],
            Order::rows_first(3, 4),
        ),
        (
            "m = MatMul(x, w)\ny = Add(b, m)",
            vec![weight(), bias()],
            Order::rows_first(3, 4),
        ),
        (
            "y = Gemm(x, w, b)",
            vec![weight(), bias()],
            Order::rows_first(3, 4),
        ),
        (
            "y = Gemm(x, w, b) transB=1",
            vec![square.clone(), bias()],
            Order::columns_first(4, 3),
        ),
        (
            "t = Transpose(w) perm=1,0\nm = MatMul(x, t)\ny = Add(m, b)",
            vec![square, bias()],
            Order::columns_first(4, 3),
        ),
    ] {
        let (kinds, weights) = after(text, constants).expect("it runs");
        assert_eq!(kinds, ["EaselLinear"], "{text}");
        assert_eq!(weights[0].order, order, "{text}");
        assert_eq!(weights[0].bias.as_deref(), Some(&noise(4, 2)[..]), "{text}");
    }
    let (kinds, weights) = after("y = MatMul(x, w)", vec![weight()]).expect("it runs");
    assert_eq!(
        (&kinds[..], weights[0].bias.is_none()),
        (&["EaselLinear".to_owned()][..], true)
    );
}

#[test]
fn int8_weights_keep_their_bytes_scales_and_zero_points() {
    let constants = |scales: usize| {
        vec![
            bytes_tensor("q", &[2, 3], DataType::Uint8, &[1, 2, 3, 4, 5, 255]),
            float_tensor("s", &[scales as i64], &noise(scales, 1)),
            bytes_tensor("z", &[1], DataType::Uint8, &[128]),
        ]
    };
    let text = "w = DequantizeLinear(q, s, z) axis=1\ny = MatMul(x, w)";
    for scales in [1, 3] {
        let (kinds, weights) = after(text, constants(scales)).expect("it runs");
        assert_eq!(kinds, ["EaselLinear"]);
        let Values::Int8 {
            bytes,
            signed,
            scales: found,
            zeros,
        } = &weights[0].values
        else {
            panic!("not int8");
        };
        assert_eq!(
            (&bytes.read().expect("bytes")[..], *signed),
            (&[1, 2, 3, 4, 5, 255][..], false)
        );
        assert_eq!((found.len(), &zeros[..]), (3, &[128; 3][..]));
    }
    // A scale for each input channel cannot be factored out: left.
    let rows = text.replace("axis=1", "axis=0");
    let (kinds, _) = after(&rows, constants(2)).expect("it runs");
    assert_eq!(kinds, ["DequantizeLinear", "MatMul"]);
}

#[test]
fn convolutions_become_ours_unless_they_are_of_another_kind() {
    let weight =
        |channels: i64| float_tensor("w", &[4, channels, 3, 3], &noise(36 * channels as usize, 1));
    let (kinds, weights) = after("y = Conv(x, w) pads=1,1,1,1", vec![weight(2)]).expect("it runs");
    assert_eq!(kinds, ["EaselConv2d"]);
    assert_eq!(weights[0].order, Order::convolution([4, 2, 3, 3]));
    for left in [
        "y = Conv(x, w) group=2",
        "y = Conv(x, w) auto_pad=SAME_UPPER",
    ] {
        let (kinds, weights) = after(left, vec![weight(1)]).expect("it runs");
        assert_eq!(
            (&kinds[..], weights.len()),
            (&["Conv".to_owned()][..], 0),
            "{left}"
        );
    }
}

#[test]
fn weights_of_another_size_than_their_shape_are_refused() {
    let mut short = float_tensor("w", &[3, 4], &noise(12, 1));
    short.raw_data.truncate(40);
    let error = after("y = MatMul(x, w)", vec![short])
        .err()
        .expect("refused");
    assert!(
        error.contains("`w`") && error.contains("needs 48 bytes, there are 40"),
        "{error}"
    );
}

#[test]
fn weights_of_16_bits_stay_as_they_are_until_they_are_packed() {
    let numbers: Vec<f32> = (0..12_u8).map(|at| f32::from(at) - 5.5).collect();
    let halves = |kind| -> Vec<u8> {
        let bits = numbers.iter().map(|number| match kind {
            DataType::Bfloat16 => half::bf16::from_f32(*number).to_bits(),
            _ => half::f16::from_f32(*number).to_bits(),
        });
        bits.flat_map(u16::to_le_bytes).collect()
    };
    for kind in [DataType::Float16, DataType::Bfloat16] {
        for text in ["y = MatMul(x, w)", "c = Cast(w) to=1\ny = MatMul(x, c)"] {
            let constants = vec![bytes_tensor("w", &[3, 4], kind, &halves(kind))];
            let (kinds, weights) = after(text, constants).expect("it runs");
            assert_eq!(kinds, ["EaselLinear"], "{text}");
            let (Values::F16(bytes) | Values::Bf16(bytes)) = &weights[0].values else {
                panic!("{kind:?} became something else");
            };
            let bytes = bytes.read().expect("they are there");
            let found = match &weights[0].values {
                Values::Bf16(_) => crate::weights::bfloats_to_f32(&bytes),
                _ => crate::weights::halves_to_f32(&bytes),
            };
            assert_eq!(found, numbers, "{kind:?}");
        }
    }
}
