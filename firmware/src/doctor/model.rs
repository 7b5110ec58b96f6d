//! Whether the model is there, loads, and suits the panel.

use super::finding::Finding;
use super::subject::{Model, Subject, is_the_services};
use crate::import::recommended_models;
use crate::model_lookup;
use easel::process_memory::field;
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
    let mut findings = vec![Finding::ok(text)];
    if is_the_services(&subject.file) {
        findings.extend(hidden_from_the_service(&dir));
    }
    let _ = subject.model.set(Model {
        dir,
        defaults,
        pipeline,
    });
    findings
}

/// Folders that `ProtectHome=yes` of the package's service empties (systemd.exec(5)).
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// Whoever runs doctor sees a model in a home folder; the service does not.
fn hidden_from_the_service(dir: &Path) -> Option<Finding> {
    let whole = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let hidden = HOMES.iter().any(|home| whole.starts_with(home));
    hidden.then(|| {
        let found = format!(
            "{} is in a home folder, which the service cannot see (ProtectHome=yes)",
            whole.display()
        );
        let name = whole.file_name().unwrap_or_default().to_string_lossy();
        let fix = format!(
            "sudo mkdir -p /srv/easel && sudo mv {} /srv/easel/, and set model.dir to /srv/easel/{name}",
            whole.display()
        );
        Finding::fail(found, fix)
    })
}

/// Models that suit small boards and find enough memory on this one.
pub(super) fn recommended(subject: &Subject) -> Vec<Finding> {
    let budget = subject.config.model.memory_mib.map(|mib| mib as u64);
    let machine = field("/proc/meminfo", "MemTotal");
    // What the system takes on a board without a desktop.
    let machine = machine.map(|bytes| (bytes >> 20).saturating_sub(SYSTEM_MIB));
    let Some(memory) = budget.into_iter().chain(machine).min() else {
        return vec![Finding::skip("the memory of this system is not known")];
    };
    let models = recommended_models();
    let fitting = models.iter().filter(|model| model.memory <= memory);
    let names: Vec<&str> = fitting.map(|model| model.title.as_str()).collect();
    vec![Finding::ok(if names.is_empty() {
        format!("{memory} MiB for painting: none of those that `easel import --list` has")
    } else {
        let names = names.join("; ");
        format!("{memory} MiB for painting: {names} (`easel import --list` has times and licences)")
    })]
}

/// MiB.
const SYSTEM_MIB: u64 = 200;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;
    use crate::doctor::subject::subject;

    #[test]
    fn a_model_in_a_home_folder_is_hidden_from_the_service() {
        let finding = hidden_from_the_service(Path::new("/home/pi/sd-turbo")).expect("it is");
        assert_eq!(finding.verdict, Verdict::Fail);
        let fix = finding.fix.expect("there is one");
        assert!(
            fix.contains("mv /home/pi/sd-turbo /srv/easel/")
                && fix.ends_with("/srv/easel/sd-turbo"),
            "{fix}"
        );
        for open in ["/srv/easel/sd-turbo", "/usr/share/easel/models/pocket"] {
            assert_eq!(hidden_from_the_service(Path::new(open)), None, "{open}");
        }
    }

    #[test]
    fn models_are_recommended_by_memory() {
        let folder = tempfile::tempdir().expect("a folder");
        let said = |mib: u64| {
            let subject = subject(folder.path(), &format!("[model]\nmemory_mib = {mib}\n"));
            recommended(&subject)[0].found.clone()
        };
        assert!(said(50).contains("none of those"), "{}", said(50));
        let small = said(240);
        assert!(
            small.contains("SD-Turbo") && !small.contains("SDXL"),
            "{small}"
        );
        assert!(said(600).contains("SDXL-Turbo"), "{}", said(600));
    }
}
