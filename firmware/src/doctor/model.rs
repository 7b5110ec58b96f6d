//! Whether the model is there, loads, and suits the panel.

use super::finding::Finding;
use super::subject::{Model, Subject};
use crate::model_lookup;
use easel::{Component, Error, LoadOptions, ModelParts, Pipeline};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;

/// Loads the tokenizer, the configurations and what the networks declare; their weights are read when painting.
pub(super) fn loads(subject: &Subject) -> Vec<Finding> {
    let settings = &subject.config.model;
    let options = LoadOptions {
        threads: settings.threads,
        memory_mib: settings.memory_mib,
        ..LoadOptions::default()
    };
    let found = match &settings.dir {
        Some(dir) => model_lookup::named(dir, &format!("model.dir of {}", subject.file.display())),
        None => model_lookup::find(None),
    };
    let dir = match found {
        Ok(dir) => dir,
        Err(failure) => return vec![Finding::of_line(failure.text())],
    };
    let pipeline = match Pipeline::load(&dir, &options) {
        Ok(pipeline) => pipeline,
        Err(error) => return vec![does_not_load(&dir, &error)],
    };
    let defaults = pipeline.defaults().clone();
    let (width, height) = defaults.size;
    let scheduler = defaults.scheduler.map(|kind| kind.to_string());
    let text = format!(
        "{}, {width}x{height}, {} steps, {}",
        dir.display(),
        defaults.steps,
        scheduler
            .as_deref()
            .unwrap_or("no scheduler of its own that easel has: prompts have to name one")
    );
    let pipeline = Mutex::new(pipeline);
    let _ = subject.model.set(Model {
        dir,
        defaults,
        pipeline,
    });
    vec![Finding::ok(text)]
}

/// Why, and of a model that is whole but of a kind that easel does not paint with also what it is, and what can be done with it.
fn does_not_load(dir: &Path, error: &Error) -> Finding {
    let finding = Finding::of_line(&error.to_string());
    let parts = ModelParts::read(dir).ok();
    let parts = parts.filter(|parts| error.is_foreign_model() && !parts.networks.is_empty());
    let Some(parts) = parts else {
        return finding;
    };
    let mut found = format!("{}; it has", finding.found);
    // Writing to a string does not fail.
    let _ = match (&parts.class, parts.family) {
        (Some(class), Some(family)) => write!(found, " class {class} ({family}),"),
        (Some(class), None) => write!(found, " class {class},"),
        (None, _) => write!(found, " no class,"),
    };
    let networks: Vec<&str> = parts.networks.iter().map(Component::name).collect();
    let _ = write!(found, " networks {}", some_of(&networks));
    if !parts.missing.is_empty() {
        let missing: Vec<&str> = parts.missing.iter().map(String::as_str).collect();
        let _ = write!(found, ", and lacks {}", some_of(&missing));
    }
    let mut fix = finding.fix.unwrap_or_default();
    if parts.measurable {
        let dir = dir.display();
        let _ = write!(
            fix,
            "; its networks can be planned and timed: easel plan --model {dir} --component {first}, easel bench --model {dir} --component {first}",
            first = networks[0]
        );
    }
    Finding::fail(found, fix)
}

/// Names for a message. A strange model may have thousands.
fn some_of(names: &[&str]) -> String {
    const MOST: usize = 12;
    let more = if names.len() > MOST { " …" } else { "" };
    names[..names.len().min(MOST)].join(", ") + more
}

/// Whether the model paints what the panel shows.
pub(super) fn fits(subject: &Subject) -> Vec<Finding> {
    let Some(model) = subject.model.get() else {
        let why = "the panel cannot be compared with a model that does not load";
        return vec![Finding::skip(why)];
    };
    let panel = &subject.config.panel;
    let (width, height) = panel.as_mounted();
    let (kind, factor) = (panel.kind, model.defaults.vae_factor);
    let (fit_width, fit_height) = (width / factor * factor, height / factor * factor);
    vec![if fit_width == 0 || fit_height == 0 {
        Finding::fail(
            format!("{width}x{height} {kind}: the model paints multiples of {factor}"),
            "mend panel.width and panel.height",
        )
    } else if (fit_width, fit_height) == (width, height) {
        Finding::ok(format!(
            "{width}x{height} {kind}, a multiple of {factor} as the model paints"
        ))
    } else {
        Finding::ok(format!(
            "{width}x{height} {kind}, the model paints multiples of {factor}: {fit_width}x{fit_height} is the largest that fits"
        ))
    }]
}
