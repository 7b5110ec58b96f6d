//! Whether the broker lets the board in and hears what it says.

use super::finding::Finding;
use super::subject::Subject;
use crate::mqtt::{Identity, embedded, probe};
use std::time::Duration;

/// Connecting and all that is asked of the broker.
const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let settings = &subject.config.broker;
    let Some((host, port)) = settings.address() else {
        let found = "none configured: prompts come from the playlist and from buttons";
        return vec![Finding::ok(found)];
    };
    if settings.embedded && !subject.state.as_deref().is_some_and(embedded::is_running) {
        return not_started(subject);
    }
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

/// A broker of the board's own that does not run: would it?
fn not_started(subject: &Subject) -> Vec<Finding> {
    match embedded::survey(&subject.config.broker) {
        Ok(broker) if subject.is_served => vec![Finding::fail(
            format!("easel serve runs without its broker, {broker}"),
            "start easel again, and look at its log",
        )],
        Ok(broker) => vec![Finding::ok(format!("easel serve will start {broker}"))],
        Err(problems) => problems.iter().map(|line| Finding::of_line(line)).collect(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;
    use crate::doctor::subject::subject;
    use std::net::TcpListener;

    #[test]
    fn a_broker_of_the_boards_own_is_looked_at_before_it_starts() {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let own = format!("[broker]\nembedded = true\nport = {port}\n");
        let found = check(&subject(folder.path(), &own));
        assert_eq!(found[0].verdict, Verdict::Fail, "{found:?}");
        let fix = found[0].fix.as_deref().unwrap_or_default();
        assert!(fix.contains("systemctl disable --now mosquitto"), "{fix}");
        drop(listener);
        let found = check(&subject(folder.path(), &own));
        assert_eq!(found[0].verdict, Verdict::Ok, "{found:?}");
        assert!(found[0].found.contains("this machine alone"), "{found:?}");
        let found = check(&subject(folder.path(), &format!("{own}username = 'a'\n")));
        assert_eq!(found[0].verdict, Verdict::Fail, "{found:?}");
        assert!(found[0].found.contains("no password"), "{found:?}");
        assert!(!folder.path().join("broker").exists(), "nothing is changed");
    }
}
