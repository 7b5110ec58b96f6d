use super::*;

fn identity() -> Identity {
    Identity {
        device: "Kitchen-abc123".into(),
        name: "Kitchen".into(),
        model: String::new(),
        version: "1.2.3".into(),
    }
}

fn info() -> Info {
    Info {
        styles: vec!["Oil".into(), "Pencil".into()],
        buttons: vec!["next_short".into(), "next_long".into()],
        ..Info::default()
    }
}

/// The rules that Home Assistant's documentation states for a device's configuration, each platform's page, as of 2026.4.
mod rules {
    use serde_json::{Map, Value};

    /// Must be there, besides `platform` and `unique_id`.
    fn required(platform: &str) -> Option<&'static [&'static str]> {
        Some(match platform {
            "text" | "notify" | "button" | "number" | "switch" => &["command_topic"],
            "select" => &["command_topic", "options"],
            "image" => &[],
            "camera" => &["topic"],
            "sensor" | "binary_sensor" => &["state_topic"],
            "event" => &["state_topic", "event_types"],
            _ => return None,
        })
    }

    /// May be there. A key that is not known is refused by Home Assistant for most platforms.
    const COMMON: [&str; 10] = [
        "platform",
        "unique_id",
        "default_entity_id",
        "name",
        "icon",
        "entity_category",
        "device_class",
        "json_attributes_topic",
        "value_template",
        "qos",
    ];

    fn optional(platform: &str) -> &'static [&'static str] {
        match platform {
            "text" => &["state_topic", "min", "max", "mode", "pattern"],
            "button" => &["payload_press"],
            "number" => &[
                "state_topic",
                "min",
                "max",
                "step",
                "mode",
                "unit_of_measurement",
            ],
            "select" | "switch" => &["state_topic"],
            "image" => &["image_topic", "url_topic", "image_encoding", "content_type"],
            "sensor" => &["unit_of_measurement", "state_class", "options"],
            _ => &[],
        }
    }

    fn is_id(text: &str) -> bool {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    }

    fn texts<'a>(entity: &'a Map<String, Value>, key: &str) -> Option<Vec<&'a str>> {
        entity.get(key).map(|list| {
            list.as_array().map_or(Vec::new(), |list| {
                list.iter().filter_map(Value::as_str).collect()
            })
        })
    }

    /// What is wrong with a component.
    pub(super) fn component(id: &str, entity: &Value) -> Result<(), String> {
        let wrong = |what: String| Err(format!("{id}: {what}"));
        let Some(entity) = entity.as_object() else {
            return wrong("is no object".into());
        };
        let Some(platform) = entity.get("platform").and_then(Value::as_str) else {
            return wrong("has no platform".into());
        };
        let Some(required) = required(platform) else {
            return wrong(format!("{platform} is no platform"));
        };
        if !is_id(id) {
            return wrong("is no id".into());
        }
        if entity.len() == 1 {
            return Ok(());
        }
        for key in required.iter().chain(&["unique_id"]) {
            if !entity.contains_key(*key) {
                return wrong(format!("{platform} needs {key}"));
            }
        }
        if let Some(key) = entity.keys().find(|key| {
            let key = key.as_str();
            !COMMON.contains(&key) && !required.contains(&key) && !optional(platform).contains(&key)
        }) {
            return wrong(format!("{platform} has no {key}"));
        }
        let text = |key: &str| entity.get(key).and_then(Value::as_str);
        let unique = text("unique_id").unwrap_or_default();
        if !is_id(unique) {
            return wrong(format!("unique_id {unique:?}"));
        }
        if let Some(entity_id) = text("default_entity_id") {
            let slug = entity_id.strip_prefix(&format!("{platform}."));
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if !slug.is_some_and(|slug| !slug.is_empty() && slug.chars().all(fits)) {
                return wrong(format!("default_entity_id {entity_id:?}"));
            }
        }
        for (key, value) in entity.iter().filter(|(key, _)| key.ends_with("topic")) {
            if !value.as_str().is_some_and(super::topics::is_publishable) {
                return wrong(format!("{key} is {value}"));
            }
        }
        if platform == "text"
            && entity
                .get("max")
                .and_then(Value::as_u64)
                .is_none_or(|max| max > 255)
        {
            return wrong("max is more than 255".into());
        }
        if platform == "image"
            && entity.contains_key("image_topic") == entity.contains_key("url_topic")
        {
            return wrong("needs exactly one of image_topic and url_topic".into());
        }
        for key in ["options", "event_types"] {
            if let Some(list) = texts(entity, key) {
                let mut once = list.clone();
                once.sort_unstable();
                once.dedup();
                if list.is_empty() || once.len() != list.len() {
                    return wrong(format!("{key} is empty or says a thing twice"));
                }
            }
        }
        if platform == "sensor"
            && entity.contains_key("options")
            && text("device_class") != Some("enum")
        {
            return wrong("options are for the class enum".into());
        }
        if text("device_class") == Some("enum")
            && (entity.contains_key("unit_of_measurement") || entity.contains_key("state_class"))
        {
            return wrong("an enum has no unit and no state_class".into());
        }
        if platform == "number" {
            let number = |key: &str| entity.get(key).and_then(Value::as_f64);
            let (min, max, step) = (number("min"), number("max"), number("step"));
            if min >= max || step.is_none_or(|step| step < 0.001) {
                return wrong("min, max or step".into());
            }
        }
        let settings = ["sensor", "binary_sensor", "image", "camera", "event"];
        if text("entity_category") == Some("config") && settings.contains(&platform) {
            return wrong("what only shows is no config".into());
        }
        Ok(())
    }

    pub(super) fn device(config: &Value) -> Result<(), String> {
        let device = config["device"].as_object().ok_or("no device")?;
        let identified = device
            .get("identifiers")
            .or(device.get("connections"))
            .and_then(Value::as_array);
        if identified.is_none_or(Vec::is_empty) {
            return Err("a device needs identifiers or connections".into());
        }
        if !config["origin"]["name"].is_string() {
            return Err("an origin needs a name".into());
        }
        let components = config["components"].as_object().ok_or("no components")?;
        let mut ids: Vec<&str> = components
            .values()
            .filter_map(|entity| entity["unique_id"].as_str())
            .collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() != all {
            return Err("a unique_id is there twice".into());
        }
        components
            .iter()
            .try_for_each(|(id, entity)| component(id, entity))
    }
}

