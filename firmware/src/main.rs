//! The `easel` command: paints a picture from a prompt.
//!
//! The flags, the JSON line and the exit codes are a contract for scripts; `docs/command-line.md` states it.

mod failure;
mod model_lookup;
mod paint;
mod peak_memory;
mod progress;

use clap::{Parser, Subcommand};
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
}

fn main() -> ExitCode {
    // clap itself exits with 2 on a wrong call and 0 after --help.
    let result = match Arguments::parse().command {
        Command::Paint(arguments) => paint::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
