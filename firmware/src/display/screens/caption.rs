//! A prompt, as large as it fits.

use super::{ACCENT, INK, Page, QUIET};
use crate::display::canvas::Canvas;
use crate::display::text::Paragraph;

pub(super) fn draw(page: &Page, prompt: &str, heading: &str) -> Canvas {
    let mut canvas = page.blank();
    write(page, &mut canvas, prompt, heading, page.inner.height);
    canvas
}

/// The heading, a rule and the prompt in the middle of the upper `height` pixels.
pub(super) fn write(page: &Page, canvas: &mut Canvas, prompt: &str, heading: &str, height: f32) {
    let width = page.inner.width;
    let heading = Paragraph::new(heading, page.small, width, 1);
    let room = height - heading.height() - page.rule_height();
    let sizes = [2.0, 1.6, 1.25, 1.0].map(|times| times * page.text);
    let prompt = Paragraph::largest(prompt, &sizes, width, room);
    let used = heading.height() + page.rule_height() + prompt.height();
    let y = page.inner.y + ((height - used) / 2.0).max(0.0);
    let mut y = heading.draw(canvas, page.x(), y, page.align(), QUIET);
    y += page.rule(canvas, y + 0.2 * page.text, ACCENT);
    prompt.draw(canvas, page.x(), y, page.align(), INK);
}
