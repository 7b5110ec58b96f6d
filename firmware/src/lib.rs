//! The appliance: the `easel` command and what it is made of.
//!
//! The flags, the JSON lines and the exit codes are a contract for scripts; `docs/command-line.md` states it. What the
//! daemon is made of is public for the tests and the fuzzers, not as a library for others.

mod bench;
pub mod board;
mod control_pictures;
mod cpu;
pub mod display;
mod doctor;
mod engine;
mod failure;
mod fields;
mod import;
pub mod inputs;
mod interrupt;
pub mod jobs;
pub mod kiosk;
#[cfg(test)]
mod manual;
mod model_lookup;
pub mod mqtt;
mod paint;
mod pictures_in;
mod plan;
mod progress;
mod report;
mod serve;
pub mod watch;

use clap::{Parser, Subcommand, error::ErrorKind};
use failure::Failure;
use rustix::process::Signal;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Parser)]
#[command(
    name = "easel",
    version,
    about = "Paints a picture of what it is told, on this machine"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Paint one picture from a prompt
    Paint(Box<paint::PaintArguments>),
    /// Time one network of a model
    Bench(bench::BenchArguments),
    /// Paint what comes over MQTT, from a playlist and from buttons, for years
    Serve(serve::ServeArguments),
    /// Show what painting takes of memory
    Plan(plan::PlanArguments),
    /// Make a model of a checkpoint
    Import(import::ImportArguments),
    /// Check a board's configuration, its model and this machine
    Doctor(doctor::DoctorArguments),
}

/// Runs the command that the process was called with.
#[must_use]
pub fn run() -> ExitCode {
    if let Some(ended) = mqtt::embedded::tethered() {
        return ended;
    }
    easel::own_heap();
    easel::report_panics_in_one_line();
    if let Err(error) = full_files_are_errors() {
        return Failure::Failed(format!("signals: {error}")).report();
    }
    let work = std::thread::Builder::new()
        .name("easel".to_owned())
        .stack_size(STACK)
        .spawn(work);
    match work.map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => {
            let advice = "is there memory left?";
            Failure::Failed(format!("a thread for the work: {error}: {advice}")).report()
        }
    }
}

/// Bytes of the stack that the work has, whatever the shell gives: no file or prompt needs so many.
const STACK: usize = 16 << 20;

/// A file that the system lets grow no further (`ulimit -f`) is an error of writing, as is a full disk, and not the end of the
/// process.
fn full_files_are_errors() -> std::io::Result<()> {
    // That it came is all that is kept, and nobody asks.
    signal_hook::flag::register(Signal::XFSZ.as_raw(), Arc::default()).map(drop)
}

fn work() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return not_parsed(error),
    };
    let result = match arguments.command {
        Command::Paint(arguments) => paint::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Help and the version are for reading, in full; they exit with 0 when asked for. All else is a wrong call.
fn not_parsed(error: clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
        _ => Failure::from(error).report(),
    }
}
