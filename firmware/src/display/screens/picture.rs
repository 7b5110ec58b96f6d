//! A finished picture, edge to edge.

use super::Page;
use crate::display::canvas::Canvas;
use crate::display::text::Paragraph;
use image::RgbImage;

pub(super) fn draw(page: &Page, picture: &RgbImage, caption: Option<&str>) -> Canvas {
    let mut canvas = page.filled(picture, page.frame.fit);
    let caption = Paragraph::new(caption.unwrap_or_default(), page.text, page.inner.width, 2);
    if !caption.lines.is_empty() {
        let nothing = Paragraph::new("", page.small, page.inner.width, 1);
        page.label(&mut canvas, &caption, &nothing, 0.0);
    }
    canvas
}
