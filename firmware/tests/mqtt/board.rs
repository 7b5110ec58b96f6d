//! A board that only listens.

use crate::broker::LONG;
use easel_firmware::jobs::{JobId, NewJob};
use easel_firmware::mqtt::{BrokerSettings, Client, Identity, Inbound, Pace, Ticket};
use easel_firmware::watch::Pulse;
use std::cell::RefCell;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

pub(crate) struct Board {
    pub(crate) client: Client,
    pub(crate) events: Receiver<Inbound>,
    /// Told of and not yet asked for.
    passed: RefCell<Vec<Inbound>>,
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
        host: Some("localhost".parse().expect("a host")),
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
            Client::start_at_pace(settings, identity(device), pace(), &Pulse::default(), tell)
                .expect("it starts");
        Self {
            client,
            events,
            passed: RefCell::default(),
        }
    }

    /// The first event, told of or not, of which `find` makes something; the others stay for later.
    pub(crate) fn wait<T>(&self, what: &str, find: impl Fn(Inbound) -> Result<T, Inbound>) -> T {
        let begun = Instant::now();
        let mut found = None;
        let mut passed = self.passed.borrow_mut();
        for event in std::mem::take(&mut *passed) {
            let looked = if found.is_none() {
                find(event)
            } else {
                Err(event)
            };
            match looked {
                Ok(this) => found = Some(this),
                Err(event) => passed.push(event),
            }
        }
        while found.is_none() {
            let left = LONG.saturating_sub(begun.elapsed());
            match self.events.recv_timeout(left) {
                Ok(event) => match find(event) {
                    Ok(this) => found = Some(this),
                    Err(event) => passed.push(event),
                },
                Err(_) => panic!(
                    "no {what}, but {:#?}",
                    passed.iter().rev().take(20).collect::<Vec<_>>()
                ),
            }
        }
        found.expect("the loop ended")
    }

    /// Waits for the connection; whether the session was resumed.
    pub(crate) fn online(&self) -> bool {
        self.wait("connection", |event| match event {
            Inbound::Online { resumed, .. } => Ok(resumed),
            other => Err(other),
        })
    }

    /// Waits until the connection is gone or refused, for a reason with these words.
    pub(crate) fn offline(&self, words: &str) -> String {
        self.wait(words, |event| match event {
            Inbound::Offline { reason } if reason.contains(words) => Ok(reason),
            other => Err(other),
        })
    }

    /// What was told and not asked for.
    pub(crate) fn passed(&self) -> Vec<Inbound> {
        self.passed.take()
    }

    pub(crate) fn job(&self) -> (NewJob, Ticket) {
        self.wait("prompt", |event| match event {
            Inbound::Paint { job, ticket } => Ok((job, ticket)),
            other => Err(other),
        })
    }

    /// The code and the text of an answer to a command that is refused, and its job.
    pub(crate) fn wrong(&self) -> (String, String, Option<JobId>) {
        self.wait("refusal", |event| match event {
            Inbound::Wrong {
                id,
                problem,
                ticket,
                ..
            } => {
                self.client.acknowledge(ticket);
                Ok((problem.code, problem.text, id))
            }
            other => Err(other),
        })
    }

    pub(crate) fn note(&self, words: &str) -> String {
        self.wait(words, |event| match event {
            Inbound::Note(text) if text.contains(words) => Ok(text),
            other => Err(other),
        })
    }
}
