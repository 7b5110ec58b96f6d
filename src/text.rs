//! Other people's text in messages: one line, in the order in which it is written.

/// `text` as one line that shows what it holds: control characters and line breaks become spaces; characters that are not seen
/// but change how others look (directions of writing, zero-width ones: Unicode's category Cf) are left out.
#[must_use]
pub fn one_line(text: &str) -> String {
    let shown = text.chars().filter(|c| !is_format(*c));
    shown.map(|c| if breaks(c) { ' ' } else { c }).collect()
}

/// A whole message as one line, no longer than people read: a file may give its parts names of a megabyte.
pub(crate) fn message(text: &str) -> String {
    const MOST: usize = 600;
    let line = one_line(text);
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Someone else's text for an error message: one line of bounded length.
pub(crate) fn excerpt(text: &str) -> String {
    const MOST: usize = 60;
    let mut shown = text.chars().filter(|c| !is_format(*c));
    let start: String = shown.by_ref().take(MOST).collect();
    let more = if shown.next().is_some() { "…" } else { "" };
    one_line(&start) + more
}

/// Control characters, and what Unicode breaks lines and paragraphs with.
fn breaks(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Unicode's category Cf (Unicode 16, DerivedGeneralCategory.txt).
fn is_format(c: char) -> bool {
    matches!(
        u32::from(c),
        0xAD | 0x600..=0x605
            | 0x61C
            | 0x6DD
            | 0x70F
            | 0x890..=0x891
            | 0x8E2
            | 0x180E
            | 0x200B..=0x200F
            | 0x202A..=0x202E
            | 0x2060..=0x2064
            | 0x2066..=0x206F
            | 0xFEFF
            | 0xFFF9..=0xFFFB
            | 0x110BD
            | 0x110CD
            | 0x13430..=0x1343F
            | 0x1BCA0..=0x1BCA3
            | 0x1D173..=0x1D17A
            | 0xE0001
            | 0xE0020..=0xE007F
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_and_in_order() {
        for (text, line) in [
            ("a\nb\r\u{7}c", "a b  c"),
            ("a\u{2028}b\u{85}c", "a b c"),
            ("\u{202e}gnp.exe\u{2066}\u{2069}", "gnp.exe"),
            ("a\u{200b}b\u{200f}c\u{61c}d\u{feff}e\u{ad}f", "abcdef"),
            ("Ünï ścode 漢 🎨", "Ünï ścode 漢 🎨"),
        ] {
            assert_eq!(one_line(text), line);
        }
    }

    #[test]
    fn an_excerpt_is_short() {
        assert_eq!(excerpt("a\nb"), "a b");
        assert_eq!(excerpt(&"x".repeat(60)), "x".repeat(60));
        assert_eq!(excerpt(&"x".repeat(61)), "x".repeat(60) + "…");
        assert_eq!(excerpt(&"\u{202e}".repeat(1000)), "");
    }
}
