//! What the board shows: screens, drawn on a thread of their own, on whatever panel is attached.

mod panel;
pub mod panels;
mod settings;

pub use panel::{Manner, Panel, PanelError};
pub use settings::{PanelKind, PanelSettings};
