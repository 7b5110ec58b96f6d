//! Memory budgets and packed caches: the same pictures from less memory, and what happens to a cache.

mod common;

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use common::models;
use easel::{CancelToken, Error, LoadOptions, PaintRequest, Painting, Pipeline};

fn pocket() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket")
}

fn options(cache: Option<&Path>, memory_mib: Option<usize>) -> LoadOptions {
    LoadOptions {
        threads: Some(2),
        cache: cache.map(Path::to_owned),
        memory_mib,
        ..LoadOptions::default()
    }
}

fn request() -> PaintRequest {
    PaintRequest {
        steps: Some(3),
        seed: 5,
        ..PaintRequest::new("a yellow star next to a blue house")
    }
}

fn paint(pipeline: &mut Pipeline) -> Result<Painting, Error> {
    pipeline.paint(&request(), &CancelToken::new(), &mut |_| {})
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let below = |path: PathBuf| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    };
    let mut files: Vec<PathBuf> = paths.flat_map(below).collect();
    files.sort();
    files
}

/// Of pictures for which the default model needs more than to be loaded.
const LARGE: Option<(u32, u32)> = Some((384, 384));

/// A pipeline and the smallest budget with which it paints this size, the model's own unless given. Budgets are of the whole process, in which the
/// other tests run too: one pipeline counts what it found when it was loaded.
fn lean(model: &Path, cache: &Path, size: Option<(u32, u32)>) -> (Pipeline, usize) {
    let mut pipeline = Pipeline::load(model, &options(Some(cache), Some(1))).expect("it loads");
    match pipeline.memory_plan(size) {
        Err(Error::Memory(too_small)) => (pipeline, too_small.smallest_mib),
        other => panic!("1 MiB is too little: {other:?}"),
    }
}

#[test]
fn a_budget_changes_no_bit_of_the_latents() {
    for model in [
        pocket(),
        models("tiny").join("fp16"),
        models("tiny").join("int8"),
    ] {
        let cache = tempfile::tempdir().expect("a folder");
        let mut free = Pipeline::load(&model, &options(None, None)).expect("it loads");
        let expected = paint(&mut free).expect("it paints");
        assert!(files(cache.path()).is_empty());

        // Written, then read.
        for _ in 0..2 {
            let options = options(Some(cache.path()), None);
            let mut kept = Pipeline::load(&model, &options).expect("it loads");
            let painting = paint(&mut kept).expect("it paints");
            assert_eq!(painting.picture, expected.picture, "{}", model.display());
            assert_eq!(files(cache.path()).len(), 3, "one a network");
        }

        let (mut lean, least) = lean(&model, cache.path(), None);
        for mib in [least, least + 3, least + 1000] {
            lean.set_memory_mib(Some(mib));
            let plan = lean.memory_plan(None).expect("it fits");
            assert!(plan.peak() <= mib << 20, "{mib}");
            let whole = plan
                .stages
                .iter()
                .all(|stage| stage.tiles.is_none_or(|tiles| tiles.1 == 1));
            for _ in 0..2 {
                let painting = paint(&mut lean).expect("it paints");
                assert_eq!(painting.latents, expected.latents, "{mib} MiB");
                assert!(!whole || painting.picture == expected.picture, "{mib} MiB");
            }
        }
    }
}

#[test]
fn the_default_model_streams_where_it_must() {
    let cache = tempfile::tempdir().expect("a folder");
    let (mut pipeline, least) = lean(&pocket(), cache.path(), LARGE);
    let mut plan = |mib| {
        pipeline.set_memory_mib(Some(mib));
        pipeline.memory_plan(LARGE).expect("it fits")
    };
    let lean = plan(least + 1);
    assert!(!lean.keeps);
    assert!(lean.stages[1].resident < lean.stages[1].weights, "{lean:?}");
    let roomy = plan(least + 1000);
    assert!(
        roomy.keeps
            && roomy
                .stages
                .iter()
                .all(|stage| stage.resident == stage.weights)
    );
    assert!(roomy.peak() > lean.peak());
}

