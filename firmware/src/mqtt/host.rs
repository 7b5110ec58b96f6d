//! Where the broker is, as people write it: a name, an address, or a URL with all that is needed to get in.

use super::secret::Password;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Name or address of the broker, and what a URL says besides. No error shows what was written: a password may be in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host {
    /// Of the machine: as a name look-up takes it, an IPv6 address without brackets.
    name: String,
    /// Whether the scheme asks for TLS, if there is one.
    tls: Option<bool>,
    port: Option<u16>,
    username: Option<String>,
    password: Option<Password>,
}

/// What is wrong with it. Names the key, as the value is nobody's business.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("broker.host: {0}")]
pub struct WrongHost(&'static str);

const FORMS: &str = "give a name, an address, or mqtt://USER:PASSWORD@NAME:PORT (mqtts:// for TLS)";

impl Host {
    /// Of the machine.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As the scheme says; `None`: there is none.
    pub(super) fn tls(&self) -> Option<bool> {
        self.tls
    }

    pub(super) fn port(&self) -> Option<u16> {
        self.port
    }

    pub(super) fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    pub(super) fn password(&self) -> Option<&Password> {
        self.password.as_ref()
    }
}

impl FromStr for Host {
    type Err = WrongHost;

    fn from_str(text: &str) -> Result<Self, WrongHost> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else {
            return plain(text);
        };
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "mqtt" => false,
            "mqtts" => true,
            _ => return Err(WrongHost("its scheme is neither mqtt:// nor mqtts://")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // A password may have any of these, percent-encoded.
        if rest.contains(['/', '?', '#']) {
            let advice =
                "has a path, or a password with / ? or #: write these as %2F %3F %23, and no path";
            return Err(WrongHost(advice));
        }
        let (login, at) = match rest.rsplit_once('@') {
            Some((login, at)) => (Some(login), at),
            None => (None, rest),
        };
        let (username, password) = match login {
            None => (None, None),
            Some(login) => {
                let (name, password) = match login.split_once(':') {
                    Some((name, password)) => (name, Some(decoded(password)?)),
                    None => (login, None),
                };
                let name = Some(decoded(name)?).filter(|name| !name.is_empty());
                (name, password)
            }
        };
        if password.is_some() && username.is_none() {
            return Err(WrongHost("has a password, but no user name before it"));
        }
        let (name, port) = authority(at)?;
        Ok(Self {
            name,
            tls: Some(tls),
            port,
            username,
            password: password.map(Password::new),
        })
    }
}

/// A name or an address and nothing else.
fn plain(text: &str) -> Result<Host, WrongHost> {
    if text.contains(['/', '@']) {
        return Err(WrongHost(FORMS));
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    if text.contains(':') && !is_ipv6(bare) {
        return Err(WrongHost(
            "has a colon: the port is broker.port, or write mqtt://NAME:PORT",
        ));
    }
    Ok(Host {
        name: checked(bare)?,
        tls: None,
        port: None,
        username: None,
        password: None,
    })
}

/// What stands behind the `@`: an IPv6 address is in brackets, so that its end is known.
fn authority(at: &str) -> Result<(String, Option<u16>), WrongHost> {
    let (name, port) = match at.strip_prefix('[') {
        Some(rest) => {
            let closed = rest.split_once(']');
            let (name, rest) = closed.ok_or(WrongHost("an IPv6 address has no closing bracket"))?;
            let name = decoded(name)?;
            if !is_ipv6(&name) {
                return Err(WrongHost("what is in brackets is no IPv6 address"));
            }
            match rest.strip_prefix(':') {
                Some(port) => (name, Some(port)),
                None if rest.is_empty() => (name, None),
                None => return Err(WrongHost(FORMS)),
            }
        }
        None => {
            let (name, port) = match at.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (at, None),
            };
            if port.is_some_and(|port| port.contains(':')) {
                let advice = "has several colons: write an IPv6 address in brackets, a : in a password as %3A";
                return Err(WrongHost(advice));
            }
            (decoded(name)?, port)
        }
    };
    // `mqtt://name:` is what a template without a port makes.
    let port = port.filter(|port| !port.is_empty()).map(|port| {
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| is_number && *port > 0);
        port.ok_or(WrongHost(
            "its port is not 1 to 65535 (an @ in a password is %40)",
        ))
    });
    Ok((checked(&name)?, port.transpose()?))
}

fn checked(name: &str) -> Result<String, WrongHost> {
    if name.is_empty() || name.len() > 253 {
        return Err(WrongHost("has no name, or one of more than 253 bytes"));
    }
    let fits = |c: char| c.is_alphanumeric() || "-_.:%".contains(c);
    if !name.chars().all(fits) || (name.contains('%') && !is_ipv6(name)) {
        return Err(WrongHost("has characters that no name of a machine has"));
    }
    Ok(name.to_owned())
}

/// With or without a zone, as `fe80::1%eth0`.
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "eth0"));
    !zone.is_empty() && address.parse::<Ipv6Addr>().is_ok()
}

/// RFC 3986, section 2.1.
fn decoded(text: &str) -> Result<String, WrongHost> {
    let wrong =
        WrongHost("has a % that is not followed by two hexadecimal digits: write % itself as %25");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        rest = others;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let [high, low, others @ ..] = rest else {
            return Err(wrong);
        };
        let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
            return Err(wrong);
        };
        bytes.push((high * 16 + low) as u8);
        rest = others;
    }
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| WrongHost("is no UTF-8 when its %XX are read"))?;
    if text.contains(char::is_control) {
        return Err(WrongHost("has a control character"));
    }
    Ok(text)
}

