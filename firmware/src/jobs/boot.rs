//! Which start of the machine this is.

use std::path::Path;

/// Where Linux says it (random(4)): a UUID that is new at each start of the machine.
const FILE: &str = "/proc/sys/kernel/random/boot_id";

/// More than a UUID has; a record must not grow by what some kernel says.
const LONGEST: usize = 64;

/// This start of the machine; `None` where the system does not tell.
pub(super) fn current() -> Option<String> {
    read(Path::new(FILE))
}

fn read(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let id = text.trim();
    let plain = id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    ((1..=LONGEST).contains(&id.len()) && plain).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_is_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("boot_id");
        assert_eq!(read(&file), None);
        for (text, id) in [
            ("1f0c-77\n", Some("1f0c-77")),
            ("\n", None),
            ("a b", None),
            (&"x".repeat(65), None),
        ] {
            std::fs::write(&file, text).expect("it can be written");
            assert_eq!(read(&file).as_deref(), id, "{text:?}");
        }
        assert_eq!(current(), current(), "one start, one id");
    }
}
