//! Where the hub is, and who asks: the variables that its own clients have (huggingface.co/docs/huggingface_hub, "Environment
//! variables").

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::super::ImportError;
use super::name::{Name, encoded};
use crate::files::read_text;

/// The hub itself.
const ENDPOINT: &str = "https://huggingface.co";
/// Bytes of a token's file: tokens have 37 characters.
const LONGEST_TOKEN: u64 = 4096;

/// A hub and how it is asked.
#[derive(Clone)]
pub struct Hub {
    pub(super) endpoint: String,
    pub(super) token: Option<String>,
    pub(super) offline: bool,
    /// How long it is waited for.
    pub patience: Patience,
}

/// How long a hub is waited for, and how often it is asked.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For an address and a connection.
    pub connect: Duration,
    /// For the next bytes. A server that gives less than a KiB in this time has stalled, too.
    pub stall: Duration,
    /// Before the second try; doubled before each further one.
    pub pause: Duration,
    /// Tries without a new byte between them.
    pub tries: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            pause: Duration::from_secs(1),
            tries: 6,
        }
    }
}

/// The token is nobody's to read.
impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "(hidden)"))
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// The hub that the environment says: `HF_ENDPOINT`, `HF_TOKEN` or the file at `HF_TOKEN_PATH` (`token` in `HF_HOME`, or in
    /// `~/.cache/huggingface`), `HF_HUB_OFFLINE`.
    ///
    /// # Errors
    /// A variable with a value that cannot be meant.
    pub fn from_environment() -> Result<Self, ImportError> {
        Self::from_variables(&|name| std::env::var_os(name))
    }

    /// The same, of other variables.
    ///
    /// # Errors
    /// As [`Hub::from_environment`].
    pub fn from_variables(
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ImportError> {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| match given(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text.trim().to_owned())),
            Some(Err(_)) => Err(ImportError::Bad(format!("{name} is not UTF-8"))),
        };
        let endpoint = text("HF_ENDPOINT")?.unwrap_or_else(|| ENDPOINT.to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
            return Err(ImportError::Bad(
                "HF_ENDPOINT: give a URL that begins with https://".to_owned(),
            ));
        }
        let token = match text("HF_TOKEN")? {
            Some(token) => Some(token),
            None => stored_token(&given)?,
        };
        if token
            .as_ref()
            .is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(ImportError::Bad(
                "HF_TOKEN: is no token: they are made at https://huggingface.co/settings/tokens and begin with hf_".to_owned(),
            ));
        }
        let offline = text("HF_HUB_OFFLINE")?.is_some_and(|value| {
            ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str())
        });
        Ok(Self {
            endpoint,
            token,
            offline,
            patience: Patience::default(),
        })
    }

    /// Where people see the repository.
    pub(super) fn page(&self, name: &Name) -> String {
        format!("{}/{}", self.endpoint, name.repository())
    }

    pub(super) fn revision_url(&self, name: &Name, revision: &str) -> String {
        let revision = encoded(revision, "");
        format!(
            "{}/api/models/{}/revision/{revision}",
            self.endpoint,
            name.repository()
        )
    }

    pub(super) fn tree_url(&self, name: &Name, commit: &str) -> String {
        format!(
            "{}/api/models/{}/tree/{commit}?recursive=true",
            self.endpoint,
            name.repository()
        )
    }

    pub(super) fn file_url(&self, name: &Name, commit: &str, path: &str) -> String {
        let path = encoded(path, "/");
        format!(
            "{}/{}/resolve/{commit}/{path}",
            self.endpoint,
            name.repository()
        )
    }
}

/// The token that `hf auth login` left. That there is none is usual; one that cannot be read is not.
fn stored_token(given: &dyn Fn(&str) -> Option<OsString>) -> Result<Option<String>, ImportError> {
    let caches = || match given("XDG_CACHE_HOME") {
        Some(caches) => Some(PathBuf::from(caches)),
        None => Some(PathBuf::from(given("HOME")?).join(".cache")),
    };
    let home = || match given("HF_HOME") {
        Some(home) => Some(PathBuf::from(home)),
        None => Some(caches()?.join("huggingface")),
    };
    let path = match given("HF_TOKEN_PATH") {
        Some(path) => PathBuf::from(path),
        None => match home() {
            Some(home) => home.join("token"),
            None => return Ok(None),
        },
    };
    match read_text(&path, LONGEST_TOKEN) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|token| !token.is_empty())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ImportError::unreadable(&path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(variables: &[(&str, &str)]) -> Result<Hub, ImportError> {
        Hub::from_variables(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn variables_are_those_of_the_hubs_own_clients() {
        let plain = hub(&[]).expect("a hub");
        assert_eq!(
            (plain.endpoint.as_str(), &plain.token, plain.offline),
            (ENDPOINT, &None, false)
        );
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().to_str().expect("UTF-8");
        std::fs::write(folder.path().join("token"), "hf_stored\n").expect("room");
        let stored = hub(&[
            ("HF_HOME", home),
            ("HF_ENDPOINT", "http://mirror:1/"),
            ("HF_HUB_OFFLINE", "1"),
        ])
        .expect("a hub");
        assert_eq!(stored.endpoint, "http://mirror:1");
        assert_eq!(stored.token.as_deref(), Some("hf_stored"));
        assert!(stored.offline);
        let given = hub(&[("HF_HOME", home), ("HF_TOKEN", "hf_given")]).expect("a hub");
        assert_eq!(given.token.as_deref(), Some("hf_given"));
        assert!(!format!("{given:?}").contains("hf_given"));
        assert!(hub(&[("HF_ENDPOINT", "huggingface.co")]).is_err());
        let error = hub(&[("HF_TOKEN", "hf_a\nX: y")])
            .expect_err("not a token")
            .to_string();
        assert!(
            error.contains("HF_TOKEN") && !error.contains("hf_a"),
            "{error}"
        );
    }
}
