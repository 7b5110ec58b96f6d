//! Tiles of the default model's decoder, which is trained, against all at once.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Instant;

use super::*;
use crate::Error;
use crate::model_dir::ModelDir;
use crate::noise::{NoiseSource as _, PhiloxNoise};
use crate::{CancelToken, LoadOptions, PaintRequest, Pipeline};

mod encoder;

/// dB, that tiles may differ from the whole.
const LIMIT: f64 = 45.0;

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket")
}

fn pocket() -> Decoder {
    Decoder::open(&model(), 8, &CancelToken::new()).expect("the default model")
}

/// Latents of two painted pictures in the decoder's scale, `[1, 8, 16, 16]` each.
static PAINTED: LazyLock<Vec<Latents>> = LazyLock::new(|| {
    let mut pipeline = Pipeline::load(&model(), &LoadOptions::default()).expect("it loads");
    let scale = ModelDir::read(&model(), crate::family::of)
        .expect("it reads")
        .scaling_factor;
    let prompts = [
        "three red apples on a blue background",
        "a green cat and a yellow star on a white background, night style",
    ];
    let painted = prompts.map(|prompt| {
        let request = PaintRequest::new(prompt);
        let painting = pipeline.paint(&request, &CancelToken::new(), &mut |_| {});
        let mut latents = painting.expect("it paints").latents;
        latents.data.iter_mut().for_each(|v| *v /= scale);
        latents
    });
    painted.into()
});

/// The painted pictures' latents as on a chessboard, mirrored at their edges.
fn latents(height: usize, width: usize) -> Latents {
    let mut board = Latents::zeros(PAINTED[0].channels, height, width);
    for (index, value) in board.data.iter_mut().enumerate() {
        let (channel, y, x) = (
            index / (height * width),
            index / width % height,
            index % width,
        );
        let field = &PAINTED[(y / 16 + x / 16) % 2];
        let mirrored = |at: usize| {
            if (at / 16).is_multiple_of(2) {
                at % 16
            } else {
                15 - at % 16
            }
        };
        *value = field.data[(channel * field.height + mirrored(y)) * field.width + mirrored(x)];
    }
    board
}

fn decoded(autoencoder: &mut Decoder, latents: &Latents, tiling: &Tiling) -> Picture {
    let picture =
        autoencoder.decode_tiles::<Error>(&Workers::new(1), latents, tiling, &mut |_, _| Ok(()));
    picture.expect("it decodes")
}

fn psnr(found: &Picture, wanted: &Picture) -> f64 {
    assert_eq!((found.width, found.height), (wanted.width, wanted.height));
    let pairs = found.rgb.iter().zip(&wanted.rgb);
    let squares = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    let mean = squares.sum::<f64>() / found.rgb.len() as f64;
    -10.0 * (mean.max(1e-9) / (255.0 * 255.0)).log10()
}

#[test]
fn tiles_look_like_the_whole() {
    let mut autoencoder = pocket();
    for (height, width, side) in [(48, 48, 32), (40, 72, 32), (24, 16, 16)] {
        let latents = latents(height, width);
        let whole = decoded(
            &mut autoencoder,
            &latents,
            &Tiling::new(height, width, Tile::Whole),
        );
        let tiling = Tiling::new(height, width, Tile::Side(side));
        assert!(tiling.count() > 1);
        let tiled = decoded(&mut autoencoder, &latents, &tiling);
        let found = psnr(&tiled, &whole);
        assert!(
            found >= LIMIT,
            "{height}×{width} in {side}: {found:.1} dB, limit {LIMIT}"
        );
    }
}

#[test]
fn a_tile_as_large_as_the_picture_gives_the_very_same_picture() {
    let (mut autoencoder, workers) = (pocket(), Workers::new(1));
    let latents = latents(16, 24);
    let mut decode = |tile| {
        let picture = autoencoder.decode::<Error>(&workers, &latents, tile, &mut |_, _| Ok(()));
        picture.expect("it decodes")
    };
    let whole = decode(Tile::Whole);
    assert_eq!((whole.width, whole.height), (192, 128));
    assert_eq!(decode(Tile::Side(24)), whole);
    assert_eq!(decode(Tile::Side(400)), whole);
}

#[test]
fn a_decode_stops_between_tiles() {
    let mut autoencoder = pocket();
    let latents = latents(16, 40);
    let mut asked = Vec::new();
    let stopped = autoencoder.decode::<Error>(
        &Workers::new(1),
        &latents,
        Tile::Side(16),
        &mut |done, count| {
            asked.push((done, count));
            if done == 2 {
                return Err(Error::Cancelled);
            }
            Ok(())
        },
    );
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert_eq!(asked, [(0, 4), (1, 4), (2, 4)]);
}

