//! Encryption: whom to trust, and who the board is.

use super::{BrokerError, BrokerSettings};
use rumqttc::{TlsConfiguration, Transport};
use std::path::Path;

/// Reads the certificates that the settings name.
///
/// # Errors
/// A file that cannot be read or holds no PEM; no certificates on the system.
pub(super) fn transport(settings: &BrokerSettings) -> Result<Transport, BrokerError> {
    if !settings.uses_tls() {
        return Ok(Transport::tcp());
    }
    let Some(ca) = &settings.ca_file else {
        let trusted = TlsConfiguration::try_default_rustls().map_err(|error| {
            let advice = "install ca-certificates, or set broker.ca_file";
            BrokerError::Tls(format!("the system's certificates: {error}: {advice}"))
        })?;
        return Ok(Transport::tls_with_config(trusted));
    };
    let ca = pem(ca, "CERTIFICATE")?;
    let client_auth = match (&settings.certificate_file, &settings.key_file) {
        (Some(certificate), Some(key)) => {
            Some((pem(certificate, "CERTIFICATE")?, pem(key, "PRIVATE KEY")?))
        }
        _ => None,
    };
    Ok(Transport::tls_with_config(TlsConfiguration::Simple {
        ca,
        alpn: None,
        client_auth,
    }))
}

fn pem(path: &Path, what: &str) -> Result<Vec<u8>, BrokerError> {
    let bytes = easel::files::read_file(path, easel::files::SETTINGS).map_err(|error| {
        BrokerError::file(
            "a certificate or key",
            path,
            &error,
            "let the service read it",
        )
    })?;
    let text = String::from_utf8_lossy(&bytes);
    if text
        .lines()
        .any(|line| line.starts_with("-----BEGIN ") && line.contains(what))
    {
        return Ok(bytes);
    }
    let path = path.display();
    Err(BrokerError::Tls(format!(
        "{path}: holds no PEM \"{what}\": convert it with openssl"
    )))
}
