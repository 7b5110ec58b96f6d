//! Who the board is to those on the broker.

use super::BrokerSettings;
use super::topics::is_plain_name;
use std::path::Path;

/// Who the board is to those on the broker. The device id must stay the same for years: topics, the session at the
/// broker and Home Assistant's entities hang on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// In topics: letters, digits, dashes and underscores.
    pub device: String,
    /// What people call it.
    pub name: String,
    /// What it is made of.
    pub model: String,
    /// Of the program.
    pub version: String,
}

impl Identity {
    /// With the device id of the configuration, or one made of host name and machine id.
    #[must_use]
    pub fn of_machine(settings: &BrokerSettings, name: &str, model: &str) -> Self {
        let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
        let device = settings.device.clone().unwrap_or_else(|| {
            let host = read("/proc/sys/kernel/hostname");
            device_id(host.trim(), read("/etc/machine-id").trim())
        });
        Self {
            device,
            name: name.to_owned(),
            model: model.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Two boards made from one image have one host name, hence the machine id's end.
fn device_id(host: &str, machine: &str) -> String {
    let plain: String = host
        .chars()
        .take_while(|&c| c != '.')
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(48)
        .collect();
    let host = plain.trim_matches('-').to_ascii_lowercase();
    let host = if host.is_empty() { "easel" } else { &host };
    let suffix: String = machine
        .chars()
        .rev()
        .take(6)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    let id = format!("{host}-{suffix}");
    if is_plain_name(&id) && !suffix.is_empty() {
        id
    } else {
        host.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_plain_whatever_the_host_is_called() {
        let machine = "0123456789abcdef0123456789abcdef";
        assert_eq!(device_id("Kitchen.local", machine), "kitchen-abcdef");
        assert_eq!(device_id("", machine), "easel-abcdef");
        assert_eq!(device_id("küche", ""), "k-che");
        assert_eq!(device_id("a/b#+", machine), "a-b-abcdef");
        assert_eq!(device_id("frame", "uninitialized!"), "frame");
        assert!(is_plain_name(&device_id(&"x".repeat(300), machine)));
    }
}
