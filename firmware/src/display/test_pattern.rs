//! A picture that shows what is wrong with a panel: cut edges, wrong rotation, mirrored or exchanged colours, a crushed
//! scale of greys.

use super::canvas::{Arc, Area, Canvas};
use super::screens::{ACCENT, GROUND, INK, QUIET};
use super::settings::PanelSettings;
use super::text::{Align, Paragraph};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor as _};
use image::RgbImage;

/// Colours at full strength with their letters: on glass that takes blue for red the letters do not fit.
const BARS: [(&str, Rgb888); 8] = [
    ("W", Rgb888::WHITE),
    ("Y", Rgb888::YELLOW),
    ("C", Rgb888::CYAN),
    ("G", Rgb888::GREEN),
    ("M", Rgb888::MAGENTA),
    ("R", Rgb888::RED),
    ("B", Rgb888::BLUE),
    ("K", Rgb888::BLACK),
];

/// Greys from black to white; each must be told from its neighbours.
const GREYS: u16 = 16;

/// The pattern for a panel of `size` as the viewer sees it, with the board's name and what panel it is.
pub(crate) fn test_pattern(size: (u32, u32), name: &str, panel: &PanelSettings) -> RgbImage {
    let mut canvas = Canvas::new(size, GROUND);
    let (width, height) = (size.0 as f32, size.1 as f32);
    let side = width.min(height);
    // The square in a disc leaves (1 - 1/√2) / 2 of it.
    let margin = if panel.round {
        0.15 * side
    } else {
        side / 12.0
    }
    .round();
    let inner = width - 2.0 * margin;
    let bars = (height * 0.26).round();
    let greys = (height * 0.12).round();
    let top = margin;
    let em = (side / 18.0).max(9.0);
    strips(
        &mut canvas,
        (margin, top, inner, bars),
        BARS.len(),
        |place| BARS[place].1,
    );
    for (place, (letter, colour)) in BARS.iter().enumerate() {
        // Dark upon light and light upon dark.
        let light = u32::from(colour.r()) * 3 + u32::from(colour.g()) * 6 + u32::from(colour.b());
        let ink = if light > 1200 { GROUND } else { INK };
        let x = margin + inner * (place as f32 + 0.5) / BARS.len() as f32;
        let letter = Paragraph::new(letter, em, inner / BARS.len() as f32, 1);
        letter.draw(&mut canvas, x, top + bars - 1.4 * em, Align::Centre, ink);
    }
    let bottom = height - margin - greys;
    let around = Area {
        x: margin - 1.0,
        y: bottom - 1.0,
        width: inner + 2.0,
        height: greys + 2.0,
    };
    // The darkest grey is that of the ground.
    canvas.rounded(around, 0.0, QUIET, 1.0);
    strips(
        &mut canvas,
        (margin, bottom, inner, greys),
        usize::from(GREYS),
        |place| {
            let grey = (place as u16 * 255 / (GREYS - 1)) as u8;
            Rgb888::new(grey, grey, grey)
        },
    );
    let middle = Area {
        x: margin,
        y: top + bars,
        width: inner,
        height: bottom - top - bars,
    };
    let turned = match panel.rotation {
        0 => String::new(),
        angle => format!(", turned by {angle}°"),
    };
    let what = format!("{} × {} {}{turned}", size.0, size.1, panel.kind);
    label(&mut canvas, middle, em, name, &what);
    if panel.round {
        let ring = Arc {
            x: width / 2.0,
            y: height / 2.0,
            radius: side / 2.0 - 1.0,
            thickness: 2.0,
        };
        canvas.arc(ring, 1.0, ACCENT, 1.0);
    } else {
        corners(&mut canvas, (width, height), margin);
    }
    canvas.into_image()
}

/// Upright strips side by side.
fn strips(
    canvas: &mut Canvas,
    (x, y, width, height): (f32, f32, f32, f32),
    count: usize,
    colour: impl Fn(usize) -> Rgb888,
) {
    for place in 0..count {
        // To whole pixels, so that no two colours mix at an edge.
        let edge = |place: usize| (x + width * place as f32 / count as f32).round();
        let area = Area {
            x: edge(place),
            y,
            width: edge(place + 1) - edge(place),
            height,
        };
        canvas.rounded(area, 0.0, colour(place), 1.0);
    }
}

