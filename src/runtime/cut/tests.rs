//! Networks of a few nodes, cut.

use tract_onnx::pb::{AttributeProto, TensorProto, attribute_proto::AttributeType};

use super::super::ops::CHANNELS_FIRST;
use super::super::passes::node;
use super::*;

fn with(mut made: NodeProto, name: &str, numbers: &[i64]) -> NodeProto {
    made.attribute.push(AttributeProto {
        name: name.into(),
        r#type: AttributeType::Ints as i32,
        ints: numbers.to_vec(),
        i: numbers[0],
        ..AttributeProto::default()
    });
    made
}

fn conv(x: &str, y: &str, side: i64, [depth, columns]: [i64; 2]) -> NodeProto {
    [
        ("kernel", [side; 2].to_vec()),
        ("strides", vec![1; 2]),
        ("dilations", vec![1; 2]),
        ("pads", vec![side / 2; 4]),
        ("depth", vec![depth]),
        ("columns", vec![columns]),
    ]
    .into_iter()
    .fold(node("EaselConv2d", &[x], y), |made, (name, numbers)| {
        with(made, name, &numbers)
    })
}

fn norm(x: &str, y: &str) -> NodeProto {
    with(
        node("EaselGroupNorm", &[x, "scale", "shift"], y),
        "groups",
        &[2],
    )
}

/// A head, and a residual block with fewer channels at twice the size.
fn nodes() -> Vec<NodeProto> {
    vec![
        conv("latents", "h", 3, [4, 8]),
        with(node("EaselUpsample", &["h"], "up"), "factor", &[2]),
        conv("up", "a", 3, [8, 8]),
        norm("a", "a'"),
        conv("a'", "b", 5, [8, 6]),
        norm("b", "b'"),
        conv("b'", "c", 3, [6, 6]),
        conv("a", "beside", 1, [8, 6]),
        node("Add", &["beside", "c"], "d"),
        norm("d", "d'"),
        conv("d'", "e", 3, [6, 3]),
        node(CHANNELS_FIRST, &["e"], "picture"),
    ]
}

/// A picture that is halved twice, each time behind a residual block, and what makes the latents of that.
fn encoder_nodes() -> Vec<NodeProto> {
    let halved = |x: &str, y: &str| {
        let mut made = conv(x, y, 3, [8, 8]);
        made.attribute[1].ints = vec![2; 2];
        made.attribute[3].ints = vec![0, 0, 1, 1];
        made
    };
    vec![
        node(CHANNELS_LAST, &["picture"], "pixels"),
        conv("pixels", "a", 3, [3, 8]),
        norm("a", "a'"),
        conv("a'", "b", 3, [8, 8]),
        node("Add", &["a", "b"], "c"),
        halved("c", "d"),
        norm("d", "d'"),
        conv("d'", "e", 3, [8, 8]),
        node("Add", &["d", "e"], "f"),
        halved("f", "g"),
        norm("g", "g'"),
        node("EaselAttention", &["g'", "g'", "g'"], "h"),
        node("Add", &["g", "h"], "i"),
        conv("i", "j", 3, [8, 4]),
        node(CHANNELS_FIRST, &["j"], "latents"),
    ]
}

