//! Settings that people change while the board runs, over MQTT or with a button. They outlast a restart, and go before the
//! configuration.

mod reading;

use crate::jobs::Order;
use crate::kiosk::KioskState;
use easel::{SchedulerKind, files};
use serde::Serialize;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Bytes that the file may have; it is written with two texts and a few lines a playlist.
const LONGEST: u64 = 4 << 20;

/// What was set. `None` is the configuration's or the model's choice.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
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
    /// What the file says; `None`: something else than what is kept.
    kept: Option<Live>,
}

impl LiveFile {
    /// Reads what was set before. What is wrong in it is left out and reported, a line each, and the file is kept beside:
    /// people set it again.
    pub(super) fn open(folder: &Path) -> (Self, Live, Vec<String>) {
        let path = folder.join("settings.json");
        let (live, mut problems) = match files::read_file(&path, LONGEST) {
            Ok(bytes) => reading::read(&bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => (Live::default(), Vec::new()),
            Err(error) => (Live::default(), vec![error.to_string()]),
        };
        let kept = problems.is_empty().then(|| live.clone());
        for problem in &mut problems {
            *problem = format!("settings: {}: {problem}", path.display());
        }
        if kept.is_none() {
            let aside = path.with_extension("damaged");
            let renamed = std::fs::rename(&path, &aside);
            problems.extend(renamed.is_ok().then(|| {
                let aside = aside.display();
                format!("settings: the file is kept as {aside}; what is wrong in it is as configured, set it again")
            }));
        }
        (Self { path, kept }, live, problems)
    }

    /// Writes what has changed. What cannot be written now is tried with the next change.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn keep(&mut self, live: &Live) -> Result<(), String> {
        if self.kept.as_ref() == Some(live) {
            return Ok(());
        }
        let json = serde_json::to_vec_pretty(live).expect("plain data with text for keys");
        files::write_privately(&self.path, &json)
            .map_err(|error| format!("settings: {}: {error}", self.path.display()))?;
        self.kept = Some(live.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_comes_back_and_damage_is_set_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut file, mut live, problems) = LiveFile::open(folder.path());
        assert_eq!((&live, problems.len()), (&Live::default(), 0));
        live.steps = Some(7);
        live.scheduler = Some(SchedulerKind::Lcm);
        live.brightness = Some(0.3);
        live.kiosk.night = crate::kiosk::NightMode::On;
        live.kiosk.seed = Some(u64::MAX);
        let position = crate::kiosk::Position {
            taken: 3,
            last: Some(1),
        };
        live.kiosk.positions.insert("a".to_owned(), position);
        file.keep(&live).expect("it can be written");
        let (_, again, problems) = LiveFile::open(folder.path());
        assert_eq!((again, problems.len()), (live, 0));

        for damage in ["{", "[]", "\"text\"", "{\"steps\": 1"] {
            std::fs::write(folder.path().join("settings.json"), damage).expect("a file");
            let (_, again, problems) = LiveFile::open(folder.path());
            assert_eq!(again, Live::default());
            assert!(problems.concat().contains("settings.damaged"), "{damage}");
            assert!(folder.path().join("settings.damaged").is_file());
        }
    }

    #[test]
    fn a_wrong_field_is_left_out_and_the_others_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("settings.json");
        let text = r#"{"prompt": "a cat", "negative": 5, "steps": 0, "guidance": "2.5", "scheduler": "magic",
            "rotation": 45, "brightness": 2, "of_a_later_version": 1,
            "kiosk": {"enabled": "perhaps", "interval_s": 1e12, "style": "oil", "night": "noon", "seed": -1,
                      "positions": {"a": {"taken": 3, "last": 1}, "b": {"taken": "some"}}}}"#;
        std::fs::write(&path, text).expect("it can be written");
        let (mut file, live, problems) = LiveFile::open(folder.path());
        let mut expected = Live {
            prompt: "a cat".to_owned(),
            guidance: Some(2.5),
            ..Live::default()
        };
        expected.kiosk.style = Some("oil".to_owned());
        let position = crate::kiosk::Position {
            taken: 3,
            last: Some(1),
        };
        expected.kiosk.positions.insert("a".to_owned(), position);
        assert_eq!(live, expected);
        for (key, says) in [
            ("negative", "give a text"),
            ("steps", "0: give 1 to 1000"),
            ("scheduler", "magic"),
            ("rotation", "45: give 0, 90, 180 or 270"),
            ("brightness", "2: give 0 to 1"),
            ("kiosk.enabled", "give true or false"),
            ("kiosk.interval_s", "604800"),
            ("kiosk.night", "auto"),
            ("kiosk.seed", "-1"),
            ("kiosk.positions.b", "taken"),
        ] {
            let named = |problem: &&String| problem.contains(&format!("settings.json: {key}: "));
            let found: Vec<_> = problems.iter().filter(named).collect();
            assert!(
                found.len() == 1 && found[0].contains(says) && !found[0].contains('\n'),
                "{key}: {problems:?}"
            );
        }
        assert_eq!(problems.len(), 11, "{problems:?}");
        // What was there is kept, and what is right is written anew.
        let kept = std::fs::read_to_string(folder.path().join("settings.damaged"));
        assert_eq!(kept.expect("it is kept"), text);
        file.keep(&live).expect("it can be written");
        let (_, again, problems) = LiveFile::open(folder.path());
        assert_eq!((again, problems.len()), (live, 0));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_read_can_be_painted_with(
            key in "prompt|negative|steps|guidance|scheduler|rotation|brightness|kiosk",
            value in "(-?[0-9]{1,6}(\\.[0-9])?|\"[a-z0-9.-]{0,8}\"|null|true|\\[1\\]|\\{\"(seed|night|interval_s|positions)\": ?[0-9\"a-z{}]{1,9}\\})",
        ) {
            let (live, problems) = reading::read(format!(r#"{{"{key}": {value}}}"#).as_bytes());
            proptest::prop_assert!(live.steps.is_none_or(|steps| (1..=1000).contains(&steps)));
            proptest::prop_assert!(live.guidance.is_none_or(|guidance| (0.0..=50.0).contains(&guidance)));
            proptest::prop_assert!(live.brightness.is_none_or(|share| (0.0..=1.0).contains(&share)));
            proptest::prop_assert!(live.rotation.is_none_or(|angle| angle < 360 && angle % 90 == 0));
            proptest::prop_assert!(problems.iter().all(|problem| !problem.contains('\n')));
            let _ = reading::read(value.as_bytes());
        }
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("settings.json");
        std::fs::create_dir(&path).expect("it can be made");
        let (_, live, problems) = LiveFile::open(folder.path());
        assert_eq!(live, Live::default());
        assert!(problems.concat().contains("not a file"), "{problems:?}");
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
