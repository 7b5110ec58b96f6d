//! Settings that people change while the board runs, over MQTT or with a button. They outlast a restart, and go before the
//! configuration.

use crate::jobs::Order;
use crate::kiosk::KioskState;
use easel::{SchedulerKind, files};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Bytes that the file may have: two prompts, and where the playlists are.
const LONGEST: u64 = 4 << 20;

/// What was set. `None` is the configuration's or the model's choice.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Live {
    /// What `generate` paints.
    pub(super) prompt: String,
    /// What to keep out of pictures whose order does not say.
    pub(super) negative: String,
    /// For orders that do not say.
    pub(super) steps: Option<usize>,
    /// For orders that do not say.
    pub(super) guidance: Option<f32>,
    /// For orders that do not say.
    #[serde(with = "crate::jobs::scheduler_name")]
    pub(super) scheduler: Option<SchedulerKind>,
    /// Degrees clockwise.
    pub(super) rotation: Option<u32>,
    /// 0 to 1.
    pub(super) brightness: Option<f32>,
    /// How far the playlists are, and what was set of them.
    pub(super) kiosk: KioskState,
}

impl Live {
    /// Puts what was set into an order that does not say.
    pub(super) fn complete(&self, order: &mut Order) {
        if order.negative.is_none() && !self.negative.is_empty() {
            order.negative = Some(self.negative.clone());
        }
        order.steps = order.steps.or(self.steps);
        order.guidance = order.guidance.or(self.guidance);
        order.scheduler = order.scheduler.or(self.scheduler);
    }
}

/// The file that [`Live`] is kept in.
pub(super) struct LiveFile {
    path: PathBuf,
    kept: Live,
}

impl LiveFile {
    /// Reads what was set before. A file that cannot be read is set aside and reported: people set it again.
    pub(super) fn open(folder: &Path) -> (Self, Live, Option<String>) {
        let path = folder.join("settings.json");
        let (live, problem) = match files::read_file(&path, LONGEST) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(live) => (live, None),
                Err(error) => {
                    let aside = path.with_extension("damaged");
                    let _ = std::fs::rename(&path, &aside);
                    let problem = format!(
                        "settings: {}: {error}: it is kept as {}; what was set is back to the configuration",
                        path.display(),
                        aside.display()
                    );
                    (Live::default(), Some(problem))
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (Live::default(), None),
            Err(error) => {
                let problem = format!("settings: {}: {error}: check the disk", path.display());
                (Live::default(), Some(problem))
            }
        };
        let kept = live.clone();
        (Self { path, kept }, live, problem)
    }

    /// Writes what has changed. What cannot be written now is tried with the next change.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn keep(&mut self, live: &Live) -> Result<(), String> {
        if self.kept == *live {
            return Ok(());
        }
        let json = serde_json::to_vec_pretty(live).expect("plain data with text for keys");
        files::write_privately(&self.path, &json)
            .map_err(|error| format!("settings: {}: {error}", self.path.display()))?;
        self.kept = live.clone();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_comes_back_and_damage_is_set_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut file, mut live, problem) = LiveFile::open(folder.path());
        assert_eq!((&live, problem), (&Live::default(), None));
        live.steps = Some(7);
        live.scheduler = Some(SchedulerKind::Lcm);
        file.keep(&live).expect("it can be written");
        let (_, again, problem) = LiveFile::open(folder.path());
        assert_eq!((again, problem), (live, None));

        std::fs::write(folder.path().join("settings.json"), "{").expect("a file");
        let (_, again, problem) = LiveFile::open(folder.path());
        assert_eq!(again, Live::default());
        assert!(problem.is_some_and(|problem| problem.contains("settings.damaged")));
        assert!(folder.path().join("settings.damaged").is_file());
    }

    #[test]
    fn an_order_goes_before_what_was_set() {
        let live = Live {
            steps: Some(7),
            guidance: Some(2.0),
            negative: "text".to_owned(),
            ..Live::default()
        };
        let mut order = Order {
            steps: Some(3),
            negative: Some(String::new()),
            ..Order::new("a cat")
        };
        live.complete(&mut order);
        assert_eq!((order.steps, order.guidance), (Some(3), Some(2.0)));
        assert_eq!(order.negative.as_deref(), Some(""));
        assert_eq!(order.seed, None);
    }
}
