//! How to reach the board: its name, its address, and the address as a QR code.

use super::{INK, Page, QUIET};
use crate::display::canvas::{Area, Canvas};
use crate::display::text::{Align, Paragraph};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor as _};
use qrcodegen::{QrCode, QrCodeEcc};

/// Light modules around a code that readers need (ISO/IEC 18004, 6.3.8).
const QUIET_ZONE: i32 = 4;
/// White, not paper: readers want contrast.
const CARD: Rgb888 = Rgb888::WHITE;

pub(super) fn draw(page: &Page, name: &str, address: &str, note: &str) -> Canvas {
    let mut canvas = page.blank();
    let inner = page.inner;
    // A screen is never torn or stained: the least correction makes the largest modules. An address that is too long
    // for any code is still there to be read.
    let code = QrCode::encode_text(address, QrCodeEcc::Low).ok();
    let code = code.filter(|_| !address.is_empty());
    let beside = inner.width >= 1.3 * inner.height && !page.frame.round;
    let room = if beside {
        inner.height.min(0.48 * inner.width)
    } else {
        inner.width.min(0.68 * inner.height)
    };
    let pitch = code.as_ref().map_or(0.0, |code| pitch(code, room));
    let card = code.as_ref().map_or(0.0, |code| modules(code) * pitch);
    let gap = if card > 0.0 { 0.8 * page.text } else { 0.0 };
    let (width, height) = if beside {
        (inner.width - card - gap, inner.height)
    } else {
        (inner.width, inner.height - card - 0.5 * gap)
    };
    let texts = Texts::new(page, [name, address, note], width, height);
    let middle = inner.y + inner.height / 2.0;
    let (card_at, x, top, align) = if beside {
        let x = inner.x + card + gap;
        let card_at = (inner.x, middle - card / 2.0);
        (card_at, x, middle - texts.height() / 2.0, Align::Left)
    } else {
        let x = inner.x + inner.width / 2.0;
        let top = middle - (card + 0.5 * gap + texts.height()) / 2.0;
        let card_at = (x - card / 2.0, top);
        (card_at, x, top + card + 0.5 * gap, Align::Centre)
    };
    if let Some(code) = code {
        draw_code(&mut canvas, &code, card_at, pitch);
    }
    texts.draw(&mut canvas, x, top, align);
    canvas
}

struct Texts {
    name: Paragraph,
    address: Paragraph,
    note: Paragraph,
    /// Above the note.
    gap: f32,
}

impl Texts {
    fn new(page: &Page, [name, address, note]: [&str; 3], width: f32, height: f32) -> Self {
        let mut texts = Self {
            name: Paragraph::new(name, page.text, width, 2),
            address: Paragraph::new(address, page.small, width, 3),
            note: Paragraph::new(note, page.small, width, 4),
            gap: 0.35 * page.text,
        };
        // The note is what can be spared.
        if texts.height() > height {
            texts.note = Paragraph::default();
            texts.gap = 0.0;
        }
        texts
    }

    fn height(&self) -> f32 {
        self.name.height() + self.address.height() + self.gap + self.note.height()
    }

    fn draw(&self, canvas: &mut Canvas, x: f32, top: f32, align: Align) {
        let y = self.name.draw(canvas, x, top, align, INK);
        let y = self.address.draw(canvas, x, y, align, INK);
        self.note.draw(canvas, x, y + self.gap, align, QUIET);
    }
}

/// Modules of a side of the card.
fn modules(code: &QrCode) -> f32 {
    (code.size() + 2 * QUIET_ZONE) as f32
}

/// Pixels of a module: whole ones, so that all modules are the same.
fn pitch(code: &QrCode, room: f32) -> f32 {
    (room / modules(code)).floor().max(1.0)
}

/// The code on a white card.
fn draw_code(canvas: &mut Canvas, code: &QrCode, (x, y): (f32, f32), pitch: f32) {
    let side = modules(code) * pitch;
    let (x, y) = (x.round(), y.round());
    let area = |x, y, side| Area {
        x,
        y,
        width: side,
        height: side,
    };
    canvas.rounded(area(x, y, side), 2.0 * pitch, CARD, 1.0);
    for row in 0..code.size() {
        for column in 0..code.size() {
            if code.get_module(column, row) {
                let place = |at: i32| (at + QUIET_ZONE) as f32 * pitch;
                let module = area(x + place(column), y + place(row), pitch);
                canvas.rounded(module, 0.0, Rgb888::BLACK, 1.0);
            }
        }
    }
}