/// An arrow that points up, the board's name, what panel it is.
fn label(canvas: &mut Canvas, area: Area, em: f32, name: &str, what: &str) {
    let arrow = (area.height * 0.34).min(3.0 * em).round();
    let centre = area.x + area.width / 2.0;
    let name = Paragraph::new(name, 1.25 * em, area.width, 1);
    let text = Paragraph::new(what, em, area.width, 1);
    let used = arrow + 0.4 * em + name.height() + text.height();
    let top = (area.y + ((area.height - used) / 2.0).max(0.0)).round();
    for row in 0..arrow as u32 {
        // A triangle upon a shaft.
        let part = (row as f32 + 1.0) / (0.6 * arrow);
        let half = if part <= 1.0 {
            0.5 * arrow * part
        } else {
            0.16 * arrow
        };
        let line = Area {
            x: centre - half,
            y: top + row as f32,
            width: 2.0 * half,
            height: 1.0,
        };
        canvas.rounded(line, 0.0, ACCENT, 1.0);
    }
    let y = top + arrow + 0.4 * em;
    let y = name.draw(canvas, centre, y, Align::Centre, INK);
    text.draw(canvas, centre, y, Align::Centre, QUIET);
}

/// A line along the outermost pixels, and an angle in each corner: red and double at the upper left.
fn corners(canvas: &mut Canvas, (width, height): (f32, f32), margin: f32) {
    let mut bar = |x: f32, y: f32, width: f32, height: f32, colour: Rgb888| {
        let area = Area {
            x,
            y,
            width,
            height,
        };
        canvas.rounded(area, 0.0, colour, 1.0);
    };
    bar(0.0, 0.0, width, 1.0, QUIET);
    bar(0.0, height - 1.0, width, 1.0, QUIET);
    bar(0.0, 0.0, 1.0, height, QUIET);
    bar(width - 1.0, 0.0, 1.0, height, QUIET);
    let thick = (margin / 6.0).round().max(2.0);
    let long = (2.0 * margin).round();
    for (right, below) in [(false, false), (true, false), (false, true), (true, true)] {
        let colour = if right || below { INK } else { Rgb888::RED };
        let rings = if right || below { 1 } else { 2 };
        for ring in 0..rings {
            let inset = 2.0 * thick * ring as f32;
            let length = long - inset;
            let x = if right { width - length - inset } else { inset };
            let y = if below { height - thick - inset } else { inset };
            bar(x, y, length, thick, colour);
            let x = if right { width - thick - inset } else { inset };
            let y = if below {
                height - length - inset
            } else {
                inset
            };
            bar(x, y, thick, length, colour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::PanelKind;
    use proptest::prelude::*;

    fn turned(rotation: u32) -> PanelSettings {
        let kind = PanelKind::Drm;
        PanelSettings {
            kind,
            rotation,
            ..PanelSettings::default()
        }
    }

    #[test]
    fn edges_bars_greys_and_the_first_corner_can_be_told() {
        let (width, height) = (320, 240);
        let pattern = test_pattern((width, height), "Frame", &turned(90));
        let at = |x: u32, y: u32| pattern.get_pixel(x, y).0;
        assert_eq!(at(2, 2), [255, 0, 0], "upper left");
        assert_eq!(
            at(width - 1, height - 1),
            at(width - 1, 0),
            "three corners are alike"
        );
        assert_ne!(at(width / 2, 0), at(width / 2, 2), "the outermost line");
        // The middle of each bar, above its letter.
        let seen: Vec<[u8; 3]> = (0..8_u32)
            .map(|bar| at(20 + 280 * (2 * bar + 1) / 16, 40))
            .collect();
        let bars: Vec<[u8; 3]> = BARS.iter().map(|(_, c)| [c.r(), c.g(), c.b()]).collect();
        assert_eq!(seen, bars);
        let greys: Vec<u8> = (0..16_u32)
            .map(|grey| at(20 + 280 * (2 * grey + 1) / 32, 210)[0])
            .collect();
        assert!(
            greys.is_sorted() && greys[0] == 0 && greys[15] == 255,
            "{greys:?}"
        );
        assert_ne!(
            pattern,
            test_pattern((width, height), "Frame", &turned(0)),
            "it says how it is turned"
        );
    }

    proptest! {
        #[test]
        fn any_panel_gets_a_pattern(width in 1_u32..300, height in 1_u32..300, name in ".{0,30}", round in any::<bool>()) {
            let panel = PanelSettings { round, ..turned(270) };
            prop_assert_eq!(test_pattern((width, height), &name, &panel).dimensions(), (width, height));
        }
    }
}
