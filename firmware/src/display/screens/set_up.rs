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
    // An address that is too long for any code is still there to be read.
    let code = QrCode::encode_text(address, QrCodeEcc::Medium).ok();
    let code = code.filter(|_| !address.is_empty());
    let beside = inner.width >= 1.35 * inner.height && !page.frame.round;
    let card = code.map_or(0.0, |code| {
        let side = if beside {
            inner.height.min(0.46 * inner.width)
        } else {
            inner.width.min(0.6 * inner.height)
        };
        let x = if beside {
            inner.x
        } else {
            inner.x + (inner.width - side) / 2.0
        };
        let y = if beside {
            inner.y + (inner.height - side) / 2.0
        } else {
            inner.y
        };
        draw_code(&mut canvas, &code, x, y, side);
        side
    });
    let gap = if card > 0.0 { 0.9 * page.text } else { 0.0 };
    let (x, width, align) = if beside {
        (inner.x + card + gap, inner.width - card - gap, Align::Left)
    } else {
        (inner.x + inner.width / 2.0, inner.width, Align::Centre)
    };
    let (top, height) = if beside {
        (inner.y, inner.height)
    } else {
        (inner.y + card, inner.height - card)
    };
    write(
        page,
        &mut canvas,
        Column {
            x,
            top,
            width,
            height,
            align,
        },
        [name, address, note],
    );
    canvas
}

/// Where the texts go.
struct Column {
    x: f32,
    top: f32,
    width: f32,
    height: f32,
    align: Align,
}

fn write(page: &Page, canvas: &mut Canvas, column: Column, [name, address, note]: [&str; 3]) {
    let name = Paragraph::new(name, page.text, column.width, 2);
    let address = Paragraph::new(address, page.small, column.width, 3);
    let mut note = Paragraph::new(note, page.small, column.width, 4);
    let gap = 0.35 * page.text;
    // The note is what can be spared.
    while name.height() + address.height() + note.height() + gap > column.height
        && note.lines.pop().is_some()
    {
        note.cut = true;
    }
    if note.cut {
        note.lines.clear();
    }
    let height = name.height()
        + address.height()
        + if note.lines.is_empty() {
            0.0
        } else {
            gap + note.height()
        };
    let y = column.top + ((column.height - height) / 2.0).max(0.0);
    let y = name.draw(canvas, column.x, y, column.align, INK);
    let y = address.draw(canvas, column.x, y, column.align, INK);
    note.draw(canvas, column.x, y + gap, column.align, QUIET);
}

/// Whole pixels a module, so that all are the same size, on a white card.
fn draw_code(canvas: &mut Canvas, code: &QrCode, x: f32, y: f32, side: f32) {
    let modules = code.size() + 2 * QUIET_ZONE;
    let pitch = (side / modules as f32).floor().max(1.0);
    let used = pitch * modules as f32;
    let (x, y) = (
        (x + (side - used) / 2.0).round(),
        (y + (side - used) / 2.0).round(),
    );
    let card = Area {
        x,
        y,
        width: used,
        height: used,
    };
    canvas.rounded(card, 2.0 * pitch, CARD, 1.0);
    for row in 0..code.size() {
        for column in 0..code.size() {
            if code.get_module(column, row) {
                let place = |at: i32| (at + QUIET_ZONE) as f32 * pitch;
                let module = Area {
                    x: x + place(column),
                    y: y + place(row),
                    width: pitch,
                    height: pitch,
                };
                canvas.rounded(module, 0.0, Rgb888::BLACK, 1.0);
            }
        }
    }
}
