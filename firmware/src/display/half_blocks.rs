//! Pictures out of characters.

use std::fmt::Write as _;

/// Draws `rgb`, rows of `width` pixels, with upper half blocks in at most `columns` × `rows` character cells: foreground
/// colour above, background colour below (ECMA-48 SGR with the ISO 8613-6 direct-colour parameters). Nearest pixel,
/// aspect kept; lines end in `line_end`, but the last one.
pub(crate) fn half_blocks(
    rgb: &[u8],
    (width, height): (usize, usize),
    (columns, rows): (usize, usize),
    line_end: &str,
) -> String {
    if width == 0 || height == 0 {
        return String::new();
    }
    let scale = (columns as f32 / width as f32).min((2 * rows) as f32 / height as f32);
    let columns = ((width as f32 * scale) as usize).max(1);
    let rows = ((height as f32 * scale / 2.0) as usize).max(1);
    let pixel = |column: usize, line: usize| {
        let x = column * width / columns;
        let y = line * height / (2 * rows);
        let start = 3 * (y * width + x);
        [rgb[start], rgb[start + 1], rgb[start + 2]]
    };
    let mut text = String::new();
    for row in 0..rows {
        for column in 0..columns {
            let [r, g, b] = pixel(column, 2 * row);
            let [lr, lg, lb] = pixel(column, 2 * row + 1);
            // Writing to a String cannot fail.
            let _ = write!(text, "\x1b[38;2;{r};{g};{b};48;2;{lr};{lg};{lb}m▀");
        }
        text.push_str("\x1b[0m");
        if row + 1 < rows {
            text.push_str(line_end);
        }
    }
    text
}
