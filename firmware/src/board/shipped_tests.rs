//! The boards and panels of `board-configs/`: each is right, and each panel goes with each board.

use super::*;
use crate::display::PanelKind;
use crate::kiosk::PlaylistFile;
use std::collections::BTreeMap;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../board-configs")
}

/// The names of the files in a folder, without `.toml`; it has no others.
fn names(folder: &Path) -> Vec<String> {
    let listed = std::fs::read_dir(folder).expect("it is there");
    let mut names: Vec<String> = listed
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.is_file())
        .map(|path| {
            assert!(
                path.extension().is_some_and(|e| e == "toml"),
                "{}",
                path.display()
            );
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

fn boards() -> Vec<String> {
    let all = names(&shipped());
    all.into_iter().filter(|name| name != "base").collect()
}

/// A file as a user writes it, somewhere else, of a panel and a board.
fn joined(panel: &str, board: &str) -> Config {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("frame.toml");
    let text = format!("inherits = ['panels/{panel}', '{board}']");
    std::fs::write(&file, text).expect("it can be written");
    Config::read_in(&file, &[shipped()]).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_board_is_right() {
    for name in [
        "generic-arm64",
        "pi-zero2w",
        "pi3",
        "pi4",
        "pi5",
        "simulator",
    ] {
        assert!(
            boards().iter().any(|board| board == name),
            "{name} is missing"
        );
    }
    for name in boards() {
        let file = shipped().join(format!("{name}.toml"));
        let config = Config::read_in(&file, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert!(
            !config.board.description.is_empty(),
            "{name}: say what it is"
        );
        let playlist = config
            .kiosk
            .playlist
            .expect("each board can play by itself");
        let playlists = PlaylistFile::new(playlist)
            .changed()
            .expect("it was not read yet");
        playlists.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn a_board_of_raspberry_pis_has_budgets_and_limits() {
    for name in boards().iter().filter(|name| name.starts_with("pi")) {
        let config = Config::read_in(&shipped().join(format!("{name}.toml")), &[])
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.model.threads, Some(4), "{name}: all have four cores");
        // 218 MiB are what Stable Diffusion 1.5 needs; nothing is sold with more than 1 GB at least.
        let mib = config.model.memory_mib.expect("a budget");
        assert!((218..=700).contains(&mib), "{name}: {mib} MiB");
        // From 80 °C on, the firmware holds the clock down; from 85 °C on, it does so hard.
        assert!(config.limits.slow_above_c < 80.0, "{name}");
        assert!(config.limits.pause_above_c < 85.0, "{name}");
    }
}

#[test]
fn what_all_boards_have_in_common_is_no_board() {
    let error = Config::read_in(&shipped().join("base.toml"), &[])
        .expect_err("it has no panel")
        .to_string();
    assert!(error.contains("board.name: is missing"), "{error}");
}

#[test]
fn every_panel_goes_with_every_board() {
    for panel in names(&shipped().join("panels")) {
        let file = shipped().join(format!("panels/{panel}.toml"));
        let alone = File::read(&file).unwrap_or_else(|error| panic!("{error}"));
        assert!(
            alone.inherits.0.is_empty(),
            "{panel}: it would go before the board"
        );
        for board in boards() {
            let config = joined(&panel, &board);
            let said: PanelSettings = alone.table["panel"].clone().try_into().expect("a panel");
            assert_eq!(config.panel.kind, said.kind, "{panel} on {board}");
            assert_eq!(
                config.panel.as_mounted(),
                said.as_mounted(),
                "{panel} on {board}"
            );
            match said.kind {
                PanelKind::Spi => {
                    assert!(said.spi.model.is_some() && said.spi.dc.is_some(), "{panel}");
                }
                PanelKind::Epaper => assert!(said.epaper.model.is_some(), "{panel}"),
                _ => {}
            }
        }
    }
}

/// The lines of a Raspberry Pi's header that the first SPI bus has: chip selects 1 and 0, MISO, MOSI, clock.
const BUS: [u32; 5] = [7, 8, 9, 10, 11];

#[test]
fn no_line_of_the_header_has_two_uses() {
    for panel in names(&shipped().join("panels")) {
        let config = joined(&panel, "pi4");
        let (spi, epaper) = (&config.panel.spi, &config.panel.epaper);
        let mut wires: Vec<(String, u32)> = Vec::new();
        let mut wire = |name: &str, line: Option<u32>| {
            wires.extend(line.map(|line| (name.to_owned(), line)));
        };
        match config.panel.kind {
            PanelKind::Spi => {
                wire("dc", spi.dc);
                wire("reset", spi.reset);
                wire("backlight", spi.backlight);
            }
            PanelKind::Epaper => {
                wire("dc", Some(epaper.dc));
                wire("reset", Some(epaper.reset));
                wire("busy", Some(epaper.busy));
                wire("power", epaper.power);
            }
            _ => {}
        }
        for input in &config.inputs.0 {
            wire(&input.name, input.line);
        }
        let mut used: BTreeMap<u32, String> = BTreeMap::new();
        for (name, line) in wires {
            assert!(line <= 27, "{panel}: {name}: the header has GPIO 0 to 27");
            // Display HAT Mini: its file says that the bus has to do without MISO.
            let is_known = panel == "display-hat-mini" && line == 9;
            assert!(
                is_known || !BUS.contains(&line),
                "{panel}: {name}: {line} is the bus's"
            );
            if let Some(other) = used.insert(line, name.clone()) {
                panic!("{panel}: {name} and {other} are both on {line}");
            }
        }
    }
}

#[test]
fn numbers_of_lines_have_a_source() {
    for panel in names(&shipped().join("panels")) {
        let file = shipped().join(format!("panels/{panel}.toml"));
        let text = std::fs::read_to_string(&file).expect("it can be read");
        let has_lines = text
            .lines()
            .any(|line| line.starts_with("dc =") || line.starts_with("line ="));
        assert!(
            !has_lines || text.contains("\n# Source: "),
            "{panel}: say where they are from"
        );
    }
}
