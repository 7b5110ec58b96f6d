//! What `docs/mqtt.md` and `docs/dashboards/` say is what the board does.

use crate::board::{Board, at};
use crate::broker::Broker;
use crate::dashboard::Dashboard;
use easel_firmware::jobs::{Order, OrderPictures, PictureName, Status};
use easel_firmware::mqtt::payload::{Setting, parse_paint};
use easel_firmware::mqtt::topics::{Command as Asked, parse};
use easel_firmware::mqtt::{
    Activity, Health, ImageInfo, Inbound, Info, Outbound, Problem, Response, State, discovery,
    topics,
};
use serde_json::{Value, json};
use std::process::Command;

const DOCUMENT: &str = include_str!("../../../docs/mqtt.md");
const SHELL: &str = include_str!("../../../docs/dashboards/mosquitto.sh");
const FLOW: &str = include_str!("../../../docs/dashboards/node-red.json");
const ASSISTANT: &str = include_str!("../../../docs/dashboards/home-assistant.yaml");

/// The schema of this title in the document.
fn schema(title: &str) -> Value {
    let blocks = DOCUMENT
        .split("```json\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let mut schemas = blocks.map(|block| serde_json::from_str::<Value>(block).expect("JSON"));
    schemas
        .find(|schema| schema["title"] == title)
        .unwrap_or_else(|| panic!("no schema {title}"))
}

/// The part of JSON Schema that the document uses; any other keyword is an error, so that none is overlooked. Stricter
/// in one thing: a key that the schema does not name is an error too, as the document would not tell of it.
fn check(value: &Value, schema: &Value, at: &str) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        let fits = match keyword.as_str() {
            "title" | "description" => true,
            "type" => {
                let types = rule
                    .as_array()
                    .cloned()
                    .unwrap_or_else(|| vec![rule.clone()]);
                types
                    .iter()
                    .any(|name| has_type(value, name.as_str().expect("a name")))
            }
            "enum" => rule.as_array().expect("a list").contains(value),
            "minimum" => value
                .as_f64()
                .is_none_or(|number| number >= rule.as_f64().expect("a number")),
            "maximum" => value
                .as_f64()
                .is_none_or(|number| number <= rule.as_f64().expect("a number")),
            "required" => value.as_object().is_none_or(|object| {
                rule.as_array()
                    .expect("a list")
                    .iter()
                    .all(|key| object.contains_key(key.as_str().expect("a key")))
            }),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(item, rule, &format!("{at}/{index}"))?;
                }
                true
            }
            "properties" => {
                for (key, inner) in value.as_object().into_iter().flatten() {
                    let rule = rule
                        .get(key)
                        .ok_or_else(|| format!("{at}/{key}: is not in the schema"))?;
                    check(inner, rule, &format!("{at}/{key}"))?;
                }
                true
            }
            other => return Err(format!("{at}: unknown keyword {other}")),
        };
        if !fits {
            return Err(format!("{at}: {value} breaks {keyword} {rule}"));
        }
    }
    Ok(())
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("unknown type {other}"),
    }
}

#[test]
fn the_checker_finds_what_is_wrong() {
    let state = schema("state");
    let right = serde_json::to_value(State::default()).expect("plain data");
    for (key, wrong) in [
        ("queue", json!(-1)),
        ("queue", json!(1.5)),
        ("state", json!("asleep")),
        ("new", json!(1)),
    ] {
        let mut value = right.clone();
        value[key] = wrong;
        assert!(check(&value, &state, "").is_err(), "{key}");
    }
    let mut value = right.clone();
    value.as_object_mut().expect("an object").remove("steps");
    assert!(check(&value, &state, "").is_err());
    assert!(check(&right, &state, "").is_ok());
}

fn id() -> easel_firmware::jobs::JobId {
    "a-1".parse().expect("an id")
}

fn problem() -> Problem {
    Problem::new("too_hot", "85 °C: put it into the shade")
}

