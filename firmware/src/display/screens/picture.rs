//! A finished picture, edge to edge.

use super::Page;
use crate::display::canvas::Canvas;
use image::RgbImage;

pub(super) fn draw(page: &Page, picture: &RgbImage, caption: Option<&str>) -> Canvas {
    let mut canvas = page.filled(picture, page.frame.fit);
    if let Some(caption) = caption.filter(|caption| !caption.trim().is_empty()) {
        page.label(&mut canvas, caption, "");
    }
    canvas
}
