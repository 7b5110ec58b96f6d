//! The board on the broker: topics, payloads, Home Assistant, and a connection that comes back.
//!
//! [`Client`] is all that the rest of the program sees. Behind it is a thread with
//! 1. `desk`: what comes in is read (`topics`, `payload`, `dispatch`) and handed on, what goes out (`sending`, `report`,
//!    `publication`) waits in the `outbox` and is sent as fast as the broker takes it;
//! 2. `link`: a connection of `rumqttc`, made as `options` and `tls` say, that comes back after a `fault` as `backoff`
//!    allows; a second one for the prompts of a group (`fleet`).
//!
//! A board in a house without a broker has one of its own (`embedded`).
//!
//! `docs/mqtt.md` describes topics and payloads.

mod backoff;
mod client;
mod desk;
pub mod discovery;
mod dispatch;
pub(crate) mod embedded;
mod fault;
mod fleet;
mod host;
mod identity;
mod inbound;
mod link;
mod options;
mod outbox;
pub mod payload;
mod probe;
mod publication;
mod report;
mod secret;
mod sending;
mod settings;
mod tls;
pub mod topics;

pub use backoff::Pace;
pub use client::Client;
pub use host::Host;
pub use identity::Identity;
pub use inbound::{Inbound, Ticket};
pub(crate) use probe::probe;
pub use report::{
    Activity, Health, ImageInfo, Info, LARGEST_IMAGE, Limits, Outbound, Problem, Response, State,
};
pub use settings::BrokerSettings;

use std::path::{Path, PathBuf};

/// Why there can be no client, or none yet.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Nothing to connect to.
    #[error("broker.host: is missing: name a broker")]
    NoHost,
    /// An id that cannot stand in a topic.
    #[error("broker.device: give 1 to 64 letters, digits, dashes or underscores")]
    Device,
    /// A password or a certificate.
    #[error("{what} in {}: {error}: {advice}", path.display())]
    File {
        /// What it should hold.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        error: std::io::ErrorKind,
        /// What to do.
        advice: &'static str,
    },
    /// Credentials with which the embedded broker can do nothing.
    #[error("{0}")]
    Credentials(&'static str),
    /// A program of the embedded broker.
    #[error("{0}: is not installed: sudo apt install mosquitto")]
    NotInstalled(&'static str),
    /// Certificates that cannot be used.
    #[error("{0}")]
    Tls(String),
    /// The system gives no thread or no poll.
    #[error("the connection's thread cannot be started: {0}: is there memory left?")]
    Thread(std::io::Error),
}

impl BrokerError {
    fn file(what: &'static str, path: &Path, error: &std::io::Error, advice: &'static str) -> Self {
        Self::File {
            what,
            path: path.to_owned(),
            error: error.kind(),
            advice,
        }
    }
}
