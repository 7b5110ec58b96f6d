//! Whole model directories: networks with nodes, constants, attributes and bytes changed, JSON with other values, tokenizers of any
//! parts. Whatever they are, there is a picture or a refusal of one line.
//!
//! The input is a list of decisions, read byte after byte: which part of a small valid model is changed, and how.
//!
//! A panic that the library catches is counted and printed, once for each place in the code; with `EASEL_FUZZ_ABORT` it ends the run, as
//! one that the library does not catch does always. `EASEL_FUZZ_PANICS=FOLDER` keeps the first input of each.
//!
//! Networks are made on the fuzzer's own stack, where easel gives them one of 64 MiB: `ulimit -s 65536` before.
#![no_main]

#[path = "../../tests/hostile/language.rs"]
mod language;
#[path = "../../tests/hostile/micro.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod micro;
mod model {
    pub(crate) mod graph;
    pub(crate) mod json;
    pub(crate) mod tiny;
}
#[path = "../../tests/hostile/templates.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod templates;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use easel::{CancelToken, Error, LoadOptions, PaintRequest, Pipeline};
use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use serde_json::Value;
use tract_onnx::pb::ModelProto;

/// The input, byte after byte; zeros behind its end.
pub(crate) struct Decisions<'a>(&'a [u8]);

impl Decisions<'_> {
    pub(crate) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// A number below `count`, which is not 0.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let number = if count > 256 {
            usize::from(u16::from_le_bytes([self.byte(), self.byte()]))
        } else {
            usize::from(self.byte())
        };
        number % count
    }

    /// A place in a list; `None` if it is empty.
    pub(crate) fn place<T>(&mut self, list: &[T]) -> Option<usize> {
        (!list.is_empty()).then(|| self.below(list.len()))
    }

    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}

/// A model as it should be.
struct Whole {
    /// What each file holds.
    files: BTreeMap<&'static str, Vec<u8>>,
    networks: [(&'static str, ModelProto); 3],
}

impl Whole {
    fn of(small: Vec<(&'static str, Value)>, networks: [(&'static str, ModelProto); 3]) -> Self {
        let small = small.into_iter();
        let mut files: BTreeMap<_, _> = small
            .map(|(file, value)| (file, value.to_string().into_bytes()))
            .collect();
        for (file, network) in &networks {
            files.insert(*file, network.encode_to_vec());
        }
        Self { files, networks }
    }

    fn write(&self, folder: &Path) {
        for (file, bytes) in &self.files {
            micro::put(folder, file, bytes);
        }
    }
}

/// Most inputs change the smaller one, which loads ten times as fast; the other has all that is fused and quantized.
static TINY: LazyLock<Whole> =
    LazyLock::new(|| Whole::of(tiny::configurations(), tiny::networks()));
static MICRO: LazyLock<Whole> = LazyLock::new(|| {
    let networks = [
        (micro::UNET, micro::unet()),
        (micro::TEXT_ENCODER, micro::text_encoder()),
        (micro::DECODER, micro::decoder()),
    ];
    Whole::of(micro::configurations(), networks)
});

/// In memory, as a disk would be worn out: a folder for each of the two.
static FOLDERS: LazyLock<[PathBuf; 2]> = LazyLock::new(|| {
    let made = |name: &str, whole: &Whole| {
        let folder = format!("/dev/shm/easel-fuzz-{}/{name}", std::process::id());
        whole.write(folder.as_ref());
        PathBuf::from(folder)
    };
    [made("tiny", &TINY), made("micro", &MICRO)]
});

/// The files that are not as they should be.
type Changes = BTreeMap<&'static str, Vec<u8>>;

fn changes(decisions: &mut Decisions<'_>, whole: &Whole) -> Changes {
    let mut changes = Changes::new();
    let mut networks: [Option<ModelProto>; 3] = [None, None, None];
    for _ in 0..6 {
        match decisions.byte() % 8 {
            0 => json::change(decisions, whole, &mut changes),
            1 => json::change_tokenizer(decisions, whole, &mut changes),
            other => {
                // Mostly the U-Net, which has the most kinds of nodes.
                let number = [0, 0, 0, 0, 1, 2][usize::from(other - 2)];
                let network = &mut networks[number];
                let network = network.get_or_insert_with(|| whole.networks[number].1.clone());
                graph::change(decisions, network);
            }
        }
        if decisions.is_over() {
            break;
        }
    }
    for (network, (file, _)) in networks.into_iter().zip(&whole.networks) {
        if let Some(network) = network {
            changes.insert(*file, network.encode_to_vec());
        }
    }
    // At times also the bytes.
    if !decisions.is_over() {
        let files: Vec<_> = whole.files.keys().copied().collect();
        let file = decisions.pick(&files);
        let bytes = changes.entry(file);
        scramble(
            decisions,
            bytes.or_insert_with(|| whole.files[file].clone()),
        );
    }
    changes
}

fn scramble(decisions: &mut Decisions<'_>, bytes: &mut Vec<u8>) {
    while !decisions.is_over() {
        let Some(at) = decisions.place(bytes) else {
            return;
        };
        match decisions.byte() % 8 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, decisions.byte()),
            2 => bytes[at] = decisions.byte(),
            3 => {
                let end = bytes.len().min(at + decisions.below(64));
                bytes.drain(at..end);
            }
            4 => {
                let end = bytes.len().min(at + decisions.below(64));
                bytes.extend_from_within(at..end);
            }
            bit => bytes[at] ^= 1 << bit,
        }
    }
}

