//! How a command fails: one line on standard error and an exit code.

use std::process::ExitCode;

/// Why a command did not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The call or a configuration file is wrong: exit code 2.
    Usage(String),
    /// The work failed: exit code 1.
    Failed(String),
}

impl Failure {
    /// What is wrong.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Usage(text) | Self::Failed(text) => text,
        }
    }

    /// Prints the one line and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let (text, code) = match self {
            Self::Usage(text) => (text, 2),
            Self::Failed(text) => (text, 1),
        };
        // An error may quote a file; its line breaks must not break the one-line promise.
        eprintln!("easel: {}", easel::one_line(text));
        ExitCode::from(code)
    }
}

impl From<easel::Error> for Failure {
    fn from(error: easel::Error) -> Self {
        match error {
            easel::Error::Cancelled => Self::Failed("cancelled".to_owned()),
            error if error.is_usage() || error.is_foreign_model() => Self::Usage(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}

/// clap explains a wrong call in paragraphs; the promise is one line. Its usage summary is left out.
impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        let paragraphs: Vec<String> = text
            .split("\n\n")
            .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
            .take_while(|paragraph| !paragraph.starts_with("Usage:"))
            .filter(|paragraph| !paragraph.starts_with("For more information"))
            .collect();
        let line = paragraphs.join("; ");
        let line = line.strip_prefix("error: ").unwrap_or(&line);
        Self::Usage(format!("{line}; see --help"))
    }
}
