//! Whether the broker lets the board in and hears what it says.

use super::finding::Finding;
use super::subject::Subject;
use crate::mqtt::{Identity, probe};
use std::time::Duration;

/// Connecting and all that is asked of the broker.
const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let settings = &subject.config.broker;
    let Some((host, port)) = settings.address() else {
        let found = "none configured: prompts come from the playlist and from buttons";
        return vec![Finding::ok(found)];
    };
    let device = Identity::of_machine(settings, "", "").device;
    let at = format!("{host}:{port}");
    let probed = match probe(settings, &device, LIMIT) {
        Ok(probed) => probed,
        Err(reason) => return vec![refused(&at, &reason)],
    };
    let mut findings = Vec::new();
    let tls = if settings.uses_tls() {
        ", encrypted"
    } else {
        ""
    };
    let connected = probed.connected.as_millis();
    let mut text = format!("{at}: connected in {connected} ms{tls}, as easel/{device}");
    if let Some(round_trip) = probed.round_trip {
        let ms = round_trip.as_secs_f64() * 1000.0;
        text = format!("{text}; a message there and back takes {ms:.1} ms");
    }
    findings.push(Finding::ok(text));
    for refusal in probed.refused {
        let fix =
            format!("let the board read and write easel/{device}/# in the broker's access list");
        findings.push(Finding::fail(refusal, fix));
    }
    findings
}

/// The reason's last part says what to do, after a colon or as a question.
fn refused(at: &str, reason: &str) -> Finding {
    match reason.rsplit_once(": ") {
        Some((found, fix)) => Finding::fail(format!("{at}: {found}"), fix),
        None => Finding::fail(
            format!("{at}: {reason}"),
            "start the broker, or correct broker.host and broker.port",
        ),
    }
}
