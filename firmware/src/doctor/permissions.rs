//! Whether easel may do what it has to: write its state, use the devices that the configuration names.

use super::finding::Finding;
use super::subject::Subject;
use crate::display::PanelKind;
use crate::inputs::InputKind;
use rustix::fs::{Access, access};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let mut findings = vec![state(subject)];
    let devices = devices(subject);
    let may = |path: &Path| access(path, Access::READ_OK | Access::WRITE_OK).is_ok();
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    // What is not there is the matter of other checks.
    let closed = devices.iter().filter(|path| path.exists() && !may(path));
    let closed: Vec<Finding> = closed.map(|path| closed_device(path, &groups)).collect();
    if closed.is_empty() && !devices.is_empty() {
        findings.push(Finding::ok(format!(
            "{} devices may be used",
            devices.len()
        )));
    }
    findings.extend(closed);
    if rustix::process::geteuid().is_root() {
        let found = "examined as root, who may do everything: the service's user may not";
        findings.push(Finding::ok(format!(
            "{found} (sudo -u USER easel doctor …)"
        )));
    }
    findings
}

/// Whether the state can be written, by writing.
fn state(subject: &Subject) -> Finding {
    let fix = "examine it with sudo; or give the folder to the user of the service (sudo chown -R USER FOLDER), or another one with --state DIR";
    let (Some(state), Some(there)) = (subject.state.as_deref(), subject.state_or_above()) else {
        return Finding::fail(
            "there is no home folder for the state",
            "give a folder with --state DIR",
        );
    };
    match tempfile::tempfile_in(there) {
        Ok(_) if there == state => Finding::ok(format!("{}: can be written", state.display())),
        Ok(_) => Finding::ok(format!(
            "{}: can be made in {}",
            state.display(),
            there.display()
        )),
        Err(error) => Finding::fail(format!("{}: {error}", there.display()), fix),
    }
}

/// The nodes that the configuration uses.
fn devices(subject: &Subject) -> BTreeSet<PathBuf> {
    let config = &subject.config;
    let panel = &config.panel;
    let mut devices = BTreeSet::new();
    match panel.kind {
        PanelKind::Png | PanelKind::Terminal | PanelKind::Window => {}
        PanelKind::Drm => devices.extend(nodes(Path::new("/dev/dri"), "card")),
        PanelKind::Fb => devices.extend([panel.fb.device.clone()]),
        PanelKind::Spi => devices.extend([panel.spi.device.clone(), panel.spi.chip.clone()]),
        PanelKind::Epaper => {
            devices.extend([panel.epaper.device.clone(), panel.epaper.chip.clone()]);
        }
    }
    for input in &config.inputs.0 {
        match (input.kind, &input.device) {
            (Some(InputKind::Button | InputKind::Rotary), _) => {
                devices.insert(input.chip.clone());
            }
            (_, Some(device)) => {
                devices.insert(device.clone());
            }
            (_, None) => devices.extend(nodes(Path::new("/dev/input"), "event")),
        }
    }
    devices
}

fn nodes(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    named.map(|entry| entry.path()).collect()
}

/// A device that may not be used, and how that is changed: by its group, where it has one that is meant for that.
fn closed_device(path: &Path, groups: &str) -> Finding {
    let found = format!("{}: may not be read and written", path.display());
    let known = fs::metadata(path).ok();
    let group = known
        .as_ref()
        .and_then(|known| group_name(groups, known.gid()));
    let open_to_group = known.is_some_and(|known| known.mode() & 0o060 == 0o060);
    match group {
        Some(group) if open_to_group && group != "root" => {
            let fix = format!(
                "sudo usermod -aG {group} USER, USER being the service's, and start it again"
            );
            Finding::fail(found, fix)
        }
        _ => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let group = usual_group(&name);
            let rule = format!("KERNEL==\"{name}\", GROUP=\"{group}\", MODE=\"0660\"");
            let fix = format!(
                "write {rule} to /etc/udev/rules.d/70-easel.rules, run `sudo udevadm control --reload && sudo udevadm trigger`, and put the service's user into that group: sudo usermod -aG {group} USER"
            );
            Finding::fail(found, fix)
        }
    }
}

/// Its name by group(5).
fn group_name(groups: &str, id: u32) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then_some(name)
    })
}

/// The group that distributions for boards give such a device to.
fn usual_group(name: &str) -> &'static str {
    match name {
        _ if name.starts_with("gpiochip") => "gpio",
        _ if name.starts_with("spidev") => "spi",
        _ if name.starts_with("event") => "input",
        _ => "video",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;
    use crate::doctor::subject::subject;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_state_is_tried_by_writing() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut subject = subject(folder.path(), "");
        let found = state(&subject);
        assert!(found.found.ends_with("can be written"), "{found:?}");
        subject.state = Some(folder.path().join("a/b"));
        let found = state(&subject);
        assert!(found.found.contains("a/b: can be made in"), "{found:?}");
        // A file is no place for a folder, not even for root.
        subject.state = Some(folder.path().join("frame.toml/state"));
        let found = state(&subject);
        assert_eq!(
            found.verdict,
            Verdict::Ok,
            "its folder is looked at: {found:?}"
        );
        subject.state = None;
        assert_eq!(state(&subject).verdict, Verdict::Fail);
        let names = fs::read_dir(folder.path()).expect("it is there").count();
        assert_eq!(names, 1, "nothing is left behind");
    }

    #[test]
    fn the_devices_are_those_of_the_configuration() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = "[panel]\nkind = 'spi'\nwidth = 240\nheight = 240\n[panel.spi]\ndevice = '/dev/spidev1.0'\n\
            [[inputs]]\nname = 'a'\nkind = 'button'\nline = 5\nchip = '/dev/gpiochip4'\n\
            [[inputs]]\nname = 'b'\nkind = 'touch'\ndevice = '/dev/input/by-id/touch'\n";
        let subject = subject(folder.path(), text);
        let found: Vec<String> = devices(&subject)
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let expected = [
            "/dev/gpiochip0",
            "/dev/gpiochip4",
            "/dev/input/by-id/touch",
            "/dev/spidev1.0",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_closed_device_is_opened_by_its_group_or_by_a_rule() {
        let folder = tempfile::tempdir().expect("a folder");
        let device = folder.path().join("spidev0.0");
        fs::write(&device, "").expect("it can be written");
        let id = fs::metadata(&device).expect("it is there").gid();
        let groups = format!("root:x:9999:\nspi:x:{id}:pi\n");
        let set = |mode| {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(&device, mode).expect("it is ours");
        };
        set(0o660);
        let fix = closed_device(&device, &groups).fix.expect("there is one");
        assert!(fix.contains("usermod -aG spi USER"), "{fix}");
        set(0o600);
        let fix = closed_device(&device, &groups).fix.expect("there is one");
        assert!(
            fix.contains("KERNEL==\"spidev0.0\", GROUP=\"spi\""),
            "{fix}"
        );
    }
}
