//! The board and its processor.

use super::finding::Finding;
use super::subject::Subject;
use crate::cpu;
use std::thread::available_parallelism;

/// What the configuration says of itself; it could be read, or there would be no check.
pub(super) fn board(subject: &Subject) -> Vec<Finding> {
    let board = &subject.config.board;
    let mut text = board.name.clone();
    if !board.description.is_empty() {
        text = format!("{text}: {}", board.description);
    }
    let served = if subject.is_served {
        ", and easel serve runs"
    } else {
        ""
    };
    vec![Finding::ok(format!(
        "{text} ({}{served})",
        subject.file.display()
    ))]
}

/// Never wrong: all kernels have a plain version.
pub(super) fn cpu(_: &Subject) -> Vec<Finding> {
    let features = cpu::int8_features();
    let arch = std::env::consts::ARCH;
    vec![Finding::ok(if features.is_empty() {
        format!("{arch}, nothing that speeds up int8")
    } else {
        format!("{arch}, for int8: {}", features.join(" "))
    })]
}

pub(super) fn cores(subject: &Subject) -> Vec<Finding> {
    let cores = available_parallelism().map_or(1, usize::from);
    vec![match subject.config.model.threads {
        None => Finding::ok(format!("{cores}, all are used")),
        Some(threads) if threads > cores => Finding::fail(
            format!(
                "{cores}, and model.threads is {threads}: more threads than cores only wait for each other"
            ),
            format!("set model.threads to {cores} or less"),
        ),
        Some(threads) => Finding::ok(format!("{cores}, {threads} are used")),
    }]
}
