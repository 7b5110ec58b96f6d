//! Sources that are names of the Hugging Face hub: downloaded first, and removed when the model is made.

use crate::failure::Failure;
use easel::CancelToken;
use easel::import::hub::{Hub, Name, Progress, Staging};
use easel::import::{ImportError, Precision};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// What is downloaded for one model.
pub(super) struct Downloads<'a> {
    out: &'a Path,
    precision: Precision,
    quiet: bool,
    cancel: &'a CancelToken,
    /// Made when something is downloaded.
    staging: Option<Staging>,
    /// The licence that the source's card states.
    pub(super) licence: Option<String>,
    /// Bytes that came over the network.
    pub(super) received: u64,
}

impl<'a> Downloads<'a> {
    pub(super) fn new(
        out: &'a Path,
        precision: Precision,
        quiet: bool,
        cancel: &'a CancelToken,
    ) -> Self {
        Self {
            out,
            precision,
            quiet,
            cancel,
            staging: None,
            licence: None,
            received: 0,
        }
    }

    /// Where `source` is: itself if it is a file or a folder, else what a hub has under this name.
    pub(super) fn source(
        &mut self,
        source: &Path,
        revision: Option<&str>,
    ) -> Result<PathBuf, Failure> {
        let Some(name) = hub_name(source) else {
            return match revision {
                None => Ok(source.to_owned()),
                Some(_) => Err(Failure::Usage(format!(
                    "--revision: {} is no name of the hub: leave the revision out",
                    source.display()
                ))),
            };
        };
        let (place, licence) = self.fetch(&name, revision)?;
        self.licence = licence;
        Ok(place)
    }

    /// As [`source`](Self::source), of what is taken from another place.
    pub(super) fn part(&mut self, source: &Path) -> Result<PathBuf, Failure> {
        match hub_name(source) {
            Some(name) => Ok(self.fetch(&name, None)?.0),
            None => Ok(source.to_owned()),
        }
    }

    /// As [`source`](Self::source), of LoRAs with their scales.
    pub(super) fn loras(
        &mut self,
        loras: &[(PathBuf, f32)],
    ) -> Result<Vec<(PathBuf, f32)>, Failure> {
        let found = loras
            .iter()
            .map(|(file, scale)| Ok((self.part(file)?, *scale)));
        found.collect()
    }

    fn fetch(
        &mut self,
        name: &Name,
        revision: Option<&str>,
    ) -> Result<(PathBuf, Option<String>), Failure> {
        let hub = Hub::from_environment()?;
        let staging = match self.staging.take() {
            Some(staging) => staging,
            None => Staging::open(self.out)?,
        };
        let mut shown = Shown::new(self.quiet);
        let cancel = self.cancel;
        let fetched = hub.fetch(name, revision, self.precision, &staging, &mut |progress| {
            shown.show(progress);
            if cancel.is_cancelled() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        shown.finish();
        self.staging = Some(staging);
        let fetched = fetched.map_err(|error| match error {
            ImportError::Stopped => self.kept(error.into()),
            _ if self.has_files() => self.kept(error.into()),
            // It may have been meant for a path.
            _ => with(error.into(), "there is no file or folder of this name here"),
        })?;
        self.received += fetched.received;
        Ok((fetched.source, fetched.licence))
    }

    fn has_files(&self) -> bool {
        self.staging.as_ref().is_some_and(Staging::has_files)
    }

    /// Says of a failure that what was downloaded is still there.
    pub(super) fn kept(&self, failure: Failure) -> Failure {
        match &self.staging {
            Some(staging) if staging.has_files() => {
                let path = staging.path().display();
                let kept = format!("the download is kept for the next try: {path}");
                with(failure, &kept)
            }
            _ => failure,
        }
    }

    /// Removes what was downloaded. The model is there: that a folder stays is no failure of it.
    pub(super) fn remove(self) {
        if let Some(Err(error)) = self.staging.map(Staging::remove) {
            eprintln!("easel: {}", easel::one_line(&error.to_string()));
        }
    }
}

/// A failure that says more.
fn with(failure: Failure, more: &str) -> Failure {
    match failure {
        Failure::Usage(text) => Failure::Usage(format!("{text}; {more}")),
        Failure::Failed(text) => Failure::Failed(format!("{text}; {more}")),
    }
}

/// The name of the hub that this is, if it is nothing here.
fn hub_name(source: &Path) -> Option<Name> {
    if source.symlink_metadata().is_ok() {
        return None;
    }
    Name::parse(source.to_str()?)
}

/// Progress on standard error: a bar with speed and time left on a terminal, a line each tenth elsewhere.
enum Shown {
    Quiet,
    Lines { tenths: Option<u64> },
    Bar(ProgressBar),
}

impl Shown {
    fn new(quiet: bool) -> Self {
        if quiet {
            return Self::Quiet;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines { tenths: None };
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix:14} {bar:24} {percent:>3} %  {msg}");
        bar.set_style(style.expect("a template that was tried"));
        bar.set_prefix("downloading");
        Self::Bar(bar)
    }

    fn show(&mut self, progress: Progress<'_>) {
        match self {
            Self::Quiet => {}
            Self::Lines { tenths } => {
                let Some(now) = (10 * progress.done).checked_div(progress.total) else {
                    return;
                };
                if tenths.is_none_or(|before| before < now) {
                    *tenths = Some(now);
                    eprintln!("downloading: {}", said(progress));
                }
            }
            Self::Bar(bar) => {
                bar.set_length(progress.total);
                bar.set_position(progress.done);
                bar.set_message(said(progress));
            }
        }
    }

    /// Removes the bar, so that what is printed next stands alone.
    fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// `1200 of 2590 MB, 8.1 MB/s, 3 min left`.
fn said(progress: Progress<'_>) -> String {
    let mb = |bytes: u64| bytes.div_ceil(1_000_000);
    let mut text = format!("{} of {} MB", mb(progress.done), mb(progress.total));
    let left = progress.total.saturating_sub(progress.done);
    if let Some(speed) = progress.speed.filter(|_| left > 0) {
        let rate = speed as f64 / 1e6;
        text += &format!(", {rate:.1} MB/s");
        if let Some(seconds) = left.checked_div(speed) {
            text += &match seconds {
                0..=99 => format!(", {seconds} s left"),
                100..=5999 => format!(", {} min left", seconds.div_ceil(60)),
                _ => format!(", {} h left", seconds.div_ceil(3600)),
            };
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_and_time_left_are_said_as_people_say_them() {
        let at = |done, speed| {
            said(Progress {
                file: "unet/model",
                done,
                total: 2_590_000_000,
                speed,
            })
        };
        assert_eq!(at(0, None), "0 of 2590 MB");
        assert_eq!(
            at(1_200_000_000, Some(8_100_000)),
            "1200 of 2590 MB, 8.1 MB/s, 3 min left"
        );
        assert_eq!(
            at(2_580_000_000, Some(1_000_000)),
            "2580 of 2590 MB, 1.0 MB/s, 10 s left"
        );
        assert_eq!(at(0, Some(100_000)), "0 of 2590 MB, 0.1 MB/s, 8 h left");
        assert_eq!(at(5, Some(0)), "1 of 2590 MB, 0.0 MB/s");
        assert_eq!(at(2_590_000_000, Some(5)), "2590 of 2590 MB");
    }
}
