//! Whether the board knows what time it is: quiet hours and certificates go by it.

use super::finding::Finding;
use super::subject::Subject;
use crate::watch::is_set;
use jiff::ZonedDateTime;
use std::path::Path;
use std::process::Command;

/// Made by systemd-timesyncd when it has set the clock.
const SET_ONCE: &str = "/run/systemd/timesync/synchronized";

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let zone = subject.config.kiosk.timezone.as_ref();
    let zone = zone.map_or_else(jiff::tz::TimeZone::system, |zone| zone.0.clone());
    let now = jiff::Timestamp::now().to_zoned_datetime(zone);
    vec![judge(&now, is_synchronized(Path::new(SET_ONCE)))]
}

/// Whether a time server keeps the clock right; `None`: nobody can say.
fn is_synchronized(set_once: &Path) -> Option<bool> {
    if set_once.exists() {
        return Some(true);
    }
    // It asks the kernel (adjtimex(2), STA_UNSYNC), whatever keeps the clock: chrony and ntpd as well.
    let asked = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .output()
        .ok()?;
    match String::from_utf8_lossy(&asked.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn judge(now: &ZonedDateTime, synchronized: Option<bool>) -> Finding {
    let text = now.strftime("%Y-%m-%d %H:%M %Z").to_string();
    let fix =
        "sudo timedatectl set-ntp true, and connect the board, or give it a clock with a battery";
    if !is_set(now) {
        return Finding::fail(format!("{text}: it was never set"), fix);
    }
    match synchronized {
        Some(true) => Finding::ok(format!("{text}, kept right by a time server")),
        Some(false) => Finding::warn(format!("{text}, but nothing keeps it right"), fix),
        None => Finding::ok(format!(
            "{text}; whether anything keeps it right is not known here"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    #[test]
    fn a_clock_that_was_never_set_fails_and_one_that_nobody_keeps_is_a_warning() {
        let at = |year| {
            date(year, 6, 1)
                .to_zoned_datetime(TimeZone::UTC)
                .expect("a date")
        };
        for (year, synchronized, verdict) in [
            (1970, Some(true), Verdict::Fail),
            (2023, None, Verdict::Fail),
            (2026, Some(true), Verdict::Ok),
            (2026, Some(false), Verdict::Warn),
            (2026, None, Verdict::Ok),
        ] {
            let found = judge(&at(year), synchronized);
            assert_eq!(found.verdict, verdict, "{found:?}");
        }
        assert!(
            judge(&at(2026), None)
                .found
                .starts_with("2026-06-01 00:00 UTC")
        );
    }

    #[test]
    fn timesyncd_says_it_with_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("synchronized");
        std::fs::write(&file, "").expect("it can be written");
        assert_eq!(is_synchronized(&file), Some(true));
    }
}
