//! The appliance: the `easel` command and what it is made of.
//!
//! The flags, the JSON lines and the exit codes are a contract for scripts; `docs/command-line.md` states it. What the
//! daemon is made of is public for the tests and the fuzzers, not as a library for others.

mod bench;
pub mod board;
mod cpu;
pub mod display;
mod doctor;
mod engine;
mod failure;
mod fields;
pub mod inputs;
mod interrupt;
pub mod jobs;
pub mod kiosk;
#[cfg(test)]
mod manual;
mod memory;
mod model_lookup;
pub mod mqtt;
mod paint;
mod plan;
mod progress;
mod report;
mod serve;
pub mod watch;

use clap::{Parser, Subcommand, error::ErrorKind};
use failure::Failure;
use std::process::ExitCode;

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
    Paint(paint::PaintArguments),
    /// Time one network of a model
    Bench(bench::BenchArguments),
    /// Paint what comes over MQTT, from a playlist and from buttons, for years
    Serve(serve::ServeArguments),
    /// Show what painting takes of memory
    Plan(plan::PlanArguments),
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
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return not_parsed(error),
    };
    let result = match arguments.command {
        Command::Paint(arguments) => paint::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
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
