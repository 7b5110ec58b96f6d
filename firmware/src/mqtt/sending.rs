//! What goes out: as much as may be on its way to the broker at a time.

use super::desk::{Answer, Desk};
use super::inbound::Inbound;
use super::link::Line;
use super::outbox::{Message, Number};
use super::report::Outbound;
use super::{discovery, publication};
use rumqttc::{PublishNoticeError, PublishOptions, PublishProperties, QoS};

/// Messages that are on their way to the broker at a time.
const WINDOW: usize = 8;

impl Desk {
    pub(super) fn published(
        &mut self,
        number: Number,
        topic: &str,
        result: Result<(), PublishNoticeError>,
    ) {
        self.sending = self.sending.saturating_sub(1);
        match result {
            Ok(()) => self.outbox.done(number),
            Err(PublishNoticeError::V5PubAck(reason)) => {
                self.outbox.done(number);
                let advice = "allow it in the broker's access list";
                self.note(format!(
                    "the broker refuses to publish {topic} ({reason:?}): {advice}"
                ));
            }
            Err(PublishNoticeError::RetainNotSupported) => {
                self.outbox.done(number);
                self.note("the broker keeps no retained messages: allow them there".to_owned());
            }
            Err(_) => self.outbox.again(number),
        }
    }

    /// Gives the broker as much as may be on its way at a time.
    pub(super) fn send(&mut self) {
        while self.sending < WINDOW {
            let Some(connection) = self.lines.get(&Line::Own).filter(|own| own.up) else {
                return;
            };
            let Some((number, message)) = self.outbox.send() else {
                return;
            };
            // More than the broker takes would end the connection, and again after each reconnection.
            let size = message.payload.len() + message.topic.len() + 64;
            if self.largest.is_some_and(|largest| size > largest as usize) {
                self.outbox.done(number);
                let topic = message.topic;
                self.note(format!(
                    "{topic} is larger than the broker takes: raise its packet limit"
                ));
                continue;
            }
            let Message {
                topic,
                payload,
                correlation,
                content_type,
                retain,
            } = message;
            let qos = if topic.ends_with("/preview") {
                QoS::AtMostOnce
            } else {
                QoS::AtLeastOnce
            };
            let properties = PublishProperties {
                correlation_data: correlation.map(Into::into),
                content_type: content_type.map(str::to_owned),
                ..PublishProperties::default()
            };
            let options = PublishOptions::new(qos)
                .retain(retain)
                .properties(properties);
            match connection
                .client
                .try_publish_tracked(topic.clone(), payload, options)
            {
                Ok(notice) => {
                    self.sending += 1;
                    self.answers.spawn(async move {
                        Answer::Published(number, topic, notice.wait_completion_async().await)
                    });
                }
                Err(error) => {
                    self.outbox.done(number);
                    self.note(format!("cannot publish {topic}: {error}"));
                }
            }
        }
    }

    pub(super) fn publish(&mut self, outbound: Outbound) {
        let online = self.lines.get(&Line::Own).is_some_and(|own| own.up);
        let config = match &outbound {
            Outbound::Info(info) if self.settings.discovery => Some(discovery::message(
                &self.settings.discovery_prefix,
                &self.identity,
                info,
            )),
            _ => None,
        };
        for (class, message) in publication::messages(&self.base, outbound) {
            match class {
                publication::Class::Queued => {
                    if self.outbox.queue(message) {
                        self.note(
                            "thousands of responses wait for the broker: the oldest are given up"
                                .to_owned(),
                        );
                    }
                }
                publication::Class::Retained => self.outbox.retain(message),
                publication::Class::Preview if online => self.outbox.preview(message),
                publication::Class::Preview => {}
            }
        }
        if let Some(config) = config {
            self.outbox.retain(config);
        }
    }

    pub(super) fn announce_again(&mut self) {
        self.birth = None;
        self.outbox.all_again();
        self.tell(Inbound::Birth);
    }

    pub(super) fn forget(&mut self) {
        for message in publication::forgotten(&self.base) {
            self.outbox.retain(message);
        }
        let prefix = &self.settings.discovery_prefix;
        self.outbox
            .retain(discovery::removal(prefix, &self.identity.device));
    }
}
