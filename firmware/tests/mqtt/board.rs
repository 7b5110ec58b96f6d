//! A board that only listens.

use crate::broker::LONG;
use easel_firmware::mqtt::{BrokerSettings, Client, Identity, Inbound, NewJob, Pace, Ticket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

pub(crate) struct Board {
    pub(crate) client: Client,
    pub(crate) events: Receiver<Inbound>,
}

/// A test has no minutes to wait.
pub(crate) fn pace() -> Pace {
    Pace {
        first: Duration::from_millis(50),
        longest: Duration::from_millis(400),
        slow: Duration::from_millis(800),
        stable: Duration::from_secs(60),
    }
}

pub(crate) fn identity(device: &str) -> Identity {
    Identity {
        device: device.to_owned(),
        name: format!("Frame {device}"),
        model: "a test".to_owned(),
        version: "1.2.3".to_owned(),
    }
}

pub(crate) fn at(port: u16) -> BrokerSettings {
    BrokerSettings {
        host: Some("localhost".to_owned()),
        port: Some(port),
        ..BrokerSettings::default()
    }
}

impl Board {
    pub(crate) fn start(device: &str, settings: &BrokerSettings) -> Self {
        let (sender, events) = channel();
        let tell = move |inbound| {
            let _ = sender.send(inbound);
        };
        let client =
            Client::start_at_pace(settings, identity(device), pace(), tell).expect("it starts");
        Self { client, events }
    }

    /// The first event of which `find` makes something; the others before it are gone.
    pub(crate) fn wait<T>(&self, what: &str, find: impl Fn(Inbound) -> Option<T>) -> T {
        let begun = Instant::now();
        let mut passed = Vec::new();
        while let Some(left) = LONG.checked_sub(begun.elapsed()) {
            match self.events.recv_timeout(left) {
                Ok(event) => {
                    let shown = format!("{event:?}");
                    if let Some(found) = find(event) {
                        return found;
                    }
                    passed.push(shown);
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => panic!("the client has ended before {what}"),
            }
        }
        panic!("no {what}, but {passed:#?}");
    }

    /// Waits for the connection; whether the session was resumed.
    pub(crate) fn online(&self) -> bool {
        self.wait("connection", |event| match event {
            Inbound::Online { resumed } => Some(resumed),
            _ => None,
        })
    }

    /// Waits until the connection is gone or refused; why.
    pub(crate) fn offline(&self) -> String {
        self.wait("end of the connection", |event| match event {
            Inbound::Offline { reason } => Some(reason),
            _ => None,
        })
    }

    pub(crate) fn job(&self) -> (NewJob, Ticket) {
        self.wait("prompt", |event| match event {
            Inbound::Paint { job, ticket } => Some((job, ticket)),
            _ => None,
        })
    }

    pub(crate) fn note(&self, part: &str) -> String {
        self.wait(part, |event| match event {
            Inbound::Note(text) if text.contains(part) => Some(text),
            _ => None,
        })
    }
}
