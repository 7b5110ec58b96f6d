//! Graphs that are none, or that grow with each level: rings, and values that are read twice.

use std::fmt::Write as _;

use super::crafted::{crafted, text};
use super::language::Snippet;
use super::watch::{Case, Right};

/// A link of a ring or chain that reads `from` and makes `to`, by the kind of operator.
const LINKS: &[&str] = &[
    "Identity(FROM)",
    "Relu(FROM)",
    "Sqrt(FROM)",
    "Neg(FROM)",
    "Cast(FROM) to=1",
    "Add(FROM, {#0.5})",
    "Mul(FROM, {#0.5})",
    "Transpose(FROM) perm=[0,1,3,2]",
    "Reshape(FROM, {1,4,4,4})",
    "Unsqueeze(FROM, {0})",
    "Conv(FROM, {~4x4x1x1})",
    "MatMul(FROM, {~4x4})",
    "Softmax(FROM) axis=1",
    "Sigmoid(FROM)",
    "Dropout(FROM)",
    "Slice(FROM, {0}, {4}, {1})",
    "Concat(FROM) axis=1",
    "LayerNormalization(FROM, {~4}, {~4}) axis=-1",
];

/// Nodes `v0 → v1 → … → v{count}` of this kind.
pub(crate) fn chain(link: &str, first: &str, count: usize) -> Snippet {
    let line = link.replace("FROM", "from");
    let one = Snippet::of("link", &format!("to = {line}"));
    let mut chain = Snippet {
        nodes: Vec::with_capacity(count),
        constants: one.constants,
    };
    let mut before = first.to_owned();
    for n in 1..=count {
        let mut node = one.nodes[0].clone();
        for name in node.input.iter_mut().filter(|name| *name == "from") {
            name.clone_from(&before);
        }
        before = format!("v{n}");
        node.name.clone_from(&before);
        node.output = vec![before.clone()];
        chain.nodes.push(node);
    }
    chain
}

pub(crate) fn rings() -> Vec<Case> {
    let mut cases = Vec::new();
    for link in LINKS {
        for length in [1, 2, 3, 1000] {
            // The first reads the last.
            let last = format!("v{length}");
            for (read, value) in [(true, "v1"), (false, "")] {
                let ring = chain(link, &last, length);
                let name = format!("a ring of {length} {link}, read: {read}");
                let right = if read { Right::Refused } else { Right::Either };
                cases.push(crafted(name, right, ring, value));
            }
        }
    }
    for nodes in [
        "a = Identity(b)
         b = Identity(a)
         y = Add(x, a)",
        "a = Add(x, b)
         b = Mul(a, x)
         y = Identity(b)",
        "a = If(c)
         c = Cast(a) to=9
         y = Identity(a)",
        "a, b = Split(b, {2,2}) axis=1
         y = Identity(a)",
        "a = Gather(b, {0})
         b = Shape(a)
         y = Reshape(x, b)",
        "a = Reshape(x, b)
         b = Shape(a)
         y = Identity(a)",
        "x = Identity(y)
         y = Identity(x)",
        "y = Identity(out_sample)",
    ] {
        let name = nodes.split_whitespace().collect::<Vec<_>>().join(" ");
        cases.push(text(name, Right::Refused, nodes));
    }
    cases
}