/// Without the password: what this writes is printed.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(tls) = self.tls else {
            return f.write_str(&self.name);
        };
        f.write_str(if tls { "mqtts://" } else { "mqtt://" })?;
        if let Some(name) = &self.username {
            for byte in name.bytes() {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    write!(f, "{}", char::from(byte))?;
                } else {
                    write!(f, "%{byte:02X}")?;
                }
            }
            f.write_str("@")?;
        }
        if self.name.contains(':') {
            write!(f, "[{}]", self.name.replace('%', "%25"))?;
        } else {
            f.write_str(&self.name)?;
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl TryFrom<String> for Host {
    type Error = WrongHost;

    fn try_from(text: String) -> Result<Self, WrongHost> {
        text.parse()
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Host {
        text.parse().expect(text)
    }

    #[test]
    fn a_url_says_all_that_is_needed() {
        for (text, name, tls, port, username, password) in [
            ("b", "b", None, None, None, None),
            (" b.local ", "b.local", None, None, None, None),
            ("192.168.1.7", "192.168.1.7", None, None, None, None),
            ("::1", "::1", None, None, None, None),
            ("[::1]", "::1", None, None, None, None),
            ("fe80::1%eth0", "fe80::1%eth0", None, None, None, None),
            ("mqtt://b", "b", Some(false), None, None, None),
            ("mqtt://b/", "b", Some(false), None, None, None),
            ("MQTTS://b:99", "b", Some(true), Some(99), None, None),
            ("mqtt://u@b", "b", Some(false), None, Some("u"), None),
            ("mqtt://u:@b", "b", Some(false), None, Some("u"), Some("")),
            (
                "mqtt://u:p@b:1",
                "b",
                Some(false),
                Some(1),
                Some("u"),
                Some("p"),
            ),
            (
                "mqtt://u%40x:%C3%A9%3a%2F%25@b",
                "b",
                Some(false),
                None,
                Some("u@x"),
                Some("é:/%"),
            ),
            (
                "mqtt://u:p:q@b",
                "b",
                Some(false),
                None,
                Some("u"),
                Some("p:q"),
            ),
            (
                "mqtt://u:p@q@b",
                "b",
                Some(false),
                None,
                Some("u"),
                Some("p@q"),
            ),
            (
                "mqtts://u:p@[2001:db8::7]:8884",
                "2001:db8::7",
                Some(true),
                Some(8884),
                Some("u"),
                Some("p"),
            ),
            (
                "mqtt://[fe80::1%25eth0]",
                "fe80::1%eth0",
                Some(false),
                None,
                None,
                None,
            ),
            ("mqtt://b:", "b", Some(false), None, None, None),
        ] {
            let host = read(text);
            assert_eq!(host.name(), name, "{text}");
            assert_eq!((host.tls(), host.port()), (tls, port), "{text}");
            let found = host.password().map(Password::reveal);
            assert_eq!((host.username(), found), (username, password), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_never_shown() {
        for text in [
            "",
            "mqtt://",
            "http://u:hunter2@b",
            "u:hunter2@b",
            "hunter2:1883",
            "b/hunter2",
            "mqtt://u:hunter2@",
            "mqtt://u:hunter2@b:0",
            "mqtt://u:hunter2@b:65536",
            "mqtt://u:hunter2@b:+1",
            "mqtt://u:hunter2/@b",
            "mqtt://u:hunter2#@b",
            "mqtt://u:hunter2%4@b",
            "mqtt://u:hunter2%zz@b",
            "mqtt://u:hunter2%ff@b",
            "mqtt://u:hunter2%00@b",
            "mqtt://:hunter2@b",
            "mqtt://u:hunter2@::1",
            "mqtt://u:hunter2@[::1",
            "mqtt://u:hunter2@[hunter2]",
            "mqtt://u:hunter2@[::1]x",
            "mqtt://u:hunter2@b b",
            "hunter2 b",
        ] {
            let error = text.parse::<Host>().expect_err(text).to_string();
            assert!(error.starts_with("broker.host: "), "{error}");
            assert!(
                !error.contains("hunter2") && !error.contains('\n'),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_printed_has_no_password_and_is_read_again() {
        for (text, printed) in [
            ("b", "b"),
            ("mqtt://u:hunter2@b:7", "mqtt://u@b:7"),
            ("mqtts://a%40b%20:hunter2@[::1]", "mqtts://a%40b%20@[::1]"),
            ("mqtt://[fe80::1%25eth0]:9", "mqtt://[fe80::1%25eth0]:9"),
        ] {
            let host = read(text);
            assert_eq!(host.to_string(), printed);
            assert!(!format!("{host:?}").contains("hunter2"));
            let again = read(printed);
            assert_eq!(again.to_string(), printed);
            assert_eq!(
                (again.name(), again.username()),
                (host.name(), host.username())
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_host_or_none(text in ".{0,40}", login in "[ -~]{0,12}") {
            let _ = text.parse::<Host>();
            if let Ok(host) = format!("mqtt://{login}@b").parse::<Host>() {
                prop_assert_eq!(read(&host.to_string()).to_string(), host.to_string());
            }
        }
    }
}
