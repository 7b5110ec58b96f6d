//! Where the daemon keeps what it must not forget: queue, history and settings.

use std::path::{Path, PathBuf};

/// The folder asked for, the one that systemd gives a service (`StateDirectory=`, systemd.exec(5)), or the user's
/// (XDG Base Directory Specification); it is made. `name` tells boards on one machine apart.
///
/// # Errors
/// One line: where, what the system says, what to do.
pub(super) fn open(asked: Option<&Path>, name: &str) -> Result<PathBuf, String> {
    let folder = choose_folder(asked, name)
        .ok_or("state: there is no home folder: give a folder with --state DIR")?;
    easel::files::make_private_folder(&folder).map_err(|error| {
        let advice = "give a folder that can be written with --state DIR";
        format!("state: {}: {error}: {advice}", folder.display())
    })?;
    Ok(folder)
}

/// The folder that [`open`] makes; `None` where there is no home folder.
pub(crate) fn choose_folder(asked: Option<&Path>, name: &str) -> Option<PathBuf> {
    choose(asked, name, |name| std::env::var_os(name))
}

fn choose(
    asked: Option<&Path>,
    name: &str,
    variable: impl Fn(&str) -> Option<std::ffi::OsString>,
) -> Option<PathBuf> {
    if let Some(folder) = asked {
        return Some(folder.to_owned());
    }
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(folders) = variable("STATE_DIRECTORY") {
        return std::env::split_paths(&folders).next();
    }
    let states = variable("XDG_STATE_HOME").map(PathBuf::from);
    let states = states.filter(|folder| folder.is_absolute());
    let home = || Some(PathBuf::from(variable("HOME")?).join(".local/state"));
    Some(states.or_else(home)?.join("easel").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_wish_wins() {
        let all = |name: &str| {
            let value = match name {
                "STATE_DIRECTORY" => "/var/lib/easel:/var/lib/other",
                "XDG_STATE_HOME" => "/xdg",
                "HOME" => "/home/me",
                _ => return None,
            };
            Some(value.into())
        };
        let without = |gone: &'static str| move |name: &str| all(name).filter(|_| name > gone);
        let chosen = |asked, variable: &dyn Fn(&str) -> Option<std::ffi::OsString>| {
            choose(asked, "frame", variable).expect("a folder")
        };
        assert_eq!(chosen(Some(Path::new("here")), &all), Path::new("here"));
        assert_eq!(chosen(None, &all), Path::new("/var/lib/easel"));
        assert_eq!(
            chosen(None, &without("STATE_DIRECTORY")),
            Path::new("/xdg/easel/frame")
        );
        let only_home = |name: &str| all(name).filter(|_| name == "HOME");
        assert_eq!(
            chosen(None, &only_home),
            Path::new("/home/me/.local/state/easel/frame")
        );
        assert_eq!(choose(None, "frame", |_| None), None);
    }
}
