//! The default model paints what it is told: looked at by code, so coarsely. How well it does so over hundreds of prompts is
//! measured by `model-export/train/measure.py`; the figures are in `models/pocket/README.md`.

use std::path::Path;

use easel::{CancelToken, LoadOptions, PaintRequest, Picture, Pipeline};

fn paint(prompts: &[&str]) -> Vec<Picture> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket");
    let mut pipeline = Pipeline::load(&dir, &LoadOptions::default()).expect("the model loads");
    let requests = prompts.iter().map(|prompt| PaintRequest::new(*prompt));
    requests
        .map(|request| {
            let painting = pipeline.paint(&request, &CancelToken::new(), &mut |_| {});
            painting.expect("it paints").picture
        })
        .collect()
}

fn pixels(picture: &Picture) -> impl Iterator<Item = [i32; 3]> {
    let (pixels, _) = picture.rgb.as_chunks::<3>();
    pixels.iter().map(|pixel| pixel.map(i32::from))
}

/// Mean colour of the four corners, 6×6 pixels each.
fn ground(picture: &Picture) -> [i32; 3] {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let edge = |at: usize, side: usize| at < 6 || at >= side - 6;
    let mut sum = [0; 3];
    let mut count = 0;
    for (at, pixel) in pixels(picture).enumerate() {
        if edge(at % width, width) && edge(at / width, height) {
            (0..3).for_each(|c| sum[c] += pixel[c]);
            count += 1;
        }
    }
    sum.map(|channel| channel / count)
}

/// Connected areas of at least 60 pixels that `wanted` says yes to.
fn areas(picture: &Picture, wanted: impl Fn([i32; 3]) -> bool) -> usize {
    let width = picture.width as usize;
    let mut open: Vec<bool> = pixels(picture).map(wanted).collect();
    let mut found = 0;
    for start in 0..open.len() {
        let (mut area, mut stack) = (0, vec![start]);
        while let Some(at) = stack.pop() {
            if !std::mem::take(&mut open[at]) {
                continue;
            }
            area += 1;
            let column = at % width;
            stack.extend((column > 0).then(|| at - 1));
            stack.extend((column + 1 < width).then(|| at + 1));
            stack.extend(at.checked_sub(width));
            stack.extend(Some(at + width).filter(|below| *below < open.len()));
        }
        found += usize::from(area >= 60);
    }
    found
}

fn near(found: [i32; 3], wanted: [i32; 3]) -> bool {
    (0..3).all(|c| (found[c] - wanted[c]).abs() < 40)
}

#[test]
fn three_red_apples_on_a_blue_background() {
    let picture = &paint(&["three red apples on a blue background"])[0];
    assert_eq!((picture.width, picture.height), (128, 128));
    let ground = ground(picture);
    assert!(near(ground, [52, 108, 214]), "the corners are {ground:?}");
    let red = areas(picture, |[r, g, b]| r > 140 && g < 110 && b < 110);
    assert_eq!(red, 3, "red areas");
}

#[test]
fn the_words_decide_colour_and_background() {
    let pictures = paint(&[
        "a green cat on a yellow background",
        "a purple cat on a white background",
    ]);
    let grounds = pictures.iter().map(ground).collect::<Vec<_>>();
    assert!(near(grounds[0], [249, 214, 72]), "{:?}", grounds[0]);
    assert!(near(grounds[1], [250, 250, 250]), "{:?}", grounds[1]);
    let green = |[r, g, b]: [i32; 3]| g > r + 30 && g > b + 30;
    let purple = |[r, g, b]: [i32; 3]| r > g + 30 && b > g + 30;
    assert!(areas(&pictures[0], green) > 0 && areas(&pictures[0], purple) == 0);
    assert!(areas(&pictures[1], purple) > 0 && areas(&pictures[1], green) == 0);
}
