//! Why there is no connection, in a line that says what to do.

use rumqttc::{ConnectReturnCode, ConnectionError, DisconnectReasonCode, StateError};
use std::error::Error;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// One line: what happened and what to do.
    pub(super) reason: String,
    /// Whether trying again soon is of no use.
    pub(super) slow: bool,
    /// Whether the other side closed the connection and gave no reason.
    pub(super) silent: bool,
}

impl Fault {
    pub(super) fn soon(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            slow: false,
            silent: false,
        }
    }

    pub(super) fn slow(reason: impl Into<String>) -> Self {
        Self {
            slow: true,
            ..Self::soon(reason)
        }
    }

    fn closed() -> Self {
        Self {
            silent: true,
            ..Self::soon("the broker closed the connection")
        }
    }

    /// `up`: whether the broker had let the board in.
    pub(super) fn of(error: &ConnectionError, up: bool) -> Self {
        let fault = match error {
            ConnectionError::ConnectionRefused(code) => refused(*code),
            ConnectionError::MqttState(error) => state(error),
            ConnectionError::Timeout(_) => {
                Self::soon("the broker does not answer: is it the right host and port?")
            }
            ConnectionError::Tls(error) => tls(error),
            ConnectionError::Io(error) => io(error),
            ConnectionError::NotConnAck(_) => {
                Self::slow("what answers is no MQTT broker: correct host or port")
            }
            other => Self::soon(one_line(&other.to_string())),
        };
        if fault.silent && !up {
            return Self::slow(
                "the broker closes the connection at once: does it want TLS, or none?",
            );
        }
        fault
    }

    /// The broker has let the board in and closed the connection without a word, more than once in a short time. Old
    /// versions of Mosquitto do so when another client comes with the same id (2.0.11 sends no reason).
    pub(super) fn again_and_again() -> Self {
        Self::slow(
            "the broker closes the connection again and again: is there another board of this name? \
             Give each its own broker.device",
        )
    }
}

fn refused(code: ConnectReturnCode) -> Fault {
    use ConnectReturnCode as C;
    match code {
        C::BadUserNamePassword => {
            Fault::slow("the broker refuses user name or password: correct them")
        }
        C::NotAuthorized => Fault::slow(
            "the broker does not let the board in: correct user name and password, or allow it there",
        ),
        C::Banned => Fault::slow("the broker has banned the board: allow it there"),
        C::ClientIdentifierNotValid | C::BadClientId => {
            Fault::slow("the broker refuses the client id: set another broker.device")
        }
        C::UnsupportedProtocolVersion | C::RefusedProtocolVersion => {
            Fault::slow("the broker does not speak MQTT 5: update it (Mosquitto 1.6 or newer does)")
        }
        C::RetainNotSupported | C::QoSNotSupported => {
            Fault::slow("the broker does not keep retained messages: allow them there")
        }
        C::ServerBusy
        | C::ServerUnavailable
        | C::ServiceUnavailable
        | C::ConnectionRateExceeded => Fault::soon("the broker is busy"),
        other => Fault::slow(format!("the broker refuses the connection: {other:?}")),
    }
}

fn state(error: &StateError) -> Fault {
    match error {
        StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            ..
        } => Fault::slow(
            "another client took the session over: give each board its own broker.device",
        ),
        StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::ServerShuttingDown,
            ..
        } => Fault::soon("the broker is shutting down"),
        StateError::ServerDisconnect {
            reason_code,
            reason_string,
        } => {
            let more = reason_string
                .as_deref()
                .map(|text| format!(" ({})", one_line(text)));
            Fault::soon(format!(
                "the broker closed the connection: {reason_code:?}{}",
                more.unwrap_or_default()
            ))
        }
        StateError::AwaitPingResp => Fault::soon("the broker no longer answers"),
        StateError::ConnectionAborted => Fault::closed(),
        StateError::Io(error) => io(error),
        StateError::Deserialization(rumqttc::Error::Io(error)) => io(error),
        other => text(&other.to_string()),
    }
}

/// An error that is no more than its text. With TLS 1.3 a broker refuses a certificate after the handshake, so that its
/// alert comes out of a read like any other.
fn text(text: &str) -> Fault {
    if text.contains("fatal alert") {
        certificate(text)
    } else {
        Fault::soon(one_line(text))
    }
}

fn io(error: &std::io::Error) -> Fault {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => {
            Fault::soon("nothing listens there: is the broker running?")
        }
        ErrorKind::InvalidData => certificate(&error.to_string()),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            Fault::closed()
        }
        _ => text(&error.to_string()),
    }
}

fn tls(error: &(dyn Error + 'static)) -> Fault {
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(inner) = source {
        texts.push(inner.to_string());
        source = inner.source();
    }
    certificate(&texts.join(": "))
}

/// rustls's own names, as its errors are not to be had here.
fn certificate(text: &str) -> Fault {
    let has = |part: &str| text.contains(part);
    if has("UnknownIssuer") || has("BadSignature") {
        Fault::slow(
            "the broker's certificate is from an issuer that is not trusted: correct broker.ca_file",
        )
    } else if has("NotValidYet") || has("not valid yet") {
        // A board without a clock of its own wakes up in the past.
        Fault::soon("the broker's certificate is not valid yet: is the board's clock right?")
    } else if has("Expired") || has("expired") {
        Fault::slow("the broker's certificate has expired: renew it, or set the board's clock")
    } else if has("NotValidForName") || has("not valid for name") {
        Fault::slow(
            "the broker's certificate is for another name: use the name in it as broker.host",
        )
    } else if has("CertificateRequired")
        || has("UnknownCA")
        || has("DecryptError")
        || has("AccessDenied")
    {
        Fault::slow(
            "the broker refuses the board's certificate: correct broker.certificate_file and key_file",
        )
    } else {
        Fault::slow(format!("TLS: {}", one_line(text)))
    }
}

/// A library's message on one line, without a flood.
fn one_line(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    line.join(" ").chars().take(300).collect()
}
