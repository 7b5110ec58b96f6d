//! Who may connect to the board's own broker, and from where.

use super::super::fault::Fault;
use super::super::secret::{Password, PasswordPlaces};
use super::super::{BrokerError, BrokerSettings};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Who may connect, and from where: a broker that lets anybody in is for this machine alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Access {
    /// Anybody on this machine.
    Machine,
    /// Who knows the password, from everywhere.
    User {
        /// As which the board itself connects, too.
        name: String,
        /// Of that user.
        password: Password,
    },
}

impl Access {
    /// # Errors
    /// Half of the credentials, or such as Mosquitto cannot keep; a password that cannot be read.
    pub(super) fn new(
        settings: &BrokerSettings,
        places: &PasswordPlaces,
    ) -> Result<Self, BrokerError> {
        let wrong = |text| Err(BrokerError::Credentials(text));
        match (settings.user().map(str::to_owned), places.look()?) {
            (None, None) => Ok(Self::Machine),
            (None, Some(_)) => wrong(
                "there is a password, but no broker.username: set it to whom the password is for",
            ),
            (Some(_), None) => wrong(
                "there is a broker.username, but no password: \
                 give one in broker.password_file, in EASEL_MQTT_PASSWORD or as the service's credential",
            ),
            (Some(name), Some(_)) if !is_right_name(&name) => wrong(
                "broker.username: is nothing for the embedded broker: give letters, digits and . _ - @",
            ),
            (Some(_), Some(password)) if password.reveal().is_empty() => {
                wrong("the password is empty: give one, or leave out broker.username")
            }
            (Some(name), Some(password)) => Ok(Self::User { name, password }),
        }
    }

    /// The address to listen on; `None`: all.
    pub(super) fn listens_on(&self) -> Option<Ipv4Addr> {
        (*self == Self::Machine).then_some(Ipv4Addr::LOCALHOST)
    }

    /// For the log, after the name of the broker.
    pub(super) fn describe(&self, port: u16) -> String {
        match self {
            Self::Machine => format!("on 127.0.0.1:{port}, this machine alone"),
            Self::User { name, .. } => format!("on port {port}, for user {name}"),
        }
    }

    /// Looks whether a broker could listen on this port.
    ///
    /// # Errors
    /// Why it could not, and what to do.
    pub(super) fn check_port(&self, port: u16) -> Result<(), Fault> {
        let address = self.listens_on().unwrap_or(Ipv4Addr::UNSPECIFIED);
        match TcpListener::bind((address, port)) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::AddrInUse => Err(port_is_taken(port)),
            Err(error) => Err(Fault::slow(format!(
                "port {port}: {error}: give another broker.port"
            ))),
        }
    }
}

/// What the password file of Mosquitto keeps as it is, and its `mosquitto_passwd` does not take for an option.
fn is_right_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(fits) && !name.starts_with('-')
}

pub(super) fn port_is_taken(port: u16) -> Fault {
    Fault::soon(format!(
        "another program listens on port {port}: if it is Mosquitto's own service, either leave out broker.embedded and set \
         host = \"127.0.0.1\", or end it with `sudo systemctl disable --now mosquitto`; otherwise give another broker.port"
    ))
}

/// Whether something on this machine takes connections there.
pub(super) fn answers(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn access(text: &str, password: Option<&str>) -> Result<Access, String> {
        let settings: BrokerSettings = toml::from_str(text).expect("its keys are known");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("password");
        if let Some(password) = password {
            std::fs::write(&file, password).expect("it can be written");
        }
        let file: Option<&Path> = password.map(|_| file.as_path());
        Access::new(&settings, &PasswordPlaces::in_file(file)).map_err(|error| error.to_string())
    }

    #[test]
    fn only_who_knows_a_password_comes_from_elsewhere() {
        let machine = access("", None).expect("it is right");
        assert_eq!(machine.listens_on(), Some(Ipv4Addr::LOCALHOST));
        let user = access("username = 'frame'", Some("a:b c\n")).expect("it is right");
        assert_eq!(user.listens_on(), None);
        assert_eq!(user.describe(1883), "on port 1883, for user frame");
        assert!(!format!("{user:?}").contains("a:b"), "{user:?}");
    }

    #[test]
    fn half_of_the_credentials_opens_nothing() {
        for (text, password, says) in [
            ("username = 'frame'", None, "no password"),
            ("username = 'frame'", Some(""), "empty"),
            ("", Some("secret"), "no broker.username"),
            ("username = 'a:b'", Some("secret"), "broker.username"),
            ("username = '-b'", Some("secret"), "broker.username"),
            ("username = ''", Some("secret"), "broker.username"),
        ] {
            let error = access(text, password).expect_err(text);
            assert!(error.contains(says) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_port_that_is_taken_is_told() {
        let other = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = other.local_addr().expect("it is bound").port();
        for access in [
            access("", None),
            access("username = 'frame'", Some("secret")),
        ] {
            let fault = access.expect("it is right").check_port(port);
            let reason = fault.expect_err("it is taken").reason;
            assert!(reason.contains(&port.to_string()) && reason.contains("broker.port"));
        }
    }
}
