use super::super::testing::{integers, kinds, model};
use super::*;

fn graph(text: &str, constants: Vec<TensorProto>, output: &str) -> GraphProto {
    let model = model(text, constants, &[output]);
    model.graph.expect("it has one")
}

#[test]
fn what_nobody_reads_goes_with_all_that_only_led_there() {
    let constants = vec![
        float_tensor("a", &[], &[1.0]),
        float_tensor("b", &[], &[1.0]),
    ];
    let mut graph = graph(
        "dead = Add(x, b)\nalso = Neg(dead)\ny = Add(x, a)",
        constants,
        "y",
    );
    // An old file declares its constants as inputs too.
    for name in ["a", "b"] {
        let mut input = graph.input[0].clone();
        input.name = name.to_owned();
        graph.input.push(input);
    }
    drop_unread(&mut graph);
    assert_eq!(kinds(&graph), ["Add"]);
    assert_eq!(graph.initializer[0].name, "a");
    let inputs: Vec<_> = graph
        .input
        .iter()
        .map(|input| input.name.as_str())
        .collect();
    assert_eq!(inputs, ["x", "a"]);
}

#[test]
fn a_branch_reads_what_it_does_not_make() {
    let mut graph = graph("outer = Neg(x)\ny = If(c)", vec![], "y");
    let branch = GraphProto {
        node: vec![super::super::node("Neg", &["outer"], "inner")],
        ..GraphProto::default()
    };
    graph.node[1].attribute.push(AttributeProto {
        name: "then_branch".into(),
        g: Some(branch),
        ..AttributeProto::default()
    });
    drop_unread(&mut graph);
    assert_eq!(kinds(&graph), ["Neg", "If"]);
    let mut edits = Edits::default();
    edits.rename("outer", "x");
    edits.apply(&mut graph);
    assert_eq!(kinds(&graph), ["If"]);
    let branch = graph.node[0].attribute[0].g.as_ref().expect("a branch");
    assert_eq!(branch.node[0].input, ["x"]);
}

#[test]
fn a_graph_that_is_none_is_told_so() {
    for (text, problem) in [
        (
            "y = Neg(z)\nz = Neg(x)",
            "node `y` reads `z`, which is not there",
        ),
        ("y = Neg(x)\ny = Neg(x)", "`y` is made twice"),
        ("z = Neg(x)", "nobody makes the output `y`"),
    ] {
        assert_eq!(check(&graph(text, vec![], "y")), Err(problem.to_owned()));
    }
    assert_eq!(check(&graph("y = Clip(x, , x)", vec![], "y")), Ok(()));
}

#[test]
fn one_element_whatever_the_input() {
    let constants = vec![
        float_tensor("one", &[1, 1], &[1.0]),
        float_tensor("many", &[2], &[1.0; 2]),
        integers("zero", &[0]),
        integers("last", &[-1]),
        integers("max", &[i64::MAX]),
        integers("two", &[1, 2]),
        integers("order", &[0, 2, 1]),
    ];
    let graph = graph(
        "shape = Shape(x)
         last_one = Slice(shape, last, max)
         none = Slice(shape, last, zero)
         first = Gather(shape, zero)
         some = Gather(shape, two)
         turned = Gather(shape, order)
         turned_last = Slice(turned, last, max)
         element = Gather(x, zero)
         float = Cast(last_one) to=1
         root = Sqrt(float)
         yes = Div(one, root)
         no = Mul(root, many)",
        constants,
        "yes",
    );
    let view = View::new(&graph);
    for name in ["one", "last_one", "first", "root", "yes", "turned_last"] {
        assert!(view.is_single(name), "{name}");
    }
    for name in ["many", "shape", "none", "some", "element", "no", "x"] {
        assert!(!view.is_single(name), "{name}");
    }
}
