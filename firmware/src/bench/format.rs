//! A report as Markdown, to be pasted where people report things.

use super::report::Report;
use std::fmt::Write as _;

/// Where a rate can only be that of the system's memory: no card of any board is so fast.
const FASTER_THAN_ANY_CARD: f64 = 2000.0;

/// One block, a table each for the machine, pictures and networks.
pub(super) fn markdown(report: &Report) -> String {
    let mut text = format!(
        "### easel {}, {} kernels, {} threads\n\n| | |\n|---|---|\n",
        report.easel, report.kernel, report.threads
    );
    // Writing to a string does not fail.
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(text, "| {name} | {value} |");
    };
    for (name, value) in report.machine.rows() {
        row(name, value.as_deref().unwrap_or("not known"));
    }
    row("before", &report.before.words());
    row("after", &report.after.words());
    let (width, height) = report.size;
    let model = match report.default_model {
        true => "the one that comes with easel",
        false => "another one",
    };
    row("model", &format!("{model}, {width}x{height}"));
    row(
        "memory, triad",
        &format!("{:.0} MB/s", report.memory_mb_per_s),
    );
    row("storage", &storage(report));
    if let Some(peak) = report.peak_rss_mib {
        let budget = report.memory_budget_mib;
        let budget = budget.map_or_else(String::new, |mib| format!(", budget {mib} MiB"));
        row("peak of painting", &format!("{peak} MiB{budget}"));
    }
    row("the whole report", &format!("{:.0} s", report.seconds));
    pictures(&mut text, report);
    networks(&mut text, report);
    text.truncate(text.trim_end().len());
    text
}

fn storage(report: &Report) -> String {
    let Some(reading) = &report.storage else {
        return "the model has no large files".to_owned();
    };
    let doubt = match reading.mb_per_s > FASTER_THAN_ANY_CARD {
        true => ", from memory rather than from the card",
        false => "",
    };
    format!(
        "{:.0} MB/s for {:.1} MiB of the model's files{doubt}",
        reading.mb_per_s, reading.mib
    )
}

fn pictures(text: &mut String, report: &Report) {
    text.push_str("\n| picture | steps | guidance | load, ms | text | denoise | decode | total |\n|---|---|---|---|---|---|---|---|\n");
    for (picture, at) in report.pictures.iter().zip(1..) {
        let _ = writeln!(
            text,
            "| {at} | {} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
            picture.steps,
            picture.guidance,
            picture.load_ms,
            picture.text_ms,
            picture.denoise_ms,
            picture.decode_ms,
            picture.total_ms
        );
    }
}

fn networks(text: &mut String, report: &Report) {
    text.push_str("\n| network | threads | median, ms | min | max | passes | MiB read a pass |\n|---|---|---|---|---|---|---|\n");
    for network in &report.networks {
        let guided = if network.guided { ", guided" } else { "" };
        let _ = writeln!(
            text,
            "| {}{guided} | {} | {:.1} | {:.1} | {:.1} | {} | {:.0} |",
            network.component,
            network.threads,
            network.median_ms,
            network.min_ms,
            network.max_ms,
            network.passes,
            network.read_mib
        );
    }
}