use model::{graph, json, tiny};

static INPUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static PANICS: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

/// Counts panics instead of ending at each, whether somebody catches it or not; those that nobody does end the run elsewhere.
fn count_panics() {
    let abort = std::env::var_os("EASEL_FUZZ_ABORT").is_some();
    let folder = std::env::var_os("EASEL_FUZZ_PANICS").map(PathBuf::from);
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
        let count = panics.entry(place.clone()).or_default();
        *count += 1;
        if *count == 1 {
            eprintln!("caught: {}", panic.to_string().replace('\n', " "));
            if let Some(folder) = &folder {
                let input = INPUT.lock().unwrap_or_else(PoisonError::into_inner);
                let mut hash = DefaultHasher::new();
                place.hash(&mut hash);
                let _ = std::fs::write(
                    folder.join(format!("panic-{:016x}", hash.finish())),
                    &*input,
                );
            }
        }
        if abort {
            std::process::abort();
        }
    }));
}

/// MiB that painting may take, with what a fuzzer has by itself.
const BUDGET: usize = 256;

/// The most MiB that this process ever had.
fn most_taken() -> usize {
    easel::process_memory::peak().unwrap_or(0) >> 20
}

fn paint(folder: &Path) -> Result<(), Error> {
    let options = LoadOptions {
        threads: Some(1),
        memory_mib: Some(BUDGET),
        ..LoadOptions::default()
    };
    let mut pipeline = Pipeline::load(folder, &options)?;
    let request = PaintRequest {
        size: Some((8, 8)),
        steps: Some(1),
        ..PaintRequest::new("a tree")
    };
    let painting = pipeline.paint(&request, &CancelToken::new(), &mut |_| {})?;
    assert!(painting.latents.is_finite(), "painted what is not finite");
    Ok(())
}

fuzz_target!(
    init: count_panics(),
    |bytes: &[u8]| {
        bytes.clone_into(&mut INPUT.lock().unwrap_or_else(PoisonError::into_inner));
        let mut decisions = Decisions(bytes);
        let [tiny, micro] = &*FOLDERS;
        let (whole, folder): (&Whole, _) = match decisions.byte() % 16 {
            0 => (&MICRO, micro),
            _ => (&TINY, tiny),
        };
        let changes = changes(&mut decisions, whole);
        for (file, bytes) in &changes {
            std::fs::write(folder.join(file), bytes).expect("memory");
        }
        let kept = std::env::var_os("EASEL_FUZZ_KEEP");
        if let Some(kept) = &kept {
            // To look at what an input makes.
            whole.write(kept.as_ref());
            for (file, bytes) in &changes {
                micro::put(kept.as_ref(), file, bytes);
            }
        }
        let result = paint(folder);
        if kept.is_some() {
            eprintln!("{result:?}");
        }
        for file in changes.keys() {
            std::fs::write(folder.join(file), &whole.files[file]).expect("memory");
        }
        assert!(most_taken() <= BUDGET, "takes {} MiB", most_taken());
        if let Err(error) = result {
            let line = error.to_string();
            let is_line = !line.is_empty() && line.len() < 1000 && !line.contains(char::is_control);
            assert!(is_line, "not one line: {line:?}");
        }
    }
);
