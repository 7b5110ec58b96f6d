//! The light behind a panel, as the kernel offers it: `Documentation/ABI/stable/sysfs-class-backlight`.

use super::fault;
use crate::display::PanelError;
use std::fs;
use std::path::{Path, PathBuf};

/// `FB_BLANK_UNBLANK` of `linux/fb.h`, as `bl_power` takes it: on.
const LIGHT: &str = "0";
/// As above: off.
const DARK: &str = "4";

/// A folder of `/sys/class/backlight`.
#[derive(Debug)]
pub(super) struct Backlight {
    folder: PathBuf,
    most: u32,
}

impl Backlight {
    /// The one that is named, or the only one there is; `None` where there is none and none is named.
    pub(super) fn find(class: &Path, name: Option<&str>) -> Result<Option<Self>, PanelError> {
        let mut folders: Vec<PathBuf> = match (name, fs::read_dir(class)) {
            (Some(name), _) => vec![class.join(name)],
            (None, Ok(entries)) => entries.flatten().map(|entry| entry.path()).collect(),
            (None, Err(_)) => return Ok(None),
        };
        // Of several, one has to be named: another may light another panel.
        let (Some(folder), true) = (folders.pop(), folders.is_empty()) else {
            return Ok(None);
        };
        let file = folder.join("max_brightness");
        let said = fs::read_to_string(&file).map_err(|error| {
            let advice = "correct panel.drm.backlight, or leave it out";
            fault(file.display(), error, advice)
        })?;
        let most = said.trim().parse().unwrap_or(1);
        Ok(Some(Self { folder, most }))
    }

    pub(super) fn set_dark(&self, dark: bool) -> Result<(), PanelError> {
        self.write("bl_power", if dark { DARK } else { LIGHT })
    }

    /// 0 to 1; never quite dark, which is what [`set_dark`](Self::set_dark) is for.
    pub(super) fn set_brightness(&self, brightness: f32) -> Result<(), PanelError> {
        let level = (brightness.clamp(0.0, 1.0) * self.most as f32).round() as u32;
        self.write("brightness", &level.max(1).to_string())
    }

    fn write(&self, name: &str, value: &str) -> Result<(), PanelError> {
        let file = self.folder.join(name);
        fs::write(&file, value).map_err(|error| {
            let advice = "let the user of easel write there (docs/panels.md)";
            fault(file.display(), error, advice)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn light(class: &Path, name: &str) {
        fs::create_dir_all(class.join(name)).unwrap();
        fs::write(class.join(name).join("max_brightness"), "200\n").unwrap();
    }

    fn reads(class: &Path, file: &str) -> String {
        fs::read_to_string(class.join(file)).unwrap()
    }

    #[test]
    fn the_only_light_is_dimmed_and_put_out() {
        let class = tempfile::tempdir().unwrap();
        light(class.path(), "rpi");
        let found = Backlight::find(class.path(), None).unwrap().unwrap();
        for (asked, written) in [(1.0, "200"), (0.5, "100"), (0.0, "1"), (7.0, "200")] {
            found.set_brightness(asked).unwrap();
            assert_eq!(reads(class.path(), "rpi/brightness"), written);
        }
        found.set_dark(true).unwrap();
        assert_eq!(reads(class.path(), "rpi/bl_power"), "4");
        found.set_dark(false).unwrap();
        assert_eq!(reads(class.path(), "rpi/bl_power"), "0");
    }

    #[test]
    fn of_two_lights_one_is_named() {
        let class = tempfile::tempdir().unwrap();
        light(class.path(), "one");
        light(class.path(), "two");
        assert!(Backlight::find(class.path(), None).unwrap().is_none());
        let two = Backlight::find(class.path(), Some("two")).unwrap().unwrap();
        assert!(two.folder.ends_with("two"));
        let error = Backlight::find(class.path(), Some("three")).unwrap_err();
        assert!(error.to_string().contains("backlight"), "{error}");
        let none = Backlight::find(&class.path().join("none"), None).unwrap();
        assert!(none.is_none());
    }
}
