//! From what the board says to messages.

use super::outbox::Message;
use super::report::{LARGEST_IMAGE, Outbound, Response};
use crate::jobs::Reply;
use serde::Serialize;

/// How a message is treated while it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Queued,
    Retained,
    Preview,
}

/// The messages that `outbound` makes.
pub(super) fn messages(base: &str, outbound: Outbound) -> Vec<(Class, Message)> {
    let retained = |name, message: Message| {
        let message = Message {
            topic: format!("{base}/{name}"),
            retain: true,
            ..message
        };
        vec![(Class::Retained, message)]
    };
    match outbound {
        Outbound::Response(response, reply) => responses(base, &response, reply),
        Outbound::State(state) => retained("state", json(&state)),
        Outbound::Image(image) if image.len() > LARGEST_IMAGE => Vec::new(),
        Outbound::Image(image) => retained("image", jpeg(image)),
        Outbound::ImageInfo(info) => retained("image/info", json(&info)),
        Outbound::Preview(image) => {
            let message = Message {
                topic: format!("{base}/preview"),
                ..jpeg(image)
            };
            vec![(Class::Preview, message)]
        }
        Outbound::Health(health) => retained("health", json(&health)),
        Outbound::Info(info) => retained("info", json(&info)),
        Outbound::Settings(settings) => retained("settings", json(&settings)),
        Outbound::Button(event_type) => {
            let event = serde_json::json!({ "event_type": event_type });
            vec![(
                Class::Queued,
                Message {
                    topic: format!("{base}/button"),
                    ..json(&event)
                },
            )]
        }
    }
}

fn responses(base: &str, response: &Response, reply: Option<Reply>) -> Vec<(Class, Message)> {
    let message = json(response);
    let own = Message {
        topic: format!("{base}/response"),
        ..message.clone()
    };
    let to_sender = reply.map(|reply| Message {
        topic: reply.topic,
        correlation: reply.correlation,
        ..message
    });
    std::iter::once(own)
        .chain(to_sender)
        .map(|message| (Class::Queued, message))
        .collect()
}

/// `online` or `offline`, as the last will would say it.
pub(super) fn availability(base: &str, online: bool) -> Message {
    plain(format!("{base}/availability"), online)
}

/// A retained `online` or `offline`.
pub(super) fn plain(topic: String, online: bool) -> Message {
    let payload = if online { "online" } else { "offline" };
    Message {
        topic,
        payload: payload.into(),
        retain: true,
        ..Message::default()
    }
}

/// Empty payloads, which take retained messages away.
pub(super) fn forgotten(base: &str) -> Vec<Message> {
    ["state", "image", "image/info", "health", "info", "settings"]
        .into_iter()
        .map(|name| Message {
            topic: format!("{base}/{name}"),
            retain: true,
            ..Message::default()
        })
        .collect()
}

pub(super) fn json(value: &impl Serialize) -> Message {
    Message {
        payload: serde_json::to_vec(value).expect("plain data with text for keys"),
        content_type: Some("application/json"),
        ..Message::default()
    }
}

fn jpeg(image: Vec<u8>) -> Message {
    Message {
        payload: image,
        content_type: Some("image/jpeg"),
        ..Message::default()
    }
}
