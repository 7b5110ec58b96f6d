//! Half blocks on a terminal.

use crate::display::half_blocks;
use crate::display::panel::{Manner, Panel, PanelError};
use image::RgbImage;
use std::io::{Stdout, Write};

/// A second screen of the terminal (xterm's 1049), without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[0m\x1b[?25h\x1b[?1049l";
/// Cursor to the upper left, lest lines scroll away.
const HOME: &str = "\x1b[H";
const CLEAR: &str = "\x1b[2J";

/// Shows frames on the terminal that the program was started in, as large as it is now.
pub(super) struct TerminalPanel<W: Write = Stdout> {
    size: (u32, u32),
    out: W,
    /// Columns and rows of the terminal.
    cells: Box<dyn Fn() -> (usize, usize) + Send>,
    /// At the last frame; a terminal that changes is cleared.
    last_cells: Option<(usize, usize)>,
}

impl TerminalPanel {
    pub(super) fn new(size: (u32, u32)) -> Self {
        let cells = || {
            let (rows, columns) = console::Term::stdout().size();
            (usize::from(columns), usize::from(rows))
        };
        Self::on(std::io::stdout(), size, Box::new(cells))
    }
}

impl<W: Write> TerminalPanel<W> {
    fn on(out: W, size: (u32, u32), cells: Box<dyn Fn() -> (usize, usize) + Send>) -> Self {
        Self {
            size,
            out,
            cells,
            last_cells: None,
        }
    }

    fn write(&mut self, text: &str) -> Result<(), PanelError> {
        let written = self.out.write_all(text.as_bytes());
        written.and_then(|()| self.out.flush()).map_err(|error| {
            let advice = "start the program on a terminal, or choose another kind";
            PanelError(format!("panel: terminal: {error}: {advice}"))
        })
    }
}

impl<W: Write + Send> Panel for TerminalPanel<W> {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn manner(&self) -> Manner {
        // More than that flickers over a remote shell.
        Manner::Light {
            frames_per_second: 10.0,
        }
    }

    fn show(&mut self, frame: &RgbImage) -> Result<(), PanelError> {
        let cells = (self.cells)();
        let mut text = String::new();
        if self.last_cells != Some(cells) {
            if self.last_cells.is_none() {
                text.push_str(ENTER);
            }
            text.push_str(CLEAR);
        }
        text.push_str(HOME);
        let size = (frame.width() as usize, frame.height() as usize);
        text.push_str(&half_blocks(frame.as_raw(), size, cells, "\r\n"));
        self.write(&text)?;
        self.last_cells = Some(cells);
        Ok(())
    }

    fn set_dark(&mut self, dark: bool) -> Result<(), PanelError> {
        if dark { self.write(CLEAR) } else { Ok(()) }
    }
}

impl<W: Write> Drop for TerminalPanel<W> {
    fn drop(&mut self) {
        if self.last_cells.is_some() {
            // The terminal may be gone; then there is nothing to mend.
            let _ = self.write(LEAVE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_frame_fits_the_terminal_and_the_terminal_is_given_back() {
        let screen = Screen::default();
        let mut panel = TerminalPanel::on(screen.clone(), (40, 40), Box::new(|| (10, 4)));
        let frame = RgbImage::from_pixel(40, 40, Rgb([1, 2, 3]));
        panel.show(&frame).expect("it is a buffer");
        panel.show(&frame).expect("it is a buffer");
        drop(panel);
        let text = String::from_utf8(screen.0.lock().expect("no panic").clone()).expect("UTF-8");
        assert!(text.starts_with(ENTER) && text.ends_with(LEAVE));
        assert_eq!(text.matches(CLEAR).count(), 1);
        let frames: Vec<&str> = text.split(HOME).skip(1).collect();
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[0].matches('▀').count(), 8 * 4);
        assert_eq!(frames[0].lines().count(), 4);
    }
}
