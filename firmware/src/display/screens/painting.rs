//! A picture in the making: what it looks like by now, what it will show, how far it is.

use super::{ACCENT, INK, Page, QUIET, caption};
use crate::display::canvas::{Arc, Area, Canvas};
use crate::display::fit::Fit;
use crate::display::text::Paragraph;
use image::RgbImage;
use std::time::Duration;

/// How far a picture is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub(super) step: usize,
    pub(super) steps: usize,
    pub(super) left: Option<Duration>,
}

pub(super) fn draw(page: &Page, prompt: &str, done: Done, preview: Option<&RgbImage>) -> Canvas {
    let status = done.to_string();
    let mut canvas = if let Some(preview) = preview {
        // The busiest part of a preview moves from step to step; the middle does not.
        let how = if page.frame.fit == Fit::Smart {
            Fit::Crop
        } else {
            page.frame.fit
        };
        let mut canvas = page.filled(preview, how);
        page.label(&mut canvas, prompt, &status);
        canvas
    } else {
        let mut canvas = page.blank();
        let status = Paragraph::new(&status, page.small, page.inner.width, 1);
        let height = page.inner.height - status.height();
        caption::write(page, &mut canvas, prompt, "", height);
        let top = page.bottom() - status.height();
        status.draw(&mut canvas, page.x(), top, page.align(), QUIET);
        canvas
    };
    line(page, &mut canvas, done.part());
    canvas
}

/// Along the lower edge, or around a disc.
fn line(page: &Page, canvas: &mut Canvas, part: f32) {
    let (width, height) = (page.size.0 as f32, page.size.1 as f32);
    let thickness = (width.min(height) / 100.0).round().max(2.0);
    if page.frame.round {
        let radius = width.min(height) / 2.0 - thickness;
        let arc = Arc {
            x: width / 2.0,
            y: height / 2.0,
            radius,
            thickness,
        };
        canvas.arc(arc, 1.0, INK, 0.16);
        canvas.arc(arc, part, ACCENT, 1.0);
    } else {
        let area = |width| Area {
            x: 0.0,
            y: height - thickness,
            width,
            height: thickness,
        };
        canvas.rounded(area(width), 0.0, INK, 0.16);
        canvas.rounded(area(width * part), 0.0, ACCENT, 1.0);
    }
}

impl Done {
    fn part(self) -> f32 {
        if self.steps == 0 {
            return 0.0;
        }
        (self.step as f32 / self.steps as f32).min(1.0)
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Step {} of {}", self.step, self.steps)?;
        match self.left.map(|left| left.as_secs()) {
            None => Ok(()),
            // Seconds that jump about help nobody.
            Some(seconds @ 0..=9) => write!(f, " · {} s left", seconds.max(1)),
            Some(seconds @ 10..=89) => write!(f, " · {} s left", seconds.div_ceil(5) * 5),
            Some(seconds @ 90..=5399) => write!(f, " · {} min left", seconds.div_ceil(60)),
            Some(seconds) => write!(f, " · {} h left", (seconds + 1800) / 3600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_rounded() {
        let text = |seconds| {
            let left = Some(Duration::from_secs(seconds));
            Done {
                step: 1,
                steps: 2,
                left,
            }
            .to_string()
        };
        for (seconds, expected) in [
            (0, "1 s"),
            (9, "9 s"),
            (11, "15 s"),
            (89, "90 s"),
            (90, "2 min"),
            (5399, "90 min"),
            (5400, "2 h"),
            (9001, "3 h"),
        ] {
            assert_eq!(text(seconds), format!("Step 1 of 2 · {expected} left"));
        }
    }

    #[test]
    fn no_steps_are_no_progress() {
        assert_eq!(
            Done {
                step: 3,
                steps: 0,
                left: None
            }
            .part(),
            0.0
        );
        assert_eq!(
            Done {
                step: 3,
                steps: 2,
                left: None
            }
            .part(),
            1.0
        );
    }
}
