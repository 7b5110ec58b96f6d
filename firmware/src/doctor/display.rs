//! Whether the panel shows what it is given.

use super::finding::Finding;
use super::subject::Subject;
use crate::display::{self, Panel, PanelKind, PanelSettings, test_pattern, turn};
use std::io::BufRead as _;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

/// The pattern stays so long without somebody who could press Enter.
const STAYS: Duration = Duration::from_secs(5);
/// And with somebody.
const STAYS_AT_MOST: Duration = Duration::from_secs(60);

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let settings = &subject.config.panel;
    if let Some(why) = subject.no_display {
        return vec![Finding::skip(why)];
    }
    let is_file = settings.kind == PanelKind::Png;
    if subject.is_served {
        if let Some(finding) = is_file.then(|| folder_fault(subject)).flatten() {
            return vec![finding];
        }
        let why = "easel serve has the panel: stop it to see the test pattern";
        return vec![Finding::skip(why)];
    }
    let state = subject.state.as_deref().unwrap_or(Path::new("."));
    let file = settings.file.clone();
    let file = file.unwrap_or_else(|| state.join("panel.png"));
    if is_file && settings.file.is_none() && !state.is_dir() {
        // It is the daemon's to make, as the daemon's user.
        let found = format!(
            "{}: comes when easel serve has made the folder",
            file.display()
        );
        return vec![Finding::ok(found)];
    }
    let shown = display::open(settings, state).and_then(|mut panel| {
        let size = show(&mut *panel, settings, &subject.config.board.name)?;
        if !is_file {
            stay(subject.is_watched);
        }
        Ok(size)
    });
    vec![match shown {
        Ok((width, height)) => {
            let look = if is_file {
                format!("in {}", file.display())
            } else {
                "the arrow points up, all corners are whole, the bars have the colours of their letters".to_owned()
            };
            let kind = settings.kind;
            Finding::ok(format!(
                "{width}x{height} {kind} has the test pattern: {look}"
            ))
        }
        Err(error) => Finding::of_line(&error.to_string()),
    }]
}

/// Why a panel that is a file cannot be written by the daemon that has it now.
fn folder_fault(subject: &Subject) -> Option<Finding> {
    let file = subject.config.panel.file.as_ref()?;
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let fix = "choose a panel.file that easel can write, or make its folder";
    if file.is_dir() {
        let found = format!("panel.file {}: is a folder", file.display());
        return Some(Finding::fail(found, fix));
    }
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let error = rustix::fs::access(folder, access).err()?;
    let found = format!("panel.file {}: its folder: {error}", file.display());
    Some(Finding::fail(found, fix))
}

/// Shows the pattern as the board is mounted; returns the panel's size.
fn show(
    panel: &mut dyn Panel,
    settings: &PanelSettings,
    name: &str,
) -> Result<(u32, u32), display::PanelError> {
    let (width, height) = panel.size();
    let rotation = settings.rotation;
    let mounted = if rotation.is_multiple_of(180) {
        (width, height)
    } else {
        (height, width)
    };
    panel.set_dark(false)?;
    let pattern = test_pattern(mounted, name, settings);
    panel.show(&turn(pattern, rotation))?;
    Ok((width, height))
}

/// Until Enter, or for a while.
fn stay(is_watched: bool) {
    if !is_watched {
        return std::thread::sleep(STAYS);
    }
    eprintln!("easel: the panel shows a test pattern: look at it, then press Enter");
    let (tell, told) = channel::<()>();
    let reads = std::thread::Builder::new().name("enter".to_owned());
    let started = reads.spawn(move || {
        let _ = std::io::stdin().lock().read_line(&mut String::new());
        drop(tell);
    });
    if started.is_ok() {
        // Nothing is sent: it is closed when the line has been read.
        let _ = told.recv_timeout(STAYS_AT_MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;
    use crate::doctor::subject::subject;

    #[test]
    fn the_pattern_is_shown_as_the_panel_is_built() {
        let folder = tempfile::tempdir().expect("a folder");
        let panel = "[panel]\nkind = 'png'\nwidth = 320\nheight = 240\nrotation = 90\n";
        let mut subject = subject(folder.path(), panel);
        let found = check(&subject).remove(0);
        assert_eq!(found.verdict, Verdict::Ok, "{found:?}");
        let shown = image::open(folder.path().join("panel.png")).expect("it is a picture");
        let expected = turn(test_pattern((240, 320), "Frame", &subject.config.panel), 90);
        assert_eq!(shown.into_rgb8(), expected);

        std::fs::remove_file(folder.path().join("panel.png")).expect("it is there");
        subject.no_display = Some("left alone");
        assert_eq!(check(&subject)[0].verdict, Verdict::Skip);
        subject.no_display = None;
        subject.state = Some(folder.path().join("later"));
        let found = check(&subject).remove(0);
        assert!(
            found.found.contains("later/panel.png: comes when"),
            "{found:?}"
        );
        assert!(!folder.path().join("panel.png").exists());
    }

    #[test]
    fn a_panel_that_is_not_there_fails_and_one_in_use_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let panel = "[panel]\nkind = 'fb'\nwidth = 32\nheight = 24\n[panel.fb]\ndevice = '/dev/no-such-framebuffer'\n";
        let mut subject = subject(folder.path(), panel);
        let found = check(&subject).remove(0);
        assert_eq!(found.verdict, Verdict::Fail);
        assert!(found.found.contains("no-such-framebuffer") && found.fix.is_some());
        subject.is_served = true;
        assert_eq!(check(&subject)[0].verdict, Verdict::Skip);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_found_though_the_daemon_has_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let panel = |file: &str| {
            let text = format!("[panel]\nkind = 'png'\nwidth = 32\nheight = 24\nfile = '{file}'\n");
            let mut subject = subject(folder.path(), &text);
            subject.is_served = true;
            check(&subject).remove(0)
        };
        assert_eq!(panel("p.png").verdict, Verdict::Skip);
        std::fs::create_dir(folder.path().join("folder")).expect("it can be made");
        for file in ["none/p.png", "folder", "frame.toml/p.png"] {
            let found = panel(file);
            assert_eq!(found.verdict, Verdict::Fail, "{file}: {found:?}");
            assert!(
                found.found.contains(file) && found.fix.is_some(),
                "{found:?}"
            );
        }
    }
}
