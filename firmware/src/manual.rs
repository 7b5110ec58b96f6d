//! The manual pages and completions of the package, from the same source as `--help`. They are files of the repository, so
//! that a package can be made where easel cannot run; this test says when they are old, and with `EASEL_BLESS=1` writes them.

use crate::Arguments;
use clap::builder::{Resettable, Str};
use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use std::path::{Path, PathBuf};

/// What the pages say beyond `--help`.
const MORE: &str = r#".SH FILES
.TP
.I /etc/easel/board.toml
What the board is; written when the package is installed, and yours from then on.
.TP
.I /etc/easel/mqtt\-password
The broker's password, one line. Only root needs to read it: the service gets it as a credential.
.TP
.I /usr/share/easel/board\-configs
Boards, panels and playlists to inherit from.
.TP
.I /usr/share/easel/models/pocket
The default model.
.TP
.IR /var/lib/easel ", " /var/cache/easel
The service's queue, history and settings; what is made of a model at its first start.
.SH SEE ALSO
.BR mosquitto_pub (1),
.BR systemctl (1)
.br
https://github.com/easel\-frame/easel
"#;

fn page(command: Command, more: &str) -> String {
    let mut bytes = Vec::new();
    Man::new(command)
        .render(&mut bytes)
        .expect("memory can be written");
    String::from_utf8(bytes).expect("it is UTF-8") + more
}

/// Names and texts of all files.
fn files() -> Vec<(String, String)> {
    // Without a version: it would make all pages old at each release.
    let mut whole = Arguments::command().version(Resettable::<Str>::Reset);
    whole.build();
    let mut files = vec![("easel.1".to_owned(), page(whole.clone(), MORE))];
    for command in whole.get_subcommands() {
        let name = command.get_name().to_owned();
        if name != "help" {
            let full: &'static str = Box::leak(format!("easel-{name}").into_boxed_str());
            files.push((format!("{full}.1"), page(command.clone().name(full), "")));
        }
    }
    for (shell, name) in [
        (Shell::Bash, "easel.bash"),
        (Shell::Zsh, "easel.zsh"),
        (Shell::Fish, "easel.fish"),
    ] {
        let mut bytes = Vec::new();
        generate(shell, &mut Arguments::command(), "easel", &mut bytes);
        let text = String::from_utf8(bytes).expect("it is UTF-8");
        files.push((name.to_owned(), text));
    }
    files
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/manual")
}

#[test]
fn manual_and_completions_are_as_the_program_is() {
    let files = files();
    if std::env::var_os("EASEL_BLESS").is_some() {
        for (name, text) in &files {
            std::fs::write(folder().join(name), text).expect("it can be written");
        }
    }
    for (name, text) in &files {
        let stored = std::fs::read_to_string(folder().join(name)).unwrap_or_default();
        assert!(
            stored == *text,
            "packaging/manual/{name} is old: EASEL_BLESS=1 cargo test --release --workspace --lib manual"
        );
    }
    let stored = std::fs::read_dir(folder()).expect("it is there").count();
    assert_eq!(
        stored,
        files.len(),
        "a file of packaging/manual belongs to no command"
    );
}
