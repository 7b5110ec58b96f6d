//! `easel bench --report`: a fixed set of measurements of a machine, for whoever has a board that easel's makers have not.

use super::machine::{Machine, State};
use super::storage::{self, Reading};
use super::{bandwidth, format, milliseconds};
use crate::engine::EngineArguments;
use crate::report::{kernel, peak_within, print};
use crate::watch::Root;
use crate::{failure::Failure, interrupt};
use easel::{
    BenchRequest, Benchmark, CancelToken, Component, LoadOptions, PaintRequest, Pipeline, Timings,
};
use serde::Serialize;
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// Passes of a network; one that takes longer than [`LONG_PASS`] is timed once.
const PASSES: NonZeroUsize = NonZeroUsize::new(5).expect("five is not zero");
const LONG_PASS: Duration = Duration::from_secs(3);
/// The first picture finds no cache where there has been none, the second does.
const PICTURES: usize = 2;
const PROMPT: &str = "a red house under a blue sky";

/// All that was found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) easel: &'static str,
    pub(super) kernel: &'static str,
    pub(super) threads: usize,
    /// Whether the networks are those of the model that comes with easel. Another one is not named: its name may say something.
    pub(super) default_model: bool,
    pub(super) size: (u32, u32),
    pub(super) memory_budget_mib: Option<u32>,
    pub(super) machine: Machine,
    pub(super) before: State,
    pub(super) after: State,
    pub(super) pictures: Vec<Picture>,
    /// Peak resident set of the pictures.
    pub(super) peak_rss_mib: Option<u64>,
    pub(super) networks: Vec<Network>,
    pub(super) storage: Option<Reading>,
    pub(super) memory_mb_per_s: f64,
    /// Of the whole report.
    pub(super) seconds: f64,
}

/// One whole picture, times in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Picture {
    pub(super) steps: usize,
    pub(super) guidance: f32,
    pub(super) load_ms: f64,
    pub(super) text_ms: f64,
    pub(super) denoise_ms: f64,
    pub(super) decode_ms: f64,
    pub(super) total_ms: f64,
}

/// One network, times in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Network {
    pub(super) component: String,
    /// Both halves of guidance in a pass.
    pub(super) guided: bool,
    pub(super) threads: usize,
    pub(super) median_ms: f64,
    pub(super) min_ms: f64,
    pub(super) max_ms: f64,
    pub(super) passes: usize,
    pub(super) read_mib: f64,
}

/// Measures and prints.
pub(super) fn run(engine: &EngineArguments, json: bool) -> Result<(), Failure> {
    let model = engine.model()?;
    let cancel = interrupt::cancel_on_signal()?;
    let report = measure(engine, &model, &cancel)?;
    let text = if json {
        serde_json::to_string(&report)
            .map_err(|error| Failure::Failed(format!("report: {error}")))?
    } else {
        format::markdown(&report)
    };
    print(&text, "the report is lost; send it where it can be written")
}

fn measure(
    engine: &EngineArguments,
    model: &Path,
    cancel: &CancelToken,
) -> Result<Report, Failure> {
    let begun = Instant::now();
    let kernel = kernel()?;
    let options = engine.options();
    let cores = available_parallelism().map_or(1, usize::from);
    let threads = options.threads.unwrap_or(cores);
    let root = Root::default();
    let before = State::read(&root);

    // First of all: what a process has mapped is not read from the card.
    say("reading the model's files");
    let storage = storage::read(model).map_err(|error| {
        Failure::Failed(format!(
            "model: {}: {error}: can its files be read?",
            model.display()
        ))
    })?;
    // Before the networks one by one: the peak is to be that of painting.
    let mut pictures = Vec::new();
    let mut size = (0, 0);
    for at in 1..=PICTURES {
        say(&format!("painting picture {at} of {PICTURES}"));
        let mut pipeline = Pipeline::load(model, &options)?;
        size = pipeline.defaults().size;
        let painting = pipeline.paint(&PaintRequest::new(PROMPT), cancel, &mut |_| {})?;
        pictures.push(Picture::new(
            painting.steps,
            painting.guidance,
            &painting.timings,
        ));
    }
    let peak_rss_mib = peak_within(engine.memory);
    let guided = pictures.first().is_some_and(|first| first.guidance > 1.0);
    let mut networks = Vec::new();
    for component in Component::all_in(model) {
        say(&format!("timing the {component}"));
        let guided = guided && component.is_denoiser();
        networks.push(time(model, &options, component, guided, cancel)?);
    }
    if threads > 1 {
        say("timing the denoiser on one thread");
        let alone = LoadOptions {
            threads: Some(1),
            ..options
        };
        networks.push(time(
            model,
            &alone,
            Component::denoiser_in(model),
            guided,
            cancel,
        )?);
    }
    let after = State::read(&root);
    say("timing memory");
    let memory_mb_per_s = bandwidth::triad(cores);
    Ok(Report {
        easel: env!("CARGO_PKG_VERSION"),
        kernel,
        threads,
        default_model: !engine.names_a_model(),
        size,
        memory_budget_mib: engine.memory,
        machine: Machine::read(&root),
        before,
        after,
        pictures,
        peak_rss_mib,
        networks,
        storage,
        memory_mb_per_s,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// Progress, for who waits: on a slow board some of it takes minutes.
fn say(what: &str) {
    eprintln!("{what} …");
}

/// A few passes of one network, or one long one.
fn time(
    model: &Path,
    options: &LoadOptions,
    component: Component,
    guided: bool,
    cancel: &CancelToken,
) -> Result<Network, Failure> {
    let mut request = BenchRequest {
        component: Some(component),
        size: None,
        guided,
        repeat: NonZeroUsize::MIN,
        explain: false,
    };
    let mut measured = easel::bench(model, options, &request, cancel)?;
    if measured.median() < LONG_PASS {
        request.repeat = PASSES;
        measured = easel::bench(model, options, &request, cancel)?;
    }
    Ok(Network::new(&measured, guided))
}

impl Picture {
    fn new(steps: usize, guidance: f32, timings: &Timings) -> Self {
        Self {
            steps,
            guidance,
            load_ms: milliseconds(timings.load),
            text_ms: milliseconds(timings.text),
            denoise_ms: milliseconds(timings.denoise),
            decode_ms: milliseconds(timings.decode),
            total_ms: milliseconds(timings.total),
        }
    }
}

impl Network {
    fn new(measured: &Benchmark, guided: bool) -> Self {
        Self {
            component: measured.component.to_string(),
            guided,
            threads: measured.threads,
            median_ms: milliseconds(measured.median()),
            min_ms: milliseconds(measured.min()),
            max_ms: milliseconds(measured.max()),
            passes: measured.repeat(),
            read_mib: super::mib(measured.read),
        }
    }
}
