//! The `[broker]` of a board's configuration.

use super::Host;
use super::topics::is_plain_name;
use crate::board::{Section, Wrong, within};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where the broker is and how to get in.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrokerSettings {
    /// Whether the board talks to a broker at all; without a host or one of its own it does not either.
    pub enabled: bool,
    /// Whether easel starts a broker on this machine; it goes before a host that is inherited.
    pub embedded: bool,
    /// Name or address, or a URL that says port, user, password and TLS as well; `None`: no broker.
    pub host: Option<Host>,
    /// TCP port, of an embedded broker the one that it listens on; `None`: 8883 with TLS, 1883 without.
    pub port: Option<u16>,
    /// The board's name in topics; `None`: made of the host name and the machine id.
    pub device: Option<String>,
    /// Whom the broker knows the board as.
    pub username: Option<String>,
    /// A file whose first line is the password. The environment and systemd's credentials go before it.
    pub password_file: Option<PathBuf>,
    /// Whether to speak TLS; `None`: when a certificate is named or the port is 8883.
    pub tls: Option<bool>,
    /// PEM, whom to trust; `None`: whom the system trusts.
    pub ca_file: Option<PathBuf>,
    /// PEM, the board's own certificate and those up to its issuer.
    pub certificate_file: Option<PathBuf>,
    /// PEM, the key of the board's certificate.
    pub key_file: Option<PathBuf>,
    /// Seconds of silence after which either side looks whether the other is there.
    pub keep_alive_s: u16,
    /// Largest packet that the broker may send, KiB.
    pub max_packet_kib: u32,
    /// Whether Home Assistant is told of the board.
    pub discovery: bool,
    /// Where Home Assistant listens.
    pub discovery_prefix: String,
    /// The group whose queue the board shares.
    pub fleet: Option<String>,
}

impl Default for BrokerSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            embedded: false,
            host: None,
            port: None,
            device: None,
            username: None,
            password_file: None,
            tls: None,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            keep_alive_s: 30,
            max_packet_kib: 512,
            discovery: true,
            discovery_prefix: "homeassistant".to_owned(),
            fleet: None,
        }
    }
}

impl BrokerSettings {
    /// Whether the connection is encrypted.
    #[must_use]
    pub fn uses_tls(&self) -> bool {
        let implied = self.ca_file.is_some() || self.certificate_file.is_some();
        let said = self.url().and_then(Host::tls).or(self.tls);
        !self.embedded && said.unwrap_or(implied || self.port == Some(8883))
    }

    /// Host and port to connect to; `None`: the board works alone.
    #[must_use]
    pub fn address(&self) -> Option<(String, u16)> {
        let host = if self.embedded {
            Some("127.0.0.1".to_owned())
        } else {
            self.host.as_ref().map(|host| host.name().to_owned())
        };
        Some((host.filter(|_| self.enabled)?, self.port_or_default()))
    }

    /// The port as it is set, or MQTT's own.
    pub(super) fn port_or_default(&self) -> u16 {
        let default = if self.uses_tls() { 8883 } else { 1883 };
        let said = self.url().and_then(Host::port);
        said.or(self.port).unwrap_or(default)
    }

    /// The host, if it is one: an embedded broker goes before it.
    pub(super) fn url(&self) -> Option<&Host> {
        self.host.as_ref().filter(|_| !self.embedded)
    }

    /// Whom the broker knows the board as.
    pub(super) fn user(&self) -> Option<&str> {
        let said = self.url().and_then(Host::username);
        said.or(self.username.as_deref())
    }

