//! Whether there is room for pictures, and for what is made of the model.

use super::finding::Finding;
use super::subject::Subject;
use crate::watch::{DiskState, LimitSettings, disk_free_mib};

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let Some(folder) = subject.state_or_above() else {
        let fix = "give a folder with --state DIR";
        return vec![Finding::fail("there is no home folder for the state", fix)];
    };
    vec![match disk_free_mib(folder) {
        Some(free) => judge(free, &subject.config.limits, &folder.display().to_string()),
        None => {
            let found = format!("{}: how much is free is not known", folder.display());
            Finding::warn(found, "see that the disk is mounted")
        }
    }]
}

fn judge(free: u64, limits: &LimitSettings, folder: &str) -> Finding {
    let found = format!("{free} MiB free at {folder}");
    let fix = "delete files there, or use a larger card";
    match DiskState::at(free, limits, DiskState::Fine) {
        DiskState::Fine => Finding::ok(found),
        DiskState::Low => {
            let low = limits.disk_low_mib;
            Finding::warn(
                format!("{found}: below {low}, old pictures are deleted"),
                fix,
            )
        }
        DiskState::Full => {
            let full = limits.disk_full_mib;
            Finding::fail(format!("{found}: below {full}, prompts are refused"), fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;
    use crate::doctor::subject::subject;

    #[test]
    fn a_disk_is_judged_by_the_limits_of_the_board() {
        let folder = tempfile::tempdir().expect("a folder");
        let verdict = |limits: &str| check(&subject(folder.path(), limits))[0].verdict;
        let most = 1_u64 << 30;
        assert_eq!(
            verdict("[limits]\ndisk_low_mib = 2\ndisk_full_mib = 1"),
            Verdict::Ok
        );
        let low = format!("[limits]\ndisk_low_mib = {most}\ndisk_full_mib = 1");
        assert_eq!(verdict(&low), Verdict::Warn);
        let full = format!(
            "[limits]\ndisk_low_mib = {most}\ndisk_full_mib = {}",
            most - 1
        );
        assert_eq!(verdict(&full), Verdict::Fail);
    }
}
