//! Home Assistant's device discovery: one retained message that tells of the board and all its entities.
//!
//! <https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload>, in whole words, not abbreviations.

use super::outbox::Message;
use super::payload::DEFAULT;
use super::report::Info;
use super::{Identity, publication, topics};
use easel::SchedulerKind;
use serde_json::{Map, Value, json};

/// The configuration, to be published when it changes and when Home Assistant starts.
pub(super) fn message(prefix: &str, identity: &Identity, info: &Info) -> Message {
    Message {
        topic: topic(prefix, &identity.device),
        retain: true,
        ..publication::json(&config(identity, info))
    }
}

/// Takes the board out of Home Assistant.
pub(super) fn removal(prefix: &str, device: &str) -> Message {
    Message {
        topic: topic(prefix, device),
        retain: true,
        ..Message::default()
    }
}

fn topic(prefix: &str, device: &str) -> String {
    format!("{prefix}/device/easel_{device}/config")
}

/// What Home Assistant is told of a board.
#[must_use]
pub fn config(identity: &Identity, info: &Info) -> Value {
    let base = topics::base(&identity.device);
    let mut entities = Entities {
        base: &base,
        device: &identity.device,
        all: Map::new(),
    };
    entities.commands(info);
    entities.pictures();
    entities.sensors();
    json!({
        "device": {
            "identifiers": [format!("easel_{}", identity.device)],
            "name": identity.name,
            "manufacturer": "easel",
            "model": if identity.model.is_empty() { "picture frame" } else { &identity.model },
            "sw_version": identity.version,
        },
        "origin": {
            "name": "easel",
            "sw_version": identity.version,
            "support_url": env!("CARGO_PKG_REPOSITORY"),
        },
        "availability_topic": format!("{base}/availability"),
        "qos": 1,
        "components": entities.all,
    })
}

struct Entities<'a> {
    base: &'a str,
    device: &'a str,
    all: Map<String, Value>,
}

