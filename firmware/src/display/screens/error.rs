//! Something is wrong, and what to do.

use super::{ALARM, Page};
use crate::display::canvas::Canvas;

pub(super) fn draw(page: &Page, problem: &str, advice: &str) -> Canvas {
    let mut canvas = page.blank();
    page.statement(&mut canvas, ALARM, problem, advice);
    canvas
}
