//! Pictures decoded in tiles, through the door that everybody uses.

mod common;

use std::fs;
use std::path::Path;

use common::{load, models, psnr};
use easel::{CancelToken, LoadOptions, PaintRequest, Painting, Pipeline, Tile};

fn painted(pipeline: &mut Pipeline, tile: Tile, size: (u32, u32)) -> Painting {
    pipeline.decode_in(tile);
    let request = PaintRequest {
        size: Some(size),
        steps: Some(2),
        seed: 7,
        ..PaintRequest::new("a red house and three trees")
    };
    let painting = pipeline.paint(&request, &CancelToken::new(), &mut |_| {});
    painting.expect("it paints")
}

/// Decoders without norms: what a tile does not see is only what lies beyond its edges.
#[test]
fn pictures_of_small_autoencoders_look_alike_in_tiles() {
    for (export, limit) in [("fp32", 60.0), ("inline", 60.0), ("int8", 45.0)] {
        let mut pipeline = load(&models("tiny-taesd").join(export));
        // Factor 2: 40 × 28 latents.
        let whole = painted(&mut pipeline, Tile::Whole, (80, 56));
        let tiled = painted(&mut pipeline, Tile::Side(24), (80, 56));
        assert_eq!(tiled.latents, whole.latents, "only the decode differs");
        assert_eq!((tiled.picture.width, tiled.picture.height), (80, 56));
        let found = psnr(&tiled.picture.rgb, &whole.picture.rgb);
        assert!(found >= limit, "{export}: {found:.1} dB");
    }
}

/// Random weights: what the norms and the attention of `AutoencoderKL` lose in tiles is for docs/tiles.md. Here: that it runs.
#[test]
fn pictures_of_large_autoencoders_decode_in_tiles_of_any_side() {
    let mut pipeline = load(&models("tiny").join("int8"));
    let whole = painted(&mut pipeline, Tile::Whole, (48, 36)).picture;
    for side in [24, 25, 1000, usize::MAX] {
        let picture = painted(&mut pipeline, Tile::Side(side), (48, 36)).picture;
        assert_eq!(picture, whole, "{side}: one tile");
    }
    for side in [0, 1, 2, 3, 5, 12, 17, 23] {
        let picture = painted(&mut pipeline, Tile::Side(side), (48, 36)).picture;
        assert_eq!((picture.width, picture.height), (48, 36), "{side}");
        assert_eq!(picture.rgb.len(), 48 * 36 * 3, "{side}");
    }
    // A plan of another tile is not kept for the whole.
    assert_eq!(painted(&mut pipeline, Tile::Whole, (48, 36)).picture, whole);
}

/// diffusers' `AutoencoderTiny` need not double at each level.
#[test]
fn the_factor_of_a_small_autoencoder_is_what_its_config_says() {
    let source = models("tiny-taesd").join("fp32");
    let copy = tempfile::tempdir().expect("a folder");
    let copied = |file: &Path| {
        let target = copy.path().join(file);
        fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
        fs::copy(source.join(file), target).expect("a copy");
    };
    copied(Path::new("model_index.json"));
    for folder in [
        "tokenizer",
        "scheduler",
        "text_encoder",
        "unet",
        "vae_decoder",
    ] {
        for entry in fs::read_dir(source.join(folder)).expect("a folder") {
            copied(&Path::new(folder).join(entry.expect("an entry").file_name()));
        }
    }
    let config = copy.path().join("vae_decoder/config.json");
    let text = fs::read_to_string(&config).expect("a config");
    let key = "\"upsampling_scaling_factor\": ";
    assert!(text.contains(&format!("{key}2")));
    let loaded = |factor: &str| {
        let changed = text.replace(&format!("{key}2"), &format!("{key}{factor}"));
        fs::write(&config, changed).expect("it is written");
        Pipeline::load(copy.path(), &LoadOptions::default())
    };
    // Two levels, one step between them.
    for (factor, expected) in [("2", 2), ("4", 4), ("null", 2)] {
        let pipeline = loaded(factor).unwrap_or_else(|error| panic!("{factor}: {error}"));
        assert_eq!(pipeline.defaults().vae_factor, expected);
    }
    for factor in ["0", "4294967295"] {
        let error = loaded(factor).err().expect("no usable factor").to_string();
        assert!(
            error.contains(&format!("upsampling_scaling_factor {factor}")),
            "{error}"
        );
    }
    // A network that does not keep what its config promises is refused when it has decoded.
    let request = PaintRequest {
        size: Some((32, 32)),
        steps: Some(1),
        ..PaintRequest::new("a house")
    };
    let painting =
        loaded("4").map(|mut pipeline| pipeline.paint(&request, &CancelToken::new(), &mut |_| {}));
    let error = painting
        .expect("it loads")
        .expect_err("another factor")
        .to_string();
    assert!(error.contains("of another decoder"), "{error}");
}
