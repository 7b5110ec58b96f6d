//! `easel paint`: one prompt, one picture.

use crate::engine::EngineArguments;
use crate::fields::{self, Number};
use crate::pictures_in::PictureArguments;
use crate::{failure::Failure, interrupt, progress::Reporter, report};
use clap::Args;
use easel::{Latents, LoadOptions, PaintRequest, Painting, Parameters, Pipeline, SchedulerKind};
use rustix::fs::Access;
use serde::Serialize;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Bytes of a prompt read from standard input: one more than the library takes, to see that there are more.
const STDIN_LIMIT: u64 = easel::LONGEST_PROMPT as u64 + 1;

/// What `easel paint` is told.
#[derive(Args)]
pub(crate) struct PaintArguments {
    /// What to paint; `-` reads it from standard input
    #[arg(allow_hyphen_values = true)]
    prompt: String,
    #[command(flatten)]
    engine: EngineArguments,
    /// Where the picture goes [default: easel-SEED.png]
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// What to keep out of the picture
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    negative: Option<String>,
    /// Picture size in pixels [default: the model's]
    #[arg(long, value_name = "WxH", value_parser = parse_size, allow_hyphen_values = true)]
    size: Option<(u32, u32)>,
    /// Denoising steps [default: the model's]
    #[arg(long, value_name = "N", value_parser = parse_steps, allow_negative_numbers = true)]
    steps: Option<usize>,
    /// How closely to follow the prompt; 1 turns guidance off and halves the work [default: the model's]
    #[arg(long, value_name = "G", allow_negative_numbers = true)]
    guidance: Option<f32>,
    /// Guidance by a second pass, for models that are told theirs (Flux): 1 to 50
    #[arg(long, value_name = "G", allow_negative_numbers = true)]
    true_guidance: Option<f32>,
    /// Pull contrast back after strong guidance, 0 to 1
    #[arg(
        long,
        value_name = "R",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    guidance_rescale: f32,
    /// How much of each jump of tcd is fresh noise, 0 to 1 [default: 0.3]
    #[arg(long, value_name = "E", allow_negative_numbers = true)]
    eta: Option<f32>,
    /// Leave out so many of the text encoders' last layers, 0 to 64
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    clip_skip: u8,
    /// Tokens of the text that T5 reads; fewer take less time, 4 to 512 [default: the model's]
    #[arg(long, value_name = "N", value_parser = parse_text_tokens, allow_negative_numbers = true)]
    text_tokens: Option<usize>,
    /// ddpm, ddim, euler, euler-ancestral, dpmpp-2m, dpmpp-2m-karras, dpmpp-sde, lcm, unipc, deis, heun, lms, kdpm2, kdpm2-ancestral, dpmpp-2s, dpmpp-2s-sde, tcd, pndm or flow-euler [default: the model's]
    #[arg(long, value_name = "NAME")]
    scheduler: Option<SchedulerKind>,
    /// The same seed gives the same picture [default: random, and printed]
    #[arg(long, value_name = "N", value_parser = parse_seed, allow_negative_numbers = true)]
    seed: Option<u64>,
    /// Initial noise, f32 [1,c,h/f,w/f], standard normal (f is the model's VAE factor)
    #[arg(long, value_name = "IN.npy")]
    latents: Option<PathBuf>,
    /// Save the final latents, before they become a picture
    #[arg(long, value_name = "OUT.npy")]
    save_latents: Option<PathBuf>,
    #[command(flatten)]
    pictures: PictureArguments,
    /// Print one line of JSON on standard output
    #[arg(long)]
    json: bool,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    image: &'a Path,
    width: u32,
    height: u32,
    seed: u64,
    steps: usize,
    scheduler: String,
    guidance: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    painted: Option<&'a str>,
    timings_ms: TimingsMs,
    peak_rss_mib: Option<u64>,
    kernel: &'static str,
    warnings: &'a [String],
}

#[derive(Serialize)]
struct TimingsMs {
    load: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    encode: Option<u64>,
    text: u64,
    denoise: u64,
    decode: u64,
    total: u64,
}