pub(crate) fn doubled() -> Vec<Case> {
    let mut cases = Vec::new();
    for (link, right) in [
        ("Add(FROM, FROM)", Right::Paints),
        ("Mul(FROM, FROM)", Right::Either),
        ("Max(FROM, FROM)", Right::Paints),
        ("Sub(FROM, FROM)", Right::Paints),
        ("MatMul(FROM, FROM)", Right::Either),
        ("Where({bool:#1}, FROM, FROM)", Right::Paints),
        ("Concat(FROM, FROM) axis=1", Right::Refused),
        ("Concat(FROM, FROM) axis=0", Right::Refused),
        ("Tile(FROM, {2,1,1,1})", Right::Refused),
        ("Pad(FROM, {0,0,0,0,1,1,1,1})", Right::Either),
        ("Sum(FROM, FROM, FROM)", Right::Either),
        ("Div(FROM, FROM)", Right::Either),
        ("Pow(FROM, FROM)", Right::Either),
        (
            "Resize(FROM, , {1.0,1.0,2.0,2.0}) mode=\"nearest\"",
            Right::Refused,
        ),
        (
            "ConvTranspose(FROM, {~4x4x2x2}) strides=[2,2]",
            Right::Refused,
        ),
    ] {
        for first in ["x", "moved"] {
            let name = format!("64 of {link} from {first}");
            cases.push(crafted(name, right, chain(link, first, 64), "v64"));
        }
    }
    // Each level of some nodes, which passes look through and behind.
    for (name, level, right) in [
        (
            "identities",
            "a$ = Identity(v)
             b$ = Identity(v)
             w = Add(a$, b$)",
            Right::Paints,
        ),
        (
            "casts",
            "a$ = Cast(v) to=10
             b$ = Cast(a$) to=1
             c$ = Cast(v) to=1
             w = Add(b$, c$)",
            Right::Paints,
        ),
        (
            "gates",
            "a$ = Sigmoid(v)
             w = Mul(v, a$)",
            Right::Paints,
        ),
        (
            "errors",
            "a$ = Div(v, {#1.4142})
             b$ = Erf(a$)
             c$ = Add(b$, {#1.0})
             d$ = Mul(v, c$)
             w = Mul(d$, {#0.5})",
            Right::Paints,
        ),
        (
            "norms",
            "m$ = ReduceMean(v) axes=[-1]
             d$ = Sub(v, m$)
             q$ = Pow(d$, {#2.0})
             n$ = ReduceMean(q$) axes=[-1]
             e$ = Add(n$, {#0.00001})
             s$ = Sqrt(e$)
             w = Div(d$, s$)",
            Right::Paints,
        ),
        (
            "turns",
            "a$ = Transpose(v) perm=[0,1,3,2]
             b$ = Transpose(v) perm=[0,1,3,2]
             w = Add(a$, b$)",
            Right::Paints,
        ),
        (
            "shapes",
            "a$ = Shape(v)
             b$ = Reshape(v, a$)
             c$ = Reshape(v, a$)
             w = Add(b$, c$)",
            Right::Paints,
        ),
        (
            "attentions",
            "t$ = Transpose(v) perm=[0,1,3,2]
             s$ = MatMul(v, t$)
             p$ = Softmax(s$) axis=-1
             w = MatMul(p$, v)",
            Right::Paints,
        ),
        (
            "products",
            "a$ = Conv(v, {~4x4x1x1})
             b$ = Conv(v, {~4x4x1x1})
             w = Add(a$, b$)",
            Right::Either,
        ),
        (
            "images",
            "a$ = InstanceNormalization(v, {~4}, {~4})
             b$ = Sigmoid(a$)
             c$ = Mul(a$, b$)
             w = Add(v, c$)",
            Right::Paints,
        ),
        (
            "branches",
            "s$ = ReduceMean(v) keepdims=0
             g$ = Cast(s$) to=9
             w = Where(g$, v, v)",
            Right::Either,
        ),
    ] {
        for levels in [8, 64] {
            let mut lines = String::new();
            for n in 1..=levels {
                let before = if n == 1 {
                    "x".to_owned()
                } else {
                    format!("v{}", n - 1)
                };
                let line = level.replace('$', &format!("_{n}"));
                let line = line.replace("w =", &format!("v{n} ="));
                let line = line.replace("(v", &format!("({before}"));
                let line = line.replace(", v", &format!(", {before}"));
                let _ = writeln!(lines, "{line}");
            }
            let value: &'static str = if levels == 8 { "v8" } else { "v64" };
            let name = format!("{levels} levels of {name}");
            cases.push(crafted(name, right, Snippet::of("k", &lines), value));
        }
    }
    // Whole numbers, which become shapes: sums of symbols as much as of numbers.
    for (link, right) in [
        ("Add(FROM, FROM)", Right::Refused),
        ("Mul(FROM, FROM)", Right::Refused),
        ("Sub(FROM, {#1})", Right::Refused),
    ] {
        for reads in [
            "y = ConstantOfShape(v64)",
            "y = Reshape(x, v64)",
            "y = Expand(x, v64)",
        ] {
            let mut snippet = chain(link, "shape", 64);
            let end = Snippet::of("end", reads);
            snippet.nodes.extend(end.nodes);
            cases.push(crafted(
                format!("64 of {link} of a shape, {reads}"),
                right,
                snippet,
                "y",
            ));
        }
    }
    cases
}