#[test]
fn payloads_are_as_their_schemas_say() {
    fn fits(title: &str, value: impl serde::Serialize) {
        let value = serde_json::to_value(value).expect("plain data");
        check(&value, &schema(title), title).unwrap_or_else(|error| panic!("{error}\n{value:#}"));
    }
    for status in [
        Status::Queued,
        Status::Painting,
        Status::Done,
        Status::Cancelled,
        Status::Rejected,
        Status::Error,
    ] {
        let response = Response {
            id: Some(id()),
            status,
            error: Some(problem()),
            warnings: Vec::new(),
            queue: 3,
        };
        fits("response", &response);
        fits(
            "response",
            Response {
                id: None,
                error: None,
                warnings: vec!["prompt: BREAK is left out".to_owned()],
                ..response
            },
        );
    }
    for state in [Activity::Idle, Activity::Painting, Activity::Error] {
        fits(
            "state",
            State {
                state,
                ..State::default()
            },
        );
        fits(
            "state",
            State {
                state,
                id: Some(id()),
                prompt: Some("a \"cat\"".into()),
                step: 3,
                steps: 20,
                eta_s: Some(17),
                queue: 2,
                night: true,
                problem: Some(problem()),
            },
        );
    }
    let order = Order {
        negative: Some("a dog".into()),
        size: Some((512, 768)),
        steps: Some(20),
        guidance: Some(7.5),
        seed: Some(u64::MAX),
        scheduler: Some("ddim".parse().expect("a scheduler")),
        guidance_rescale: Some(0.7),
        clip_skip: Some(1),
        pictures: Box::new(OrderPictures {
            image: Some(PictureName::in_history("last")),
            strength: Some(0.5),
            ..OrderPictures::default()
        }),
        ..Order::new("a cat")
    };
    let picture = ImageInfo {
        id: id(),
        order,
        painted_prompt: Some("a cat on a blue background".to_owned()),
        finished: Some(1_790_000_000),
        favourite: true,
        timings_ms: [("denoise".to_owned(), 1234)].into(),
    };
    fits("image/info", &picture);
    fits(
        "image/info",
        ImageInfo {
            order: Order::new("a cat"),
            finished: None,
            ..picture
        },
    );
    fits("health", Health::default());
    fits(
        "health",
        Health {
            rss_mib: Some(123.5),
            temperature_c: Some(-3.0),
            throttled: Some(true),
            undervoltage: Some(false),
            disk_free_mib: Some(1),
            uptime_s: 1,
            last_duration_s: Some(0.5),
        },
    );
    fits("info", Info::default());
    fits(
        "info",
        Info {
            size: Some((1, 2)),
            styles: vec!["Oil".into()],
            buttons: vec!["next_short".into()],
            ..Info::default()
        },
    );
}

#[test]
fn the_document_names_every_command_setting_and_code() {
    for command in topics::COMMANDS {
        let name = command.replace("set/+", "set/<name>");
        assert!(
            DOCUMENT.contains(&format!("| `{name}` |")) || DOCUMENT.contains(&format!("`{name}`")),
            "{name}"
        );
    }
    for name in Setting::NAMES {
        assert!(DOCUMENT.contains(&format!("`{name}`")), "{name}");
    }
    for key in [
        "prompt",
        "negative",
        "size",
        "steps",
        "guidance",
        "seed",
        "scheduler",
        "guidance_rescale",
        "clip_skip",
        "image",
        "strength",
        "mask",
        "control",
        "ip_image",
        "ip_scale",
        "id",
        "ttl_s",
    ] {
        assert!(DOCUMENT.contains(&format!("| `{key}` |")), "{key}");
    }
}

#[test]
fn the_examples_of_orders_are_taken() {
    let examples: Vec<&str> = DOCUMENT
        .split("```json\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .filter(|text| text.starts_with("{\"prompt\""))
        .collect();
    assert!(examples.len() >= 2, "{examples:?}");
    for example in examples {
        parse_paint(example.as_bytes()).expect(example);
    }
}

#[test]
fn the_lines_for_the_shell_work() {
    let broker = Broker::open();
    let board = Board::start("kitchen", &at(broker.port));
    board.online();
    // Its availability follows its subscriptions.
    Dashboard::open(broker.port, &["easel/kitchen/availability"])
        .text("easel/kitchen/availability", "online");
    let lines: Vec<&str> = SHELL
        .lines()
        .filter(|line| line.starts_with("mosquitto_"))
        .collect();
    assert!(lines.len() >= 9, "{lines:?}");
    for line in lines {
        let line = line.replacen(
            "mosquitto_pub",
            &format!("mosquitto_pub -p {}", broker.port),
            1,
        );
        let done = Command::new("sh")
            .args(["-c", &line])
            .output()
            .expect("a shell");
        let error = String::from_utf8_lossy(&done.stderr);
        assert!(
            done.status.success(),
            "{line}: {error}: run `apt-get install mosquitto-clients`"
        );
        let event = board.wait(&line, |event| match event {
            Inbound::Online { .. } | Inbound::Note(_) => Err(event),
            told => Ok(told),
        });
        match event {
            Inbound::Paint { job, ticket } => {
                assert!(line.contains(&job.order.prompt), "{line}: {job:?}");
                assert_eq!(
                    job.reply.is_some(),
                    line.contains("response-topic"),
                    "{line}"
                );
                assert_eq!(
                    job.reply.is_some_and(|reply| reply.correlation.is_some()),
                    line.contains("correlation-data"),
                    "{line}"
                );
                assert_eq!(job.ttl.is_some(), line.contains("expiry"), "{line}");
                board.client.acknowledge(ticket);
            }
            Inbound::Wrong { problem, .. } => panic!("{line}: {problem:?}"),
            other => assert!(!format!("{other:?}").is_empty()),
        }
    }
}