#[test]
fn the_configuration_keeps_to_the_rules() {
    for info in [info(), Info::default()] {
        let config = config(&identity(), &info);
        rules::device(&config).unwrap_or_else(|error| panic!("{error}: {config:#}"));
    }
    let text = config(&identity(), &info()).to_string();
    assert!(!text.contains("object_id"), "it was removed in 2026.4");
    assert!(text.len() < 16 * 1024, "{} bytes", text.len());
}

/// A checker that finds nothing proves nothing.
#[test]
fn the_rules_find_what_breaks_them() {
    let image =
        json!({"platform": "image", "unique_id": "x", "image_topic": "a", "url_topic": "b"});
    let cases = [
        (
            "a",
            json!({"platform": "text", "unique_id": "x", "command_topic": "a", "max": 256}),
        ),
        (
            "a",
            json!({"platform": "text", "unique_id": "x", "max": 255}),
        ),
        ("a", json!({"platform": "lamp", "unique_id": "x"})),
        (
            "a/b",
            json!({"platform": "button", "unique_id": "x", "command_topic": "a"}),
        ),
        ("a", json!({"platform": "button", "command_topic": "a"})),
        (
            "a",
            json!({"platform": "button", "unique_id": "x", "command_topic": "a/#"}),
        ),
        (
            "a",
            json!({"platform": "button", "unique_id": "x", "command_topic": "a", "object_id": "x"}),
        ),
        (
            "a",
            json!({"platform": "button", "unique_id": "x", "command_topic": "a", "default_entity_id": "button.A-b"}),
        ),
        (
            "a",
            json!({"platform": "select", "unique_id": "x", "command_topic": "a", "options": []}),
        ),
        (
            "a",
            json!({"platform": "event", "unique_id": "x", "state_topic": "a", "event_types": ["x", "x"]}),
        ),
        (
            "a",
            json!({"platform": "number", "unique_id": "x", "command_topic": "a", "min": 2, "max": 1, "step": 1}),
        ),
        ("a", image),
    ];
    for (id, entity) in cases {
        assert!(rules::component(id, &entity).is_err(), "{entity}");
    }
}

#[test]
fn what_is_asked_for_is_there() {
    let config = config(&identity(), &info());
    let platform = |id: &str| {
        config["components"][id]["platform"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    for (id, expected) in [
        ("prompt", "text"),
        ("negative", "text"),
        ("long_prompt", "notify"),
        ("generate", "button"),
        ("cancel", "button"),
        ("next", "button"),
        ("previous", "button"),
        ("style", "select"),
        ("scheduler", "select"),
        ("steps", "number"),
        ("guidance", "number"),
        ("interval", "number"),
        ("kiosk", "switch"),
        ("night", "switch"),
        ("image", "image"),
        ("preview", "camera"),
        ("state", "sensor"),
        ("progress", "sensor"),
        ("queue", "sensor"),
        ("temperature", "sensor"),
        ("buttons", "event"),
    ] {
        assert_eq!(platform(id), expected, "{id}");
    }
    assert_eq!(
        config["availability_topic"],
        "easel/Kitchen-abc123/availability"
    );
    assert_eq!(
        config["components"]["prompt"]["unique_id"],
        "easel_Kitchen-abc123_prompt"
    );
    assert_eq!(
        config["components"]["prompt"]["default_entity_id"],
        "text.easel_kitchen_abc123_prompt"
    );
}

/// Every command that Home Assistant is told of is one that the board understands.
#[test]
fn commands_are_understood() {
    use crate::mqtt::payload::parse_set;
    use crate::mqtt::topics::{Command, parse};
    let config = config(&identity(), &info());
    let base = topics::base(&identity().device);
    for (id, entity) in config["components"].as_object().expect("components") {
        let Some(topic) = entity["command_topic"].as_str() else {
            continue;
        };
        let command = parse(&base, topic).unwrap_or_else(|| panic!("{id}: {topic}"));
        if let Command::Set(name) = command {
            let values: Vec<String> = match entity["platform"].as_str() {
                Some("switch") => vec!["ON".into(), "OFF".into()],
                Some("number") => vec![entity["min"].to_string(), entity["max"].to_string()],
                Some("select") => entity["options"]
                    .as_array()
                    .expect("options")
                    .iter()
                    .filter_map(|option| option.as_str().map(str::to_owned))
                    .collect(),
                _ => vec!["a cat".into()],
            };
            for value in values {
                let value = if name == "steps" {
                    value.replace("1.0", "1")
                } else {
                    value
                };
                parse_set(name, value.as_bytes())
                    .unwrap_or_else(|error| panic!("{id}: {value}: {error}"));
            }
        }
    }
}
