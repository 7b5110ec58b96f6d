//! `easel import`: a checkpoint becomes a model directory, without Python.

mod download;
mod list;

use crate::paint::{parse_size, parse_steps};
use crate::{failure::Failure, interrupt, report};
use clap::{Args, ValueEnum};
use download::Downloads;
use easel::SchedulerKind;
use easel::import::{self, Configuration, ImportError, Precision, Progress, Report};
use easel::process_memory;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
pub(crate) use list::models as recommended_models;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What `easel import` is told.
#[derive(Args)]
pub(crate) struct ImportArguments {
    /// A folder that diffusers saved: a whole checkpoint, or a ControlNet alone; a file with a whole checkpoint (.safetensors); a folder
    /// of ONNX networks; or OWNER/NAME on the Hugging Face hub
    #[arg(required_unless_present = "list")]
    source: Option<PathBuf>,
    /// Of a checkpoint in one file, what the file does not say: a folder with diffusers' configurations, or what the U-Net predicts,
    /// epsilon or v_prediction [default: as the published models of its shape]
    #[arg(long, value_name = "DIR|PREDICTION")]
    config: Option<Configuration>,
    /// The model directory to make; it must not be there yet
    #[arg(long, value_name = "DIR", required_unless_present = "list")]
    out: Option<PathBuf>,
    /// A branch, tag or commit of the hub's repository [default: main]
    #[arg(long, value_name = "R")]
    revision: Option<String>,
    /// Print models that suit small boards, and import nothing
    #[arg(long, conflicts_with_all = ["source", "out", "revision"])]
    list: bool,
    /// How weights are stored: int8 is smallest and fastest
    #[arg(long, value_name = "KIND", default_value = "int8")]
    precision: Stored,
    /// Another autoencoder for the checkpoint's own, as TAESD, which paints faster: a folder of diffusers, a file (.safetensors), or a
    /// name of the hub
    #[arg(long, value_name = "DIR|FILE")]
    decoder: Option<PathBuf>,
    /// A LoRA for the checkpoint (.safetensors, or OWNER/NAME/FILE.safetensors on the hub), and how strong it is [default: 1]; may be given several times
    #[arg(long, value_name = "FILE[:SCALE]", value_parser = parse_lora)]
    lora: Vec<(PathBuf, f32)>,
    /// An IP-Adapter, plain or Plus, in its authors' format (.safetensors)
    #[arg(long, value_name = "FILE")]
    ip_adapter: Option<PathBuf>,
    /// The folder of its image encoder [default: where it is published, beside the adapter]
    #[arg(long, value_name = "DIR", requires = "ip_adapter")]
    image_encoder: Option<PathBuf>,
    /// Picture size of the model where none is asked for [default: the checkpoint's]
    #[arg(long, value_name = "WxH", value_parser = parse_size, allow_hyphen_values = true)]
    size: Option<(u32, u32)>,
    /// Denoising steps, likewise
    #[arg(long, value_name = "N", value_parser = parse_steps, allow_negative_numbers = true)]
    steps: Option<usize>,
    /// Guidance scale, likewise, 0 to 50
    #[arg(long, value_name = "G", value_parser = parse_guidance, allow_negative_numbers = true)]
    guidance: Option<f32>,
    /// Sampler, likewise
    #[arg(long, value_name = "NAME")]
    scheduler: Option<SchedulerKind>,
    /// Print one line of JSON on standard output
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Stored {
    Int8,
    Fp16,
    Fp32,
}

impl From<Stored> for Precision {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Int8 => Self::Int8,
            Stored::Fp16 => Self::Fp16,
            Stored::Fp32 => Self::Fp32,
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    model: &'a Path,
    source: &'a str,
    precision: &'static str,
    /// Weights of each network.
    weights: BTreeMap<&'a str, u64>,
    bytes: u64,
    seconds: f64,
    peak_rss_mib: Option<u64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    assumed: &'a [String],
    /// Bytes that were downloaded for it in this call.
    downloaded: u64,
    /// The licence that the card on the hub states.
    #[serde(skip_serializing_if = "Option::is_none")]
    licence: Option<&'a str>,
}

/// Imports a checkpoint and says what was made.
pub(crate) fn run(arguments: &ImportArguments) -> Result<(), Failure> {
    let (Some(source), Some(out)) = (&arguments.source, &arguments.out) else {
        return list::print(arguments.json);
    };
    let begun = Instant::now();
    let cancel = interrupt::cancel_on_signal()?;
    let precision = Precision::from(arguments.precision);
    let mut downloads = Downloads::new(out, precision, arguments.quiet, &cancel);
    let request = import::Request {
        source: downloads.source(source, arguments.revision.as_deref())?,
        configuration: arguments.config.clone(),
        out: out.clone(),
        precision,
        decoder: match &arguments.decoder {
            Some(decoder) => Some(downloads.part(decoder)?),
            None => None,
        },
        loras: downloads.loras(&arguments.lora)?,
        ip_adapter: arguments.ip_adapter.clone(),
        image_encoder: arguments.image_encoder.clone(),
        size: arguments.size,
        steps: arguments.steps,
        guidance: arguments.guidance,
        scheduler: arguments.scheduler,
    };
    let mut shown = Shown::new(arguments.quiet);
    let made = import::run(&request, &mut |progress| {
        shown.show(progress);
        if cancel.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    shown.finish();
    let made = made.map_err(|error| downloads.kept(error.into()))?;
    let (licence, received) = (downloads.licence.take(), downloads.received);
    downloads.remove();
    let text = if arguments.json {
        let line = Line {
            model: out,
            source: &made.name,
            precision: precision.name(),
            weights: made
                .networks
                .iter()
                .map(|(name, count)| (name.as_str(), *count))
                .collect(),
            bytes: made.bytes,
            seconds: (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0,
            peak_rss_mib: process_memory::peak().map(|bytes| (bytes as u64).div_ceil(1 << 20)),
            assumed: &made.assumed,
            downloaded: received,
            licence: licence.as_deref(),
        };
        serde_json::to_string(&line).map_err(|error| Failure::Failed(format!("report: {error}")))?
    } else {
        let mut text = readable(out, &made, begun.elapsed());
        if let Some(licence) = &licence {
            text += &format!("\nits card states the licence {}", easel::one_line(licence));
        }
        text
    };
    report::print(&text, "the model is there all the same")
}

fn readable(out: &Path, made: &Report, took: Duration) -> String {
    let seconds = took.as_secs_f64();
    let took = match seconds {
        0.0..60.0 => format!("{seconds:.0} s"),
        _ => format!("{:.0} min", seconds / 60.0),
    };
    let size = mib(made.bytes);
    let mut text = format!(
        "{}: {size} MiB, made of {} in {took}",
        out.display(),
        easel::one_line(&made.name)
    );
    for line in &made.assumed {
        text.extend(["\n", line]);
    }
    text
}

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

fn parse_guidance(text: &str) -> Result<f32, String> {
    let guidance = text
        .parse()
        .ok()
        .filter(|guidance| (0.0..=50.0).contains(guidance));
    guidance.ok_or_else(|| crate::fields::GUIDANCE.to_owned())
}

/// A file, and behind a colon how strong it is.
fn parse_lora(text: &str) -> Result<(PathBuf, f32), String> {
    let Some((file, scale)) = text.rsplit_once(':') else {
        return Ok((text.into(), 1.0));
    };
    let number: f32 = match scale.parse() {
        Ok(number) => number,
        // A name with a colon in it.
        Err(_) => return Ok((text.into(), 1.0)),
    };
    if !(-10.0..=10.0).contains(&number) {
        return Err("the scale of a LoRA is a number from -10 to 10".into());
    }
    Ok((file.into(), number))
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Bad(_) => Self::Usage(error.to_string()),
            ImportError::Failed(_) | ImportError::Stopped => Self::Failed(error.to_string()),
        }
    }
}

/// Progress on standard error: a bar with time left on a terminal, a line a network elsewhere.
enum Shown {
    Quiet,
    Lines { network: String },
    Bar(ProgressBar),
}

impl Shown {
    fn new(quiet: bool) -> Self {
        if quiet {
            return Self::Quiet;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines {
                network: String::new(),
            };
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix:14} {bar:24} {percent:>3} %  {eta} left");
        bar.set_style(style.expect("a template that was tried"));
        Self::Bar(bar)
    }

    fn show(&mut self, progress: Progress<'_>) {
        match self {
            Self::Quiet => {}
            Self::Lines { network } => {
                if network != progress.network {
                    progress.network.clone_into(network);
                    eprintln!("importing: {network}");
                }
            }
            Self::Bar(bar) => {
                bar.set_prefix(progress.network.to_owned());
                bar.set_length(progress.total);
                bar.set_position(progress.done);
            }
        }
    }

    /// Removes the bar, so that what is printed next stands alone.
    fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