#[test]
fn the_flow_uses_topics_and_payloads_that_are_there() {
    let flow: Value = serde_json::from_str(FLOW).expect("JSON");
    let nodes = flow.as_array().expect("nodes");
    let of = |kind: &'static str| nodes.iter().filter(move |node| node["type"] == kind);
    let ids: Vec<&Value> = nodes.iter().map(|node| &node["id"]).collect();
    let base = topics::base("kitchen");
    let (mut out, mut ins) = (0, 0);
    for node in of("mqtt out") {
        out += 1;
        let topic = node["topic"].as_str().expect("a topic");
        let command = parse(&base, topic).unwrap_or_else(|| panic!("{topic} is no command"));
        assert_eq!(
            (node["retain"].as_str(), node["qos"].as_str()),
            (Some("false"), Some("1"))
        );
        if command == Asked::Paint {
            let source = of("inject").find(|inject| {
                inject["wires"]
                    .to_string()
                    .contains(node["id"].as_str().expect("an id"))
            });
            let payload = source.expect("a source")["payload"].as_str().expect("text");
            parse_paint(payload.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        }
    }
    for node in of("mqtt in") {
        ins += 1;
        let topic = node["topic"].as_str().expect("a topic");
        let name = topic.strip_prefix("easel/kitchen/").expect("of the board");
        assert!(DOCUMENT.contains(&format!("| `{name}` | ")), "{topic}");
    }
    assert!(out >= 2 && ins >= 2);
    for wire in nodes
        .iter()
        .filter_map(|node| node["wires"].as_array())
        .flatten()
        .filter_map(Value::as_array)
        .flatten()
    {
        assert!(ids.contains(&wire), "{wire} leads nowhere");
    }
}

#[test]
fn the_dashboard_uses_entities_and_topics_that_are_there() {
    let identity = easel_firmware::mqtt::Identity {
        device: "kitchen".into(),
        ..crate::board::identity("kitchen")
    };
    let config = discovery::config(
        &identity,
        &Info {
            buttons: vec!["next_short".into()],
            ..Info::default()
        },
    );
    let known: Vec<&str> = config["components"]
        .as_object()
        .expect("components")
        .values()
        .filter_map(|entity| entity["default_entity_id"].as_str())
        .collect();
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.');
    let used: Vec<&str> = ASSISTANT
        .split(word)
        .filter(|word| word.contains(".easel_kitchen_"))
        .collect();
    assert!(used.len() > 10);
    for entity in used {
        assert!(known.contains(&entity), "{entity} is not among {known:?}");
    }
    let topics = ASSISTANT
        .lines()
        .filter_map(|line| line.trim().strip_prefix("topic: "));
    assert!(topics.clone().count() > 1);
    for topic in topics {
        assert!(parse("easel/kitchen", topic).is_some(), "{topic}");
    }
}

#[test]
fn home_assistant_is_told_when_something_changes_and_when_it_starts() {
    let broker = Broker::open();
    let topic = "homeassistant/device/easel_kitchen/config";
    let dashboard = Dashboard::open(broker.port, &["homeassistant/#", "easel/kitchen/#"]);
    let board = Board::start("kitchen", &at(broker.port));
    board.online();
    let info = Info {
        styles: vec!["Oil".into()],
        ..Info::default()
    };
    board.client.publish(Outbound::Info(info.clone()));
    board.client.publish(Outbound::State(State::default()));
    let config = dashboard.text(topic, "\"Oil\"");
    assert!(config.retain);
    dashboard.text("easel/kitchen/state", "idle");
    // The same again is not published again; the answer after it shows that it was looked at.
    board.client.publish(Outbound::Info(info));
    let done = Response {
        id: Some(id()),
        status: Status::Done,
        error: None,
        warnings: Vec::new(),
        queue: 0,
    };
    board.client.publish(Outbound::Response(done, None));
    dashboard.text("easel/kitchen/response", "done");
    assert_eq!(dashboard.payloads(topic).len(), 1);

    dashboard.forget();
    dashboard.publish("homeassistant/status", "online");
    board.wait("birth", |event| {
        matches!(event, Inbound::Birth).then_some(()).ok_or(event)
    });
    dashboard.text(topic, "\"Oil\"");
    dashboard.text("easel/kitchen/state", "idle");
    dashboard.text("easel/kitchen/availability", "online");

    dashboard.forget();
    board.client.forget();
    for gone in [topic, "easel/kitchen/state"] {
        dashboard.wait("removal", |message| {
            (message.topic.as_ref() == gone.as_bytes() && message.payload.is_empty()).then_some(())
        });
    }
}
