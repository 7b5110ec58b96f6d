//! Prompt weighting: `(more)`, `[less]`, `(exactly:1.3)`.
//!
//! The syntax is the one that Stable Diffusion's users know from the AUTOMATIC1111 web interface:
//!
//! | written | weight of `x` |
//! |---|---|
//! | `(x)`, `((x))` | × 1.1, × 1.1² |
//! | `[x]`, `[[x]]` | ÷ 1.1, ÷ 1.1² |
//! | `(x:1.3)` | × 1.3 (round brackets only; nests with the others) |
//! | `\(` `\)` `\[` `\]` `\\` | the character itself |
//!
//! Nothing is an error. A closing bracket that closes nothing is text; an opening bracket that is
//! never closed weights everything after it; `:1.3` outside round brackets is text. Round and square
//! brackets are matched apart, so `(a [b) c]` is two overlapping ranges.
//!
//! What else is read there, such as `BREAK` and `<lora:…>`, is not supported; [`leave_out`] tells of it.
//!
//! Two differences from that interface. A backslash before any other character stays (there it
//! vanishes), so that a prompt without brackets and escapes is never altered. Weights are limited to
//! [`MIN_WEIGHT`]`..=`[`MAX_WEIGHT`]: zero and negative ones become the smallest, thousands of nested
//! brackets the largest.
//!
//! # How a weight acts
//!
//! The text encoder runs on the unweighted ids. In its output `[1, n, dim]`, per chunk, the embedding of
//! each position is multiplied by that position's weight, then the whole chunk is multiplied by
//! `mean(before) / mean(after)`, the means taken over all positions and features: the original mean comes
//! back, so that emphasis moves attention between words without making the whole prompt louder.

mod foreign;

pub use foreign::leave_out;

/// The smallest weight that [`parse`] gives.
pub const MIN_WEIGHT: f32 = 0.01;
/// The largest weight that [`parse`] gives.
pub const MAX_WEIGHT: f32 = 100.0;

/// What one bracket without a number multiplies (round) or divides (square) by.
const STEP: f64 = 1.1;
/// Running products are kept in here, so that no depth of nesting makes them infinite or zero.
const PRODUCT: std::ops::RangeInclusive<f64> = 1e-30..=1e30;

#[derive(Clone, Copy)]
enum Bracket {
    Round,
    Square,
}

enum Event<'a> {
    Text(&'a str),
    /// The factor is final only when the bracket's end has been seen.
    Open(Bracket, f64),
    Close(Bracket),
}

/// Splits `prompt` into runs of text and their weights, in order.
///
/// No run is empty, neighbours differ in weight, and every weight is finite and positive. An empty
/// prompt, or one of brackets only, gives no runs. Time and memory are linear in the prompt's length,
/// and nothing recurses, however deep the brackets.
#[must_use]
pub fn parse(prompt: &str) -> Vec<(String, f32)> {
    weigh(&events(prompt))
}

/// First pass: finds the brackets, and for each opening one the factor that its end decides.
fn events(prompt: &str) -> Vec<Event<'_>> {
    let mut events = Vec::new();
    // Indices in `events` of the brackets still open.
    let (mut round, mut square) = (Vec::new(), Vec::new());
    let mut rest = prompt;
    while let Some(first) = rest.chars().next() {
        let mut used = first.len_utf8();
        match first {
            '\\' if rest[1..].starts_with(['(', ')', '[', ']', '\\']) => {
                events.push(Event::Text(&rest[1..2]));
                used = 2;
            }
            '(' => {
                round.push(events.len());
                events.push(Event::Open(Bracket::Round, STEP));
            }
            '[' => {
                square.push(events.len());
                events.push(Event::Open(Bracket::Square, 1.0 / STEP));
            }
            ')' if round.pop().is_some() => events.push(Event::Close(Bracket::Round)),
            ']' if square.pop().is_some() => events.push(Event::Close(Bracket::Square)),
            ':' => match explicit_weight(rest).zip(round.last().copied()) {
                Some(((weight, length), open)) => {
                    round.pop();
                    events[open] = Event::Open(Bracket::Round, weight);
                    events.push(Event::Close(Bracket::Round));
                    used = length;
                }
                None => events.push(Event::Text(&rest[..1])),
            },
            _ => {
                // From 1 character on, so that one which is special only in another place is passed.
                used += rest[used..]
                    .find(['\\', '(', ')', '[', ']', ':'])
                    .unwrap_or(rest.len() - used);
                events.push(Event::Text(&rest[..used]));
            }
        }
        rest = &rest[used..];
    }
    events
}

