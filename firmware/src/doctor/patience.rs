//! No check may hang: a device, a disk or a broker that does not answer is a finding, too.

use super::finding::Finding;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// What `check` finds within `limit`. It runs on a thread of its own, which is left alone when it takes longer: the
/// process's end is its end.
pub(super) fn within(
    limit: Duration,
    check: impl FnOnce() -> Vec<Finding> + Send + 'static,
) -> Vec<Finding> {
    let (tell, told) = channel();
    let thread = std::thread::Builder::new().name("check".to_owned());
    let started = thread.spawn(move || drop(tell.send(check())));
    if let Err(error) = started {
        let found = format!("the system gives no thread: {error}");
        return vec![Finding::fail(found, "end other programs")];
    }
    match told.recv_timeout(limit) {
        Ok(findings) => findings,
        Err(RecvTimeoutError::Timeout) => {
            let found = format!("no answer within {} s", limit.as_secs());
            let fix = "look at the device, the disk or the network behind it, and at `dmesg`";
            vec![Finding::fail(found, fix)]
        }
        Err(RecvTimeoutError::Disconnected) => {
            vec![Finding::fail("a fault in easel", "please report it")]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;

    #[test]
    fn a_check_that_hangs_or_panics_is_a_finding() {
        let long = Duration::from_secs(60);
        assert_eq!(
            within(long, || vec![Finding::ok("well")]),
            [Finding::ok("well")]
        );
        let (open, stays_open) = channel::<()>();
        let hangs = move || {
            let _ = stays_open.recv();
            Vec::new()
        };
        let found = within(Duration::from_millis(10), hangs);
        assert_eq!(found[0].verdict, Verdict::Fail);
        assert!(found[0].found.contains("no answer within"));
        drop(open);
        let found = within(long, || panic!("as it should"));
        assert_eq!(found[0].found, "a fault in easel");
    }
}
