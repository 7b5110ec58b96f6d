//! From a message to what it means.

use super::inbound::Inbound;
use super::payload::{
    PaintCommand, WrongPayload, parse_cancel, parse_paint, parse_set, parse_show,
};
use super::report::Problem;
use super::topics::{self, Command};
use crate::jobs::{JobId, NewJob, Reply, Source};
use rumqttc::{Publish, PublishProperties};
use std::time::Duration;

/// What a message means.
#[derive(Debug)]
pub(super) enum Read {
    Paint(NewJob),
    Wrong {
        id: Option<JobId>,
        reply: Option<Reply>,
        problem: Problem,
    },
    Other(Inbound),
    /// Nothing that is meant for the board.
    Nothing,
}

pub(super) fn read(base: &str, topic: &str, publish: &Publish, source: Source) -> Read {
    if topics::is_said(base, topic) {
        return Read::Nothing;
    }
    let Some(command) = topics::parse(base, topic) else {
        let shown: String = topic.chars().take(100).collect();
        let names = topics::COMMANDS.join(", ");
        let text = format!("{shown}: unknown topic: below {base} the board takes {names}");
        return wrong(publish, WrongPayload::new("unknown_topic", text));
    };
    if publish.retain {
        return retained(topic, publish);
    }
    let payload = publish.payload.as_ref();
    let other = match command {
        Command::Paint => return paint(publish, source),
        Command::Generate => Ok(Inbound::Generate),
        Command::Vary => Ok(Inbound::Vary),
        Command::Cancel => parse_cancel(payload).map(Inbound::Cancel),
        Command::Show => parse_show(payload).map(Inbound::Show),
        Command::Set(name) => parse_set(name, payload).map(Inbound::Set),
    };
    other.map_or_else(|error| wrong(publish, error), Read::Other)
}

/// A retained command would be carried out again at each start.
pub(super) fn retained(topic: &str, publish: &Publish) -> Read {
    let text =
        format!("{topic}: a retained command is ignored: publish it without the retain flag");
    wrong(publish, WrongPayload::new("retained", text))
}

/// What a message on a `paint` topic means.
pub(super) fn paint(publish: &Publish, source: Source) -> Read {
    match parse_paint(&publish.payload) {
        Ok(PaintCommand {
            id,
            order,
            pictures,
            ttl,
        }) => {
            let expiry = publish
                .properties
                .as_ref()
                .and_then(|properties| properties.message_expiry_interval);
            let expiry = expiry.map(|seconds| Duration::from_secs(seconds.into()));
            let ttl = [ttl, expiry].into_iter().flatten().min();
            let reply = reply(publish.properties.as_ref());
            Read::Paint(NewJob {
                id,
                reply,
                ttl,
                pictures,
                ..NewJob::new(order, source)
            })
        }
        Err(error) => wrong(publish, error),
    }
}

fn wrong(publish: &Publish, error: WrongPayload) -> Read {
    Read::Wrong {
        id: error.id,
        reply: reply(publish.properties.as_ref()),
        problem: Problem::new(error.code, error.text),
    }
}

/// A response topic that nobody could publish to is left out.
fn reply(properties: Option<&PublishProperties>) -> Option<Reply> {
    let properties = properties?;
    let topic = properties.response_topic.clone();
    Some(Reply {
        topic: topic.filter(|topic| topics::is_publishable(topic))?,
        correlation: properties
            .correlation_data
            .as_ref()
            .map(|data| data.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::QoS;

    fn publish(payload: &str, properties: PublishProperties) -> Publish {
        Publish::new(
            "x",
            QoS::AtLeastOnce,
            payload.as_bytes().to_vec(),
            Some(properties),
        )
    }

    #[test]
    fn the_sooner_of_two_expiries_counts() {
        let expires = |seconds| PublishProperties {
            message_expiry_interval: seconds,
            ..Default::default()
        };
        for (ttl, expiry, expected) in [
            (r#","ttl_s":5"#, Some(9), Some(5)),
            (r#","ttl_s":9"#, Some(5), Some(5)),
            ("", Some(7), Some(7)),
            (r#","ttl_s":5"#, None, Some(5)),
            ("", None, None),
        ] {
            let message = publish(&format!(r#"{{"prompt":"x"{ttl}}}"#), expires(expiry));
            let Read::Paint(job) = paint(&message, Source::Mqtt) else {
                panic!("it is right")
            };
            assert_eq!(job.ttl, expected.map(Duration::from_secs));
        }
    }

    #[test]
    fn an_answer_goes_nowhere_when_its_topic_is_no_topic() {
        let to = |topic: &str| {
            let properties = PublishProperties {
                response_topic: Some(topic.into()),
                ..Default::default()
            };
            let Read::Paint(job) = paint(&publish("x", properties), Source::Mqtt) else {
                panic!("it is right")
            };
            job.reply.map(|reply| reply.topic)
        };
        assert_eq!(to("answers/1").as_deref(), Some("answers/1"));
        for wrong in ["", "a/#", "+", "$SYS/x"] {
            assert_eq!(to(wrong), None, "{wrong}");
        }
    }
}
