//! The board's own broker, for `easel doctor`: would it start?

use super::super::BrokerSettings;
use super::super::secret::PasswordPlaces;
use super::access::Access;
use super::{files, mosquitto::Programs};
use std::path::Path;

/// Whether easel has started one that runs, with its files in the state folder `state`.
pub(crate) fn is_running(state: &Path) -> bool {
    files::is_in_use(&files::folder(state))
}

/// What it will be, or, one line each, what keeps it from starting; what to do is each line's last part.
pub(crate) fn survey(settings: &BrokerSettings) -> Result<String, Vec<String>> {
    let places = PasswordPlaces::of_process(settings);
    let access = Access::new(settings, &places).map_err(|error| error.to_string());
    let programs = Programs::find().map_err(|error| error.to_string());
    let port = settings.port_or_default();
    let free = access.as_ref().map_or(Ok(()), |access| {
        access.check_port(port).map_err(|fault| fault.reason)
    });
    match (&access, &programs, &free) {
        (Ok(access), Ok(programs), Ok(())) => Ok(format!(
            "mosquitto {} {}",
            programs.version(),
            access.describe(port)
        )),
        _ => {
            let problems = [access.err(), programs.err(), free.err()];
            Err(problems.into_iter().flatten().collect())
        }
    }
}
