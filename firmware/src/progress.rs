//! Progress on standard error: a bar with time left and a small live preview on a terminal, a few
//! plain lines elsewhere.

use crate::display::half_blocks;
use easel::{Picture, Progress, Stage};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;

/// Preview size in character cells; each cell shows two pixels, one above the other.
const PREVIEW_COLUMNS: usize = 32;
const PREVIEW_ROWS: usize = 16;
/// Columns that the longest line with a bar needs: `painting`, the bar, `1000/1000` and `59m left`. A line that the
/// terminal breaks in two is not erased cleanly.
const BAR_COLUMNS: usize = 56;

/// Shows how far a picture is.
pub(crate) struct Reporter {
    mode: Mode,
}

enum Mode {
    Quiet,
    Lines { last_quarter: usize },
    Bar { bar: ProgressBar, preview: bool },
}

impl Reporter {
    /// `quiet` shows nothing. The preview needs a terminal with room for it, and respects `NO_COLOR`
    /// (no-color.org).
    pub(crate) fn new(quiet: bool) -> Self {
        if quiet {
            return Self { mode: Mode::Quiet };
        }
        if !std::io::stderr().is_terminal() {
            return Self {
                mode: Mode::Lines { last_quarter: 0 },
            };
        }
        let (rows, columns) = console::Term::stderr().size();
        let (rows, columns) = (usize::from(rows), usize::from(columns));
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let template = if columns >= BAR_COLUMNS {
            "{prefix:9} {bar:24} {pos}/{len}  {eta} left{msg}"
        } else {
            "{prefix:9} {pos}/{len}  {eta} left{msg}"
        };
        let style = ProgressStyle::with_template(template)
            .expect("the templates are constants that the tests draw");
        bar.set_style(style);
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let preview = !no_color && !dumb && columns >= PREVIEW_COLUMNS && rows > PREVIEW_ROWS + 2;
        Self {
            mode: Mode::Bar { bar, preview },
        }
    }

    /// Takes one report of the pipeline.
    pub(crate) fn show(&mut self, progress: &Progress<'_>) {
        match &mut self.mode {
            Mode::Quiet => {}
            Mode::Lines { last_quarter } => {
                let quarter = (4 * progress.step).checked_div(progress.steps).unwrap_or(0);
                match progress.stage {
                    Stage::Denoise if quarter > *last_quarter => {
                        *last_quarter = quarter;
                        eprintln!("painting: step {} of {}", progress.step, progress.steps);
                    }
                    Stage::Denoise => {}
                    stage => eprintln!("{}", stage_name(stage)),
                }
            }
            Mode::Bar { bar, preview } => {
                bar.set_prefix(stage_name(progress.stage));
                bar.set_length(progress.steps as u64);
                bar.set_position(progress.step as u64);
                if *preview && let Some(picture) = progress.preview() {
                    bar.set_message(format!("\n{}", small(&picture)));
                }
            }
        }
    }

    /// Removes the bar, so that what is printed next stands alone.
    pub(crate) fn finish(&self) {
        if let Mode::Bar { bar, .. } = &self.mode {
            bar.finish_and_clear();
        }
    }
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Encode => "looking",
        Stage::Text => "reading",
        Stage::Denoise => "painting",
        Stage::Decode => "decoding",
    }
}

fn small(picture: &Picture) -> String {
    let size = (picture.width as usize, picture.height as usize);
    half_blocks(&picture.rgb, size, (PREVIEW_COLUMNS, PREVIEW_ROWS), "\n")
}
