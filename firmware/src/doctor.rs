//! `easel doctor`: is all well with a board's configuration, its model and this machine?

use crate::board::Config;
use crate::display::PanelSettings;
use crate::{cpu, failure::Failure, memory, model_lookup, report};
use clap::Args;
use easel::{LoadOptions, ModelDefaults, Pipeline};
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

/// What `easel doctor` is told.
#[derive(Args)]
pub(crate) struct DoctorArguments {
    /// The board's configuration
    #[arg(long, value_name = "FILE.toml")]
    board: PathBuf,
}

/// What one check found.
enum Finding {
    Well(String),
    Wrong(String),
    /// It needs what another check found wrong.
    Open(&'static str),
}
use Finding::{Open, Well, Wrong};

/// Prints one line a check, all of them even when one fails.
pub(crate) fn run(arguments: &DoctorArguments) -> Result<(), Failure> {
    let file = &arguments.board;
    let config = Config::read(file).map_err(|error| Failure::Usage(error.to_string()))?;
    let (model, defaults) = check_model(&config, file);
    let checks = [
        ("board", check_board(&config)),
        ("cpu", check_cpu()),
        ("cores", check_cores(config.model.threads)),
        (
            "memory",
            check_memory(config.model.memory_mib.map(|mib| mib as u64)),
        ),
        ("model", model),
        ("panel", check_panel(&config.panel, defaults.as_ref())),
    ];
    let mut wrong = Vec::new();
    for (name, finding) in checks {
        let (verdict, text) = match &finding {
            Well(text) => ("ok", text.as_str()),
            Wrong(text) => ("WRONG", text.as_str()),
            Open(text) => ("open", *text),
        };
        if matches!(finding, Wrong(_)) {
            wrong.push(name);
        }
        report::print(
            &format!("{verdict:5}  {name:6}  {text}"),
            "send the findings where they can be written",
        )?;
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "{}: wrong: {}: the lines on standard output say what to do",
        file.display(),
        wrong.join(", ")
    )))
}

fn check_board(config: &Config) -> Finding {
    if config.board.description.is_empty() {
        return Well(config.board.name.clone());
    }
    Well(format!(
        "{}: {}",
        config.board.name, config.board.description
    ))
}

/// Never wrong: all kernels have a plain version.
fn check_cpu() -> Finding {
    let features = cpu::int8_features();
    let arch = std::env::consts::ARCH;
    if features.is_empty() {
        return Well(format!("{arch}, nothing that speeds up int8"));
    }
    Well(format!("{arch}, for int8: {}", features.join(" ")))
}

fn check_cores(threads: Option<usize>) -> Finding {
    let cores = available_parallelism().map_or(1, usize::from);
    match threads {
        None => Well(format!("{cores}, all are used")),
        Some(threads) if threads > cores => Wrong(format!(
            "{cores}, and model.threads is {threads}: more threads than cores only wait for each other; give {cores} or less"
        )),
        Some(threads) => Well(format!("{cores}, {threads} are used")),
    }
}

fn check_memory(budget_mib: Option<u64>) -> Finding {
    match (memory::available_mib(), budget_mib) {
        (Some(available), None) => Well(format!("{available} MiB available, no budget set")),
        (Some(available), Some(budget)) if budget > available => Wrong(format!(
            "{available} MiB available, and model.memory_mib is {budget}: end other programs or give less"
        )),
        (Some(available), Some(budget)) => {
            Well(format!("{available} MiB available, the budget is {budget}"))
        }
        (None, None) => Well("not known on this system, no budget set".to_owned()),
        (None, Some(_)) => Wrong(
            "not known on this system, so model.memory_mib cannot be compared: leave it out"
                .to_owned(),
        ),
    }
}

/// Loads the tokenizer, the configurations and what the networks declare; their weights only when painting.
fn check_model(config: &Config, file: &Path) -> (Finding, Option<ModelDefaults>) {
    let options = LoadOptions {
        threads: config.model.threads,
        ..LoadOptions::default()
    };
    let found = match &config.model.dir {
        Some(dir) => model_lookup::named(dir, &format!("model.dir of {}", file.display())),
        None => model_lookup::find(None),
    };
    let loaded = found.and_then(|dir| Ok((Pipeline::load(&dir, &options)?, dir)));
    match loaded {
        Ok((pipeline, dir)) => {
            let defaults = pipeline.defaults().clone();
            let (width, height) = defaults.size;
            let text = format!(
                "{}, {width}x{height}, {} steps, {}",
                dir.display(),
                defaults.steps,
                defaults.scheduler
            );
            (Well(text), Some(defaults))
        }
        Err(Failure::Usage(text) | Failure::Failed(text)) => (Wrong(text), None),
    }
}

fn check_panel(panel: &PanelSettings, defaults: Option<&ModelDefaults>) -> Finding {
    let Some(defaults) = defaults else {
        return Open("cannot be compared with a model that does not load");
    };
    let (width, height) = panel.as_mounted();
    let (kind, factor) = (panel.kind, defaults.vae_factor);
    let (fit_width, fit_height) = (width / factor * factor, height / factor * factor);
    if fit_width == 0 || fit_height == 0 {
        return Wrong(format!(
            "{width}x{height} {kind}: the model paints multiples of {factor}: mend panel.width and panel.height"
        ));
    }
    if (fit_width, fit_height) == (width, height) {
        return Well(format!(
            "{width}x{height} {kind}, a multiple of {factor} as the model paints"
        ));
    }
    Well(format!(
        "{width}x{height} {kind}, the model paints multiples of {factor}: {fit_width}x{fit_height} is the largest that fits"
    ))
}
