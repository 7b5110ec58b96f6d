//! Numbers that are only known when the network runs: indices, divisors.

use super::crafted::text;
use super::watch::{Case, Right};

/// Nodes, and what is said of them; nothing is said of what paints.
const NODES: &[(&str, &str)] = &[
    (
        "i = ArgMax(x) axis=1 keepdims=0
         y = Gather(x, i) axis=1",
        "",
    ),
    (
        "i = ArgMax(x) axis=1 keepdims=1
         y = GatherElements(x, i) axis=1",
        "",
    ),
    (
        "i = ArgMax(x) axis=1 keepdims=1
         n = Sub(i, {4})
         y = GatherElements(x, n) axis=1",
        "",
    ),
    (
        "i = Cast(x) to=7
         a = Abs(i)
         b = Add(a, {1})
         y = Div(i, b)",
        "",
    ),
    (
        "i = Cast(x) to=6
         a = Abs(i)
         b = Add(a, {i32:1})
         y = Mod(i, b)",
        "",
    ),
    (
        "i = ArgMax(x) axis=1 keepdims=0
         n = Add(i, {4})
         y = Gather(x, n) axis=1",
        "takes element",
    ),
    (
        "i = ArgMax(x) axis=1 keepdims=0
         n = Sub(i, {100})
         y = Gather(x, n) axis=0",
        "takes element",
    ),
    (
        "i = ArgMax(x) axis=1 keepdims=1
         n = Add(i, {4})
         y = GatherElements(x, n) axis=1",
        "takes element",
    ),
    (
        "i = ArgMax(x) axis=1 keepdims=1
         n = Mul(i, {9223372036854775807})
         m = Add(n, {9})
         y = GatherElements(x, m) axis=3",
        "takes element",
    ),
    (
        "i = ArgMax(x) axis=1 keepdims=1
         n = Add(i, {4})
         u = ReduceSum(x, {1}) keepdims=1
         y = ScatterElements(x, n, u) axis=1",
        "takes element",
    ),
    (
        "i = ArgMax(x) axis=1 keepdims=1
         n = Add(i, {4})
         u = ReduceSum(x, {1}) keepdims=1
         y = ScatterElements(x, n, u) axis=1 reduction=\"add\"",
        "takes element",
    ),
    (
        "s = ReduceSum(x, {1,2,3}) keepdims=0
         i = Cast(s) to=7
         a = Abs(i)
         n = Add(a, {4})
         p = Reshape(n, {1,1})
         y = ScatterND({~4}, p, {5.0}) reduction=\"add\"",
        "takes element",
    ),
    (
        "s = ReduceSum(x, {1,2,3}) keepdims=0
         i = Cast(s) to=7
         a = Abs(i)
         n = Add(a, {4})
         p = Reshape(n, {1,1})
         y = ScatterND({~4}, p, {5.0})",
        "takes element",
    ),
    (
        "s = ReduceSum(x, {1,2,3}) keepdims=0
         i = Cast(s) to=7
         a = Abs(i)
         n = Add(a, {4})
         p = Reshape(n, {1,1})
         y = GatherND({~4}, p)",
        "takes element",
    ),
    (
        "i = ArgMax(x) axis=1 keepdims=0
         n = Add(i, {100})
         y = OneHot(n, {#4}, {0.0,1.0}) axis=-1",
        "takes element",
    ),
    (
        "y = OneHot({0,1,2}, {#1}, {0.0,1.0}) axis=-1",
        "takes what is not among",
    ),
    (
        "i = Cast(x) to=7
         t = Tanh(x)
         z = Cast(t) to=7
         y = Div(i, z)",
        "divides by zero",
    ),
    (
        "i = Cast(x) to=6
         t = Tanh(x)
         z = Cast(t) to=6
         y = Div(i, z)",
        "divides by zero",
    ),
    (
        "i = Cast(x) to=3
         t = Tanh(x)
         z = Cast(t) to=3
         y = Mod(i, z)",
        "divides by zero",
    ),
    (
        "i = Cast(x) to=2
         t = Tanh(x)
         z = Cast(t) to=2
         y = Mod(i, z)",
        "divides by zero",
    ),
    (
        "i = Cast(x) to=7
         t = Tanh(x)
         z = Cast(t) to=7
         y = Mod(i, z) fmod=1",
        "divides by zero",
    ),
    (
        "b = Cast(x) to=9
         y = Pow(b, b)",
        "makes powers of BOOL",
    ),
    (
        "b = Cast(x) to=2
         y = Pow(x, b)",
        "makes powers of UINT8",
    ),
    (
        "b = Cast(x) to=3
         y = Pow(b, {#2.0})",
        "makes powers of INT8",
    ),
];

pub(crate) fn running() -> Vec<Case> {
    let case = |(nodes, says): &(&'static str, &'static str)| {
        let name = nodes.split_whitespace().collect::<Vec<_>>().join(" ");
        if says.is_empty() {
            text(name, Right::Paints, nodes)
        } else {
            text(name, Right::Refused, nodes).saying(std::slice::from_ref(says))
        }
    };
    NODES.iter().map(case).collect()
}
