//! Reading files that others made: regular files alone, and no more of them than such a file may have.
//!
//! A name in a model directory, a configuration or a call may belong to anything: a pipe that nobody writes to, a device
//! that never ends, a socket, a sparse file of terabytes. None of these is waited for or read.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Bytes of a file of settings: JSON or TOML.
pub const SETTINGS: u64 = 1 << 20;
/// Bytes of a file of a tokenizer: CLIP's largest has 3.6 MB.
pub(crate) const TOKENIZER: u64 = 16 << 20;

/// Opens a regular file, following links, without waiting.
///
/// # Errors
/// What the file system says; `InvalidInput` with what it is for anything that is no regular file.
pub fn open_file(path: &Path) -> io::Result<File> {
    // Asked first: merely to open a device may do something.
    regular(path.metadata()?.file_type())?;
    let file = OpenOptions::new()
        .read(true)
        // What takes the name in between: a pipe would wait for its writer, a terminal become ours.
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32)
        .open(path)?;
    regular(file.metadata()?.file_type())?;
    Ok(file)
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// As [`open_file`]; `FileTooLarge` for more.
pub fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_opened(open_file(path)?, most)
}

/// As [`read_file`], for text.
///
/// # Errors
/// As [`read_file`]; `InvalidData` for what is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read_file(path, most)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        io::Error::new(
            ErrorKind::InvalidData,
            format!("byte {at} is no UTF-8 text"),
        )
    })
}

fn read_opened(file: File, most: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    if length > most {
        return Err(too_large(length, most));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    // It may grow while it is read.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(too_large(bytes.len() as u64, most));
    }
    Ok(bytes)
}

fn too_large(length: u64, most: u64) -> io::Error {
    let problem = format!("{length} bytes are more than such a file has ({most} at most)");
    io::Error::new(ErrorKind::FileTooLarge, problem)
}

/// Says what it is if it is no regular file.
pub(crate) fn regular(kind: FileType) -> io::Result<()> {
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    let problem = format!("is {what}, not a file");
    Err(io::Error::new(ErrorKind::InvalidInput, problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn only_regular_files_are_read_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "abc").expect("a file");
        symlink("file", at("link")).expect("a link");
        assert_eq!(read_file(&at("link"), 3).expect("a file"), b"abc");

        let made = std::process::Command::new("mkfifo")
            .arg(at("pipe"))
            .status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo(1)");
        let _socket = UnixListener::bind(at("socket")).expect("a socket");
        symlink("/dev/zero", at("zero")).expect("a link");
        symlink("pipe", at("to a pipe")).expect("a link");
        for (name, what) in [
            ("pipe", "a pipe"),
            ("to a pipe", "a pipe"),
            ("socket", "a socket"),
            ("zero", "a device"),
            (".", "a directory"),
        ] {
            let error = read_file(&at(name), 10).expect_err("it is no file");
            assert_eq!(error.to_string(), format!("is {what}, not a file"));
        }
        assert_eq!(
            read_file(&at("none"), 10)
                .expect_err("it is not there")
                .kind(),
            ErrorKind::NotFound
        );
    }

    #[test]
    fn what_is_too_long_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let file = File::create(&path).expect("a file");
        file.set_len(1 << 40).expect("a sparse file");
        let error = read_file(&path, 4).expect_err("it is too long");
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        file.set_len(4).expect("it can be cut");
        assert_eq!(read_file(&path, 4).expect("it fits"), [0; 4]);
        assert!(read_file(&path, 3).is_err());
        // Of the kernel's own files the length is not known before.
        assert!(
            read_text(Path::new("/proc/self/status"), 1 << 16).is_ok_and(|text| !text.is_empty())
        );
        assert!(read_text(Path::new("/proc/self/status"), 9).is_err());
        fs::write(&path, b"a\xffb").expect("it can be written");
        let error = read_text(&path, 4).expect_err("it is no text");
        assert_eq!(error.to_string(), "byte 1 is no UTF-8 text");
    }
}
