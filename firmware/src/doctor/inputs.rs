//! Whether buttons, knobs, keys and touch screens are there.

use super::finding::Finding;
use super::subject::Subject;
use crate::inputs::{InputEvent, InputKind, start_in};
use crate::watch::Pulse;
use std::path::Path;
use std::sync::mpsc::channel;

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    look(subject, Path::new("/dev/input"))
}

fn look(subject: &Subject, devices: &Path) -> Vec<Finding> {
    let mut settings = subject.config.inputs.clone();
    if settings.0.is_empty() {
        return vec![Finding::ok("none configured")];
    }
    let mut findings = Vec::new();
    if subject.is_served {
        // A line is for one process; keys may be read by many.
        let all = settings.0.len();
        settings
            .0
            .retain(|input| !matches!(input.kind, Some(InputKind::Button | InputKind::Rotary)));
        let lines = all - settings.0.len();
        if lines > 0 {
            let why = format!(
                "easel serve has the lines of {lines} buttons or knobs: stop it to check them"
            );
            findings.push(Finding::skip(why));
        }
    }
    let names: Vec<String> = settings.0.iter().map(|input| input.name.clone()).collect();
    let (tell, told) = channel();
    // They are opened as the daemon opens them; what cannot be is told before this returns.
    let inputs = match start_in(&settings, devices, &Pulse::default(), move |event| {
        drop(tell.send(event))
    }) {
        Ok(inputs) => inputs,
        Err(error) => return vec![Finding::fail(format!("{error}"), "end other programs")],
    };
    drop(inputs);
    let mut lost = Vec::new();
    for event in told.try_iter() {
        if let InputEvent::Lost { name, problem } = event {
            let advice = problem.rsplit_once(": ");
            let (found, fix) = advice.unwrap_or((problem.as_str(), "plug it in"));
            // Here nobody looks again.
            let fix = fix.trim_end_matches("; it is looked for again");
            findings.push(Finding::fail(format!("{name}: {found}"), fix));
            lost.push(name);
        }
    }
    let there: Vec<&str> = names
        .iter()
        .filter(|name| !lost.contains(name))
        .map(String::as_str)
        .collect();
    if !there.is_empty() {
        findings.push(Finding::ok(format!("{}: there", there.join(", "))));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;
    use crate::doctor::subject::subject;

    const BOTH: &str = "[[inputs]]\nname = 'next'\nkind = 'button'\nline = 5\nchip = '/dev/no-such-chip'\n\
        [[inputs]]\nname = 'touch'\nkind = 'touch'\n";

    #[test]
    fn what_is_not_there_fails_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let found = look(&subject(folder.path(), ""), folder.path());
        assert_eq!(found, [Finding::ok("none configured")]);
        let found = look(&subject(folder.path(), BOTH), folder.path());
        let fails = found.iter().filter(|found| found.verdict == Verdict::Fail);
        let mut fails: Vec<&str> = fails.map(|found| found.found.as_str()).collect();
        fails.sort_unstable();
        assert_eq!(fails.len(), 2, "{found:?}");
        assert!(fails[0].starts_with("next: /dev/no-such-chip"), "{fails:?}");
        assert!(
            fails[1].starts_with("touch: there is no touch screen"),
            "{fails:?}"
        );
    }

    #[test]
    fn lines_that_the_daemon_has_are_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut subject = subject(folder.path(), BOTH);
        subject.is_served = true;
        let found = look(&subject, folder.path());
        let verdicts: Vec<Verdict> = found.iter().map(|found| found.verdict).collect();
        assert_eq!(verdicts, [Verdict::Skip, Verdict::Fail], "{found:?}");
    }
}
