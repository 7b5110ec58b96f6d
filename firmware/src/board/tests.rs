use super::*;
use crate::display::PanelKind;

/// Writes the files and reads the first; those of `installed/` are what easel comes with.
fn read(files: &[(&str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("it can be made");
        std::fs::write(file, text).expect("it can be written");
    }
    let installed = [folder.path().join("installed")];
    Config::read_in(&folder.path().join(files[0].0), &installed).map_err(|error| error.to_string())
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
fn of_several_parents_the_first_goes_before_the_second() {
    let child = "inherits = ['panel', 'board']\n[board]\nname = 'frame'";
    let panel = "[panel]\nkind = 'terminal'\nwidth = 9\nheight = 8";
    let board = "inherits = 'base'\n[model]\nthreads = 2\n[panel]\nkind = 'png'\nrotation = 90";
    let base = "[board]\nname = 'base'\n[model]\nthreads = 1\nmemory_mib = 300";
    let files = [
        ("child.toml", child),
        ("panel.toml", panel),
        ("board.toml", board),
        ("base.toml", base),
    ];
    let config = read(&files).expect("it is right");
    assert_eq!(config.board.name, "frame");
    assert_eq!(config.panel.kind, PanelKind::Terminal);
    assert_eq!(config.panel.as_mounted(), (8, 9));
    assert_eq!(config.model.threads, Some(2));
    assert_eq!(config.model.memory_mib, Some(300));
}

#[test]
fn two_parents_may_have_one_parent() {
    let child = "inherits = ['b', 'c']\n[board]\nname = 'frame'";
    let base = "[panel]\nkind = 'png'\nwidth = 8\nheight = 8";
    let files = [
        ("a.toml", child),
        ("b.toml", "inherits = 'base'"),
        ("c.toml", "inherits = 'base'"),
        ("base.toml", base),
    ];
    read(&files).expect("that is no circle");
}

#[test]
fn a_parent_that_is_not_beside_is_one_that_easel_comes_with() {
    let panel = "[panel]\nkind = 'png'\nwidth = 64\nheight = 48\nfile = 'frame.png'";
    let files = [
        ("a.toml", "inherits = ['panels/small', 'pi']"),
        ("installed/panels/small.toml", panel),
        ("installed/pi.toml", "inherits = 'base'"),
        ("installed/base.toml", "[board]\nname = 'shipped'"),
    ];
    let config = read(&files).expect("it is right");
    assert_eq!(config.board.name, "shipped");
    let file = config.panel.file.expect("it is inherited");
    assert!(
        file.ends_with("installed/panels/frame.png"),
        "{}",
        file.display()
    );

    // One beside goes before it.
    let own = ("base.toml", "[board]\nname = 'own'");
    let config = read(&[&files[..], &[own]].concat()).expect("it is right");
    assert_eq!(
        config.board.name, "shipped",
        "the board means what lies beside itself"
    );
    let own = ("pi.toml", "[board]\nname = 'own'");
    let config = read(&[&files[..], &[own]].concat()).expect("it is right");
    assert_eq!(config.board.name, "own");
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
        &["a.toml: inherits", "b.toml", "installed/b.toml"],
    );
    refused(
        &[("a.toml", "inherits = ['b', 'b']")],
        &["a.toml: line 1: inherits", "twice"],
    );
    refused(
        &[("a.toml", "\ninherits = 3")],
        &["a.toml: line 2", "a name or a list of names"],
    );
    for name in ["../b", "", "b.toml", "/etc/b", "b/", "b//c"] {
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
        ("[model]\nvary_strength = 1.5", "model.vary_strength"),
        ("[model]\nsteps = 0", "model.steps"),
        ("[model]\nguidance = 51", "model.guidance"),
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

#[test]
fn what_an_order_does_not_say_the_file_says() {
    let text = "steps = 1\nguidance = 0\nscheduler = 'lcm'\n";
    let settings: ModelSettings = toml::from_str(text).expect("it is right");
    let mut order = Order::new("a cat");
    order.steps = Some(4);
    settings.complete(&mut order);
    assert_eq!((order.steps, order.guidance), (Some(4), Some(0.0)));
    assert_eq!(order.scheduler, Some(SchedulerKind::Lcm));
    let mut plain = Order::new("a cat");
    ModelSettings::default().complete(&mut plain);
    assert_eq!(
        (plain.steps, plain.guidance, plain.scheduler),
        (None, None, None)
    );
    let wrong = toml::from_str::<ModelSettings>("scheduler = 'magic'");
    assert!(wrong.expect_err("no sampler").to_string().contains("magic"));
}
