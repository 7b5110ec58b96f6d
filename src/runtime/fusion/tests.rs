use std::collections::HashMap;
use std::path::Path;

use crate::watched::CancelToken;

use prost::Message as _;
use tract_core::prelude::Tensor;
use tract_onnx::pb::{ModelProto, TensorProto, type_proto};

use super::super::passes::testing::{self, evaluate, random};
use super::super::{Network, Plan, Precision, Residency, Wanted, Workers};

/// How many nodes of each kind the default model's network has in the end.
fn kinds(component: &str, shapes: &[Vec<usize>]) -> HashMap<String, usize> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket");
    kinds_of(&built(&dir, component, shapes))
}

fn built(dir: &Path, component: &str, shapes: &[Vec<usize>]) -> Plan {
    let component = component.parse().expect("a name");
    let network = Network::open(dir, &component, &CancelToken::new()).expect("a network");
    let workers = Workers::new(1);
    let prepared = network.prepare(
        &workers,
        shapes,
        &Wanted::default(),
        Precision::Activations16 { scale: 1 },
    );
    let loaded = prepared.and_then(|prepared| prepared.load(&workers, Residency::Whole, None));
    loaded.expect("it builds").0
}

fn kinds_of(plan: &Plan) -> HashMap<String, usize> {
    let mut kinds = HashMap::new();
    for node in plan.model.model().nodes() {
        *kinds.entry(node.op().name().into_owned()).or_default() += 1;
    }
    kinds
}

#[test]
fn the_default_model_has_no_pass_over_memory_of_its_own_for_what_a_product_can_do() {
    let unet = kinds("unet", &[vec![2, 8, 16, 16], vec![], vec![2, 77, 192]]);
    for gone in [
        "EaselActivation",
        "EaselGeGlu",
        "EaselUpsample",
        "Softmax",
        "Resize",
    ] {
        assert!(!unet.contains_key(gone), "{gone} is left: {unet:?}");
    }
    assert_eq!(unet["EaselLinear GEGLU int8"], 7);
    // Of seven sums left, one a transformer, the other part is wanted twice.
    let sums: usize = unet
        .iter()
        .filter(|(name, _)| name.contains("Add"))
        .map(|(_, n)| n)
        .sum();
    assert!(sums <= 7, "{unet:?}");
    // Feed-forwards of large pictures are one node each.
    let large = kinds("unet", &[vec![2, 8, 128, 128], vec![], vec![2, 77, 192]]);
    assert_eq!(large["EaselFeedForward GEGLU int8"], 7, "{large:?}");
    assert!(!large.contains_key("EaselLinear GEGLU int8"), "{large:?}");
    let decoder = kinds("vae_decoder", &[vec![1, 8, 16, 16]]);
    assert!(
        !decoder.contains_key("EaselUpsample") && !decoder.keys().any(|k| k.contains("Add")),
        "{decoder:?}"
    );
}

/// Builds the network as it would be for a picture, and checks that it computes what its nodes say; how many nodes of each kind it has.
fn same_when_built(model: &ModelProto, inputs: &[Tensor]) -> HashMap<String, usize> {
    let mut model = model.clone();
    let graph = model.graph.as_mut().expect("it has one");
    for (input, tensor) in graph.input.iter_mut().zip(inputs) {
        let kind = input.r#type.as_mut().and_then(|kind| kind.value.as_mut());
        if let Some(type_proto::Value::TensorType(kind)) = kind {
            kind.shape = Some(Default::default());
            let dims = &mut kind.shape.as_mut().expect("just made").dim;
            dims.resize_with(tensor.rank(), Default::default);
        }
    }
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("transformer");
    std::fs::create_dir(&folder).expect("room");
    std::fs::write(folder.join("model.onnx"), model.encode_to_vec()).expect("room");
    let shapes: Vec<Vec<usize>> = inputs.iter().map(|input| input.shape().to_vec()).collect();
    let plan = built(dir.path(), "transformer", &shapes);
    let found = plan
        .run(&Workers::new(1), inputs.to_vec())
        .expect("it runs");
    found
        .close_enough(&evaluate(&model, inputs), true)
        .expect("the same numbers");
    kinds_of(&plan)
}

/// A matrix of weights.
fn weights(name: &str, sides: [usize; 2]) -> TensorProto {
    let dims = sides.map(|side| side as i64);
    let values = random(&sides, name.bytes().map(u32::from).sum());
    let values = values.try_as_plain_ram().expect("plain");
    testing::floats(name, &dims, values.as_slice::<f32>().expect("floats"))
}