    /// Looks whether what the URL says and what the keys say is the same; they may come from several files.
    ///
    /// # Errors
    /// Names the key that says otherwise.
    pub(crate) fn check_url(&self) -> Result<(), Wrong> {
        let Some(host) = self.url() else {
            return Ok(());
        };
        let certificates = [
            ("ca_file", self.ca_file.is_some()),
            ("certificate_file", self.certificate_file.is_some()),
            ("key_file", self.key_file.is_some()),
        ];
        let certificate = certificates.into_iter().find(|(_, is_set)| *is_set);
        let scheme = host.tls();
        let contradicts = |one: bool, key| one.then_some(key);
        let differs = contradicts(
            host.port()
                .zip(self.port)
                .is_some_and(|(url, key)| url != key),
            "port",
        )
        .or_else(|| {
            let names = host.username().zip(self.username.as_deref());
            contradicts(names.is_some_and(|(url, key)| url != key), "username")
        })
        .or_else(|| {
            let both = host.password().is_some() && self.password_file.is_some();
            contradicts(both, "password_file")
        })
        .or_else(|| {
            let tls = scheme.zip(self.tls);
            contradicts(tls.is_some_and(|(url, key)| url != key), "tls")
        })
        .or_else(|| Some(certificate?.0).filter(|_| scheme == Some(false)));
        match differs {
            Some(key) => {
                let advice = "the URL in broker.host says otherwise: leave out one of them";
                Err(Wrong::new(key, advice))
            }
            None => Ok(()),
        }
    }
}

impl Section for BrokerSettings {
    const NAME: &str = "broker";
    const PATHS: &[&str] = &["password_file", "ca_file", "certificate_file", "key_file"];

    fn check(&self) -> Result<(), Wrong> {
        if self.port == Some(0) {
            return Err(Wrong::new("port", "0: give 1 to 65535"));
        }
        for (key, name) in [("device", &self.device), ("fleet", &self.fleet)] {
            if let Some(name) = name
                && !is_plain_name(name)
            {
                let advice = "give 1 to 64 letters, digits, dashes or underscores";
                return Err(Wrong::new(key, advice));
            }
        }
        let prefix = &self.discovery_prefix;
        if prefix.is_empty() || prefix.len() > 100 || prefix.contains(['+', '#', '\0', ' ']) {
            let advice = "give a topic without wildcards, such as homeassistant";
            return Err(Wrong::new("discovery_prefix", advice));
        }
        within("keep_alive_s", self.keep_alive_s, 5, 3600)?;
        within("max_packet_kib", self.max_packet_kib, 96, 16 * 1024)?;
        self.check_embedded()?;
        self.check_url()?;
        self.check_certificates()
    }
}

impl BrokerSettings {
    fn check_embedded(&self) -> Result<(), Wrong> {
        if !self.embedded {
            return Ok(());
        }
        if self.host.is_some() {
            let advice = "is another broker than the embedded one: leave out one of them";
            return Err(Wrong::new("host", advice));
        }
        let advice = "the embedded broker has no TLS: leave it out, or run Mosquitto yourself and name it as host";
        for (key, is_set) in [
            ("tls", self.tls == Some(true)),
            ("ca_file", self.ca_file.is_some()),
            ("certificate_file", self.certificate_file.is_some()),
            ("key_file", self.key_file.is_some()),
        ] {
            if is_set {
                return Err(Wrong::new(key, advice));
            }
        }
        Ok(())
    }

