//! The password, which no log and no report may show.

use super::{BrokerError, BrokerSettings};
use std::fmt;
use std::path::{Path, PathBuf};

/// A password. Neither `Debug` nor an error shows it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl Password {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// For the connection alone.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

/// Where a password may be, in the order in which they are looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct PasswordPlaces {
    /// systemd's `LoadCredential=mqtt-password:…`.
    credential: Option<PathBuf>,
    /// `EASEL_MQTT_PASSWORD`.
    variable: Option<Password>,
    /// `password_file` of the configuration.
    file: Option<PathBuf>,
    /// In the URL that is `host`; no embedded broker has one.
    url: Option<Password>,
}

impl PasswordPlaces {
    pub(super) fn of_process(settings: &BrokerSettings) -> Self {
        let variable = |name: &str| std::env::var_os(name)?.into_string().ok();
        Self {
            url: settings.url().and_then(|host| host.password().cloned()),
            ..Self::new(variable, settings.password_file.as_deref())
        }
    }

    fn new(variable: impl Fn(&str) -> Option<String>, file: Option<&Path>) -> Self {
        let credential = variable("CREDENTIALS_DIRECTORY")
            .map(|folder| Path::new(&folder).join("mqtt-password"))
            // Empty, as the package makes it: there is none.
            .filter(|path| path.metadata().is_ok_and(|file| file.len() > 0));
        Self {
            credential,
            variable: variable("EASEL_MQTT_PASSWORD").map(Password),
            file: file.map(Path::to_owned),
            url: None,
        }
    }

    /// A file and nothing else.
    #[cfg(test)]
    pub(super) fn in_file(file: Option<&Path>) -> Self {
        Self::new(|_| None, file)
    }

    /// Reads it anew, because a file may have been changed since.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(super) fn look(&self) -> Result<Option<Password>, BrokerError> {
        if let Some(path) = &self.credential {
            return read(path).map(Some);
        }
        if self.variable.is_some() {
            return Ok(self.variable.clone());
        }
        match &self.file {
            Some(file) => read(file).map(Some),
            None => Ok(self.url.clone()),
        }
    }
}

/// The first line, as editors end files with a line break.
fn read(path: &Path) -> Result<Password, BrokerError> {
    let text = easel::files::read_text(path, easel::files::SETTINGS).map_err(|error| {
        BrokerError::file("the password", path, &error, "let the service read it")
    })?;
    Ok(Password(text.lines().next().unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_goes_before_the_environment_and_that_before_the_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "from file\n").expect("it can be written");
        let found = |variables: &[(&str, &str)]| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let places = PasswordPlaces::new(variable, Some(&file));
            let password = places.look().expect("it can be read");
            password.map(|password| password.reveal().to_owned())
        };
        let directory = folder.path().to_str().expect("it is UTF-8");
        assert_eq!(found(&[]).as_deref(), Some("from file"));
        let variable = ("EASEL_MQTT_PASSWORD", "from environment");
        let credentials = ("CREDENTIALS_DIRECTORY", directory);
        assert_eq!(
            found(&[variable, credentials]).as_deref(),
            Some("from environment")
        );
        std::fs::write(folder.path().join("mqtt-password"), "").expect("written");
        assert_eq!(found(&[credentials]).as_deref(), Some("from file"));
        std::fs::write(folder.path().join("mqtt-password"), "from systemd").expect("written");
        assert_eq!(
            found(&[variable, credentials]).as_deref(),
            Some("from systemd")
        );
    }

    #[test]
    fn nothing_shows_it() {
        let variable = |name: &str| (name == "EASEL_MQTT_PASSWORD").then(|| "hunter2".to_owned());
        let places = PasswordPlaces::new(variable, None);
        assert!(!format!("{places:?}").contains("hunter2"));
        let missing = PasswordPlaces::new(|_| None, Some(Path::new("/nowhere/password")));
        let error = missing.look().expect_err("it is not there").to_string();
        assert!(error.contains("/nowhere/password"), "{error}");
    }
}
