//! Whether painting finds the memory that it takes.

use super::finding::Finding;
use super::subject::Subject;
use easel::process_memory::{available, field};
use std::sync::PoisonError;

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let budget = subject.config.model.memory_mib.map(|mib| mib as u64);
    // The daemon has already taken what it takes.
    let (machine, what) = if subject.is_served {
        (field("/proc/meminfo", "MemTotal"), "MiB in all")
    } else {
        (available().map(|bytes| bytes as u64), "MiB available")
    };
    let Some(machine) = machine.map(|bytes| bytes >> 20) else {
        let found = "not known on this system";
        return vec![match budget {
            None => Finding::ok(found),
            Some(_) => Finding::warn(found, "see that model.memory_mib is less than there is"),
        }];
    };
    if let Some(budget) = budget
        && budget > machine
    {
        let found = format!("{machine} {what}, and model.memory_mib is {budget}");
        return vec![Finding::fail(found, "end other programs or set it to less")];
    }
    let Some(model) = subject.model.get() else {
        let why =
            format!("{machine} {what}; without a model that loads nobody knows what it takes");
        return vec![Finding::skip(why)];
    };
    let mut pipeline = model
        .pipeline
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let plan = match pipeline.memory_plan(None) {
        Ok(plan) => plan,
        // It names the smallest budget that works.
        Err(error) => return vec![Finding::of_line(&error.to_string())],
    };
    let peak = (plan.peak() as u64).div_ceil(1 << 20);
    let found = format!("{machine} {what}, a picture takes {peak} at most");
    vec![match budget {
        Some(budget) => Finding::ok(format!("{found}, the budget is {budget}")),
        None if peak > machine => {
            let fix = format!(
                "set model.memory_mib to {machine} or less, so that weights are read while they are needed"
            );
            Finding::fail(found, fix)
        }
        None => Finding::ok(format!("{found}, no budget is set")),
    }]
}
