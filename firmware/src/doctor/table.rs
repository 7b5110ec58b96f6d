//! The findings, for people and for programs.

use super::finding::Finding;
use serde::Serialize;

/// Columns of the names of checks.
const NAMES: usize = 11;

/// A line for what was found, and one for what to do about it.
pub(super) fn row(check: &str, finding: &Finding) -> String {
    let Finding {
        verdict,
        found,
        fix,
    } = finding;
    let mut row = format!("{:4}  {check:NAMES$}  {found}", verdict.name());
    if let Some(fix) = fix {
        // Under what was found.
        row.push_str(&format!(
            "\n{:width$}fix: {fix}",
            "",
            width = 4 + 2 + NAMES + 2
        ));
    }
    row
}

/// One row for programs.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) check: &'static str,
    #[serde(flatten)]
    pub(super) finding: Finding,
}

/// All of it for programs.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    pub(super) board: &'a str,
    /// Whether nothing fails.
    pub(super) ok: bool,
    pub(super) checks: &'a [Row],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_columns() {
        let text = row("clock", &Finding::ok("set"));
        assert_eq!(text, "ok    clock        set");
        let text = row("clock", &Finding::warn("set", "keep it so"));
        assert_eq!(
            text,
            "warn  clock        set\n                   fix: keep it so"
        );
    }

    #[test]
    fn programs_get_plain_fields() {
        let checks = [Row {
            check: "disk",
            finding: Finding::fail("full", "make room"),
        }];
        let report = Report {
            board: "frame",
            ok: false,
            checks: &checks,
        };
        let json = serde_json::to_string(&report).expect("plain data");
        let expected = r#"{"board":"frame","ok":false,"checks":[{"check":"disk","verdict":"fail","found":"full","fix":"make room"}]}"#;
        assert_eq!(json, expected);
    }
}