    fn check_certificates(&self) -> Result<(), Wrong> {
        match (&self.certificate_file, &self.key_file) {
            (Some(_), None) => {
                let advice = "is missing: a certificate needs its key";
                return Err(Wrong::new("key_file", advice));
            }
            (None, Some(_)) => {
                let advice = "is missing: a key needs its certificate";
                return Err(Wrong::new("certificate_file", advice));
            }
            (Some(_), Some(_)) if self.ca_file.is_none() => {
                let advice = "is missing: a broker that asks for a certificate has its own issuer";
                return Err(Wrong::new("ca_file", advice));
            }
            _ => {}
        }
        if self.tls == Some(false) && self.ca_file.is_some() {
            let advice = "false, but ca_file is set: leave out one of them";
            return Err(Wrong::new("tls", advice));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> BrokerSettings {
        toml::from_str(text).expect("its keys are known")
    }

    #[test]
    fn the_port_follows_tls() {
        let address = |text| read(text).address();
        assert_eq!(address(""), None);
        assert_eq!(address("host = 'b'"), Some(("b".into(), 1883)));
        assert_eq!(address("host = 'b'\ntls = true"), Some(("b".into(), 8883)));
        assert_eq!(
            address("host = 'b'\nca_file = 'x'"),
            Some(("b".into(), 8883))
        );
        assert_eq!(address("host = 'b'\nport = 99"), Some(("b".into(), 99)));
        assert!(read("host = 'b'\nport = 8883").uses_tls());
        assert_eq!(address("host = 'mqtt://b'"), Some(("b".into(), 1883)));
        assert_eq!(address("host = 'mqtts://b'"), Some(("b".into(), 8883)));
        assert_eq!(address("host = 'mqtts://b:7'"), Some(("b".into(), 7)));
        assert_eq!(
            address("host = 'mqtt://b'\nport = 7"),
            Some(("b".into(), 7))
        );
        assert!(!read("host = 'mqtt://b:8883'").uses_tls());
        assert!(read("host = 'mqtts://b:1883'").uses_tls());
        assert_eq!(
            read("host = 'mqtt://u@b'\nusername = 'u'").user(),
            Some("u")
        );
        assert_eq!(address("host = 'b'\nenabled = false"), None);
    }

    #[test]
    fn a_broker_of_its_own_is_on_this_machine_and_without_tls() {
        let own = |text| read(&format!("embedded = true\n{text}"));
        let local = |port| Some(("127.0.0.1".to_owned(), port));
        assert_eq!(own("").address(), local(1883));
        assert_eq!(own("port = 99").address(), local(99));
        assert_eq!(own("port = 8883").address(), local(8883));
        assert!(!own("port = 8883").uses_tls());
        // From a file that this one inherits from: the nearer one wins.
        assert_eq!(own("host = 'b'\nca_file = 'x'").address(), local(1883));
        assert_eq!(own("enabled = false").address(), None);
    }

    #[test]
    fn wrong_values_are_named() {
        for (text, key) in [
            ("host = 'mqtt://b:1'\nport = 2", "port"),
            ("host = 'mqtt://u@b'\nusername = 'v'", "username"),
            (
                "host = 'mqtt://u:p@b'\npassword_file = 'p'",
                "password_file",
            ),
            ("host = 'mqtt://b'\ntls = true", "tls"),
            ("host = 'mqtts://b'\ntls = false", "tls"),
            ("host = 'mqtt://b'\nca_file = 'x'", "ca_file"),
            ("port = 0", "port"),
            ("device = 'a/b'", "device"),
            ("device = ''", "device"),
            ("fleet = '#'", "fleet"),
            ("discovery_prefix = 'a/+'", "discovery_prefix"),
            ("keep_alive_s = 1", "keep_alive_s"),
            ("max_packet_kib = 1", "max_packet_kib"),
            ("certificate_file = 'x'", "key_file"),
            ("key_file = 'x'", "certificate_file"),
            ("certificate_file = 'x'\nkey_file = 'y'", "ca_file"),
            ("tls = false\nca_file = 'x'", "tls"),
            ("embedded = true\nhost = 'b'", "host"),
            ("embedded = true\ntls = true", "tls"),
            ("embedded = true\nca_file = 'x'", "ca_file"),
            ("embedded = true\nkey_file = 'x'", "key_file"),
        ] {
            let wrong = read(text).check().expect_err(text);
            assert!(
                format!("{wrong:?}").contains(&format!("key: {key:?}")),
                "{wrong:?}"
            );
        }
        assert!(read("").check().is_ok());
        let same =
            "host = 'mqtts://u:p@b:99'\nport = 99\nusername = 'u'\ntls = true\nca_file = 'x'";
        assert!(read(same).check().is_ok());
        let own = "embedded = true\ntls = false\nport = 99\nusername = 'a'\npassword_file = 'b'";
        assert!(read(own).check().is_ok());
    }
}