#[test]
fn a_budget_too_small_is_refused_before_any_work_and_names_one_that_works() {
    let cache = tempfile::tempdir().expect("a folder");
    let (mut pipeline, least) = lean(&pocket(), cache.path(), None);
    pipeline.set_memory_mib(Some(least - 2));
    let mut stages = 0;
    let refused = pipeline.paint(&request(), &CancelToken::new(), &mut |_| stages += 1);
    let error = refused.expect_err("too little");
    assert!(
        error.is_usage() && error.to_string().contains(&format!("{least} MiB")),
        "{error}"
    );
    assert_eq!(stages, 0);
    assert!(files(cache.path()).is_empty(), "nothing was made");

    // Budgets change between pictures.
    pipeline.set_memory_mib(Some(least));
    let lean = paint(&mut pipeline).expect("it paints");
    pipeline.set_memory_mib(None);
    let free = paint(&mut pipeline).expect("it paints");
    assert_eq!(lean.latents, free.latents);
    pipeline.set_memory_mib(Some(least - 2));
    assert!(matches!(paint(&mut pipeline), Err(Error::Memory(_))));
    pipeline.set_memory_mib(Some(least));
    let lean = paint(&mut pipeline).expect("it paints");
    assert_eq!(lean.latents, free.latents);
}

#[test]
fn without_a_cache_weights_must_fit_and_the_error_says_so() {
    let mut pipeline = Pipeline::load(&pocket(), &options(None, Some(1))).expect("it loads");
    let error = paint(&mut pipeline).expect_err("too little");
    assert!(error.to_string().contains("with a cache folder"), "{error}");
    let Error::Memory(too_small) = error else {
        panic!("{error:?}");
    };
    pipeline.set_memory_mib(Some(too_small.smallest_mib));
    paint(&mut pipeline).expect("it paints");
}

#[test]
fn a_cache_that_is_damaged_stale_or_unfinished_is_made_again() {
    let cache = tempfile::tempdir().expect("a folder");
    let load = || Pipeline::load(&pocket(), &options(Some(cache.path()), None)).expect("it loads");
    let expected = paint(&mut load()).expect("it paints").picture;
    let unet = files(cache.path()).into_iter().find(|file| {
        let name = file
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        name.starts_with("unet.")
    });
    let unet = unet.expect("a cache");
    let whole = fs::read(&unet).expect("it can be read");
    let damages: [&dyn Fn(); 5] = [
        // Cut short, emptied, of another kind, the first bytes gone, a part of the index gone.
        &|| fs::write(&unet, &whole[..whole.len() / 2]).expect("written"),
        &|| fs::write(&unet, b"").expect("written"),
        &|| fs::write(&unet, vec![7; 100_000]).expect("written"),
        &|| fs::write(&unet, [&[0; 8], &whole[8..]].concat()).expect("written"),
        &|| fs::write(&unet, &whole[..whole.len() - 200]).expect("written"),
    ];
    for damage in damages {
        damage();
        assert_eq!(paint(&mut load()).expect("it paints").picture, expected);
        assert_eq!(
            fs::read(&unet).expect("it is there").len(),
            whole.len(),
            "it was made again"
        );
    }

    // A byte of the weights: found when it is read. The picture fails, and the next one is right.
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&unet)
        .expect("it is there");
    let at = whole.len() as u64 / 2;
    file.write_all_at(&[whole[at as usize] ^ 1], at)
        .expect("written");
    let mut pipeline = load();
    let error = paint(&mut pipeline).expect_err("the weights are wrong");
    assert!(error.to_string().contains("damaged"), "{error}");
    assert_eq!(paint(&mut pipeline).expect("it paints").picture, expected);

    // What somebody was killed over.
    let name = unet.file_name().expect("a name").to_string_lossy();
    let left = unet.with_file_name(format!(".{name}.4999999.part"));
    fs::write(&left, "half").expect("written");
    fs::remove_file(&unet).expect("it was there");
    paint(&mut load()).expect("it paints");
    assert!(unet.exists() && !left.exists());
}

#[test]
fn weights_that_vanish_mid_stream_are_an_error_and_the_next_picture_is_right() {
    let cache = tempfile::tempdir().expect("a folder");
    let (mut pipeline, least) = lean(&pocket(), cache.path(), LARGE);
    pipeline.set_memory_mib(Some(least));
    let large = PaintRequest {
        size: LARGE,
        ..request()
    };
    let paint = |pipeline: &mut Pipeline, each: &mut dyn FnMut(&easel::Progress<'_>)| {
        pipeline.paint(&large, &CancelToken::new(), each)
    };
    let expected = paint(&mut pipeline, &mut |_| {})
        .expect("it paints")
        .latents;
    let unet = files(cache.path())
        .into_iter()
        .find(|file| file.to_string_lossy().contains("/unet."));
    let unet = unet.expect("a cache");
    let failed = paint(&mut pipeline, &mut |progress| {
        if progress.step == 1 {
            let file = fs::OpenOptions::new().write(true).open(&unet);
            file.and_then(|file| file.set_len(5000))
                .expect("it can be cut");
        }
    });
    let error = failed.expect_err("the weights are gone").to_string();
    assert!(
        error.contains("unet") && error.contains("damaged"),
        "{error}"
    );
    assert_eq!(
        paint(&mut pipeline, &mut |_| {})
            .expect("it paints")
            .latents,
        expected
    );

    // Removed or replaced: what is open stays what it was.
    let painted = paint(&mut pipeline, &mut |progress| {
        if progress.step == 1 {
            fs::remove_file(&unet).expect("it was there");
            fs::write(&unet, "something else").expect("written");
        }
    });
    assert_eq!(painted.expect("it paints").latents, expected);
}

