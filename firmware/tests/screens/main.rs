//! What the display draws: golden images of every screen, and any text on panels of any size.
//!
//! After a change that is meant, look at what it does: `EASEL_BLESS=1 cargo test --release -p easel-firmware --test screens`
//! writes the goldens and `docs/images/screens.png` anew.

mod goldens;
mod scenes;

use easel_firmware::display::{Fit, Frame, Screen, draw};
use image::RgbImage;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

/// Letters of all kinds, controls, marks that join, right-to-left text, emoji and their joiners.
const TEXT: &str =
    "(\\PC|[a-z ]|\\p{Cc}|\\p{Mn}|\\p{Hebrew}|\\p{Arabic}|\\p{Han}|[🐱👩‍👩‍👧‍👦🏳️‍🌈\u{202E}\u{200D}]){0,60}";

fn any_screen() -> impl Strategy<Value = Screen> {
    let number = 0_usize..2000;
    let picture =
        (0_u32..50, 0_u32..50).prop_map(|(width, height)| Arc::new(RgbImage::new(width, height)));
    let texts = (TEXT, TEXT, TEXT);
    (
        0..7,
        texts,
        (number.clone(), number),
        any::<Option<u32>>(),
        picture,
    )
        .prop_map(
            |(kind, (one, two, three), (step, steps), seconds, picture)| match kind {
                0 => Screen::Idle {
                    time: one,
                    date: two,
                    note: three,
                },
                1 => Screen::Caption {
                    prompt: one,
                    heading: two,
                },
                2 => Screen::Painting {
                    prompt: one,
                    step,
                    steps,
                    left: seconds.map(|seconds| Duration::from_secs(seconds.into())),
                    preview: seconds.map(|_| picture),
                },
                3 => Screen::Picture {
                    picture,
                    caption: Some(one),
                },
                4 => Screen::Error {
                    problem: one,
                    advice: two,
                },
                5 => Screen::SetUp {
                    name: one,
                    address: two,
                    note: three,
                },
                _ => Screen::ShuttingDown,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_on_any_panel(screen in any_screen(), width in 1_u32..400, height in 1_u32..400, how in 0..3, round: bool) {
        let fit = [Fit::Crop, Fit::Letterbox, Fit::Smart][how as usize];
        prop_assert_eq!(draw(&screen, (width, height), Frame { fit, round }).dimensions(), (width, height));
    }
}

#[test]
fn every_screen_on_the_smallest_and_the_largest_panel() {
    for size in [(64, 64), (1200, 1600), (1600, 1200), (1, 1), (0, 7)] {
        for round in [false, true] {
            for (name, screen) in scenes::all() {
                let frame = Frame {
                    fit: Fit::Smart,
                    round,
                };
                assert_eq!(draw(&screen, size, frame).dimensions(), size, "{name}");
            }
        }
    }
}

#[test]
fn a_prompt_of_64_kib_is_shortened() {
    let prompt = "an endless row of cats, ".repeat(2730);
    for size in goldens::SIZES {
        let screen = Screen::Caption {
            prompt: prompt.clone(),
            heading: String::new(),
        };
        let image = draw(&screen, size, Frame::default());
        // The lowest rows stay as the ground.
        let margin = size.1 / 20;
        let ground = *image.get_pixel(0, 0);
        let below = image
            .enumerate_pixels()
            .filter(|(_, y, _)| *y >= size.1 - margin);
        assert!(
            below.into_iter().all(|(_, _, pixel)| *pixel == ground),
            "{size:?}"
        );
    }
}

#[test]
fn nothing_is_written_outside_a_disc() {
    for (name, screen) in scenes::all() {
        if matches!(
            screen,
            Screen::Picture { .. }
                | Screen::Painting {
                    preview: Some(_),
                    ..
                }
        ) {
            continue;
        }
        let image = draw(
            &screen,
            (240, 240),
            Frame {
                fit: Fit::Crop,
                round: true,
            },
        );
        let ground = *image.get_pixel(0, 0);
        for (x, y, pixel) in image.enumerate_pixels() {
            let (dx, dy) = (f64::from(x) - 119.5, f64::from(y) - 119.5);
            assert!(
                dx.hypot(dy) < 121.0 || *pixel == ground,
                "{name}: ({x}, {y})"
            );
        }
    }
}
