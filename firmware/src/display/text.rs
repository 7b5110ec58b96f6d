//! Text in lines: cleaned, broken, shortened, drawn.

use super::canvas::Canvas;
use super::font::{self, LEADING};
use embedded_graphics::pixelcolor::Rgb888;
use unicode_normalization::UnicodeNormalization as _;

/// Characters of a text that are looked at; no panel shows more, and a prompt may have thousands.
const LONGEST: usize = 600;
/// Lines of a text that could be set smaller.
const MOST_LINES: usize = 5;
const ELLIPSIS: char = '…';

/// Lines that fit a width.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Paragraph {
    /// From top to bottom; none is empty.
    pub(super) lines: Vec<String>,
    /// Pixels of an em.
    pub(super) size: f32,
    /// Whether text was left out.
    pub(super) cut: bool,
    /// Words that are longer than a line.
    broken: usize,
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// Starts at x.
    Left,
    /// Middle at x.
    Centre,
}

impl Paragraph {
    /// Breaks `text` into at most `most` lines no wider than `width` pixels, as evenly as that allows; what does not fit
    /// ends in an ellipsis.
    pub(super) fn new(text: &str, size: f32, width: f32, most: usize) -> Self {
        let text = clean(text);
        let greedy = wrap(&text, size, width, most);
        if greedy.cut || greedy.lines.len() < 2 {
            return greedy;
        }
        // The narrowest measure that needs no more lines: no last line of one word.
        let (mut low, mut high) = (width / 2.0, width);
        for _ in 0..6 {
            let middle = f32::midpoint(low, high);
            let tried = wrap(&text, size, middle, greedy.lines.len());
            if tried.cut || tried.broken > greedy.broken {
                low = middle;
            } else {
                high = middle;
            }
        }
        wrap(&text, size, high, greedy.lines.len())
    }

    /// The largest of `sizes`, which come largest first, at which nothing is left out and no word broken; the last one if
    /// there is none.
    pub(super) fn largest(text: &str, sizes: &[f32], width: f32, height: f32) -> Self {
        let mut paragraph = Self::default();
        for (at, &size) in sizes.iter().enumerate() {
            let room = (height / (LEADING * size)) as usize;
            // Large type in many lines is a poster, not a caption.
            let smaller = at + 1 < sizes.len();
            let most = if smaller { room.min(MOST_LINES) } else { room }.max(1);
            paragraph = Self::new(text, size, width, most);
            if !paragraph.cut && paragraph.broken == 0 {
                break;
            }
        }
        paragraph
    }

    /// Pixels from the top of its first line to the bottom of its last.
    pub(super) fn height(&self) -> f32 {
        self.lines.len() as f32 * LEADING * self.size
    }

    /// Pixels of its widest line.
    #[cfg(test)]
    pub(super) fn width(&self) -> f32 {
        let widths = self.lines.iter().map(|line| measure(line, self.size));
        widths.fold(0.0, f32::max)
    }

    /// Draws it from `top` down, and returns where it ends.
    pub(super) fn draw(
        &self,
        canvas: &mut Canvas,
        x: f32,
        top: f32,
        align: Align,
        colour: Rgb888,
    ) -> f32 {
        // The capitals stand in the middle of the line's height.
        let mut base = top + (LEADING + font::CAPITAL) / 2.0 * self.size;
        for line in &self.lines {
            let mut x = match align {
                Align::Left => x,
                Align::Centre => x - measure(line, self.size) / 2.0,
            };
            for c in line.chars() {
                font::draw(canvas, c, (x, base), self.size, colour);
                x += font::advance(c, self.size);
            }
            base += LEADING * self.size;
        }
        top + self.height()
    }
}

/// Pixels that a line takes.
pub(super) fn measure(line: &str, size: f32) -> f32 {
    line.chars().map(|c| font::advance(c, size)).sum()
}

/// Composed characters, single spaces, nothing that is not seen.
fn clean(text: &str) -> String {
    let mut clean = String::new();
    for c in text.nfc().filter(|&c| !invisible(c)).take(LONGEST) {
        match c {
            _ if c.is_whitespace() => {
                if !clean.is_empty() && !clean.ends_with(' ') {
                    clean.push(' ');
                }
            }
            _ => clean.push(c),
        }
    }
    clean.truncate(clean.trim_end().len());
    clean
}

/// Controls, joiners, direction marks, variation selectors, the skin tones of emoji, tags and byte order marks.
fn invisible(c: char) -> bool {
    (c.is_control() && !c.is_whitespace())
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{1F3FB}'..='\u{1F3FF}'
            | '\u{E0000}'..='\u{E0FFF}')
}

