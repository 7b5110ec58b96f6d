//! Whether the model's files are what they were when the model was made.

use super::finding::Finding;
use super::subject::Subject;
use easel::files::{ANEW, SUMS, sum_of, sums};
use std::path::Path;

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    match subject.model.get() {
        Some(model) => vec![verify(&model.dir)],
        None => vec![Finding::skip("there is no model that loads")],
    }
}

/// Compares each file of the list with its checksum.
fn verify(dir: &Path) -> Finding {
    let list = dir.join(SUMS);
    let lines = match sums(dir) {
        Ok(Some(lines)) => lines,
        Ok(None) => {
            let fix = format!(
                "export the model anew, or, if you trust it: cd {} && find . -type f ! -name {SUMS} -printf '%P\\0' | sort -z | xargs -0 sha256sum > {SUMS}",
                dir.display()
            );
            return Finding::warn(format!("no checksums: there is no {}", list.display()), fix);
        }
        Err(error) => {
            let found = format!("{}: {error}", list.display());
            return Finding::fail(found, "copy the model anew");
        }
    };
    let (mut files, mut bytes) = (0, 0);
    for (place, line) in lines.into_iter().enumerate() {
        let Some((name, sum)) = line else {
            let found = format!(
                "{}: line {}: no checksum of a file in the folder",
                list.display(),
                place + 1
            );
            return Finding::fail(found, "export the model anew");
        };
        let path = dir.join(name);
        match sum_of(&path, || Ok(())) {
            Ok((found, length)) if found == sum => (files, bytes) = (files + 1, bytes + length),
            Ok(_) => {
                return Finding::fail(format!("{}: is not what it was", path.display()), ANEW);
            }
            Err(error) => return Finding::fail(format!("{}: {error}", path.display()), ANEW),
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
        "{files} files, {mib} MiB, are what they were ({SUMS})"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;

    /// Of `abc`: FIPS 180-2, B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn examined(sums: &str) -> Finding {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("unet")).expect("a folder");
        std::fs::write(folder.path().join("unet/model"), "abc").expect("it can be written");
        std::fs::write(folder.path().join(SUMS), sums).expect("it can be written");
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
}