#[test]
fn a_model_that_changed_is_not_painted_from_an_old_cache() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("model");
    copy(&models("tiny").join("int8"), &model);
    // Whoever changes a model on purpose writes another list, or none.
    fs::remove_file(model.join("SHA256SUMS")).expect("it has one");
    let cache = folder.path().join("cache");
    let load = || Pipeline::load(&model, &options(Some(&cache), None)).expect("it loads");
    let before = paint(&mut load()).expect("it paints").latents;
    let weights = model.join("unet/model.onnx_data");
    let mut bytes = fs::read(&weights).expect("it can be read");
    bytes.reverse();
    // As `cp -p` and `rsync -t` do it: of equal length, and of the time of the old ones.
    let known = fs::metadata(&weights).and_then(|known| known.modified());
    fs::write(&weights, bytes).expect("written");
    let file = fs::File::options().write(true).open(&weights);
    let file = file.expect("it is there");
    file.set_modified(known.expect("it was there"))
        .expect("it is ours");
    let after = paint(&mut load());
    let fresh = paint(&mut Pipeline::load(&model, &options(None, None)).expect("it loads"));
    match (after, fresh) {
        (Ok(after), Ok(fresh)) => {
            assert_eq!(after.latents, fresh.latents);
            assert_ne!(after.latents, before);
        }
        // Weights back to front may well give what is no number; then both must.
        (after, fresh) => assert_eq!(after.is_err(), fresh.is_err()),
    }
    assert_eq!(
        files(&cache).len(),
        3,
        "the new ones took the place of the old"
    );
}

#[test]
fn where_no_cache_can_be_written_it_paints_without_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "no folder").expect("written");
    let options = options(Some(&file), None);
    let mut pipeline = Pipeline::load(&pocket(), &options).expect("it loads");
    let painting = paint(&mut pipeline).expect("it paints");
    assert_eq!(painting.warnings.len(), 3, "{:?}", painting.warnings);
    assert!(
        painting.warnings[0].contains("cannot be written"),
        "{:?}",
        painting.warnings
    );
    assert!(
        paint(&mut pipeline).expect("it paints").warnings.is_empty(),
        "said once"
    );
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// T5 is not read again for a text that it has read; what is kept gives the same picture, bit for bit.
#[test]
fn the_embeddings_of_t5_are_kept() {
    let cache = tempfile::tempdir().expect("a folder");
    let model = models("tiny-sd3").join("int8");
    let request = |prompt: &str| PaintRequest {
        negative: Some("a blue cat".into()),
        size: Some((16, 16)),
        steps: Some(1),
        ..PaintRequest::new(prompt)
    };
    let mut pipeline =
        Pipeline::load(&model, &options(Some(cache.path()), None)).expect("it loads");
    let mut paint = |prompt: &str| {
        let painting = pipeline.paint(&request(prompt), &CancelToken::new(), &mut |_| {});
        painting.expect("it paints").latents
    };
    let kept = || {
        let all = files(cache.path()).into_iter();
        let texts = all.filter(|path| {
            path.parent()
                .is_some_and(|folder| folder.ends_with("texts"))
        });
        texts.collect::<Vec<_>>()
    };
    let first = paint("a red house");
    assert_eq!(kept().len(), 2, "the prompt and the negative one");
    // Another prompt has the same negative one.
    paint("a green house");
    assert_eq!(kept().len(), 3);
    assert_eq!(paint("a red house"), first);
    let mut pipeline =
        Pipeline::load(&model, &options(Some(cache.path()), None)).expect("it loads");
    let again = pipeline.paint(&request("a red house"), &CancelToken::new(), &mut |_| {});
    assert_eq!(again.expect("it paints").latents, first);
    for kept in kept() {
        fs::write(kept, "rubbish").expect("room");
    }
    let again = pipeline.paint(&request("a red house"), &CancelToken::new(), &mut |_| {});
    assert_eq!(
        again.expect("it paints").latents,
        first,
        "damaged ones are made anew"
    );
}
