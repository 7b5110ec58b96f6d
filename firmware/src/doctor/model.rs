//! Whether the model is there, loads, and suits the panel.

use super::finding::Finding;
use super::subject::{Model, Subject};
use crate::model_lookup;
use easel::{LoadOptions, Pipeline};
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
    let loaded = found.and_then(|dir| Ok((Pipeline::load(&dir, &options)?, dir)));
    let (pipeline, dir) = match loaded {
        Ok(loaded) => loaded,
        Err(failure) => return vec![Finding::of_line(failure.text())],
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
