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

/// Decoders with norms over the whole picture and attention: section by section nothing is lost but the rounding of what is kept and,
/// with int8 weights, of activations, whose scales are those of a tile. Weights are random: trained ones are in docs/tiles.md.
#[test]
fn pictures_of_large_autoencoders_look_alike_in_tiles_of_any_side() {
    for (export, limit) in [
        ("fp32", 70.0),
        ("fp16", 70.0),
        ("optimum", 70.0),
        ("inline", 70.0),
        ("opset-21", 70.0),
        ("int8", 45.0),
    ] {
        let mut pipeline = load(&models("tiny").join(export));
        // Factor 2: 24 × 18 latents.
        let whole = painted(&mut pipeline, Tile::Whole, (48, 36)).picture;
        for side in [24, 25, 1000, usize::MAX] {
            let picture = painted(&mut pipeline, Tile::Side(side), (48, 36)).picture;
            assert_eq!(picture, whole, "{export}, {side}: one tile");
        }
        for side in [0, 1, 2, 3, 5, 12, 17, 23] {
            let picture = painted(&mut pipeline, Tile::Side(side), (48, 36)).picture;
            assert_eq!((picture.width, picture.height), (48, 36), "{side}");
            let found = psnr(&picture.rgb, &whole.rgb);
            assert!(found >= limit, "{export}, {side}: {found:.1} dB");
        }
        // A plan of tiles is not kept for the whole.
        assert_eq!(painted(&mut pipeline, Tile::Whole, (48, 36)).picture, whole);
    }
}

#[test]
fn tiles_are_the_same_on_any_number_of_threads_and_with_a_cache() {
    for export in ["fp32", "int8"] {
        let model = models("tiny").join(export);
        let cache = tempfile::tempdir().expect("a folder");
        let on = |threads: usize, cache: Option<&Path>| {
            let options = LoadOptions {
                threads: Some(threads),
                cache: cache.map(Path::to_owned),
                ..LoadOptions::default()
            };
            let mut pipeline = Pipeline::load(&model, &options).expect("it loads");
            let painting = painted(&mut pipeline, Tile::Side(9), (64, 48));
            assert_eq!(painting.warnings, [] as [&str; 0]);
            painting.picture
        };
        let expected = on(1, None);
        for threads in [2, 3] {
            assert_eq!(on(threads, None), expected, "{export}, {threads} threads");
        }
        // Written, then read.
        for _ in 0..2 {
            assert_eq!(on(2, Some(cache.path())), expected, "{export}, cached");
        }
    }
}

/// By itself each tile of such a decoder runs, too; what that costs in random weights says nothing.
#[test]
fn tiles_apart_can_be_of_any_side() {
    let mut pipeline = load(&models("tiny").join("int8"));
    for side in [0, 1, 2, 3, 5, 12, 17, 23] {
        let picture = painted(&mut pipeline, Tile::Apart(side), (48, 36)).picture;
        assert_eq!((picture.width, picture.height), (48, 36), "{side}");
        assert_eq!(picture.rgb.len(), 48 * 36 * 3, "{side}");
    }
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
            error.contains("upsampling_scaling_factor") && error.contains(factor),
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
