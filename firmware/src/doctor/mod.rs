//! `easel doctor`: is all well with a board's configuration, its model, its devices and this machine?
//!
//! A check is a function from the [`Subject`] to what it found, in a file of its own; the list is below. Each has a time
//! limit, and none changes anything, except that the panel shows a test pattern.

mod broker;
mod clock;
mod disk;
mod display;
mod finding;
mod inputs;
mod kiosk;
mod machine;
mod memory;
mod model;
mod patience;
mod permissions;
mod subject;
mod sums;
mod table;

use crate::board::Config;
use crate::display::PanelKind;
use crate::{failure::Failure, report};
use clap::Args;
use finding::{Finding, Verdict};
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use subject::Subject;
use table::{Report, Row};

/// What `easel doctor` is told.
#[derive(Args)]
pub(crate) struct DoctorArguments {
    /// The board's configuration
    #[arg(long, value_name = "FILE.toml")]
    board: PathBuf,
    /// The state folder of `easel serve` [default: as easel serve; for a board in /etc/easel /var/lib/easel]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Show no test pattern
    #[arg(long)]
    no_display: bool,
    /// Print the configuration as it is after inheritance, with all defaults, and check nothing
    #[arg(long, conflicts_with_all = ["json", "no_display", "state"])]
    print_config: bool,
    /// Print one line of JSON on standard output
    #[arg(long)]
    json: bool,
}

/// A check by its name, with the seconds that it may take on the slowest board.
type Check = (&'static str, u64, fn(&Subject) -> Vec<Finding>);

/// In this order: later ones use what earlier ones found out.
const CHECKS: &[Check] = &[
    ("board", 10, machine::board),
    ("cpu", 10, machine::cpu),
    ("cores", 10, machine::cores),
    ("model", 120, model::loads),
    // Four gigabytes from a card.
    ("hashes", 900, sums::check),
    ("memory", 300, memory::check),
    ("models", 10, model::recommended),
    ("panel", 10, model::fits),
    // Electronic paper takes half a minute, and somebody may look at the pattern for a minute.
    ("display", 120, display::check),
    ("inputs", 15, inputs::check),
    ("broker", 45, broker::check),
    ("clock", 10, clock::check),
    ("permissions", 10, permissions::check),
    ("disk", 10, disk::check),
    ("kiosk", 10, kiosk::check),
];

/// Makes all checks, even when one fails.
pub(crate) fn run(arguments: &DoctorArguments) -> Result<(), Failure> {
    let file = &arguments.board;
    let usage = |error: crate::board::ConfigError| Failure::Usage(error.to_string());
    if arguments.print_config {
        let effective = Config::effective(file).map_err(usage)?;
        return report::print(effective.trim_end(), "send it where it can be written");
    }
    let config = Config::read(file).map_err(usage)?;
    let mut subject = Subject::new(config, file, arguments.state.as_deref());
    subject.no_display = if arguments.no_display {
        Some("left alone, as --no-display says")
    } else if arguments.json && subject.config.panel.kind == PanelKind::Terminal {
        Some("the terminal has the JSON: leave out --json to see the test pattern")
    } else {
        None
    };
    subject.is_watched = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let subject = Arc::new(subject);
    let advice = "send the findings where they can be written";
    let mut rows = Vec::new();
    for &(name, limit, check) in CHECKS {
        let examined = Arc::clone(&subject);
        let findings = patience::within(Duration::from_secs(limit), move || check(&examined));
        for finding in findings {
            // At once: hashes of a large model take minutes.
            if !arguments.json {
                report::print(&table::row(name, &finding), advice)?;
            }
            let check = name;
            rows.push(Row { check, finding });
        }
    }
    let mut failing: Vec<&str> = rows
        .iter()
        .filter(|row| row.finding.verdict == Verdict::Fail)
        .map(|row| row.check)
        .collect();
    failing.dedup();
    if arguments.json {
        let report = Report {
            board: &subject.config.board.name,
            ok: failing.is_empty(),
            checks: &rows,
        };
        let json = serde_json::to_string(&report).expect("plain data with text for keys");
        report::print(&json, advice)?;
    }
    if failing.is_empty() {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "{}: wrong: {}: the lines on standard output say what to do",
        file.display(),
        failing.join(", ")
    )))
}