#[test]
fn a_transformer_s_gates_and_what_it_makes_of_norms_are_no_passes_over_memory_of_their_own() {
    let float = testing::floats;
    let constants = || {
        vec![
            weights("w", [8, 8]),
            weights("w1", [8, 16]),
            weights("w2", [8, 16]),
            weights("w3", [16, 8]),
            float("ones", &[8], &[1.0; 8]),
            float("zeros", &[8], &[0.0; 8]),
            float("one", &[], &[1.0]),
        ]
    };
    let block = "n = LayerNormalization(x, ones, zeros) axis=-1 epsilon=1e-6
        s1 = Add(s, one)
        ns = Mul(n, s1)
        m = Add(t, ns)
        p = MatMul(m, w)
        gp = Mul(g, p)
        y = Add(x, gp)";
    let x = || random(&[2, 5, 8], 1);
    let row = |images, seed| random(&[images, 1, 8], seed);
    for images in [1, 2] {
        // In the order in which they are read first: x, s, t, g.
        let inputs = [x(), row(images, 2), row(images, 3), row(images, 4)];
        let kinds = same_when_built(&testing::model(block, constants(), &["y"]), &inputs);
        let expected = [("EaselLayerNorm", 1), ("EaselLinear f32", 1)];
        for (kind, count) in expected {
            assert_eq!(kinds.get(kind), Some(&count), "{kinds:?}");
        }
        let others = kinds
            .iter()
            .filter(|(kind, _)| kind.contains("Mul") || kind.contains("Add"));
        // That of the scale and one.
        assert_eq!(
            others.map(|(_, count)| count).sum::<usize>(),
            1,
            "{kinds:?}"
        );
    }
    // A norm that has factors of its own; a product that others read.
    for (text, alone) in [
        (block.replace("ones, zeros", "ones, ones"), "Mul"),
        (block.replace("Add(x, gp)", "Add(gp, p)"), "Mul"),
    ] {
        let inputs = [x(), row(2, 2), row(2, 3), row(2, 4)];
        let kinds = same_when_built(&testing::model(&text, constants(), &["y"]), &inputs);
        assert!(
            kinds.keys().any(|kind| kind.contains(alone)),
            "{text}: {kinds:?}"
        );
    }
    let gated = "a = MatMul(x, w1)
        b = MatMul(x, w2)
        sa = Sigmoid(a)
        asa = Mul(a, sa)
        ab = Mul(asa, b)
        p = MatMul(ab, w3)
        y = Add(p, x)";
    let kinds = same_when_built(&testing::model(gated, constants(), &["y"]), &[x()]);
    assert_eq!(kinds.get("EaselLinear f32"), Some(&3), "{kinds:?}");
    assert!(
        !kinds
            .keys()
            .any(|kind| kind.contains("Mul") || kind.contains("Add")),
        "{kinds:?}"
    );
}

#[test]
fn a_mask_by_distance_is_a_row_for_each_head() {
    let (heads, tokens) = (3, 7);
    // One number a diagonal.
    let mut mask = Vec::new();
    for head in 0..heads {
        for query in 0..tokens {
            mask.extend((0..tokens).map(|key| (head * 20 + 3 * (tokens + key - query)) as f32));
        }
    }
    let text = "k4 = Transpose(k) perm=0,1,3,2
        s = MatMul(q, k4)
        sum = Add(s, bias)
        w = Softmax(sum) axis=-1
        y = MatMul(w, v)";
    let with_mask = text
        .replace(
            "sum = Add(s, bias)",
            "both = Add(bias, mask)\nsum = Add(s, both)",
        )
        .replace("y = MatMul", "z = MatMul")
        + "\ny = Add(z, z)";
    let shape = [2, heads, tokens, 8];
    let inputs = |mask: bool| {
        let [q, k, v] = [1, 2, 3].map(|seed| random(&shape, seed));
        match mask {
            // In the order in which they are read first.
            true => vec![k, q, random(&[2, 1, 1, tokens], 4), v],
            false => vec![k, q, v],
        }
    };
    let kinds = |text: &str, bias: &[f32], mask: bool| {
        let dims = [1, heads as i64, tokens as i64, tokens as i64];
        let constants = vec![testing::floats("bias", &dims, bias)];
        same_when_built(&testing::model(text, constants, &["y"]), &inputs(mask))
    };
    for (text, has_mask) in [(text, false), (with_mask.as_str(), true)] {
        // A sum of the bias and the mask would be one more.
        let sums = |kinds: HashMap<String, usize>| {
            kinds
                .into_iter()
                .filter(|(kind, _)| kind.contains("Add"))
                .map(|(_, n)| n)
                .sum::<usize>()
        };
        assert_eq!(
            sums(kinds(text, &mask, has_mask)),
            usize::from(has_mask),
            "{text}"
        );
        let mut other = mask.clone();
        other[tokens + 3] += 0.5;
        assert_eq!(
            sums(kinds(text, &other, has_mask)),
            2 * usize::from(has_mask),
            "{text}"
        );
    }
}
