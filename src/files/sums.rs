//! Checksums of a model's files: `SHA256SUMS`, as sha256sum(1) writes and checks it.

use std::io::{self, ErrorKind, Read as _};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{SETTINGS, open_file, read_text};

/// The list's name in a model directory.
pub const SUMS: &str = "SHA256SUMS";

/// SHA-256 (FIPS 180-4).
pub type Sum = [u8; 32];

/// What is to be done about a file that is not what it was.
pub const ANEW: &str = "copy the model anew; if it happens again, replace the card";

/// A line of the list: a file in the folder, and its checksum.
pub type Line = (PathBuf, Sum);

/// The lines of the list in `folder`, each with its number from 1: those that are none of sha256sum(1), or lead out of the folder,
/// as `None`. Nothing if there is no list.
///
/// # Errors
/// What the file system says; a list that is no text, or longer than that of any model.
pub fn sums(folder: &Path) -> io::Result<Option<Vec<Option<Line>>>> {
    match read_text(&folder.join(SUMS), SETTINGS) {
        Ok(text) => Ok(Some(
            text.lines()
                .filter(|line| !line.is_empty())
                .map(parse)
                .collect(),
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// `HEX  NAME` or `HEX *NAME`; nothing that leads out of the folder.
fn parse(line: &str) -> Option<Line> {
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
    Some((name.components().collect(), sum))
}

/// The checksum of a file, and its bytes; `beat` is called at least once a MiB, and ends it with an error.
///
/// # Errors
/// What the file system says.
pub fn sum_of(path: &Path, mut beat: impl FnMut() -> io::Result<()>) -> io::Result<(Sum, u64)> {
    let mut file = open_file(path)?;
    let mut hash = Sha256::new();
    let mut part = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        beat()?;
        match file.read(&mut part) {
            Ok(0) => return Ok((hash.finalize().into(), length)),
            Ok(count) => {
                hash.update(&part[..count]);
                length += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Compares the files of one component of a model, all but its configuration, with the list, if there is one. Gives the first that
/// is not what it was, and what to say of it.
pub(crate) fn check_component(
    component: &Path,
    beat: impl Fn() -> io::Result<()>,
) -> Result<(), (PathBuf, String)> {
    let (Some(model), Some(name)) = (component.parent(), component.file_name()) else {
        return Ok(());
    };
    let lines = sums(model).map_err(|error| {
        let problem = format!("cannot be read: {error}: copy it anew, or take it away");
        (model.join(SUMS), problem)
    })?;
    for (file, sum) in lines.into_iter().flatten().flatten() {
        let inside = file.parent() == Some(Path::new(name));
        if !inside || file.extension().is_some_and(|found| found == "json") {
            continue;
        }
        let path = model.join(file);
        let problem = match sum_of(&path, &beat) {
            Ok((found, _)) if found == sum => continue,
            Ok(_) => format!("is not what {SUMS} says: {ANEW}"),
            Err(error) => format!("is in {SUMS}, and cannot be read: {error}: {ANEW}"),
        };
        return Err((path, problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Of `abc`: FIPS 180-2, B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_component_is_what_its_list_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let unet = folder.path().join("unet");
        std::fs::create_dir(&unet).expect("a folder");
        std::fs::write(unet.join("model"), "abc").expect("it can be written");
        std::fs::write(unet.join("config.json"), "{}").expect("it can be written");
        let check = |sums: &str| {
            std::fs::write(folder.path().join(SUMS), sums).expect("it can be written");
            check_component(&unet, || Ok(()))
        };
        let other = ABC.replace('b', "c");
        for right in [
            format!("{ABC}  unet/model\n"),
            format!("{ABC} *./unet/model\n"),
            format!("no line\n{other}  vae/model\n{other}  model\n{other}  unet/config.json\n"),
            String::new(),
        ] {
            check(&right).expect(&right);
        }
        for (wrong, says) in [
            (
                format!("{other}  unet/model\n"),
                "is not what SHA256SUMS says",
            ),
            (format!("{ABC}  unet/weights\n"), "No such file"),
        ] {
            let (path, said) = check(&wrong).expect_err(&wrong);
            assert!(path.starts_with(&unet) && said.contains(says), "{said}");
        }
        std::fs::remove_file(folder.path().join(SUMS)).expect("it is there");
        check_component(&unet, || Ok(())).expect("there is no list");
    }

    proptest! {
        #[test]
        fn any_line_is_a_checksum_or_none(line in ".{0,100}") {
            if let Some((name, _)) = parse(&line) {
                prop_assert!(name.is_relative());
            }
        }
    }
}
