//! Encoders with norms in sections and tiles, of random weights, against all at once.

use std::path::{Path, PathBuf};

use crate::memory;
use crate::noise::{NoiseSource as _, PhiloxNoise};
use crate::runtime::Workers;
use crate::stages::Encoder;
use crate::tiling::Tile;
use crate::{CancelToken, Error};

/// Height and width of the latents.
const SIDES: [usize; 2] = [96, 128];
/// Pixels of a latent.
const FACTOR: usize = 2;

fn model(export: &str) -> PathBuf {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("test-models/tiny");
    models.join(export)
}

fn encoder(export: &str) -> Encoder {
    Encoder::open(&model(export), FACTOR as u32, 4, &CancelToken::new()).expect("a test model")
}

/// A picture of soft shapes and some noise, `[3, height, width]`.
fn planes() -> Vec<f32> {
    let [height, width] = SIDES.map(|side| side * FACTOR);
    let mut noise = vec![0.0; 3 * height * width];
    PhiloxNoise::new(5).fill(&mut noise);
    let value = |(at, noise): (usize, &f32)| {
        let (y, x) = (at / width % height, at % width);
        let wave =
            (x as f32 / 17.0).sin() * (y as f32 / 23.0 + (at / (height * width)) as f32).cos();
        (wave + 0.1 * noise).clamp(-1.0, 1.0)
    };
    noise.iter().enumerate().map(value).collect()
}

fn encode(encoder: &mut Encoder, tile: Tile) -> Vec<f32> {
    let workers = Workers::new(1);
    let encoded = encoder.encode::<Error>(&workers, &planes(), SIDES, tile, &mut || Ok(()));
    encoded.expect("it encodes").data
}

/// dB, of the range that the whole has.
fn psnr(found: &[f32], wanted: &[f32]) -> f64 {
    let ends = wanted
        .iter()
        .fold((f32::MAX, f32::MIN), |(least, most), v| {
            (least.min(*v), most.max(*v))
        });
    let pairs = found.iter().zip(wanted);
    let squares: f64 = pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum();
    let range = f64::from(ends.1 - ends.0);
    -10.0 * (squares / wanted.len() as f64 / (range * range)).log10()
}

#[test]
fn a_picture_in_sections_becomes_the_latents_of_the_whole() {
    for (export, limit) in [("fp32", 70.0), ("int8", 50.0)] {
        let mut encoder = encoder(export);
        let whole = encode(&mut encoder, Tile::Whole);
        for side in [64, 32, 12, 5] {
            let found = psnr(&encode(&mut encoder, Tile::Side(side)), &whole);
            println!("{export} in {side}: {found:.1} dB");
            assert!(found >= limit, "{export} in {side}: {found:.1} dB");
        }
        // By themselves norms see no more than a tile: nearly the same, and not the same.
        let apart = psnr(&encode(&mut encoder, Tile::Apart(32)), &whole);
        println!("{export} apart: {apart:.1} dB");
        assert!((15.0..limit).contains(&apart), "{export}: {apart:.1} dB");
    }
}

#[test]
fn less_memory_means_sections_and_then_tiles_apart() {
    let encoder = encoder("int8");
    let workers = Workers::new(1);
    let mut tiles = Vec::new();
    for mib in (1..100).rev().map(|step| 4 * step) {
        let mut phases = [vec![encoder.alternatives(&workers, [256, 320])]];
        let Ok(plan) = memory::plan::<Error>(Some(mib << 20), 0, true, &mut phases) else {
            break;
        };
        let tile = plan.stages[0].tile;
        if tiles.last() != Some(&tile) {
            tiles.push(tile);
        }
    }
    assert_eq!(tiles[0], Tile::Whole);
    assert!(matches!(tiles.last(), Some(Tile::Apart(_))), "{tiles:?}");
    assert!(
        tiles.iter().any(|tile| matches!(tile, Tile::Side(_))),
        "{tiles:?}"
    );
}
