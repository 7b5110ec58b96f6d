//! What other programs read in a prompt and easel does not: it is said, not painted silently.
//!
//! The syntax is that of the AUTOMATIC1111 web interface (its wiki, "Features": prompt editing, alternating words,
//! composable diffusion, BREAK, extra networks).
//!
//! | written | what becomes of it |
//! |---|---|
//! | `<lora:NAME:0.8>`, `<lyco:…>`, `<hypernet:…>` | left out |
//! | `BREAK` | left out |
//! | `[from:to:0.5]`, `[to:0.5]`, `[from::0.5]` | painted as words |
//! | `[one\|other]` | painted as words |
//! | `AND` | painted as a word |

/// Characters of the text that a warning quotes.
const EXCERPT: usize = 40;

/// Names of what is loaded beside a model there.
const NETWORKS: [&str; 3] = ["lora", "lyco", "hypernet"];

/// Takes out of a prompt what is not for the text encoder, and tells of all that is not supported: a line for each kind,
/// with the first of it. Time is linear in the prompt's length.
#[must_use]
pub fn leave_out(prompt: &str) -> (String, Vec<String>) {
    let mut text = String::with_capacity(prompt.len());
    let (mut networks, mut breaks, mut ands) = (Found::default(), 0, 0);
    let mut rest = prompt;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let mut used = first.len_utf8();
        let starts_word = !is_word(before);
        if first == '<'
            && let Some(length) = network(rest)
        {
            networks.add(&rest[..length]);
            used = length;
        } else if starts_word && begins_with_word(rest, "BREAK") {
            breaks += 1;
            used = "BREAK".len();
        } else {
            ands += usize::from(starts_word && begins_with_word(rest, "AND"));
            text.push(first);
        }
        before = rest[..used].chars().next_back().unwrap_or(first);
        rest = &rest[used..];
    }
    let (edits, alternatives) = brackets(&text);
    let mut warnings = Vec::new();
    warnings.extend(
        networks.said("is left out: easel loads no such networks, export the model with it"),
    );
    if breaks > 0 {
        warnings.push("BREAK is left out: a long prompt is cut into chunks by itself".to_owned());
    }
    warnings.extend(edits.said("is painted as words: prompt editing is not supported"));
    warnings.extend(alternatives.said("is painted as words: alternating words are not supported"));
    if ands > 0 {
        warnings
            .push("AND is painted as a word: several prompts in one are not supported".to_owned());
    }
    (text, warnings)
}

/// The first of a kind, and how many there are.
#[derive(Default)]
struct Found {
    first: String,
    count: usize,
}

impl Found {
    fn add(&mut self, text: &str) {
        if self.count == 0 {
            let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
            self.first = plain.take(EXCERPT).collect();
            if text.chars().count() > EXCERPT {
                self.first.push('…');
            }
        }
        self.count += 1;
    }

