//! What the board shows: screens, drawn on a thread of their own, on whatever panel is attached.

mod canvas;
mod dither;
mod fit;
mod font;
mod half_blocks;
mod panel;
pub mod panels;
mod presenter;
mod screen;
mod screens;
mod settings;
mod test_pattern;
mod text;
mod thread;

pub use canvas::{Arc, Area, Canvas};
pub use fit::{Fit, fit, turn};
pub(crate) use half_blocks::half_blocks;
pub use panel::{Manner, Panel, PanelError};
pub use panels::open;
pub use presenter::PanelHealth;
pub use screen::Screen;
pub use screens::{Frame, draw};
pub use settings::{PanelKind, PanelSettings};
pub(crate) use test_pattern::test_pattern;
pub use thread::{Clock, Display, Look, SystemClock};
