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

/// What would be replaced without a word: a link or what it leads to, a pipe, a protected file.
#[test]
fn what_is_no_ordinary_file_is_not_replaced() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let place = Workplace::new()
        .with("other", "mine")
        .with("kept.png", "mine");
    fs::copy(place.path("kept.png"), place.path("kept.npy")).expect("a copy");
    for ending in ["png", "npy"] {
        symlink("other", place.path(&format!("link.{ending}"))).expect("a link");
        symlink("nowhere", place.path(&format!("lost.{ending}"))).expect("a link");
        symlink("/dev/full", place.path(&format!("full.{ending}"))).expect("a link");
        let pipe = place.path(&format!("pipe.{ending}"));
        let made = Command::new("mkfifo").arg(pipe).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo(1)");
        let mode = fs::Permissions::from_mode(0o444);
        fs::set_permissions(place.path(&format!("kept.{ending}")), mode).expect("it is ours");
    }
    for (flag, ending) in [("--out", "png"), ("--save-latents", "npy")] {
        for (name, says) in [
            ("link", "symbolic link to other"),
            ("lost", "symbolic link to nowhere"),
            ("full", "symbolic link to /dev/full"),
            ("pipe", "a pipe"),
            ("kept", "may not be written"),
        ] {
            refused(&place, flag, &format!("{name}.{ending}"), &[name, says]);
        }
    }
    for name in ["other", "link.png", "kept.png"] {
        assert_eq!(fs::read(place.path(name)).expect("it is there"), b"mine");
    }
}

/// Whoever has the picture has what it was painted from: a `tEXt` or `iTXt` chunk with the keyword `parameters`.
#[test]
fn a_picture_says_what_it_was_painted_from() {
    let place = Workplace::new();
    for (prompt, text) in [
        (
            "a red cat\nSteps: 99",
            "tEXtparameters\0a red cat Steps: 99\nNegative prompt: dogs\nSteps: 2, Sampler: DDIM, CFG scale: 3.5, Seed: 7, Size: 24x16, Model: ",
        ),
        (
            "Käfer\u{0}",
            "iTXtparameters\0\0\0\0\0Käfer\nNegative prompt: dogs\nSteps: 2, ",
        ),
    ] {
        let mut child = place
            .command(&["paint", "-", "--quiet", "--steps", "2", "--model"])
            .arg(tiny())
            .args(["--negative", "dogs", "--seed", "7", "--size", "24x16"])
            .args([
                "--scheduler",
                "ddim",
                "--guidance",
                "3.5",
                "--out",
                "cat.png",
            ])
            // An argument has no NUL.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut input = child.stdin.take().expect("it is piped");
        std::io::Write::write_all(&mut input, prompt.as_bytes()).expect("it reads");
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", stderr(&output));
        let png = fs::read(place.path("cat.png")).expect("it is there");
        let found = png.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(
            found,
            "{}",
            String::from_utf8_lossy(&png[..300.min(png.len())])
        );
    }
}

/// A shell's limits on the stack, and on the size of files where nobody ignores the signal.
#[test]
fn a_small_stack_is_enough() {
    let place = Workplace::new();
    let output = Command::new("sh")
        .args(["-c", "ulimit -s 256; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_easel"))
        .args(PAINT)
        .arg(tiny())
        .args(["--out", "cat.png", "--cache", "off"])
        .current_dir(place.path(""))
        .output()
        .expect("there is a shell");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(place.names(), ["cat.png"]);
}

/// A limit on the size of files makes the disk look full, in the middle of a file, with no privileges.
#[test]
fn the_disk_is_full_in_the_middle_of_a_file() {
    let place = Workplace::new().with("cat.png", "an older picture");
    let output = Command::new("sh")
        .args(["-c", "ulimit -f 1; exec \"$0\" \"$@\""])
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