/// Paints one picture and saves it.
pub(crate) fn run(arguments: &PaintArguments) -> Result<(), Failure> {
    let prompt = prompt(&arguments.prompt)?;
    let seed = arguments.seed.unwrap_or_else(random_seed);
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("easel-{seed}.png")));
    check_output(&out, "--out", "png")?;
    if let Some(path) = &arguments.save_latents {
        check_output(path, "--save-latents", "npy")?;
    }
    let mut request = PaintRequest {
        negative: arguments.negative.clone(),
        size: arguments.size,
        steps: arguments.steps,
        guidance: arguments.guidance,
        guidance_rescale: arguments.guidance_rescale,
        eta: arguments.eta,
        true_guidance: arguments.true_guidance,
        text_tokens: arguments.text_tokens,
        clip_skip: arguments.clip_skip.into(),
        seed,
        scheduler: arguments.scheduler,
        latents: arguments
            .latents
            .as_deref()
            .map(Latents::read_npy)
            .transpose()
            .map_err(easel::Error::from)?,
        ..PaintRequest::new(prompt)
    };
    arguments.pictures.fill(&mut request);
    let controlnets = arguments.pictures.controlnets()?;
    let model = arguments.engine.model()?;
    report::kernel()?; // before any work
    let cancel = interrupt::cancel_on_signal()?;
    let options = LoadOptions {
        controlnets,
        ..arguments.engine.options()
    };
    let mut pipeline = Pipeline::load(&model, &options)?;
    arguments.pictures.read(&pipeline, &mut request)?;
    let mut reporter = Reporter::new(arguments.quiet);
    let painted = pipeline.paint(&request, &cancel, &mut |progress| reporter.show(progress));
    reporter.finish();
    let painting = painted?;
    for warning in &painting.warnings {
        eprintln!("easel: {}", easel::one_line(warning));
    }
    if cancel.is_cancelled() {
        return Err(easel::Error::Cancelled.into());
    }
    // The picture first: on a disk that is full now, no latents are left without it.
    painting
        .picture
        .write_png_with(&out, &parameters(&request, &painting, &name_of(&model)))
        .map_err(easel::Error::from)?;
    if let Some(path) = &arguments.save_latents {
        painting
            .latents
            .write_npy(path)
            .map_err(easel::Error::from)?;
    }
    say(arguments, &out, &painting)
}

/// What the picture's file says of it.
fn parameters<'a>(
    request: &'a PaintRequest,
    painting: &'a Painting,
    model: &'a str,
) -> Parameters<'a> {
    Parameters {
        prompt: &request.prompt,
        painted: painting.painted.as_deref(),
        negative: request.negative.as_deref().unwrap_or_default(),
        steps: painting.steps,
        scheduler: Some(painting.scheduler),
        guidance: painting.guidance,
        seed: painting.seed,
        size: (painting.picture.width, painting.picture.height),
        model,
    }
}

/// The name of a model's folder.
fn name_of(model: &Path) -> String {
    let model = model.canonicalize().unwrap_or_else(|_| model.to_owned());
    let name = model.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn say(arguments: &PaintArguments, out: &Path, painting: &Painting) -> Result<(), Failure> {
    let peak_rss_mib = report::peak_within(arguments.engine.memory);
    let line = if arguments.json {
        let timings = &painting.timings;
        let ms =
            |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let report = Report {
            image: out,
            width: painting.picture.width,
            height: painting.picture.height,
            seed: painting.seed,
            steps: painting.steps,
            scheduler: painting.scheduler.to_string(),
            guidance: painting.guidance,
            painted: painting.painted.as_deref(),
            timings_ms: TimingsMs {
                load: ms(timings.load),
                // With pictures to begin with or to follow alone.
                encode: (!timings.encode.is_zero()).then(|| ms(timings.encode)),
                text: ms(timings.text),
                denoise: ms(timings.denoise),
                decode: ms(timings.decode),
                total: ms(timings.total),
            },
            peak_rss_mib,
            kernel: report::kernel()?,
            warnings: &painting.warnings,
        };
        serde_json::to_string(&report)
            .map_err(|error| Failure::Failed(format!("report: {error}")))?
    } else {
        let seconds = painting.timings.total.as_secs_f32();
        format!("{} (seed {}, {seconds:.1} s)", out.display(), painting.seed)
    };
    report::print(&line, &format!("the picture is saved at {}", out.display()))
}

fn prompt(argument: &str) -> Result<String, Failure> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let advice = "send UTF-8 text, at most 64 KiB";
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(STDIN_LIMIT)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::Usage(format!("prompt: standard input: {error}: {advice}")))?;
    // Asked first: the limit may have cut a character in two.
    if bytes.len() as u64 == STDIN_LIMIT {
        return Err(Failure::Usage(format!(
            "prompt: standard input has more than {} bytes: {advice}",
            STDIN_LIMIT - 1
        )));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let error = error.utf8_error();
        Failure::Usage(format!("prompt: standard input: {error}: {advice}"))
    })?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// The range is the library's to check.