impl Entities<'_> {
    /// Ids hang on the device id and the component's name alone, so that they outlast every change of what people read.
    fn add(&mut self, id: &str, platform: &str, name: &str, more: Value) {
        let unique = format!("easel_{}_{id}", self.device);
        let mut entity = Map::new();
        entity.insert("platform".into(), platform.into());
        entity.insert("unique_id".into(), unique.clone().into());
        let slug = unique.to_ascii_lowercase().replace('-', "_");
        entity.insert(
            "default_entity_id".into(),
            format!("{platform}.{slug}").into(),
        );
        entity.insert("name".into(), name.into());
        if let Value::Object(more) = more {
            entity.extend(more);
        }
        self.all.insert(id.to_owned(), entity.into());
    }

    /// A component that is not there (any more): its platform alone takes it out.
    fn remove(&mut self, id: &str, platform: &str) {
        self.all
            .insert(id.to_owned(), json!({ "platform": platform }));
    }

    fn topic(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }

    /// A setting: command under `set/`, state out of `settings`.
    fn setting(&mut self, id: &str, platform: &str, name: &str, icon: &str, more: Value) {
        let mut all = json!({
            "command_topic": self.topic(&format!("set/{id}")),
            "state_topic": self.topic("settings"),
            "value_template": format!("{{{{ value_json.{id} }}}}"),
            "icon": icon,
        });
        if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
            all.extend(more);
        }
        self.add(id, platform, name, all);
    }

    fn commands(&mut self, info: &Info) {
        for (id, name, icon) in [
            ("prompt", "Prompt", "mdi:palette"),
            ("negative", "Not in the picture", "mdi:eraser"),
        ] {
            // A state of more than 255 characters is refused; the whole prompt is an attribute of the picture.
            let value = format!("{{{{ (value_json.{id} or '')[:255] }}}}");
            self.setting(
                id,
                "text",
                name,
                icon,
                json!({ "max": 255, "value_template": value }),
            );
        }
        let paint = json!({ "command_topic": self.topic("paint"), "icon": "mdi:brush" });
        self.add("long_prompt", "notify", "Paint", paint);
        for (id, name, icon, topic, payload) in [
            ("generate", "Generate", "mdi:brush", "generate", "press"),
            ("vary", "Vary", "mdi:auto-fix", "vary", "press"),
            ("cancel", "Cancel", "mdi:cancel", "cancel", ""),
            ("next", "Next picture", "mdi:skip-next", "show", "next"),
            (
                "previous",
                "Previous picture",
                "mdi:skip-previous",
                "show",
                "previous",
            ),
        ] {
            let button = json!({ "command_topic": self.topic(topic), "payload_press": payload, "icon": icon });
            self.add(id, "button", name, button);
        }
        let default = format!("{{{{ value_json.style or '{DEFAULT}' }}}}");
        let mut styles = vec![DEFAULT.to_owned()];
        styles.extend(info.styles.iter().cloned());
        let select =
            json!({ "options": styles, "value_template": default, "entity_category": "config" });
        self.setting("style", "select", "Style", "mdi:format-paint", select);
        let default = format!("{{{{ value_json.scheduler or '{DEFAULT}' }}}}");
        let mut schedulers = vec![DEFAULT.to_owned()];
        schedulers.extend(SchedulerKind::ALL.iter().map(ToString::to_string));
        let select = json!({ "options": schedulers, "value_template": default, "entity_category": "config" });
        self.setting(
            "scheduler",
            "select",
            "Scheduler",
            "mdi:chart-bell-curve",
            select,
        );
        for (id, name, icon, min, max, step, unit) in [
            ("steps", "Steps", "mdi:stairs", 1.0, 1000.0, 1.0, None),
            ("guidance", "Guidance", "mdi:compass", 0.0, 50.0, 0.1, None),
            (
                "interval",
                "Interval",
                "mdi:timer",
                10.0,
                604_800.0,
                1.0,
                Some("s"),
            ),
        ] {
            let mut number = json!({
                "min": min, "max": max, "step": step, "mode": "box", "entity_category": "config",
            });
            if let Some(unit) = unit {
                number["unit_of_measurement"] = unit.into();
            }
            self.setting(id, "number", name, icon, number);
        }
        for (id, name, icon) in [
            ("kiosk", "Playlist", "mdi:playlist-play"),
            ("night", "Night", "mdi:weather-night"),
        ] {
            let value = format!("{{{{ 'ON' if value_json.{id} else 'OFF' }}}}");
            let switch = json!({ "value_template": value, "entity_category": "config" });
            self.setting(id, "switch", name, icon, switch);
        }
        if info.buttons.is_empty() {
            self.remove("buttons", "event");
        } else {
            let event = json!({
                "state_topic": self.topic("button"), "event_types": info.buttons, "device_class": "button",
            });
            self.add("buttons", "event", "Buttons", event);
        }
    }

    fn pictures(&mut self) {
        let image = json!({
            "image_topic": self.topic("image"),
            "content_type": "image/jpeg",
            "json_attributes_topic": self.topic("image/info"),
        });
        self.add("image", "image", "Picture", image);
        let preview = json!({ "topic": self.topic("preview") });
        self.add("preview", "camera", "Preview", preview);
    }

    fn sensors(&mut self) {
        let state = self.topic("state");
        self.add(
            "state",
            "sensor",
            "State",
            json!({
                "state_topic": state,
                "value_template": "{{ value_json.state }}",
                "device_class": "enum",
                "options": ["idle", "painting", "error"],
                "json_attributes_topic": state,
            }),
        );
        self.add("progress", "sensor", "Progress", json!({
            "state_topic": state,
            "value_template":
                "{{ (100 * value_json.step / value_json.steps) | round if value_json.steps else 0 }}",
            "unit_of_measurement": "%",
            "icon": "mdi:progress-clock",
        }));
        self.add(
            "queue",
            "sensor",
            "Queue",
            json!({
                "state_topic": state,
                "value_template": "{{ value_json.queue }}",
                "state_class": "measurement",
                "icon": "mdi:tray-full",
            }),
        );
        self.add(
            "problem",
            "binary_sensor",
            "Problem",
            json!({
                "state_topic": state,
                "value_template": "{{ 'ON' if value_json.problem else 'OFF' }}",
                "device_class": "problem",
                "entity_category": "diagnostic",
            }),
        );
        for (id, name, key, unit, class) in [
            (
                "temperature",
                "Temperature",
                "temperature_c",
                "°C",
                "temperature",
            ),
            ("disk", "Free space", "disk_free_mib", "MiB", "data_size"),
            ("memory", "Memory", "rss_mib", "MiB", "data_size"),
            (
                "duration",
                "Last duration",
                "last_duration_s",
                "s",
                "duration",
            ),
        ] {
            self.add(
                id,
                "sensor",
                name,
                json!({
                    "state_topic": self.topic("health"),
                    "value_template": format!("{{{{ value_json.{key} }}}}"),
                    "unit_of_measurement": unit,
                    "device_class": class,
                    "state_class": "measurement",
                    "entity_category": "diagnostic",
                }),
            );
        }
        self.add(
            "undervoltage",
            "binary_sensor",
            "Undervoltage",
            json!({
                "state_topic": self.topic("health"),
                "value_template": "{{ 'ON' if value_json.undervoltage else 'OFF' }}",
                "device_class": "problem",
                "entity_category": "diagnostic",
            }),
        );
    }
}

#[cfg(test)]
#[path = "discovery_tests.rs"]
mod tests;