/// Fills line after line. `text` is [`clean`].
fn wrap(text: &str, size: f32, width: f32, most: usize) -> Paragraph {
    let mut lines = Vec::new();
    let mut rest = text;
    let mut broken = 0;
    while !rest.is_empty() && lines.len() < most {
        let (line, after) = first_line(rest, size, width);
        lines.push(line.trim_end().to_owned());
        let whole = may_break_between(line, after);
        broken += usize::from(!whole);
        rest = after.trim_start();
    }
    let cut = !rest.is_empty();
    if let (true, Some(last)) = (cut, lines.last_mut()) {
        let room = width - font::advance(ELLIPSIS, size);
        let whole = last.len();
        while measure(last, size) > room && last.pop().is_some() {}
        // At the end of a word, unless that leaves little.
        let space = last.rfind(' ').filter(|&space| 2 * space > last.len());
        if let (true, Some(space)) = (last.len() < whole, space) {
            last.truncate(space);
        }
        let kept = last.trim_end_matches([' ', ',', '.', ';', ':']).len();
        last.truncate(kept);
        last.push(ELLIPSIS);
    }
    Paragraph {
        lines,
        size,
        cut,
        broken,
    }
}

/// As many whole words as fit, or as many characters of a word that is too long, but one at least.
fn first_line(text: &str, size: f32, width: f32) -> (&str, &str) {
    let mut used = 0.0;
    let mut last_break = None;
    let mut before: Option<char> = None;
    for (at, c) in text.char_indices() {
        if before.is_some_and(|before| may_break(before, c)) {
            last_break = Some(at);
        }
        used += font::advance(c, size);
        // A space at the end takes no room.
        if used > width && c != ' ' && before.is_some() {
            return text.split_at(last_break.unwrap_or(at));
        }
        before = Some(c);
    }
    (text, "")
}

fn may_break_between(before: &str, after: &str) -> bool {
    let ends = before.chars().next_back().zip(after.chars().next());
    ends.is_none_or(|(before, after)| after == ' ' || may_break(before, after))
}

/// Whether a line may end between the two: the part of Unicode's line breaking (UAX #14) that prompts need.
fn may_break(before: char, after: char) -> bool {
    let closes = |c| {
        matches!(
            c,
            ',' | '.'
                | ';'
                | ':'
                | '!'
                | '?'
                | ')'
                | ']'
                | '…'
                | '”'
                | '’'
                | '、'
                | '。'
                | '，'
                | '．'
                | '！'
                | '？'
                | '：'
                | '；'
                | '」'
                | '』'
                | '）'
                | '】'
                | '》'
                | 'ー'
        )
    };
    let opens = |c| matches!(c, '「' | '『' | '（' | '【' | '《');
    if after == ' ' {
        return false;
    }
    match before {
        '/' => after != '/',
        ' ' | '-' | '–' | '—' => true,
        _ => (wide(before) || wide(after)) && !closes(after) && !opens(before),
    }
}

/// Scripts that put no spaces between words. Hangul does.
fn wide(c: char) -> bool {
    matches!(c, '\u{2E80}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF00}'..='\u{FFEF}' | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(text: &str, width: f32, most: usize) -> Vec<String> {
        Paragraph::new(text, 20.0, width, most).lines
    }

    #[test]
    fn words_stay_whole_and_lines_are_even() {
        assert_eq!(
            lines("a blue cat on a red chair", 160.0, 3),
            ["a blue cat on", "a red chair"]
        );
        assert_eq!(lines("  \n\t ", 100.0, 3), Vec::<String>::new());
        assert_eq!(lines("well-known", 70.0, 3), ["well-", "known"]);
    }

    #[test]
    fn what_does_not_fit_is_shortened() {
        let text = "one two three four five six seven";
        let two = lines(text, 100.0, 2);
        assert_eq!(two.len(), 2);
        assert!(two[1].ends_with('…') && !two[1].contains(" …"), "{two:?}");
        let word = lines(&"x".repeat(90), 100.0, 2);
        assert!(
            word[0].starts_with("xxx") && word[1].ends_with("x…"),
            "{word:?}"
        );
    }

    #[test]
    fn east_asian_text_breaks_between_characters_but_not_before_a_stop() {
        let lines = lines("月明かりの下で踊る猫。とても静か。", 100.0, 9);
        assert!(lines.len() > 1);
        assert!(
            lines.iter().all(|line| !line.starts_with('。')),
            "{lines:?}"
        );
    }

    #[test]
    fn what_is_not_seen_is_left_out_and_accents_are_joined() {
        assert_eq!(
            clean("\u{202E}e\u{301}\u{7}\u{0}a\u{FE0F}\r\n\u{feff} b"),
            "éa b"
        );
    }

    #[test]
    fn the_largest_size_that_fits_is_taken() {
        let sizes = [40.0, 20.0, 10.0];
        assert_eq!(Paragraph::largest("cat", &sizes, 200.0, 60.0).size, 40.0);
        let long = "a cat that sits on a wall and sleeps";
        assert_eq!(Paragraph::largest(long, &sizes, 200.0, 60.0).size, 20.0);
        let paragraph = Paragraph::largest(&long.repeat(9), &sizes, 200.0, 60.0);
        assert!(paragraph.cut && paragraph.size == 10.0 && paragraph.height() <= 60.0);
    }

    proptest! {
        #[test]
        fn any_text_stays_within_the_width(text in any::<String>(), width in 40.0_f32..400.0, most in 1_usize..6) {
            let paragraph = Paragraph::new(&text, 20.0, width, most);
            prop_assert!(paragraph.lines.len() <= most);
            prop_assert!(paragraph.width() <= width + 0.01, "{paragraph:?}");
            prop_assert!(paragraph.lines.iter().all(|line| !line.is_empty()));
        }
    }
}