/// Reads `:1.3)` at the start of `rest`: the weight and the length in bytes, bracket included.
fn explicit_weight(rest: &str) -> Option<(f64, usize)> {
    let body = rest.strip_prefix(':')?.trim_start();
    let number_end = body
        .find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-'))
        .unwrap_or(body.len());
    let after = body[number_end..].trim_start().strip_prefix(')')?;
    let weight: f64 = body[..number_end].parse().ok()?;
    let limits = (f64::from(MIN_WEIGHT), f64::from(MAX_WEIGHT));
    Some((weight.clamp(limits.0, limits.1), rest.len() - after.len()))
}

/// Second pass: multiplies the factors of the brackets open around each text.
///
/// One stack of running products per kind of bracket, because ranges of the two kinds may overlap
/// without nesting; popping, unlike dividing, leaves no rounding behind.
fn weigh(events: &[Event<'_>]) -> Vec<(String, f32)> {
    let mut runs: Vec<(String, f32)> = Vec::new();
    let (mut round, mut square) = (vec![1.0_f64], vec![1.0_f64]);
    for event in events {
        match *event {
            Event::Open(bracket, factor) => {
                let stack = match bracket {
                    Bracket::Round => &mut round,
                    Bracket::Square => &mut square,
                };
                let product = stack.last().copied().unwrap_or(1.0) * factor;
                stack.push(product.clamp(*PRODUCT.start(), *PRODUCT.end()));
            }
            Event::Close(Bracket::Round) => {
                round.pop();
            }
            Event::Close(Bracket::Square) => {
                square.pop();
            }
            Event::Text(text) => {
                let product = round.last().unwrap_or(&1.0) * square.last().unwrap_or(&1.0);
                let weight = (product as f32).clamp(MIN_WEIGHT, MAX_WEIGHT);
                match runs.last_mut() {
                    Some((run, same)) if *same == weight => run.push_str(text),
                    _ => runs.push((text.to_owned(), weight)),
                }
            }
        }
    }
    runs
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test is a panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Worked by hand from the syntax table.
    #[test]
    fn weights_follow_the_table() {
        let cases: &[(&str, &[(&str, f32)])] = &[
            ("", &[]),
            ("()", &[]),
            ("a cat", &[("a cat", 1.0)]),
            ("a (red) cat", &[("a ", 1.0), ("red", 1.1), (" cat", 1.0)]),
            ("((red))", &[("red", 1.21)]),
            ("[red]", &[("red", 1.0 / 1.1)]),
            ("[[red]]", &[("red", 1.0 / 1.21)]),
            ("([red])", &[("red", 1.0)]),
            ("(red:1.3)", &[("red", 1.3)]),
            ("(red : +1.3 ) x", &[("red ", 1.3), (" x", 1.0)]),
            ("(a (b:2) c:0.5)", &[("a ", 0.5), ("b", 1.0), (" c", 0.5)]),
            ("[a (b:1.5)]", &[("a ", 1.0 / 1.1), ("b", 1.5 / 1.1)]),
            (r"\(a\) \[b\] \\", &[(r"(a) [b] \", 1.0)]),
            (r"(\(a\):1.5)", &[("(a)", 1.5)]),
            (r"c:\temp\", &[(r"c:\temp\", 1.0)]),
            ("a) b] c", &[("a) b] c", 1.0)]),
            ("a (b c", &[("a ", 1.0), ("b c", 1.1)]),
            ("a [b (c", &[("a ", 1.0), ("b ", 1.0 / 1.1), ("c", 1.0)]),
            ("(a [b) c]", &[("a ", 1.1), ("b", 1.0), (" c", 1.0 / 1.1)]),
            ("at 10:30", &[("at 10:30", 1.0)]),
            ("a:1.3)", &[("a:1.3)", 1.0)]),
            ("[a:1.3]", &[("a:1.3", 1.0 / 1.1)]),
            ("(a:1.2.3)", &[("a:1.2.3", 1.1)]),
            ("(a:)", &[("a:", 1.1)]),
            ("(a:.5)(b:2.)", &[("a", 0.5), ("b", 2.0)]),
            ("(a:nan)(b:inf)", &[("a:nanb:inf", 1.1)]),
            ("(a:0)(b:-3)", &[("ab", MIN_WEIGHT)]),
            ("(a:1e9)", &[("a:1e9", 1.1)]),
            ("(a:999999)", &[("a", MAX_WEIGHT)]),
        ];
        for (prompt, expected) in cases {
            let got = parse(prompt);
            let same = got.len() == expected.len()
                && got
                    .iter()
                    .zip(*expected)
                    .all(|((text, weight), (t, w))| text == t && (weight - w).abs() <= 1e-6 * w);
            assert!(same, "{prompt:?}: got {got:?}, expected {expected:?}");
        }
    }

    #[test]
    fn hostile_prompts_are_read_in_one_go() {
        let deep = |open: &str, close: &str| open.repeat(10_000) + "x" + &close.repeat(10_000);
        assert_eq!(parse(&deep("(", ")")), [("x".to_owned(), MAX_WEIGHT)]);
        assert_eq!(parse(&deep("[", "]")), [("x".to_owned(), MIN_WEIGHT)]);
        assert_eq!(parse(&deep("(", "")), [("x".to_owned(), MAX_WEIGHT)]);
        // Quadratic reading of any of these would take minutes.
        for unit in [
            "(", "(a", "[a]", "(:", ": 1", "(a:1", r"\", "))", "((a:2)", "日", ":    ",
        ] {
            let prompt = unit.repeat((1 << 20) / unit.len());
            assert!(
                parse(&prompt)
                    .iter()
                    .all(|(_, w)| w.is_finite() && *w > 0.0)
            );
        }
        let digits = format!("(a:{})", "9".repeat(1 << 20));
        assert_eq!(parse(&digits), [("a".to_owned(), MAX_WEIGHT)]);
    }

    /// A prompt as its writer thinks of it, to be written down and read back.
    #[derive(Clone, Debug)]
    enum Node {
        Text(String),
        Round(Vec<Node>),
        Square(Vec<Node>),
        Exact(Vec<Node>, u8),
    }

    fn nodes() -> impl Strategy<Value = Vec<Node>> {
        let leaf = r"[a-z0-9 :.\\()\[\]é日]{1,6}".prop_map(Node::Text);
        let node = leaf.prop_recursive(5, 40, 4, |inner| {
            let children = prop::collection::vec(inner, 0..4);
            prop_oneof![
                children.clone().prop_map(Node::Round),
                children.clone().prop_map(Node::Square),
                (children, 1u8..30).prop_map(|(c, tenths)| Node::Exact(c, tenths)),
            ]
        });
        prop::collection::vec(node, 0..5)
    }

    fn write(nodes: &[Node], weight: f64, prompt: &mut String, meant: &mut Vec<(char, f64)>) {
        for node in nodes {
            match node {
                Node::Text(text) => {
                    for c in text.chars() {
                        if "()[]\\".contains(c) {
                            prompt.push('\\');
                        }
                        prompt.push(c);
                        meant.push((c, weight));
                    }
                }
                Node::Round(inner) => {
                    prompt.push('(');
                    write(inner, weight * 1.1, prompt, meant);
                    // Keeps a text that ends like ":1" from being read as this bracket's weight.
                    prompt.push_str(":1.1)");
                }
                Node::Square(inner) => {
                    prompt.push('[');
                    write(inner, weight / 1.1, prompt, meant);
                    prompt.push(']');
                }
                Node::Exact(inner, tenths) => {
                    let factor = f64::from(*tenths) / 10.0;
                    prompt.push('(');
                    write(inner, weight * factor, prompt, meant);
                    prompt.push_str(&format!(":{factor})"));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(nodes in nodes()) {
            let (mut prompt, mut meant) = (String::new(), Vec::new());
            write(&nodes, 1.0, &mut prompt, &mut meant);
            let read: Vec<(char, f32)> = parse(&prompt)
                .iter()
                .flat_map(|(text, w)| text.chars().map(|c| (c, *w)).collect::<Vec<_>>())
                .collect();
            prop_assert_eq!(read.len(), meant.len(), "{:?}", prompt);
            for ((c, weight), (m, w)) in read.iter().zip(&meant) {
                let w = w.clamp(f64::from(MIN_WEIGHT), f64::from(MAX_WEIGHT));
                prop_assert_eq!(c, m, "{:?}", prompt);
                prop_assert!((f64::from(*weight) - w).abs() <= 1e-6 * w, "{:?} {} {}", prompt, weight, w);
            }
        }

        /// On any soup of syntax the text is a subsequence of the input that lacks only syntax.
        #[test]
        fn only_syntax_is_taken_away(prompt in r"([()\[\]:\\ .0-9+-]|[a-z]|\PC){0,60}") {
            let runs = parse(&prompt);
            prop_assert!(runs.iter().all(|(t, w)| !t.is_empty() && w.is_finite() && *w > 0.0));
            prop_assert!(runs.windows(2).all(|pair| pair[0].1 != pair[1].1));
            let text: String = runs.into_iter().map(|(t, _)| t).collect();
            let mut left = text.chars().peekable();
            for c in prompt.chars() {
                if left.peek() == Some(&c) {
                    left.next();
                } else {
                    let syntax = "()[]:\\.+-".contains(c) || c.is_ascii_digit() || c.is_whitespace();
                    prop_assert!(syntax, "{:?} lost {:?}", prompt, c);
                }
            }
            prop_assert_eq!(left.next(), None, "{:?} gave {:?}", prompt, text);
        }

        #[test]
        fn a_prompt_without_syntax_is_untouched(prompt in r"[^()\[\]\\]{1,80}") {
            prop_assert_eq!(parse(&prompt), vec![(prompt, 1.0)]);
        }
    }
}
