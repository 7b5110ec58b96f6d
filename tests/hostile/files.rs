//! What may stand where a file of a model should.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use super::micro::{self, DECODER, TEXT_ENCODER, UNET};
use super::outsiders::pipe;
use super::watch::{Case, Right};

const EVERY_FILE: [&str; 11] = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "unet/config.json",
    "vae_decoder/config.json",
    "text_encoder/config.json",
    "easel.json",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
    UNET,
    TEXT_ENCODER,
    DECODER,
];

/// What is no file, or no file of a sensible size.
pub(crate) fn no_files() -> Vec<Case> {
    type Change = fn(&Path);
    let changes: &[(&str, Right, Change)] = &[
        ("a pipe", Right::Refused, |path| pipe(path)),
        ("a link to a pipe", Right::Refused, |path| {
            pipe(&path.with_extension("pipe"));
            symlink(path.with_extension("pipe"), path).expect("a link");
        }),
        ("a device without end", Right::Refused, |path| {
            symlink("/dev/zero", path).expect("a link");
        }),
        ("the terminal", Right::Refused, |path| {
            symlink("/dev/tty", path).expect("a link")
        }),
        ("the process' input", Right::Refused, |path| {
            symlink("/dev/stdin", path).expect("a link")
        }),
        ("an empty device", Right::Refused, |path| {
            symlink("/dev/null", path).expect("a link")
        }),
        ("a folder", Right::Refused, |path| {
            fs::create_dir(path).expect("a folder")
        }),
        ("a link to itself", Right::Refused, |path| {
            symlink(path, path).expect("a link")
        }),
        ("a link to nothing", Right::Either, |path| {
            symlink("nothing", path).expect("a link")
        }),
        ("20 GiB of nothing", Right::Refused, |path| {
            sparse(path, 20 << 30)
        }),
        ("a GiB of nothing", Right::Refused, |path| {
            sparse(path, 1 << 30)
        }),
        ("8 EiB less a byte", Right::Refused, |path| {
            // Where the file system takes no such size, the file stays empty, which is refused as well.
            let file = File::create(path).expect("a file");
            let _ = file
                .set_len(i64::MAX as u64)
                .or_else(|_| file.set_len(1 << 43));
        }),
        ("empty", Right::Refused, |path| sparse(path, 0)),
        ("one byte", Right::Refused, |path| {
            fs::write(path, "\0").expect("written")
        }),
        ("a page of an error", Right::Refused, |path| {
            fs::write(path, "<html>404 Not Found</html>").expect("written");
        }),
        ("a pointer of Git LFS", Right::Refused, |path| {
            let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n";
            fs::write(path, pointer).expect("written");
        }),
        ("unreadable bytes", Right::Refused, |path| {
            fs::write(path, [0xff; 4096]).expect("written");
        }),
        ("missing", Right::Either, |_| {}),
    ];
    let mut cases = Vec::new();
    for file in EVERY_FILE {
        for (what, right, change) in changes {
            // Where a file may be missing, a link to nothing is as good.
            cases.push(
                Case::new(format!("{file} is {what}"), *right, move |folder| {
                    micro::write(folder);
                    let path = folder.join(file);
                    fs::remove_file(&path).expect("it is there");
                    change(&path);
                })
                .saying(if *right == Right::Refused {
                    std::slice::from_ref(&file)
                } else {
                    &[]
                }),
            );
        }
    }
    for (what, files) in [
        ("nothing", &[][..]),
        ("a file of a name alone", &["README.md"][..]),
    ] {
        cases.push(Case::new(
            format!("a folder of {what}"),
            Right::Refused,
            move |folder| {
                for file in files {
                    micro::put(folder, file, "text");
                }
            },
        ));
    }
    cases
}

fn sparse(path: &Path, size: u64) {
    let file = File::create(path).expect("a file");
    file.set_len(size).expect("a sparse file");
}

/// JSON that is none, or none to be read.
pub(crate) fn no_json() -> Vec<Case> {
    let mut cases = Vec::new();
    let deep = |open: &str, close: &str, n: usize| format!("{}{}", open.repeat(n), close.repeat(n));
    let texts: Vec<(&str, Right, String)> = vec![
        (
            "brackets 100 000 deep",
            Right::Refused,
            deep("[", "]", 100_000),
        ),
        (
            "objects 100 000 deep",
            Right::Refused,
            deep("{\"a\":", "}", 100_000),
        ),
        (
            "a value 100 000 deep",
            Right::Refused,
            format!("{{\"_x\": {}}}", deep("[", "]", 100_000)),
        ),
        (
            "brackets 120 deep",
            Right::Either,
            format!("{{\"_x\": {}}}", deep("[", "]", 120)),
        ),
        ("open brackets", Right::Refused, "[".repeat(1_000_000)),
        (
            "20 MB of spaces",
            Right::Either,
            format!("{}{{}}", " ".repeat(20 << 20)),
        ),
        (
            "20 MB of text",
            Right::Either,
            format!("{{\"_x\": \"{}\"}}", "x".repeat(20 << 20)),
        ),
        ("a list", Right::Refused, "[1,2,3]".into()),
        ("a number", Right::Refused, "1e999".into()),
        ("null", Right::Refused, "null".into()),
        ("text", Right::Refused, "\"text\"".into()),
        ("two objects", Right::Refused, "{}{}".into()),
        (
            "a lone surrogate",
            Right::Refused,
            "{\"\\ud800\": 1}".into(),
        ),
        ("NaN", Right::Either, "{\"_x\": NaN}".into()),
        ("a million keys", Right::Either, {
            let keys: Vec<String> = (0..1_000_000).map(|n| format!("\"k{n}\":0")).collect();
            format!("{{{}}}", keys.join(","))
        }),
        (
            "a vast number",
            Right::Either,
            format!("{{\"_x\": {}}}", "9".repeat(100_000)),
        ),
        ("a mark of byte order", Right::Either, "\u{feff}{}".into()),
    ];
    for file in EVERY_FILE.iter().filter(|file| file.ends_with("json")) {
        for (what, right, text) in &texts {
            // A tokenizer's own parser, and an empty object where all keys are optional.
            let case = with(format!("{file} is {what}"), *right, file, text.clone());
            cases.push(if *right == Right::Refused {
                case.saying(std::slice::from_ref(file))
            } else {
                case
            });
        }
        cases.push(with(
            format!("{file} is no UTF-8"),
            Right::Refused,
            file,
            b"{\"a\": \"\xff\xfe\"}",
        ));
    }
    cases
}

pub(crate) fn with(
    name: impl Into<String>,
    right: Right,
    file: &'static str,
    bytes: impl AsRef<[u8]> + 'static,
) -> Case {
    Case::new(name, right, move |folder| {
        micro::write(folder);
        micro::put(folder, file, &bytes);
    })
}
