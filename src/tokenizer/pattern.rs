//! Patterns that end.

/// Bytes of a pattern, and classes of characters in it.
const LONGEST_PATTERN: usize = 256;
const MOST_CLASSES: usize = 16;

/// Whether a pattern is found in time that grows with the text alone: it does not look around, refer back, or take without giving
/// back, which only machines that try all ways can, and it has no counts, which multiply it.
pub(super) fn is_simple(pattern: &str) -> bool {
    let mut classes = 0;
    let mut before = ' ';
    let mut in_class = false;
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        let mut quantifier = false;
        match c {
            '\\' => match rest.next() {
                Some('p' | 'P') => {
                    classes += 1;
                    if rest.as_str().starts_with('{') {
                        let Some(end) = rest.as_str().find('}') else {
                            return false;
                        };
                        rest = rest.as_str()[end + 1..].chars();
                    }
                }
                Some('s' | 'S' | 'd' | 'D' | 'w' | 'W') => classes += 1,
                Some('n' | 'r' | 't') => {}
                Some(escaped)
                    if escaped.is_ascii_punctuation() && escaped != '<' && escaped != '>' => {}
                _ => return false,
            },
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class && rest.as_str().starts_with('?') => {
                let flags = ["?:", "?i:"].iter();
                let Some(flags) = { flags }.find(|flags| rest.as_str().starts_with(**flags)) else {
                    return false;
                };
                rest = rest.as_str()[flags.len()..].chars();
            }
            '{' if !in_class => return false,
            '*' | '?' | '+' if !in_class => {
                if c == '+' && before == 'q' {
                    return false;
                }
                quantifier = true;
            }
            _ => {}
        }
        before = if quantifier { 'q' } else { ' ' };
    }
    classes <= MOST_CLASSES && pattern.len() <= LONGEST_PATTERN && !pattern.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_simple_or_not() {
        for pattern in [
            r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
            r"(?i:'s|'t)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+",
            r"\s+?|a*?|[+*?{]+",
            r"(?:a|b)+\n",
        ] {
            assert!(is_simple(pattern), "{pattern}");
        }
        for pattern in [
            r"\s+(?!\S)",
            r"(?=a)b",
            r"(?<=a)b",
            r"(?>a*)b",
            r"(a)\1",
            r"(?<x>a)\k<x>",
            r"a++",
            r"a*+b",
            r"a{1000}{1000}",
            r"\Ga",
            r"a\K",
            r"\<a",
            r"(?P<x>a)",
            "",
            "\\",
            r"\p{L",
        ] {
            assert!(!is_simple(pattern), "{pattern}");
        }
        assert!(!is_simple(&r"\p{L}".repeat(17)));
    }
}
