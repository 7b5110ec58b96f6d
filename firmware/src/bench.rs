//! `easel bench`: one network of a model, timed by itself; with `--report` all that tells how fast a machine is.

mod bandwidth;
mod format;
mod machine;
mod report;
mod storage;

use crate::engine::EngineArguments;
use crate::paint::parse_size;
use crate::report::{kernel, peak_within, print};
use crate::{failure::Failure, interrupt};
use clap::Args;
use easel::{BenchRequest, Benchmark, Component, LoadOptions, NodeKind};
use serde::Serialize;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::time::Duration;

/// What `easel bench` is told.
#[derive(Args)]
pub(crate) struct BenchArguments {
    #[command(flatten)]
    engine: EngineArguments,
    /// Folder of a network, as text_encoder, unet or vae_decoder [default: the denoiser]
    #[arg(long, value_name = "NAME")]
    component: Option<Component>,
    /// Picture size in pixels; the text encoder works alike for all [default: the model's]
    #[arg(long, value_name = "WxH", value_parser = parse_size, allow_hyphen_values = true)]
    size: Option<(u32, u32)>,
    /// Time passes of both halves of guidance, as painting makes them
    #[arg(long)]
    guided: bool,
    /// Read weights no faster than so, to see what a slower card would do
    #[arg(long, value_name = "MB/S", value_parser = clap::value_parser!(u32).range(1..=100_000), allow_negative_numbers = true)]
    storage: Option<u32>,
    /// Passes to time, 1 to 10000, after one that is not timed
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=10_000), allow_negative_numbers = true)]
    repeat: u16,
    /// Also print where the time of a pass goes, by kind of node
    #[arg(long)]
    explain: bool,
    /// Measure this machine with a fixed set of things and print what can be sent to easel's makers
    #[arg(long, conflicts_with_all = ["component", "size", "guided", "storage", "repeat", "explain"])]
    report: bool,
    /// Print one line of JSON on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    component: String,
    median_ms: f64,
    min_ms: f64,
    max_ms: f64,
    repeat: usize,
    threads: usize,
    peak_rss_mib: Option<u64>,
    kernel: &'static str,
    /// Weights read from the cache in a pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    read_mib: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    explain: Vec<NodeReport>,
}

/// All nodes of one kind in one pass.
#[derive(Serialize)]
struct NodeReport {
    kind: String,
    nodes: usize,
    ms: f64,
    written_mib: f64,
    gmac: f64,
}

impl From<&NodeKind> for NodeReport {
    fn from(kind: &NodeKind) -> Self {
        Self {
            kind: kind.name.clone(),
            nodes: kind.nodes,
            ms: milliseconds(kind.time),
            written_mib: kind.written as f64 / f64::from(1 << 20),
            gmac: kind.products as f64 / 1e9,
        }
    }
}

/// Times one network, or the machine, and prints the result.
pub(crate) fn run(arguments: &BenchArguments) -> Result<(), Failure> {
    if arguments.report {
        return report::run(&arguments.engine, arguments.json);
    }
    let model = arguments.engine.model()?;
    let kernel = kernel()?;
    let cancel = interrupt::cancel_on_signal()?;
    let options = LoadOptions {
        storage_rate: arguments.storage.map(|rate| u64::from(rate) * 1_000_000),
        ..arguments.engine.options()
    };
    let request = BenchRequest {
        component: arguments.component.clone(),
        size: arguments.size,
        guided: arguments.guided,
        // The flag's range begins at 1.
        repeat: NonZeroUsize::new(arguments.repeat.into()).unwrap_or(NonZeroUsize::MIN),
        explain: arguments.explain,
    };
    let measured = easel::bench(&model, &options, &request, &cancel)?;
    let peak_rss_mib = peak_within(arguments.engine.memory);
    let text = if arguments.json {
        let report = Report {
            component: measured.component.name().to_owned(),
            median_ms: milliseconds(measured.median()),
            min_ms: milliseconds(measured.min()),
            max_ms: milliseconds(measured.max()),
            repeat: measured.repeat(),
            threads: measured.threads,
            peak_rss_mib,
            kernel,
            read_mib: (measured.read > 0).then(|| mib(measured.read)),
            explain: measured.kinds.iter().map(NodeReport::from).collect(),
        };
        serde_json::to_string(&report)
            .map_err(|error| Failure::Failed(format!("report: {error}")))?
    } else {
        readable(&measured, peak_rss_mib, kernel)
    };
    print(&text, "the result is lost; send it where it can be written")
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn readable(measured: &Benchmark, peak_rss_mib: Option<u64>, kernel: &str) -> String {
    let (width, height) = measured.size;
    let component = &measured.component;
    let what = if component.is_text_encoder() {
        component.to_string()
    } else {
        format!("{component} at {width}x{height}")
    };
    let mut peak = peak_rss_mib.map_or_else(String::new, |peak| format!(", peak {peak} MiB"));
    if measured.read > 0 {
        // Writing to a string does not fail.
        let _ = write!(
            peak,
            ", {:.0} MiB of weights read a pass",
            mib(measured.read)
        );
    }
    format!(
        "{what}: median {:.1} ms, min {:.1} ms, max {:.1} ms of {} (threads {}, {})\nready after {:.2} s{peak}",
        milliseconds(measured.median()),
        milliseconds(measured.min()),
        milliseconds(measured.max()),
        measured.repeat(),
        measured.threads,
        kernel,
        measured.ready.as_secs_f64(),
    ) + &explained(&measured.kinds)
}

/// A table of where the time of a pass goes.
fn explained(kinds: &[NodeKind]) -> String {
    let total: f64 = kinds.iter().map(|kind| milliseconds(kind.time)).sum();
    let mut text = String::new();
    if !kinds.is_empty() {
        text = format!(
            "\n\n{:36} {:>5} {:>9} {:>6} {:>9} {:>8} {:>7}",
            "kind", "nodes", "ms", "%", "MiB out", "GMAC", "GMAC/s"
        );
    }
    for kind in kinds.iter().map(NodeReport::from) {
        let share = 100.0 * kind.ms / total.max(f64::MIN_POSITIVE);
        let _ = write!(
            text,
            "\n{:36} {:5} {:9.3} {share:6.1} {:9.2} {:8.3}",
            kind.kind, kind.nodes, kind.ms, kind.written_mib, kind.gmac
        );
        if kind.gmac > 0.0 && kind.ms > 0.0 {
            let _ = write!(text, " {:7.1}", kind.gmac / kind.ms * 1e3);
        }
    }
    text
}

/// To the microsecond: what is finer is noise.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