fn network_of(nodes: Vec<NodeProto>, input: &str, output: &str) -> ModelProto {
    let value = |name: &str| ValueInfoProto {
        name: name.into(),
        ..ValueInfoProto::default()
    };
    let constant = |name: &str| TensorProto {
        name: name.into(),
        ..TensorProto::default()
    };
    ModelProto {
        graph: Some(GraphProto {
            node: nodes,
            input: vec![value(input)],
            output: vec![value(output)],
            initializer: ["scale", "shift"].map(constant).to_vec(),
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

fn network(nodes: Vec<NodeProto>) -> ModelProto {
    network_of(nodes, "latents", "picture")
}

fn encoder(nodes: Vec<NodeProto>) -> ModelProto {
    network_of(nodes, "picture", "latents")
}

/// What the nodes of a network make, in order.
fn made(model: &ModelProto) -> Vec<&str> {
    let graph = model.graph.as_ref().expect("it has one");
    graph.node.iter().map(|n| n.output[0].as_str()).collect()
}

#[test]
fn an_encoder_ends_its_sections_where_the_picture_is_smallest() {
    let cut = cut(&encoder(encoder_nodes())).expect("it can be cut");
    assert_eq!(cut.head, "pixels");
    let values = cut.values.iter().map(|value| {
        let name = value.name.as_str();
        (name, value.scale, value.channels, value.groups, value.last)
    });
    assert_eq!(
        values.collect::<Vec<_>>(),
        [
            ("pixels", 4, 3, None, 0),
            ("a", 4, 8, Some(2), 1),
            ("d", 2, 8, Some(2), 2),
            ("g", 1, 8, None, usize::MAX),
        ]
    );
    let sections = cut.sections.iter().map(|section| {
        let crossing = (&section.inputs[..], &section.outputs[..]);
        let seen = (section.unit, section.reach);
        (made(&section.model), crossing, seen)
    });
    assert_eq!(
        sections.collect::<Vec<_>>(),
        [
            (vec!["a"], (&[0][..], &[1][..]), (4, 1)),
            (vec!["a'", "b", "c", "d"], (&[1], &[2]), (2, 1)),
            (vec!["d'", "e", "f", "g"], (&[2], &[3]), (1, 1)),
        ]
    );
    let rest = cut.rest.expect("the latents are made of the last value");
    assert_eq!(made(&rest), ["g'", "h", "i", "j", "latents"]);
    let graph = rest.graph.expect("it has one");
    assert_eq!(graph.input[0].name, "g");
    assert_eq!(graph.input.len(), 1);
}

#[test]
fn an_encoder_whose_end_reads_more_than_the_last_value_is_not_cut() {
    for (at, value) in [(12, "d"), (13, "pixels")] {
        let mut nodes = encoder_nodes();
        nodes[at].input[0] = value.into();
        assert!(cut(&encoder(nodes)).is_none(), "{value}");
    }
    // Nothing is gained where no norm is in the way.
    let mut nodes = encoder_nodes();
    for node in nodes.iter_mut().filter(|node| is_norm(node)) {
        node.op_type = "EaselActivation".into();
    }
    assert!(cut(&encoder(nodes)).is_none());
}

#[test]
fn a_section_ends_where_a_norm_begins_and_what_is_read_beside_it_waits_with_it() {
    let cut = cut(&network(nodes())).expect("it can be cut");
    assert_eq!(cut.head, "h");
    let values = cut.values.iter().map(|value| {
        let name = value.name.as_str();
        (name, value.scale, value.channels, value.groups, value.last)
    });
    assert_eq!(
        values.collect::<Vec<_>>(),
        [
            ("h", 1, 8, None, 0),
            ("a", 2, 8, Some(2), 1),
            ("b", 2, 6, Some(2), 2),
            ("beside", 2, 6, None, 2),
            ("d", 2, 6, Some(2), 3),
            ("picture", 2, 3, None, usize::MAX),
        ]
    );
    let sections = cut.sections.iter().map(|section| {
        let numbers = (
            &section.inputs[..],
            &section.moments[..],
            &section.outputs[..],
        );
        (made(&section.model), numbers, (section.unit, section.reach))
    });
    let sections: Vec<_> = sections.collect();
    assert_eq!(
        sections,
        [
            (vec!["up", "a"], (&[0][..], &[][..], &[1][..]), (1, 1)),
            (vec!["a'", "b", "beside"], (&[1], &[1], &[2, 3]), (2, 2)),
            (vec!["b'", "c", "d"], (&[2, 3], &[2], &[4]), (2, 1)),
            (vec!["d'", "e", "picture"], (&[4], &[4], &[5]), (2, 1)),
        ]
    );
    let graph = cut.sections[1].model.graph.as_ref().expect("it has one");
    assert_eq!(graph.node[0].input, ["a", "scale", "shift", "a/moments"]);
    let inputs: Vec<_> = graph.input.iter().map(|input| &input.name[..]).collect();
    assert_eq!(inputs, ["a", "a/moments"]);
}

#[test]
fn what_is_not_known_to_work_on_tiles_is_not_cut() {
    let changed = |change: &dyn Fn(&mut Vec<NodeProto>)| {
        let mut nodes = nodes();
        change(&mut nodes);
        cut(&network(nodes)).is_some()
    };
    assert!(changed(&|_| ()));
    // No norm behind the up-sampling.
    assert!(!changed(&|nodes| nodes
        .iter_mut()
        .filter(|node| is_norm(node))
        .for_each(|node| node.op_type = "EaselActivation".into())));
    for (at, op) in [
        (3, "EaselLayerNorm"),
        (5, "EaselAttention"),
        (8, "Concat"),
        (10, CHANNELS_FIRST),
    ] {
        assert!(!changed(&|nodes| nodes[at].op_type = op.into()), "{op}");
    }
    for attribute in 0..4 {
        // A kernel of one more, strides, dilations and pads that do not fit it.
        assert!(
            !changed(&|nodes| nodes[4].attribute[attribute].ints[0] += 1),
            "{attribute}"
        );
    }
    // The tail reads two values of the head, or of two sizes.
    assert!(!changed(&|nodes| nodes[8].input[0] = "latents".into()));
    assert!(!changed(&|nodes| nodes[8].input[0] = "h".into()));
    // Two norms that group differently.
    assert!(!changed(&|nodes| {
        nodes[7] = with(
            node("EaselGroupNorm", &["a", "scale", "shift"], "beside"),
            "groups",
            &[4],
        );
    }));
}
