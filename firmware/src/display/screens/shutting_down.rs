//! The board stops.

use super::{Page, QUIET};
use crate::display::canvas::Canvas;

pub(super) fn draw(page: &Page) -> Canvas {
    let mut canvas = page.blank();
    let beside = "Wait until the screen is dark before you unplug it.";
    page.statement(&mut canvas, QUIET, "Shutting down", beside);
    canvas
}