    fn said(&self, what: &str) -> Option<String> {
        let first = &self.first;
        match self.count {
            0 => None,
            1 => Some(format!("{first} {what}")),
            count => Some(format!("{first} and {} more: each {what}", count - 1)),
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether the text begins with this word, and the word ends there.
fn begins_with_word(text: &str, word: &str) -> bool {
    let after = text.strip_prefix(word);
    after.is_some_and(|after| !after.starts_with(is_word))
}

/// The length of `<lora:…>` at the start of the text.
fn network(text: &str) -> Option<usize> {
    let (name, _) = text[1..].get(..16).unwrap_or(&text[1..]).split_once(':')?;
    if !NETWORKS
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
    {
        return None;
    }
    // No name is that long; and a text of many openings is read once.
    let end = text
        .bytes()
        .take(300)
        .position(|byte| matches!(byte, b'>' | b'\n'))?;
    (text.as_bytes()[end] == b'>').then_some(end + 1)
}

/// Prompt editing and alternating words among the square brackets.
fn brackets(text: &str) -> (Found, Found) {
    let (mut edits, mut alternatives) = (Found::default(), Found::default());
    // Where each bracket that is open began, where its last colon is, and whether it has a bar.
    let mut open: Vec<(usize, Option<usize>, bool)> = Vec::new();
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match byte {
            b'\\' => escaped = true,
            b'[' => open.push((at, None, false)),
            b':' => {
                if let Some(bracket) = open.last_mut() {
                    bracket.1 = Some(at);
                }
            }
            b'|' => {
                if let Some(bracket) = open.last_mut() {
                    bracket.2 = true;
                }
            }
            b']' => {
                let Some((begin, colon, bar)) = open.pop() else {
                    continue;
                };
                let is_edit = colon.is_some_and(|colon| is_when(&text[colon + 1..at]));
                if is_edit {
                    edits.add(&text[begin..=at]);
                } else if bar {
                    alternatives.add(&text[begin..=at]);
                }
            }
            _ => {}
        }
    }
    (edits, alternatives)
}

/// A step, or a share of the steps.
fn is_when(text: &str) -> bool {
    let text = text.trim();
    text.len() <= 20 && text.parse::<f32>().is_ok_and(|when| when >= 0.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test is a panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_supported_is_said() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("a cat", "a cat", &[]),
            (
                "a <lora:ink:0.8>cat",
                "a cat",
                &["<lora:ink:0.8> is left out"],
            ),
            (
                "<lora:a:1><LyCO:b><hypernet:c:1> a cat",
                " a cat",
                &["<lora:a:1> and 2 more: each is left out"],
            ),
            ("a cat BREAK a dog", "a cat  a dog", &["BREAK is left out"]),
            ("a cat,BREAK,a dog", "a cat,,a dog", &["BREAK is left out"]),
            (
                "a [cat:dog:0.5]",
                "a [cat:dog:0.5]",
                &["[cat:dog:0.5] is painted as words: prompt editing"],
            ),
            ("[cat:8]", "[cat:8]", &["[cat:8] is painted as words"]),
            ("[cat::.5]", "[cat::.5]", &["[cat::.5] is painted as words"]),
            (
                "[a [b:c:1] d]",
                "[a [b:c:1] d]",
                &["[b:c:1] is painted as words"],
            ),
            (
                "a [cat|dog]",
                "a [cat|dog]",
                &["[cat|dog] is painted as words: alternating"],
            ),
            (
                "a cat AND a dog",
                "a cat AND a dog",
                &["AND is painted as a word"],
            ),
            (
                "<lora:x:1> a BREAK [b:c:1] [d|e] AND f",
                " a  [b:c:1] [d|e] AND f",
                &["<lora:x:1>", "BREAK", "[b:c:1]", "[d|e]", "AND"],
            ),
        ];
        for (prompt, left, warns) in cases {
            let (text, warnings) = leave_out(prompt);
            assert_eq!(text, *left, "{prompt:?}");
            assert_eq!(warnings.len(), warns.len(), "{prompt:?}: {warnings:?}");
            for (warning, says) in warnings.iter().zip(*warns) {
                assert!(warning.starts_with(says), "{prompt:?}: {warning}");
            }
        }
    }

    #[test]
    fn what_only_looks_like_it_is_not_touched() {
        for prompt in [
            "a heart <3",
            "x < y: 3 > z",
            "<lora:",
            "<lora:never closed",
            "<lorax:1>",
            "BREAKFAST, a break, OUTBREAK, BREAK_1",
            "SAND, and, ANDROID",
            "[less], [[far less]], [at 10:30 o'clock], [a: b]",
            r"\[cat:dog:0.5\] \[a|b\]",
            "a | b, (a:1.3), at 10:30",
            "[never:closed:0.5",
        ] {
            let (text, warnings) = leave_out(prompt);
            assert_eq!((text.as_str(), warnings.len()), (prompt, 0), "{warnings:?}");
        }
    }

    #[test]
    fn long_prompts_are_read_in_one_go() {
        for unit in [
            "<lora:", "<lora:a>", "[", "[a:", "[a:1]", "BREAK ", "AND ", "[|", "日",
        ] {
            let (_, warnings) = leave_out(&unit.repeat((1 << 20) / unit.len()));
            assert!(warnings.iter().all(|warning| warning.len() < 250), "{unit}");
        }
    }

    proptest! {
        #[test]
        fn no_prompt_breaks_it(prompt in r"[a-z<>:\[\]|\\ é日]{0,12}(BREAK|AND|<lora:a:1>|\[a:b:1\])?[a-z<>:\[\]|\\ é]{0,12}") {
            let (text, warnings) = leave_out(&prompt);
            prop_assert!(text.len() <= prompt.len());
            prop_assert!(text == prompt || !warnings.is_empty());
            prop_assert!(warnings.iter().all(|warning| !warning.contains('\n')));
        }
    }
}
