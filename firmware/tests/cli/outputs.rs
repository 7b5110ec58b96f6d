//! Places that cannot be written: found before the work where possible, and never half a file.

use crate::support::{Workplace, stderr, tiny};
use std::fs;
use std::process::{Command, Stdio};

const PAINT: [&str; 6] = ["paint", "a cat", "--quiet", "--steps", "2", "--model"];

/// Refused before the model is even looked for.
fn refused(place: &Workplace, flag: &str, path: &str, says: &[&str]) {
    let call = ["paint", "a cat", "--model", "nowhere", flag, path];
    place.refuses(2, &call, &[&[flag], says].concat());
}

#[test]
fn the_name_has_another_ending() {
    let place = Workplace::new();
    for name in ["cat.jpg", "cat", "", ".png"] {
        refused(&place, "--out", name, &[".png"]);
        refused(&place, "--save-latents", name, &[".npy"]);
    }
}

#[test]
fn the_place_is_a_folder_or_has_none() {
    let place = Workplace::new().with("file", "");
    fs::create_dir(place.path("cat.png")).expect("it can be made");
    fs::create_dir(place.path("cat.npy")).expect("it can be made");
    for (flag, ending) in [("--out", "png"), ("--save-latents", "npy")] {
        refused(&place, flag, &format!("cat.{ending}"), &["is a directory"]);
        for folder in ["nowhere", "file"] {
            refused(&place, flag, &format!("{folder}/cat.{ending}"), &[folder]);
        }
    }
}

/// The permission bits do not stop root; the kernel's own file system stops everyone.
#[test]
fn the_folder_cannot_be_written() {
    refused(&Workplace::new(), "--out", "/proc/cat.png", &["/proc"]);
}

/// A limit on the size of files makes the disk look full, in the middle of a file, with no privileges.
#[test]
fn the_disk_is_full_in_the_middle_of_a_file() {
    let place = Workplace::new().with("cat.png", "an older picture");
    let output = Command::new("sh")
        // Ignored, the signal becomes an error of write(2).
        .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_easel"))
        .args(PAINT)
        .arg(tiny())
        .args(["--out", "cat.png", "--cache", "off"])
        .current_dir(place.path(""))
        .output()
        .expect("there is a shell");
    place.refused(&output, 1, &["cat.png", "cannot be written"]);
    assert_eq!(place.names(), ["cat.png"], "a part was left");
    let kept = fs::read(place.path("cat.png")).expect("it is there");
    assert_eq!(kept, b"an older picture");
}

/// A real one. Mounting needs root or a user namespace.
#[test]
fn the_disk_is_full() {
    let unshare = |script: &str, arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", script]);
        command.args(arguments);
        command
    };
    let mount = "mount -t tmpfs -o size=4k none full && head -c 4096 /dev/zero > full/filler";
    let place = Workplace::new();
    fs::create_dir(place.path("full")).expect("it can be made");
    let probe = unshare(mount, &[]).current_dir(place.path("")).output();
    assert!(
        probe.as_ref().is_ok_and(|output| output.status.success()),
        "a tmpfs cannot be mounted: run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1); \
         unshare comes with `apt-get install util-linux mount`: {probe:?}"
    );
    let script = format!("{mount} && \"$0\" \"$@\"; code=$?; ls -A full; exit $code");
    let mut output = unshare(&script, &[env!("CARGO_BIN_EXE_easel")])
        .args(PAINT)
        .arg(tiny())
        .args(["--out", "full/cat.png"])
        .current_dir(place.path(""))
        .output()
        .expect("it was possible a moment ago");
    assert_eq!(output.stdout, b"filler\n", "a part was left");
    output.stdout.clear();
    place.refused(&output, 1, &["full/cat.png", "cannot be written", "space"]);
}

#[test]
fn standard_output_is_full_but_the_picture_is_saved() {
    let place = Workplace::new();
    let full = fs::File::options().write(true).open("/dev/full");
    let output = place
        .command(&PAINT)
        .arg(tiny())
        .args(["--json", "--out", "cat.png"])
        .stdout(Stdio::from(full.expect("Linux has it")))
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .expect("the binary runs");
    place.refused(&output, 1, &["standard output", "saved at cat.png"]);
    assert_eq!(place.names(), ["cat.png"], "{}", stderr(&output));
}
