use super::super::graph::float_tensor;
use super::super::testing::{self, noise, random, same_after};
use super::*;

/// The pass behind the one that makes an operator of images.
fn both(model: &mut ModelProto, context: &mut PassContext) -> Result<(), String> {
    super::super::upsample::run(model, context)?;
    run(model, context)
}

const DOUBLED: &str = "u = Resize(x, , scales) mode=nearest coordinate_transformation_mode=asymmetric nearest_mode=floor";

fn network(rest: &str) -> ModelProto {
    let constants = vec![
        float_tensor("scales", &[4], &[1.0, 1.0, 2.0, 2.0]),
        float_tensor("row", &[1, 4, 1, 1], &noise(4, 1)),
        float_tensor("half", &[], &[0.5]),
        testing::integers("flat", &[1, -1]),
        testing::integers("corner", &[0, 0]),
        testing::integers("size", &[3, 2]),
        testing::integers("axes", &[2, 3]),
        testing::integers("zero", &[0]),
        testing::integers("one", &[1]),
        testing::integers("two", &[2]),
        testing::integers("minus", &[-1]),
        testing::integers("tokens", &[0, 0, -1]),
    ];
    testing::model(&format!("{DOUBLED}\n{rest}"), constants, &["y"])
}

fn kinds_after(rest: &str) -> Vec<String> {
    same_after(both, network(rest), &[random(&[1, 4, 2, 3], 2)])
}

#[test]
fn pixels_become_tokens_without_a_transposition() {
    let text = "s = Shape(u)
        k = Slice(s, zero, two)
        shape = Concat(k, minus) axis=0
        r = Reshape(u, shape)
        t = Transpose(r) perm=0,2,1
        y = Neg(t)";
    let count = |text: &str| {
        let found = kinds_after(text);
        let transposed = |kind: &&String| kind.contains("Channels") || *kind == "Transpose";
        found.iter().filter(transposed).count()
    };
    // The one before the first operator.
    assert_eq!(count(text), 1);
    assert_eq!(
        count(&text.replace("Reshape(u, shape)", "Reshape(u, tokens)")),
        1
    );
    // Another order of axes, and others that are kept.
    assert_eq!(count(&text.replace("perm=0,2,1", "perm=1,2,0")), 3);
}

#[test]
fn images_stay_channels_last_from_operator_to_operator() {
    let kinds = kinds_after(
        "a = Add(u, row)
        b = Concat(a, u) axis=1
        c = Slice(b, corner, size, axes)
        d = Transpose(c) perm=0,2,3,1
        y = Mul(d, half)",
    );
    let expected = [
        ops::CHANNELS_LAST,
        "EaselUpsample",
        "Add",
        "EaselConcat",
        "Slice",
        "Mul",
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn what_else_reads_an_image_finds_it_as_it_was() {
    for rest in [
        "y = Reshape(u, flat)",
        "y = Identity(u)",
        "s = Shape(u)\nf = Reshape(u, flat)\ny = Reshape(f, s)",
        "t = Transpose(u) perm=0,2,3,1\nv = Mul(t, half)\ny = Transpose(v) perm=0,3,1,2",
        "t = Transpose(u) perm=0,3,2,1\ny = Add(t, half)",
        "m = Softmax(u) axis=1\ny = Add(u, m)",
    ] {
        let kinds = kinds_after(rest);
        assert!(
            kinds.iter().any(|kind| kind == "EaselUpsample"),
            "{rest}: {kinds:?}"
        );
    }
}

#[test]
fn only_repetition_of_pixels_is_up_sampling() {
    let other = network("y = Identity(u)");
    let mut linear = other.clone();
    let graph = linear.graph.as_mut().expect("a graph");
    let mode = graph.node[0]
        .attribute
        .iter_mut()
        .find(|a| a.name == "mode");
    mode.expect("it has one").s = b"linear".to_vec();
    let kinds = same_after(both, linear, &[random(&[1, 4, 2, 3], 3)]);
    assert_eq!(kinds, ["Resize", "Identity"]);
}
