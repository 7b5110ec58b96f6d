//! Ctrl-C and its kin.

use crate::failure::Failure;
use easel::CancelToken;

/// The first Ctrl-C (or SIGTERM) asks the work to stop, the second ends the process.
pub(crate) fn cancel_on_signal() -> Result<CancelToken, Failure> {
    let cancel = CancelToken::new();
    let asked = cancel.clone();
    ctrlc::set_handler(move || {
        if asked.is_cancelled() {
            std::process::exit(1);
        }
        asked.cancel();
    })
    .map_err(|error| Failure::Failed(format!("signals: {error}")))?;
    Ok(cancel)
}