pub(crate) fn parse_steps(text: &str) -> Result<usize, String> {
    let steps = Number::Text(text.to_owned()).whole();
    let steps = steps.and_then(|steps| usize::try_from(steps).ok());
    steps.ok_or_else(|| fields::STEPS.to_owned())
}

fn parse_text_tokens(text: &str) -> Result<usize, String> {
    let tokens = Number::Text(text.to_owned()).whole();
    let tokens = tokens.and_then(|tokens| usize::try_from(tokens).ok());
    tokens.ok_or_else(|| "text tokens are 4 to 512".to_owned())
}

fn parse_seed(text: &str) -> Result<u64, String> {
    let seed = Number::Text(text.to_owned()).whole();
    seed.ok_or_else(|| "seeds are 0 to 2^64-1; leave it out for a random one".to_owned())
}

/// Reads `WxH`.
pub(crate) fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let side = |side: &str| side.parse::<u32>().ok().filter(|&side| side > 0);
    text.split_once(['x', 'X'])
        .and_then(|(width, height)| Some((side(width)?, side(height)?)))
        .ok_or_else(|| "give width and height in pixels, such as 512x512".to_owned())
}

/// Fails before the minutes of work when the file could not be written after them. Leaves nothing behind.
fn check_output(path: &Path, flag: &str, extension: &str) -> Result<(), Failure> {
    let shown = path.display();
    if !path
        .extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(extension))
    {
        return Err(Failure::Usage(format!(
            "{flag}: {shown}: give a file name that ends in .{extension}"
        )));
    }
    if path.is_dir() {
        return Err(Failure::Usage(format!(
            "{flag}: {shown}: is a directory: give a file name"
        )));
    }
    replaceable(path).map_err(|problem| Failure::Usage(format!("{flag}: {shown}: {problem}")))?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    tempfile::tempfile_in(folder).map(drop).map_err(|error| {
        Failure::Usage(format!(
            "{flag}: {}: {error}: choose a folder that can be written",
            folder.display()
        ))
    })
}

/// Whether what has the name now may make room for a new file. A link may be there for what it leads to, a pipe or a device for who
/// reads it, and a file may be protected: none of them is replaced.
fn replaceable(path: &Path) -> Result<(), String> {
    let Ok(known) = path.symlink_metadata() else {
        return Ok(());
    };
    if known.is_symlink() {
        let to = path.read_link().unwrap_or_default();
        return Err(format!(
            "is a symbolic link to {}: give that name, or take the link away",
            to.display()
        ));
    }
    if !known.is_file() {
        return Err("is a pipe, a socket or a device: give the name of a file".into());
    }
    // Root may write to all.
    let protected = known.permissions().readonly();
    if protected || rustix::fs::access(path, Access::WRITE_OK).is_err() {
        return Err("may not be written: choose another name, or make it writable".into());
    }
    Ok(())
}

/// Not for secrets: std's hash keys come from the system's random source, once per process.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    // 32 bits: short enough to type again.
    RandomState::new().hash_one(0_u8) >> 32
}
