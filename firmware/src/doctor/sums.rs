//! Whether the model's files are what they were when the model was made.

use super::finding::Finding;
use super::subject::Subject;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Component, Path};

/// The file of checksums, as sha256sum(1) writes and checks it.
const NAME: &str = "SHA256SUMS";
/// More than any model has files.
const LONGEST: u64 = 1 << 20;

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    match subject.model.get() {
        Some(model) => vec![verify(&model.dir)],
        None => vec![Finding::skip("there is no model that loads")],
    }
}

/// Compares each file of the list with its checksum.
fn verify(dir: &Path) -> Finding {
    let list = dir.join(NAME);
    let mut text = String::new();
    let read = File::open(&list).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let fix = format!(
                "export the model anew, or, if you trust it: cd {} && find . -type f ! -name {NAME} -printf '%P\\0' | sort -z | xargs -0 sha256sum > {NAME}",
                dir.display()
            );
            return Finding::warn(format!("no checksums: there is no {}", list.display()), fix);
        }
        Err(error) => {
            let found = format!("{}: {error}", list.display());
            return Finding::fail(found, "copy the model anew");
        }
    }
    let again = "copy the model anew; if it happens again, replace the card";
    let (mut files, mut bytes) = (0, 0);
    for (place, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
    {
        let Some((sum, name)) = parse(line) else {
            let found = format!(
                "{}: line {}: no checksum of a file in the folder",
                list.display(),
                place + 1
            );
            return Finding::fail(found, "export the model anew");
        };
        let path = dir.join(name);
        match sum_of(&path) {
            Ok((found, length)) if found == sum => (files, bytes) = (files + 1, bytes + length),
            Ok(_) => {
                return Finding::fail(format!("{}: is not what it was", path.display()), again);
            }
            Err(error) => return Finding::fail(format!("{}: {error}", path.display()), again),
        }
    }
    if files == 0 {
        return Finding::fail(
            format!("{}: is empty", list.display()),
            "export the model anew",
        );
    }
    let mib = bytes >> 20;
    Finding::ok(format!(
        "{files} files, {mib} MiB, are what they were ({NAME})"
    ))
}

/// `HEX  NAME` or `HEX *NAME`; nothing that leads out of the folder.
fn parse(line: &str) -> Option<([u8; 32], &Path)> {
    let (hex, name) = line.split_once([' '])?;
    let name = Path::new(name.strip_prefix([' ', '*'])?);
    let inside = |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
    if hex.len() != 64 || name.as_os_str().is_empty() || !name.components().all(inside) {
        return None;
    }
    let mut sum = [0; 32];
    for (byte, digits) in sum.iter_mut().zip(hex.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some((sum, name))
}

/// SHA-256 (FIPS 180-4) of a file, and its bytes.
fn sum_of(path: &Path) -> io::Result<([u8; 32], u64)> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut part = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        match file.read(&mut part) {
            Ok(0) => return Ok((hash.finalize().into(), length)),
            Ok(count) => {
                hash.update(&part[..count]);
                length += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;
    use proptest::prelude::*;

    /// Of `abc`: FIPS 180-2, B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn examined(sums: &str) -> Finding {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("unet")).expect("a folder");
        std::fs::write(folder.path().join("unet/model"), "abc").expect("it can be written");
        std::fs::write(folder.path().join(NAME), sums).expect("it can be written");
        verify(folder.path())
    }

    #[test]
    fn files_are_compared_with_their_checksums() {
        let found = examined(&format!("{ABC}  unet/model\n{ABC} *./unet/model\n"));
        assert_eq!(
            found,
            Finding::ok("2 files, 0 MiB, are what they were (SHA256SUMS)")
        );
        let other = ABC.replace('b', "c");
        for (sums, says) in [
            (
                format!("{other}  unet/model\n"),
                "unet/model: is not what it was",
            ),
            (format!("{ABC}  unet/other\n"), "unet/other: No such file"),
            (format!("{ABC}  ../unet/model\n"), "line 1"),
            (format!("{ABC}  /etc/passwd\n"), "line 1"),
            (format!("{ABC}  unet/model\nxy  unet/model\n"), "line 2"),
            (String::new(), "is empty"),
        ] {
            let found = examined(&sums);
            assert_eq!(found.verdict, Verdict::Fail, "{sums}");
            assert!(found.found.contains(says), "{found:?}");
        }
    }

    #[test]
    fn a_model_without_checksums_is_a_warning() {
        let folder = tempfile::tempdir().expect("a folder");
        let found = verify(folder.path());
        assert_eq!(found.verdict, Verdict::Warn);
        assert!(found.found.starts_with("no checksums"), "{found:?}");
    }

    #[test]
    fn the_default_model_is_what_it_was() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/pocket");
        let found = verify(&dir);
        assert_eq!(found.verdict, Verdict::Ok, "{found:?}");
    }

    proptest! {
        #[test]
        fn any_line_is_a_checksum_or_none(line in ".{0,100}") {
            if let Some((_, name)) = parse(&line) {
                prop_assert!(name.is_relative());
            }
        }
    }
}
