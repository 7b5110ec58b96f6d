//! What a check has found.

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// The board works, but not as well or as long as it could.
    Warn,
    /// The board does not do what it is for.
    Fail,
    /// Not looked at, and why.
    Skip,
}

impl Verdict {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

/// One thing that was found, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    /// What is.
    pub(super) found: String,
    /// What to do, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

impl Finding {
    pub(super) fn ok(found: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, found, None)
    }

    pub(super) fn skip(why: impl Into<String>) -> Self {
        Self::new(Verdict::Skip, why, None)
    }

    pub(super) fn warn(found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Verdict::Warn, found, Some(fix.into()))
    }

    pub(super) fn fail(found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Verdict::Fail, found, Some(fix.into()))
    }

    /// An error's line, whose last part says what to do: "what: where: what to do".
    pub(super) fn of_line(line: &str) -> Self {
        match line.rsplit_once(": ") {
            Some((found, fix)) => Self::fail(found, fix),
            None => Self::new(Verdict::Fail, line, None),
        }
    }

    fn new(verdict: Verdict, found: impl Into<String>, fix: Option<String>) -> Self {
        // What comes from a file or a device must not break the table.
        let plain = |text: String| easel::one_line(&text);
        Self {
            verdict,
            found: plain(found.into()),
            fix: fix.map(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errors_last_part_is_the_advice() {
        let finding = Finding::of_line("panel: /dev/fb0: not there\n: plug it in");
        assert_eq!(finding.found, "panel: /dev/fb0: not there ");
        assert_eq!(finding.fix.as_deref(), Some("plug it in"));
        assert_eq!(Finding::of_line("broken").fix, None);
    }
}
