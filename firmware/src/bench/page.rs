//! A survey as Markdown, to be pasted where people report things.

use super::survey::Survey;
use std::fmt::Write as _;

/// Where a rate can only be that of the system's memory: no card of any board is so fast.
const FASTER_THAN_ANY_CARD: f64 = 2000.0;

/// One block, a table each for the machine, pictures and networks.
pub(super) fn markdown(survey: &Survey) -> String {
    let mut page = format!(
        "### easel {}, {} kernels, {} threads\n\n| | |\n|---|---|\n",
        survey.easel, survey.kernel, survey.threads
    );
    // Writing to a string does not fail.
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(page, "| {name} | {value} |");
    };
    for (name, value) in survey.machine.rows() {
        row(name, value.as_deref().unwrap_or("not known"));
    }
    row("before", &survey.before.words());
    row("after", &survey.after.words());
    let (width, height) = survey.size;
    let model = match survey.default_model {
        true => "the one that comes with easel",
        false => "another one",
    };
    row("model", &format!("{model}, {width}x{height}"));
    row(
        "memory, triad",
        &format!("{:.0} MB/s", survey.memory_mb_per_s),
    );
    row("storage", &storage(survey));
    if let Some(peak) = survey.peak_rss_mib {
        let budget = survey.memory_budget_mib;
        let budget = budget.map_or_else(String::new, |mib| format!(", budget {mib} MiB"));
        row("peak of painting", &format!("{peak} MiB{budget}"));
    }
    row("the whole report", &format!("{:.0} s", survey.seconds));
    pictures(&mut page, survey);
    networks(&mut page, survey);
    page.truncate(page.trim_end().len());
    page
}

fn storage(survey: &Survey) -> String {
    let Some(reading) = &survey.storage else {
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

fn pictures(page: &mut String, survey: &Survey) {
    page.push_str("\n| picture | steps | guidance | load, ms | text | denoise | decode | total |\n|---|---|---|---|---|---|---|---|\n");
    for (picture, at) in survey.pictures.iter().zip(1..) {
        let _ = writeln!(
            page,
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

fn networks(page: &mut String, survey: &Survey) {
    page.push_str("\n| network | threads | median, ms | min | max | passes | MiB read a pass |\n|---|---|---|---|---|---|---|\n");
    for network in &survey.networks {
        let guided = if network.guided { ", guided" } else { "" };
        let _ = writeln!(
            page,
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
