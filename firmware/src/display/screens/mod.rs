//! The screens, one file each, and what they share: a palette, two sizes of text, margins.

mod caption;
mod error;
mod idle;
mod painting;
mod picture;
mod set_up;
mod shutting_down;

use super::canvas::{Area, Canvas};
use super::fit::{Fit, fit};
use super::font::LEADING;
use super::screen::Screen;
use super::text::{Align, Paragraph};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor as _};
use image::{Rgb, RgbImage};

/// Warm black: behind everything, and beside pictures of another shape.
pub(super) const GROUND: Rgb888 = Rgb888::new(0x11, 0x10, 0x0F);
/// Paper: what is to be read.
pub(super) const INK: Rgb888 = Rgb888::new(0xEF, 0xEA, 0xE0);
/// What is said beside it.
pub(super) const QUIET: Rgb888 = Rgb888::new(0xA6, 0x9F, 0x92);
/// The same upon a picture, where the ground may be no darker than its shade.
const QUIET_ON_PICTURE: Rgb888 = Rgb888::new(0xCC, 0xC6, 0xBA);
/// Ochre: progress, and the rule above a text.
pub(super) const ACCENT: Rgb888 = Rgb888::new(0xDD, 0xA2, 0x3F);
/// Vermilion: something is wrong.
const ALARM: Rgb888 = Rgb888::new(0xE2, 0x5B, 0x45);

/// How screens are laid out on a panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Frame {
    /// What becomes of pictures of another shape.
    pub fit: Fit,
    /// The panel is a disc: nothing is written in its corners.
    pub round: bool,
}

/// Draws `screen` at a size in pixels, as the viewer sees it.
#[must_use]
pub fn draw(screen: &Screen, size: (u32, u32), frame: Frame) -> RgbImage {
    let page = Page::new(size, frame);
    let canvas = match screen {
        Screen::Idle { time, date, note } => idle::draw(&page, time, date, note),
        Screen::Caption { prompt, heading } => caption::draw(&page, prompt, heading),
        Screen::Painting {
            prompt,
            step,
            steps,
            left,
            preview,
        } => {
            let progress = painting::Done {
                step: *step,
                steps: *steps,
                left: *left,
            };
            painting::draw(&page, prompt, progress, preview.as_deref())
        }
        Screen::Picture { picture, caption } => picture::draw(&page, picture, caption.as_deref()),
        Screen::Error { problem, advice } => error::draw(&page, problem, advice),
        Screen::SetUp {
            name,
            address,
            note,
        } => set_up::draw(&page, name, address, note),
        Screen::ShuttingDown => shutting_down::draw(&page),
    };
    canvas.into_image()
}

/// Measures of one panel: everything is a part of its shorter side.
struct Page {
    size: (u32, u32),
    frame: Frame,
    /// Where text may stand.
    inner: Area,
    /// Pixels of an em of what is to be read.
    text: f32,
    /// Pixels of an em of what is said beside it.
    small: f32,
}

impl Page {
    fn new(size: (u32, u32), frame: Frame) -> Self {
        let (width, height) = (size.0 as f32, size.1 as f32);
        let side = width.min(height);
        // The square in a circle leaves (1 - 1/√2) / 2 of the side; a little less looks as full, and corners of text
        // are empty as a rule.
        let margin = if frame.round {
            0.14 * side
        } else {
            0.085 * side
        };
        let inner = Area {
            x: margin,
            y: margin,
            width: width - 2.0 * margin,
            height: height - 2.0 * margin,
        };
        // Small panels are looked at from nearer; below this nothing can be read.
        let text = (side / 14.0).max(if side < 300.0 {
            17.0_f32.min(side / 8.0)
        } else {
            0.0
        });
        Self {
            size,
            frame,
            inner,
            text,
            small: (0.72 * text).max(13.0_f32.min(text)),
        }
    }

    fn blank(&self) -> Canvas {
        Canvas::new(self.size, GROUND)
    }

    /// A picture over the whole panel.
    fn filled(&self, picture: &RgbImage, how: Fit) -> Canvas {
        let mat = Rgb([GROUND.r(), GROUND.g(), GROUND.b()]);
        Canvas::on(fit(picture, self.size, how, mat))
    }

    fn align(&self) -> Align {
        if self.frame.round {
            Align::Centre
        } else {
            Align::Left
        }
    }

    /// Where lines start, or have their middle.
    fn x(&self) -> f32 {
        match self.align() {
            Align::Left => self.inner.x,
            Align::Centre => self.inner.x + self.inner.width / 2.0,
        }
    }

    fn bottom(&self) -> f32 {
        self.inner.y + self.inner.height
    }

    /// A short line above a text; returns the height that it takes with the space below it.
    fn rule(&self, canvas: &mut Canvas, top: f32, colour: Rgb888) -> f32 {
        let thickness = (self.text / 9.0).round().max(2.0);
        let width = 1.6 * self.text;
        let x = match self.align() {
            Align::Left => self.x(),
            Align::Centre => self.x() - width / 2.0,
        };
        let area = Area {
            x: x.round(),
            y: top.round(),
            width,
            height: thickness,
        };
        canvas.rounded(area, 0.0, colour, 1.0);
        self.rule_height()
    }

    fn rule_height(&self) -> f32 {
        (self.text / 9.0).round().max(2.0) + 0.75 * self.text
    }

    /// A rule, a text and a smaller one below it, in the middle of the panel's height.
    fn statement(&self, canvas: &mut Canvas, colour: Rgb888, text: &str, beside: &str) {
        let room = self.inner.height - self.rule_height();
        let beside = Paragraph::new(beside, self.small, self.inner.width, 4);
        let gap = if beside.lines.is_empty() {
            0.0
        } else {
            0.4 * self.text
        };
        let sizes = [1.6 * self.text, 1.25 * self.text, self.text, self.small];
        let room = (room - beside.height() - gap).max(0.0);
        let text = Paragraph::largest(text, &sizes, self.inner.width, room);
        let height = self.rule_height() + text.height() + gap + beside.height();
        let mut y = self.inner.y + ((self.inner.height - height) / 2.0).max(0.0);
        y += self.rule(canvas, y, colour);
        y = text.draw(canvas, self.x(), y, self.align(), INK);
        beside.draw(canvas, self.x(), y + gap, self.align(), QUIET);
    }

    /// A text at the lower edge of a picture, and a smaller one below it, on a shade that leaves the picture as it is
    /// above.
    fn label(&self, canvas: &mut Canvas, text: &str, beside: &str) {
        let width = self.inner.width;
        let lines = if self.size.1 > self.size.0 { 3.0 } else { 2.0 };
        let beside = Paragraph::new(beside, self.small, width, 1);
        let text = Paragraph::largest(
            text,
            &[self.text, self.small],
            width,
            lines * LEADING * self.text + 1.0,
        );
        let gap = 0.2 * beside.height();
        let top = self.bottom() - text.height() - gap - beside.height();
        canvas.scrim(top - 3.0 * self.text, top + 0.7 * self.text, GROUND, 0.8);
        let y = text.draw(canvas, self.x(), top, self.align(), INK);
        beside.draw(canvas, self.x(), y + gap, self.align(), QUIET_ON_PICTURE);
    }
}