/// A decoder with norms, of random weights.
#[test]
fn a_budget_too_small_for_the_whole_changes_no_colours_unless_it_is_too_small_for_sections_too() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("test-models/tiny/int8");
    let mut autoencoder = Decoder::open(&model, 2, &CancelToken::new()).expect("a test model");
    let workers = Workers::new(1);
    let mut latents = Latents::zeros(4, 96, 128);
    PhiloxNoise::new(3).fill(&mut latents.data);
    let decode = |autoencoder: &mut Decoder, tile| {
        let picture = autoencoder.decode::<Error>(&workers, &latents, tile, &mut |_, _| Ok(()));
        picture.expect("it decodes")
    };
    let whole = decode(&mut autoencoder, Tile::Whole);
    let mut tiles = Vec::new();
    for mib in (1..100).rev() {
        let mut phases = [vec![autoencoder.alternatives(&workers, &latents)]];
        let Ok(plan) = crate::memory::plan::<Error>(Some(mib << 20), 0, true, &mut phases) else {
            break;
        };
        let tile = plan.stages[0].tile;
        if tiles.last() != Some(&tile) {
            tiles.push(tile);
        }
    }
    assert_eq!(tiles[0], Tile::Whole);
    assert!(matches!(tiles.last(), Some(Tile::Apart(_))), "{tiles:?}");
    let sections = tiles.iter().any(|tile| matches!(tile, Tile::Side(_)));
    assert!(sections, "{tiles:?}");
    for tile in [64, 48, 32, 16].map(Tile::Side) {
        let found = psnr(&decode(&mut autoencoder, tile), &whole);
        assert!(found >= LIMIT, "{tile:?}: {found:.1} dB");
    }
}

/// Prints a line of a table in `docs/tiles.md`: `EASEL_TILES="SIDE SIZE"`, latents; a side of 0 is the whole, a negative one is tiles
/// apart. Of the default model unless `EASEL_MODEL` and `EASEL_LATENTS` name another and latents of a picture in its decoder's scale
/// (SIZE is not looked at then). By itself in a process, whose peak memory it prints.
#[test]
#[ignore = "a measurement"]
fn measure() {
    let text = std::env::var("EASEL_TILES").expect("EASEL_TILES=\"SIDE SIZE\"");
    let numbers: Vec<isize> = text
        .split_whitespace()
        .map(|n| n.parse().expect("a number"))
        .collect();
    let [side, size] = numbers[..] else {
        panic!("{text}: two numbers")
    };
    let latents = match std::env::var_os("EASEL_LATENTS") {
        Some(path) => Latents::read_npy(path).expect("latents"),
        None => latents(size.unsigned_abs(), size.unsigned_abs()),
    };
    let opened = || {
        let other = std::env::var_os("EASEL_MODEL").map(PathBuf::from);
        Decoder::open(&other.unwrap_or_else(model), 8, &CancelToken::new()).expect("a model")
    };
    let tile = match side {
        0 => Tile::Whole,
        1.. => Tile::Side(side.unsigned_abs()),
        _ => Tile::Apart(side.unsigned_abs()),
    };
    let workers = Workers::new(1);
    let decode = |autoencoder: &mut Decoder, tile| {
        let picture = autoencoder.decode::<Error>(&workers, &latents, tile, &mut |_, _| Ok(()));
        picture.expect("it decodes")
    };
    let status = || std::fs::read_to_string("/proc/self/status").expect("Linux");
    let peak = |status: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.expect("a peak").parse().expect("a number")
    };
    let mut autoencoder = opened();
    drop(decode(&mut autoencoder, tile)); // builds the network
    std::fs::write("/proc/self/clear_refs", "5").expect("the peak starts anew"); // proc(5)
    drop(decode(&mut autoencoder, tile));
    let peak = peak(&status());
    // One after the other, as a machine's other work comes and goes.
    let mut all = opened();
    let mut timed = [f64::INFINITY; 2];
    let mut pictures = Vec::new();
    for pass in 0..6 {
        pictures = [(&mut autoencoder, tile), (&mut all, Tile::Whole)]
            .into_iter()
            .zip(&mut timed)
            .map(|((autoencoder, tile), seconds)| {
                let clock = Instant::now();
                let picture = decode(autoencoder, tile);
                if pass > 0 {
                    *seconds = seconds.min(clock.elapsed().as_secs_f64());
                }
                picture
            })
            .collect::<Vec<_>>();
    }
    let (tiled, whole) = (&pictures[0], &pictures[1]);
    let levels = tiled.rgb.iter().zip(&whole.rgb);
    let tiling = Tiling::new(latents.height, latents.width, tile);
    println!(
        "{} latents, {tile:?}: {} of {:?}, {:.1} dB, at most {} levels, {:.2} of the time, {:.2} s, peak {:.0} MiB",
        latents.height,
        tiling.count(),
        tiling.shape(),
        psnr(tiled, whole),
        levels.map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0),
        timed[0] / timed[1],
        timed[0],
        peak as f64 / 1024.0
    );
}
