//! Progress on a terminal, which `script` (util-linux) provides.

use crate::support::{Workplace, tiny};

/// What a person would see of a short painting, escape sequences and all.
fn seen(columns: usize, rows: usize, environment: &[(&str, &str)]) -> String {
    let place = Workplace::new();
    let call = "stty cols \"$COLUMNS_\" rows \"$ROWS_\"; \
        exec \"$EASEL\" paint 'a cat' --model \"$MODEL\" --steps 5 --out cat.png --seed 1";
    let output = std::process::Command::new("script")
        .args(["-qec", call, "/dev/null"])
        .current_dir(place.path(""))
        .env_remove("NO_COLOR")
        .env("SHELL", "/bin/sh")
        .env("TERM", "xterm-256color")
        .env("EASEL", env!("CARGO_BIN_EXE_easel"))
        .env("MODEL", tiny())
        .env("COLUMNS_", columns.to_string())
        .env("ROWS_", rows.to_string())
        .envs(environment.iter().copied())
        .stdin(std::process::Stdio::null())
        .output()
        .expect("script is a part of every Debian");
    let seen = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{seen}");
    assert_eq!(place.names(), ["cat.png"]);
    seen
}

/// As much of a terminal as progress needs (ECMA-48 with the usual deferred wrap): what stands where.
struct Screen {
    columns: usize,
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
}

impl Screen {
    fn new(columns: usize) -> Self {
        Self {
            columns,
            rows: vec![vec![' '; columns]; 60],
            row: 0,
            column: 0,
        }
    }

    fn put(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '\r' => self.column = 0,
                '\n' => self.row += 1,
                c => {
                    if self.column == self.columns {
                        (self.row, self.column) = (self.row + 1, 0);
                    }
                    self.rows[self.row][self.column] = c;
                    self.column += 1;
                }
            }
        }
    }

    fn text(&self) -> Vec<String> {
        let lines = self.rows.iter().map(|row| row.iter().collect::<String>());
        let mut lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
        lines.truncate(
            lines
                .iter()
                .rposition(|line| !line.is_empty())
                .map_or(0, |n| n + 1),
        );
        lines
    }
}

/// What stands on the screen each time that something else is about to be drawn over it, and at the end.
fn frames(seen: &str, columns: usize) -> Vec<Vec<String>> {
    let (mut screen, mut frames) = (Screen::new(columns), Vec::new());
    let mut pieces = seen.split("\x1b[");
    screen.put(pieces.next().unwrap_or_default());
    for piece in pieces {
        let end = piece.find(|c: char| ('@'..='~').contains(&c));
        let (control, text) = piece.split_at(end.expect("a final byte") + 1);
        let (number, name) = control.split_at(control.len() - 1);
        match name {
            "A" => {
                frames.push(screen.text());
                screen.row -= number.parse().unwrap_or(1);
            }
            "B" => screen.row += number.parse().unwrap_or(1),
            "K" => screen.rows[screen.row].fill(' '),
            // Colours, and whether the cursor shows.
            "m" | "h" | "l" => {}
            _ => panic!("{control} is not known here"),
        }
        screen.put(text);
    }
    frames.push(screen.text());
    frames
}

const PREVIEW: &str = "\x1b[38;2;";

#[test]
fn a_terminal_shows_a_bar_and_a_preview() {
    let seen = seen(100, 40, &[]);
    assert!(seen.contains(PREVIEW) && seen.contains('▀'), "{seen:?}");
    assert!(seen.contains("painting") && seen.contains("/5"), "{seen:?}");
    assert!(seen.contains('█') || seen.contains('░'), "{seen:?}");
    assert!(seen.contains("cat.png (seed 1, "), "{seen:?}");
}

#[test]
fn lines_are_whole_and_leave_nothing_behind_on_any_width() {
    for columns in [32, 40, 55, 56, 80] {
        let frames = frames(&seen(columns, 40, &[]), columns);
        let previews = frames.iter().filter(|frame| frame.len() > 1);
        let mut count = 0;
        for frame in previews {
            // 16x16 latents fill 32 columns and 16 rows.
            assert_eq!(frame.len(), 17, "{columns}: {frame:#?}");
            let status = &frame[0];
            assert!(
                status.contains("/5 ") && status.ends_with(" left"),
                "{columns}: {frame:#?}"
            );
            let preview = frame[1..].iter().all(|line| *line == "▀".repeat(32));
            assert!(preview, "{columns}: {frame:#?}");
            count += 1;
        }
        assert!(count > 0, "{columns}: no preview in {frames:#?}");
        let last = frames.last().expect("there is one");
        assert_eq!(last.len(), 1, "{columns}: something was left: {last:#?}");
        assert!(
            last[0].starts_with("cat.png (seed 1, "),
            "{columns}: {last:#?}"
        );
    }
}

#[test]
fn the_preview_needs_room() {
    for (columns, rows) in [(100, 12), (30, 40)] {
        let seen = seen(columns, rows, &[]);
        assert!(!seen.contains(PREVIEW), "{columns}x{rows}: {seen:?}");
        assert!(seen.contains("painting"), "{seen:?}");
    }
}

#[test]
fn no_color_and_a_dumb_terminal_turn_the_preview_off() {
    for environment in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let seen = seen(100, 40, &[environment]);
        assert!(!seen.contains(PREVIEW), "{environment:?}: {seen:?}");
        assert!(seen.contains("cat.png (seed 1, "), "{seen:?}");
    }
    // no-color.org: an empty value does not count.
    assert!(seen(100, 40, &[("NO_COLOR", "")]).contains(PREVIEW));
}
