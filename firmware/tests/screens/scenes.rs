//! One of every screen, with what it may show in a day.

use easel_firmware::display::{Fit, Screen, fit};
use image::{Rgb, RgbImage};
use std::sync::Arc;
use std::time::Duration;

/// Hills under an evening sun, 512×512: flat colours, so that goldens stay small; whole numbers, so that they stay the
/// same. Each pixel is the mean of four, for smooth edges.
fn landscape() -> RgbImage {
    let fine = fine_landscape();
    RgbImage::from_fn(512, 512, |x, y| {
        let four = [(0, 0), (1, 0), (0, 1), (1, 1)]
            .map(|(dx, dy)| fine.get_pixel(2 * x + dx, 2 * y + dy).0);
        let mean = |channel: usize| {
            four.iter()
                .map(|pixel| u32::from(pixel[channel]))
                .sum::<u32>()
                / 4
        };
        Rgb([0, 1, 2].map(|channel| mean(channel) as u8))
    })
}

fn fine_landscape() -> RgbImage {
    const SKY: [[i32; 3]; 5] = [
        [38, 50, 86],
        [92, 74, 110],
        [176, 98, 104],
        [226, 140, 92],
        [242, 190, 120],
    ];
    const HILLS: [[i32; 3]; 3] = [[120, 72, 92], [66, 50, 78], [26, 28, 46]];
    RgbImage::from_fn(1024, 1024, |x, y| {
        let (x, y) = (x as i32, y as i32);
        // A hill is a row of parabolas.
        let ridge = |top: i32, width: i32, shift: i32, depth: i32| {
            let along = (x + shift) % width - width / 2;
            top + depth * along * along / (width * width / 4)
        };
        let tops = [
            ridge(600, 600, 120, 100),
            ridge(690, 840, 500, 120),
            ridge(820, 1200, 180, 100),
        ];
        let hill = tops.iter().rposition(|&top| y >= top);
        let (dx, dy) = (x - 660, y - 470);
        let colour = match hill {
            Some(hill) => HILLS[hill],
            None if dx * dx + dy * dy < 116 * 116 => [252, 226, 160],
            None => SKY[(y / 140).clamp(0, 4) as usize],
        };
        Rgb(colour.map(|value| value as u8))
    })
}

/// The name of each screen, and the screen.
pub(crate) fn all() -> Vec<(&'static str, Screen)> {
    let picture = Arc::new(landscape());
    let prompt = "evening sun over blue hills, woodcut, seen from a mountain hut".to_owned();
    let preview = fit(&picture, (32, 32), Fit::Crop, Rgb([0; 3]));
    vec![
        ("idle", Screen::Idle {
            time: "14:07".to_owned(),
            date: "Wednesday, 25 November".to_owned(),
            note: "easel/living-room/paint".to_owned(),
        }),
        ("caption", Screen::Caption { prompt: prompt.clone(), heading: "Next".to_owned() }),
        ("scripts", Screen::Caption {
            prompt: "Кот на окне, η γάτα, 月明かりの猫, 一只猫, 고양이 🐱".to_owned(),
            heading: String::new(),
        }),
        ("first-steps", Screen::Painting {
            prompt: prompt.clone(),
            step: 1,
            steps: 20,
            left: None,
            preview: None,
        }),
        ("painting", Screen::Painting {
            prompt: prompt.clone(),
            step: 13,
            steps: 20,
            left: Some(Duration::from_secs(84)),
            preview: Some(Arc::new(preview)),
        }),
        ("picture", Screen::Picture { picture: Arc::clone(&picture), caption: None }),
        ("labelled", Screen::Picture { picture, caption: Some(prompt) }),
        ("error", Screen::Error {
            problem: "The model cannot be read".to_owned(),
            advice: "unet/model.onnx is shorter than it should be. Copy the model to the board again.".to_owned(),
        }),
        ("set-up", Screen::SetUp {
            name: "Living room".to_owned(),
            address: "mqtt://easel-4f2a.local:1883".to_owned(),
            note: "Send a prompt to easel/living-room/paint".to_owned(),
        }),
        ("shutting-down", Screen::ShuttingDown),
    ]
}
