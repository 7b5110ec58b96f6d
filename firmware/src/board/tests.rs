use super::*;
use crate::display::PanelKind;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../board-configs")
}

/// Writes the files and reads the first.
fn read(files: &[(&str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("it can be written");
    }
    Config::read(&folder.path().join(files[0].0)).map_err(|error| error.to_string())
}

fn refused(files: &[(&str, &str)], says: &[&str]) {
    let error = read(files).expect_err("it is wrong");
    for part in says {
        assert!(error.contains(part), "{error} does not say {part}");
    }
    assert!(!error.contains('\n'), "{error}");
}

const WHOLE: &str = "[board]\nname = 'frame'\n[panel]\nkind = 'png'\nwidth = 800\nheight = 480\n";

#[test]
fn every_shipped_file_is_right() {
    let mut boards = 0;
    for entry in std::fs::read_dir(shipped()).expect("board-configs/ is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            continue; // playlists
        }
        assert!(
            path.extension().is_some_and(|e| e == "toml"),
            "{} is no board",
            path.display()
        );
        if path.file_stem().is_some_and(|stem| stem == "base") {
            // What all boards have in common is not a board.
            let error = Config::read(&path)
                .expect_err("it has no panel")
                .to_string();
            assert!(error.contains("board.name: is missing"), "{error}");
            continue;
        }
        let config = Config::read(&path).unwrap_or_else(|error| panic!("{error}"));
        assert!(
            !config.board.description.is_empty(),
            "{}: say what it is",
            path.display()
        );
        boards += 1;
    }
    assert!(boards > 0);
}

#[test]
fn a_file_goes_before_what_it_inherits_key_by_key() {
    let grandparent = "[model]\nmemory_mib = 300\nthreads = 3\ndir = 'm'\n[panel]\nrotation = 90";
    let parent = "inherits = 'old'\n[model]\nthreads = 2\n[panel]\nkind = 'terminal'\nwidth = 9";
    let child = "inherits = 'parent'\n[board]\nname = 'frame'\n[panel]\nwidth = 800\nheight = 480";
    let files = [
        ("child.toml", child),
        ("parent.toml", parent),
        ("old.toml", grandparent),
    ];
    let config = read(&files).expect("it is right");
    assert_eq!(config.model.memory_mib, Some(300));
    assert_eq!(config.model.threads, Some(2));
    assert_eq!(config.panel.kind, PanelKind::Terminal);
    assert_eq!(config.panel.as_mounted(), (480, 800));
    let dir = config.model.dir.expect("it is inherited");
    assert!(dir.is_absolute() && dir.ends_with("m"), "{}", dir.display());
}

#[test]
fn what_is_not_said_has_a_default_or_is_open() {
    let config = read(&[("a.toml", WHOLE)]).expect("it is right");
    assert_eq!(config.panel.rotation, 0);
    assert_eq!(config.panel.as_mounted(), (800, 480));
    assert!(
        config.model.dir.is_none()
            && config.model.memory_mib.is_none()
            && config.model.threads.is_none()
    );
}

#[test]
fn a_circle_is_found() {
    refused(
        &[("a.toml", "inherits = 'a'")],
        &["a.toml: inherits", "circle"],
    );
    let files = [
        ("a.toml", "inherits = 'b'"),
        ("b.toml", "inherits = 'c'"),
        ("c.toml", "inherits = 'b'"),
    ];
    refused(&files, &["c.toml: inherits", "circle"]);
}

#[test]
fn a_parent_is_a_file_beside() {
    refused(
        &[("a.toml", "inherits = 'b'")],
        &["a.toml: inherits", "b.toml"],
    );
    for name in ["../b", "", "b.toml", "/etc/b"] {
        let text = format!("inherits = '{name}'");
        refused(
            &[("a.toml", &text)],
            &["a.toml: line 1: inherits", "without .toml"],
        );
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    refused(
        &[("a.toml", "[board]\nname = 'x'\ncolour = 'red'")],
        &["a.toml: line 3", "colour", "description"],
    );
    refused(&[("a.toml", "[bord]")], &["line 1", "bord", "panel"]);
    refused(
        &[("a.toml", "[panel]\nkind = 'crt'")],
        &["line 2", "crt", "terminal"],
    );
    refused(&[("a.toml", "[panel]\nwidth = -1")], &["line 2", "-1"]);
    refused(&[("a.toml", "not = [toml")], &["a.toml: line 1"]);
}

#[test]
fn a_wrong_value_names_file_and_key() {
    for (text, key) in [
        ("[board]\nname = ' '", "board.name"),
        ("[board]\ndescription = \"a\\nb\"", "board.description"),
        ("[model]\nmemory_mib = 0", "model.memory_mib"),
        ("[model]\nthreads = 257", "model.threads"),
        ("[panel]\nwidth = 0", "panel.width"),
        ("[panel]\nheight = 8193", "panel.height"),
        ("[panel]\nrotation = 45", "panel.rotation"),
    ] {
        let child = format!("inherits = 'base'\n{WHOLE}");
        // Also in a parent whose value the child replaces.
        refused(
            &[("a.toml", &child), ("base.toml", text)],
            &["base.toml: line 2: ", key],
        );
    }
}

#[test]
fn what_no_file_has_is_missing() {
    for (key, line) in [
        ("board.name", "name = 'frame'\n"),
        ("panel.kind", "kind = 'png'\n"),
        ("panel.width", "width = 800\n"),
        ("panel.height", "height = 480\n"),
    ] {
        refused(
            &[("a.toml", &WHOLE.replace(line, ""))],
            &["a.toml: ", key, "missing"],
        );
    }
}
