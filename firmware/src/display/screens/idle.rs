//! The time, large; the date; a line at the bottom.

use super::{INK, Page, QUIET};
use crate::display::canvas::Canvas;
use crate::display::text::{Align, Paragraph, measure};

pub(super) fn draw(page: &Page, time: &str, date: &str, note: &str) -> Canvas {
    let mut canvas = page.blank();
    let width = page.inner.width;
    let note = Paragraph::new(note, page.small, width, 2);
    let date = Paragraph::new(date, page.text, width, 2);
    // As wide as the panel allows, but no higher than two fifths of it.
    let largest = 0.42 * page.inner.height;
    let size = largest.min(largest * width / measure(time, largest).max(1.0));
    let time = Paragraph::new(time, size, width + 1.0, 1);
    let height = time.height() + date.height();
    let room = page.inner.height - note.height();
    let top = page.inner.y + ((room - height) / 2.0).max(0.0);
    // The side bearing of large digits would set them off from the lines below.
    let bearing = if page.align() == Align::Left {
        0.045 * size
    } else {
        0.0
    };
    let y = time.draw(&mut canvas, page.x() - bearing, top, page.align(), INK);
    date.draw(&mut canvas, page.x(), y, page.align(), INK);
    note.draw(
        &mut canvas,
        page.x(),
        page.bottom() - note.height(),
        page.align(),
        QUIET,
    );
    canvas
}
