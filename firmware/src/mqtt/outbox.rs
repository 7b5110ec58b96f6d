//! What waits to be published, whatever the connection does.

use std::collections::BTreeMap;

/// A message, before any library has seen it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) correlation: Option<Vec<u8>>,
    pub(super) content_type: Option<&'static str>,
    pub(super) retain: bool,
}

/// Names a message from when it is put in until the broker has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(u64);

#[derive(Debug)]
struct Waiting {
    message: Message,
    sent: bool,
}

#[derive(Debug)]
struct Retained {
    message: Message,
    /// Of the newest content.
    number: Number,
    /// The content that is on its way to the broker.
    sent: Option<Number>,
    /// Whether the broker has the newest content.
    there: bool,
}

/// What waits to be published. Messages in turn are kept until the broker has them; of retained values only the newest
/// is; a preview is worth nothing once it is late.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    next: u64,
    turn: BTreeMap<Number, Waiting>,
    retained: BTreeMap<String, Retained>,
    preview: Option<Message>,
    preview_sent: Option<Number>,
}

/// Messages in turn that are kept at most: a few pages of memory each, days of a broker that is away.
const MOST: usize = 4096;

impl Outbox {
    fn number(&mut self) -> Number {
        self.next += 1;
        Number(self.next)
    }

    /// Puts in a message that must arrive. The oldest goes when there are thousands; `true` says that it did.
    pub(super) fn queue(&mut self, message: Message) -> bool {
        let number = self.number();
        self.turn.insert(
            number,
            Waiting {
                message,
                sent: false,
            },
        );
        if self.turn.len() <= MOST {
            return false;
        }
        self.turn.pop_first();
        true
    }

    /// Puts in the newest content of a retained topic. What the broker has already is not sent again.
    pub(super) fn retain(&mut self, message: Message) {
        let number = self.number();
        let topic = message.topic.clone();
        match self.retained.get_mut(&topic) {
            Some(old) if old.message == message => {}
            Some(old) => {
                old.message = message;
                old.number = number;
                old.there = false;
            }
            None => {
                let retained = Retained {
                    message,
                    number,
                    sent: None,
                    there: false,
                };
                self.retained.insert(topic, retained);
            }
        }
    }

    /// Puts in a preview in place of the one before.
    pub(super) fn preview(&mut self, message: Message) {
        self.preview = Some(message);
    }

    /// The broker may have nothing: what is retained goes out again.
    pub(super) fn all_again(&mut self) {
        for retained in self.retained.values_mut() {
            retained.there = false;
        }
    }

    /// Someone else may have written over it: it goes out again, changed or not.
    pub(super) fn refresh(&mut self, topic: &str) {
        if let Some(retained) = self.retained.get_mut(topic) {
            retained.there = false;
        }
    }

    /// No connection: a preview would be late.
    pub(super) fn offline(&mut self) {
        self.preview = None;
    }

    /// The next message to send, oldest first.
    pub(super) fn send(&mut self) -> Option<(Number, Message)> {
        let turn = self
            .turn
            .iter()
            .find(|(_, waiting)| !waiting.sent)
            .map(|(number, _)| *number);
        let idle = |retained: &&mut Retained| !retained.there && retained.sent.is_none();
        let retained = self
            .retained
            .values_mut()
            .filter(idle)
            .min_by_key(|retained| retained.number);
        if let Some(retained) = retained
            && turn.is_none_or(|turn| retained.number < turn)
        {
            retained.sent = Some(retained.number);
            return Some((retained.number, retained.message.clone()));
        }
        if let Some(number) = turn
            && let Some(waiting) = self.turn.get_mut(&number)
        {
            waiting.sent = true;
            return Some((number, waiting.message.clone()));
        }
        if self.preview_sent.is_some() {
            return None;
        }
        let message = self.preview.take()?;
        let number = self.number();
        self.preview_sent = Some(number);
        Some((number, message))
    }

    /// The broker has it, or will never take it.
    pub(super) fn done(&mut self, number: Number) {
        self.turn.remove(&number);
        if self.preview_sent == Some(number) {
            self.preview_sent = None;
        }
        for retained in self.retained.values_mut() {
            if retained.sent == Some(number) {
                retained.sent = None;
                retained.there = retained.number == number;
            }
        }
    }

    /// It was lost on its way: it goes again, in its old place.
    pub(super) fn again(&mut self, number: Number) {
        if let Some(waiting) = self.turn.get_mut(&number) {
            waiting.sent = false;
        }
        if self.preview_sent == Some(number) {
            self.preview_sent = None;
        }
        for retained in self.retained.values_mut() {
            if retained.sent == Some(number) {
                retained.sent = None;
            }
        }
    }

    /// Whether all has arrived, previews aside.
    pub(super) fn is_empty(&self) -> bool {
        self.turn.is_empty() && self.retained.values().all(|retained| retained.there)
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
