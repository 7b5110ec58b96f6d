//! The faces that text is set in, and one character at a time.
//!
//! `firmware/fonts/README.md` says where they come from. A face is read where it lies in the program: only the
//! characters that are drawn are ever unpacked.

use super::canvas::{Area, Canvas};
use ab_glyph::{Font as _, FontRef, GlyphId, OutlinedGlyph, PxScale, point};
use embedded_graphics::pixelcolor::Rgb888;
use std::sync::OnceLock;

/// Ems that lie between the base line and the top of a capital.
pub(super) const CAPITAL: f32 = 0.714;
/// Ems from one base line to the next.
pub(super) const LEADING: f32 = 1.32;
/// Light text on a dark ground, mixed in sRGB, looks thinner than it is drawn: coverage is raised to this power.
const COVERAGE_POWER: f32 = 0.8;
/// Ems that the box for an unknown character takes.
const BOX_ADVANCE: f32 = 0.62;

/// In the order in which they are asked for a character.
fn faces() -> &'static [FontRef<'static>; 2] {
    static FACES: OnceLock<[FontRef<'static>; 2]> = OnceLock::new();
    FACES.get_or_init(|| {
        let files: [&[u8]; 2] = [
            include_bytes!("../../fonts/serif.ttf"),
            include_bytes!("../../fonts/fallback-cjk.ttf"),
        ];
        files.map(|file| FontRef::try_from_slice(file).expect("the tests draw with it"))
    })
}

/// A character of some face; `None` stands for one that no face has.
fn find(c: char) -> Option<(&'static FontRef<'static>, GlyphId)> {
    let glyphs = faces().iter().map(|face| (face, face.glyph_id(c)));
    glyphs.into_iter().find(|(_, glyph)| glyph.0 != 0)
}

/// Pixels to the next character when an em is `size` pixels.
pub(super) fn advance(c: char, size: f32) -> f32 {
    find(c).map_or(BOX_ADVANCE * size, |(face, glyph)| {
        let em = face.units_per_em().unwrap_or(1000.0);
        face.h_advance_unscaled(glyph) / em * size
    })
}

/// Draws one character with its origin at `x` on the base line `y`.
pub(super) fn draw(canvas: &mut Canvas, c: char, (x, y): (f32, f32), size: f32, colour: Rgb888) {
    let Some((face, glyph)) = find(c) else {
        return draw_box(canvas, (x, y), size, colour);
    };
    // ab_glyph's scale is the height of a line, not of an em.
    let scale = face.height_unscaled() / face.units_per_em().unwrap_or(1000.0) * size;
    let glyph = glyph.with_scale_and_position(PxScale::from(scale), point(x, y));
    if let Some(outline) = face.outline_glyph(glyph) {
        fill(canvas, &outline, colour);
    }
}

fn fill(canvas: &mut Canvas, outline: &OutlinedGlyph, colour: Rgb888) {
    let corner = outline.px_bounds().min;
    let (left, top) = (corner.x as i32, corner.y as i32);
    outline.draw(|x, y, cover| {
        if cover > 0.0 {
            let (x, y) = (
                left.saturating_add_unsigned(x),
                top.saturating_add_unsigned(y),
            );
            canvas.blend(x, y, colour, cover.min(1.0).powf(COVERAGE_POWER));
        }
    });
}

/// The outline of a box: something was here.
fn draw_box(canvas: &mut Canvas, (x, y): (f32, f32), size: f32, colour: Rgb888) {
    let line = (size / 16.0).max(1.0);
    let height = CAPITAL * size;
    let width = (BOX_ADVANCE - 0.14) * size;
    let left = x + 0.07 * size;
    let bar = |x, y, width, height| Area {
        x,
        y,
        width,
        height,
    };
    for side in [
        bar(left, y - height, width, line),
        bar(left, y - line, width, line),
        bar(left, y - height + line, line, height - 2.0 * line),
        bar(
            left + width - line,
            y - height + line,
            line,
            height - 2.0 * line,
        ),
    ] {
        canvas.rounded(side, 0.0, colour, 0.6);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_that_are_promised_are_there() {
        for c in "Aé ßþ Жї Ωή 漢字 汉 體 かなカナ 한글 “—…€·’".chars() {
            assert!(find(c).is_some(), "{c:?}");
        }
        for c in ['🐱', 'ש', '\u{10FFFF}', '\0'] {
            assert!(find(c).is_none(), "{c:?}");
        }
    }

    #[test]
    fn a_capital_is_as_high_as_it_is_said() {
        let top = |c: char| {
            let mut canvas = Canvas::new((120, 120), Rgb888::new(0, 0, 0));
            draw(
                &mut canvas,
                c,
                (10.0, 100.0),
                100.0,
                Rgb888::new(255, 255, 255),
            );
            let image = canvas.into_image();
            image
                .rows()
                .position(|mut row| row.any(|pixel| pixel.0[0] > 128))
        };
        let expected = 100.0 - 100.0 * CAPITAL;
        for c in ['H', '\u{10FFFF}'] {
            let top = top(c).expect("it was drawn") as f32;
            assert!((top - expected).abs() <= 1.0, "{c:?}: {top}");
        }
        assert!(top('国').is_some());
    }
}
